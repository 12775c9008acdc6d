"""组织变动, attacked: what was taken back is as it was, what waits does no harm, and of two who act
at once each finds what the other did."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from django.db import connections
from django.urls import reverse

from ledger_site.base.reading import Row
from ledger_site.base.trail import WithoutUnit
from ledger_site.base.workflow import Refusal
from orgs import changes, tree
from orgs.choices import Kind, Role
from orgs.loading import load_rows
from ratings import opening, taking_over, verification, workflow
from ratings.choices import State
from ratings.models import Report, Takeover
from tests.factories import appoint, hand_up, open_cycle, report_of, submit

pytestmark = pytest.mark.django_db

GROUND = changes.Ground(date(2012, 5, 1), "测发〔2012〕3号", "区划调整")
NEW = {"code": "T2", "name": "中共测试省甲县庚乡委员会", "kind": Kind.COMMITTEE}


def sound():
    assert verification.verify() == []
    assert tree.check() == []


def second_township(line):
    return changes.create(line.units["county"], ground=GROUND, by=line.province, **NEW).organization


def test_a_unit_that_was_emptied_is_asked_again_when_something_comes_back(line):
    township = second_township(line)
    said = {"ground": GROUND, "by": line.province}
    moves = [
        changes.move(line.units[name], parent=township, **said) for name in ("branch", "sibling")
    ]
    assert line.of("township").state == State.EXCUSED

    changes.undo(moves[1], **said)

    assert line.of("township").state == State.DRAFT
    assert line.of("township").rated_count == 1
    assert line.of("county").rated_count == 2
    sound()


def test_what_a_superior_excused_stays_so_when_it_moves(line):
    township = second_township(line)
    workflow.move("excuse", line.of("branch"), by=line.township, reason="新成立")
    said = {"ground": GROUND, "by": line.province}
    changes.move(line.units["branch"], parent=township, **said)

    assert (line.of("branch").state, line.of("branch").excuse_reason) == (State.EXCUSED, "新成立")
    sound()


def test_a_branch_that_is_a_branch_again_fills_in_again(line):
    said = {"ground": GROUND, "by": line.county}
    hand_up(line.of("sibling"))
    change = changes.upgrade(line.units["branch"], kind=Kind.GENERAL_BRANCH, is_rated=False, **said)
    assert line.of("branch").state == State.EXCUSED
    changes.undo(change, **said)

    assert (line.of("branch").state, line.of("branch").is_rated) == (State.DRAFT, True)
    sound()


def test_a_general_branch_is_asked_when_the_first_branch_comes_below_it(line):
    said = {"ground": GROUND, "by": line.county}
    changes.upgrade(line.units["branch"], kind=Kind.GENERAL_BRANCH, is_rated=False, **said)
    values = {"code": "B3", "name": "丙村第一党支部", "kind": Kind.BRANCH}
    changes.create(line.units["branch"], **said, **values)

    assert line.of("branch").state == State.DRAFT
    sound()


def test_a_merger_that_was_taken_back_leaves_no_origin(line):
    parts = [line.units["branch"], line.units["sibling"]]
    said = {"ground": GROUND, "by": line.county}
    change = changes.merge(parts, into=parts[0], **said)
    assert line.of("branch").origin_text

    changes.undo(change, **said)

    for name in ("branch", "sibling"):
        report = line.of(name)
        assert (report.origin, report.origin_text, list(report.former.all())) == ("", "", [])
    sound()


def test_what_a_table_takes_out_of_the_rating_leaves_the_cycle(line):
    head = Row(1, ["code", "parent_code", "name", "kind", "category", "is_rated"])
    name = line.units["branch"].name
    load_rows([head, Row(2, ["B1", "T", name, "党支部", "村", "0"])], by=WithoutUnit())

    assert line.of("province").rated_count == 1
    sound()


def test_a_contrary_change_is_not_taken_back_itself(line):
    said = {"ground": GROUND, "by": line.county}
    back = changes.undo(changes.close(line.units["branch"], **said), **said)

    with pytest.raises(tree.StructureError, match="不能再撤回"):
        changes.undo(back, **said)


def test_a_root_that_was_hung_under_another_stays_there(line):
    head = Row(1, ["code", "parent_code", "name", "kind", "category"])
    rows = [
        Row(2, ["TOP", "", "中共测试国委员会", "党委", ""]),
        Row(3, ["P", "TOP", line.units["province"].name, "党委", ""]),
    ]
    load_rows([head, *rows], by=WithoutUnit())
    change = line.units["province"].changes.get()

    with pytest.raises(tree.StructureError, match="原来没有上级"):
        changes.undo(change, ground=GROUND, by=WithoutUnit())


def test_after_a_later_opening_a_merger_is_still_taken_back(line):
    parts = [line.units["branch"], line.units["sibling"]]
    said = {"ground": GROUND, "by": line.county}
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    change = changes.merge(parts, into=parts[0], **said)
    later = open_cycle(2013, previous=line.cycle)
    assert report_of(parts[0], later).previous is None
    changes.undo(change, **said)

    for part in parts:
        report = report_of(part, later)
        assert report.previous == report_of(part, line.cycle)
        assert (report.origin, list(report.former.all())) == ("", [])
    sound()


def test_a_part_that_was_merged_in_mid_cycle_is_not_said_to_be_back(line):
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    later = open_cycle(2013, previous=line.cycle)
    parts = [line.units["branch"], line.units["sibling"]]
    changes.merge(parts, into=parts[0], ground=GROUND, by=line.county)

    assert "恢复" not in report_of(parts[1], later).origin_text
    sound()


def test_the_old_superior_sees_the_move_that_it_waits_for(client, line):
    township = second_township(line)
    reviewer = appoint(township, Role.REVIEW)
    branch = changes.create(
        township,
        ground=GROUND,
        by=line.province,
        code="B9",
        name="甲县庚乡辛村党支部",
        kind=Kind.BRANCH,
    ).organization
    hand_up(report_of(branch, line.cycle))
    submit(report_of(township, line.cycle))
    changes.move(branch, parent=line.units["township"], ground=GROUND, by=line.province)
    client.force_login(reviewer.user)

    page = client.get(reverse("ratings:cycle", args=[line.cycle]))

    assert [str(one.change) for one in page.context["takeovers"]] == [
        "甲县庚乡辛村党支部转隶（测发〔2012〕3号）"
    ]
    assert "/organizations/changes/" not in page.content.decode()
    sound()


def test_what_waits_when_the_cycle_closes_is_not_taken_over_any_more(line):
    for name in ("branch", "sibling", "township", "county", "province"):
        hand_up(line.of(name))
    change = changes.close(line.units["sibling"], ground=GROUND, by=line.county)
    opening.close_cycle(line.cycle, by=line.province)
    before = list(Report.objects.order_by("pk").values())

    assert taking_over.attempt_waiting() == 0
    assert not taking_over.attempt(change.takeovers.get(), by=line.province)
    assert "已关闭" in Takeover.objects.get().refusal
    assert list(Report.objects.order_by("pk").values()) == before
    sound()


# ---------------------------------------------------------------- at once


def together(*acts) -> list[str]:
    """Start all at one moment; what became of each: "done", or the Chinese refusal."""
    barrier = threading.Barrier(len(acts))

    def run(act):
        barrier.wait()
        try:
            act()
        except Refusal as refusal:
            return str(refusal)
        finally:
            connections.close_all()
        return "done"

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


@pytest.mark.django_db(transaction=True)
def test_a_change_and_a_report_upward_at_once(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    for number in range(4):
        values = {"code": f"N{number}", "name": f"第{number}新党支部", "kind": Kind.BRANCH}
        said = {"ground": GROUND, "by": line.county}
        change, handed = together(
            lambda values=values, said=said: changes.create(
                line.units["township"], **said, **values
            ),
            lambda: submit(line.of("township")),
        )

        assert change == "done"
        waits = Takeover.objects.waiting().exists()
        assert waits == (handed == "done")
        sound()
        if waits:
            workflow.move("recall", line.of("township"), by=line.township)
            taking_over.attempt_waiting()
        hand_up(Report.objects.get(code=f"N{number}"))


@pytest.mark.django_db(transaction=True)
def test_of_two_mergers_of_the_same_branches_at_once_one_is_made(line):
    one, other = line.units["branch"], line.units["sibling"]
    said = {"ground": GROUND, "by": line.county}
    answers = together(
        lambda: changes.merge([one, other], into=one, **said),
        lambda: changes.merge([other, one], into=other, **said),
        lambda: changes.close(one, **said),
    )

    assert answers.count("done") in (1, 2)  # what is left of a merger may still be closed
    assert all("已撤销" in answer for answer in answers if answer != "done")
    assert Takeover.objects.filter(done_at=None).count() == 0
    sound()


@pytest.mark.django_db(transaction=True)
def test_a_change_and_the_opening_of_the_next_cycle_at_once(line):
    for name in ("branch", "sibling", "township", "county", "province"):
        hand_up(line.of(name))
    parts = [line.units["branch"], line.units["sibling"]]
    later = opening.create_cycle(2013, previous=line.cycle, by=line.province)
    answers = together(
        lambda: changes.merge(parts, into=parts[0], ground=GROUND, by=line.county),
        lambda: opening.open_cycle(later, by=line.province),
    )

    assert answers == ["done", "done"]
    rows = Report.objects.of(later).filter(is_rated=True).exclude(state=State.EXCUSED)
    assert [report.organization for report in rows] == [parts[0]]
    assert rows[0].previous is None
    assert {report.code for report in rows[0].former.filter(cycle=line.cycle)} == {"B1", "B2"}
    sound()


@pytest.mark.django_db(transaction=True)
def test_a_change_and_the_closing_of_the_cycle_at_once(line):
    for name in ("branch", "sibling", "township", "county", "province"):
        hand_up(line.of(name))
    before = list(Report.objects.order_by("pk").values())
    answers = together(
        lambda: changes.close(line.units["sibling"], ground=GROUND, by=line.county),
        lambda: opening.close_cycle(line.cycle, by=line.province),
        taking_over.attempt_waiting,
    )

    assert answers == ["done"] * 3
    assert not Takeover.objects.exclude(done_at=None).exists()
    assert list(Report.objects.order_by("pk").values()) == before
    sound()
