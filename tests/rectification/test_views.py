"""整改: the plans of a cycle by unit, day and helper."""

from datetime import date
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orgs.choices import Kind
from ratings import services, workflow
from ratings.choices import Grade
from ratings.models import LedgerEntry, Report
from rectification import views

from .. import factories
from ..factories import OrganizationFactory, accept, appoint, fill, hand_up, submit

TODAY = date(2012, 11, 15)


@pytest.fixture(autouse=True)
def _today(monkeypatch):
    """For the list alone: posts and cycles keep their own days."""
    monkeypatch.setattr(views, "timezone", SimpleNamespace(localdate=lambda: TODAY))


def address(line, query=""):
    return reverse("rectification:list", args=[line.cycle]) + query


def page_of(client, line, who, **filters):
    client.force_login(getattr(line, who).user)
    return client.get(address(line), filters)


def plans(page):
    return [plan for group in page.context["groups"] for plan in group["plans"]]


def codes(page) -> list[str]:
    return [plan["report"].code for plan in plans(page)]


@pytest.fixture
def reported(line):
    """One plan past its day, one for this month; both have reached the county."""
    hand_up(line.of("branch"), grade="average", reason="成效不明显", target=Grade.FAIRLY_GOOD)
    fill(line.of("sibling"), support_unit="县医院", contact_leader="赵局长")
    submit(line.of("sibling"))
    accept(line.of("sibling"))
    hand_up(line.of("township"))
    for code, day in (("B1", date(2012, 11, 14)), ("B2", date(2012, 11, 30))):
        LedgerEntry.objects.filter(report__code=code).update(due_on=day)
    return line


@pytest.mark.parametrize(
    ("who", "expected"),
    [("branch", ["B1"]), ("township", ["B1", "B2"]), ("county", ["B1", "B2"]), ("province", [])],
)
def test_plans_are_seen_where_their_rows_are(client, reported, who, expected):
    assert codes(page_of(client, reported, who)) == expected


def test_a_plan_says_what_was_decided_and_whether_its_day_is_past(client, reported):
    first, second = plans(page_of(client, reported, "county"))

    assert [first[k] for k in ("grade", "is_declared", "target", "is_proposed")] == [
        "average",
        False,
        "fairly_good",
        False,
    ]
    assert (first["is_past"], first["is_this_month"]) == (True, False)
    assert (second["is_past"], second["is_this_month"]) == (False, True)


def test_before_the_decision_grade_and_target_are_marked_as_the_units_own(client, line):
    fill(line.of("branch"))

    plan, empty = plans(page_of(client, line, "township"))

    assert [plan[k] for k in ("grade", "is_declared", "target", "is_proposed")] == [
        "fairly_good",
        True,
        "good",
        True,
    ]
    assert (empty["grade"], empty["target"], empty["is_declared"]) == ("none", "none", False)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2012, 11, 14), "overdue"),
        (date(2012, 11, 15), "month"),
        (date(2012, 11, 30), "month"),
        (date(2012, 12, 1), "later"),
        (None, "none"),
    ],
)
def test_each_day_falls_under_exactly_one_choice(client, line, day, expected):
    hand_up(line.of("branch"))
    LedgerEntry.objects.filter(report__code="B1").update(due_on=day)

    found = {
        when: "B1" in codes(page_of(client, line, "township", due=when))
        for when in ("overdue", "month", "later", "none")
    }

    assert [when for when, is_in in found.items() if is_in] == [expected]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"helper": "医院"}, ["B2"]),
        ({"helper": "赵局"}, ["B2"]),
        ({"helper": "卫生局"}, ["B1"]),
        ({"helper": "%"}, []),
        ({"due": "overdue", "helper": "医院"}, []),
    ],
)
def test_plans_are_narrowed_by_day_and_helper(client, reported, filters, expected):
    assert codes(page_of(client, reported, "county", **filters)) == expected


def test_plans_are_narrowed_to_a_unit(client, reported):
    page = page_of(client, reported, "county", unit=reported.of("sibling").pk)
    forged = page_of(client, reported, "township", unit=reported.of("county").pk)

    assert codes(page) == ["B2"]
    assert forged.context["filters"].ignored == ["单位"]


