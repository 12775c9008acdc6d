"""The life of a cycle: 准备 → 进行中 → 已关闭, and the copy of the tree made at its opening."""

from datetime import date, timedelta

from django.db import transaction
from django.db.models import (
    BooleanField,
    Case,
    CharField,
    Count,
    DateField,
    F,
    JSONField,
    OuterRef,
    Q,
    Subquery,
    Value,
    When,
    Window,
)
from django.db.models.functions import Cast, Coalesce, Concat, LPad, RowNumber
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.db import insert_select, retried
from ledger_site.base.workflow import TransitionRefused
from orgs import tree
from orgs.models import Organization

from .choices import CycleState, State
from .columns import REPORTED
from .models import Cycle, LedgerEntry, Report
from .querysets import STEP

DAYS_TO_REPORT = 60  # until the root has everything, where the cycle does not say
MOST_SUBORDINATES = 10**STEP - 2  # a path needs a successor of as many digits
CARRIED = [field.name for field in REPORTED if field.carries_over]


def _act(cycle: Cycle, reason: str = "", **data) -> trail.Act:
    return trail.Act("cycle", cycle.pk, cycle.label, cycle.title, reason, data)


def _rated(cycle: Cycle) -> Q:
    """Which organizations are rated in the cycle: marked so, open, not temporary, within its
    kinds and categories (either level)."""
    scope = Q(is_rated=True, closed_on=None, is_temporary=False)
    if cycle.kinds:
        scope &= Q(kind__in=cycle.kinds)
    chosen = list(cycle.categories.values_list("pk", flat=True))
    if chosen:
        scope &= Q(category__in=chosen) | Q(category__parent__in=chosen)
    return scope


@retried
@transaction.atomic
def create_cycle(
    year: int, round: int = 1, *, previous: Cycle | None = None, categories=(), by, **values
) -> Cycle:
    """Make a cycle in preparation; raises `TransitionRefused` where year and round exist."""
    if Cycle.objects.filter(year=year, round=round).exists():
        raise TransitionRefused(f"批次 {year}-{round} 已存在")
    title = f"{year}年度" + ("" if round == 1 else f"第{round}次")
    cycle = Cycle.objects.create(
        year=year, round=round, previous=previous, **{"title": title, **values}
    )
    cycle.categories.set(categories)
    trail.record("create_cycle", "新建批次", [_act(cycle)], by=by)
    return cycle


@retried
@transaction.atomic
def create_and_open(year: int, round: int, *, previous: Cycle | None, by) -> Cycle:
    return open_cycle(create_cycle(year, round, previous=previous, by=by), by=by)


@retried
@transaction.atomic
def open_cycle(cycle: Cycle, *, by) -> Cycle:
    """Open a prepared cycle: copy the tree of every rated organization and of all above them.

    One statement a level, none for each organization. Rows of the previous cycle are linked by
    organization, and their facts proposed, marked as prefilled; grades and measures never are.
    Raises `TransitionRefused` where it is not in preparation or nothing is in scope.
    """
    tree.lock()  # the copy is of one moment
    cycle = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if cycle.state != CycleState.PREPARING:
        raise TransitionRefused(f"批次{cycle.get_state_display()}，不能再次开始")
    today = timezone.localdate()
    cycle.state, cycle.opened_on = CycleState.OPEN, today
    cycle.final_due_on = cycle.final_due_on or today + timedelta(days=DAYS_TO_REPORT)
    cycle.save()
    level, count = 0, 0
    while inserted := _copy_level(cycle, level):
        level, count = level + 1, count + inserted
    if not count:
        raise TransitionRefused("没有纳入定级的党组织，不能开始批次；请先导入组织并标记纳入定级")
    _check_width(cycle)
    _copy_rows(cycle)
    trail.record("open_cycle", "批次开始", [_act(cycle, reports=count)], by=by)
    return cycle


