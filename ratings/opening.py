"""The life of a cycle: 准备 → 进行中 → 已关闭, and the copy of the tree made at its opening."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.db.models import Case, F, JSONField, Q, Sum, Value, When, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.db import analyzed, insert_select, next_key
from ledger_site.base.progress import Tell, untold
from ledger_site.base.workflow import TransitionRefused
from orgs import tree
from orgs.models import Organization

from . import lineage, movement
from .choices import CycleState, State
from .columns import REPORTED
from .models import Cycle, LedgerEntry, Report, ScoreSheet
from .querysets import STEP

DAYS_TO_REPORT = 60  # until the root has everything, where the cycle does not say
MOST_SUBORDINATES = 10**STEP - 2  # a path needs a successor of as many digits
PHASES = 4  # of an opening, that tell how far it is
CARRIED = [field.name for field in REPORTED if field.carries_over]


def _act(cycle: Cycle, reason: str = "", **data) -> trail.Act:
    return trail.Act("cycle", cycle.pk, cycle.label, cycle.title, reason, data)


def rated(cycle: Cycle) -> Q:
    """Which organizations are rated in the cycle: marked so, open, not temporary, within its
    kinds and categories (either level)."""
    scope = Q(is_rated=True, closed_on=None, is_temporary=False)
    if cycle.kinds:
        scope &= Q(kind__in=cycle.kinds)
    chosen = list(cycle.categories.values_list("pk", flat=True))
    if chosen:
        scope &= Q(category__in=chosen) | Q(category__parent__in=chosen)
    return scope


@trail.service("新建批次")
def create_cycle(
    year: int, round: int = 1, *, previous: Cycle | None = None, categories=(), by, **values
) -> Cycle:
    """Make a cycle in preparation, with the score sheet of the previous one if that has one;
    raises `TransitionRefused` where year and round exist."""
    if Cycle.objects.filter(year=year, round=round).exists():
        raise TransitionRefused(f"批次 {year}-{round} 已存在")
    title = f"{year}年度" + ("" if round == 1 else f"第{round}次")
    cycle = Cycle.objects.create(
        year=year, round=round, previous=previous, **{"title": title, **values}
    )
    cycle.categories.set(categories)
    said = {}
    for sheet in ScoreSheet.objects.filter(cycle=previous, is_used=True):
        said = {"score_sheet_of": previous.label}
        sheet.cycle, sheet.is_scored, sheet.token = cycle, False, 1
        sheet.save(force_insert=True)
    trail.record("create_cycle", "新建批次", [_act(cycle, **said)], by=by)
    return cycle


# What can still be changed once reports are there; the rest is the measure of their copy.
CHANGED_LATER = ("title", "remind_days")
STALE = "批次的设置刚刚由他人修改，请核对现在的内容后再保存"


@trail.service("修改批次")
def edit_cycle(cycle: Cycle, values: Mapping[str, Any], *, by, token: int) -> Cycle:
    """Change the settings of a cycle: all of them in preparation, `CHANGED_LATER` after that.

    The same again changes nothing. Raises `TransitionRefused` for a stale token, or where year
    and round are another cycle's.
    """
    cycle = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if cycle.token != token:
        raise TransitionRefused(STALE)
    names = [name for name in values if name != "categories"]
    old = {name: getattr(cycle, name) for name in names}
    changes = {name: [old[name], values[name]] for name in names if old[name] != values[name]}
    if "categories" in values:
        chosen = [
            sorted(cycle.categories.values_list("pk", flat=True)),
            sorted(values["categories"]),
        ]
        if chosen[0] != chosen[1]:
            changes["categories"] = chosen
    if not changes:
        return cycle
    if cycle.state != CycleState.PREPARING and not changes.keys() <= set(CHANGED_LATER):
        raise TransitionRefused(f"批次{cycle.get_state_display()}，只能修改名称和自动催报")
    for name in names:
        setattr(cycle, name, values[name])
    same = Cycle.objects.filter(year=cycle.year, round=cycle.round)
    if same.exclude(pk=cycle.pk).exists():
        raise TransitionRefused(f"批次 {cycle.label} 已存在")
    cycle.token += 1
    cycle.save()
    if "categories" in changes:
        cycle.categories.set(values["categories"])
    said = {name: [_plain(value) for value in pair] for name, pair in changes.items()}
    trail.record("edit_cycle", "修改批次", [_act(cycle, **said)], by=by)
    return cycle


def _plain(value):
    return str(value) if isinstance(value, date | Cycle) else value


@trail.service("新建批次")
def create_and_open(year: int, round: int, *, previous: Cycle | None, by) -> Cycle:
    return open_cycle(create_cycle(year, round, previous=previous, by=by), by=by)


@trail.service("批次开始")
def open_cycle(cycle: Cycle, *, by, tell: Tell = untold) -> Cycle:
    """Open a prepared cycle: copy the tree of every rated organization and of all above them.

    A fixed number of statements, whatever the size of the tree. Rows go on from those of the
    previous cycle as `lineage` says, and the facts of these are proposed, marked as prefilled;
    grades and measures never are.
    Raises `TransitionRefused` where it is not in preparation or nothing is in scope.
    """
    tell("划定范围", 0, PHASES)
    tree.lock()  # the copy is of one moment
    cycle = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if cycle.state != CycleState.PREPARING:
        raise TransitionRefused(f"批次{cycle.get_state_display()}，不能再次开始")
    today = timezone.localdate()
    cycle.state, cycle.opened_on, cycle.opened_at = CycleState.OPEN, today, timezone.now()
    cycle.final_due_on = cycle.final_due_on or today + timedelta(days=DAYS_TO_REPORT)
    cycle.save()
    _draw_up(cycle)
    _check_width()
    tell("建立报送件", 1, PHASES)
    count = _copy_reports(cycle)
    if not count:
        raise TransitionRefused("没有纳入定级的党组织，不能开始批次；请先导入组织并标记纳入定级")
    lineage.link(cycle)
    tell("建立台账行", 2, PHASES)
    _copy_rows(cycle)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE scope")
    tell("整理", 3, PHASES)
    analyzed(Report, LedgerEntry, rows=count)
    trail.record("open_cycle", "批次开始", [_act(cycle, reports=count)], by=by)
    return cycle


# The scope of a cycle, as a table for the length of the opening. Read in the order of the tree,
# nested sets put everything below an organization into the (rght - lft - 1) / 2 places behind it:
# how many of these are rated is the difference of two running sums, without looking at them.
SCOPE = """
CREATE TEMPORARY TABLE scope AS
WITH RECURSIVE
  numbered (id, parent_id, level, size, own, place, reached) AS ({organizations}),
  counted AS (
    SELECT n.id, n.parent_id, n.level, n.own, n.place, l.reached - n.reached AS below
      FROM numbered n JOIN numbered l ON l.place = n.place + n.size),
  kept AS (
    SELECT counted.*, ROW_NUMBER() OVER (PARTITION BY parent_id ORDER BY place) AS step
      FROM counted WHERE own = 1 OR below > 0),
  placed AS (
    SELECT kept.*, {step} AS path FROM kept WHERE parent_id IS NULL
    UNION ALL
    SELECT kept.*, placed.path || {step} FROM kept JOIN placed ON placed.id = kept.parent_id)
