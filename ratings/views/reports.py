"""本级上报 and whatever else concerns one report: its state, moves and history."""

from dataclasses import replace

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ledger_site.base.models import AuditEvent
from ledger_site.base.paging import newest_first
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role

from .. import services, sight, uploads, workflow
from ..choices import Severity, State
from ..forms import DecisionForm
from ..models import Report
from . import showing
from .entered import day_of, text_of, token_of
from .finding import visible_report

# Moves that have a page or a button of their own; the others stand on the report page with a form.
OWN_PAGES = ("submit", "recall", "accept", "send_back")
HELP = {
    "regrade": "改定后原等次作废，填报单位会看到新等次和理由。",
    "reopen": "取消审核，退回填报单位修改，之后须重新上报、审核。",
    "excuse": "本批次不纳入：不进入任何统计，列名并注明理由。",
    "include": "恢复后须照常填报、上报。",
    "extend": "只延长这一个单位的上报截止日，当天24:00截止。",
}


@require_safe
def mine(request, cycle):
    """The acting unit's own report of a cycle."""
    own = Report.objects.own(request.post).filter(cycle__year=cycle[0], cycle__round=cycle[1])
    report = own.first()
    if report is None:
        # Says the same of a cycle that does not exist.
        context = {"label": f"{cycle[0]}-{cycle[1]}"}
        return render(request, "ratings/no_report.html", context, status=404)
    return redirect(report)


@require_safe
def report(request, pk):
    report, post = visible_report(request, pk), request.post
    is_own = report.organization_id == post.organization_id
    is_superior = showing.is_superior(report, post)
    actions = workflow.open_to(report, post)
    may_edit = services.may_edit(report, post)
    seen = sight.as_seen([report], post)[0] if report.is_rated else None
    has_row = seen is not None and seen.values is not None
    is_live = is_own or is_superior
    fill_url = _fill_url(report) if may_edit else ""
    found, blanks = [], []
    if has_row and is_live and report.counts_row and report.state != State.ACCEPTED:
        found, blanks = showing.split_blanks(showing.findings(report, fill_url))
    return render(
        request,
        "ratings/report.html",
        {
            "report": report,
            "is_own": is_own,
            "is_superior": is_superior,
            "is_near": is_live,
            "actions": actions,
            "may_edit": may_edit,
            "may_correct": services.may_ask_correction(report, post),
            "may_import": is_own and not uploads.why_not(report, post),
            "may_fill_below": is_own
            and report.has_subordinates
            and report.cycle.is_open
            and post.has(Role.FILL),
            "fill_url": fill_url,
            "mark": seen.mark if seen and not is_live else "",
            "excused": _excused_reason(report, seen, post),
            "parts": showing.parts(report, seen.values) if has_row else None,
            "entry": report.entry if has_row and is_live else None,
            "score": showing.score(report, post),
            "findings": found,
            "blanks": blanks,
            "returned": showing.last_return(report) if is_live else None,
            "is_unchanged": may_edit
            and report.state == State.RETURNED
            and showing.version_changes(report) == [],
            "steps": showing.steps(report) if is_own and report.state != State.EXCUSED else None,
            "reviewers": showing.reviewers(report)["reviewers"] if is_live else "",
            "below": _below(request, report, is_own),
            "forms": _move_forms(report, actions),
            "accept_label": workflow.label_of("accept", report),
            "moves": showing.moves_of(report, post)[:5],
            "version": _newest(report, post),
            "former": showing.before_of(report)["former"] if has_row else [],
            "line": showing.cycles_of(report, post) if report.is_rated else None,
        },
    )


def _fill_url(report) -> str:
    return reverse("ratings:fill", args=[report.pk])


def _excused_reason(report, seen, post) -> str:
    """Why the report, or what is above it, is 免报; "" where it is not."""
    if report.state == State.EXCUSED or report.is_row_excused:
        return report.excuse_reason
    if seen is not None and seen.reason:
        return seen.reason
    return ""


def _newest(report, post) -> dict | None:
    """The version this post may open: its number, for the link."""
    version = sight.version_seen(report, post) if report.number else None
    return version and {"number": version.number, "at": version.at, "digest": version.digest[:12]}


def _below(request, report, is_own) -> dict | None:
    """本级上报 of a unit with subordinates: what blocks, the totals, what changed."""
    if not report.has_subordinates:
        return None
    summary = sight.figures_of(report, request.post)
    if summary is None and not is_own:
        return None
    found = {
        "totals": summary and showing.totals_of(summary.total),
        "basis": summary and summary.basis.value,
    }
    if is_own:
        blocking = Report.objects.direct(request.post).of(report.cycle_id).blocking()
        found["blocking_count"] = blocking.count()
        found["blocking"] = list(
            blocking.select_related("cycle", "parent").order_by("path")[: showing.LONGEST_LIST]
        )
        found["changes"] = showing.changes_below(report) if report.is_open else None
    return found


