"""What of the measures waits for a post: its own to be done, its subordinates' to be verified, and
whether something is overdue below it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import Count, Exists, OuterRef

from orgs.choices import Role
from ratings.models import Cycle, Report

from .choices import MeasureState as M
from .choices import Progression as P
from .models import Measure

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
        return "，".join(f"{label} {count} 条" for label, count in counts if count) + "。"

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
        overdue = Measure.objects.at(P.OVERDUE, today).filter(report__cycle=OuterRef("pk"))
        late_in = Cycle.objects.filter(Exists(overdue), pk__in=found).values_list("pk", flat=True)
        for pk in late_in.order_by("-year", "-round")[:CYCLES]:
            one = found[pk]
            late = Measure.objects.seen_by(post, one.report).exclude(report=one.report)
            late = late.at(P.OVERDUE, today).order_by().values_list("pk")[: MOST + 1]
            one.overdue_below = len(late)
    return list(found.values())


def _by_cycle(measures):
    return measures.order_by().values_list("report__cycle").annotate(n=Count("pk"))