SELECT {key} AS report_id, id, parent_id, level, own, below, step, path
  FROM placed ORDER BY path
"""
# Steps of equal length, also beyond what a path can hold: `_check_width` tells of these.
STEP_TEXT = f"SUBSTR(CAST({10**STEP} + kept.step AS TEXT), 2)"

REPORTS = """
INSERT INTO ratings_report (
  id, cycle_id, organization_id, parent_id, previous_id, path, code, name, short_name, kind,
  category_id, is_rated, has_subordinates, rated_count, below_due_on, state, token, number,
  was_returned, is_row_excused, excuse_reason, origin, origin_text)
SELECT s.report_id, %s, o.id, above.report_id,
  CASE WHEN NOT {excused} THEN before.id END, s.path, o.code, o.name, o.short_name,
  o.kind, o.category_id, s.own = 1, s.below > 0, s.below, CASE s.level {due} END, 'draft', 0, 0,
  FALSE, FALSE, '',
  CASE WHEN earlier.id IS NULL THEN '' WHEN before.id IS NULL THEN 'new'
    WHEN {excused} THEN 'excused' ELSE '' END,
  CASE WHEN earlier.id IS NULL THEN ''
    WHEN before.id IS NULL AND o.opened_on >= earlier.opened_on THEN '新建'
    WHEN before.id IS NULL THEN '上期未纳入'
    WHEN {excused} THEN '上期免报：' || before.excuse_reason ELSE '' END
  FROM scope s
  JOIN orgs_organization o ON o.id = s.id
  LEFT JOIN scope above ON above.id = s.parent_id
  LEFT JOIN ratings_cycle earlier ON earlier.id = %s
  LEFT JOIN ratings_report before
    ON before.cycle_id = earlier.id AND before.organization_id = s.id
 ORDER BY s.path
