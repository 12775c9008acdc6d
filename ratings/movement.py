"""Movement between a cycle and the one before it (rule 13): who has risen, kept, fallen.

Counted in the later cycle by its tree, over the rows that 附件一 counts there. A row that goes on
from none of the cycle before, or from one without a decision, is not comparable, and stands beside
the matrix with its reason.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Case, CharField, Count, F, Q, Value, When
from django.db.models.functions import Coalesce, Substr

from . import behind
from .choices import STANDING_STATES, CycleState, Grade, Origin, State
from .models import Cycle, Report, ReportVersion, VersionMovement
from .querysets import STEP, ancestors, below, successor
from .summary import Summary, excused_paths, share, summarize
from .versions import SEPARATOR

RISEN, KEPT, FALLEN, MISSED = "risen", "kept", "fallen", "missed"
COMPARED, INCOMPARABLE, UNRATED = "compared", "incomparable", "unrated"
NOT_GOOD, CONVERTED, MET = "not_good", "converted", "met"
REASONS = {Origin.NEW.value: "新建", **dict(Origin.choices), UNRATED: "上期未定级"}


class Row(NamedTuple):
    """What of a row movement counts; `reason`: why it is not comparable, or ""."""

    category: str
    reason: str
    before: str  # reviewed then; "" where it is not comparable
    target: str
    now: str

    @property
    def kind(self) -> str:
        return self.reason or kind_of(self.before, self.now)

    @property
    def is_met(self) -> bool | None:
        """Whether it is at or above its target of then; None where it had none."""
        return Grade(self.now).rank >= Grade(self.target).rank if self.target else None


def kind_of(before: str, now: str) -> str:
    ranks = Grade(before).rank, Grade(now).rank
    return KEPT if ranks[0] == ranks[1] else RISEN if ranks[1] > ranks[0] else FALLEN


def _of_kind(kind: str) -> Callable[[Row], bool]:
    return lambda row: row.kind == kind


# Every set of rows that a figure counts and a list opens, with its name.
SETS: Mapping[str, tuple[str, Callable[[Row], bool]]] = {
    RISEN: ("晋位", _of_kind(RISEN)),
    KEPT: ("保持", _of_kind(KEPT)),
    FALLEN: ("降级", _of_kind(FALLEN)),
    MISSED: ("未达目标", lambda row: row.is_met is False),
    **{reason: (label, _of_kind(reason)) for reason, label in REASONS.items()},
    INCOMPARABLE: ("不可比", lambda row: bool(row.reason)),
    COMPARED: ("两期可比", lambda row: not row.reason),
    NOT_GOOD: ("上期不是“好”", lambda row: not row.reason and row.before != Grade.GOOD),
    CONVERTED: ("转化", lambda row: row.before == Grade.POOR and row.now != Grade.POOR),
    MET: ("达到目标", lambda row: row.is_met is True),
}
TILES = (RISEN, KEPT, FALLEN, MISSED, *REASONS)  # all together but for `MISSED`
COLUMNS = (RISEN, KEPT, FALLEN, MISSED, INCOMPARABLE)


@dataclass(frozen=True)
class Asked:
    """Which of the rows a figure counts: of a set, of a cell or edge of the matrix, of a category
    (None: of any)."""

    kind: str = ""
    before: str = ""
    now: str = ""
    category: str | None = None

    def fits(self, row: Row) -> bool:
        return (
            (not self.before or row.before == self.before)
            and (not self.now or row.now == self.now)
            and (self.category is None or row.category == self.category)
            and (not self.kind or SETS[self.kind][1](row))
        )

    def fits_key(self, key: str) -> bool:
        """The same of the key by which such rows are counted."""
        return self.fits(Row(*key.split(SEPARATOR)))

    @property
    def label(self) -> str:
        said = [] if self.category is None else [self.category or "未分领域"]
        said += [SETS[self.kind][0]] if self.kind else []
        said += [f"上期{Grade(self.before).label}"] if self.before else []
        said += [f"本期{Grade(self.now).label}"] if self.now else []
        return "、".join(said) or "审核通过"

    def condition(self) -> Q:
        """The same of annotated rows, in SQL."""
        found = Q(pk=None)
        nows, grades = Grade.values, ["", *Grade.values]
        for reason in REASONS:
            fitting = [n for n in nows if self._fits_any(reason, "", "", n)]
            if fitting:
                found |= Q(reason=reason, now__in=fitting)
        for before in Grade.values:
            alike = defaultdict(list)  # by what fits now: targets
            for target in grades:
                fitting = tuple(n for n in nows if self._fits_any("", before, target, n))
                alike[fitting].append(target)
            for fitting, targets in alike.items():
                if fitting:
                    found |= Q(reason="", before=before, target__in=targets, now__in=fitting)
        return found if self.category is None else found & Q(field_of_work=self.category)

    def _fits_any(self, reason, before, target, now) -> bool:
        return self.fits(Row(self.category or "", reason, before, target, now))


@dataclass
class Movement:
    """Counts by 领域|不可比的原因|上期审核|上期目标|本期审核."""

    counts: Counter = field(default_factory=Counter)

    def __add__(self, other: "Movement") -> "Movement":
        return Movement(self.counts + other.counts)

    def rows(self) -> Iterator[tuple[Row, int]]:
        for key, count in self.counts.items():
            yield Row(*key.split(SEPARATOR)), count

    def count(self, kind: str = "", **asked) -> int:
        """How many rows `Asked` asks for."""
        wanted = Asked(kind, **asked)
        return sum(n for row, n in self.rows() if wanted.fits(row))

    def of(self, category: str) -> "Movement":
        """Of one category alone, a row of the sheet by category."""
        start = f"{category}{SEPARATOR}"
        return Movement(Counter({k: n for k, n in self.counts.items() if k.startswith(start)}))

    @property
    def categories(self) -> list[str]:
        return sorted({row.category for row, _ in self.rows()})

    def by_category(self) -> list[tuple[str, str, "Movement"]]:
        """Each category, its name and its rows, as `as_json` takes lines."""
        return [(one, one or "未分领域", self.of(one)) for one in self.categories]

    @property
    def total(self) -> int:
        """已定级 in this cycle."""
        return sum(self.counts.values())

    @property
    def compared(self) -> int:
        """Rated in both cycles."""
        return self.count(COMPARED)

    @property
    def now(self) -> dict[Grade, int]:
        return {grade: self.count(now=grade.value) for grade in Grade}

    def matrix(self) -> dict[Grade, dict[Grade, int]]:
        """Reviewed grade before → now → rows, of the rows that have both."""
        found = Counter()
        for row, n in self.rows():
            found[row.before, row.now] += n
        return {b: {n: found[b.value, n.value] for n in Grade} for b in Grade}

    def kinds(self) -> dict[str, int]:
        """Rows risen, kept, fallen, and not comparable: together all; `missed` beside them."""
        return {kind: self.count(kind) for kind in TILES}

    def rates(self) -> list["Rate"]:
        """晋位率, 转化率, 巩固率, 达标率, each with numerator and denominator."""
        return [Rate(self, *of) for of in RATES]


@dataclass(frozen=True)
class Rate:
    of: Movement
    name: str
    part: Asked
    base: Asked
    meaning: str

    @property
    def count(self) -> int:
        return self.of.count(self.part.kind, before=self.part.before, now=self.part.now)

    @property
    def whole(self) -> int:
        return self.of.count(self.base.kind, before=self.base.before, now=self.base.now)

    @property
    def percent(self) -> str:
        """One decimal, half up; — for 0 of 0."""
        return share(self.count, self.whole)


RATES = (
    ("晋位率", Asked(RISEN), Asked(NOT_GOOD), "晋位 ÷ 上期不是“好”的"),
    (
        "转化率",
        Asked(CONVERTED),
        Asked(before=Grade.POOR.value),
        "上期较差、本期一般以上 ÷ 上期较差",
    ),
    (
        "巩固率",
        Asked(before=Grade.GOOD.value, now=Grade.GOOD.value),
        Asked(before=Grade.GOOD.value),
        "两期都是“好” ÷ 上期“好”",
    ),
    ("达标率", Asked(MET), Asked(COMPARED), "达到或超过上期目标 ÷ 两期都定级的"),
)


# ---------------------------------------------------------------- the rows that are counted


def out_before(cycle: Cycle) -> Q:
    """Rows of a cycle that lie under 免报 in the one before."""
    found = Q(pk=None)
    if cycle.previous_id:
        earlier = Report.objects.of(cycle.previous_id)
        excused = earlier.filter(state=State.EXCUSED, has_subordinates=True)
        for path in excused.values_list("path", flat=True):
            found |= below(path, "previous__")
    return found


def out_among(rows) -> Q:
    """The same of a few rows, of any cycles."""
    linked = list(
        rows.exclude(previous=None).values_list("pk", "previous__cycle", "previous__path")
    )
    above = Q(pk=None)
    for _, cycle, path in linked:
        above |= Q(cycle=cycle, path__in=ancestors(path))
    excused = set(Report.objects.filter(above, state=State.EXCUSED).values_list("cycle", "path"))
    return Q(
        pk__in=[
            pk
            for pk, cycle, path in linked
            if any((cycle, one) in excused for one in ancestors(path))
        ]
    )


def annotated(rows, out: Q, stored: Mapping[int, str] | None = None):
    """Rows with what movement tells them apart by, the parts of `Row`: `before` and `target` are
    of no meaning where there is a `reason`.

    `out` are those under 免报 in the cycle before; `stored` gives the reviewed grades of rows that
    count as an older version has them.
    """
    out |= Q(previous__state=State.EXCUSED) | Q(previous__is_row_excused=True)
    decided = Q(previous__state=State.ACCEPTED) | Q(previous__order__isnull=False)
    decided &= Q(previous__entry__reviewed_grade__isnull=False)
    text = CharField()
    by_grade = defaultdict(list)
    for pk, grade in (stored or {}).items():
        by_grade[grade].append(pk)
    return rows.annotate(
        field_of_work=Coalesce("category__sheet_row", Value("")),
        reason=Case(
            When(previous=None, origin="", then=Value(Origin.NEW.value)),
            When(previous=None, then=F("origin")),
            When(out, then=Value(Origin.EXCUSED.value)),
            When(decided, then=Value("")),
            default=Value(UNRATED),
            output_field=text,
        ),
        before=Coalesce("previous__entry__reviewed_grade", Value("")),
        target=Coalesce("previous__entry__target_grade", Value("")),
        now=Case(
            *(When(pk__in=pks, then=Value(grade)) for grade, pks in by_grade.items()),
            default=F("entry__reviewed_grade"),
            output_field=text,
        ),
    )


PARTS = ("field_of_work", "reason", "before", "target", "now")
RANGES = 200  # of paths in one query; SQLite allows no more than a thousand terms


def row_of(category, reason, before, target, now) -> Row:
    """A `Row` of annotated parts."""
    return Row(category, reason, *(("", "") if reason else (before, target)), now)


def _key(parts: Iterable[str]) -> str:
    return SEPARATOR.join(row_of(*parts))


def counting(rows):
    """Of these reports, those whose own row counts, where all that is not excused is accepted."""
    return rows.filter(is_rated=True, is_row_excused=False, state=State.ACCEPTED)


def is_settled(cycle: Cycle) -> bool:
    """Whether the cycle before can't change any more, so that counts may be kept."""
    return cycle.previous is not None and cycle.previous.state == CycleState.CLOSED


