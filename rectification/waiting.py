"""What of the measures waits for a post: its own to be done, its subordinates' to be verified, and
whether something is overdue below it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import or_

from django.db.models import Count, Q

from orgs.choices import Role
from ratings.choices import State
from ratings.models import Report
from ratings.querysets import below

from . import counting
from .choices import MeasureState as M
from .choices import Progression as P
from .models import Measure
from .querysets import rows_seen

MOST = 1000  # overdue measures below are counted so far
CYCLES = 2  # the newest with something overdue


@dataclass
class Waiting:
    """Numbers of measures in one cycle; each kind is counted for itself."""

    report: Report  # of the own unit
    sent_back: int = 0
    overdue: int = 0
    week: int = 0
    claimed: int = 0  # of direct subordinates
    overdue_below: int = 0  # at most `MOST` and one

    @property
    def is_own(self) -> bool:
        return bool(self.sent_back or self.overdue or self.week)

    @property
    def own_text(self) -> str:
        counts = (("退回整改", self.sent_back), ("逾期", self.overdue), ("七天内到期", self.week))
        return "，".join(f"{label} {count} 条" for label, count in counts if count)

    @property
    def overdue_text(self) -> str:
        return f"{MOST} 条以上" if self.overdue_below > MOST else f"{self.overdue_below} 条"


def waiting_for(post, reports: Iterable[Report], today: date) -> list[Waiting]:
    """By the own unit's reports, newest cycle first; a bounded number of queries and rows."""
    found = {report.cycle_id: Waiting(report) for report in reports}
    if post.has(Role.FILL):
        own = Measure.objects.filter(report__in=[one.report.pk for one in found.values()])
        for line in own.counted(today, "report__cycle"):
            one = found[line["report__cycle"]]
            one.overdue, one.week = line[P.OVERDUE], line[P.WEEK]
        if any(one.report.is_rated for one in found.values()):
            for cycle, count in _by_cycle(own.sent_back()):
                found[cycle].sent_back = count
    if post.has(Role.REVIEW):
        direct = Measure.objects.filter(report__parent__in=[w.report.pk for w in found.values()])
        for cycle, count in _by_cycle(direct.filter(state=M.CLAIMED)):
            found[cycle].claimed = count
        asked = _with_overdue_below([one.report for one in found.values()], today)
        for one in [one for one in found.values() if one.report.cycle_id in asked]:
            one.overdue_below = _overdue_below(post, one.report, today)
            if sum(bool(each.overdue_below) for each in found.values()) == CYCLES:
                break
    return list(found.values())


def _with_overdue_below(owns: list[Report], today: date) -> set[int]:
    """Cycles in which something may be overdue below the unit: asked by its place in each, so that
    the overdue ones of all other units are not looked through."""
    found, places = set(), []
    for own in owns:
        if own.rated_count > counting.LARGE:
            found.add(own.cycle_id)
        elif own.has_subordinates:
            places.append(Q(below(own.path, "report__"), report__cycle=own.cycle_id))
    if not places:
        return found
    late = Measure.objects.at(P.OVERDUE, today).filter(reduce(or_, places)).order_by()
    return found | set(late.values_list("report__cycle", flat=True).distinct())


def _overdue_below(post, own: Report, today: date) -> int:
    subordinates = list(Report.objects.filter(parent=own).exclude(state=State.EXCUSED))
    kept = counting.kept_below(own, own, subordinates)
    rows = kept.rest(rows_seen(post, own), own, subordinates).exclude(pk=own.pk)
    late = Measure.objects.filter(report__in=rows.values("pk")).at(P.OVERDUE, today)
    count = len(late.order_by().values_list("pk")[: MOST + 1])
    count += sum(tally.numbers(today)[P.OVERDUE] for tally in kept.tallies.values())
    return min(count, MOST + 1)


def _by_cycle(measures):
    return measures.order_by().values_list("report__cycle").annotate(n=Count("pk"))