"""
EXCUSED = "(before.is_row_excused OR before.state = 'excused')"


def _draw_up(cycle: Cycle) -> None:
    """Fill the table `scope`: the rated organizations and all above them, each with its place."""
    own = Case(When(rated(cycle), then=1), default=0)
    order = [F("tree_id"), F("lft")]
    organizations = (
        Organization.objects.order_by()
        .annotate(size=(F("rght") - F("lft") - 1) / 2, own=own)
        .values_list(
            "pk",
            "parent_id",
            "level",
            "size",
            "own",
            Window(RowNumber(), order_by=order),
            Window(Sum(own), order_by=order),
        )
    )
    sql, params = organizations.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            SCOPE.format(
                organizations=sql,
                step=STEP_TEXT,
                key=next_key(Report, "ROW_NUMBER() OVER (ORDER BY path)"),
            ),
            params,
        )
        cursor.execute("CREATE INDEX scope_id ON scope (id)")
        cursor.execute("ANALYZE scope")


def _copy_reports(cycle: Cycle) -> int:
    """A report for each organization in scope; how many."""
    due = " ".join(["WHEN %s THEN %s"] * (tree.MAX_DEPTH + 1))
    params = [cycle.pk]
    for level in range(tree.MAX_DEPTH + 1):
        params += level, connection.ops.adapt_datefield_value(due_on(cycle, level))
    with connection.cursor() as cursor:
        cursor.execute(REPORTS.format(due=due, excused=EXCUSED), [*params, cycle.previous_id])
        return cursor.rowcount


def due_on(cycle: Cycle, level: int) -> date:
    """The last day for whoever reports to this level; never before the opening."""
    early = timedelta(days=cycle.days_per_level * level)
    return max(cycle.final_due_on - early, cycle.opened_on)


def _check_width() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT o.name, MAX(s.step) AS n FROM scope s JOIN orgs_organization o "
            "ON o.id = s.parent_id GROUP BY o.id, o.name HAVING MAX(s.step) > %s ORDER BY o.name",
            [MOST_SUBORDINATES],
        )
        crowded = cursor.fetchone()
    if crowded:
        name, count = crowded
        raise TransitionRefused(
            f"“{name}”的直接下级有{count}个，最多{MOST_SUBORDINATES}个，请先分设党总支或党委"
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


@trail.service("关闭批次")
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
    movement.keep_again(cycle)
    trail.record("close_cycle", "关闭批次", [_act(cycle)], by=by)
    return cycle


@trail.service("恢复批次")
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
