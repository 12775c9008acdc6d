"""What is counted of the measures beforehand, so that no page of a large unit counts it.

A unit with many rows below it takes the figures of its direct subordinates from here and says as of
when they are; a smaller one counts when it is asked. The worker counts a cycle anew, once a minute
at most, where something of it has changed. Days are kept as they are: what is overdue follows from
them when a page is asked for.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Case, Count, F, Max, Min, Q, When
from django.db.models.functions import Substr
from django.utils import timezone

from ledger_site.jobs.services import keeps_house
from ratings import sight
from ratings.choices import CycleState, State
from ratings.models import Cycle, Report, ReportMove, Takeover
from ratings.querysets import STEP, from_path, successor

from .choices import MeasureState as M
from .choices import Progression as P
from .models import Counting, Measure, MeasureCount, Progress
from .querysets import WEEK

LARGE = 5000  # rows below a unit from which its figures are counted beforehand
APART = timedelta(minutes=1)
SHARE = 10  # of the time between two counts one part is spent on counting, at most
SEPARATOR = "|"


@dataclass
class Tally:
    """Measures of a unit and everything below it by 类别|状态|完成日期 (of the open ones), and its
    rows by the first day of their open ones."""

    measures: Counter = field(default_factory=Counter)
    rows: Counter = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        self.measures.update(other.measures)
        self.rows.update(other.rows)

    def by_topic(self, today: date) -> dict[str, dict[str, int]]:
        """By topic the numbers that `querysets.counts` asks a query for."""
        found = defaultdict(lambda: dict.fromkeys([*P.values, "all"], 0))
        for key, count in self.measures.items():
            topic, state, due_on = key.split(SEPARATOR)
            for name in _progressions(state, due_on, today):
                found[topic][name] += count
        return dict(found)

    def numbers(self, today: date) -> dict[str, int]:
        found = dict.fromkeys([*P.values, "all"], 0)
        for line in self.by_topic(today).values():
            for name, count in line.items():
                found[name] += count
        return found

    def late_rows(self, today: date) -> int:
        return sum(count for day, count in self.rows.items() if day < today.isoformat())


def _progressions(state: str, due_on: str, today: date) -> Iterator[str]:
    """As `querysets.at` says it to the database."""
    yield "all"
    yield state
    if state == M.OPEN and due_on:
        if due_on < today.isoformat():
            yield P.OVERDUE.value
        elif due_on <= (today + WEEK).isoformat():
            yield P.WEEK.value


# ---------------------------------------------------------------- read


@dataclass
class Kept:
    """What is kept below a unit, by the path of the direct subordinate; `at`: as of when."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    at: datetime | None = None

    def rest(self, rows, start: Report, subordinates: Iterable[Report]):
        """Those of the rows below `start` that must be counted: its own, and what is not kept."""
        if not self.tallies:
            return rows.filter(from_path(start.path))
        places = Q(pk=start.pk)
        for report in subordinates:
            if report.path not in self.tallies:
                places |= from_path(report.path)
        return rows.filter(places)

    def by_topic(self, today: date) -> dict[str, dict[str, int]]:
        whole = Tally()
        for tally in self.tallies.values():
            whole.add(tally)
        return whole.by_topic(today)


def kept_below(start: Report, own: Report, subordinates: Iterable[Report]) -> Kept:
    """What is kept of subordinates of `start`, as far as all of them is seen from `own`."""
    if start.rated_count <= LARGE:
        return Kept()
    seen = {
        report.pk: report.path
        for report in subordinates
        if start.pk != own.pk or report.is_standing
    }
    found = MeasureCount.objects.filter(report__in=seen)
    kept = Kept()
    for pk, measures, rows, at in found.values_list("report", "measures", "rows", "counted_at"):
        kept.tallies[seen[pk]] = Tally(Counter(measures), Counter(rows))
        kept.at = min(at, kept.at or at)
    return kept


# ---------------------------------------------------------------- count


def count(cycle: Cycle) -> int:
    """Count the measures below every large unit of a cycle, each of them once; of how many units
    the numbers are kept now."""
    at, found = timezone.now(), {}
    for root in Report.objects.of(cycle).filter(parent=None, rated_count__gt=LARGE):
        _count_below(root, found)
    kept = [
        MeasureCount(report_id=pk, measures=one.measures, rows=one.rows, counted_at=at)
        for pk, one in found.items()
    ]
    with transaction.atomic():
        MeasureCount.objects.bulk_create(
            kept,
            update_conflicts=True,
            unique_fields=["report"],
            update_fields=["measures", "rows", "counted_at"],
            batch_size=500,
        )
        MeasureCount.objects.filter(report__cycle=cycle, counted_at__lt=at).delete()
    return len(kept)


