"""Writes beside the reports: who is 软弱涣散 in the eyes of the superior, who is reminded of
overdue measures."""

from collections.abc import Iterable

from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings.choices import Occasion
from ratings.models import Reminder, Report
from ratings.services import leave_reminders
from ratings.workflow import act_of

from . import board
from .choices import WeakReason
from .models import WeakMark
from .querysets import rows_seen


def why_not_mark(report: Report, by) -> str:
    """Why this post may not mark a report, or lift a mark; "" where it may."""
    if report.parent_id is None or report.parent.organization_id != by.organization_id:
        return "只有直接上级可以认定软弱涣散党组织"
    if not by.has(Role.REVIEW):
        return "只有审核人员可以认定软弱涣散党组织"
    if not report.is_rated:
        return f"“{report.name}”不参加定级"
    if not report.cycle.is_open:
        return f"“{report.cycle}”{report.cycle.get_state_display()}，不能再认定"
    return ""


def _locked(report: Report, by) -> Report:
    """The report, held against a second press at the same moment."""
    held = Report.objects.select_for_update(no_key=True, of=("self",))
    report = held.select_related("cycle", "parent", "organization").get(pk=report.pk)
    if refusal := why_not_mark(report, by):
        raise TransitionRefused(refusal)
    return report


@trail.service("认定软弱涣散")
def mark_weak(report: Report, *, reasons: Iterable[str], note: str, by) -> WeakMark:
    """Mark a direct subordinate as 软弱涣散, with reasons; it says nothing of its grade."""
    report = _locked(report, by)
    reasons = [reason for reason in WeakReason.values if reason in set(reasons)]
    if not reasons or not note.strip():
        raise TransitionRefused("请选择原因并写明情况")
    if WeakMark.objects.filter(report=report, lifted_on=None).exists():
        raise TransitionRefused(f"“{report.name}”已经认定为软弱涣散")
    mark = WeakMark.objects.create(
        report=report,
        reasons=reasons,
        note=note.strip(),
        marked_on=timezone.localdate(),
        person=by.user,
        person_name=by.person_name,
    )
    trail.record("mark_weak", "认定软弱涣散", [act_of(report, reasons=reasons)], by=by)
    return mark


@trail.service("取消软弱涣散认定")
def lift_mark(report: Report, *, reason: str, by) -> None:
    """Take the mark back, with a reason; it stays as history."""
    report = _locked(report, by)
    if not reason.strip():
        raise TransitionRefused("请写明取消的理由")
    lifted = WeakMark.objects.filter(report=report, lifted_on=None).update(
        lifted_on=timezone.localdate(), lifted_by=by.person_name, lift_reason=reason.strip()
    )
    if not lifted:
        raise TransitionRefused(f"“{report.name}”没有认定为软弱涣散，或已取消")
    act = act_of(report)
    act.reason = reason.strip()
    trail.record("lift_weak", "取消软弱涣散认定", [act], by=by)


@trail.service("催报")
def remind(own: Report, *, by) -> list[Reminder]:
    """催报: leave a notice with each direct subordinate that has overdue measures, its own or below
    it as far as they are seen, once a day; in closed cycles too, since measures go on."""
    if own.organization_id != by.organization_id:
        raise TransitionRefused("只能催报本级的直接下级")
    subordinates = list(Report.objects.direct(by).filter(parent=own))
    late = board.late_below(rows_seen(by, own), own, subordinates, timezone.localdate())
    reports = Report.objects.direct(by).filter(parent=own, path__in=late)
    return leave_reminders(
        reports, Occasion.MEASURES, lambda one: board.late_text(one, late[one.path]), by=by
    )
