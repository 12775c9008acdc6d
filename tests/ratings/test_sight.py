"""What is seen from above: values, marks and versions, by who looks."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orgs.choices import Kind
from ratings import services, sight, workflow
from ratings.choices import Grade, State
from ratings.models import LedgerEntry, Report
from ratings.querysets import ancestors, successor
from ratings.summary import Basis

from .. import factories
from ..factories import OrganizationFactory, accept, fill, hand_up, report_of, submit


@pytest.fixture
def reported(line):
    """Both branches accepted by the township, which has been accepted by the county."""
    hand_up(
        line.of("branch"),
        grade="average",
        reason="成效不明显",
        target=Grade.GOOD,
        target_reason="县里重点帮扶",
    )
    hand_up(line.of("sibling"))
    hand_up(line.of("township"))
    return line


@pytest.fixture
def corrected(reported):
    """The province wants the branch's measures put right; the branch has written new ones."""
    hand_up(reported.of("county"))
    services.open_correction(
        issuer=reported.of("province"),
        rows=[reported.of("branch")],
        fields=["measures", "declared_grade"],
        number="1号",
        reason="核",
        by=reported.province,
    )
    services.save_row(
        reported.of("branch"),
        {"measures": "新的措施", "declared_grade": Grade.POOR},
        by=reported.branch,
    )
    return reported


def visible(post, cycle):
    return Report.objects.visible_to(post).of(cycle)


def seen(line, who, name="branch"):
    """The row as the post sees it; None where it does not exist for it."""
    post = getattr(line, who)
    rows = visible(post, line.cycle).select_related("parent", "entry", "order")
    found = sight.as_seen(rows.filter(pk=line.of(name).pk), post)
    return found[0] if found else None


def look(one):
    return one and (one.mark, one.values and one.values["measures"])


OLD, NEW = "发展青年党员3名。", "新的措施"
POOR = {"grade": "poor", "target": Grade.AVERAGE}


# ---------------------------------------------------------------- rows


def test_a_draft_is_seen_with_its_values_by_its_unit_and_its_superior_marked(line):
    fill(line.of("branch"))

    looks = {who: look(seen(line, who)) for who in ("branch", "township", "county", "sibling")}

    assert looks == {
        "branch": (sight.DRAFT, OLD),
        "township": (sight.DRAFT, OLD),
        "county": None,
        "sibling": None,
    }


@pytest.mark.parametrize(
    ("moves", "mark"),
    [
        (["submit"], sight.WAITING),
        (["submit", "send_back"], sight.RETURNED),
        (["submit", "accept"], ""),
        (["excuse"], sight.EXCUSED),
    ],
)
def test_a_row_near_by_is_marked_with_where_it_stands(line, moves, mark):
    fill(line.of("branch"))
    for action in moves:
        if action in ("send_back", "excuse"):
            workflow.move(action, line.of("branch"), by=line.township, reason="改")
        else:
            {"submit": submit, "accept": accept}[action](line.of("branch"))

    assert seen(line, "branch").mark == mark


def test_deeper_rows_exist_while_the_direct_subordinate_stands(reported):
    assert look(seen(reported, "county")) == ("", OLD)
    assert seen(reported, "province") is None

    workflow.move("reopen", reported.of("township"), by=reported.county, reason="核")

    assert seen(reported, "county") is None
    assert look(seen(reported, "township")) == ("", OLD)


def test_the_decided_target_comes_before_the_proposed_one(line):
    fill(line.of("branch"))
    before = seen(line, "township")

    submit(line.of("branch"))
    accept(line.of("branch"), grade="average", reason="成效不明显", target=Grade.FAIRLY_GOOD)
    after = seen(line, "township")

    assert (before.target, before.is_target_proposed) == ("good", True)
    assert (after.target, after.is_target_proposed) == ("fairly_good", False)


def test_of_an_excused_unit_others_see_name_and_reason_and_it_sees_its_own_row(line):
    fill(line.of("branch"))
    workflow.move("excuse", line.of("branch"), by=line.township, reason="整体划出")

    own, superior = seen(line, "branch"), seen(line, "township")

    assert (own.mark, own.values["measures"]) == (sight.EXCUSED, OLD)
    assert (superior.mark, superior.reason, superior.values) == (sight.EXCUSED, "整体划出", None)


