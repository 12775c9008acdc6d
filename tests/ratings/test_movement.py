"""Movement between two cycles, held against a plain recount of the rows."""

import random
from collections import Counter
from datetime import date
from fractions import Fraction

import pytest
from django.urls import reverse
from openpyxl import load_workbook

from orgs.choices import Kind
from ratings import exports, movement, workflow
from ratings.choices import CycleState, Form, Grade, State
from ratings.models import Cycle, LedgerEntry, Report, VersionMovement
from tests import factories
from tests.factories import OrganizationFactory, accept, appoint, fill, hand_up, report_of, submit

pytestmark = pytest.mark.django_db
GRADES = list(Grade.values)


@pytest.fixture
def province(db):
    """A tree of three levels with a branch at each, played through two cycles at random."""
    return make(seed=1)


def make(seed):
    chance = random.Random(seed)
    root = OrganizationFactory(code="P", name="中共测试省委员会", kind=Kind.COMMITTEE)
    branches = []
    for c in range(3):
        county = OrganizationFactory(
            code=f"C{c}", name=f"中共测试省{c}县委员会", kind=Kind.COMMITTEE, parent=root
        )
        branches.append(OrganizationFactory(code=f"C{c}B", name=f"{c}县直党支部", parent=county))
        for t in range(2):
            town = OrganizationFactory(
                code=f"C{c}T{t}", name=f"中共{c}县{t}乡委员会", kind=Kind.COMMITTEE, parent=county
            )
            for b in range(chance.randint(1, 3)):
                branches.append(
                    OrganizationFactory(
                        code=f"C{c}T{t}B{b}", name=f"{c}县{t}乡{b}村党支部", parent=town
                    )
                )
    before = factories.open_cycle()
    play(before, chance, excused={branches[0].pk})
    OrganizationFactory(code="NEW", name="新村党支部", parent=branches[1].parent)
    now = factories.open_cycle(2013, previous=before)
    play(now, chance, excused={branches[2].pk})
    root.refresh_from_db()
    return root, now


def play(cycle, chance, excused=frozenset()):
    """Fill, decide at random and hand up, the deepest first."""
    for report in Report.objects.filter(cycle=cycle).order_by("-path"):
        by = factories.system_post((report.parent or report).organization)
        if report.organization_id in excused:
            workflow.move("excuse", report, by=by, reason="合并")
            continue
        if report.is_rated:
            fill(report, deadline_text=f"{cycle.year}年底", due_on=date(cycle.year, 12, 31))
        if report.parent_id is None:
            continue
        submit(report_of(report.organization, cycle))
        accept(report_of(report.organization, cycle))
        if report.is_rated:
            grade = chance.choice(GRADES)
            LedgerEntry.objects.filter(report=report).update(
                reviewed_grade=grade,
                target_grade=chance.choice([Grade.GOOD, Grade(grade).next]),
            )


def plain(root, cycle):
    """The rows under an organization: (before, target, now, code), by walking parents."""
    rows = []
    for report in Report.objects.filter(cycle=cycle, is_rated=True).select_related("previous"):
        if report.state != State.ACCEPTED or report.organization_id == root.pk:
            continue
        above = report.parent
        while above and above.organization_id != root.pk:
            above = above.parent
        if above is None:
            continue
        last = report.previous and LedgerEntry.objects.filter(report=report.previous).first()
        before = last.reviewed_grade if last else None
        target = last.target_grade if last else None
        rows.append((before, target, report.entry.reviewed_grade, report.code))
    return rows


def of(report):
    return sum((line.movement for line in movement.lines_of(report)), movement.Movement())


RANK = {"good": 4, "fairly_good": 3, "average": 2, "poor": 1}


def test_matrix_kinds_and_rates_are_those_of_a_plain_recount(province):
    _, cycle = province
    for report in Report.objects.filter(cycle=cycle, has_subordinates=True):
        rows, found = plain(report.organization, cycle), of(report)
        cells = Counter((b, n) for b, _, n, _ in rows if b)
        matrix = {
            (b.value, n.value): c for b, nows in found.matrix().items() for n, c in nows.items()
        }
        assert {key: count for key, count in matrix.items() if count} == cells
        compared = [(b, t, n) for b, t, n, _ in rows if b]
        kinds = found.kinds()
        assert kinds["risen"] == sum(RANK[n] > RANK[b] for b, _, n in compared)
        assert kinds["fallen"] == sum(RANK[n] < RANK[b] for b, _, n in compared)
        assert kinds["kept"] == sum(RANK[n] == RANK[b] for b, _, n in compared)
        assert kinds["missed"] == sum(bool(t) and RANK[n] < RANK[t] for _, t, n in compared)
        assert kinds["new"] == len(rows) - len(compared)
        rates = {rate.name: (rate.count, rate.whole) for rate in found.rates()}
        good = [n for b, _, n in compared if b == "good"]
        poor = [n for b, _, n in compared if b == "poor"]
        assert rates["晋位率"] == (kinds["risen"], len(compared) - len(good))
        assert rates["转化率"] == (sum(n != "poor" for n in poor), len(poor))
        assert rates["巩固率"] == (sum(n == "good" for n in good), len(good))
        met = sum(bool(t) and RANK[n] >= RANK[t] for _, t, n in compared)
        assert rates["达标率"] == (met, len(compared))


def test_there_is_something_to_count(province):
    root, _ = province
    found = of(report_of(root))
    assert found.compared > 5
    assert found.new == 2  # the new branch, and the one that was excused before
    assert all(found.kinds()[kind] for kind in ("risen", "fallen", "new"))


