"""抽查调阅: drawing, looking, findings and their result."""

import tempfile

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ledger_site.base import attaching, trail
from ledger_site.base.choices import EXPORT
from ledger_site.base.paging import page_of
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings.choices import Grade
from ratings.views import showing
from ratings.views.entered import text_of, token_of
from ratings.views.finding import own_report, visible_cycle
from ratings.views.sending import sent

from .. import summary, workflow
from ..choices import CheckState, Method, Verdict
from ..forms import CheckForm, RemedyForm
from ..models import FindingFile, SampleRow, SpotCheck
from ..services import checks as services
from ..services import outcomes
from .finding import files_of, visible_check, visible_row

LISTED = 100


@require_safe
def checks(request, cycle):
    """Own checks, and those of superiors that drew from the own subtree."""
    own = own_report(request, visible_cycle(request, cycle))
    found = SpotCheck.objects.visible_to(own).select_related("report").defer("frame")
    context = {
        "cycle": own.cycle,
        "own": own,
        "checks": found[:LISTED],
        "may_draw": own.has_subordinates and request.post.has(Role.REVIEW),
    }
    return render(request, "audits/checks.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request, cycle):
    own = own_report(request, visible_cycle(request, cycle))
    if not (own.has_subordinates and request.post.has(Role.REVIEW)):
        raise Http404
    form = CheckForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            check = services.create_check(own, form.asked, by=request.post)
        except TransitionRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"已抽取{check.rows.count()}个，核对后开始抽查")
            return redirect(check)
    return render(request, "audits/new.html", {"cycle": own.cycle, "own": own, "form": form})


@require_safe
def check(request, pk):
    """A check: how its sample came about, and its rows as far as they are the viewer's."""
    found, own = visible_check(request, pk)
    is_own = found.report_id == own.pk
    rows = SampleRow.objects.visible_to(own, found)
    rows = rows.select_related("report__parent").prefetch_related("findings")
    page = page_of(rows, request.GET, key="number")
    looks = services.looks_count(page.rows)
    shows_findings = is_own or found.state == CheckState.CLOSED
    moves = workflow.open_to(workflow.TRANSITIONS, found, request.post)
    context = {
        "check": found,
        "cycle": found.report.cycle,
        "own": own,
        "is_own": is_own,
        "method_text": summary.method_text(found),
        "is_random": found.method == Method.RANDOM,
        "rows": [
            {"row": row, "look_count": looks[row.pk], "is_shown": shows_findings}
            for row in page.rows
        ],
        "pages": page.links,
        "moves": [_move(action) for action in moves],
        "may_set_items": is_own and bool(moves) and not _has_findings(found),
        "items_text": "\n".join(found.items),
        "corrections": found.corrections.select_related("order") if is_own else (),
    }
    return render(request, "audits/check.html", context)


def _has_findings(check: SpotCheck) -> bool:
    return check.rows.filter(findings__isnull=False).exists()


def _move(action: str) -> dict:
    move = workflow.TRANSITIONS[action]
    return {"action": action, "label": move.label, "needs_reason": move.needs_reason}


@require_POST
def act(request, pk, action):
    """Start, close or drop a check, or change its items."""
    found, own = visible_check(request, pk)
    if found.report_id != own.pk:
        raise Http404
    try:
        if action == "items":
            items = services.items_of(text_of(request, "items"))
            services.set_items(found, items, token=token_of(request), by=request.post)
            messages.success(request, "已更改检查内容")
        elif action in workflow.TRANSITIONS:
            reason = text_of(request)
            workflow.act(action, found, reason=reason, token=token_of(request), by=request.post)
            messages.success(request, f"抽查已{workflow.TRANSITIONS[action].label}")
        else:
            raise Http404
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    return redirect(found)


def _random_check(request, pk) -> tuple[SpotCheck, bool]:
    found, own = visible_check(request, pk)
    if found.method != Method.RANDOM:
        raise Http404
    return found, found.report_id == own.pk


@require_safe
def redraw(request, pk):
    """The sample drawn again from frame and seed; the codes for the checking unit alone."""
    found, is_own = _random_check(request, pk)
    context = {
        "check": found,
        "cycle": found.report.cycle,
        "is_own": is_own,
        "redrawn": services.redraw(found),
        "method_text": summary.method_text(found),
    }
    return render(request, "audits/redraw.html", context)


