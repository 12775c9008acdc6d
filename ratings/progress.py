"""进度: how many direct subordinates had handed in, and how many were accepted, day by day.

Of the direct subordinates alone: what one of them has done below it is seen only when it reports.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.db.models import Count, F
from django.db.models.functions import TruncDate
from django.utils import timezone

from .choices import STANDING_STATES, State
from .models import Report, ReportMove

MOST_DAYS = 60  # told one by one; of more, the last of each week


class Day(NamedTuple):
    """As it was at the end of a day."""

    on: date
    handed_in: int  # 已上报 or 已审核
    accepted: int


@dataclass(frozen=True)
class Progress:
    """`days` are the first of the cycle, those on which something changed, and the last."""

    due_on: date | None
    expected: int  # without 免报, as of now
    days: list[Day]


def of(reports: Iterable[Report]) -> dict[int, Progress]:
    """By report with subordinates, of begun cycles, how far these are; `reports` come with `cycle`.

    Counted back from what is now, so that the last day is what the lists say. Two queries for any
    number of reports, over the moves of their direct subordinates alone.
    """
    reports = {report.pk: report for report in reports if report.has_subordinates}
    if not reports:
        return {}
    now, moves = defaultdict(Counter), defaultdict(list)
    states = Report.objects.filter(parent__in=reports).order_by()
    for pk, state, n in states.values_list("parent", "state").annotate(n=Count("pk")):
        now[pk][state] = n
    moved = ReportMove.objects.filter(report__parent__in=reports).exclude(source=F("target"))
    moved = moved.order_by().annotate(day=TruncDate("at"))
    moved = moved.values_list("report__parent", "day", "source", "target")
    for pk, *move in moved.annotate(n=Count("pk")):
        moves[pk].append(move)
    return {pk: _progress(report, now[pk], moves[pk]) for pk, report in reports.items()}


def _progress(report: Report, now: Counter, moves: Collection) -> Progress:
    by_day = defaultdict(list)
    for day, *move in moves:
        by_day[day].append(move)
    cycle, days, counts = report.cycle, [], Counter(now)
    last = max([cycle.closed_on or timezone.localdate(), *by_day])
    first = min([cycle.opened_on or last, *by_day])
    for day in sorted({first, last, *by_day}, reverse=True):
        handed_in = sum(counts[state] for state in STANDING_STATES)
        days.append(Day(day, handed_in, counts[State.ACCEPTED]))
        for source, target, n in by_day[day]:
            counts[target] -= n
            counts[source] += n
    expected = sum(now.values()) - now[State.EXCUSED]
    return Progress(report.below_due_on, expected, thinned(days[::-1]))


def thinned(days: list[Day]) -> list[Day]:
    """The first, and of too many the last of each week."""
    if len(days) <= MOST_DAYS:
        return days
    weeks = {day.on.isocalendar()[:2]: day for day in days}
    return [days[0], *(day for day in weeks.values() if day is not days[0])]
