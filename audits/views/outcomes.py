"""What comes of checks: 整改通知, 更正通知, 典型做法."""

from datetime import date

from django import forms
from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from ledger_site.base import attaching
from ledger_site.base.paging import page_of, whole
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings import versions
from ratings.columns import FIELDS
from ratings.filters import ALL, Filters
from ratings.models import CorrectionOrder, Report
from ratings.querysets import line_of
from ratings.services import open_correction
from ratings.views import showing
from ratings.views.entered import text_of, token_of
from ratings.views.finding import own_report, visible_cycle, visible_report

from .. import workflow
from ..choices import PracticeAction, RemedyState, Verdict
from ..forms import CorrectionForm, OrderForm, PracticeForm
from ..models import Practice, Remedy, RemedyFile, SampleRow, SpotCheck
from ..querysets import BEGUN, correction_seen, subtree
from ..services import outcomes as services
from .finding import files_of, own_in, visible_check

OVERDUE = "overdue"
LISTED = 100
MOST_ROWS = 50  # of a correction, on its page
OPENED = "已发出更正通知，所列台账行逐级打开，只能修改所列栏目"


# ---------------------------------------------------------------- 整改通知


class RemedyFilters(Filters):
    state = forms.ChoiceField(
        label="状态", required=False, choices=[ALL, *RemedyState.choices, (OVERDUE, "逾期未答复")]
    )


@require_safe
def remedies(request, cycle):
    """The notices that the unit issued or has to do with, the overdue ones on demand."""
    own = own_report(request, visible_cycle(request, cycle))
    filters = RemedyFilters(request.GET)
    found = Remedy.objects.visible_to(own).select_related("addressee", "row__report")
    state = filters.chosen.get("state")
    if state == OVERDUE:
        found = found.overdue()
    elif state:
        found = found.filter(state=state)
    page = page_of(found, request.GET, key="pk")
    context = {
        "cycle": own.cycle,
        "own": own,
        "filters": filters,
        "remedies": page.rows,
        "pages": page.links,
    }
    return render(request, "audits/remedies.html", context)


def _remedy(request, pk) -> Remedy:
    related = ("row__spot_check__report__cycle", "row__report__cycle", "addressee")
    remedy = get_object_or_404(
        Remedy.objects.select_related(*related).defer("row__spot_check__frame"), pk=pk
    )
    own = own_in(request, remedy.addressee.cycle_id)
    get_object_or_404(Remedy.objects.visible_to(own), pk=pk)
    return remedy


@require_http_methods(["GET", "HEAD", "POST"])
def remedy(request, pk):
    """A notice with what was done about it; a press replies, verifies or sends back."""
    found = _remedy(request, pk)
    if request.method == "POST":
        action = request.POST.get("action", "")
        if action not in workflow.REMEDY_TRANSITIONS:
            raise Http404
        try:
            workflow.act_on_remedy(
                action,
                found,
                text=text_of(request, "text"),
                due_on=_day_of(request),
                files=files_of(request),
                token=token_of(request),
                by=request.post,
            )
        except TransitionRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, f"已{workflow.REMEDY_TRANSITIONS[action].label}")
        return redirect(found)
    moves = workflow.open_to(workflow.REMEDY_TRANSITIONS, found, request.post)
    context = {
        "remedy": found,
        "cycle": found.addressee.cycle,
        "check": found.row.spot_check,
        "entries": found.entries.prefetch_related("files"),
        "moves": [
            {
                "action": action,
                "label": workflow.REMEDY_TRANSITIONS[action].label,
                "needs_reason": workflow.REMEDY_TRANSITIONS[action].needs_reason,
                "takes_files": action == workflow.REPLY,
                "takes_day": action in workflow.TAKE_A_DAY,
                "needs_day": action == workflow.EXTEND,
            }
            for action in moves
        ],
        "kinds": attaching.KINDS,
    }
    return render(request, "audits/remedy.html", context)


def _day_of(request) -> date | None:
    """The day of a form; raises `TransitionRefused` for what is none."""
    try:
        return forms.DateField(required=False).clean(request.POST.get("due_on", ""))
    except forms.ValidationError:
        raise TransitionRefused("答复期限不是有效的日期，请写成“2012-12-31”的样子") from None


@require_safe
def remedy_file(request, pk):
    file = get_object_or_404(RemedyFile.objects.select_related("entry"), pk=pk)
    _remedy(request, file.entry.remedy_id)
    return attaching.served(file)


# ---------------------------------------------------------------- 更正


def _faulty(check: SpotCheck) -> list[SampleRow]:
    """The rows with which something is wrong, in the order of the sample."""
    rows = check.rows.select_related("report__parent").prefetch_related("findings")
    return [
        row
        for row in rows.exclude(found_at=None)
        if row.is_agreed is False or any(one.verdict != Verdict.GOOD for one in row.findings.all())
    ]


@require_http_methods(["GET", "HEAD", "POST"])
def correct_row(request, pk):
    """Ask for a correction of one row below, without a check."""
    report = visible_report(request, pk)
    own = own_in(request, report.cycle_id)
    is_below = report.path.startswith(own.path) and report.pk != own.pk
    if not is_below or not report.is_rated or not request.post.has(Role.REVIEW):
        raise Http404
    form = OrderForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            order = open_correction(issuer=own, rows=[report], by=request.post, **form.asked)
        except TransitionRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, OPENED)
            return redirect("audits:correction", order.pk)
    context = {"report": report, "cycle": own.cycle, "form": form}
    return render(request, "audits/correct_row.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def request_correction(request, pk):
    """Ask for a correction of rows of the sample."""
    check, own = visible_check(request, pk)
    if check.report_id != own.pk or not request.post.has(Role.REVIEW):
        raise Http404
    if check.state not in BEGUN:
        raise Http404
    rows = _faulty(check)
    form = CorrectionForm(request.POST if request.method == "POST" else None, rows=rows)
    if request.method == "POST" and form.is_valid():
        chosen = [row for row in rows if str(row.pk) in form.cleaned_data["rows"]]
        try:
            order = services.request_correction(check, chosen, by=request.post, **form.asked)
        except TransitionRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, OPENED)
            return redirect("audits:correction", order.pk)
    context = {"check": check, "cycle": own.cycle, "rows": rows, "form": form}
    return render(request, "audits/request_correction.html", context)


