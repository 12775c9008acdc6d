"""How a measure is followed: 进行中 → 待验收 → 已销号.

The branch says that it is done, its direct superior verifies and closes it, or sends it back.
Nobody closes what they claimed, nor anything of a unit they hold a post in. Accepted rows and
closed cycles are followed as others: nothing reported changes.
"""

from datetime import date

from django.utils import timezone

from ledger_site.base import attaching, trail, workflow
from ledger_site.base.workflow import Transition, TransitionRefused
from ratings.workflow import Actor, act_of

from .choices import MeasureState as M
from .models import Measure, Progress, ProgressFile

NOTE, CLAIM, CLOSE, SEND_BACK, EXTEND = "note", "claim", "close", "send_back", "extend"
MOST_FILES = 10  # of one entry


def _stay(measure: Measure) -> str:
    return measure.state


TRANSITIONS = {
    NOTE: Transition(
        "填写进展",
        {M.OPEN, M.CLAIMED},
        _stay,
        Actor.FILLER,
        needs_reason=True,
        outcome="不变",
    ),
    CLAIM: Transition("申请销号", {M.OPEN}, M.CLAIMED, Actor.FILLER, needs_reason=True),
    CLOSE: Transition("验收销号", {M.CLAIMED}, M.CLOSED, Actor.SUPERIOR),
    SEND_BACK: Transition("退回整改", {M.CLAIMED}, M.OPEN, Actor.SUPERIOR, needs_reason=True),
    EXTEND: Transition("延期", {M.OPEN}, M.OPEN, Actor.SUPERIOR, needs_reason=True),
}


def check(action: str, measure: Measure, by) -> Transition:
    """The move, or why it may not happen; `measure.report` comes with its parent."""
    move = TRANSITIONS[action]
    if measure.state not in move.sources:
        raise TransitionRefused(f"措施{measure.get_state_display()}，不能{move.label}")
    report = measure.report
    if not move.actor.is_played_by(by, report):
        raise TransitionRefused(f"只有{move.actor.value}可以{move.label}")
    if move.actor is Actor.SUPERIOR:
        if by.is_held_at(report.organization_id):
            raise TransitionRefused(f"在本单位任职的人员不能{move.label}")
        if action == CLOSE and by.user is not None and measure.claimed_by_id == by.user.pk:
            raise TransitionRefused("申请销号和验收销号不能是同一人")
    return move


def open_to(measure: Measure, by) -> list[str]:
    """The moves a post may make now: the buttons come from the same check."""
    found = []
    for action in TRANSITIONS:
        try:
            check(action, measure, by)
        except TransitionRefused:
            continue
        found.append(action)
    return found


@trail.service(TRANSITIONS)
def act(
    action: str,
    measure: Measure,
    *,
    text: str = "",
    until: date | None = None,
    files=(),
    token: int,
    by,
) -> Progress:
    """Make a move on a measure with its entry of progress, or raise and store nothing."""
    held = Measure.objects.select_for_update(of=("self",)).select_related(
        "report__parent", "report__organization", "report__cycle"
    )
    measure = held.get(pk=measure.pk)
    move = check(action, measure, by)
    if measure.token != token:
        raise TransitionRefused("这条措施已被他人办理，请重新查看")
    workflow.check_reason(move, text)
    if action == EXTEND:
        _check_day(measure, until)
        measure.due_on = until
    if len(files) > MOST_FILES:
        raise TransitionRefused(f"一次最多上传{MOST_FILES}个附件")
    stored = [attaching.keep(file, by=by) for file in files]
    measure.state = move.target_of(measure)
    measure.token += 1
    if action == CLAIM:
        measure.claimed_by = by.user
    if action == CLOSE:
        measure.closed_on, measure.closed_by = timezone.localdate(), by.user
    measure.save()
    progress = Progress.objects.create(
        measure=measure,
        action=action,
        label=move.label,
        text=text.strip(),
        due_on=until if action == EXTEND else None,
        person=by.user,
        person_name=by.person_name,
        unit_name=by.unit_name,
    )
    ProgressFile.objects.bulk_create(ProgressFile(progress=progress, **one) for one in stored)
    about = {"measure": measure.number, "files": [one["digest"] for one in stored]}
    trail.record(action, move.label, [act_of(measure.report, text.strip(), **about)], by=by)
    return progress


def _check_day(measure: Measure, until: date | None) -> None:
    if until is None:
        raise TransitionRefused("请填写延期到哪一天")
    if until < timezone.localdate() or (measure.due_on and until <= measure.due_on):
        raise TransitionRefused("延期的日期应晚于原来的日期和今天")
