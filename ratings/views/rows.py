"""填报: the form of one ledger row, how it saves itself, and the row as the paper prints it."""

import json

from django.contrib import messages
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ledger_site.base.workflow import TransitionRefused

from .. import services, sight, workflow
from ..choices import Form, State
from ..columns import COUNTS, FIELDS, REPORTED_NAMES
from ..forms import EXPLAIN, PARTS, RowForm, texts_of
from . import showing
from .entered import query_of, token_of
from .finding import visible_report

KEEP = "keep_"  # before a field's name: which side of a conflict is kept
SAVED = "saved"
COUNT_NAMES = frozenset(spec.name for spec in COUNTS)
# Where the save button leads to; anything else stays on the form.
NEXT = {"preview": "ratings:preview", "hand_in": "ratings:hand_in"}
SUBMIT = "submit"  # and where it stands below nobody: saved and handed in by one press
GRID = "grid"  # and back to the page of the grid from which the row was sent
EXPLANATION_LABEL = "情况说明"
PREFILLED = "系统预填"


@require_http_methods(["GET", "HEAD", "POST"])
def fill(request, pk):
    report = visible_report(request, pk)
    if request.method == "POST":
        return _save(request, report)
    refusal = services.why_not_edit(report, request.post)
    if refusal:
        messages.error(request, refusal)
        return redirect(report)
    return _form(request, report)


def _form(request, report, *, refusal=""):
    page = _page(request, report, form_for(report))
    page |= {"refusal": refusal, **showing.reviewers(report)}
    return render(request, "ratings/fill.html", page, status=422 if refusal else 200)


def form_for(report, data=None):
    return RowForm(
        data,
        entry=report.entry,
        year=report.cycle.year,
        open_names=report.order.fields if report.order_id else None,
    )


def _save(request, report):
    data = request.POST.copy()
    for key in request.POST:
        if key.startswith(KEEP) and request.POST[key] == SAVED:
            data.pop(key.removeprefix(KEEP), None)
    if not report.is_rated:
        messages.error(request, services.why_not_edit(report, request.post))
        return redirect(report)
    form = form_for(report, data)
    try:
        saved = services.save_row(report, form.change(), by=request.post, token=token_of(request))
    except services.Conflict as conflict:
        return _conflict(request, report, form, str(conflict))
    except TransitionRefused as refusal:
        return _conflict(request, report, form, str(refusal), is_closed=True)
    if request.POST.get("next") == SUBMIT:
        return _submit(request, saved)
    step = NEXT.get(request.POST.get("next"))
    if step:
        return redirect(step, report.pk)
    messages.success(request, "已保存。还没有上报，可以随时再来修改")
    return redirect(_back(request, report))


def _submit(request, report):
    """Hand in what has just been saved; what stands against it is said on the form itself."""
    post = request.post
    try:
        workflow.move("submit", report, by=post, token=report.token)
    except TransitionRefused as refusal:
        report = visible_report(request, report.pk)
        by = (report.submitted_by_id, report.submitted_from_id)
        if report.state != State.SUBMITTED or by != (post.person_id, post.organization_id):
            if services.may_edit(report, post):
                return _form(request, report, refusal=str(refusal))
            messages.error(request, f"没有上报：{refusal}")
            return redirect(report)
    messages.success(request, f"已上报，由{showing.superior_name(report)}审核")
    return redirect(report)


def _back(request, report) -> str:
    if request.POST.get("next") != GRID:
        return reverse("ratings:fill", args=[report.pk])
    return f"{reverse('ratings:grid', args=[report.cycle])}{query_of(request)}#row-{report.pk}"


@require_POST
def autosave(request, pk):
    """Save the whole form as `fill` does, and say what the server made of it."""
    return autosaved(request, pk, _answer)