def test_every_figure_opens_just_its_rows(province):
    _, cycle = province
    for report in Report.objects.filter(cycle=cycle, has_subordinates=True):
        found, rows = of(report), movement.rows_of(report)
        assert rows.count() == found.total
        for kind, count in found.kinds().items():
            assert movement.chosen(rows, kind=kind).count() == count
        for before, nows in found.matrix().items():
            for now, count in nows.items():
                asked = {"before": before.value, "now": now.value}
                assert movement.chosen(rows, **asked).count() == count
        for category in found.categories:
            assert movement.chosen(rows, category=category).count() == found.of(category).total


def test_pages_show_the_figures_and_open_their_rows(client, province):
    root, cycle = province
    post = appoint(root)
    client.force_login(post.user)
    report = report_of(root)
    page = client.get(reverse("ratings:own_movement", args=[cycle]), follow=True)
    found = of(report)
    assert page.context["total"].counts == found.counts
    for line in page.context["matrix"]:
        for cell in line["cells"]:
            if cell["url"]:
                rows = client.get(cell["url"])
                assert len(rows.context["rows"]) == cell["count"]
    for kind in page.context["kinds"]:
        assert len(client.get(kind["url"]).context["rows"]) == kind["count"]


def test_what_was_counted_once_is_not_counted_again(
    client, province, django_assert_max_num_queries
):
    root, cycle = province
    Cycle.objects.filter(pk=cycle.previous_id).update(state=CycleState.CLOSED)
    report = report_of(root)
    first = of(report)
    assert VersionMovement.objects.count() == 3
    with django_assert_max_num_queries(5):
        assert of(report).counts == first.counts


def test_others_see_nothing_of_it(client, line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    client.force_login(line.county.user)
    address = reverse("ratings:movement", args=[line.of("township").pk])
    assert client.get(address).status_code == 404  # not handed up yet
    client.force_login(line.branch.user)
    assert client.get(address).status_code == 404


def test_a_cycle_without_one_before_says_so(client, line):
    client.force_login(line.township.user)
    page = client.get(reverse("ratings:own_movement", args=[line.cycle]), follow=True)
    assert "没有上一批次" in page.content.decode()


def test_a_rate_has_one_decimal_half_up_and_a_dash_for_nothing():
    for count, whole in ((1, 8), (1, 16), (2, 3), (0, 5), (5, 5)):
        tenths = int(Fraction(1000 * count, whole) + Fraction(1, 2))
        assert movement.Rate("", count, whole, "").percent == f"{tenths // 10}.{tenths % 10}"
    assert movement.Rate("", 0, 0, "").percent == "—"


@pytest.mark.parametrize("asked", ["before=x", "now=x", "kind=x"])
def test_what_is_no_figure_is_not_there(client, line, asked):
    client.force_login(line.township.user)
    address = reverse("ratings:movement_rows", args=[line.of("township").pk])
    assert client.get(f"{address}?{asked}").status_code == 404


def test_the_sheet_of_the_cycle_before_shows_what_became_of_its_plans(province, tmp_path):
    root, cycle = province
    post, report = appoint(root), report_of(root, cycle.previous)
    path = tmp_path / "sheet.xlsx"
    with path.open("wb") as stream:
        exports.write(Form.ANNEX1, report, post, stream)
    rows = list(load_workbook(path)["附件一"].iter_rows(values_only=True))
    (total,) = [row for row in rows if "合计" in row]
    found = of(report_of(root))
    kinds, (risen, *_) = found.kinds(), found.rates()
    assert total[-9:-1] == (
        *found.now.values(),
        kinds["risen"],
        float(risen.percent),
        kinds["missed"],
        kinds["fallen"],
    )
    assert "晋位升级结果" in str(rows)


def test_a_cycle_that_nothing_followed_has_no_result(line, tmp_path):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    path = tmp_path / "sheet.xlsx"
    with path.open("wb") as stream:
        exports.write(Form.ANNEX1, line.of("township"), line.township, stream)
    assert "晋位升级结果" not in str(list(load_workbook(path)["附件一"].values))


@pytest.mark.django_db(transaction=True)
def test_the_sheet_of_the_cycle_before_is_written_from_a_reading_snapshot(tmp_path):
    """Outside a test's own transaction, where the snapshot is one that refuses to write."""
    root, cycle = make(seed=1)
    Cycle.objects.filter(pk=cycle.previous_id).update(state=CycleState.CLOSED)
    report = report_of(root, Cycle.objects.get(pk=cycle.previous_id))
    with (tmp_path / "sheet.xlsx").open("wb") as stream:
        assert exports.write(Form.ANNEX1, report, appoint(root), stream)
    assert not VersionMovement.objects.exists()


def test_what_was_kept_is_not_used_while_the_cycle_before_can_change(province):
    root, cycle = province
    before = Cycle.objects.filter(pk=cycle.previous_id)
    before.update(state=CycleState.CLOSED)
    of(report_of(root))
    before.update(state=CycleState.OPEN)
    LedgerEntry.objects.filter(report__cycle=before.get()).update(reviewed_grade=Grade.GOOD)

    report = report_of(root)
    found = of(report)

    assert found.kinds()["risen"] == 0
    rows = movement.rows_of(report)
    for kind, count in found.kinds().items():
        assert movement.chosen(rows, kind=kind).count() == count
    before.update(state=CycleState.CLOSED)
    movement.forget(before.get())
    assert of(report_of(root)).counts == found.counts