def test_rows_under_an_excused_unit_are_seen_as_excused_with_its_reason(line):
    hand_up(line.of("branch"))
    workflow.move("excuse", line.of("township"), by=line.county, reason="整体划出")
    hand_up(line.of("county"))

    from_above = seen(line, "province")

    assert (from_above.mark, from_above.reason, from_above.values) == (
        sight.EXCUSED,
        "整体划出",
        None,
    )
    assert seen(line, "county") is None


def test_nobody_sees_nothing(line):
    assert sight.as_seen(Report.objects.of(line.cycle), None) == []
    assert sight.figures_of(line.of("branch"), None) is None
    assert sight.as_seen([], line.branch) == []


# ---------------------------------------------------------------- corrections


def test_while_a_row_is_corrected_those_far_above_see_what_was_handed_up(corrected):
    looks = {
        who: look(seen(corrected, who)) for who in ("branch", "township", "county", "province")
    }

    assert looks == {
        "branch": (sight.CORRECTING, NEW),
        "township": (sight.CORRECTING, NEW),
        "county": (sight.CORRECTING, OLD),
        "province": (sight.CORRECTING, OLD),
    }


def test_the_values_of_a_version_come_with_the_decision_on_it(corrected):
    entry = LedgerEntry.objects.get(report=corrected.of("branch"))

    values = seen(corrected, "province").values

    assert entry.declared_grade == Grade.POOR
    assert [values[name] for name in ("declared_grade", "reviewed_grade", "target_grade")] == [
        "fairly_good",
        "average",
        "good",
    ]
    assert values["target_reason"] == "县里重点帮扶"


def test_a_correction_is_seen_a_level_higher_with_each_report(corrected):
    """Nothing of it passes a level that has not handed it up."""
    for name, expected in (("branch", OLD), ("township", NEW)):
        submit(corrected.of(name))
        accept(corrected.of(name), **(POOR if name == "branch" else {}))
        assert look(seen(corrected, "province")) == (sight.CORRECTING, OLD)
        assert look(seen(corrected, "county")) == (sight.CORRECTING, expected)

    submit(corrected.of("county"))

    assert seen(corrected, "province").values["measures"] == NEW


def test_rows_beside_the_corrected_one_are_seen_as_ever(corrected):
    assert look(seen(corrected, "province", "sibling")) == ("", OLD)


def test_the_version_seen_is_the_one_that_was_handed_up(corrected):
    submit(corrected.of("branch"))
    accept(corrected.of("branch"), **POOR)
    branch = corrected.of("branch")

    numbers = {
        who: sight.version_seen(branch, getattr(corrected, who)).number
        for who in ("branch", "township", "county", "province")
    }

    assert numbers == {"branch": 2, "township": 2, "county": 1, "province": 1}


# ---------------------------------------------------------------- what lists may be narrowed by


def chosen(line, who, condition):
    post = getattr(line, who)
    rows = visible(post, line.cycle).filter(is_rated=True)
    return set(rows.filter(condition(line.of(who))).values_list("code", flat=True))


def test_a_row_is_not_found_by_what_a_correction_writes_deeper_down(corrected):
    assert chosen(corrected, "township", sight.settled) == {"B1", "B2"}
    for who in ("county", "province"):
        assert chosen(corrected, who, sight.settled) == {"B2"}


def test_a_row_is_not_found_by_the_state_of_a_correction_deeper_down(corrected):
    states = {
        who: chosen(corrected, who, lambda own: sight.in_state(corrected.of("branch").state, own))
        for who in ("township", "county", "province")
    }

    assert corrected.of("branch").state == State.RETURNED
    assert states == {"township": {"B1"}, "county": set(), "province": set()}


def test_what_is_excused_or_under_it_is_found_as_excused_alone(line):
    hand_up(line.of("branch"))
    workflow.move("excuse", line.of("township"), by=line.county, reason="划出")
    hand_up(line.of("county"))
    assert (line.of("branch").state, line.of("sibling").state) == (State.ACCEPTED, State.DRAFT)

    found = {
        state: chosen(line, "province", lambda own, state=state: sight.in_state(state, own))
        for state in State
    }

    assert {state: codes for state, codes in found.items() if codes} == {
        State.EXCUSED: {"B1", "B2"}
    }
    assert chosen(line, "province", sight.settled) == set()
    assert chosen(line, "province", sight.out) == {"B1", "B2"}


