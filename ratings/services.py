"""Writes of the ledger beside the moves: rows, orders, reminders, deadlines."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import F
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role

from . import workflow
from .checks import EXPLAINED
from .choices import Occasion, State
from .columns import FIELDS, REPORTED_NAMES
from .models import CorrectionOrder, Cycle, LedgerEntry, Reminder, Report
from .querysets import line_of
from .versions import plain

WRITTEN = (*REPORTED_NAMES, "explanations", "prefilled", "unread")


class Conflict(TransitionRefused):
    """The row was changed by somebody else since the page was opened; nothing was saved."""

    def __init__(self, report: Report):
        super().__init__("这一行已被他人或在另一窗口中修改，您填写的内容没有丢失，请对照后再保存")
        self.report = report


@dataclass(frozen=True)
class RowChange:
    """New values of one row by identifier; `token` is that of the page (None: a command)."""

    pk: int
    values: Mapping[str, Any]
    token: int | None = None


def check_edit(
    report: Report, by, names: Iterable[str] = (), *, is_listed: bool | None = None
) -> None:
    """Raise `TransitionRefused` where this post may not write these fields of the row.

    `is_listed`: whether its correction order lists the row, where the caller has looked already.
    """
    if not report.cycle.is_open:
        raise TransitionRefused(f"“{report.cycle}”{report.cycle.get_state_display()}，不能填报")
    if not report.is_rated:
        raise TransitionRefused(f"“{report.name}”不参加定级，没有台账行")
    if not workflow.Actor.FILLER.is_played_by(by, report):
        raise TransitionRefused(f"只有{workflow.Actor.FILLER.value}可以填报")
    if not report.is_open:
        raise TransitionRefused(f"当前状态为“{report.get_state_display()}”，内容已锁定，不能修改")
    if report.is_row_excused:
        raise TransitionRefused("本级台账行已免报，不需要填报")
    if report.order_id:
        if is_listed is None:
            is_listed = report.order.rows.filter(pk=report.pk).exists()
        if not is_listed:
            raise TransitionRefused(f"更正通知（{report.order}）没有列出这一行，不能修改")
        closed = [FIELDS[name].label for name in names if name not in report.order.fields]
        if closed:
            raise TransitionRefused(
                f"更正通知（{report.order}）只允许修改列出的栏目，不含：{'、'.join(closed)}"
            )


def why_not_edit(report: Report, by) -> str:
    """Why this post may not fill in the row now; "" where it may."""
    try:
        check_edit(report, by)
        workflow.check_not_under_excused(report)
    except TransitionRefused as refusal:
        return str(refusal)
    return ""


def why_not_edit_each(reports: list[Report], by) -> dict[int, str]:
    """As `why_not_edit`, by report of one cycle; the queries don't grow with their number."""
    orders = {report.order_id for report in reports if report.order_id}
    listed = CorrectionOrder.rows.through.objects.filter(correctionorder__in=orders)
    listed = set(listed.values_list("correctionorder", "report"))
    excused, refusals = workflow.under_excused(reports), {}
    for report in reports:
        refusal = excused.get(report.pk, "")
        try:
            check_edit(report, by, is_listed=(report.order_id, report.pk) in listed)
        except TransitionRefused as refused:
            refusal = str(refused)
        refusals[report.pk] = refusal
    return refusals


def may_edit(report: Report, by) -> bool:
    return not why_not_edit(report, by)


def last_edit(report: Report) -> AuditEvent | None:
    """Who wrote the row last, and when."""
    edits = AuditEvent.objects.filter(object_kind="report", object_id=report.pk, action="edit")
    return edits.done().order_by("-pk").first()


def changed_names(entry: LedgerEntry, values: Mapping[str, Any]) -> list[str]:
    return [name for name, value in values.items() if getattr(entry, name) != value]


@trail.service("填报")
def save_row(report: Report, values: Mapping[str, Any], *, by, token: int | None = None) -> Report:
    """Write fields of one row; the same values again change nothing.

    `values` may also hold `explanations`, and from the form `prefilled` and `unread`. Raises
    `Conflict` for a stale token and `TransitionRefused` where the row may not be written; nothing
    is stored then.
    """
    saved = save_rows([RowChange(report.pk, values, token)], by=by)
    if saved.refused:
        raise saved.refused[0][1]
    return saved.reports[0]


