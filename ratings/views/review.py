"""下级审核: the queue of direct subordinates, the review of one, batches, deadlines, reminders."""

from django.contrib import messages
from django.db.models import Count, Q
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ledger_site.base.paging import page_of
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role

from .. import scoring, services, sight, taking_over, workflow
from ..choices import Grade, Occasion, State
from ..filters import EXPECTED, OVERDUE, QueueFilters
from ..forms import DecisionForm
from ..models import Report, Takeover
from . import reminding, showing
from .entered import day_of, is_number, query_of, text_of, token_from, token_of
from .finding import own_report, visible_cycle, visible_report
from .ledger import clean_path

LEFT_OUT = "left_out"  # in the session, for the page after a batch
BATCH = ("accept", "send_back")
FIELD_KEYS = {"review_reason": "w", "reason": "r"}  # that lead into a field (ledger_site/keys.py)
TILES = (  # label, filter, tone of components/counts.html
    ("应报", EXPECTED, ""),
    ("未报", State.DRAFT, ""),
    ("待审核", State.SUBMITTED, "wait"),
    ("已退回", State.RETURNED, ""),
    ("已审核", State.ACCEPTED, "ok"),
    ("免报", State.EXCUSED, ""),
    ("逾期", OVERDUE, "alert"),
)


@require_safe
def queue(request, cycle):
    cycle, post = visible_cycle(request, cycle), request.post
    own = own_report(request, cycle)
    direct = Report.objects.direct(post).of(cycle)
    filters = QueueFilters(request.GET)
    rows = _narrowed(direct, filters.chosen).select_related(
        "entry", "parent", "cycle", "order", "submitted_from"
    )
    page = page_of(rows, request.GET, key="path", clean=clean_path)
    may_review = post.has(Role.REVIEW) and own.is_open and cycle.is_open
    late, text, reminded = _late(direct, may_review)
    return render(
        request,
        "ratings/queue.html",
        {
            "cycle": cycle,
            "own": own,
            "filters": filters,
            "counts": _tiles(direct, cycle, filters.chosen.get("state", "")),
            "rows": [_line(report, post, may_review) for report in page.rows],
            "pages": page.links,
            "address": request.get_full_path(),
            "may_review": may_review,
            "may_fill": post.has(Role.FILL) and cycle.is_open,
            "why_not": _why_not(own, cycle, post),
            "late_count": late,
            "late_text": text,
            "reminded_count": reminded,
            "left_out": request.session.pop(LEFT_OUT, None),
            "is_root": own.parent_id is None,
            "progress": showing.progress_of(own),
            "has_scores": scoring.sheet_of(own.cycle) is not None,
            "quota_warnings": scoring.quota_warnings(own),
            "takeovers": Takeover.objects.of_page(cycle, post) if cycle.is_open else (),
            "may_take_over": taking_over.may_press(post),
            "history": reminding.history(own, Occasion.NEAR, Occasion.LATE) if may_review else (),
        },
    )


def _narrowed(rows, chosen):
    state = chosen.get("state")
    if state == EXPECTED:
        rows = rows.exclude(state=State.EXCUSED)
    elif state == OVERDUE:
        rows = rows.overdue()
    elif state:
        rows = rows.filter(state=state)
    if "q" in chosen:
        rows = rows.named(chosen["q"])
    return rows


def _tiles(direct, cycle, current) -> list[dict]:
    """Counts of the direct subordinates, each a link to what it counts."""
    counts = {state: Count("pk", filter=Q(state=state)) for state in State.values}
    found = direct.order_by().aggregate(**counts)
    found[EXPECTED] = sum(found.values()) - found[State.EXCUSED]
    found[OVERDUE] = direct.overdue().count()
    address = reverse("ratings:queue", args=[cycle])
    return [
        {
            "label": label,
            "count": found[key],
            "url": f"{address}?{urlencode({'state': str(key)})}",
            "current": current == key,
            "tone": tone if found[key] else "",
            "unit": "个",
        }
        for label, key, tone in TILES
    ]


