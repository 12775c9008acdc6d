"""How a report travels: 填报中 → 已上报 → 已审核, or back to its unit (已退回); 免报 stands aside.

`TRANSITIONS` is the table an official could check line by line. The only writer of `state`.

Locks: every writer, moves and edits alike, locks the reports it touches in the order of `path`,
a superior before its subordinates, and checks state, scope, token and rules again under the lock.
So two people who press at the same moment are served one after the other, and the second is told
what has changed. A batch is any number of reports of one superior in one transaction; a single
move is a batch of one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from enum import Enum
from functools import partial

from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from ledger_site.base import trail, workflow
from ledger_site.base.workflow import Transition, TransitionRefused
from orgs.choices import Role
from orgs.models import Appointment, Organization
from orgs.posts import Post, system_post

from . import columns, movement, versions
from .checks import Context, Finding, check_decision, check_row, open_explanations
from .choices import OPEN_STATES, Grade, Severity
from .choices import State as S
from .columns import DECISION_NAMES, FIELDS, REPORTED_NAMES
from .models import (
    CorrectionOrder,
    LedgerEntry,
    Report,
    ReportMove,
    ReportVersion,
    Takeover,
)
from .querysets import ancestors, below


class Actor(Enum):
    OWNER = "本单位的填报人员"
    FILLER = "本单位或直接上级的填报人员"
    SUPERIOR = "直接上级的审核人员"

    def is_played_by(self, by, report: Report) -> bool:
        """The root is its own superior (定稿)."""
        is_own = report.organization_id == by.organization_id
        superior = report.parent.organization_id if report.parent_id else report.organization_id
        is_superior = superior == by.organization_id
        if self is Actor.OWNER:
            return is_own and by.has(Role.FILL)
        if self is Actor.FILLER:
            return (is_own or is_superior) and by.has(Role.FILL)
        return is_superior and by.has(Role.REVIEW)


def _after_recall(report):
    return S.RETURNED if report.was_returned else S.DRAFT


def _after_excuse(report):
    """A rated unit with subordinates can have only its own row excused."""
    return report.state if report.is_rated and report.has_subordinates else S.EXCUSED


def _after_include(report):
    if report.state != S.EXCUSED:
        return report.state
    return S.RETURNED if report.number else S.DRAFT


def _unchanged(report):
    return report.state


TRANSITIONS = {
    "submit": Transition("上报", {S.DRAFT, S.RETURNED}, S.SUBMITTED, Actor.FILLER),
    "recall": Transition(
        "撤回",
        {S.SUBMITTED},
        _after_recall,
        Actor.OWNER,
        outcome="填报中；以前被退回过的，已退回",
    ),
    "accept": Transition("审核通过", {S.SUBMITTED}, S.ACCEPTED, Actor.SUPERIOR),
    "send_back": Transition("退回", {S.SUBMITTED}, S.RETURNED, Actor.SUPERIOR, needs_reason=True),
    "regrade": Transition("改定", {S.ACCEPTED}, S.ACCEPTED, Actor.SUPERIOR, needs_reason=True),
    "reopen": Transition("重开", {S.ACCEPTED}, S.RETURNED, Actor.SUPERIOR, needs_reason=True),
    "excuse": Transition(
        "免报",
        {S.DRAFT, S.RETURNED},
        _after_excuse,
        Actor.SUPERIOR,
        needs_reason=True,
        outcome="免报；本身定级又有下级的，只免报本级一行，状态不变",
    ),
    "include": Transition(
        "恢复填报",
        {S.EXCUSED, S.DRAFT, S.RETURNED},
        _after_include,
        Actor.SUPERIOR,
        needs_reason=True,
        outcome="填报中；以前上报过的，已退回；只免报本级一行的，状态不变",
    ),
    "extend": Transition(
        "延期",
        {S.DRAFT, S.RETURNED},
        _unchanged,
        Actor.SUPERIOR,
        needs_reason=True,
        outcome="不变",
    ),
}
FINAL = "定稿"  # what accept is called at the root
IMPORTED, FILLED_FOR, SAME_PERSON = "导入", "代填", "同一人代填并审核"
UNDER_EXCUSED = "上级“{}”已免报，本级无需报送"
IMPORT_EXPLANATION = "（原台账导入，未作说明）"
IMPORT_REASON = "按原台账导入"


@dataclass(frozen=True)
class Decision:
    """What a superior decides on a row (rule 2); no target: the unit's proposal where it fits."""

    reviewed_grade: Grade
    review_reason: str = ""
    target_grade: Grade | None = None
    target_reason: str = ""