@dataclass
class _Behind:
    """What the figures of a report count: ranges of paths, without those below `excused`, and rows
    as older versions have them."""

    ranges: list[tuple[str, str]]
    stored: dict[int, str]  # key of the report → reviewed grade
    excused: list[str]

    def places(self, ranges: Iterable[tuple[str, str]]) -> Q:
        """The rows of these ranges."""
        found = Q(pk=None)
        for start, end in ranges:
            found |= Q(path__gte=start, path__lt=end)
        for path in self.excused:
            if any(start <= path < end for start, end in ranges):
                found &= ~below(path)
        return found


def _behind(report: Report, summary: Summary, unit: str = "") -> _Behind:
    """`unit` is the path of the direct subordinate that alone is asked for."""
    if not report.has_subordinates:
        is_counted = any(line.is_counted for line in summary.lines)
        return _Behind([(report.path, successor(report.path))] if is_counted else [], {}, [])
    ranges, stored, descended = [], {}, set()
    for found in behind.walk(report, behind.listed_in(summary), descended):
        if unit and not found.start.startswith(unit):
            continue
        if found.report:
            stored[found.report.pk] = found.values["reviewed_grade"]
        else:
            ranges.append((found.start, found.end))
    return _Behind(ranges, stored, [p for p in excused_paths(report) if p not in descended])


