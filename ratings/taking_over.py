"""组织变动 in open cycles: each takes a change over as soon as the reports above are open.

`orgs` has changed the organizations already; here the copy that a cycle made of them follows.
What is handed up holds what it held: while a superior's version stands, nothing below it may come,
go or be counted otherwise, so the change waits, visibly, and blocks the superiors it concerns from
reporting. Closed cycles keep the tree as it was.
"""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Substr
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.workflow import TransitionRefused
from orgs import changes, tree
from orgs.choices import ChangeKind, PartRole, Role
from orgs.models import Organization, OrgChange
from orgs.posts import Post, system_post
from orgs.tree import StructureError

from . import lineage, opening, workflow
from .choices import Origin, State
from .models import Cycle, LedgerEntry, Report, Takeover
from .querysets import STEP, from_path, line_of, successor

# ---------------------------------------------------------------- noting and trying


# What has another row of the cycle before afterwards, or none.
LINEAGE = {ChangeKind.CREATE, ChangeKind.REOPEN, ChangeKind.MERGE, ChangeKind.SPLIT}
MOST_AT_ONCE = 2000  # changes of a table, each taken over by itself, some minutes for all


@changes.follows
def follow(made: list[OrgChange], by) -> None:
    """Note changes for each open cycle in which they concern something, and try at once."""
    cycles = list(Cycle.objects.open().order_by("pk"))
    if cycles and len(made) > MOST_AT_ONCE:
        raise StructureError(
            f"“{cycles[0]}”进行中，一次最多变动{MOST_AT_ONCE}个党组织，现在有{len(made)}个，请分批导入"
        )
    for change in made if cycles else ():
        concerned = _concerned(Report.objects.all(), _units(change))
        superiors = _superiors(change)
        for cycle in cycles:
            if concerned.filter(cycle=cycle).exists():
                takeover = Takeover.objects.create(change=change, cycle=cycle)
                takeover.superiors.set(superiors)
                attempt(takeover, by=by)


def _concerned(reports, units: set[int]):
    """Reports of organizations and of those above them, in the tree as it is now."""
    line = Organization.objects.filter(pk__in=units).get_ancestors(include_self=True)
    return reports.filter(organization__in=line.order_by())


def _units(change: OrgChange) -> set[int]:
    """Keys of every organization a change is about."""
    return {
        change.organization_id,
        *change.parts.values_list("organization", flat=True),
        *map(int, change.data.get("moved", {})),
    }


def _superiors(change: OrgChange) -> set[int]:
    """Keys of the superiors that have more or less below them, or it counted otherwise."""
    now = Organization.objects.filter(pk__in=_units(change)).exclude(parent=None)
    found = set(now.values_list("parent", flat=True))
    for pair in [change.data.get("parent", []), *change.data.get("moved", {}).values()]:
        found.update(pair)
    return found - {None}


@trail.service("纳入组织变动")
def attempt(takeover: Takeover, *, by) -> bool:
    """Take the change over if it can be now; else the reason is kept, and told."""
    tree.lock()
    takeover = Takeover.objects.select_for_update().get(pk=takeover.pk)
    if takeover.done_at:
        return True
    try:
        with transaction.atomic():
            _TakingOver(takeover, by).run()
    except TransitionRefused as refusal:
        Takeover.objects.filter(pk=takeover.pk).update(refusal=str(refusal))
        return False
    Takeover.objects.filter(pk=takeover.pk).update(done_at=timezone.now(), refusal="")
    return True


def may_press(by: Post | None) -> bool:
    return by is not None and (by.has(Role.REVIEW) or by.has(Role.MANAGE))


def attempt_by_hand(takeover: Takeover, *, by: Post) -> None:
    """As `attempt`, pressed by a person above; raises `TransitionRefused` with the reason."""
    if not may_press(by):
        raise TransitionRefused("只有审核人员或管理人员可以办理纳入")
    if not attempt(takeover, by=by):
        refusal = TransitionRefused(Takeover.objects.get(pk=takeover.pk).refusal)
        # What refused it is kept with the takeover, so it is no refusal of a service.
        act = trail.Act("takeover", takeover.pk, "", str(takeover))
        trail.refuse("take_over", "纳入组织变动", act, refusal, by=by)
        raise refusal


def attempt_waiting() -> int:
    """Try the changes that wait for nobody any more, the oldest first; how many were taken over."""
    waiting = Takeover.objects.waiting().unhindered().filter(cycle__in=Cycle.objects.open())
    return sum(
        attempt(takeover, by=trail.WithoutUnit()) for takeover in waiting.order_by("change_id")
    )


# ---------------------------------------------------------------- taking over