@dataclass(frozen=True)
class Item:
    """One report of a batch; `token` is that of the page it was read on (None: a command)."""

    pk: int
    token: int | None = None
    decision: Decision | None = None


@dataclass
class Outcome:
    moved: list[Report] = field(default_factory=list)
    left_out: list[tuple[Report, str]] = field(default_factory=list)  # with the reason


def label_of(action: str, report: Report) -> str:
    return FINAL if action == "accept" and report.parent_id is None else TRANSITIONS[action].label


# ---------------------------------------------------------------- checks


def check(action: str, report: Report, by) -> Transition:
    """Return the transition, or raise `TransitionRefused` saying in Chinese why it may not happen.

    Everything that does not depend on what is entered: cycle, state, actor, person, superior,
    correction order. Buttons come from here too, so a page never offers what is refused.
    """
    if not report.cycle.is_open:
        raise TransitionRefused(f"“{report.cycle}”{report.cycle.get_state_display()}，不能办理")
    move = workflow.check(TRANSITIONS, action, report, by)
    if action == "include" and not (report.state == S.EXCUSED or report.is_row_excused):
        raise TransitionRefused("该党组织没有免报，不需要恢复")
    if report.parent_id is None and action == "extend":
        raise TransitionRefused("最高一级没有上报截止日，不需要延期")
    if report.parent_id is None and action == "excuse" and _after_excuse(report) == S.EXCUSED:
        raise TransitionRefused("最高一级不能免报")
    if action == "excuse" and report.is_row_excused:
        raise TransitionRefused("本级台账行已经免报")
    if move.actor is Actor.SUPERIOR:
        _check_person(report, by)
        if report.parent_id and report.parent.state == S.EXCUSED:
            raise TransitionRefused(UNDER_EXCUSED.format(report.parent.name))
        if report.parent_id and not report.parent.is_open:
            raise TransitionRefused(
                f"“{report.parent.name}”本级已上报，须先由其上级退回或重开，才能{move.label}"
            )
        _check_order(action, report, move)
    return move


def _check_order(action, report, move):
    """While a correction runs, nothing on its chain but the named rows is reopened or excused."""
    if action in ("excuse", "include", "extend") and report.order_id:
        raise TransitionRefused(f"该报送件正在更正（{report.order}），办结前不能{move.label}")
    above = report.parent and report.parent.order_id
    if action in ("reopen", "excuse", "include", "regrade") and above and report.order_id != above:
        raise TransitionRefused(
            f"上级报送件正在更正（{report.parent.order}），只能办理通知中列出的台账行"
        )


def _check_person(report, by):
    """No one decides on their own work (rule 5)."""
    if by.is_system:
        return
    if report.parent_id is None:
        if report.submitted_by_id == by.person_id:
            raise TransitionRefused(f"定稿须由上报人以外的人员办理{_others(report, by)}")
        return
    submitted_own = (
        report.submitted_by_id == by.person_id
        and report.submitted_from_id == report.organization_id
    )
    if submitted_own or by.is_held_at(report.organization_id):
        raise TransitionRefused(
            f"您在“{report.name}”任职或曾代表其上报，不能审核该单位{_others(report, by)}"
        )


def _others(report, by) -> str:
    names = [str(user) for user in deciders(report) if user.pk != by.person_id]
    return f"，可由{'、'.join(names)}办理" if names else "，请联系上级管理人员安排审核人员"


def deciders(report: Report) -> list:
    """The users who may decide on a report: reviewers at its superior who hold no post in it."""
    superior = report.parent.organization_id if report.parent_id else report.organization_id
    held = (
        Appointment.objects.active()
        .filter(organization=superior, role=Role.REVIEW)
        .select_related("user")
        .order_by("user__full_name")
    )
    users = {appointment.user_id: appointment.user for appointment in held}
    if report.parent_id is None:
        users.pop(report.submitted_by_id, None)
    else:
        own = Appointment.objects.active().filter(
            organization=report.organization_id, user__in=users
        )
        for pk in own.values_list("user", flat=True):
            users.pop(pk, None)
    return list(users.values())


