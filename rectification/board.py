"""The board of measures: due this week, overdue, waiting for verification, closed."""

from collections.abc import Iterator
from datetime import date, timedelta

from django.db.models import Q
from django.utils import timezone

from ledger_site.base import sheets
from ledger_site.base.sheets import Book, Column, Row
from ratings.exports import unit_of
from ratings.models import Report

from .choices import MeasureState as M
from .choices import Topic
from .models import Measure

WEEK, OVERDUE, CLAIMED, CLOSED, OPEN = "week", "overdue", "claimed", "closed", "open"
STATES = {
    WEEK: "七天内到期",
    OVERDUE: "逾期",
    CLAIMED: "待验收",
    CLOSED: "已销号",
    OPEN: "进行中",
}
PIECE = 500


def chosen(measures, *, state="", topic="", helper="", leader="", today: date):
    """Measures by what the filters of the page ask for; what is not asked for is not narrowed."""
    if state in (WEEK, OVERDUE):
        last = today + timedelta(days=7)
        span = {"due_on__lt": today} if state == OVERDUE else {"due_on__range": (today, last)}
        measures = measures.filter(state=M.OPEN, **span)
    elif state:
        measures = measures.filter(state=state)
    if topic:
        measures = measures.filter(topic=topic)
    if helper:
        measures = measures.filter(
            Q(pk__in=Measure.objects.filter(helpers__name__icontains=helper).values("pk"))
        )
    if leader:
        measures = measures.filter(contact_leader__icontains=leader)
    return measures


def file_name(own: Report) -> str:
    name = f"整改措施进展台账（{own.cycle.year}年度）_{timezone.localdate():%Y%m%d}.xlsx"
    return sheets.file_name(unit_of(own), name)


COLUMNS = (
    Column(("党组织名称",), 30),
    Column(("上级党组织",), 28),
    Column(("序号",), 7, number_format="0"),
    Column(("整改措施",), 60, is_left=True),
    Column(("类别",), 12, choices=tuple(Topic.labels)),
    Column(("整改时限",), 16),
    Column(("完成日期",), 14),
    Column(("责任人",), 14),
    Column(("联系领导",), 14),
    Column(("帮扶单位",), 30, is_left=True),
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
                    STATES[OVERDUE] if one.is_overdue else one.get_state_display(),
                    f"{one.closed_on:%Y-%m-%d}" if one.closed_on else "",
                ]
            )