def _line(report, post, may_review) -> dict:
    entry = report.entry if report.is_rated and report.counts_row else None
    is_waiting = report.state == State.SUBMITTED
    may_fill = report.is_open and report.cycle.is_open and post.has(Role.FILL)
    return {
        "report": report,
        "entry": entry,
        "may_choose": may_review and is_waiting and not post.is_held_at(report.organization_id),
        "is_waiting": is_waiting,
        "may_fill": may_fill and report.counts_row,
        "is_filled_for": is_waiting and report.submitted_from_id == post.organization_id,
    }


def _why_not(own, cycle, post) -> str:
    """Why nothing can be decided now; "" where it can."""
    if not cycle.is_open:
        return f"“{cycle}”{cycle.get_state_display()}，只能查看"
    if not post.has(Role.REVIEW):
        return "您没有审核角色，只能查看"
    if not own.is_open:
        return f"本级{own.get_state_display()}，须先撤回或由上级退回，才能办理下级的报送件"
    return ""


def _late(direct, may_review) -> tuple[int, str, int]:
    """How many are late, the text to copy, and how many were reminded today."""
    if not may_review:
        return 0, "", 0
    late = direct.overdue().select_related("parent", "cycle").order_by("path")
    if not (count := late.count()):
        return 0, "", 0
    texts = map(services.reminder_text, late[: reminding.MOST_IN_TEXT])
    today = {"reminders__on": timezone.localdate(), "reminders__occasion": Occasion.LATE}
    reminded = late.filter(**today).count()
    return count, reminding.text_to_copy(texts, count), reminded


@require_POST
def batch(request, cycle):
    """Accept the chosen reports as declared and proposed, or return them with one reason."""
    cycle, post = visible_cycle(request, cycle), request.post
    action = request.POST.get("action")
    if action not in BATCH:
        raise Http404
    back = _back(request, cycle)
    chosen = dict(_chosen(request.POST.getlist("chosen")))
    if not chosen:
        messages.error(request, "还没有选中任何单位，请先在表中勾选")
        return redirect(back)
    found = Report.objects.direct(post).of(cycle).filter(pk__in=chosen).select_related("entry")
    items = [workflow.Item(r.pk, chosen[r.pk], _as_declared(r)) for r in found]
    try:
        outcome = workflow.move_many(action, items, by=post, reason=text_of(request))
    except TransitionRefused as refusal:  # what concerns the whole batch
        messages.error(request, str(refusal))
        return redirect(back)
    label = workflow.TRANSITIONS[action].label
    if outcome.moved:
        messages.success(request, f"已{label} {len(outcome.moved)} 个")
    if outcome.left_out:
        request.session[LEFT_OUT] = [
            {"name": report.short_name, "reason": reason, "url": report.get_absolute_url()}
            for report, reason in outcome.left_out
        ]
    return redirect(back)


def _chosen(values):
    """(key, token) of each `key:token` of the form; what is none is left out."""
    for value in values:
        pk, _, token = value.partition(":")
        if is_number(pk):
            yield int(pk), token_from(token)


def _as_declared(report):
    if not (report.counts_row and report.entry.declared_grade):
        return None
    return workflow.Decision(Grade(report.entry.declared_grade))


def _back(request, cycle) -> str:
    """The queue with the filters it was sent from."""
    return reverse("ratings:queue", args=[cycle]) + query_of(request)


@require_POST
def remind(request, cycle):
    cycle, post = visible_cycle(request, cycle), request.post
    late = Report.objects.direct(post).of(cycle).overdue()
    reminding.press(request, lambda: services.remind(late, by=post))
    return redirect("ratings:queue", cycle)


@require_POST
def due(request, pk):
    """Set the last day on which the direct subordinates of a unit report to it."""
    report = visible_report(request, pk)
    day = day_of(request, "below_due_on")
    back = redirect("ratings:queue", report.cycle)
    if day is None:
        messages.error(request, "请填写截止日，如 2012-11-30")
        return back
    try:
        services.set_below_due_on(report, day, by=request.post, token=token_of(request))
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"下级上报截止日已设为{day.year}年{day.month}月{day.day}日")
    return back


# ---------------------------------------------------------------- one report


@require_http_methods(["GET", "HEAD", "POST"])
def review(request, pk):
    report = visible_report(request, pk)
    if not showing.is_superior(report, request.post):
        raise Http404
    if request.method == "POST":
        return _decide(request, report)
    form = DecisionForm(entry=report.entry if report.counts_row else None)
    return render(request, "ratings/review.html", _page(request, report, form))


