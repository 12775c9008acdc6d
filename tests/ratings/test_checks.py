"""Checks that let a row through with an explanation, and what a unit need not have."""

import pytest

from ratings.checks import Context, check_row
from ratings.choices import Severity, Venue
from tests.factories import row


def found(changed, category="village"):
    findings = check_row(row(**changed), Context(year=2012, category_code=category))
    return {(finding.code, finding.severity) for finding in findings}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"venue_text": "与会议室合用", "venue_status": None}, "venue_status"),
        ({"venue_text": "正在新建", "venue_status": Venue.BUILDING}, "venue_due"),
    ],
)
def test_premises_of_which_not_all_is_known_are_explained(changed, code):
    assert (code, Severity.EXPLAIN) in found(changed)


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("village", ("blank", Severity.ERROR)),
        ("", ("blank", Severity.ERROR)),
        ("university", ("support_unit", Severity.HINT)),
    ],
)
def test_only_villages_and_communities_must_have_a_supporting_unit(category, expected):
    assert expected in found({"support_unit": None}, category)


def test_a_deadline_without_a_day_can_not_be_handed_up():
    assert ("undated", Severity.ERROR) in found({"deadline_text": "尽快", "due_on": None})