def autosaved(request, pk, answer):
    """Save what was sent of a row; `answer(request, report, form, values)` says how the page shows
    the row now. `values` are the texts that the server completed, by identifier: the page takes
    them where the field was left alone since."""
    report = visible_report(request, pk)
    if not report.is_rated:
        return JsonResponse({"message": services.why_not_edit(report, request.post)}, status=422)
    form = form_for(report, request.POST)
    try:
        services.save_row(report, form.change(), by=request.post, token=token_of(request))
    except services.Conflict:
        return JsonResponse({"conflict_url": reverse("ratings:fill", args=[report.pk])}, status=409)
    except TransitionRefused as refusal:
        return JsonResponse({"message": str(refusal)}, status=422)
    report = visible_report(request, pk)
    fresh, sent = form_for(report), form.typed()
    values = {
        name: text
        for name, text in fresh.initial.items()
        if name in fresh.open_names and text != sent.get(name, "")
    }
    return JsonResponse(
        {
            "token": report.token,
            "saved_at": f"{timezone.localtime():%H:%M}",
            **answer(request, report, fresh, values),
        }
    )


def _answer(request, report, form, values) -> dict:
    page = _page(request, report, form)
    return {
        "values": values,
        "findings_html": render_to_string("ratings/_findings.html", page),
        "replace": _replacements(request, page),
    }


def _replacements(request, page) -> dict[str, str]:
    """Marks, checks and new places for explanations, by the id of the element they go into."""
    replace = {"missing": render_to_string("ratings/_missing.html", page)}
    if page["row_changes"] is not None:
        replace["since-last"] = render_to_string("ratings/_since.html", page)
    for part in page["parts"]:
        for one in part["fields"]:
            element = one["field"].auto_id
            replace[f"{element}_findings"] = render_to_string(
                "components/findings.html", {"findings": one["findings"], "plain": True}
            )
            replace[f"{element}_mark"] = render_to_string(
                "components/field_prefilled.html", {"prefilled": one["prefilled"]}
            )
            # A text being written is left alone: only what the page lacks, or needs no more.
            asked = {f"{EXPLAIN}{found['code']}" for found in one["explain"]}
            if not asked <= set(request.POST) or not one["explain"]:
                replace[f"{element}_explain"] = render_to_string(
                    "ratings/_explain.html", {"findings": one["explain"]}
                )
    return replace


def _page(request, report, form) -> dict:
    """The form in the parts of the paper form, each field with its findings."""
    found, blanks = checked(report, form)
    by_field = {}
    for one in found:
        by_field.setdefault(one["field"], []).append(one)
    for one in found:
        one["is_open"] = one["severity"] == "explain" and not one["explanation"]
    returned = showing.last_return(report)
    for name, said in said_at(returned).items():  # stands at the field as well
        by_field.setdefault(name, []).insert(0, said)
    sheet = showing.form_of(report)
    parts = []
    for title, names in PARTS:
        shown = [name for name in names if _has(form, name, sheet)]
        fields = [_field(form, name, by_field.get(name, [])) for name in shown]
        parts.append({"title": title, "fields": fields})
    return {
        "report": report,
        "form": form,
        "parts": parts,
        "errors": [f for f in found if f["severity"] == "error"],
        "explains": [f for f in found if f["severity"] == "explain"],
        "hints": [f for f in found if f["severity"] == "hint"],
        "blanks": blanks,
        "is_ready": not blanks and not any(f["severity"] == "error" or f["is_open"] for f in found),
        "returned": returned,
        "row_changes": showing.version_changes(report),
        "is_for_other": report.organization_id != request.post.organization_id,
        "reviewed_by": showing.superior_name(report),
        **showing.before_of(report),
        "score": showing.score(report, request.post),
        "superior_text": report.parent.short_name if report.parent_id else "",
    }


def checked(report, form, namesakes=None) -> tuple[list[dict], list[dict]]:
    """Findings and blanks of the row as the form shows it, proposals included; nothing is
    stored."""
    for name, value in form.shown.items():
        setattr(report.entry, name, value)
    return showing.split_blanks(showing.findings(report, namesakes=namesakes))


def said_at(returned) -> dict[str, dict]:
    """What the superior said of single fields when it gave the report back, as findings."""
    return {
        one["name"]: {"severity": "hint", "message": f"上级退回意见：{one['reason']}"}
        for one in (returned["named"] if returned else ())
        if one["reason"]
    }


