"""Movement between a cycle and the one before it (rule 13): who has risen, kept, fallen.

Counted in the later cycle by its tree, over the rows that are accepted there: those of accepted
direct subordinates and all below them. A row without a decision in the cycle before, new, merged,
split or 免报 then, is not comparable, and stands beside the matrix.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db.models import Count, F, Q, Value
from django.db.models.functions import Coalesce

from .choices import CycleState, Grade, State
from .models import Report, VersionMovement
from .querysets import below
from .summary import excused_paths, share
from .versions import SEPARATOR

RISEN, KEPT, FALLEN, MISSED, NEW = "risen", "kept", "fallen", "missed", "new"
KINDS = {RISEN: "晋位", KEPT: "保持", FALLEN: "降级", MISSED: "未达目标", NEW: "无上期可比"}
PARTS = {  # what counts are told apart by
    "field_of_work": Coalesce("category__sheet_row", Value("")),
    "before": Coalesce("previous__entry__reviewed_grade", Value("")),
    "target": Coalesce("previous__entry__target_grade", Value("")),
    "now": F("entry__reviewed_grade"),
}


@dataclass
class Movement:
    """Counts by 领域|上期审核|上期目标|本期审核; the grades before may be empty."""

    counts: Counter = field(default_factory=Counter)

    def __add__(self, other: "Movement") -> "Movement":
        return Movement(self.counts + other.counts)

    def _parts(self) -> Iterator[tuple[str, str, str, str, int]]:
        for key, count in self.counts.items():
            yield *key.split(SEPARATOR), count

    def of(self, category: str) -> "Movement":
        """Of one category alone, a row of the sheet by category."""
        start = f"{category}{SEPARATOR}"
        return Movement(Counter({k: n for k, n in self.counts.items() if k.startswith(start)}))

    @property
    def categories(self) -> list[str]:
        return sorted({category for category, *_ in self._parts()})

    @property
    def total(self) -> int:
        """已定级 in this cycle."""
        return sum(self.counts.values())

    @property
    def compared(self) -> int:
        """Rated in both cycles."""
        return self.total - self.new

    @property
    def new(self) -> int:
        return sum(n for _, before, _, _, n in self._parts() if not before)

    @property
    def now(self) -> dict[Grade, int]:
        found = Counter()
        for _, _, _, now, n in self._parts():
            found[now] += n
        return {grade: found[grade.value] for grade in Grade}

    def matrix(self) -> dict[Grade, dict[Grade, int]]:
        """Reviewed grade before → now → rows, of the rows that have both."""
        found = Counter()
        for _, before, _, now, n in self._parts():
            found[before, now] += n
        return {b: {n: found[b.value, n.value] for n in Grade} for b in Grade}

    def kinds(self) -> dict[str, int]:
        """Rows risen, kept, fallen, and not comparable: together all; `missed` beside them."""
        found = Counter()
        for _, before, target, now, n in self._parts():
            found[kind_of(before, now)] += n
            if before and target and Grade(now).rank < Grade(target).rank:
                found[MISSED] += n
        return {kind: found[kind] for kind in KINDS}

    def rates(self) -> list["Rate"]:
        """晋位率, 转化率, 巩固率, 达标率, each with numerator and denominator."""
        matrix, kinds = self.matrix(), self.kinds()
        good, poor = matrix[Grade.GOOD], matrix[Grade.POOR]
        above = sum(n for now, n in poor.items() if now != Grade.POOR)
        aimed = sum(n for _, before, target, _, n in self._parts() if before and target)
        compared = self.compared
        return [
            Rate("晋位率", kinds[RISEN], compared - sum(good.values()), "晋位 ÷ 上期不是“好”的"),
            Rate("转化率", above, sum(poor.values()), "上期较差、本期一般以上 ÷ 上期较差"),
            Rate("巩固率", good[Grade.GOOD], sum(good.values()), "两期都是“好” ÷ 上期“好”"),
            Rate("达标率", aimed - kinds[MISSED], compared, "达到或超过上期目标 ÷ 两期都定级的"),
        ]


@dataclass(frozen=True)
class Rate:
    name: str
    count: int
    whole: int
    meaning: str

    @property
    def percent(self) -> str:
        """One decimal, half up; — for 0 of 0."""
        return share(self.count, self.whole)


def kind_of(before: str, now: str) -> str:
    if not before:
        return NEW
    ranks = Grade(before).rank, Grade(now).rank
    return KEPT if ranks[0] == ranks[1] else RISEN if ranks[1] > ranks[0] else FALLEN


def forget(cycle) -> None:
    """Drop what was kept of movement since a cycle that is closed: it may have been open again."""
    VersionMovement.objects.filter(version__report__cycle__previous=cycle).delete()


@dataclass
class Line:
    report: Report
    movement: Movement


def lines_of(report: Report, *, keeps: bool = True) -> list[Line]:
    """A line for each accepted direct subordinate of a report, in the order of the tree; of an
    organization without subordinates its own row, once it is accepted.

    `keeps`: what had to be counted is kept; not inside a snapshot, which only reads. Nothing is
    kept, nor taken from what was, while the cycle before can still change.
    """
    before = report.cycle.previous
    is_settled = before is not None and before.state == CycleState.CLOSED
    if not report.has_subordinates:
        own = Report.objects.filter(pk=report.pk, state=State.ACCEPTED)
        return [Line(report, Movement(_counted(own)))] if report.is_rated else []
    directs = list(
        Report.objects.filter(parent=report, state=State.ACCEPTED)
        .order_by("path")
        .select_related("accepted_version__movement")
    )
    rows = rows_of(report).filter(parent=report)
    own = {}
    for pk, key, count in _grouped(rows, "pk"):
        own.setdefault(pk, Counter())[key] += count
    excused = excused_paths(report)
    return [
        Line(
            direct,
            Movement(own.get(direct.pk, Counter()) + _below(direct, excused, is_settled, keeps)),
        )
        for direct in directs
    ]


def _below(direct: Report, excused, is_settled: bool, keeps: bool) -> Counter:
    """What is counted below an accepted report, by its version: a look-up, but for the first."""
    if not direct.has_subordinates or direct.accepted_version is None:
        return Counter()
    if is_settled and hasattr(direct.accepted_version, "movement"):
        return Counter(direct.accepted_version.movement.counts)
    rows = accepted(Report.objects.below(direct))
    for path in excused:
        rows = rows.exclude(below(path))
    counts = _counted(rows)
    if not (keeps and is_settled) or Report.objects.below(direct).exclude(order=None).exists():
        return counts  # while a correction runs, these are not the rows of the version
    VersionMovement.objects.bulk_create(
        [VersionMovement(version=direct.accepted_version, counts=counts)], ignore_conflicts=True
    )
    return counts


def accepted(reports):
    """Of these reports, the rows with a decision."""
    return reports.filter(is_rated=True, is_row_excused=False, state=State.ACCEPTED).exclude(
        entry__reviewed_grade=None
    )


def rows_of(report: Report, among=None):
    """The rows that the movement of a report counts, what its matrix opens, row by row; `among`
    the reports that somebody may see."""
    among = Report.objects.of(report.cycle_id) if among is None else among
    if not report.has_subordinates:
        return accepted(among.filter(pk=report.pk))
    directs = Report.objects.filter(
        parent=report, state=State.ACCEPTED, has_subordinates=True
    ).values_list("path", flat=True)
    places = Q(parent=report)
    for path in directs:
        places |= below(path)
    rows = accepted(among).filter(places)
    for path in excused_paths(report):
        rows = rows.exclude(below(path))
    return rows


def _grouped(rows, *names):
    return (
        (*values[: len(names)], SEPARATOR.join(values[len(names) : -1]), values[-1])
        for values in rows.order_by()
        .annotate(**PARTS)
        .values_list(*names, *PARTS)
        .annotate(count=Count("pk"))
    )


def _counted(rows) -> Counter:
    return Counter(dict(_grouped(accepted(rows))))


# ---------------------------------------------------------------- drill-down


def chosen(rows, *, before="", now="", kind="", category=""):
    """The rows behind a figure: those of a cell of the matrix, or of a kind."""
    rows = rows.annotate(**PARTS)
    if category:
        rows = rows.filter(field_of_work=category)
    if before:
        rows = rows.filter(before=before)
    if now:
        rows = rows.filter(now=now)
    if kind == NEW:
        return rows.filter(before="")
    if kind in (RISEN, KEPT, FALLEN):
        return rows.filter(_pairs(lambda b, n: kind_of(b, n) == kind))
    if kind == MISSED:
        return rows.exclude(before="").filter(_missed())
    return rows


def _pairs(fits) -> Q:
    found = Q(pk=None)
    for b in Grade.values:
        nows = [n for n in Grade.values if fits(b, n)]
        found |= Q(before=b, now__in=nows)
    return found


def _missed() -> Q:
    found = Q(pk=None)
    for target in Grade:
        lower = [grade.value for grade in Grade if grade.rank < target.rank]
        found |= Q(target=target.value, now__in=lower)
    return found
