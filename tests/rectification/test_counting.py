"""What is counted beforehand: the same numbers as from the rows, counted anew when they change."""

import random
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from ratings import workflow as rating_workflow
from ratings.models import Cycle, Report
from rectification import board, counting, services, workflow
from rectification.models import Counting, Measure, MeasureCount
from rectification.querysets import rows_seen
from rectification.waiting import waiting_for
from tests import factories
from tests.factories import OrganizationFactory, grow, hand_up
from tests.rectification.test_board import (
    act,
    assert_each_figure_opens_its_rows,
    figures,
    lay,
)

pytestmark = pytest.mark.django_db
TODAY = timezone.localdate


@pytest.fixture
def large(monkeypatch):
    """Every unit with something below it is a large one."""
    monkeypatch.setattr(counting, "LARGE", 0)


@pytest.fixture
def reported(line):
    """Both branches' rows have reached the county, one of them with measures."""
    for who in ("branch", "sibling", "township"):
        hand_up(line.of(who))
    lay(line.of("branch"), -1, 3, None)
    return line


def counted(cycle):
    """The kept numbers of a cycle by code: all of them, and the overdue ones."""
    found = {}
    for one in MeasureCount.objects.filter(report__cycle=cycle).select_related("report"):
        numbers = counting.Tally(one.measures, one.rows).numbers(TODAY())
        found[one.report.code] = numbers["all"], numbers["overdue"]
    return found


def later(minutes=2):
    """The next look of the workers is due."""
    moment = timezone.now() - timedelta(minutes=minutes)
    Counting.objects.update(next_at=moment, looked_at=moment - timedelta(hours=1))


def shown(context):
    """Lines and tiles of the page of figures."""
    lines = [(one["name"], [cell["count"] for cell in one["cells"]]) for one in context["lines"]]
    return lines, [tile["count"] for tile in context["tiles"]]


@pytest.mark.parametrize("seed", range(1))
def test_kept_numbers_are_those_of_the_rows_over_random_trees(client, line, monkeypatch, seed):
    chance = random.Random(seed)
    parents = [line.units["township"], line.units["county"], line.units["province"]]
    grow(parents, 9, chance)
    cycle = line.cycle = factories.open_cycle(2012, 2)
    for report in Report.objects.filter(cycle=cycle, is_rated=True).order_by("path"):
        days = chance.choices([-9, -1, 0, 7, 8, 90, None], k=chance.randint(0, 4))
        for one in lay(report, *days):
            one.state = chance.choices(["open", "claimed", "closed"], [6, 2, 2])[0]
            one.topic = chance.choice(["", "venue", "support"])
            one.save()
    for report in Report.objects.filter(cycle=cycle).exclude(parent=None):
        state = chance.choices(["accepted", "draft", "excused"], [8, 1, 1])[0]
        Report.objects.filter(pk=report.pk).update(state=state, excuse_reason="另行部署")
    asked = []
    for who in ("township", "county", "province"):
        post = getattr(line, who)
        client.force_login(post.user)
        inside = [
            {"unit": one["deeper"]}
            for one in figures(client, line).context["lines"]
            if one["deeper"]
        ]
        for params in ({}, {"by": "topic"}, {"by": "leader"}, *inside):
            asked.append((post, params, shown(figures(client, line, **params).context)))
    assert any(numbers[0] for *_, numbers in asked)

    monkeypatch.setattr(counting, "LARGE", 0)
    counting.count(cycle)

    for post, params, numbers in asked:
        client.force_login(post.user)
        page = figures(client, line, **params)
        assert shown(page.context) == numbers, (post, params)
        if post == line.county:  # what opens without kept numbers is tested in test_board
            assert_each_figure_opens_its_rows(client, page)
    assert MeasureCount.objects.exists()


@pytest.mark.parametrize("seed", range(1))
def test_who_is_late_is_the_same_from_kept_numbers(line, monkeypatch, seed):
    chance = random.Random(seed)
    for number in range(6):
        OrganizationFactory(code=f"X{number}", parent=line.units["township"])
    cycle = factories.open_cycle(2012, 2)
    for report in Report.objects.filter(cycle=cycle, is_rated=True):
        lay(report, *chance.choices([-9, -1, 0, 8, None], k=chance.randint(0, 3)))
    Report.objects.filter(cycle=cycle).exclude(parent=None).update(state="accepted")
    own = factories.report_of(line.units["county"], cycle)
    subordinates = list(Report.objects.filter(parent=own))

    def late():
        found = board.late_below(rows_seen(line.county, own), own, subordinates, TODAY())
        return {path: (one.measures, one.reports) for path, one in found.items()}

    live = late()
    monkeypatch.setattr(counting, "LARGE", 0)
    counting.count(cycle)

    assert late() == live != {}