def open_to(report: Report, by) -> list[str]:
    """The actions this post may take on the report now, in the order of the table."""
    allowed = []
    for action in TRANSITIONS:
        try:
            check(action, report, by)
            check_not_under_excused(report)
        except TransitionRefused:
            continue
        allowed.append(action)
    return allowed


def check_not_under_excused(report: Report) -> None:
    refusal = under_excused([report]).get(report.pk)
    if refusal:
        raise TransitionRefused(refusal)


def under_excused(reports: list[Report]) -> dict[int, str]:
    """By report, why nothing of it is handed in; only those of one cycle that lie under 免报."""
    paths = {path for report in reports for path in ancestors(report.path)}
    cycle = reports[0].cycle_id if reports else None
    found = Report.objects.filter(cycle=cycle, path__in=paths, state=S.EXCUSED)
    names = dict(found.values_list("path", "name"))
    excused = {}
    for report in reports if names else ():
        above = next((path for path in ancestors(report.path) if path in names), None)
        if above:
            excused[report.pk] = UNDER_EXCUSED.format(names[above])
    return excused


def context_of(report: Report, namesakes: Iterable[str] = ()) -> Context:
    previous = report.previous and getattr(report.previous, "entry", None)
    return Context(
        year=report.cycle.year,
        category_code=report.category.code if report.category_id else "",
        previous={name: getattr(previous, name) for name in REPORTED_NAMES} if previous else None,
        namesakes=frozenset(namesakes),
    )


def namesakes_of(reports: list[Report]) -> dict[int, set[str]]:
    """By superior: names of secretaries that stand in two or more rows under it."""
    parents = {report.parent_id for report in reports if report.parent_id}
    names = defaultdict(lambda: defaultdict(int))
    rows = LedgerEntry.objects.filter(report__parent__in=parents).exclude(secretary_name=None)
    for parent, name in rows.values_list("report__parent", "secretary_name"):
        names[parent][name] += 1
    return {parent: {n for n, count in of.items() if count > 1} for parent, of in names.items()}


def row_of(entry: LedgerEntry) -> dict:
    return {name: getattr(entry, name) for name in FIELDS}


def findings_of(report: Report, namesakes: Mapping[int, set[str]] | None = None) -> list[Finding]:
    """The findings of the report's own row; none where it has no row that counts."""
    if not report.counts_row:
        return []
    if namesakes is None:
        namesakes = namesakes_of([report])
    found = check_row(row_of(report.entry), context_of(report, namesakes.get(report.parent_id, ())))
    return with_unread(found, report.entry.unread)


def with_unread(found: list[Finding], unread: Mapping[str, str]) -> list[Finding]:
    """The findings with an error for each text of the form that could not be read; such a field
    is not blank as well."""
    if not unread:
        return found
    errors = columns.clean_row(unread)[1]
    unread_ones = [Finding(Severity.ERROR, "unread", name, text) for name, text in errors.items()]
    rest = [f for f in found if not (f.code == "blank" and f.field in errors)]
    order = list(FIELDS)
    return sorted([*unread_ones, *rest], key=lambda finding: order.index(finding.field))


# ---------------------------------------------------------------- locks


def locked(pks: Iterable[int]) -> dict[int, Report]:
    """Lock reports in the order of the tree and read them as they are now, by key.

    Superiors that are locked too stand in `parent`; `no_key`, since rows that merely refer to a
    report need not wait. Read by a second query: PostgreSQL joins a row it had to wait for to the
    rows, order and cycle of the time before the wait.
    """
    found = Report.objects.filter(pk__in=set(pks)).order_by("path")
    list(found.select_for_update(no_key=True).values_list("pk"))
    found = found.select_related("cycle", "category", "order", "parent", "entry", "previous__entry")
    reports = {report.pk: report for report in found}
    for report in reports.values():
        if report.parent_id in reports:
            report.parent = reports[report.parent_id]
    return reports


def check_token(report: Report, token: int | None) -> None:
    if token is not None and token != report.token:
        raise TransitionRefused("内容已变更，请重新查看后再办理")


# ---------------------------------------------------------------- moves