class _TakingOver:
    """One change and one cycle, its reports locked; each step refuses or writes."""

    def __init__(self, takeover: Takeover, by):
        self.takeover, self.change = takeover, takeover.change
        self.acts: list[trail.Act] = []
        self.reason = f"{self.change.get_kind_display()}（{self.change.document_number}）"
        self._lock()
        # As it is under the lock of its root.
        self.cycle = Cycle.objects.get(pk=takeover.cycle_id)
        self.by = by if isinstance(by, Post) else system_post(self._root().organization)

    def _root(self) -> Report:
        reports = Report.objects.of(self.takeover.cycle_id).select_related("organization")
        return reports.filter(parent=None)[0]

    def _lock(self) -> None:
        reports = Report.objects.of(self.takeover.cycle_id)
        concerned = _concerned(reports, _units(self.change) | _superiors(self.change))
        paths = concerned.values_list("path", flat=True)
        wanted = {above for path in paths for above in line_of(path)}
        workflow.locked(reports.filter(path__in=wanted).values_list("pk", flat=True))

    def run(self) -> None:
        if not self.cycle.is_open:
            raise TransitionRefused(f"“{self.cycle}”{self.cycle.get_state_display()}")
        self._check_earlier()
        getattr(self, f"_{self.change.kind}")(self.change.organization)
        if self.change.kind in LINEAGE:
            self._forget_origins()
            lineage.link(self.cycle, _units(self.change))
        done = trail.Act(
            "cycle", self.cycle.pk, self.cycle.label, self.cycle.title, str(self.change)
        )
        trail.record("take_over", "纳入组织变动", [*self.acts, done], by=self.by)

    def _check_earlier(self) -> None:
        units = _units(self.change)
        earlier = Takeover.objects.waiting().filter(cycle=self.cycle, change__lt=self.change.pk)
        for other in earlier.select_related("change__organization"):
            if units & (_units(other.change) | _superiors(other.change)):
                raise TransitionRefused(f"须先纳入较早的变动“{other.change}”")

    # What each kind of change means for the copy.

    def _create(self, organization) -> None:
        self._place(organization)

    def _reopen(self, organization) -> None:
        self._place(organization)

    def _move(self, organization) -> None:
        self._hang(organization)

    def _rename(self, organization) -> None:
        names = {"name": organization.name, "short_name": organization.short_name}
        self._of(organization).update(**names, token=F("token") + 1)

    def _reclassify(self, organization) -> None:
        report = self._report(organization)
        if report:
            self._check_line(report.parent)
            self._of(organization).update(category=organization.category_id, token=F("token") + 1)
        self._rate(organization)

    def _upgrade(self, organization) -> None:
        self._of(organization).update(kind=organization.kind, token=F("token") + 1)
        self._rate(organization)

    def _close(self, organization) -> None:
        self._set_aside(organization)

    def _merge(self, result) -> None:
        sources = self._parts(PartRole.SOURCE)
        names = [part.short_name for part in sources]
        self.reason = f"合并入“{result.short_name}”（{self.change.document_number}）"
        self._place(result)
        self._move_along()
        for part in sources:
            self._set_aside(part)
        self._say_origin(result, Origin.MERGED, f"由{'、'.join(names)}合并", sources)
        if not self.change.data["made"]:
            self.reason = f"{'、'.join(names)}并入（{self.change.document_number}），须重新定级"
            self._renew(result)

    def _split(self, source) -> None:
        products = self._parts(PartRole.PRODUCT)
        names = "、".join(product.short_name for product in products)
        self.reason = f"由“{source.short_name}”分设（{self.change.document_number}），须重新定级"
        for product in products:
            self._place(product)
            self._renew(product)
            text = f"由{source.short_name}分设"
            self._say_origin(product, Origin.SPLIT, text, [source])
        self._move_along()
        self.reason = f"分设出{names}（{self.change.document_number}）"
        if source.closed_on:
            self._set_aside(source)
        else:
            self.reason += "，须重新定级"
            self._renew(source)

    def _parts(self, role) -> list[Organization]:
        parts = self.change.parts.filter(role=role).select_related("organization__parent")
        return [part.organization for part in parts.order_by("pk")]

    def _move_along(self) -> None:
        moved = Organization.objects.filter(pk__in=self.change.data["moved"])
        for organization in moved.select_related("parent").order_by("tree_id", "lft"):
            self._hang(organization)

    # The steps.

    def _of(self, organization):
        return Report.objects.of(self.cycle).filter(organization=organization)

    def _report(self, organization) -> Report | None:
        return self._of(organization).select_related("parent", "cycle").first()

    def _check_corrected(self, report: Report) -> None:
        if report.order_id:
            raise TransitionRefused(f"“{report.name}”正在更正，办结后才能纳入")

    def _check_line(self, report: Report | None) -> None:
        """Nothing that a standing version holds may change (rule 7): of the report, and of each
        superior, as they are now."""
        line = line_of(report.path) if report else ()
        for above in Report.objects.of(self.cycle).filter(path__in=line).order_by("-path"):
            self._check_corrected(above)
            if above.is_standing:
                raise TransitionRefused(
                    f"“{above.name}”{above.get_state_display()}，撤回、退回或重开后才能纳入"
                )

    def _is_rated(self, organization) -> bool:
        scope = opening.rated(self.cycle)
        return Organization.objects.filter(scope, pk=organization.pk).exists()

    def _place(self, organization: Organization) -> None:
        """Give the organization its report, or hang the one it has where it belongs now; one that
        is 免报 comes back."""
        self._hang(organization)
        report = self._report(organization)
        if report and report.state == State.EXCUSED and not organization.closed_on:
            self._bring_back(report)

    def _hang(self, organization: Organization) -> None:
        report = self._report(organization)
        if report is None:
            if self._is_rated(organization):  # else in scope once something rated is below it
                self._create_report(organization)
            return
        superior = self._superior(organization)
        if report.parent_id != superior.pk:
            self._move_report(report, superior)

    def _superior(self, organization: Organization) -> Report:
        """The report of the superior, made where the cycle had nothing below it so far."""
        if organization.parent_id is None:
            raise TransitionRefused(f"“{organization.name}”没有上级，不能纳入本批次")
        found = self._report(organization.parent)
        if found is None:
            return self._create_report(organization.parent)
        # It had nothing to report; a superior's own decision about a unit stays.
        if found.state == State.EXCUSED and not (found.is_rated or found.has_subordinates):
            self._bring_back(found)
            found.refresh_from_db()
        return found

    def _create_report(self, organization: Organization) -> Report:
        superior = self._superior(organization)
        self._check_line(superior)
        is_rated = self._is_rated(organization)
        report = Report.objects.create(
            cycle=self.cycle,
            organization=organization,
            parent=superior,
            path=self._next_path(superior),
            code=organization.code,
            name=organization.name,
            short_name=organization.short_name,
            kind=organization.kind,
            category=organization.category,
            is_rated=is_rated,
            below_due_on=opening.due_on(self.cycle, superior.level + 1),
        )
        if is_rated:
            LedgerEntry.objects.create(report=report)
        self._count(superior, int(is_rated))
        self._of(superior.organization_id).update(has_subordinates=True)
        self.acts.append(workflow.act_of(report, self.reason))
        return report

    def _next_path(self, superior: Report) -> str:
        last = Report.objects.filter(parent=superior).order_by("-path").first()
        if last is None:
            return superior.path + "1".zfill(STEP)
        if int(last.path[-STEP:]) >= opening.MOST_SUBORDINATES:
            raise TransitionRefused(f"“{superior.name}”的直接下级最多{opening.MOST_SUBORDINATES}个")
        return successor(last.path)

    def _count(self, superior: Report, number: int, *, beyond: Iterable[str] = ()) -> None:
        """Add to what is to be rated below a report and each superior, but for paths `beyond`."""
        line = set(line_of(superior.path)) - set(beyond)
        Report.objects.of(self.cycle).filter(path__in=line).update(
            rated_count=F("rated_count") + number, token=F("token") + 1
        )

    def _move_report(self, report: Report, superior: Report) -> None:
        """Hang a report with all that is below it under another: one statement of any size."""
        old = report.parent
        self._check_line(old)
        self._check_line(superior)
        self._check_corrected(report)
        number = report.rated_count + report.is_rated
        old_line = set(line_of(old.path))
        new_line = set(line_of(superior.path))
        self._count(old, -number, beyond=new_line)
        self._count(superior, number, beyond=old_line)
        path = self._next_path(superior)
        Report.objects.of(self.cycle).filter(from_path(report.path)).update(
            path=Concat(Value(path), Substr("path", len(report.path) + 1))
        )
        Report.objects.filter(pk=report.pk).update(parent=superior, token=F("token") + 1)
        Report.objects.filter(pk=superior.pk).update(has_subordinates=True)
        self.acts.append(workflow.act_of(report, self.reason, parent=[old.code, superior.code]))
        if not Report.objects.filter(parent=old).exists():
            Report.objects.filter(pk=old.pk).update(has_subordinates=False)
            if not old.is_rated and old.state != State.EXCUSED:
                self._excuse(old, "下级已全部转出")

    def _rate(self, organization: Organization) -> None:
        """Take the organization's own row in, or out, as the cycle's scope says now."""
        report, wanted = self._report(organization), self._is_rated(organization)
        if report is None:
            self._place(organization)
            return
        if report.is_rated == wanted:
            return
        self._check_line(report)
        if wanted:
            LedgerEntry.objects.get_or_create(report=report)
        Report.objects.filter(pk=report.pk).update(is_rated=wanted, is_row_excused=False)
        if report.parent_id:
            self._count(report.parent, 1 if wanted else -1)
        report.refresh_from_db()
        if report.has_subordinates:
            return
        if wanted and report.state == State.EXCUSED:
            self._bring_back(report)
        elif not wanted and report.state != State.EXCUSED:
            self._excuse(report, self.reason)

    def _changeable(self, organization: Organization) -> Report | None:
        """The report, if it is not 免报 anyway; refused where nothing of it may change."""
        report = self._report(organization)
        if report is None or report.state == State.EXCUSED:
            return None
        self._check_line(report.parent)
        self._check_corrected(report)
        return report

    def _set_aside(self, organization: Organization) -> None:
        """免报 of what exists no more; its row, versions and measures stay as history."""
        report = self._changeable(organization)
        if report:
            self._excuse(report, self.reason)

    def _excuse(self, report: Report, reason: str) -> None:
        said = {"excuse_reason": reason, "is_row_excused": False}
        self._restructure(report, "excuse", "免报", State.EXCUSED, reason, **said)

    def _bring_back(self, report: Report) -> None:
        self._check_line(report.parent)
        said = {"excuse_reason": "", "is_row_excused": False}
        self._open_again(report, "include", "恢复填报", **said)

    def _renew(self, organization: Organization) -> None:
        """Open the report again, without its grade: what it was given is another's."""
        report = self._changeable(organization)
        if report and (report.number or not report.is_open):
            self._open_again(report, "renew", "重新定级", was_returned=bool(report.number))
        elif report:
            self._forget_decision(report)

    def _open_again(self, report: Report, action: str, label: str, **columns) -> None:
        self._forget_decision(report)
        target = State.RETURNED if report.number else State.DRAFT
        said = {"accepted_version": None, **columns}
        self._restructure(report, action, label, target, self.reason, **said)

    def _say_origin(self, organization, origin: Origin, text: str, old: list[Organization]) -> None:
        """What it was made of, with the rows of this cycle; those of the one before `lineage`
        adds. A change that is taken back leaves no origin."""
        report = self._report(organization)
        if report is None or self.change.undoes_id:
            return
        Report.objects.filter(pk=report.pk).update(origin=origin, origin_text=text)
        report.former.add(*Report.objects.of(self.cycle).filter(organization__in=old))

    def _forget_origins(self) -> None:
        """What is taken back is as if it had not been; `lineage` says anew what is left."""
        if self.change.undoes_id is None:
            return
        reports = Report.objects.of(self.cycle).filter(organization__in=_units(self.change))
        reports.filter(origin__in=(Origin.MERGED, Origin.SPLIT)).update(origin="", origin_text="")
        Report.former.through.objects.filter(from_report__in=reports).delete()

    def _forget_decision(self, report: Report) -> None:
        LedgerEntry.objects.filter(report=report).update(
            reviewed_grade=None, review_reason="", target_grade=None, target_reason=""
        )

    def _restructure(self, report, action, label, target, reason, **columns) -> None:
        act = workflow.restructure(report, action, label, target, reason, self.by, **columns)
        self.acts.append(act)


# ---------------------------------------------------------------- telling


@changes.describes
def describe(change: OrgChange, by) -> list[tuple[str, list[str]]]:
    """The reports it concerns in each open cycle, those of the own subtree, and whether it
    waits."""
    sections = []
    units = _units(change)
    for takeover in change.takeovers.select_related("cycle").order_by("pk"):
        reports = Report.objects.of(takeover.cycle_id).filter(organization__in=units)
        if by.unit_id is not None:
            own = Organization.objects.filter(pk=by.unit_id)  # numbered anew by the change
            below = own.get_descendants(include_self=True).order_by()
            reports = reports.filter(organization__in=below.values("pk"))
        lines = [
            f"{report.short_name}：{report.get_state_display()}"
            + (f"，应定级{report.rated_count}个" if report.has_subordinates else "")
            for report in reports.order_by("path")
        ]
        said = f"暂不能纳入：{takeover.refusal}" if takeover.refusal else "纳入本批次"
        sections.append((f"批次“{takeover.cycle}”", [said, *changes.named(lines)]))
    return sections
