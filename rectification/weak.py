"""The list of 软弱涣散 organizations: reviewed 较差 or marked by the superior, and those that have
risen from 较差 since the cycle before, who are looked at again a year later."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from django.db.models import Q
from django.utils import timezone

from ledger_site.base import sheets
from ledger_site.base.paging import Together
from ledger_site.base.sheets import Book, Column, Row
from ratings import movement, sight
from ratings.choices import Grade
from ratings.exports import unit_of
from ratings.models import Report, ReportMove
from ratings.querysets import successor
from ratings.versions import SEPARATOR

from .choices import Progression as P
from .models import Measure, WeakMark

POOR, MARKED, RISEN = "poor", "marked", "risen"
KINDS = {POOR: "审核为较差", MARKED: "上级认定", RISEN: "已转化，待回访"}
PIECE = 500  # rows looked at together
DECIDING = ("accept", "regrade")


@dataclass
class Weak:
    """One line: `again_on` is a year after the decision by which it rose."""

    seen: sight.Seen
    kinds: list[str]
    mark: WeakMark | None
    again_on: date | None
    measure_count: int = 0
    closed_count: int = 0

    @property
    def report(self) -> Report:
        return self.seen.report

    @property
    def state(self) -> str:
        return self.seen.mark or self.report.get_state_display()

    @property
    def following(self) -> str:
        """How many of its measures are closed; "" where none is laid down."""
        return f"已销号 {self.closed_count}/{self.measure_count}" if self.measure_count else ""

    @property
    def reasons(self) -> str:
        said = [KINDS[kind] for kind in self.kinds if kind != MARKED]
        if self.mark:
            said.append(f"上级认定：{self.mark.reasons_text}")
        return "；".join(said)


def rows_of(visible, own: Report, kind: str = "") -> Together:
    """The rows of the list among those that a post may see, or of one kind of them."""
    among = visible.filter(is_rated=True).exclude(sight.out(own))
    settled = sight.settled(own)
    marked = WeakMark.objects.filter(lifted_on=None).values("report")
    better = [grade for grade in Grade if grade != Grade.POOR]
    found = {
        POOR: lambda: among.filter(
            settled, _where(own, TOTALS, _is_poor), entry__reviewed_grade=Grade.POOR
        ),
        MARKED: lambda: among.filter(pk__in=marked),
        RISEN: lambda: among.filter(
            settled,
            _where(own, MOVEMENT, _may_have_risen) if movement.is_settled(own.cycle) else Q(),
            previous__entry__reviewed_grade=Grade.POOR,
            entry__reviewed_grade__in=better,
        ),
    }
    return Together(found[each]() for each in ([kind] if kind else found))


# What is kept of a report that was accepted, from which it follows where nothing is to be found.
TOTALS, MOVEMENT = "accepted_version__totals__counts", "accepted_version__movement__counts"


def _where(own: Report, counts: str, is_hit) -> Q:
    """The places in which such rows may lie, as far as the kept counts tell."""
    whole = [(own.path, successor(own.path))]
    ranges = movement.narrowed(own, whole, counts, is_hit)
    if ranges == whole:
        return Q()
    found = Q(pk=None)
    for start, end in ranges:
        found |= Q(path__gte=start, path__lt=end)
    return found


def _is_poor(key: str) -> bool:
    """Of 领域|申报|审核|目标."""
    return key.split(SEPARATOR)[2] == Grade.POOR


def _may_have_risen(key: str) -> bool:
    """Of what movement counts; a row that it does not compare may have been 较差 all the same."""
    row = movement.Row(*key.split(SEPARATOR))
    return row.now != Grade.POOR and (bool(row.reason) or row.before == Grade.POOR)


def described(reports: Iterable[Report], post) -> Iterator[Weak]:
    """Reports of the list as lines; a fixed number of queries for any number of them."""
    reports = list(reports)
    keys = [report.pk for report in reports]
    marks = {m.report_id: m for m in WeakMark.objects.filter(report__in=keys, lifted_on=None)}
    decided = ReportMove.objects.filter(report__in=keys, action__in=DECIDING).order_by("pk")
    days = {pk: timezone.localdate(at) for pk, at in decided.values_list("report", "at")}
    counts = {
        line["report"]: line
        for line in Measure.objects.filter(report__in=keys).counted(timezone.localdate(), "report")
    }
    for seen in sight.as_seen(reports, post):
        now = seen.values and seen.values["reviewed_grade"]
        last = seen.report.previous
        was_poor = last is not None and last.entry.reviewed_grade == Grade.POOR
        mark, kinds = marks.get(seen.report.pk), []
        if now == Grade.POOR:
            kinds.append(POOR)
        if mark:
            kinds.append(MARKED)
        day = None
        if was_poor and now and now != Grade.POOR:
            kinds.append(RISEN)
            day = days.get(seen.report.pk)
        found = counts.get(seen.report.pk, {"all": 0, P.CLOSED: 0})
        yield Weak(seen, kinds, mark, day and _year_after(day), found["all"], found[P.CLOSED.value])


def _year_after(day: date) -> date:
    if (day.month, day.day) == (2, 29):
        return date(day.year + 1, 2, 28)
    return day.replace(year=day.year + 1)


def file_name(own: Report) -> str:
    day = timezone.localdate()
    name = f"软弱涣散党组织整顿台账（{own.cycle.year}年度）_{day:%Y%m%d}.xlsx"
    return sheets.file_name(unit_of(own), name)


COLUMNS = (
    Column(("序号",), 7, number_format="0"),
    Column(("党组织名称",), 24),
    Column(("上级党组织",), 20),
    Column(("审核定级类别",), 8, choices=tuple(Grade.labels)),
    Column(("列入原因",), 20, is_left=True),
    Column(("存在问题",), 32, is_left=True),
    Column(("整改措施",), 40, is_left=True),
    Column(("整改时限",), 12),
    Column(("联系领导",), 10),
    Column(("整改责任人",), 10),
    Column(("认定情况",), 24, is_left=True),
    Column(("状态",), 10),
    Column(("措施销号",), 12),
    Column(("回访日期",), 14),
)


def write(own: Report, rows, post, stream) -> int:
    """Write the list as a workbook; returns the number of rows."""
    title = f"{unit_of(own)}软弱涣散党组织整顿台账（{own.cycle.year}年度）"
    foot = (f"填报单位（盖章）：{own.name}", "填报人：", "审核人：", "填报日期：")
    with Book(stream, title, post.unit_name) as book:
        written = book.add(sheets.Form("软弱涣散", title, COLUMNS, foot), _lines(rows, post))
    return written.row_count


def _lines(rows, post) -> Iterator[Row]:
    number, last = 0, ""
    while piece := list(rows.filter(path__gt=last).order_by("path")[:PIECE]):
        last = piece[-1].path
        for one in described(piece, post):
            number += 1
            values, report = one.seen.values or {}, one.report
            grade = values.get("reviewed_grade")
            yield Row(
                [
                    number,
                    report.short_name,
                    report.parent.short_name if report.parent_id else "",
                    Grade(grade).label if grade else "",
                    one.reasons,
                    *(values.get(name) or "" for name in ("problems", "measures", "deadline_text")),
                    *(values.get(name) or "" for name in ("contact_leader", "responsible_name")),
                    f"{one.mark.marked_on:%Y-%m-%d} {one.mark.note}" if one.mark else "",
                    one.state,
                    one.following,
                    f"{one.again_on:%Y-%m-%d}" if one.again_on else "",
                ]
            )
