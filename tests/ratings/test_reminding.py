"""自动催报: whom the system reminds by itself, how often, and that it says so."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.models import AuditEvent
from ledger_site.jobs import routines
from orgs.choices import Role
from orgs.models import Appointment
from ratings import reminding, services, workflow
from ratings.choices import CycleState, State
from ratings.models import Cycle, Reminder, Report
from tests.factories import OrganizationFactory, appoint, fill, open_cycle, submit

TODAY = timezone.localdate


def due_in(line, days, name="township"):
    """The day of those directly below a unit; of all others none is near."""
    Report.objects.update(below_due_on=TODAY() + timedelta(days=90))
    unit = line.units[name]
    Report.objects.filter(organization=unit).update(below_due_on=TODAY() + timedelta(days=days))


@pytest.fixture
def day(monkeypatch):
    """Go on to another day, counted from today."""
    today = TODAY()

    def go(days):
        monkeypatch.setattr(timezone, "localdate", lambda *a: today + timedelta(days=days))

    return go


def run() -> str:
    return reminding.remind_of_reports()


def left() -> list[tuple[str, str]]:
    found = Reminder.objects.order_by("pk").select_related("report")
    return [(one.report.code, one.occasion) for one in found]


def test_what_comes_near_is_said_once_and_what_is_late_every_week(line, day):
    due_in(line, 5)
    seen = {}
    for passed in range(21):
        day(passed)
        before = Reminder.objects.count()
        run()
        if new := left()[before:]:
            seen[passed] = new

    near = [("B1", "near"), ("B2", "near")]
    late = [("B1", "late"), ("B2", "late")]
    assert seen == {2: near, 6: late, 13: late, 20: late}


def test_a_day_on_which_nothing_ran_is_made_up_for(line, day):
    due_in(line, 5)
    day(4)
    run()
    day(5)
    run()

    assert left() == [("B1", "near"), ("B2", "near")]


def test_it_is_said_in_the_name_of_the_system_with_words_that_people_would_choose(line, client):
    due_in(line, 2)
    run()
    reminder = Reminder.objects.get(report__code="B1")

    day = TODAY() + timedelta(days=2)
    assert (reminder.person, reminder.person_name, reminder.unit_name) == (None, "系统", "自动催报")
    assert reminder.text == (
        f"丙村党支部：2012年度分类定级台账将于{day.month}月{day.day}日24:00截止上报，"
        "目前状态为“填报中”，请按时上报。"
    ).replace("丙村党支部", line.of("branch").short_name)
    event = AuditEvent.objects.get(action="remind")
    assert (event.person_name, event.object_kind, event.data) == ("系统", "cycle", {"near": 2})
    # The words of a late one are those of the superior's own 催报.
    Reminder.objects.all().delete()
    due_in(line, -1)
    run()
    report = line.of("branch")
    assert Reminder.objects.get(report=report).text == services.reminder_text(report)
    # The unit sees it on its desk, the superior in the queue.
    client.force_login(line.branch.user)
    assert "系统（自动催报）" in client.get(reverse("desk")).content.decode()
    client.force_login(line.township.user)
    page = client.get(reverse("ratings:queue", args=[line.cycle]))
    assert [one.person_name for one in page.context["history"]] == ["系统", "系统"]
    assert "系统（自动催报）" in page.content.decode()


def test_nobody_is_reminded_twice_a_day_whoever_does_it(line):
    due_in(line, -1)
    (mine,) = services.remind([line.of("branch")], by=line.township)

    assert run() == "催报 1 个单位"
    assert run() == "催报 0 个单位"
    assert services.remind([line.of("branch"), line.of("sibling")], by=line.township) == []
    assert left() == [("B1", "late"), ("B2", "late")]
    assert Reminder.objects.get(report=mine.report).person_name == line.township.person_name


def test_only_who_has_to_do_something_is_reminded(line):
    """Handed in, 免报, below 免报 at any depth, under correction, extended, the root: none."""
    deep = OrganizationFactory(code="D", name="深处党支部", parent=line.units["branch"])
    cycle = open_cycle(2012, 2)
    appoint(deep)
    Report.objects.update(below_due_on=TODAY() - timedelta(days=1))
    Cycle.objects.exclude(pk=cycle.pk).update(remind_days=None)
    reports = Report.objects.filter(cycle=cycle)
    assert {one.code for one in reports} == {"P", "C", "T", "B1", "B2", "D"}

    def reminded():
        Reminder.objects.all().delete()
        run()
        return {code for code, _ in left()}

    assert reminded() == {"C", "T", "B1", "B2", "D"}
    reports.filter(code="B2").update(extended_to=TODAY())
    reports.filter(code="D").update(state=State.RETURNED)
    assert reminded() == {"C", "T", "B1", "B2", "D"}
    assert dict(left()) == dict.fromkeys(("C", "T", "B1", "D"), "late") | {"B2": "near"}
    assert "已退回" in Reminder.objects.get(report__code="D").text
    reports.filter(code="B2").update(state=State.SUBMITTED)
    assert reminded() == {"C", "T", "B1", "D"}
    reports.filter(code="T").update(state=State.EXCUSED)
    assert reminded() == {"C"}


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({}, 2),
        ({"remind_days": None}, 0),
        ({"state": CycleState.CLOSED}, 0),
        ({"state": CycleState.PREPARING}, 0),
    ],
)
def test_a_cycle_that_is_not_open_or_says_so_reminds_nobody(line, values, count):
    due_in(line, -1)
    Cycle.objects.update(**values)

    run()

    assert Reminder.objects.count() == count
    assert AuditEvent.objects.filter(action="remind").count() == bool(count)


def test_with_no_days_before_the_last_day_itself_is_said(line, day):
    Cycle.objects.update(remind_days=0)
    due_in(line, 1)
    run()
    assert left() == []

    day(1)
    run()

    assert left() == [("B1", "near"), ("B2", "near")]


def test_where_nobody_could_read_it_none_is_left_until_somebody_can(line):
    due_in(line, -1)
    posts = Appointment.objects.filter(organization=line.units["branch"])
    posts.update(ended_on=TODAY())
    appoint(line.units["branch"], Role.AUDIT)  # who audits does nothing else
    run()
    assert left() == [("B2", "late")]

    appoint(line.units["branch"], Role.FILL)
    run()

    assert left() == [("B2", "late"), ("B1", "late")]


def test_one_who_has_handed_in_is_not_shown_it_any_longer(line, client):
    due_in(line, 1)
    run()
    fill(line.of("branch"))
    submit(line.of("branch"))
    client.force_login(line.branch.user)

    assert client.get(reverse("desk")).context["reminders"] == []
    report = line.of("branch")
    workflow.move("send_back", report, by=line.township, token=report.token, reason="再改")
    assert len(client.get(reverse("desk")).context["reminders"]) == 1


def test_it_takes_as_many_queries_for_many_as_for_few(line):
    due_in(line, -1)

    def used():
        with CaptureQueriesContext(connection) as queries:
            run()
        return len(queries)

    few = used()
    for number in range(5):
        appoint(OrganizationFactory(code=f"X{number}", parent=line.units["township"]))
    Cycle.objects.all().update(remind_days=None)
    open_cycle(2012, 2)
    due_in(line, -1)

    assert used() == few
    assert Reminder.objects.count() == 2 + 7


def test_it_is_done_every_morning(db):
    for name in ("remind", "remind_measures"):
        assert routines.KINDS[name].is_wanted()
        assert routines.run(name)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_several_workers_and_a_superior_at_once_each_unit_is_reminded_once(line):
    due_in(line, -1)

    def remind(number):
        try:
            if number % 3:
                return reminding.remind_in(line.cycle)
            both = [line.of("branch"), line.of("sibling")]
            return len(services.remind(both, by=line.township))
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(remind, range(6))) == 2
    assert Reminder.objects.count() == 2
