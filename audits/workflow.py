"""How a check goes: 未开始 → 抽查中 → 已结束, or 已作废; a notice: 待答复 → 待核实 → 已办结."""

from datetime import date
from enum import Enum

from django.db.models import F
from django.utils import timezone

from ledger_site.base import attaching, trail, workflow
from ledger_site.base.workflow import Transition, TransitionRefused
from orgs.choices import Role
from ratings.workflow import act_of

from .choices import CheckState as S
from .choices import RemedyState as R
from .models import Remedy, RemedyEntry, RemedyFile, SpotCheck

START, CLOSE, DROP = "start", "close", "drop"
REPLY, VERIFY, SEND_BACK, EXTEND = "reply", "verify", "send_back", "extend"
TAKE_A_DAY = (EXTEND, SEND_BACK)
MOST_FILES = 10  # of one entry
STALE = "内容已变更，请重新查看后再办理"


class Actor(Enum):
    CHECKER = "抽查单位的审核人员"
    ADDRESSEE = "收件单位的填报或审核人员"

    def is_played_by(self, by, record) -> bool:
        if self is Actor.CHECKER:
            check = record if isinstance(record, SpotCheck) else record.row.spot_check
            return check.report.organization_id == by.organization_id and by.has(Role.REVIEW)
        return record.addressee.organization_id == by.organization_id and (
            by.has(Role.FILL) or by.has(Role.REVIEW)
        )


TRANSITIONS = {
    START: Transition("开始", {S.DRAFTED}, S.RUNNING, Actor.CHECKER),
    CLOSE: Transition("结束", {S.RUNNING}, S.CLOSED, Actor.CHECKER, needs_reason=True),
    DROP: Transition("作废", {S.DRAFTED}, S.DROPPED, Actor.CHECKER, needs_reason=True),
}
REMEDY_TRANSITIONS = {
    REPLY: Transition("答复", {R.ISSUED}, R.REPLIED, Actor.ADDRESSEE, needs_reason=True),
    VERIFY: Transition("核实办结", {R.REPLIED}, R.CLOSED, Actor.CHECKER),
    SEND_BACK: Transition("退回整改", {R.REPLIED}, R.ISSUED, Actor.CHECKER, needs_reason=True),
    EXTEND: Transition("延期", {R.ISSUED}, R.ISSUED, Actor.CHECKER, needs_reason=True),
}
# Reports have moves of the same names: the trail tells them apart.
CHECK_EVENTS = {
    action: trail.Named(f"{action}_check", f"抽查{move.label}")
    for action, move in TRANSITIONS.items()
}
REMEDY_EVENTS = {
    action: trail.Named(f"{action}_remedy", f"整改通知{move.label}")
    for action, move in REMEDY_TRANSITIONS.items()
}


def open_to(table, record, by) -> list[str]:
    """The moves a post may make now: the buttons come from the same check."""
    found = []
    for action in table:
        try:
            workflow.check(table, action, record, by)
        except TransitionRefused:
            continue
        found.append(action)
    return found


def locked_check(check: SpotCheck) -> SpotCheck:
    """The check as it is now, held against a second press at the same moment."""
    held = SpotCheck.objects.select_for_update(no_key=True, of=("self",)).defer("frame")
    return held.select_related("report__cycle").get(pk=check.pk)


def check_token(record, token: int) -> None:
    if record.token != token:
        raise TransitionRefused(STALE)


@trail.service(CHECK_EVENTS)
def act(action: str, check: SpotCheck, *, reason: str = "", token: int, by) -> SpotCheck:
    """Start, close or drop a check, or raise and store nothing. Closing takes what the check found
    as its reason: 抽查情况."""
    check = locked_check(check)
    move = workflow.check(TRANSITIONS, action, check, by)
    check_token(check, token)
    workflow.check_reason(move, reason)
    check.state = move.target_of(check)
    check.token += 1
    now = timezone.now()
    if action == START:
        check.started_at = now
    else:
        check.closed_at, check.conclusion = now, reason.strip()
    check.save(update_fields=["state", "token", "started_at", "closed_at", "conclusion"])
    trail.record(*CHECK_EVENTS[action], [act_of_check(check, reason)], by=by)
    return check


def act_of_check(check: SpotCheck, reason: str = "", **data) -> trail.Act:
    return trail.Act("spot_check", check.pk, check.report.code, check.title, reason, data)


@trail.service(REMEDY_EVENTS)
def act_on_remedy(
    action: str,
    remedy: Remedy,
    *,
    text: str = "",
    due_on: date | None = None,
    files=(),
    token: int,
    by,
) -> RemedyEntry:
    """Reply to a notice, verify and close it, send it back, or give it until another day; with its
    entry. Sent back it has its day anew where one is given."""
    held = Remedy.objects.select_for_update(no_key=True, of=("self",))
    remedy = held.select_related("addressee", "row__spot_check__report", "row__report__cycle").get(
        pk=remedy.pk
    )
    move = workflow.check(REMEDY_TRANSITIONS, action, remedy, by)
    check_token(remedy, token)
    workflow.check_reason(move, text)
    if action != REPLY and by.is_held_at(remedy.addressee.organization_id):
        raise TransitionRefused(f"在“{remedy.addressee.name}”任职的人员不能{move.label}")
    due_on = _new_day(action, remedy, due_on)
    stored = kept(files, by)
    closed_at = timezone.now() if action == VERIFY else None
    state = move.target_of(remedy)
    Remedy.objects.filter(pk=remedy.pk).update(
        state=state, due_on=due_on, closed_at=closed_at, token=F("token") + 1
    )
    entry = RemedyEntry.objects.create(
        remedy=remedy,
        label=move.label,
        text=text.strip(),
        due_on=due_on if due_on != remedy.due_on else None,
        person_name=by.person_name,
        unit_name=by.unit_name,
    )
    RemedyFile.objects.bulk_create(RemedyFile(entry=entry, **one) for one in stored)
    about = {"remedy": remedy.number, "files": [one["digest"] for one in stored]}
    if due_on != remedy.due_on:
        about["reply_by"] = [remedy.due_on.isoformat(), due_on.isoformat()]
    act = act_of(remedy.row.report, text.strip(), **about)
    trail.record(*REMEDY_EVENTS[action], [act], by=by)
    return entry


def _new_day(action: str, remedy: Remedy, day: date | None) -> date:
    """The last day of a notice behind an act; extending gives another, sending back may."""
    earliest = max(remedy.due_on, timezone.localdate())
    if action == EXTEND and (day is None or day <= earliest):
        raise TransitionRefused("请填写延期至哪一天，应晚于今天和原来的答复期限")
    if action == SEND_BACK and day is not None and day < timezone.localdate():
        raise TransitionRefused("新的答复期限不能早于今天")
    return day if action in TAKE_A_DAY and day else remedy.due_on


def kept(files, by) -> list[dict]:
    """Files of a form, stored; raises `TransitionRefused` for too many or of another kind."""
    if len(files) > MOST_FILES:
        raise TransitionRefused(f"一次最多上传{MOST_FILES}个附件")
    return [attaching.keep(file, by=by) for file in files]