def _move_forms(report, actions) -> list[dict]:
    """The superior's moves that are made on the report page itself."""
    entry = report.entry if report.is_rated else None
    return [
        {
            "action": action,
            "label": workflow.TRANSITIONS[action].label,
            "help": HELP[action],
            "is_grading": action == "regrade",
            "is_day": action == "extend",
            "decision": DecisionForm(entry=entry, auto_id="id_regrade_%s"),
        }
        for action in actions
        if action not in OWN_PAGES and (action != "regrade" or report.counts_row)
    ]


@require_safe
def history(request, pk):
    """The moves; for the own unit and its direct superior also everything else that was done."""
    report, events = visible_report(request, pk), None
    if sight.is_near(report, request.post):
        done = AuditEvent.objects.of("report", report.pk).changes()
        events = newest_first(done, request.GET)
    return render(
        request,
        "ratings/history.html",
        {
            "report": report,
            "moves": showing.moves_of(report, request.post),
            "events": events and [showing.event(one) for one in events.rows],
            "pages": events and events.links,
        },
    )


# ---------------------------------------------------------------- moves


@require_http_methods(["GET", "HEAD", "POST"])
def hand_in(request, pk):
    """Confirm and submit. Who reviews it, by when, what is wrong, what changed."""
    report = visible_report(request, pk)
    if request.method == "POST":
        token = token_of(request)
        try:
            workflow.move("submit", report, by=request.post, token=token)
        except TransitionRefused as refusal:
            if not showing.is_done(report, "submit", token, request.post):
                messages.error(request, f"没有上报：{refusal}")
                return redirect(_after_refusal(report, request.post))
        messages.success(request, f"已上报，由{showing.superior_name(report)}审核")
        return redirect(report)
    try:
        workflow.check("submit", report, request.post)
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
        return redirect(report)
    may_edit = services.may_edit(report, request.post)
    found, blanks = showing.split_blanks(
        showing.findings(report, _fill_url(report) if may_edit else "")
    )
    is_own = report.organization_id == request.post.organization_id
    below = _below(request, report, is_own)
    if not is_own and report.has_subordinates:  # 代填 of a unit whose inside is not seen
        count = len(workflow.blocking([report]).get(report.pk, ()))
        below = {"totals": None, "changes": None, **(below or {})}
        below |= {"blocking_count": count, "blocking": []}
    errors = [one for one in found if one["severity"] == Severity.ERROR or _is_unexplained(one)]
    waiting_change = workflow.changes_before([report]).get(
        (report.cycle_id, report.organization_id)
    )
    return render(
        request,
        "ratings/hand_in.html",
        {
            "report": report,
            "is_for_other": not is_own,
            "may_edit": may_edit,
            **showing.reviewers(report),
            "errors": errors,
            "others": [one for one in found if one not in errors],
            "blanks": blanks,
            "below": below,
            "row_changes": showing.version_changes(report) if report.counts_row else None,
            "is_blocked": bool(
                errors or blanks or waiting_change or (below and below["blocking_count"])
            ),
            "waiting_change": waiting_change,
        },
    )


def _is_unexplained(one) -> bool:
    return one["severity"] == Severity.EXPLAIN and not one["explanation"]


def _after_refusal(report, post):
    """Back to the confirmation where it still can be confirmed, else to the report."""
    report.refresh_from_db(fields=["state", "token"])
    if "submit" in workflow.open_to(report, post):
        return redirect("ratings:hand_in", report.pk).url
    return report.get_absolute_url()


@require_POST
def move(request, pk, action):
    """Make one move of the table; the text of a refusal is shown on the report page."""
    if action not in workflow.TRANSITIONS:
        raise Http404
    report, token = visible_report(request, pk), token_of(request)
    try:
        entered = _entered(request, report, action)
        workflow.move(action, report, by=request.post, token=token, **entered)
    except TransitionRefused as refusal:
        if not showing.is_done(report, action, token, request.post):
            messages.error(request, str(refusal))
            return redirect(report)
    messages.success(request, f"已{workflow.label_of(action, report)}：{report.short_name}")
    return redirect(report)


def _entered(request, report, action) -> dict:
    """What a move takes beside the report, from the form."""
    entered = {"reason": text_of(request)}
    if action == "extend":
        entered["until"] = day_of(request, "until")
    if action == "send_back":
        entered["fields"] = DecisionForm(request.POST, entry=None).named_fields()
    if action in ("accept", "regrade") and report.is_rated:
        decision = DecisionForm(request.POST, entry=report.entry).decision()
        if decision and action == "regrade":  # one reason for whatever was chosen
            reason = entered["reason"]
            for_target = reason if request.POST.get("target_grade") else ""
            decision = replace(
                decision,
                review_reason=decision.review_reason or reason,
                target_reason=decision.target_reason or for_target,
            )
        entered["decision"] = decision
    return entered
