"""上报进度, held against a replay of the moves; where it is shown, against what is beside it."""

import re
from datetime import date, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from ratings import progress, workflow
from ratings.choices import STANDING_STATES, State
from ratings.models import Cycle, Report, ReportMove
from ratings.progress import Day

from .. import factories
from ..factories import OrganizationFactory, accept, fill, report_of, submit

START = date(2012, 11, 1)


@pytest.fixture
def told(line):
    """A township whose six branches went different ways within twelve days."""
    units = [
        OrganizationFactory(code=f"N{n}", name=f"第{n}村党支部", parent=line.units["township"])
        for n in range(6)
    ]
    line.cycle = factories.open_cycle(2012, 2)
    Cycle.objects.filter(pk=line.cycle.pk).update(opened_on=START, closed_on=START + timedelta(12))
    ones = [report_of(unit, line.cycle) for unit in units]
    by = line.township
    for report in ones[:4]:
        submit(fill(report))
    accept(ones[0])
    workflow.move("reopen", report_of(units[0]), by=by, reason="核实")
    accept(ones[1])
    workflow.move("send_back", report_of(units[2]), by=by, reason="补充")
    workflow.move("excuse", report_of(units[4]), by=by, reason="撤并")
    later = report_of(units[5]).due_on + timedelta(days=1)
    workflow.move("extend", report_of(units[5]), by=by, reason="病假", until=later)
    for n, move in enumerate(ReportMove.objects.filter(report__in=ones).order_by("pk")):
        at = datetime.combine(START + timedelta(1 + n), datetime.min.time())  # just after midnight
        ReportMove.objects.filter(pk=move.pk).update(at=timezone.make_aware(at))
    line.of = lambda name: report_of(line.units[name], line.cycle)
    return line


def replayed(report, day):
    states = []
    for child in Report.objects.filter(parent=report):
        last = child.moves.filter(at__date__lte=day).order_by("-pk").first()
        states.append(last.target if last else State.DRAFT)
    return Day(day, sum(s in STANDING_STATES for s in states), states.count(State.ACCEPTED))


def test_each_day_is_as_the_moves_left_it(told, django_assert_num_queries):
    reports = [told.of(name) for name in ("province", "county", "township", "branch")]

    with django_assert_num_queries(2):
        found = progress.of(reports)

    assert found.keys() == {report.pk for report in reports[:3]}
    own = found[reports[2].pk]
    assert own.days == [replayed(reports[2], day.on) for day in own.days]
    # Opened, nine moves but the extension, closed.
    assert [(day.on - START).days for day in own.days] == [*range(10), 12]
    assert [day[1:] for day in own.days[-2:]] == [(2, 1), (2, 1)]
    assert own.expected == 8 - 1
    assert [day[1:] for day in found[reports[1].pk].days] == [(0, 0), (0, 0)]
    assert progress.of([]) == {}


def said(page):
    """What the drawing says, and the newest row of its table."""
    text = page.content.decode()
    (desc,) = re.findall(r'<desc id="progress[^>]*>([^<]*)', text)
    row = re.search(r'每日进度.*?<tbody><tr><th scope="row">([\d-]+)</th>(.*?)</tr>', text, re.S)
    return [int(n) for n in re.findall(r" (\d+)", desc)], row and [
        int(n) for n in re.findall(r">(\d+)<", row[2])
    ]


def test_pages_draw_the_progress_of_the_own_subordinates(client, told):
    client.force_login(told.township.user)
    Cycle.objects.exclude(pk=told.cycle.pk).update(state="closed")

    queue = client.get(reverse("ratings:queue", args=[told.cycle]))
    summary = client.get(reverse("ratings:own_summary", args=[told.cycle]))
    desk = client.get(reverse("desk"))

    assert said(queue) == said(summary) == ([7, 2, 1], [2, 1])
    assert said(desk) == ([7, 2, 1], None)
    tiles = {one["label"]: one["count"] for one in queue.context["counts"]}
    assert (tiles["应报"], tiles["待审核"] + tiles["已审核"], tiles["已审核"]) == (7, 2, 1)


def test_nobody_is_shown_the_progress_of_others(client, told):
    client.force_login(told.branch.user)
    alone = client.get(reverse("ratings:own_summary", args=[told.cycle]))
    Report.objects.filter(pk=told.of("county").pk).update(state=State.SUBMITTED)
    client.force_login(told.province.user)
    other = client.get(reverse("ratings:summary", args=[told.of("county").pk]))

    assert alone.context["progress"] is None
    assert other.context.get("progress") is None