@trail.service(TRANSITIONS)
def move(action: str, report: Report, *, by, token: int | None = None, **entered) -> Report:
    """Make one move, or raise `TransitionRefused` and store nothing. Arguments as `move_many`."""
    decision = entered.pop("decision", None)
    outcome = move_many(action, [Item(report.pk, token, decision)], by=by, **entered)
    if outcome.left_out:
        raise TransitionRefused(outcome.left_out[0][1])
    if not outcome.moved:
        raise TransitionRefused("该报送件不存在")
    return outcome.moved[0]


@trail.service(TRANSITIONS)
def move_many(
    action: str,
    items: Iterable[Item],
    *,
    by,
    reason: str = "",
    fields: Mapping[str, str] | None = None,
    until: date | None = None,
) -> Outcome:
    """Move reports of one superior together; what can't be moved is named with its reason.

    `fields` are the identifiers a return names, each with its reason or an empty text, `until` the
    day of an extension. The number of queries does not depend on the number of reports, nor on
    what is below them.
    """
    items = {item.pk: item for item in items}
    parents = set(Report.objects.filter(pk__in=items).values_list("parent_id", flat=True))
    if len(parents) > 1:
        raise ValueError("a batch is made of reports of one superior")
    needs_superior = TRANSITIONS[action].actor is Actor.SUPERIOR
    found = locked({*items, *parents} - {None} if needs_superior else items)
    reports = [found[pk] for pk in items if pk in found]
    return _move(
        action, reports, items, lambda report: by, reason=reason, fields=fields, until=until
    )


@trail.service(TRANSITIONS)
def move_imported(action: str, pks: Iterable[int], *, by=None) -> Outcome:
    """Submit or accept reports of any superiors of one cycle, each by the system for its superior,
    or by a person, who reaches but the subordinates of one.

    For old ledgers and rehearsals: every rule that is not about persons holds, for a person those
    too; the system's moves are marked 导入. Accepted are they with the grade given at import, else
    the declared one.
    """
    pks = set(pks)
    above = Report.objects.filter(children__in=pks).values_list("pk", flat=True)
    found = locked({*pks, *above})
    reports = [report for pk, report in found.items() if pk in pks]
    unit_of = {r.pk: (r.parent or r).organization_id for r in reports}
    units = Organization.objects.in_bulk(set(unit_of.values()))
    posts = {pk: system_post(unit) for pk, unit in units.items()}
    items = {}
    for report in reports:
        given = _given(report.entry) if action == "accept" and report.counts_row else None
        items[report.pk] = Item(report.pk, decision=given)
    by_of = (lambda report: by) if by else (lambda report: posts[unit_of[report.pk]])
    return _move(action, reports, items, by_of, is_import=by is None)


@trail.service("上报并审核")
def hand_up_imported(
    pks: Collection[int], *, accepts: bool = True, by=None
) -> tuple[Outcome, Outcome]:
    """Submit what is open among reports of one level, then accept these and what was handed in
    before, unless `accepts` is false; what became of either move, as `move_imported` tells it."""
    states = dict(Report.objects.filter(pk__in=pks).values_list("pk", "state"))
    submitted = move_imported("submit", [pk for pk in pks if states[pk] in OPEN_STATES], by=by)
    if not accepts:
        return submitted, Outcome()
    handed = [pk for pk in pks if states[pk] == S.SUBMITTED]
    handed += [report.pk for report in submitted.moved]
    return submitted, move_imported("accept", handed, by=by)


def _given(entry: LedgerEntry) -> Decision:
    """The decision that an old ledger holds, its target one grade up where it does not fit."""
    grade = Grade(entry.given_grade or entry.declared_grade)
    target = Grade(entry.proposed_target)
    if not grade.may_target(target):
        target = grade.next
    return Decision(grade, IMPORT_REASON, target, IMPORT_REASON)


def _move(
    action, reports, items, by_of, *, reason="", fields=None, until=None, is_import=False
) -> Outcome:
    """Move locked reports; `items` by key of the report, `by_of` tells who acts on each."""
    outcome, good, fields = Outcome(), [], dict(fields or {})
    checks = _Needs(reports, action)
    for report in reports:
        item, by = items[report.pk], by_of(report)
        try:
            transition = check(action, report, by)
            check_token(report, item.token)
            workflow.check_reason(transition, reason or "".join(fields.values()))
            decision = checks.check(report, item, until=until, is_import=is_import)
        except TransitionRefused as refusal:
            outcome.left_out.append((report, str(refusal)))
        else:
            good.append(_Step(report, transition, report.state, by, decision))
    if good:
        _write(action, good, reason.strip(), fields, until, is_import)
        outcome.moved = [step.report for step in good]
    return outcome