# ---------------------------------------------------------------- figures


def basis(line, name, who):
    found = sight.figures_of(line.of(name), getattr(line, who))
    return found and (found.basis, found.total.total)


def test_a_superior_does_not_see_figures_under_review(line):
    hand_up(line.of("branch"))

    assert basis(line, "township", "township") == (Basis.REVIEWING, 1)
    assert basis(line, "township", "county") is None
    assert basis(line, "township", "province") is None


def test_figures_are_seen_by_the_superior_once_reported_and_higher_once_handed_on(reported):
    assert basis(reported, "township", "county") == (Basis.REPORTED, 2)
    assert basis(reported, "county", "province") is None

    submit(reported.of("county"))

    assert basis(reported, "county", "province") == (Basis.REPORTED, 2)
    assert basis(reported, "township", "province") == (Basis.REPORTED, 2)


def test_after_a_return_the_superior_keeps_the_figures_of_the_last_version(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    workflow.move("send_back", line.of("township"), by=line.county, reason="核")
    workflow.move("reopen", line.of("sibling"), by=line.township, reason="核")

    assert basis(line, "township", "township") == (Basis.REVIEWING, 1)
    assert basis(line, "township", "county") == (Basis.REPORTED, 2)


def test_an_excused_unit_has_no_figures_for_others(line):
    hand_up(line.of("branch"))
    workflow.move("excuse", line.of("township"), by=line.county, reason="划出")

    assert basis(line, "township", "county") is None


def test_figures_under_an_excused_unit_are_not_seen(line):
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    workflow.move("reopen", line.of("township"), by=line.county, reason="核")
    workflow.move("excuse", line.of("township"), by=line.county, reason="划出")
    hand_up(line.of("county"))

    assert basis(line, "branch", "province") is None


def test_while_corrected_the_figures_far_above_stay(corrected):
    submit(corrected.of("branch"))
    accept(corrected.of("branch"), **POOR)
    submit(corrected.of("township"))
    accept(corrected.of("township"))

    near = sight.figures_of(corrected.of("township"), corrected.county)
    far = sight.figures_of(corrected.of("township"), corrected.province)

    assert near.total.reviewed[Grade.POOR] == 1
    assert far.total.reviewed[Grade.POOR] == 0
    assert far.total.reviewed[Grade.AVERAGE] == 1


# ---------------------------------------------------------------- paths and queries


def test_paths_order_what_is_below_between_a_path_and_its_successor():
    assert ancestors("000100020003") == ["0001", "00010002"]
    assert ancestors("0001") == []
    assert successor("00010009") == "00010010"


def test_queries_do_not_grow_with_the_rows_seen(line):
    """Of two townships, with one and with four branches under correction each."""
    towns = {
        count: OrganizationFactory(
            name=f"第{count}乡党委", kind=Kind.COMMITTEE, parent=line.units["county"]
        )
        for count in (1, 4)
    }
    for count, town in towns.items():
        for n in range(count):
            OrganizationFactory(name=f"第{count}乡第{n}党支部", parent=town)
    cycle = factories.open_cycle(2012, 2)
    reports = Report.objects.filter(cycle=cycle).select_related("parent")
    for report in reports.filter(has_subordinates=False):
        hand_up(report)
    for report in (*reports.filter(parent__code="C"), report_of(line.units["county"], cycle)):
        hand_up(report)
    used = []
    for town in towns.values():
        rows = list(reports.filter(parent__organization=town))
        services.open_correction(
            issuer=report_of(line.units["province"], cycle),
            rows=rows,
            fields=["measures"],
            number="1号",
            reason="核",
            by=line.province,
        )
        shown = visible(line.province, cycle).filter(parent__organization=town)
        shown = shown.select_related("parent", "entry", "order")
        with CaptureQueriesContext(connection) as queries:
            looks = [look(one) for one in sight.as_seen(shown, line.province)]
        assert looks == [(sight.CORRECTING, OLD)] * len(rows)
        used.append(len(queries))
        Report.objects.filter(cycle=cycle).update(order=None, state=State.ACCEPTED)
        Report.objects.filter(cycle=cycle, parent=None).update(state=State.DRAFT)

    assert used[0] == used[1]
