"""催报 that the system leaves by itself, once a day, where the cycle says so.

By the rules of those that people leave: each unit once a day at most, kept as they were. What comes
near is said once, what is late again after a week, also where the superior said it in between.
"""

from collections.abc import Mapping
from datetime import date, time, timedelta
from string import Formatter

from django.db.models import (
    Case,
    CharField,
    DateField,
    DateTimeField,
    Exists,
    F,
    OuterRef,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast, Concat, ExtractDay, ExtractMonth
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.db import insert_select
from ledger_site.base.trail import WithoutUnit
from ledger_site.jobs.routines import every_night
from orgs.choices import Role
from orgs.models import Appointment

from .choices import OPEN_STATES, CycleState, Occasion
from .models import Cycle, Reminder, Report
from .querysets import below
from .services import LATE_TEXT
from .summary import excused_paths

AUTOMATIC = "自动催报"  # in the place of the unit that reminds
AGAIN = 7  # days after which what is late is said again
NEAR_TEXT = (
    "{name}：{cycle}分类定级台账将于{month}月{day}日24:00截止上报，"
    "目前状态为“{state}”，请按时上报。"
)


@every_night("remind", "自动催报", time(7, 30))
def remind_of_reports() -> str:
    """Who has not reported in an open cycle, though the day comes near or is past."""
    cycles = Cycle.objects.open().exclude(remind_days=None).order_by("pk")
    return told(sum(map(remind_in, cycles)))


def told(count: int) -> str:
    return f"催报 {count} 个单位"


@trail.service("自动催报")
def remind_in(cycle: Cycle) -> int:
    """Remind the units of one cycle of their reports; how many there were to remind."""
    found = held(cycle)
    if found is None or found.state != CycleState.OPEN:
        return 0
    today, reports = timezone.localdate(), Report.objects.of(found).unreported()
    reports = outside_excused(found, reports)
    last_day = today + timedelta(days=found.remind_days)
    state = Case(*(When(state=state, then=Value(state.label)) for state in OPEN_STATES))
    texts = {
        "name": F("short_name"),
        "cycle": Value(str(found)),
        "month": Cast(ExtractMonth("due_on"), CharField()),
        "day": Cast(ExtractDay("due_on"), CharField()),
        "state": state,
    }
    counts = {
        Occasion.NEAR: leave(
            reports.filter(due_on__range=(today, last_day)),
            Occasion.NEAR,
            filled(NEAR_TEXT, texts),
            unless_since=today - timedelta(days=found.remind_days),
        ),
        Occasion.LATE: leave(
            reports.filter(due_on__lt=today),
            Occasion.LATE,
            filled(LATE_TEXT, texts),
            unless_since=today - timedelta(days=AGAIN - 1),
        ),
    }
    return note(found, counts)


def held(cycle: Cycle) -> Cycle | None:
    """A cycle that reminds, held against its closing and another worker; None where none does."""
    cycles = Cycle.objects.select_for_update(no_key=True).exclude(remind_days=None)
    return cycles.filter(pk=cycle.pk).first()


def outside_excused(cycle: Cycle, reports):
    """Without what lies at any depth below 免报, which is out by derivation."""
    for root in Report.objects.of(cycle).filter(parent=None):
        for path in excused_paths(root):
            reports = reports.exclude(below(path))
    return reports


def filled(template: str, values: Mapping) -> Concat:
    """A template of `str.format`, filled in by the database with these expressions."""
    parts = []
    for text, name, *_ in Formatter().parse(template):
        parts += [Value(text)] if text else []
        parts += [values[name]] if name else []
    return Concat(*parts, output_field=TextField())


def leave(reports, occasion: Occasion, text, *, unless_since: date) -> int:
    """Leave reminders with these reports, whose text the database makes, in one statement; how
    many.

    Not where there was one of the occasion since a day, nor where nobody holds a post today who
    could read it.
    """
    earlier = Reminder.objects.filter(
        report=OuterRef("pk"), occasion=occasion, on__gte=unless_since
    )
    readers = Appointment.objects.active().filter(organization=OuterRef("organization"))
    rows = reports.filter(Exists(readers.exclude(role=Role.AUDIT))).exclude(Exists(earlier))
    columns = {
        "report": F("pk"),
        "occasion": Value(occasion.value),
        "on": Value(timezone.localdate(), DateField()),
        "at": Value(timezone.now(), DateTimeField()),
        "text": text,
        "person_name": Value(WithoutUnit.person_name),
        "unit_name": Value(AUTOMATIC),
    }
    return insert_select(Reminder, columns, rows.order_by("path"), skips_conflicts=True)


def note(cycle: Cycle, counts: Mapping[Occasion, int]) -> int:
    """One event for all that was left; whom it concerns is kept with the reminders."""
    if total := sum(counts.values()):
        data = {occasion.value: count for occasion, count in counts.items() if count}
        act = trail.Act("cycle", cycle.pk, cycle.label, cycle.title, data=data)
        trail.record("remind", "自动催报", [act], by=WithoutUnit())
    return total