def _has(form, name, sheet) -> bool:
    """附件二 has no 第一书记; the field is there only where something stands in it."""
    is_first = name == "first_secretary_name"
    return not is_first or sheet == Form.ANNEX3 or bool(form.initial[name])


def prefilled(form, name) -> str:
    return PREFILLED if name in form.prefilled else ""


def _field(form, name, found) -> dict:
    spec = FIELDS[name]
    return {
        "field": form[name],
        "name": name,
        # Under its own label, and what asks for an explanation stands above the place for it.
        "findings": [{**one, "label": ""} for one in found if one["severity"] != "explain"],
        "explain": [one for one in found if one["severity"] == "explain"],
        "prefilled": prefilled(form, name),
        "unit": "人" if spec.widget == "number" else "",
        "is_count": name in COUNT_NAMES,
        "is_short": spec.widget in ("line", "date", "number"),
        "sample": spec.sample if spec.widget == "text" else "",
        "is_closed": form.fields[name].disabled,
        "choices_class": "choices--grades" if spec.choices else "",
    }


# ---------------------------------------------------------------- two versions of one row


def _conflict(request, old, form, text, *, is_closed=False):
    """Both versions side by side, or what was typed beside the reason why it can't be stored.

    409: nothing was stored and nothing is lost; what was typed stands in the page.
    """
    report = visible_report(request, old.pk)
    mine = form.typed()
    saved = texts_of(
        {name: getattr(report.entry, name) for name in REPORTED_NAMES}, report.entry.unread
    )
    base = _base(request)
    rows = [
        _side_by_side(name, FIELDS[name].label, mine[name], saved[name], base.get(name))
        for name in REPORTED_NAMES
        if name in mine and _same(mine[name]) != _same(saved[name])
    ]
    stored = report.entry.explanations
    written = {c: t for c, t in form.explanations().items() if EXPLAIN + c in form.data}
    rows += [
        _side_by_side(EXPLAIN + code, EXPLANATION_LABEL, text, stored.get(code, ""), None)
        for code, text in written.items()
        if text != stored.get(code, "")
    ]
    if not rows and request.POST.get("next") == SUBMIT:  # a second press of the same button
        return _submit(request, report)
    if not rows and not is_closed:  # and here
        messages.success(request, "已保存")
        return redirect(_back(request, report))
    context = {
        "report": report,
        "text": text,
        "is_closed": is_closed,
        "rows": rows,
        "mine": mine | {EXPLAIN + code: text for code, text in written.items()},
        "base": json.dumps(saved, ensure_ascii=False),
        "last": services.last_edit(report),
        "next": GRID if request.POST.get("next") == GRID else "",
        "query": query_of(request),
    }
    return render(request, "ratings/conflict.html", context, status=409)


def _base(request) -> dict:
    """The row as the page showed it when it was opened; {} where that was not sent."""
    try:
        base = json.loads(request.POST.get("base", ""))
    except (ValueError, RecursionError):
        return {}
    return base if isinstance(base, dict) else {}


def _same(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _side_by_side(name, label, mine, saved, base) -> dict:
    """A field both sides hold differently; `keep` presets whichever side changed it."""
    is_mine_unchanged = isinstance(base, str) and _same(base) == _same(mine)
    return {
        "name": name,
        "label": label,
        "mine": _shown(name, mine),
        "saved": _shown(name, saved),
        "keep": SAVED if is_mine_unchanged else "mine",
        "is_both": isinstance(base, str) and _same(base) not in (_same(mine), _same(saved)),
    }


def _shown(name: str, text: str) -> str:
    spec = FIELDS.get(name)
    if spec and spec.choices and text in spec.choices.values:
        return spec.choices(text).label
    return text


# ---------------------------------------------------------------- as printed


@require_safe
def preview(request, pk):
    report = visible_report(request, pk)
    seen = sight.as_seen([report], request.post)[0] if report.is_rated else None
    if seen is None or seen.values is None:
        messages.error(request, f"“{report.name}”没有可以查看的台账行")
        return redirect(report)
    return render(
        request,
        "ratings/preview.html",
        {
            "report": report,
            "paper": showing.paper(report, seen.values),
            "mark": seen.mark,
            "may_edit": services.may_edit(report, request.post),
        },
    )
