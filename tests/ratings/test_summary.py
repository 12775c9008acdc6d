"""The figures of 附件一, against answers that were reckoned by other code."""

import json
import subprocess
import sys
from collections import Counter
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from orgs.choices import Kind
from ratings import workflow
from ratings.choices import Grade
from ratings.models import Report
from ratings.summary import Basis, Figures, by_category, recount, share, summarize
from ratings.verification import verify
from tests.factories import OrganizationFactory, hand_up, open_cycle, report_of

SMALL = settings.BASE_DIR / "tests/data/lanshan_small"
BENCH = settings.BASE_DIR / "bench"


def command(*words):
    out = StringIO()
    call_command(*words, "--json", stdout=out)
    return json.loads(out.getvalue())


def play(folder, root):
    command("import_orgs", str(folder / "orgs.csv"))
    command("open_cycle", "2012")
    where = ("--cycle", "2012-1", "--under", root)
    done = command("import_ledger", str(folder / "ledger.csv"), *where)
    assert (done["outcome"], done["errors"]) == ("accepted", [])
    return command("play_cycle", *where)


def figures(said):
    return {
        "total": said["total"],
        "self": said["declared"],
        "reviewed": said["reviewed"],
        "target": said["target"],
    }


def expected(truth):
    return {name: truth[name] for name in ("total", "self", "reviewed", "target")}


def assert_agrees(truth):
    root = truth["root"]
    by_unit = command("summary", "--cycle", "2012-1", "--under", root)
    by_category = command("summary", "--cycle", "2012-1", "--under", root, "--by", "category")

    assert by_unit["basis"] == "已上报"
    assert figures(by_unit) == expected(truth["overall"])
    assert {row["code"]: figures(row) for row in by_unit["rows"]} == {
        code: expected(unit) for code, unit in truth["by_unit"].items()
    }
    assert {row["name"]: figures(row) for row in by_category["rows"]} == {
        name: expected(category) for name, category in truth["by_category"].items()
    }


def test_the_small_county_gives_exactly_the_figures_of_its_truth(db):
    truth = json.loads((SMALL / "truth.json").read_text())

    played = play(SMALL, "431127")

    assert played == {
        "cycle": "2012-1",
        "under": "431127",
        "state": "已审核",
        "submitted": 31,
        "accepted": 31,
    }
    assert_agrees(truth)
    for code, unit in truth["by_org"].items():
        said = command("summary", "--cycle", "2012-1", "--under", code)
        assert figures(said) == expected(unit)
    assert verify() == []