def _count_below(report: Report, found: dict[int, Tally]) -> Tally:
    """Add the direct subordinates of a large unit by their keys; returns the whole of it."""
    children = Report.objects.filter(parent=report)
    large = children.filter(rated_count__gt=LARGE).exclude(state=State.EXCUSED)
    large = list(large.order_by("path"))
    places, start = Q(pk=None), report.path  # what lies between them
    for child in large:
        places |= Q(path__gte=start, path__lt=child.path)
        start = successor(child.path)
    places |= Q(path__gte=start, path__lt=successor(report.path))
    rows = Report.objects.of(report.cycle_id).filter(places).exclude(sight.out(report))
    tallies = _counted(rows.order_by(), report)
    for child in large:
        tallies[child.path] = _count_below(child, found)
    whole = Tally()
    for tally in tallies.values():
        whole.add(tally)
    for pk, path in children.values_list("pk", "path"):
        found[pk] = tallies.get(path, Tally())
    return whole


def _counted(rows, report: Report) -> dict[str, Tally]:
    """By the path of the direct subordinate, or the report's own."""
    rows = rows.annotate(unit=Substr("path", 1, len(report.path) + STEP))
    found = defaultdict(Tally)
    day = Case(When(measures__state=M.OPEN, then=F("measures__due_on")))
    measures = rows.filter(measures__isnull=False).annotate(day=day)
    measures = measures.values_list("unit", "measures__topic", "measures__state", "day")
    for unit, topic, state, due_on, n in measures.annotate(n=Count("measures__number")):
        key = SEPARATOR.join((topic, state, due_on.isoformat() if due_on else ""))
        found[unit].measures[key] += n
    late = rows.filter(measures__state=M.OPEN, measures__due_on__isnull=False)
    late = late.values_list("unit", "pk").annotate(first=Min("measures__due_on"))
    for unit, _, due_on in late.iterator():
        found[unit].rows[due_on.isoformat()] += 1
    return found


# ---------------------------------------------------------------- by the worker

# What changes the numbers of a cycle, whoever writes it: newer keys tell of it.
SOURCES = {
    "measure": (Measure.objects.all(), "report__cycle"),
    "progress": (Progress.objects.all(), "measure__report__cycle"),
    "move": (ReportMove.objects.filter(action__in=("excuse", "include")), "report__cycle"),
}


@keeps_house
def count_what_changed() -> int:
    """Count anew what is due of the cycles with a large unit; how many cycles were counted."""
    large = Report.objects.filter(parent=None, rated_count__gt=LARGE)
    cycles = Cycle.objects.exclude(state=CycleState.PREPARING)
    return sum(_count_if_due(cycle) for cycle in cycles.filter(pk__in=large.values("cycle")))


def _count_if_due(cycle: Cycle) -> bool:
    now, marks = timezone.now(), _marks()
    first = {"looked_at": now, "next_at": now + APART, "marks": marks, "earlier": marks}
    last, is_new = Counting.objects.get_or_create(cycle=cycle, defaults=first)
    mine = Counting.objects.filter(cycle=cycle)
    if not is_new:
        # Of several workers one looks.
        due = mine.filter(next_at=last.next_at, next_at__lte=now)
        if not due.update(next_at=now + APART):
            return False
    seconds, is_due = 0.0, is_new or _has_changed(cycle, last)
    if is_due:
        start = time.monotonic()
        count(cycle)
        seconds = time.monotonic() - start
    next_at = now + max(APART, timedelta(seconds=SHARE * seconds))
    mine.update(looked_at=now, next_at=next_at, marks=marks, earlier=last.marks)
    return is_due


def _marks() -> dict[str, int]:
    return {
        name: records.aggregate(last=Max("pk"))["last"] or 0
        for name, (records, _) in SOURCES.items()
    }


def _has_changed(cycle: Cycle, last: Counting) -> bool:
    """Since the look before the last one: what was being written then may have come since, with
    keys that were given before."""
    since = last.looked_at - 2 * APART
    if Takeover.objects.filter(cycle=cycle, done_at__gte=since).exists():
        return True
    return any(
        records.filter(pk__gt=last.earlier.get(name, 0), **{to_cycle: cycle}).exists()
        for name, (records, to_cycle) in SOURCES.items()
    )
