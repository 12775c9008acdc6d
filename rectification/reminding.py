"""催报 of overdue measures that the system leaves by itself, with the unit whose measures they are:
its superiors see on the desk what is overdue below them."""

from datetime import time, timedelta

from django.db.models import CharField, Count, F, OuterRef, Subquery, Value
from django.db.models.functions import Cast
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.jobs.routines import every_night
from ratings import reminding
from ratings.choices import CycleState, Occasion
from ratings.models import Cycle, Report
from ratings.querysets import EXCUSED

from .board import LATE_TEXT
from .choices import Progression
from .models import Measure


@every_night("remind_measures", "自动催报整改措施", time(7, 40))
def remind_of_measures() -> str:
    """Whose measures are overdue, in closed cycles too, since measures go on."""
    cycles = Cycle.objects.exclude(state=CycleState.PREPARING).exclude(remind_days=None)
    return reminding.told(sum(map(remind_in, cycles.order_by("pk"))))


@trail.service("自动催报")
def remind_in(cycle: Cycle) -> int:
    """Remind the units of one cycle of their own measures; how many there were to remind."""
    found = reminding.held(cycle)
    if found is None:
        return 0
    today = timezone.localdate()
    late = Measure.objects.at(Progression.OVERDUE, today)
    reports = (
        Report.objects.of(found)
        .exclude(EXCUSED)
        .filter(pk__in=late.filter(report__cycle=found).values("report"))
    )
    own = late.filter(report=OuterRef("pk")).order_by().values("report")
    texts = {
        "name": F("short_name"),
        "where": Value(""),
        "count": Cast(Subquery(own.annotate(n=Count("pk")).values("n")), CharField()),
        "cycle": Value(str(found)),
    }
    count = reminding.leave(
        reminding.outside_excused(found, reports),
        Occasion.MEASURES,
        reminding.filled(LATE_TEXT, texts),
        unless_since=today - timedelta(days=reminding.AGAIN - 1),
    )
    return reminding.note(found, {Occasion.MEASURES: count})