@require_safe
def frame(request, pk):
    """The frame as a text file, to draw from it on another machine."""
    found, is_own = _random_check(request, pk)
    if not is_own:
        raise Http404
    event = workflow.act_of_check(found, file="抽样框", rows=found.frame_count)
    trail.record(EXPORT, "导出", [event], by=request.post)
    name = f"frame-{found.pk}.txt"
    return HttpResponse(
        found.frame_text,
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@require_safe
def result(request, pk):
    """Rates of agreement and the list, or with ?sheet=1 the same as a workbook."""
    found, own = visible_check(request, pk)
    if found.report_id != own.pk:
        raise Http404
    if request.GET.get("sheet") == "1":
        stream = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
        rows = summary.write(found, request.post, stream)
        name = summary.file_name(found)
        return sent(request, stream, name, workflow.act_of_check(found, file=name, rows=rows))
    context = {
        "check": found,
        "cycle": found.report.cycle,
        "result": summary.result_of(found),
        "basis": summary.BASIS,
        "method_text": summary.method_text(found),
        "verdicts": Verdict.labels,
    }
    return render(request, "audits/result.html", context)


# ---------------------------------------------------------------- a row


@require_http_methods(["GET", "HEAD", "POST"])
def row(request, pk, row):
    """A row of the sample: opened to the checking unit, each look noted; to others who looked and,
    once the check is closed, what was found."""
    found, own = visible_row(request, pk, row)
    is_own = found.spot_check.report_id == own.pk
    typed, refusal, remedy_form = None, "", RemedyForm()
    if request.method == "POST":
        if not is_own:
            raise Http404
        if request.POST.get("action") == "remedy":
            remedy_form = RemedyForm(request.POST)
            remedy = _issue(request, found, remedy_form)
            if remedy:
                return redirect(remedy)
        else:
            typed = _typed(request, found.spot_check)
            try:
                files = files_of(request)
                services.save_findings(
                    found, typed, files=files, token=token_of(request), by=request.post
                )
            except TransitionRefused as refused:
                refusal = str(refused)
            else:
                messages.success(request, "已记录检查结论")
                return redirect(_after(request, found))
    context = _row_page(request, found, is_own, typed)
    context |= {"refusal": refusal, "remedy_form": remedy_form}
    return render(request, "audits/row.html", context, status=422 if refusal else 200)


def _typed(request, check) -> services.Found:
    verdicts = {
        item: (request.POST.get(f"verdict_{n}", ""), text_of(request, f"text_{n}"))
        for n, item in enumerate(check.items)
    }
    grade = request.POST.get("opinion_grade", "")
    grade = grade if grade in Grade.values else ""
    return services.Found(verdicts, grade, text_of(request, "opinion"))


def _after(request, found: SampleRow):
    """The next row of the sample that was not examined yet, where that was asked for."""
    if request.POST.get("then") == "next":
        rest = found.spot_check.rows.filter(found_at=None)
        following = rest.filter(number__gt=found.number).first() or rest.first()
        if following:
            return following
    return found.spot_check


def _issue(request, found: SampleRow, form: RemedyForm):
    if not form.is_valid():
        return None
    try:
        remedy = outcomes.issue_remedy(found, **form.cleaned_data, by=request.post)
    except TransitionRefused as refusal:
        form.add_error(None, str(refusal))
        return None
    messages.success(request, f"已向{remedy.addressee.short_name}发出整改通知")
    return remedy


def _row_page(request, found: SampleRow, is_own: bool, typed) -> dict:
    check, post = found.spot_check, request.post
    why_not_look = services.why_not_look(check, post)
    opened = services.look(found, by=post) if is_own and not why_not_look else None
    shows_findings = is_own or check.state == CheckState.CLOSED
    may_find = is_own and not services.why_not_find(found, post)
    return {
        "check": check,
        "cycle": check.report.cycle,
        "row": found,
        "is_own": is_own,
        "why_not_look": why_not_look if is_own else "",
        "opened": opened,
        "parts": showing.parts(found.report, opened.values) if opened and opened.values else (),
        "shows_findings": shows_findings,
        "findings": found.findings.all() if shows_findings else (),
        "files": found.files.all() if shows_findings else (),
        "may_find": may_find,
        "lines": _lines(found, typed) if may_find else (),
        "grades": Grade.choices,
        "verdicts": Verdict.choices,
        "opinion_grade": typed.opinion_grade if typed else found.opinion_grade,
        "opinion": typed.opinion if typed else found.opinion,
        "remedies": found.remedies.select_related("addressee"),
        "addressee": outcomes.addressee_of(found),
        "may_issue": is_own and found.is_examined and post.has(Role.REVIEW),
        "looks": found.looks.all()[:LISTED],
        "kinds": attaching.KINDS,
    }


def _lines(found: SampleRow, typed) -> list[dict]:
    stored = {one.item: (one.verdict, one.text) for one in found.findings.all()}
    values = typed.verdicts if typed else stored
    return [
        {
            "number": number,
            "item": item,
            "verdict": values.get(item, ("", ""))[0],
            "text": values.get(item, ("", ""))[1],
        }
        for number, item in enumerate(found.spot_check.items)
    ]


@require_safe
def finding_file(request, pk):
    """A file of a finding: to the checking unit, and once the check is closed to the row's line."""
    file = get_object_or_404(FindingFile.objects.select_related("row"), pk=pk)
    found, own = visible_row(request, file.row.spot_check_id, file.row_id)
    if found.spot_check.report_id != own.pk and found.spot_check.state != CheckState.CLOSED:
        raise Http404
    return attaching.served(file)