def _seen_orders(own: Report):
    orders = CorrectionOrder.objects.filter(correction_seen(own, CorrectionOrder.rows.through))
    return orders.select_related("issuer__cycle")


@require_safe
def corrections(request, cycle):
    own = own_report(request, visible_cycle(request, cycle))
    orders = _seen_orders(own).order_by("-pk")[:LISTED]
    context = {"cycle": own.cycle, "own": own, "orders": orders}
    return render(request, "audits/corrections.html", context)


@require_safe
def correction(request, pk):
    """A correction: what it opened, how far it has come, and in the end what it changed."""
    order = get_object_or_404(CorrectionOrder.objects.select_related("issuer"), pk=pk)
    own = own_in(request, order.issuer.cycle_id)
    get_object_or_404(_seen_orders(own), pk=pk)
    rows = order.rows.select_related("parent").order_by("path")
    if order.issuer_id != own.pk:
        rows = rows.filter(subtree(own, ""))
    rows = list(rows[:MOST_ROWS])
    paths = {path for row in rows for path in line_of(row.path)}
    chain = Report.objects.within(request.post).of(own.cycle_id).filter(path__in=paths)
    chain = [one for one in chain.order_by("path") if len(one.path) > len(order.issuer.path)]
    request_ = getattr(order, "request", None)
    context = {
        "order": order,
        "cycle": own.cycle,
        "fields": [FIELDS[name].label for name in order.fields],
        "chain": [{"report": one, "indent": len(one.path)} for one in chain],
        "rows": [{"report": row, "changes": _changes(order, row)} for row in rows],
        "check": request_ and request_.spot_check,
    }
    return render(request, "audits/correction.html", context)


def _changes(order: CorrectionOrder, row: Report) -> list[dict] | None:
    """What the correction changed in a row; None until it is done."""
    if order.closed_at is None:
        return None
    before = row.versions.filter(at__lt=order.issued_at).order_by("number").last()
    after = row.versions.filter(at__lte=order.closed_at).order_by("number").last()
    return showing.content_changes(row, versions.read(before), versions.read(after))


# ---------------------------------------------------------------- 典型做法


@require_safe
def practices(request, cycle):
    own = own_report(request, visible_cycle(request, cycle))
    found = Practice.objects.visible_to(own).select_related("report").prefetch_related("acts")
    page = page_of(found, request.GET, key="pk")
    published = {
        practice.pk: any(act.action == PracticeAction.PUBLISH for act in practice.acts.all())
        for practice in page.rows
    }
    context = {
        "cycle": own.cycle,
        "own": own,
        "rows": [{"practice": one, "is_published": published[one.pk]} for one in page.rows],
        "pages": page.links,
    }
    return render(request, "audits/practices.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def practice(request, pk):
    related = ("report__cycle", "report__parent")
    found = get_object_or_404(Practice.objects.select_related(*related), pk=pk)
    own = own_in(request, found.report.cycle_id)
    get_object_or_404(Practice.objects.visible_to(own), pk=pk)
    if request.method == "POST":
        action = request.POST.get("action", "")
        if action not in PracticeAction.values:
            raise Http404
        try:
            services.act_on_practice(
                found, own, action=action, reason=text_of(request), by=request.post
            )
        except TransitionRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, f"已办理：{PracticeAction(action).label}")
        return redirect(found)
    line = line_of(own.path)
    acts = found.acts.select_related("report")
    context = {
        "practice": found,
        "cycle": own.cycle,
        # Below, nobody learns who declined or recommended: only what was published to them.
        "acts": [
            act
            for act in acts
            if act.report.path.startswith(own.path)
            or (act.report.path in line and act.action == PracticeAction.PUBLISH)
        ],
        "actions": [PracticeAction(one) for one in services.open_to(found, own, request.post)],
    }
    return render(request, "audits/practice.html", context)


def _found_row(request, pk) -> tuple[Report, SpotCheck | None]:
    """A row that the post sees, or that a begun check of its unit opened."""
    check_pk = whole(request.GET.get("check"))
    if check_pk is None:
        return visible_report(request, pk), None
    check, own = visible_check(request, check_pk)
    if check.report_id != own.pk or check.state not in BEGUN:
        raise Http404
    row = get_object_or_404(check.rows.select_related("report__cycle"), report=pk)
    return row.report, check


@require_http_methods(["GET", "HEAD", "POST"])
def find_practice(request, pk):
    """Write down what is good in a row below, while reviewing it or from a check."""
    report, check = _found_row(request, pk)
    own = own_in(request, report.cycle_id)
    is_below = report.path.startswith(own.path) and report.pk != own.pk
    if not is_below or not request.post.has(Role.REVIEW) or not report.is_rated:
        raise Http404
    form = PracticeForm(
        request.POST if request.method == "POST" else None, has_superior=bool(own.parent_id)
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = services.find_practice(
                report, own, **form.cleaned_data, check=check, by=request.post
            )
        except TransitionRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "已记录典型做法")
            return redirect(made)
    context = {"report": report, "cycle": own.cycle, "form": form, "check": check}
    return render(request, "audits/find_practice.html", context)
