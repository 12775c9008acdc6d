"""Counts and shares: the figures of 附件一.

Under X means everything below X, never X's own row (an organization without subordinates gives
its own), so that 附件一 and 附件二/三 of one X count the same rows. Page, sheet and command take
their figures here. Every figure says what it is based on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from django.db.models import Count, Value
from django.db.models.functions import Coalesce, Substr

from . import versions
from .choices import STANDING_STATES, Grade, State
from .models import Report, ReportVersion
from .querysets import EXCUSED, STEP, below
from .versions import SEPARATOR, key_of


class Basis(Enum):
    REPORTED = "已上报"  # the unit's standing version
    REVIEWING = "审核中"  # direct subordinates accepted so far
    LIVE = "当前数据"  # recount of the rows that are decided now


@dataclass
class Figures:
    """Counts of one line of the summary. `total` is 已定级: rows with a decision."""

    expected: int = 0  # 应定级, without 免报
    excused: int = 0
    counts: Counter = field(default_factory=Counter)  # 领域|申报|审核|目标 → rows

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.expected + other.expected,
            self.excused + other.excused,
            self.counts + other.counts,
        )

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def missing(self) -> int:
        """未报: expected and not yet decided."""
        return self.expected - self.total

    def _by(self, part: int) -> dict[Grade, int]:
        found = Counter()
        for key, count in self.counts.items():
            found[key.split(SEPARATOR)[part]] += count
        return {grade: found[grade.value] for grade in Grade}

    @property
    def declared(self) -> dict[Grade, int]:
        return self._by(1)

    @property
    def reviewed(self) -> dict[Grade, int]:
        return self._by(2)

    @property
    def target(self) -> dict[Grade, int]:
        return self._by(3)

    @property
    def plans(self) -> dict[Grade, int]:
        """晋位升级目标 by reviewed grade: 巩固提高, 较好→好, 一般→较好及以上, 较差→一般及以上."""
        found = Counter()
        for key, count in self.counts.items():
            _, _, reviewed, target = key.split(SEPARATOR)
            if target:
                found[reviewed] += count
        return {grade: found[grade.value] for grade in Grade}


@dataclass
class Line:
    """One line of a summary: a direct subordinate, a category or the whole."""

    code: str
    name: str
    figures: Figures
    pk: int | None = None
    state: str = ""
    is_counted: bool = True  # whether its figures are in (accepted), not merely expected
    note: str = ""


@dataclass
class Summary:
    report: Report
    basis: Basis
    version: ReportVersion | None
    lines: list[Line]

    @property
    def total(self) -> Figures:
        return sum((line.figures for line in self.lines), Figures())


def share(count: int, total: int) -> str:
    """A percentage with one decimal, half up, without floating point; 0 of 0 is “—” (rule 8)."""
    if total == 0:
        return "—"
    tenths = (2000 * count + total) // (2 * total)
    return f"{tenths // 10}.{tenths % 10}"


def told(total: Figures, before: Figures | None = None, then: str = "") -> str:
    """How many and of what grade, in a sentence; beside `before`, the same unit's figures of the
    cycle `then`, the difference of the shares as they are printed."""
    text = f"应定级 {total.expected} 个，已定级 {total.total} 个"
    if not total.total:
        return f"{text}。"
    grades = total.reviewed.items()
    listed = (f"{grade.label} {n} 个（{share(n, total.total)}%）" for grade, n in grades)
    text += f"，其中{'、'.join(listed)}。"
    if before is None or not before.total:
        return text
    moved = [_moved(grade, total, before) for grade in (Grade.GOOD, Grade.POOR)]
    return f"{text}与{then}相比，{'，'.join(moved)}。"


def _moved(grade: Grade, now: Figures, before: Figures) -> str:
    shares = [Decimal(share(each.reviewed[grade], each.total)) for each in (now, before)]
    points = shares[0] - shares[1]
    said = f"{'上升' if points > 0 else '下降'} {abs(points)} 个百分点" if points else "持平"
    return f"“{grade.label}”的比重由 {shares[1]}% {said}"


def summarize(
    report: Report, basis: Basis | None = None, *, version: ReportVersion | None = None
) -> Summary:
    """附件一 of a report, a line for each direct subordinate.

    The basis is 已上报 while a version of the report stands, else 审核中; 当前数据 only on demand.
    `version` asks for the figures of an older version. A fixed number of queries, none of which
    reads what is below the direct subordinates.
    """
    is_older = version is not None and version.number != report.number
    if basis is None:
        basis = Basis.REPORTED if report.is_standing or version else Basis.REVIEWING
    if basis is Basis.REPORTED and version is None:
        version = report.versions.filter(number=report.number).first()
    if not report.has_subordinates:
        return Summary(report, basis, version, [_own_line(report)])
    if basis is Basis.LIVE:
        return Summary(report, basis, None, recount(report))
    if version and (is_older or report.state not in STANDING_STATES):
        subordinates = _subordinates_in(version)
    else:
        subordinates = versions.subordinates_of([report])[report.pk]
    return Summary(report, basis, version, _lines(report, subordinates))


def _lines(report: Report, subordinates: Iterable[Mapping]) -> list[Line]:
    # What is excused inside subordinates that have not reported yet: few rows, by a partial index.
    open_children = {c["pk"]: c for c in subordinates if not c["is_accepted"]}
    excused = _excused_below(report, open_children)
    lines = []
    for child in subordinates:
        out = child["excused_count"] + excused.get(child["pk"], 0)
        out = min(out, child["rated_count"])
        figures = Figures(child["rated_count"] - out, out, Counter(child["counts"]))
        note = f"免报：{child['excused']}" if child["excused"] is not None else ""
        lines.append(
            Line(
                child["code"],
                child["name"],
                figures,
                child["pk"],
                child["state"],
                child["is_accepted"],
                note,
            )
        )
    return lines


def _excused_below(report: Report, children: Mapping[int, Mapping]) -> Counter:
    """By direct subordinate: rated rows that are excused below it."""
    found = Counter()
    waiting = [pk for pk, child in children.items() if child["state"] != State.EXCUSED]
    if not waiting:
        return found
    paths = dict(Report.objects.filter(pk__in=waiting).values_list("path", "pk"))
    length, inside = len(report.path) + STEP, ""
    excused = (
        Report.objects.below(report)
        .filter(EXCUSED)
        .order_by("path")
        .values_list("path", "state", "is_rated", "rated_count", "is_row_excused")
    )
    for path, state, is_rated, rated_count, is_row in excused:
        pk = paths.get(path[:length])
        if pk is None or len(path) == length or (inside and path.startswith(inside)):
            continue
        if state == State.EXCUSED:
            inside = path
            found[pk] += int(is_rated) + rated_count
        elif is_row:
            found[pk] += 1
    return found


def _own_line(report: Report) -> Line:
    """The line of an organization without subordinates: its own row."""
    figures = Figures(int(report.counts_row), int(report.is_rated and not report.counts_row))
    if report.counts_row and report.state == State.ACCEPTED:
        figures.counts[_key(report)] += 1
    return Line(report.code, report.name, figures, report.pk, report.state, bool(figures.counts))


def _key(report: Report) -> str:
    entry = report.entry
    category = report.category.sheet_row if report.category_id else ""
    return key_of(category, entry.declared_grade, entry.reviewed_grade, entry.target_grade)


def _subordinates_in(version: ReportVersion) -> list[dict]:
    """What a stored version says of the direct subordinates, as `versions.subordinates_of` does.

    For reports that were given back since: their figures stay those of the version handed over.
    """
    listed = versions.read(version)["subordinates"]
    children = {
        child.code: child
        for child in Report.objects.filter(parent=version.report_id).select_related("category")
    }
    stored = {
        v.digest: v
        for v in ReportVersion.objects.filter(
            report__parent=version.report_id,
            digest__in=[s["digest"] for s in listed if s["digest"]],
        )
    }
    found = []
    for said in listed:
        child, below = children[said["code"]], stored.get(said["digest"])
        counts, excused = Counter(), 0
        if below:
            counts.update(below.totals["counts"])
            excused = below.totals["excused"] + (said["excused"] is not None)
            if said["decision"]:
                row, decision = versions.read(below)["row"], said["decision"]
                category = child.category.sheet_row if child.category_id else ""
                counts[
                    key_of(
                        category,
                        row["declared_grade"],
                        decision["reviewed_grade"],
                        decision["target_grade"],
                    )
                ] += 1
        else:
            excused = int(child.is_rated) + child.rated_count
        found.append(
            {
                "pk": child.pk,
                "code": child.code,
                "name": child.name,
                "state": child.state,
                "is_accepted": below is not None,
                "excused": said["excused"],
                "counts": counts,
                "excused_count": excused,
                "rated_count": int(child.is_rated) + child.rated_count,
            }
        )
    return found


def by_category(summary: Summary, names: Iterable[str]) -> list[Line]:
    """The same rows by 领域类别, in the order of `names`; others follow, “未分领域” last.

    Expected rows are known only as a whole, so these lines have just what is decided.
    """
    found = {}
    for key, count in summary.total.counts.items():
        name = key.split(SEPARATOR)[0]
        figures = found.setdefault(name, Figures())
        figures.counts[key] += count
        figures.expected += count
    order = [*names, *sorted(set(found) - {*names, ""}), ""]
    return [Line(name, name or "未分领域", found[name]) for name in order if name in found]


def recount(report: Report) -> list[Line]:
    """A line for each direct subordinate, counted from the rows that are decided now.

    Reads every row below the report; for 核对 and commands only.
    """
    children = list(Report.objects.filter(parent=report).order_by("path"))
    length = len(report.path) + STEP
    decided = Report.objects.filter(
        below(report.path),
        cycle=report.cycle_id,
        is_rated=True,
        is_row_excused=False,
        state=State.ACCEPTED,
    )
    for path in excused_paths(report):
        decided = decided.exclude(below(path))
    grouped = (
        decided.order_by()
        .annotate(
            child=Substr("path", 1, length), category_row=Coalesce("category__sheet_row", Value(""))
        )
        .values_list(
            "child",
            "category_row",
            "entry__declared_grade",
            "entry__reviewed_grade",
            "entry__target_grade",
        )
        .annotate(n=Count("pk"))
    )
    counts = {}
    for path, category, declared, reviewed, target, n in grouped:
        found = counts.setdefault(path, Counter())
        found[key_of(category, declared, reviewed, target)] += n
    lines = []
    for child in children:
        is_counted = child.state == State.ACCEPTED
        figures = Figures(
            int(child.is_rated) + child.rated_count,
            0,
            counts.get(child.path, Counter()) if is_counted else Counter(),
        )
        lines.append(Line(child.code, child.name, figures, child.pk, child.state, is_counted))
    _take_out_excused(report, children, lines)
    return lines


def excused_paths(report: Report) -> list[str]:
    """Paths of excused reports with subordinates below a report: what is under them is out."""
    excused = Report.objects.below(report).filter(state=State.EXCUSED, has_subordinates=True)
    return list(excused.values_list("path", flat=True))


def _take_out_excused(report, children, lines) -> None:
    below = _excused_below(report, {child.pk: {"state": child.state} for child in children})
    for child, line in zip(children, lines, strict=True):
        out = int(child.is_row_excused) + below[child.pk]
        if child.state == State.EXCUSED:
            out = line.figures.expected
        line.figures.expected -= out
        line.figures.excused = out
        if child.state == State.EXCUSED or child.is_row_excused:
            line.note = f"免报：{child.excuse_reason}"


def as_json(summary: Summary, lines: Iterable[Line]) -> dict:
    """The answer of `manage.py summary --json`; percentages are of the rows decided."""

    def grades(counts, total):
        return {
            grade.label: {"count": count, "percent": share(count, total)}
            for grade, count in counts.items()
        }

    def figures(of: Figures):
        return {
            "total": of.total,
            "expected": of.expected,
            "excused": of.excused,
            "missing": of.missing,
            "declared": grades(of.declared, of.total),
            "reviewed": grades(of.reviewed, of.total),
            "target": grades(of.target, of.total),
        }

    return {
        "cycle": summary.report.cycle.label,
        "under": summary.report.code,
        "basis": summary.basis.value,
        **figures(summary.total),
        "rows": [{"code": line.code, "name": line.name, **figures(line.figures)} for line in lines],
    }