def test_the_page_says_as_of_when_and_does_not_count_the_rows(client, reported, large):
    counting.count_what_changed()
    client.force_login(reported.county.user)
    page = figures(client, reported)
    Measure.objects.update(state="closed")  # not seen by a worker yet

    later_page = figures(client, reported)

    moment = timezone.localtime(MeasureCount.objects.first().counted_at)
    assert f"截至 {moment:%Y年}" in page.content.decode()
    assert f"{moment:%H:%M}</span>" in page.content.decode()
    assert shown(page.context) == shown(later_page.context)
    assert [tile["count"] for tile in page.context["tiles"]] == [1, 1, 0, 3, 0, 3]
    assert "由后台每隔一分钟以上统计一次" in page.content.decode()


def test_a_small_unit_counts_what_is_there_now(client, reported):
    assert counting.count_what_changed() == 0
    client.force_login(reported.county.user)
    page = figures(client, reported)

    assert page.context["counted_at"] is None
    assert "由后台" not in page.content.decode()


def test_what_is_not_reported_up_is_not_shown_from_kept_numbers(client, line, large):
    lay(line.of("branch"), -1)
    counting.count_what_changed()
    assert counted(line.cycle)["T"] == (1, 1)
    for who, count in (("township", 1), ("county", 0), ("province", 0)):
        client.force_login(getattr(line, who).user)
        assert figures(client, line).context["tiles"][-1]["count"] == count


def test_days_that_pass_need_no_count(client, reported, large, monkeypatch):
    counting.count_what_changed()
    client.force_login(reported.county.user)
    overdue = figures(client, reported).context["tiles"][1]["count"]
    tomorrow = TODAY() + timedelta(days=4)
    monkeypatch.setattr("rectification.views.timezone.localdate", lambda *_: tomorrow)

    assert figures(client, reported).context["tiles"][1]["count"] == overdue + 1


def test_it_is_counted_again_only_where_something_changed(reported, large):
    assert counting.count_what_changed() == 1
    assert counting.count_what_changed() == 0  # not due yet
    later()
    assert counting.count_what_changed() == 0  # nothing changed

    one = Measure.objects.get(number=1)
    act(workflow.CLAIM, one, reported.branch)
    later()

    assert counting.count_what_changed() == 1
    assert counted(reported.cycle)["T"] == (3, 0)
    later()
    assert counting.count_what_changed() == 1  # what was being written at the last look
    later()
    assert counting.count_what_changed() == 0


def test_new_measures_and_excuses_are_changes(reported, large):
    counting.count_what_changed()
    lay(reported.of("sibling"), -1)
    later()
    assert counting.count_what_changed() == 1
    assert counted(reported.cycle)["T"] == (4, 2)
    Report.objects.filter(code="T").update(state="draft")
    excuse = {"reason": "另行部署", "by": reported.township}
    Report.objects.filter(code="B2").update(state="draft")
    rating_workflow.move("excuse", reported.of("sibling"), **excuse)
    later()
    assert counting.count_what_changed() == 1
    assert counted(reported.cycle)["T"] == (3, 1)


def test_another_cycle_is_left_alone(reported, large):
    counting.count_what_changed()
    factories.open_cycle(2013, 1)
    counting.count_what_changed()
    later()
    lay(Report.objects.get(cycle__year=2013, code="B1"), 5)

    assert counting.count_what_changed() == 1
    assert Cycle.objects.count() == Counting.objects.count() == 2


def test_looking_at_figures_writes_nothing(client, reported, large):
    client.force_login(reported.county.user)
    figures(client, reported)
    assert not MeasureCount.objects.exists()


def test_a_reminder_from_kept_numbers_says_as_of_when(reported, large):
    counting.count_what_changed()
    (reminder,) = services.remind(reported.of("county"), by=reported.county)
    moment = timezone.localtime(MeasureCount.objects.first().counted_at)
    assert f"截至{moment:%H:%M}，所属 1 个党组织有 1 条整改措施" in reminder.text


def test_the_desk_says_the_same_from_kept_numbers(reported, monkeypatch):
    def overdue():
        (one,) = waiting_for(reported.county, [reported.of("county")], TODAY())
        return one.overdue_below

    assert overdue() == 1
    monkeypatch.setattr(counting, "LARGE", 0)
    assert overdue() == 1  # nothing is kept yet
    counting.count_what_changed()
    Measure.objects.update(state="closed")  # not seen by a worker yet
    assert overdue() == 1


def test_lists_of_numbers_need_few_queries(client, reported, large, django_assert_max_num_queries):
    counting.count_what_changed()
    client.force_login(reported.province.user)
    for page in ("figures", "remind"):
        with django_assert_max_num_queries(26):
            client.get(reverse(f"rectification:{page}", args=[reported.cycle]))
