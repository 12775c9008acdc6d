"""The load and what it counts in the end."""

import pytest

from bench.browser import Answer, Request
from bench.counting import Decision, Move, Standing, broken, compared
from bench.load import figures
from bench.people import appointed, histories, stored
from orgs.models import User
from ratings.choices import State
from ratings.models import Report
from tests.factories import fill, submit

SUBMIT, ACCEPT = Decision(1, "submit", 7), Decision(1, "accept", 8)


def test_what_was_acknowledged_and_is_stored_is_neither_lost_nor_doubled():
    assert compared({SUBMIT: 2, ACCEPT: 1}, {}, {SUBMIT: 2, ACCEPT: 1}) == ({}, {})


def test_acknowledged_and_not_stored_is_lost():
    assert compared({SUBMIT: 2, ACCEPT: 1}, {SUBMIT: 0}, {SUBMIT: 1}) == (
        {SUBMIT: 1, ACCEPT: 1},
        {},
    )


def test_stored_more_often_than_pressed_is_doubled():
    assert compared({SUBMIT: 1}, {}, {SUBMIT: 2, ACCEPT: 1}) == ({}, {SUBMIT: 1, ACCEPT: 1})


@pytest.mark.parametrize("count", [0, 1])
def test_what_nobody_learned_the_outcome_of_may_be_stored_or_not(count):
    assert compared({}, {SUBMIT: 1}, {SUBMIT: count}) == ({}, {})


HANDED = Move("submit", "draft", "submitted", 1)
BACK = Move("send_back", "submitted", "returned", 1)
AGAIN = Move("submit", "returned", "submitted", 2)


@pytest.mark.parametrize(
    ("moves", "standing"),
    [
        ([], Standing("draft", 0, [])),
        ([HANDED], Standing("submitted", 1, [1])),
        ([HANDED, BACK, AGAIN], Standing("submitted", 2, [2, 1])),
    ],
)
def test_a_history_that_leads_to_where_the_report_stands_is_whole(moves, standing):
    assert broken(moves, standing) == ""


@pytest.mark.parametrize(
    ("moves", "standing"),
    [
        ([HANDED, HANDED], Standing("submitted", 1, [1])),  # doubled
        ([HANDED, AGAIN], Standing("submitted", 2, [1, 2])),  # a return is lost
        ([HANDED], Standing("returned", 1, [1])),  # the last move is lost
        ([HANDED], Standing("submitted", 1, [])),  # its version is lost
        ([HANDED, BACK, AGAIN], Standing("submitted", 1, [1, 2])),
    ],
)
def test_a_history_with_a_gap_or_a_double_is_broken(moves, standing):
    assert broken(moves, standing)


def test_figures_tell_answers_from_errors_and_find_the_longest_pause():
    requests = [
        Request("填报页", 1.0, 0.1, ""),
        Request("填报页", 2.0, 0.3, ""),
        Request("上报", 2.5, 9.0, "503"),
        Request("上报", 9.0, 0.2, ""),
        Request("上报", 11.0, 0.2, ""),  # after the end
    ]

    found = figures(requests, 0.0, 10.0)

    assert found["errors"] == {"503": 1}
    assert found["longest_pause"] == 7.0
    assert found["throughput"] == 0.3
    assert found["actions"]["填报页"] == {"count": 2, "p50": 300.0, "p95": 300.0, "p99": 300.0}
    assert found["actions"]["合计"]["count"] == 3


def test_people_are_signed_in_and_their_pages_hold_the_forms_the_load_sends(line, client):
    people = appointed(line.cycle, 1)
    branch = next(person for person in people if person.report == line.of("branch").pk)
    fill(line.of("branch"))
    client.cookies["sessionid"] = branch.session
    address = f"/report/{branch.report}/fill/"

    page = Answer(200, address, client.get(address).content.decode())

    form = page.form(address)
    assert form["csrfmiddlewaretoken"]
    assert form["token"] == "1"
    assert form["secretary_name"] == "书记B1"
    assert form["declared_grade"] == line.of("branch").entry.declared_grade
    assert {person.is_branch for person in people} == {True, False}
    assert not User.objects.filter(pk=branch.pk).get().has_usable_password()


def test_what_people_did_is_read_from_the_history(line):
    people = appointed(line.cycle, 1)
    report = line.of("branch")
    fill(report, by=line.branch)
    submit(report, by=line.branch)

    assert stored(people) == {}  # that was nobody of theirs
    moves, standing = histories(people)[report.pk]
    assert standing == Standing(State.SUBMITTED, 1, [1])
    assert broken(moves, standing) == ""
    assert set(histories(people)) == set(
        Report.objects.filter(cycle=line.cycle).values_list("pk", flat=True)
    )
