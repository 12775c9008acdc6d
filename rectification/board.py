"""The board of measures: how far they are, in numbers and as a list; who is late, and reminded."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, F
from django.db.models.functions import Substr
from django.utils import timezone

from ledger_site.base import sheets
from ledger_site.base.sheets import Book, Column, Row
from ratings import pictures
from ratings.exports import unit_of
from ratings.models import Report
from ratings.querysets import STEP

from . import counting
from .choices import Grouping, Reach, Topic
from .choices import Progression as P
from .counting import Kept
from .querysets import at, counts

PIECE = 500
NO_TOPIC = "none"
NONE = dict.fromkeys([*P.values, "all"], 0)


def chosen(
    measures,
    own: Report,
    unit: Report | None = None,
    *,
    today: date,
    state="",
    topic="",
    helper="",
    leader="",
    reach="",
    whole=False,
):
    """Measures by what the filters of the page ask for; what is not asked for is not narrowed.

    `reach` counts from `unit`, where one is asked for, otherwise from `own`.
    """
    start = unit or own
    if reach == Reach.OWN:
        measures = measures.filter(report=start)
    elif reach == Reach.DIRECT:
        measures = measures.filter(report__parent=start)
    elif unit:
        measures = measures.under(unit)
    if state:
        measures = measures.at(state, today)
    if topic:
        measures = measures.filter(topic="" if topic == NO_TOPIC else topic)
    if helper:
        measures = measures.helped_by(helper, is_whole=whole)
    if leader:
        measures = measures.led_by(leader, is_whole=whole)
    return measures


# ---------------------------------------------------------------- figures


@dataclass
class Line:
    """One line of figures: `asked` are the parameters by which the list shows exactly its rows."""

    name: str
    counts: dict[str, int]
    asked: dict[str, str]
    report: Report | None = None  # of the own unit and its subordinates


# From the rows, whose measures are joined once; from the measures, the rows would be twice.
def by_unit(rows, start: Report, subordinates: list[Report], kept: Kept, today: date) -> list[Line]:
    """The own row of `start`, if it has measures, and direct subordinates with all below them;
    `rows` are the reports that are seen, without what is `kept`."""
    found = {line.pop("unit"): line for line in _by_unit(rows, start).annotate(**_counts(today))}
    found |= {path: tally.numbers(today) for path, tally in kept.tallies.items()}
    lines = []
    own = found.get(start.path, NONE)
    if own["all"]:
        asked = {"unit": start.pk, "reach": Reach.OWN.value}
        lines.append(Line(f"{start.short_name}（本级）", own, asked))
    for report in subordinates:
        asked = {"unit": report.pk}
        lines.append(Line(report.short_name, found.get(report.path, NONE), asked, report))
    return lines


def _by_unit(rows, start: Report):
    """Grouped by the path of the subordinate of `start` in which each lies, or its own."""
    return rows.annotate(unit=Substr("path", 1, len(start.path) + STEP)).values("unit")


def _counts(today: date) -> dict:
    return counts(today, "measures__")


def by_topic(rows, kept: Kept, today: date) -> list[Line]:
    found = kept.by_topic(today)
    for line in rows.values("measures__topic").annotate(**_counts(today)):
        topic = line.pop("measures__topic")
        if topic is not None:  # of the rows without measures
            found[topic] = _added(found.get(topic, NONE), line)
    return [
        Line(label, found[topic], {"topic": topic or NO_TOPIC})
        for topic, label in (*Topic.choices, ("", "未分类"))
        if topic in found
    ]


def total(rows, kept: Kept, today: date) -> dict[str, int]:
    """The numbers of the measures of all the rows together, and of what is kept."""
    found = rows.aggregate(**_counts(today))
    for tally in kept.tallies.values():
        found = _added(found, tally.numbers(today))
    return found


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one[name] + other[name] for name in NONE}


def sum_of(lines: list[Line]) -> dict[str, int]:
    return {name: sum(line.counts[name] for line in lines) for name in NONE}


def by_name(measures, grouping: Grouping, today: date, text: str = ""):
    """Rows of name and numbers of the helping units or contact leaders, for pages by `name`."""
    field = "helpers__name" if grouping == Grouping.HELPER else "contact_leader"
    rows = measures.annotate(name=F(field)).filter(name__gt="")
    if text:
        rows = rows.filter(name__icontains=text)
    return rows.counted(today, "name").values_list("name", *P.values, "all", named=True)


def lines_by_name(rows, grouping: Grouping) -> list[Line]:
    return [
        Line(row.name, row._asdict(), {grouping.value: row.name, "whole": "on"}) for row in rows
    ]


# What a bar shows of a line, 逾期 apart: how it is filled, its label, and its number.
BARS = (
    ("poor", P.OVERDUE.label, lambda counts: counts[P.OVERDUE]),
    ("average", "进行中，未逾期", lambda counts: counts[P.OPEN] - counts[P.OVERDUE]),
    ("fairly_good", P.CLAIMED.label, lambda counts: counts[P.CLAIMED]),
    ("good", P.CLOSED.label, lambda counts: counts[P.CLOSED]),
)


def bars(lines: list[Line]) -> list[list[dict]]:
    """The parts of a bar for each line, all by one scale; the first, 逾期, left of the axis."""
    counted = [[count(line.counts) for *_, count in BARS] for line in lines]
    places = pictures.diverging([(first, rest) for first, *rest in counted])
    return [
        [
            {"fill": fill, "label": label, "count": n, "x": x, "width": width}
            for (fill, label, _), n, (x, width) in zip(BARS, counts, found, strict=True)
        ]
        for counts, found in zip(counted, places, strict=True)
    ]


# ---------------------------------------------------------------- late ones


@dataclass(frozen=True)
class Late:
    """How many measures are overdue in a direct subordinate and below it, in how many units."""

    measures: int
    reports: int
    at: datetime | None = None  # as of when, where it was counted beforehand


def late_below(rows, own: Report, subordinates, today: date) -> dict[str, Late]:
    """By path of the direct subordinate: what is overdue in it and below it; `rows` are seen."""
    kept = counting.kept_below(own, own, subordinates)
    rest = kept.rest(rows, own, subordinates).exclude(pk=own.pk)
    late = rest.filter(at(P.OVERDUE, today, "measures__"))
    late = _by_unit(late, own).annotate(n=Count("measures"), m=Count("pk", distinct=True))
    found = {line["unit"]: Late(line["n"], line["m"]) for line in late}
    for path, tally in kept.tallies.items():
        if reports := tally.late_rows(today):
            found[path] = Late(tally.numbers(today)[P.OVERDUE], reports, kept.at)
    return found


LATE_TEXT = "{name}：{where}有 {count} 条整改措施已过完成日期，请尽快办理并填写进展（{cycle}）。"


def late_text(report: Report, late: Late) -> str:
    """What the reminder says."""
    as_of = f"截至{timezone.localtime(late.at):%H:%M}，" if late.at else ""
    where = f"所属 {late.reports} 个党组织" if report.has_subordinates else ""
    return LATE_TEXT.format(
        name=report.short_name, where=as_of + where, count=late.measures, cycle=report.cycle
    )


# ---------------------------------------------------------------- the sheet


def file_name(own: Report) -> str:
    name = f"整改措施进展台账（{own.cycle.year}年度）_{timezone.localdate():%Y%m%d}.xlsx"
    return sheets.file_name(unit_of(own), name)


COLUMNS = (
    Column(("党组织名称",), 24),
    Column(("上级党组织",), 20),
    Column(("序号",), 7, number_format="0"),
    Column(("整改措施",), 60, is_left=True),
    Column(("类别",), 12, choices=tuple(Topic.labels)),
    Column(("整改时限",), 16),
    Column(("完成日期",), 14),
    Column(("责任人",), 14),
    Column(("联系领导",), 14),
    Column(("帮扶单位",), 24, is_left=True),
    Column(("状态",), 10),
    Column(("销号日期",), 14),
)


def write(own: Report, measures, post, stream) -> int:
    """Write measures as a workbook; returns the number of rows."""
    title = f"{unit_of(own)}整改措施进展台账（{own.cycle.year}年度）"
    foot = (f"填报单位（盖章）：{own.name}", "填报人：", "审核人：", "填报日期：")
    with Book(stream, title, post.unit_name) as book:
        written = book.add(sheets.Form("整改措施", title, COLUMNS, foot), _lines(measures))
    return written.row_count


def _lines(measures) -> Iterator[Row]:
    last = 0
    related = measures.select_related("report__parent").prefetch_related("helpers")
    while piece := list(related.filter(pk__gt=last).order_by("pk")[:PIECE]):
        last = piece[-1].pk
        for one in piece:
            report = one.report
            yield Row(
                [
                    report.short_name,
                    report.parent.short_name if report.parent_id else "",
                    one.number,
                    one.text,
                    one.get_topic_display() if one.topic else "",
                    one.deadline_text,
                    f"{one.due_on:%Y-%m-%d}" if one.due_on else "",
                    one.owner,
                    one.contact_leader,
                    "、".join(helper.name for helper in one.helpers.all()),
                    P.OVERDUE.label if one.is_overdue else one.get_state_display(),
                    f"{one.closed_on:%Y-%m-%d}" if one.closed_on else "",
                ]
            )