def _touched(report: Report, values: Mapping[str, Any], names: list[str]) -> list[str]:
    """Fields a change is about: an unread text and an explanation count as their field."""
    touched = [name for name in names if name in FIELDS]
    if "unread" in names:
        touched += _changed_keys(report.entry.unread, values["unread"])
    if "explanations" in names:
        codes = _changed_keys(report.entry.explanations, values["explanations"])
        touched += [EXPLAINED[code] for code in codes if code in EXPLAINED]
    return touched


def _changed_keys(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [key for key in {**old, **new} if old.get(key) != new.get(key)]


@dataclass
class Saved:
    reports: list[Report]
    refused: list[tuple[Report, TransitionRefused]]


@trail.service("填报")
def save_rows(changes: Iterable[RowChange], *, by) -> Saved:
    """Write rows of one superior's subordinates, or of the own unit, in one transaction.

    Rows that may not be written are named with the reason; the others are stored.
    """
    changes = {change.pk: change for change in changes}
    found = workflow.locked(changes)
    saved, entries, acts, under = Saved([], []), [], [], {}
    for pk, report in found.items():
        change = changes[pk]
        try:
            names = changed_names(report.entry, change.values) if report.is_rated else []
            check_edit(report, by, _touched(report, change.values, names))
            if report.parent_id not in under:
                workflow.check_not_under_excused(report)
                under[report.parent_id] = False
            if change.token is not None and change.token != report.token:
                raise Conflict(report)
        except TransitionRefused as refusal:
            saved.refused.append((report, refusal))
            continue
        saved.reports.append(report)
        entry = report.entry
        if not names:
            continue
        old = {name: plain(getattr(entry, name)) for name in names}
        for name in names:
            setattr(entry, name, change.values[name])
        if "prefilled" not in change.values:
            entry.prefilled = [name for name in entry.prefilled if name not in names]
        if "unread" not in change.values:
            entry.unread = {k: text for k, text in entry.unread.items() if k not in change.values}
        entries.append(entry)
        edits = {
            name: [old[name], plain(change.values[name])] for name in names if name != "prefilled"
        }
        report.token += 1
        acts.append(
            workflow.act_of(report, mark=workflow.mark_of("submit", report, by), changes=edits)
        )
    workflow.write_entries(entries, WRITTEN)
    if acts:
        touched = [act.object_id for act in acts]
        Report.objects.filter(pk__in=touched).update(token=F("token") + 1)
        trail.record("edit", "填报", acts, by=by)
    return saved


# ---------------------------------------------------------------- corrections


def may_ask_correction(report: Report, post) -> bool:
    """Whether a correction of this row alone could be asked for now; `open_correction` has the
    rules for all that is on the way."""
    if not report.is_rated or report.state != State.ACCEPTED or report.order_id:
        return False
    if report.organization_id == post.organization_id or not post.has(Role.REVIEW):
        return False
    own = Report.objects.own(post).of(report.cycle_id).select_related("cycle").first()
    return bool(own and own.cycle.is_open and own.is_open and report.path.startswith(own.path))


@trail.service("更正")
def open_correction(
    *,
    issuer: Report,
    rows: list[Report],
    fields: list[str],
    number: str,
    reason: str,
    cause: Mapping[str, Any] | None = None,
    by,
) -> CorrectionOrder:
    """Open named fields of named rows, and the reports above them, from the issuer's direct
    subordinates down; nothing else can be changed until the issuer accepts again (rule 7).
    `cause` is what its events say of where it comes from, as of a check.

    Raises `TransitionRefused`: not the issuer's own reviewer, the issuer itself has reported, a
    row is not below it or not accepted, or another correction runs on the way.
    """
    if not rows or not fields:
        raise TransitionRefused("请选择要更正的台账行和栏目")
    if not number.strip() or not reason.strip():
        raise TransitionRefused("请填写更正通知的文号和理由")
    paths = {path for row in rows for path in line_of(row.path) if len(path) > len(issuer.path)}
    pks = Report.objects.filter(cycle=issuer.cycle_id, path__in=paths).values_list("pk", flat=True)
    chain = workflow.locked([issuer.pk, *pks])
    issuer = chain.pop(issuer.pk)
    if issuer.organization_id != by.organization_id or not by.has(Role.REVIEW):
        raise TransitionRefused("只有发起单位的审核人员可以要求更正")
    if not issuer.cycle.is_open or not issuer.is_open:
        raise TransitionRefused("本级已上报或批次已关闭，须先由上级退回或重开")
    for row in rows:
        if not (row.path.startswith(issuer.path) and row.pk in chain and row.is_rated):
            raise TransitionRefused(f"“{row.name}”不是本级之下的台账行")
    for report in chain.values():
        if report.order_id:
            raise TransitionRefused(
                f"“{report.name}”正在更正（{report.order}），办结后才能再次要求"
            )
        if report.state != State.ACCEPTED:
            raise TransitionRefused(
                f"“{report.name}”{report.get_state_display()}，请直接退回或等待其上报"
            )
    order = CorrectionOrder.objects.create(
        issuer=issuer, number=number.strip(), reason=reason.strip(), fields=list(fields)
    )
    order.rows.set(rows)
    workflow.open_for_correction(list(chain.values()), order, cause or {}, by=by)
    return order


# ---------------------------------------------------------------- deadlines and reminders


@trail.service("设定截止日")
def set_below_due_on(report: Report, day: date, *, by, token: int | None = None) -> None:
    """Set the last day on which direct subordinates report (rule 11)."""
    report = workflow.locked([report.pk])[report.pk]
    workflow.check_token(report, token)
    if report.organization_id != by.organization_id or not by.has(Role.REVIEW):
        raise TransitionRefused("只有本级的审核人员可以设定下级的上报截止日")
    if not report.cycle.is_open:
        raise TransitionRefused(f"“{report.cycle}”{report.cycle.get_state_display()}，不能调整")
    if day < timezone.localdate():
        raise TransitionRefused("截止日不能早于今天")
    if report.due_on and day > report.due_on:
        raise TransitionRefused(f"截止日不能晚于本级自己的上报截止日 {report.due_on}")
    Report.objects.filter(pk=report.pk).update(below_due_on=day, token=F("token") + 1)
    act = workflow.act_of(report, below_due_on=[plain(report.below_due_on), day.isoformat()])
    trail.record("set_due", "设定截止日", [act], by=by)


@trail.service("催报")
def remind(reports: Iterable[Report], *, by) -> list[Reminder]:
    """催报: leave a notice with each late direct subordinate, once a day (rule 12)."""
    late = Report.objects.direct(by).overdue().filter(pk__in={report.pk for report in reports})
    late = late.filter(cycle__in=Cycle.objects.open())
    return leave_reminders(late, Occasion.LATE, reminder_text, by=by)


@trail.service("催报")
def leave_reminders(
    reports, occasion: Occasion, text_of: Callable[[Report], str], *, by
) -> list[Reminder]:
    """Leave a notice with reports of a queryset that are the post's direct subordinates', where
    there is none of the occasion and the day; texts are made of the reports as they are locked."""
    if not by.has(Role.REVIEW):
        raise TransitionRefused("只有审核人员可以催报")
    today = timezone.localdate()
    found = workflow.locked(
        reports.filter(parent__organization=by.organization).values_list("pk", flat=True)
    )
    done = Reminder.objects.filter(report__in=found, occasion=occasion, on=today)
    done = set(done.values_list("report", flat=True))
    by_whom = {"person": by.user, "unit_name": by.unit_name}
    new = {
        pk: Reminder(
            report=report,
            occasion=occasion,
            on=today,
            text=text_of(report),
            person_name=by.person_name,
            **by_whom,
        )
        for pk, report in found.items()
        if pk not in done
    }
    # The system, which locks no reports, may have been quicker with some of them.
    Reminder.objects.bulk_create(new.values(), ignore_conflicts=True)
    ours = Reminder.objects.filter(report__in=new, occasion=occasion, on=today, **by_whom)
    ours = set(ours.values_list("report", flat=True))
    made = [reminder for pk, reminder in new.items() if pk in ours]
    acts = [workflow.act_of(reminder.report, reminder.text) for reminder in made]
    trail.record("remind", "催报", acts, by=by)
    return made


LATE_TEXT = (
    "{name}：{cycle}分类定级台账应于{month}月{day}日24:00前上报，目前状态为“{state}”，请尽快上报。"
)


def reminder_text(report: Report) -> str:
    due = report.due_on
    return LATE_TEXT.format(
        name=report.short_name,
        cycle=report.cycle,
        month=due.month,
        day=due.day,
        state=report.get_state_display(),
    )