def test_plans_stand_under_the_direct_subordinate(client, reported):
    (group,) = page_of(client, reported, "county").context["groups"]

    assert group["name"] == reported.units["township"].short_name


def test_excused_units_have_no_plans(client, line):
    for name in ("branch", "sibling"):
        fill(line.of(name))
    workflow.move("excuse", line.of("branch"), by=line.township, reason="划出")

    assert codes(page_of(client, line, "township")) == ["B2"]


def test_plans_behind_a_page_full_of_excused_ones_are_found(client, line):
    """What lies under an excused unit does not take up the places of the page."""
    general = OrganizationFactory(
        name="大总支", kind=Kind.GENERAL_BRANCH, parent=line.units["county"]
    )
    for n in range(51):
        OrganizationFactory(name=f"第{n}支部", parent=general)
    OrganizationFactory(name="尾支部", code="Z", parent=line.units["county"])
    line.cycle = factories.open_cycle(2012, 2)

    def of(code):
        return Report.objects.select_related("cycle", "parent").get(cycle=line.cycle, code=code)

    for code in (general.code, "T"):
        workflow.move("excuse", of(code), by=line.county, reason="划出")
    hand_up(of("Z"))
    hand_up(of("C"))

    page = page_of(client, line, "province")

    assert codes(page) == ["Z"]
    assert page.context["pages"]["text"] == "共 1 条"


def test_a_plan_under_correction_shows_and_is_found_by_what_was_handed_up(client, reported):
    hand_up(reported.of("county"))
    services.open_correction(
        issuer=reported.of("province"),
        rows=[reported.of("branch")],
        fields=["measures", "support_unit"],
        number="1号",
        reason="核",
        by=reported.province,
    )
    services.save_row(
        reported.of("branch"),
        {"measures": "新的措施", "support_unit": "新单位"},
        by=reported.branch,
    )

    from_above = plans(page_of(client, reported, "province"))[0]

    assert (from_above["mark"], from_above["values"]["measures"]) == ("更正中", "发展青年党员3名。")
    assert codes(page_of(client, reported, "province", helper="新单位")) == []
    assert codes(page_of(client, reported, "township", helper="新单位")) == ["B1"]


@pytest.mark.parametrize(
    "query",
    [
        "?due=never",
        "?due=%00&unit=%00&helper=%00",
        "?helper=%ED%A0%80",
        "?helper=" + "长" * 99,
        "?unit=" + "9" * 40,
        "?after=x&before=%00&n=%00",
        "?after=" + "9" * 80,
        "?page=last&n=" + "9" * 30,
    ],
)
def test_an_address_that_says_nonsense_still_shows_the_list(client, reported, query):
    client.force_login(reported.county.user)

    assert client.get(address(reported, query)).status_code == 200


def test_pages_keep_their_filters(client, line):
    town = OrganizationFactory(name="大乡党委", kind=Kind.COMMITTEE, parent=line.units["county"])
    for n in range(51):
        OrganizationFactory(name=f"第{n:02}村党支部", parent=town)
    town.refresh_from_db()
    line.cycle = factories.open_cycle(2012, 2)
    line.town = appoint(town)

    first = page_of(client, line, "town", due="none")
    second = client.get(address(line) + first.context["pages"]["next"])

    assert [len(plans(page)) for page in (first, second)] == [50, 1]
    assert "due=none" in second.context["pages"]["previous"]


def test_queries_do_not_grow_with_the_rows(client, line):
    towns = []
    for count in (1, 4):
        town = OrganizationFactory(
            name=f"第{count}乡党委", kind=Kind.COMMITTEE, parent=line.units["county"]
        )
        for n in range(count):
            OrganizationFactory(name=f"第{count}乡第{n}党支部", parent=town)
        towns.append((town, count))
    line.cycle = factories.open_cycle(2012, 2)
    used = []
    for town, count in towns:
        town.refresh_from_db()
        client.force_login(appoint(town).user)
        with CaptureQueriesContext(connection) as queries:
            page = client.get(address(line))
        assert len(plans(page)) == count
        used.append(len(queries))

    assert used[0] == used[1]