@dataclass
class _Step:
    report: Report
    transition: Transition
    source: str
    by: Post
    decision: Decision | None
    number: int = 0


class _Needs:
    """What a move needs beyond the table, asked for a whole batch at once."""

    def __init__(self, reports: list[Report], action: str):
        self.action = action
        self.excused = under_excused(reports)
        if action == "submit":
            self.namesakes = namesakes_of([report for report in reports if report.counts_row])
            self.blocking = blocking([report for report in reports if report.has_subordinates])
            self.waiting = changes_before(reports)

    def check(self, report, item, *, until, is_import) -> Decision | None:
        if report.pk in self.excused:
            raise TransitionRefused(self.excused[report.pk])
        if self.action == "submit":
            self._check_submit(report, is_import)
        elif self.action == "accept":
            if report.counts_row:
                return _settled(report.entry, item.decision)
        elif self.action == "regrade":
            if not report.counts_row:
                raise TransitionRefused("该党组织没有定级，不需要改定")
            return _settled(report.entry, item.decision, is_regrade=True)
        elif self.action == "extend":
            _check_extension(report, until)
        return None

    def _check_submit(self, report, is_import):
        waiting = self.waiting.get((report.cycle_id, report.organization_id))
        if waiting:
            raise TransitionRefused(f"有组织变动尚未纳入本批次：{waiting}，纳入后才能上报")
        blocking = self.blocking.get(report.pk)
        if blocking:
            names = "、".join(f"{name}（{state}）" for name, state in blocking[:3])
            rest = f"等{len(blocking)}个" if len(blocking) > 3 else ""
            raise TransitionRefused(f"下级尚未全部审核通过：{names}{rest}")
        if not report.counts_row:
            return
        findings = findings_of(report, self.namesakes)
        errors = [f.message for f in findings if f.severity == Severity.ERROR]
        if errors:
            raise TransitionRefused(f"有{len(errors)}处错误，改正后才能上报：{'；'.join(errors)}")
        unexplained = open_explanations(findings, report.entry.explanations)
        if unexplained and not is_import:
            raise TransitionRefused("；".join(f.message for f in unexplained))
        for finding in unexplained:
            report.entry.explanations[finding.code] = IMPORT_EXPLANATION


def blocking(reports: list[Report]) -> dict[int, list[tuple[str, str]]]:
    """By report: (name, state) of direct subordinates that keep it from going up (rule 6)."""
    found = defaultdict(list)
    waiting = (
        Report.objects.filter(parent__in=reports)
        .exclude(state__in=(S.ACCEPTED, S.EXCUSED))
        .order_by("path")
    )
    for parent, name, state in waiting.values_list("parent", "short_name", "state"):
        found[parent].append((name, S(state).label))
    return found


def changes_before(reports: list[Report]) -> dict[tuple[int, int], str]:
    """By cycle and organization, a change of what is below that waits to be taken over."""
    waiting = Takeover.objects.blocking(reports).order_by("-pk")
    found = waiting.values_list("cycle", "superiors", "pk")
    changes = waiting.select_related("change__organization").in_bulk()
    return {(cycle, unit): str(changes[pk].change) for cycle, unit, pk in found}


def _settled(entry, decision: Decision | None, *, is_regrade=False) -> Decision:
    """The decision with its target, checked by rules 2 and 4."""
    if decision is None or not decision.reviewed_grade:
        raise TransitionRefused("请选择审核定级类别")
    reviewed = Grade(decision.reviewed_grade)
    proposed = Grade(entry.proposed_target) if entry.proposed_target else None
    target = decision.target_grade and Grade(decision.target_grade)
    if not target and proposed and reviewed.may_target(proposed):
        target = proposed
    if not target:
        raise TransitionRefused(
            f"自提目标“{proposed.label if proposed else '未填'}”与审核等次“{reviewed.label}”不符，"
            f"请选定晋位升级目标（一般为“{reviewed.next.label}”）"
        )
    refusal = check_decision(reviewed, target)
    if refusal:
        raise TransitionRefused(refusal)
    if reviewed != entry.declared_grade and not decision.review_reason.strip():
        raise TransitionRefused("审核等次与申报等次不同，请写明理由")
    if target.rank > reviewed.next.rank and not decision.target_reason.strip():
        raise TransitionRefused(f"目标由“{reviewed.label}”越级到“{target.label}”，请写明理由")
    if is_regrade and (reviewed, target) == (entry.reviewed_grade, entry.target_grade):
        raise TransitionRefused("等次和目标都没有改变")
    return Decision(
        reviewed, decision.review_reason.strip(), target, decision.target_reason.strip()
    )