def _decide(request, report):
    """Accept or return; a refusal shows the page again with everything that was entered."""
    action, token = request.POST.get("action"), token_of(request)
    if action not in BATCH:
        raise Http404
    form = DecisionForm(request.POST, entry=report.entry if report.counts_row else None)
    entered = {}
    if action == "accept" and report.counts_row:
        entered["decision"] = form.decision()
    elif action == "send_back":
        entered = {"reason": text_of(request), "fields": form.named_fields()}
    try:
        workflow.move(action, report, by=request.post, token=token, **entered)
    except TransitionRefused as refusal:
        fresh = visible_report(request, report.pk)
        if not showing.is_done(fresh, action, token, request.post):
            page = _page(request, fresh, form, str(refusal))
            status = 422 if token == fresh.token else 409
            return render(request, "ratings/review.html", page, status=status)
    label = workflow.label_of(action, report)
    decision = entered.get("decision")
    text = f"：{showing.decided(vars(decision))}" if decision else ""
    messages.success(request, f"“{report.short_name}”已{label}{text}")
    if request.POST.get("then") == "next":
        following = _neighbours(request.post, report)[1]
        if following:
            return redirect("ratings:review", following)
        messages.info(request, "没有待审核的报送件了")
        return redirect("ratings:queue", report.cycle)
    return redirect(report)


def _page(request, report, form, refusal="") -> dict:
    post = request.post
    actions = workflow.open_to(report, post)
    why_not = ""
    if "accept" not in actions:
        try:
            workflow.check("accept", report, post)
        except TransitionRefused as reason:
            why_not = str(reason)
    has_row = report.counts_row
    row = workflow.row_of(report.entry) if has_row else None
    if has_row:
        row |= {"target_grade": report.entry.target_grade}
    before = showing.before_of(report)
    previous = before["previous"]
    earlier, following = _neighbours(post, report)
    is_waiting = report.state == State.SUBMITTED
    figures = sight.figures_of(report, post) if report.has_subordinates else None
    between = showing.between_versions(report) if is_waiting else None
    for name, key in FIELD_KEYS.items():
        form.fields[name].widget.attrs["data-key"] = key
    given = Grade(report.entry.given_grade) if has_row and report.entry.given_grade else None
    declared = has_row and report.entry.declared_grade
    declared = Grade(declared) if declared else None
    # An old ledger's decision that differs from what was declared is not passed over by one press.
    as_declared = declared if given in (None, declared) else None
    return {
        "report": report,
        "form": form,
        "refusal": refusal,
        "may_decide": "accept" in actions,
        "why_not": why_not,
        "deciders": [str(user) for user in workflow.deciders(report)] if why_not else [],
        "parts": showing.parts(report, row) if has_row else None,
        "findings": showing.findings(report) if has_row else [],
        "changes": between,
        "answered": between is not None and showing.answered(report, between),
        "as_declared": as_declared,
        "target_as_declared": as_declared and form.target_of(as_declared),
        "siblings": showing.siblings(report, post) if has_row and report.parent_id else (),
        **before,
        "previous_changes": showing.marked_changes(workflow.row_of(previous), row)
        if previous and has_row
        else [],
        "given": given,
        "is_same_person": is_waiting
        and (report.submitted_by_id, report.submitted_from_id)
        == (post.person_id, post.organization_id),
        "is_filled_for": is_waiting and report.submitted_from_id != report.organization_id,
        "accept_label": workflow.label_of("accept", report),
        "waiting_count": Report.objects.awaiting(post).of(report.cycle_id).count(),
        "score": showing.score(report, post),
        "earlier": earlier,
        "following": following,
        "totals": figures and showing.totals_of(figures.total),
    }


def _neighbours(post, report) -> tuple[int | None, int | None]:
    """Keys of the waiting reports before and behind this one; behind the last comes the first."""
    waiting = Report.objects.awaiting(post).of(report.cycle_id).exclude(pk=report.pk)
    earlier = waiting.filter(path__lt=report.path).order_by("-path").values_list("pk", flat=True)
    later = waiting.filter(path__gt=report.path).order_by("path").values_list("pk", flat=True)
    first = waiting.order_by("path").values_list("pk", flat=True)
    return earlier.first(), later.first() or first.first()
