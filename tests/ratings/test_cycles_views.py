"""批次: the top's administrators prepare, open, close and reopen; others look."""

import pytest
from django.urls import reverse

from orgs.choices import Role
from ratings.choices import CycleState
from ratings.models import Cycle
from tests.factories import appoint, hand_up


def act(client, action, label="2012-1", **entered):
    return client.post(reverse("ratings:cycle_act", args=[label, action]), entered)


@pytest.fixture
def manager(client, line):
    post = appoint(line.units["province"], Role.MANAGE)
    client.force_login(post.user)
    return line


def entered(**changed):
    return {"year": 2013, "round": 1, "title": "", "days_per_level": 7, **changed}


def test_a_new_cycle_is_prepared_and_opened(client, manager):
    client.post(reverse("ratings:new_cycle"), entered())
    prepared = Cycle.objects.get(year=2013)
    assert prepared.state == CycleState.PREPARING
    assert client.get(reverse("ratings:cycle", args=["2013-1"])).status_code == 200

    act(client, "open", "2013-1")

    prepared.refresh_from_db()
    assert prepared.state == CycleState.OPEN
    assert prepared.reports.count() == 5


@pytest.mark.parametrize(
    "changed", [{"year": 2012}, {"year": "x"}, {"year": 99999}, {"round": -1}, {"year": ""}]
)
def test_a_wrong_entry_is_told_and_nothing_is_made(client, manager, changed):
    page = client.post(reverse("ratings:new_cycle"), entered(**changed))

    assert page.status_code == 200
    assert page.context["form"].errors
    assert Cycle.objects.count() == 1


def test_closing_waits_for_the_final_report_and_reopening_for_a_reason(client, manager):
    act(client, "close")
    assert Cycle.objects.get().state == CycleState.OPEN
    for name in ("branch", "sibling", "township", "county", "province"):
        hand_up(manager.of(name))

    act(client, "close")
    assert Cycle.objects.get().state == CycleState.CLOSED
    act(client, "reopen", reason=" ")
    assert Cycle.objects.get().state == CycleState.CLOSED
    act(client, "reopen", reason="更正")
    assert Cycle.objects.get().state == CycleState.OPEN


@pytest.mark.parametrize("action", ["open", "close", "reopen"])
@pytest.mark.parametrize("who", ["branch", "county", "province reviewer"])
def test_nobody_else_presses(client, line, who, action):
    posts = {
        "branch": line.branch,
        "county": line.county,
        "province reviewer": appoint(line.units["province"], Role.REVIEW),
    }
    client.force_login(posts[who].user)

    assert act(client, action, reason="x").status_code == 404
    assert client.post(reverse("ratings:new_cycle"), entered()).status_code == 404
    assert Cycle.objects.get().state == CycleState.OPEN


def test_a_closed_cycle_refuses_every_write_in_a_plain_sentence(client, manager):
    for name in ("branch", "sibling", "township", "county", "province"):
        hand_up(manager.of(name))
    act(client, "close")
    client.force_login(manager.branch.user)
    report = manager.of("branch")

    page = client.post(
        reverse("ratings:move", args=[report.pk, "recall"]), {"token": report.token}, follow=True
    )

    assert "已关闭" in page.content.decode()
    assert manager.of("branch").state == "accepted"