def _check_extension(report, until):
    if until is None:
        raise TransitionRefused("请填写延期至哪一天")
    if until < timezone.localdate():
        raise TransitionRefused("延期的日期不能早于今天")
    if report.due_on and until <= report.due_on:
        raise TransitionRefused(f"延期的日期应晚于现在的截止日 {report.due_on}")
    above = report.parent.due_on
    if above and until > above:
        raise TransitionRefused(f"延期不能晚于本级自己的上报截止日 {above}")


def _write(action, steps: list[_Step], reason, fields, until, is_import) -> None:
    """Write states, decisions, versions, history and trail of a checked batch."""
    reports = [step.report for step in steps]
    if action == "submit":
        _store_submission(steps, is_import)
    values = partial(_values, action, reason, until, steps[0].by, is_import)
    targets = defaultdict(list)
    for step in steps:
        targets[step.source, step.transition.target_of(step.report)].append(step.report)
    for (source, target), group in targets.items():
        changed = Report.objects.filter(pk__in=[r.pk for r in group], state=source).update(
            state=target, token=F("token") + 1, **values(group)
        )
        if changed != len(group):  # only where a database ignores row locks
            raise TransitionRefused("内容已变更，请重新查看后再办理")
    if action in ("accept", "regrade"):
        _store_decisions([step for step in steps if step.decision])
    if action == "accept":
        _finish_corrections(reports)
    if action == "reopen":
        # Under a correction the last decision stays in sight until the issuer accepts again.
        LedgerEntry.objects.filter(report__in=reports, report__order=None).update(
            reviewed_grade=None, review_reason="", target_grade=None, target_reason=""
        )
    _remember(action, steps, reason, fields, until, is_import)
    by_pk = {report.pk: report for report in reports}
    for fresh in Report.objects.filter(pk__in=by_pk).values("pk", *MOVED):
        for name in MOVED:
            setattr(by_pk[fresh["pk"]], name, fresh[name])


MOVED = ("state", "token", "number", "extended_to", "order_id", "was_returned")


def _values(action, reason, until, by, is_import, group) -> dict:
    """The columns a move writes beside `state`."""
    if action == "submit":
        superior = Report.objects.filter(pk=OuterRef("parent_id")).values("organization_id")
        return {
            "number": F("number") + 1,
            "submitted_by": by.user,
            # The system acts for each one's superior.
            "submitted_from": Coalesce(Subquery(superior), F("organization_id"))
            if is_import
            else by.organization,
            "submitted_at": timezone.now(),
        }
    if action == "accept":
        newest = ReportVersion.objects.filter(report=OuterRef("pk"), number=OuterRef("number"))
        return {"accepted_version": Subquery(newest.values("pk")[:1]), "was_returned": False}
    if action == "send_back":
        return {"was_returned": True}
    if action == "reopen":
        kept = {} if group[0].order_id else {"accepted_version": None}
        return {"was_returned": True, **kept}
    if action == "excuse":
        is_row = group[0].is_rated and group[0].has_subordinates
        return {"excuse_reason": reason, "is_row_excused": is_row}
    if action == "include":
        return {"excuse_reason": "", "is_row_excused": False}
    if action == "extend":
        return {"extended_to": until}
    return {}


def _store_submission(steps, is_import) -> None:
    reports = [step.report for step in steps]
    explained = [r.entry for r in reports if r.counts_row] if is_import else []
    write_entries(explained, ["explanations"])
    made = versions.make_versions(reports)
    movement.keep(made)
    for step, version in zip(steps, made, strict=True):
        step.number = version.number


def _store_decisions(steps) -> None:
    for step in steps:
        for name, value in asdict(step.decision).items():
            setattr(step.report.entry, name, value)
    write_entries([step.report.entry for step in steps], DECISION_NAMES)


