"""整改: plans by unit, due date and helper, within what the post may see."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import fill, hand_up, submit

URL = "/2012-1/rectification/"


@pytest.fixture
def plans(client, line):
    later = timezone.localdate() + timedelta(days=400)
    fill(line.of("branch"), support_unit="县卫生局、县教育局")
    fill(
        line.of("sibling"),
        support_unit="县公安局",
        due_on=later,
        deadline_text=f"{later.year}年{later.month}月{later.day}日前",
    )
    client.force_login(line.township.user)
    return line


def shown(client, query=""):
    page = client.get(URL + query).content.decode()
    return [name for name in ("丙村党支部", "丁村党支部") if f"{name}</a>" in page]


def test_every_plan_of_the_visible_rows_is_listed(client, plans):
    assert shown(client) == ["丙村党支部", "丁村党支部"]
    client.force_login(plans.county.user)
    assert shown(client) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?helper=教育局", ["丙村党支部"]),
        ("?due=overdue", ["丙村党支部"]),
        ("?due=later", ["丁村党支部"]),
    ],
)
def test_plans_are_found_by_helper_and_due_date(client, plans, query, found):
    assert shown(client, query) == found


@pytest.mark.parametrize("query", ["?due=%00", "?unit=99999999999999999999", "?after=x", "?q=%00"])
def test_nonsense_in_the_address_is_no_error(client, plans, query):
    assert client.get(URL + query).status_code == 200


def test_what_was_reported_up_is_listed_above(client, line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    client.force_login(line.county.user)

    assert shown(client) == ["丙村党支部", "丁村党支部"]