def test_playing_again_changes_nothing(db):
    play(SMALL, "431127")
    before = list(Report.objects.order_by("pk").values())

    again = command("play_cycle", "--cycle", "2012-1", "--under", "431127")

    assert (again["submitted"], again["accepted"]) == (0, 0)
    assert list(Report.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("branches", [100, 1000])
def test_generated_provinces_give_the_figures_reckoned_independently(db, tmp_path, branches):
    generate(branches, tmp_path)
    truth = tmp_path / "truth.json"
    run(BENCH / "expected_summary.py", str(tmp_path), "--out", str(truth))

    play(tmp_path, "43")

    assert_agrees(json.loads(truth.read_text()))


def generate(branches, folder):
    run(BENCH / "make_province.py", "--branches", str(branches), "--out", str(folder))


def run(*words):
    subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def test_importing_with_reviewed_decides_through_the_moves_and_plays_to_the_same(db):
    truth = json.loads((SMALL / "truth.json").read_text())
    command("import_orgs", str(SMALL / "orgs.csv"))
    command("open_cycle", "2012")
    words = (str(SMALL / "ledger.csv"), "--cycle", "2012-1", "--under", "431127", "--reviewed")

    command("import_ledger", *words)
    again = command("import_ledger", *words)
    states = Counter(Report.objects.filter(is_rated=True).values_list("state", flat=True))
    command("play_cycle", "--cycle", "2012-1", "--under", "431127")

    assert states == {"accepted": 26}
    assert {row["action"] for row in again["rows"]} == {"same"}
    assert_agrees(truth)
    assert verify() == []


@pytest.mark.parametrize(
    ("count", "total", "said"),
    [(1, 16, "6.3"), (9, 16, "56.3"), (0, 5, "0.0"), (5, 5, "100.0"), (1, 3, "33.3"), (0, 0, "—")],
)
def test_shares_are_rounded_half_up_and_nothing_of_nothing_is_a_dash(count, total, said):
    assert share(count, total) == said


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_shares_are_right_to_half_a_tenth(count, total):
    whole, _, tenth = share(count, total).partition(".")

    assert abs((int(whole) * 10 + int(tenth)) * total - 1000 * count) * 2 <= total


def test_figures_add_up_and_an_empty_sum_is_zero():
    one = Figures(2, 1, Counter({"村|good|good|good": 1}))

    assert sum([one, one], Figures()) == Figures(4, 2, Counter({"村|good|good|good": 2}))
    assert (Figures().total, Figures().missing) == (0, 0)
    assert one.missing == 1


def test_not_reported_returned_and_excused_are_told_apart(line):
    hand_up(line.of("branch"))
    workflow.move("excuse", line.of("sibling"), by=line.township, reason="已撤并")

    township = summarize(line.of("township"))
    county = summarize(line.of("county"))

    assert [(ln.name, ln.state, ln.note, ln.is_counted) for ln in township.lines] == [
        ("甲县乙乡丙村党支部", "accepted", "", True),
        ("甲县乙乡丁村党支部", "excused", "免报：已撤并", False),
    ]
    total = township.total
    assert (total.expected, total.excused, total.total, total.missing) == (1, 1, 1, 0)
    # Not reported yet: the county knows how many are expected, and that one is excused.
    assert (county.total.expected, county.total.excused, county.total.total) == (1, 1, 0)


def test_a_whole_excused_township_is_outside_every_denominator(line):
    hand_up(line.of("branch"))
    workflow.move("excuse", line.of("township"), by=line.county, reason="划出")

    for summary in (summarize(line.of("county")), summarize(line.of("county"), Basis.LIVE)):
        total = summary.total
        assert (total.expected, total.excused, total.total) == (0, 2, 0)


def test_a_rated_unit_with_subordinates_counts_above_but_not_in_its_own_sum(line):
    general = OrganizationFactory(
        code="G",
        name="丙村党总支",
        kind=Kind.GENERAL_BRANCH,
        is_rated=True,
        parent=line.units["township"],
    )
    OrganizationFactory(code="G1", name="一支部", parent=general)
    cycle = open_cycle(2012, 2)
    for code in ("G1", "G", "B1", "B2"):
        hand_up(Report.objects.get(cycle=cycle, code=code))

    own = summarize(report_of(general, cycle)).total
    above = summarize(Report.objects.get(cycle=cycle, code="T")).total

    assert (own.expected, own.total) == (1, 1)
    assert (above.expected, above.total) == (4, 4)


def test_totals_and_recount_agree_line_by_line_at_every_level(db):
    play(SMALL, "431127")

    for report in Report.objects.filter(has_subordinates=True):
        summed = summarize(report).lines
        counted = recount(report)
        assert [(ln.code, ln.figures) for ln in summed] == [(ln.code, ln.figures) for ln in counted]


def test_a_branch_gives_its_own_row(line):
    hand_up(line.of("branch"), grade=Grade.GOOD, reason="突出")

    own = summarize(line.of("branch"))

    assert (own.total.total, own.total.reviewed[Grade.GOOD]) == (1, 1)


def test_categories_follow_the_order_of_the_sheet(line):
    hand_up(line.of("branch"))

    lines = by_category(summarize(line.of("township")), ["社区", "村"])

    assert [(ln.name, ln.figures.total) for ln in lines] == [("村", 1)]


def test_a_summary_costs_the_same_queries_whatever_is_below(db, tmp_path):
    counts = []
    play(SMALL, "431127")
    for code in ("431127", "431127102"):
        report = report_of(Report.objects.get(code=code).organization)
        with CaptureQueriesContext(connection) as queries:
            summarize(report)
        with CaptureQueriesContext(connection) as recount_queries:
            recount(report)
        counts.append((len(queries), len(recount_queries)))

    assert counts[0] == counts[1] <= (3, 5)