def write_entries(entries: list[LedgerEntry], names: Iterable[str]) -> None:
    """Write fields of rows that exist and are locked; none for none.

    As INSERT … ON CONFLICT UPDATE, which both databases take in their stride; `bulk_update`
    builds a CASE for each field and row, which was half the time of an import.
    """
    LedgerEntry.objects.bulk_create(
        entries, update_conflicts=True, unique_fields=["report"], update_fields=list(names)
    )


def _finish_corrections(reports) -> None:
    """When the issuer accepts a subordinate, the correction below it is done."""
    for report in reports:
        order = report.order
        if order and order.issuer_id == report.parent_id:
            chain = Report.objects.filter(below(report.path), cycle=report.cycle_id, order=order)
            chain.update(order=None)
            Report.objects.filter(pk=report.pk).update(order=None)
            if not Report.objects.filter(order=order).exists():
                CorrectionOrder.objects.filter(pk=order.pk).update(closed_at=timezone.now())


def mark_of(action, report, by, is_import=False) -> str:
    if is_import:
        return IMPORTED
    if action == "submit" and by.organization_id != report.organization_id:
        return FILLED_FOR
    if (
        TRANSITIONS[action].actor is Actor.SUPERIOR
        and report.parent_id
        and by.person_id
        and (report.submitted_by_id, report.submitted_from_id) == (by.person_id, by.organization_id)
    ):
        return SAME_PERSON
    return ""


def _remember(action, steps, reason, fields, until, is_import) -> None:
    history, acts = [], []
    for step in steps:
        report, by = step.report, step.by
        data = {}
        if step.decision:
            data["decision"] = asdict(step.decision)
        if fields:
            data["fields"] = fields
        if until:
            data["until"] = until.isoformat()
        mark = mark_of(action, report, by, is_import)
        history.append(
            _entry(
                report,
                by,
                action=action,
                label=label_of(action, report),
                source=step.source,
                target=step.transition.target_of(report),
                number=step.number or report.number,
                reason=reason,
                data=data,
                mark=mark,
            )
        )
        act = act_of(report, reason, mark=mark, number=step.number or report.number, **data)
        act.by = by
        acts.append(act)
    ReportMove.objects.bulk_create(history, batch_size=1000)
    trail.record(action, TRANSITIONS[action].label, acts, by=steps[0].by)


def _entry(report: Report, by: Post, **values) -> ReportMove:
    """One entry of a report's history: as it stands before the move, but for these values."""
    return ReportMove(
        report=report,
        person=by.user,
        person_name=by.person_name,
        unit=by.organization,
        unit_name=by.unit_name,
        **{"source": report.state, "number": report.number} | values,
    )


def act_of(report: Report, reason: str = "", **data) -> trail.Act:
    name = f"{report.name}（{report.cycle}）"
    return trail.Act("report", report.pk, report.code, name, reason, data)


def open_for_correction(
    reports: list[Report], order: CorrectionOrder, cause: Mapping, *, by
) -> None:
    """Return the accepted reports of a correction's chain; called by `services.open_correction`
    with the reports locked and checked."""
    pks = [report.pk for report in reports]
    Report.objects.filter(pk__in=pks).update(
        state=S.RETURNED, order=order, was_returned=True, token=F("token") + 1
    )
    ReportMove.objects.bulk_create(
        _entry(
            report,
            by,
            action="correct",
            label="更正",
            target=S.RETURNED,
            reason=f"{order.number}：{order.reason}",
            data={"fields": order.fields},
        )
        for report in reports
    )
    acts = [
        act_of(report, order.reason, order=order.number, fields=order.fields, **cause)
        for report in reports
    ]
    trail.record("correct", "更正", acts, by=by)


def restructure(
    report: Report,
    action: str,
    label: str,
    target: S,
    reason: str,
    by: Post,
    **columns,
) -> trail.Act:
    """Write the state that a change of organizations gives a report, and what else it changes;
    called by `taking_over` with the report locked and checked. The event is the caller's.
    """
    same = Report.objects.filter(pk=report.pk, state=report.state)
    if not same.update(state=target, token=F("token") + 1, **columns):
        raise TransitionRefused("内容已变更，请重新查看后再办理")
    _entry(report, by, action=action, label=label, target=target, reason=reason).save()
    return act_of(report, reason, state=[report.state, target])