def rows_of(
    report: Report,
    asked: Asked | None = None,
    *,
    unit: str = "",
    among=None,
    summary: Summary | None = None,
):
    """The rows that a figure of a report counts, annotated; `unit` the path of a direct
    subordinate, `among` the reports that somebody may see."""
    asked = asked or Asked()
    summary = summary or summarize(report)
    found = _behind(report, summary, unit)
    among = Report.objects.of(report.cycle_id) if among is None else among
    ranges = found.ranges
    if asked != Asked() and is_settled(report.cycle):
        ranges = narrowed(report, ranges, "accepted_version__movement__counts", asked.fits_key)
    live = counting(among).filter(found.places(_merged(ranges)))
    if found.stored:
        stored = among.filter(pk__in=found.stored)
        live = among.filter(Q(pk__in=live.values("pk")) | Q(pk__in=stored.values("pk")))
    rows = annotated(live, out_before(report.cycle), found.stored)
    if asked == Asked():
        return rows
    # Said so that the database takes it for a third of the rows, and walks them in the order of
    # paths for a page: of the condition itself it expects none, and would read all to sort them.
    is_asked = Case(When(asked.condition(), then=1), default=0)
    return rows.alias(is_asked=is_asked).filter(is_asked__gt=0)


def _merged(ranges: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours as one."""
    found = []
    for start, end in ranges:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _pieces(listed: list, size: int) -> Iterator[list]:
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


WORTH = 2000  # rows below a unit from which kept counts are asked where to look
RARE = 50  # of so many rows one that is asked for: found without help on the first page


def narrowed(
    report: Report, ranges, counts: str, is_hit: Callable[[str], bool]
) -> list[tuple[str, str]]:
    """Ranges without what the kept counts say holds none of the rows asked for, so that the rare
    ones are not looked for among all; a query a level, while it is worth it.

    `counts` names what is kept of a report: a key for each kind of rows below it, and their number.
    """
    if report.rated_count < WORTH:
        return list(ranges)
    open_ends, parents = list(ranges), [report.pk]
    while parents:
        units = {
            path: (end, pk, is_rated, count, kept)
            for path, end, pk, is_rated, count, kept in (
                (path, successor(path), *rest)
                for path, *rest in Report.objects.filter(
                    parent__in=parents, has_subordinates=True, state=State.ACCEPTED, order=None
                ).values_list("path", "pk", "is_rated", "rated_count", counts)
            )
            if kept is not None
        }
        found, parents = [], []
        for start, end in open_ends:
            inside = sorted(path for path in units if start <= path < end)
            for path in inside:
                unit_end, pk, is_rated, count, kept = units[path]
                if path > start:
                    found.append((start, path))
                hits = sum(n for key, n in kept.items() if is_hit(key))
                if is_rated or hits:
                    found.append((path, unit_end if hits else f"{path}0"))
                if hits and count > WORTH and hits * RARE < count:
                    parents.append(pk)
                start = unit_end
            if start < end:
                found.append((start, end))
        if len(_merged(found)) > RANGES:
            break
        open_ends = found
    return _merged(open_ends)


# ---------------------------------------------------------------- counts


@dataclass
class Line:
    report: Report
    movement: Movement


def lines_of(report: Report, summary: Summary | None = None) -> list[Line]:
    """A line for each direct subordinate that the figures of a report count, in the order of the
    tree; of an organization without subordinates its own row. `summary` are the figures that
    somebody may see."""
    summary = summary or summarize(report)
    if not report.has_subordinates:
        if not report.is_rated:
            return []
        rows = rows_of(report, summary=summary)
        return [Line(report, Movement(Counter(_key(p) for p in rows.values_list(*PARTS))))]
    listed = {said["code"]: said for said in behind.listed_in(summary)}
    units = Report.objects.filter(parent=report, code__in=listed).order_by("path")
    units = list(annotated(units, out_before(report.cycle)))
    counts = {unit.pk: Counter() for unit in units}
    for unit in units:
        decision = listed[unit.code]["decision"]
        if decision:
            parts = [getattr(unit, name) for name in PARTS[:-1]]
            counts[unit.pk][_key([*parts, decision["reviewed_grade"]])] += 1
    waiting = [unit for unit in units if unit.has_subordinates]
    if is_settled(report.cycle):
        kept = VersionMovement.objects.filter(
            version__report__parent=report,
            version__digest__in=[listed[unit.code]["digest"] for unit in waiting],
        )
        kept = dict(kept.values_list("version__report", "counts"))
        for pk, known in kept.items():
            counts[pk].update(known)
        waiting = [unit for unit in waiting if unit.pk not in kept]
    if waiting:
        _count_below(report, waiting, listed, counts)
    return [Line(unit, Movement(counts[unit.pk])) for unit in units]


def _count_below(report, units, listed, counts) -> None:
    """Count the rows below these direct subordinates from the rows themselves."""
    wanted, width = {unit.path: unit.pk for unit in units}, len(report.path) + STEP
    descended, ranges, stored = set(), [], {}
    for found in behind.walk(report, [listed[unit.code] for unit in units], descended):
        if found.report is None:
            ranges.append((found.start, found.end))
        elif found.start not in wanted:  # the units' own rows are counted
            stored[found.report.pk] = found.values["reviewed_grade"]
    excused = [path for path in excused_paths(report) if path not in descended]
    every, out = Report.objects.of(report.cycle_id), out_before(report.cycle)
    live = counting(every).exclude(path__in=wanted)
    pieces = _Behind([], {}, excused)
    selections = [live.filter(pieces.places(part)) for part in _pieces(_merged(ranges), RANGES)]
    if stored:
        selections.append(every.filter(pk__in=stored))
    for rows in selections:
        grouped = (
            annotated(rows, out, stored)
            .annotate(unit=Substr("path", 1, width))
            .order_by()
            .values_list("unit", *PARTS)
            .annotate(count=Count("pk"))
        )
        for path, *parts, count in grouped:
            counts[wanted[path]][_key(parts)] += count


def of(report: Report, summary: Summary | None = None) -> Movement:
    """The movement of everything that the figures of a report count."""
    return sum((line.movement for line in lines_of(report, summary)), Movement())


# ---------------------------------------------------------------- what is kept


def keep(versions: Collection[ReportVersion]) -> None:
    """Keep beside versions that were just handed up what they count, from what is kept beside
    those below them: so that no page counts it. Two queries for any number.

    Nothing is kept while the cycle before can still change: then it is counted when it is asked
    for, and kept when that cycle is closed.
    """
    made = {v.report_id: v for v in versions if v.report.has_subordinates}
    if not made or not is_settled(next(iter(made.values())).report.cycle):
        return
    cycle = next(iter(made.values())).report.cycle
    children = Report.objects.filter(parent__in=made).exclude(state=State.EXCUSED)
    counts, lacking = {pk: Counter() for pk in made}, set()
    names = ("parent", "is_rated", "is_row_excused", "has_subordinates")
    kept_below = "accepted_version__movement__counts"
    rows = annotated(children, out_before(cycle)).values_list(*names, kept_below, *PARTS)
    for parent, is_rated, is_excused, has_below, kept, *parts in rows:
        if is_rated and not is_excused:
            counts[parent][_key(parts)] += 1
        if has_below and kept is None:
            lacking.add(parent)
        counts[parent].update(kept or {})
    VersionMovement.objects.bulk_create(
        VersionMovement(version=made[pk], counts=dict(found))
        for pk, found in counts.items()
        if pk not in lacking
    )


AT_ONCE = 500  # reports


def keep_again(cycle: Cycle) -> None:
    """Count anew what is kept of movement since a cycle that was just closed: it may have changed.

    What a correction runs through is left out, and counted when it is asked for.
    """
    VersionMovement.objects.filter(version__report__cycle__previous=cycle).delete()
    for later in cycle.next.exclude(state=CycleState.PREPARING):
        later.previous = cycle
        handed = Report.objects.of(later).filter(
            has_subordinates=True, order=None, state__in=STANDING_STATES
        )
        levels = defaultdict(list)
        for pk, path in handed.values_list("pk", "path"):
            levels[len(path)].append(pk)
        for _, pks in sorted(levels.items(), reverse=True):
            for some in _pieces(pks, AT_ONCE):
                found = ReportVersion.objects.filter(
                    report__in=some, number=F("report__number")
                ).select_related("report")
                found = list(found.defer("content", "totals"))
                for version in found:
                    version.report.cycle = later
                keep(found)


# ---------------------------------------------------------------- one row, told


def outcomes(rows: Iterable[Any]) -> dict[int, Row]:
    """By key of an annotated report: what movement says of its row."""
    return {row.pk: row_of(*(getattr(row, name) for name in PARTS)) for row in rows}


def word(row: Row) -> str:
    """晋位, 降级、未达目标 or 不可比（合并）."""
    if row.reason:
        return f"不可比（{REASONS[row.reason]}）"
    missed = "、未达目标" if row.is_met is False else ""
    return f"{SETS[row.kind][0]}{missed}"


def told(movement: Movement) -> str:
    """The figures in a line."""
    rates = (
        f"{rate.name}{rate.count}/{rate.whole}（{rate.percent}{'%' if rate.whole else ''}）"
        for rate in movement.rates()
    )
    kinds = (f"{SETS[kind][0]}{count}" for kind, count in movement.kinds().items())
    return f"两期可比{movement.compared}，{'，'.join(kinds)}；{'，'.join(rates)}"


def as_json(movement: Movement, lines: Iterable[tuple[str, str, Movement]]) -> dict[str, Any]:
    """The figures as `summary --movement --json` gives them; `lines` with code and name."""

    def figures(of: Movement):
        return {
            "total": of.total,
            "compared": of.compared,
            "matrix": {
                before.label: {now.label: n for now, n in nows.items()}
                for before, nows in of.matrix().items()
            },
            "kinds": of.kinds(),
            "rates": {
                rate.name: {"count": rate.count, "of": rate.whole, "percent": rate.percent}
                for rate in of.rates()
            },
        }

    rows = [{"code": code, "name": name, **figures(of)} for code, name, of in lines]
    return {**figures(movement), "rows": rows}