def _copy_level(cycle: Cycle, level: int) -> int:
    """Copy the organizations of one level, whose superiors have been copied; how many."""
    rated = _rated(cycle)
    below = (
        Organization.objects.filter(
            rated, tree_id=OuterRef("tree_id"), lft__gt=OuterRef("lft"), lft__lt=OuterRef("rght")
        )
        .order_by()
        .values("tree_id")
        .annotate(n=Count("pk"))
        .values("n")
    )
    superior = Report.objects.filter(cycle=cycle, organization=OuterRef("parent_id"))
    before = Report.objects.filter(
        cycle=cycle.previous_id, organization=OuterRef("pk"), is_row_excused=False
    ).exclude(state=State.EXCUSED)
    siblings = {"partition_by": F("parent_id")} if level else {}
    number = Window(RowNumber(), order_by=[F("tree_id"), F("lft")], **siblings)
    step = LPad(Cast(number, CharField()), STEP, Value("0"))
    organizations = (
        Organization.objects.filter(level=level)
        .order_by()
        .annotate(
            below=Coalesce(Subquery(below), 0),
            own=Case(When(rated, then=True), default=False, output_field=BooleanField()),
        )
        .filter(Q(own=True) | Q(below__gt=0))
    )
    columns = {
        "cycle": Value(cycle.pk),
        "organization": F("pk"),
        "parent": Subquery(superior.values("pk")),
        "previous": Subquery(before.values("pk")[:1]),
        "path": Concat(
            Coalesce(Subquery(superior.values("path")), Value("")), step, output_field=CharField()
        ),
        **{name: F(name) for name in ("code", "name", "short_name", "kind", "category")},
        "is_rated": F("own"),
        "has_subordinates": Case(
            When(below__gt=0, then=True), default=False, output_field=BooleanField()
        ),
        "rated_count": F("below"),
        "below_due_on": Value(_due(cycle, level), output_field=DateField()),
        "state": Value(State.DRAFT.value),
        "token": Value(0),
        "number": Value(0),
        "was_returned": Value(False),
        "is_row_excused": Value(False),
        "excuse_reason": Value(""),
    }
    return insert_select(Report, columns, organizations)


def _due(cycle: Cycle, level: int) -> date:
    """The last day for whoever reports to this level; never before the opening."""
    early = timedelta(days=cycle.days_per_level * level)
    return max(cycle.final_due_on - early, cycle.opened_on)


def _check_width(cycle: Cycle) -> None:
    crowded = (
        Report.objects.filter(cycle=cycle)
        .values("parent__name")
        .annotate(n=Count("pk"))
        .filter(n__gt=MOST_SUBORDINATES)
        .order_by("parent__name")
        .first()
    )
    if crowded:
        raise TransitionRefused(
            f"“{crowded['parent__name']}”的直接下级有{crowded['n']}个，"
            f"最多{MOST_SUBORDINATES}个，请先分设党总支或党委"
        )


def _copy_rows(cycle: Cycle) -> None:
    """An empty row for each rated report, with the facts of the previous cycle proposed."""
    reports = Report.objects.filter(cycle=cycle, is_rated=True).order_by()
    carried = {name: F(f"previous__entry__{name}") for name in CARRIED}
    empty = Value([], output_field=JSONField())
    marked = Value(CARRIED, output_field=JSONField())
    for is_linked, prefilled in ((False, empty), (True, marked)):
        insert_select(
            LedgerEntry,
            {
                "report": F("pk"),
                **carried,
                "review_reason": Value(""),
                "target_reason": Value(""),
                "explanations": Value({}, output_field=JSONField()),
                "prefilled": prefilled,
                "unread": Value({}, output_field=JSONField()),
            },
            reports.filter(previous__isnull=not is_linked),
        )


@retried
@transaction.atomic
def close_cycle(cycle: Cycle, *, by) -> Cycle:
    """Close an open cycle once its root is final; whatever is below it is final then too."""
    list(Report.objects.select_for_update(no_key=True).filter(cycle=cycle, parent=None))
    cycle = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if cycle.state != CycleState.OPEN:
        raise TransitionRefused(f"批次{cycle.get_state_display()}，不能关闭")
    waiting = Report.objects.filter(cycle=cycle, parent=None).exclude(state=State.ACCEPTED).first()
    if waiting:
        raise TransitionRefused(
            f"“{waiting.name}”{waiting.get_state_display()}，定稿后才能关闭批次"
        )
    cycle.state, cycle.closed_on = CycleState.CLOSED, timezone.localdate()
    cycle.save()
    trail.record("close_cycle", "关闭批次", [_act(cycle)], by=by)
    return cycle


@retried
@transaction.atomic
def reopen_cycle(cycle: Cycle, *, reason: str, by) -> Cycle:
    """Take a closed cycle back to 进行中, with a reason."""
    cycle = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if cycle.state != CycleState.CLOSED:
        raise TransitionRefused(f"批次{cycle.get_state_display()}，不需要恢复")
    if not reason.strip():
        raise TransitionRefused("恢复批次须写明理由")
    cycle.state, cycle.closed_on = CycleState.OPEN, None
    cycle.save()
    trail.record("reopen_cycle", "恢复批次", [_act(cycle, reason.strip())], by=by)
    return cycle
