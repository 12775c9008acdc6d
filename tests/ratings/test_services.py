"""Rows, reminders and deadlines beside the moves."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings import services, workflow
from ratings.models import Reminder, Report
from tests.factories import appoint, fill, hand_up, submit


def overdue(line, name="branch"):
    yesterday = timezone.localdate() - timedelta(days=1)
    Report.objects.filter(pk=line.of(name).parent_id).update(below_due_on=yesterday)


def test_an_edit_leaves_old_and_new_in_the_trail_and_the_same_again_leaves_nothing(line):
    services.save_row(line.of("branch"), {"member_count": 8}, by=line.branch)
    services.save_row(line.of("branch"), {"member_count": 8}, by=line.branch)
    services.save_row(line.of("branch"), {"member_count": 9}, by=line.branch)

    edits = list(AuditEvent.objects.filter(action="edit").order_by("pk"))
    assert [edit.data["changes"] for edit in edits] == [
        {"member_count": [None, 8]},
        {"member_count": [8, 9]},
    ]
    assert edits[0].person_name == str(line.branch.user)
    assert (edits[0].unit_code, edits[0].object_code) == ("B1", "B1")
    assert line.of("branch").token == 2


def test_breaking_the_trail_rolls_the_act_back(line, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no trail")

    monkeypatch.setattr("ledger_site.base.trail.record", broken)

    with pytest.raises(RuntimeError):
        services.save_row(line.of("branch"), {"member_count": 8}, by=line.branch)

    assert line.of("branch").entry.member_count is None


@pytest.mark.parametrize(
    ("who", "role", "allowed"),
    [
        ("branch", Role.FILL, True),
        ("branch", Role.REVIEW, False),
        ("township", Role.FILL, True),
        ("township", Role.REVIEW, False),
        ("county", Role.FILL, False),
        ("sibling", Role.FILL, False),
    ],
)
def test_only_the_unit_and_its_direct_superior_fill_in(line, who, role, allowed):
    post = appoint(line.units[who], role)

    assert services.may_edit(line.of("branch"), post) is allowed
    if not allowed:
        with pytest.raises(TransitionRefused, match="只有本单位或直接上级的填报人员"):
            services.save_row(line.of("branch"), {"features": "x"}, by=post)


def test_a_submitted_row_and_a_unit_without_a_row_are_not_written(line):
    fill(line.of("branch"))
    submit(line.of("branch"))

    with pytest.raises(TransitionRefused, match="已锁定"):
        services.save_row(line.of("branch"), {"features": "x"}, by=line.branch)
    with pytest.raises(TransitionRefused, match="不参加定级"):
        services.save_row(line.of("township"), {"features": "x"}, by=line.township)


def test_a_touched_field_is_prefilled_no_more(line):
    report = line.of("branch")
    entry = report.entry
    entry.prefilled = ["features", "problems"]
    entry.save()

    services.save_row(report, {"features": "新"}, by=line.branch)

    assert line.of("branch").entry.prefilled == ["problems"]


def test_late_subordinates_are_reminded_once_a_day(line):
    overdue(line)
    reports = [line.of("branch"), line.of("sibling")]

    first = services.remind(reports, by=line.township)
    second = services.remind(reports, by=line.township)

    assert ({r.report.code for r in first}, second) == ({"B1", "B2"}, [])
    assert "24:00前上报" in first[0].text
    Reminder.objects.update(on=timezone.localdate() - timedelta(days=1))
    assert len(services.remind(reports, by=line.township)) == 2


def test_only_late_direct_subordinates_are_reminded_and_only_by_a_reviewer(line):
    assert services.remind([line.of("branch")], by=line.township) == []
    overdue(line)

    assert services.remind([line.of("branch")], by=line.county) == []
    with pytest.raises(TransitionRefused, match="审核人员"):
        services.remind([line.of("branch")], by=appoint(line.units["township"], Role.FILL))


def test_a_superior_sets_an_earlier_day_but_no_later_one_than_its_own(line):
    township = line.of("township")
    own = township.due_on
    today = timezone.localdate()

    services.set_below_due_on(township, own - timedelta(days=3), by=line.township)
    for day in (own + timedelta(days=1), today - timedelta(days=1)):
        with pytest.raises(TransitionRefused):
            services.set_below_due_on(township, day, by=line.township)
    with pytest.raises(TransitionRefused, match="本级的审核人员"):
        services.set_below_due_on(township, own, by=line.county)

    assert line.of("branch").due_on == own - timedelta(days=3)


def test_what_a_correction_opened_or_an_excused_unit_holds_is_not_late(line):
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    services.open_correction(
        issuer=line.of("county"),
        rows=[line.of("branch")],
        fields=["measures"],
        number="1号",
        reason="核",
        by=line.county,
    )
    overdue(line)

    assert not line.of("branch").is_overdue
    assert not Report.objects.overdue().filter(code="B1").exists()


def test_below_an_excused_unit_nothing_is_late(line):
    workflow.move("excuse", line.of("township"), by=line.county, reason="划出")
    overdue(line)

    assert not line.of("branch").is_overdue
    assert not Report.objects.overdue().filter(code="B1").exists()
    assert services.remind([line.of("branch")], by=line.township) == []
