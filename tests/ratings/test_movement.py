"""Movement between two cycles, held against a plain recount of the rows."""

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from django.core.management import call_command
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from ledger_site.base.trail import WithoutUnit
from orgs import services, tree
from orgs.choices import ChangeKind, Kind, PartRole
from orgs.models import Category, Organization, OrgChange, OrgChangePart
from ratings import exports, movement, opening, workflow
from ratings import services as services_of_ratings
from ratings.choices import CycleState, Form, Grade, Origin, State
from ratings.models import Cycle, LedgerEntry, Report, VersionMovement
from ratings.summary import share, summarize
from tests import factories, kept
from tests.factories import OrganizationFactory, accept, appoint, fill, hand_up, report_of, submit

pytestmark = pytest.mark.django_db
GRADES = list(Grade.values)


@pytest.fixture
def province(db):
    """A tree of three levels with a branch at each, played through two cycles at random."""
    kept.put(make)
    return Organization.objects.get(code="P"), Cycle.objects.get(year=2013)


def make(seed=1):
    chance = random.Random(seed)
    root = OrganizationFactory(code="P", name="中共测试省委员会", kind=Kind.COMMITTEE)
    categories = list(Category.objects.filter(code__in=["village", "school", "other"]))
    counties, towns, branches = [], [], []
    for c in range(3):
        county = OrganizationFactory(
            code=f"C{c}", name=f"中共测试省{c}县委员会", kind=Kind.COMMITTEE, parent=root
        )
        counties.append(county)
        branches.append(OrganizationFactory(code=f"C{c}B", name=f"{c}县直党支部", parent=county))
        for t in range(2):
            is_rated = chance.random() < 0.3
            town = OrganizationFactory(
                code=f"C{c}T{t}",
                name=f"中共{c}县{t}乡委员会",
                kind=Kind.COMMITTEE,
                parent=county,
                is_rated=is_rated,
                category=categories[0] if is_rated else None,
            )
            towns.append(town)
            for b in range(chance.randint(2, 4)):
                branches.append(
                    OrganizationFactory(
                        code=f"C{c}T{t}B{b}",
                        name=f"{c}县{t}乡{b}村党支部",
                        parent=town,
                        category=chance.choice(categories),
                    )
                )
    before = factories.open_cycle()
    chosen = iter(chance.sample(branches[1:], 9))
    play(before, chance, excused={branches[0].pk, towns[-1].pk if chance.random() < 0.5 else None})
    change_tree(chosen, towns)
    now = factories.open_cycle(2013, previous=before)
    play(now, chance, excused={branches[0].pk} if chance.random() < 0.3 else set())
    root.refresh_from_db()
    return root, now


def change_tree(chosen, towns):
    """A merger into a new and into an old branch, a split, one that was undone, new, renamed and
    moved ones."""
    first, second, third, fourth, split, parted, renamed, moved, _ = chosen
    merged = OrganizationFactory(code="M", name="合并党支部", parent=first.parent)
    record(ChangeKind.MERGE, merged, {first: PartRole.SOURCE, second: PartRole.SOURCE})
    record(ChangeKind.MERGE, third, {fourth: PartRole.SOURCE})
    for gone in (first, second, fourth):
        gone.refresh_from_db()
        gone.closed_on = date(2012, 12, 1)
        gone.save()
    product = OrganizationFactory(code="S", name="分设党支部", parent=split.parent)
    record(ChangeKind.SPLIT, split, {product: PartRole.PRODUCT})
    record(ChangeKind.MERGE, split, {parted: PartRole.SOURCE})  # and was reopened since
    OrganizationFactory(code="NEW", name="新村党支部", parent=towns[0])
    by = WithoutUnit()
    renamed.refresh_from_db()
    services.rename(renamed, name="改名党支部", short_name="改名支部", by=by)
    moved.refresh_from_db()
    tree.move(moved, parent=towns[1], by=by)


def record(kind, organization, parts):
    change = OrgChange.objects.create(
        kind=kind, organization=organization, effective_on=date(2012, 12, 1)
    )
    for part, role in parts.items():
        OrgChangePart.objects.create(change=change, organization=part, role=role)
    return change


def play(cycle, chance, excused=frozenset()):
    """Fill, decide at random and hand up, the deepest first."""
    for report in Report.objects.filter(cycle=cycle).order_by("-path"):
        by = factories.system_post((report.parent or report).organization)
        if report.organization_id in excused:
            report = workflow.move("excuse", report, by=by, reason="暂不纳入")
            if report.state == State.EXCUSED:
                continue
            report.refresh_from_db()
        if report.counts_row:
            fill(report, deadline_text=f"{cycle.year}年底", due_on=date(cycle.year, 12, 31))
        if report.parent_id is None:
            continue
        submit(report_of(report.organization, cycle))
        grade = chance.choice(GRADES) if report.counts_row else None
        targets = [Grade.GOOD, Grade(grade).next] if grade else [None]
        accept(
            report_of(report.organization, cycle),
            grade=grade,
            reason="据实",
            target=chance.choice(targets),
            target_reason="据实",
        )


def plain(root, cycle):
    """The rows under an organization: (before, target, now, code, why not comparable, category,
    direct subordinate), by walking parents and reading the changes one by one."""
    rows, earlier = [], Report.objects.filter(cycle=cycle.previous)
    concerned = {}
    for change in OrgChange.objects.filter(kind__in=["merge", "split"]):
        organizations = [change.organization, *(p.organization for p in change.parts.all())]
        for one in organizations:
            if concerned.get(one.pk) != "merged":
                concerned[one.pk] = {"merge": "merged", "split": "split"}[change.kind]
    for report in Report.objects.filter(cycle=cycle, is_rated=True).order_by("path"):
        line = [report]
        while line[-1].parent:
            line.append(line[-1].parent)
        if report.is_row_excused or any(one.state == State.EXCUSED for one in line):
            continue
        above = next((n for n, one in enumerate(line) if one.organization_id == root.pk), 0)
        if not above:
            continue
        last = earlier.filter(organization=report.organization_id).first()
        reason, before, target = concerned.get(report.organization_id, ""), None, None
        if not reason and last is None:
            reason = "new"
        elif not reason:
            one = last
            reason = "excused" if last.is_row_excused else ""
            while one:
                if one.state == State.EXCUSED:
                    reason = "excused"
                one = one.parent
        if not reason:
            before, target = last.entry.reviewed_grade, last.entry.target_grade
        now = report.entry.reviewed_grade
        category = report.category.sheet_row
        rows.append((before, target, now, report.code, reason, category, line[above - 1].pk))
    return rows


of = movement.of
RANK = {"good": 4, "fairly_good": 3, "average": 2, "poor": 1}


def assert_agrees(found, rows):
    """Figures against the rows of a plain recount."""
    compared = [(b, t, n) for b, t, n, *_ in rows if b]
    cells = Counter((b, n) for b, _, n in compared)
    matrix = {(b.value, n.value): c for b, nows in found.matrix().items() for n, c in nows.items()}
    assert {key: count for key, count in matrix.items() if count} == cells
    assert found.total == len(rows)
    kinds = found.kinds()
    assert kinds["risen"] == sum(RANK[n] > RANK[b] for b, _, n in compared)
    assert kinds["fallen"] == sum(RANK[n] < RANK[b] for b, _, n in compared)
    assert kinds["kept"] == sum(RANK[n] == RANK[b] for b, _, n in compared)
    assert kinds["missed"] == sum(bool(t) and RANK[n] < RANK[t] for _, t, n in compared)
    for reason in ("new", "merged", "split", "excused"):
        assert kinds[reason] == sum(why == reason for *_, why, _, _ in rows), reason
    assert kinds["unrated"] == 0
    rates = {rate.name: (rate.count, rate.whole) for rate in found.rates()}
    good = [n for b, _, n in compared if b == "good"]
    poor = [n for b, _, n in compared if b == "poor"]
    assert rates["晋位率"] == (kinds["risen"], len(compared) - len(good))
    assert rates["转化率"] == (sum(n != "poor" for n in poor), len(poor))
    assert rates["巩固率"] == (sum(n == "good" for n in good), len(good))
    met = sum(bool(t) and RANK[n] >= RANK[t] for _, t, n in compared)
    assert rates["达标率"] == (met, len(compared))


def assert_opens(report, line_of, found, **asked):
    """Every figure opens as many rows as it says."""
    for before, nows in found.matrix().items():
        for now, count in nows.items():
            cell = movement.Asked(before=before.value, now=now.value, **asked)
            assert movement.rows_of(report, cell, **line_of).count() == count
    for kind in ("", *movement.SETS):
        rows = movement.rows_of(report, movement.Asked(kind, **asked), **line_of)
        assert rows.count() == found.count(kind), kind
    for rate in found.rates():
        for part, count in ((rate.part, rate.count), (rate.base, rate.whole)):
            rows = movement.rows_of(report, replace(part, **asked), **line_of)
            assert rows.count() == count


@pytest.mark.parametrize("seed", range(2))
def test_every_figure_is_that_of_a_plain_recount_and_opens_its_rows(db, seed):
    """By any unit, line and category, whether counts are kept (the odd ones) or not."""
    root, cycle = make(seed)
    if seed % 2:
        Cycle.objects.filter(pk=cycle.previous_id).update(state=CycleState.CLOSED)
        movement.keep_again(Cycle.objects.get(pk=cycle.previous_id))
        assert VersionMovement.objects.exists()
    for report in Report.objects.filter(cycle=cycle, has_subordinates=True):
        report = report_of(report.organization, cycle)
        rows, lines = plain(report.organization, cycle), movement.lines_of(report)
        found = of(report)
        assert found.total == summarize(report).total.total  # 附件一 counts the same rows
        assert movement.rows_of(report).count() == found.total
        assert_agrees(found, rows)
        for line in lines:
            assert_agrees(line.movement, [row for row in rows if row[-1] == line.report.pk])
        for category in found.categories:
            assert_agrees(found.of(category), [row for row in rows if row[-2] == category])
    report = report_of(root)
    found, line = of(report), movement.lines_of(report)[seed]
    assert_opens(report, {}, found)
    assert_opens(report, {"unit": line.report.path}, line.movement)
    assert_opens(report, {}, found.of(found.categories[0]), category=found.categories[0])


@given(chance=st.randoms(use_true_random=False))
@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_small_tree_opens_each_figure_of_each_unit_line_and_category(db, chance):
    with transaction.atomic():
        cycle = small(chance)
        for report in Report.objects.filter(cycle=cycle, has_subordinates=True):
            report = report_of(report.organization, cycle)
            found = of(report)
            assert_agrees(found, plain(report.organization, cycle))
            assert_opens(report, {}, found)
            for line in movement.lines_of(report):
                assert_opens(report, {"unit": line.report.path}, line.movement)
            for category in found.categories:
                assert_opens(report, {}, found.of(category), category=category)
        transaction.set_rollback(True)


def small(chance):
    """Two cycles of a tree of any shape, decided at random."""
    parents = [OrganizationFactory(code="P", name="省委", kind=Kind.COMMITTEE)]
    categories = list(Category.objects.filter(code__in=["village", "school"]))
    for number in range(chance.randint(2, 5)):
        is_committee = chance.random() < 0.4
        one = OrganizationFactory(
            code=f"U{number}",
            name=f"第{number}个党组织",
            parent=chance.choice(parents),
            kind=Kind.COMMITTEE if is_committee else Kind.BRANCH,
            is_rated=not is_committee or chance.random() < 0.3,
            category=chance.choice(categories),
        )
        parents += [one] * is_committee
    OrganizationFactory(code="B", name="末一党支部", parent=parents[-1], category=categories[0])
    before = factories.open_cycle()
    branches = list(Organization.objects.filter(kind=Kind.BRANCH).order_by("pk"))
    play(before, chance, excused={one.pk for one in branches if chance.random() < 0.15})
    if len(branches) > 2:
        kind, role = chance.choice(
            [(ChangeKind.MERGE, PartRole.SOURCE), (ChangeKind.SPLIT, PartRole.PRODUCT)]
        )
        one, other = chance.sample(branches, 2)
        record(kind, one, {other: role})
    OrganizationFactory(code="N", name="新建党支部", parent=chance.choice(parents))
    cycle = factories.open_cycle(2013, previous=before)
    play(cycle, chance, excused={one.pk for one in branches if chance.random() < 0.15})
    return cycle


def test_kept_counts_guide_the_search_for_rare_rows(province, monkeypatch):
    monkeypatch.setattr(movement, "WORTH", 1)
    monkeypatch.setattr(movement, "RARE", 1)
    root, cycle = province
    Cycle.objects.filter(pk=cycle.previous_id).update(state=CycleState.CLOSED)
    movement.keep_again(Cycle.objects.get(pk=cycle.previous_id))
    assert_opens(report_of(root), {}, of(report_of(root)))


def test_there_is_something_to_count(province):
    root, _ = province
    found = of(report_of(root))
    assert found.compared > 5
    assert all(found.count(kind) for kind in ("risen", "fallen", "new", "merged", "split"))
    assert found.count("excused") >= 1


def test_pages_show_the_figures_and_open_their_rows(client, province):
    root, cycle = province
    post = appoint(root)
    client.force_login(post.user)
    report = report_of(root)
    page = client.get(reverse("ratings:own_movement", args=[cycle]), follow=True)
    found = of(report)
    assert page.context["total"].counts == found.counts
    drawn = [one["told"] for one in page.context["flow"]["bands"]]
    assert drawn == [
        f"{line['label']}→{now} {cell['count']}（{cell['word']}）"
        for line in page.context["matrix"]
        for now, cell in zip(page.context["grades"], line["cells"], strict=True)
        if cell["count"]
    ]
    assert "，".join(drawn) in page.content.decode()
    for one in page.context["flow_legend"]:
        cells = (cell for line in page.context["matrix"] for cell in line["cells"])
        assert one["count"] == sum(c["count"] for c in cells if c["word"] == one["label"])
    for line in page.context["matrix"]:
        for cell in line["cells"]:
            if cell["url"]:
                rows = client.get(cell["url"])
                assert len(rows.context["rows"]) == cell["count"]
    figures = [*page.context["kinds"], *(c for ln in page.context["lines"] for c in ln["counts"])]
    for kind in figures:
        assert bool(kind["url"]) == bool(kind["count"])
        if kind["url"]:
            assert len(client.get(kind["url"]).context["rows"]) == kind["count"]
    for line in [page.context, *page.context["lines"]]:
        for rate in line["rates"]:
            for name in ("count", "whole"):
                if rate[f"{name}_url"]:
                    rows = client.get(rate[f"{name}_url"]).context["rows"]
                    assert len(rows) == rate[name]


def test_a_page_writes_nothing_and_does_not_count_what_is_kept(
    client, province, django_assert_max_num_queries
):
    root, cycle = province
    Cycle.objects.filter(pk=cycle.previous_id).update(state=CycleState.CLOSED)
    first = of(report_of(root))
    assert not VersionMovement.objects.exists()
    movement.keep_again(Cycle.objects.get(pk=cycle.previous_id))
    assert (
        VersionMovement.objects.count()
        == 9
        - Report.objects.filter(cycle=cycle, has_subordinates=True, state=State.EXCUSED).count()
    )
    with django_assert_max_num_queries(8):
        assert of(report_of(root)).counts == first.counts


def test_counts_are_kept_with_what_is_handed_up(line):
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    workflow.move("submit", line.of("province"), by=line.province)
    accept(line.of("province"), by=factories.system_post(line.province.organization))
    opening.close_cycle(line.cycle, by=line.province)
    now = factories.open_cycle(2012, 2, previous=Cycle.objects.get())
    for name in ("branch", "sibling", "township", "county"):
        hand_up(report_of(line.units[name], now))

    kept = dict(VersionMovement.objects.values_list("version__report__code", "counts"))

    (both,) = kept[line.units["county"].code].values()
    assert both == 2
    assert kept[line.units["county"].code] == kept[line.units["township"].code]
    root = report_of(line.units["province"], now)
    assert of(root).counts == Counter(kept[line.units["county"].code])


def two_cycles(line, names=("branch", "sibling", "township", "county")):
    """Both cycles played through and open; gives a reader of reports of the later one."""
    for name in names:
        hand_up(line.of(name))
    now = factories.open_cycle(2012, 2, previous=line.cycle)
    for name in names:
        hand_up(report_of(line.units[name], now))
    return lambda name: report_of(line.units[name], now)


def test_what_changes_in_the_cycle_before_while_it_is_open_moves_the_figures(line):
    later = two_cycles(line)
    for name, who in (("county", "province"), ("township", "county")):
        workflow.move("reopen", line.of(name), by=getattr(line, who), reason="核实")
    decision = workflow.Decision(Grade.POOR, "核实", Grade.AVERAGE, "核实")
    workflow.move("regrade", line.of("branch"), by=line.township, reason="核实", decision=decision)

    found = of(later("province"))

    assert found.matrix()[Grade.POOR][Grade.FAIRLY_GOOD] == 1
    assert_opens(later("province"), {}, found)


def test_under_a_correction_the_rows_of_the_version_are_counted(line):
    later = two_cycles(line)
    services_of_ratings.open_correction(
        issuer=later("province"),
        rows=[later("branch")],
        fields=["problems"],
        number="1号",
        reason="核实",
        by=line.province,
    )

    def agree():
        root = later("province")
        found = of(root)
        assert found.total == summarize(root).total.total == 2
        assert found.now[Grade.FAIRLY_GOOD] == 2
        assert_opens(root, {}, found)

    agree()
    submit(later("branch"))
    accept(later("branch"), grade=Grade.POOR, reason="核实", target=Grade.AVERAGE)
    agree()  # what the township has decided anew was not handed up to the province


def test_a_row_under_what_was_excused_after_it_is_not_comparable(line):
    hand_up(line.of("branch"))
    hand_up(line.of("sibling"))
    workflow.move("excuse", line.of("township"), by=line.county, reason="划出")
    now = factories.open_cycle(2012, 2, previous=line.cycle)
    branch = report_of(line.units["branch"], now)
    assert (branch.previous, branch.origin) == (None, Origin.EXCUSED)
    assert branch.origin_text == f"上期随“{line.of('township').short_name}”免报"
    for name in ("branch", "sibling", "township", "county"):
        hand_up(report_of(line.units[name], now))

    found = of(report_of(line.units["province"], now))

    assert (found.compared, found.count("excused")) == (0, 2)


def test_one_that_is_excused_after_the_next_opening_is_not_comparable_either(line):
    hand_up(line.of("branch"))
    hand_up(line.of("sibling"))
    now = factories.open_cycle(2012, 2, previous=line.cycle)
    workflow.move("excuse", line.of("township"), by=line.county, reason="划出")
    for name in ("branch", "sibling", "township", "county"):
        hand_up(report_of(line.units[name], now))
    root = report_of(line.units["province"], now)

    found = of(root)

    assert (found.compared, found.count("excused")) == (0, 2)
    assert_opens(root, {}, found)


def test_a_row_without_a_decision_then_is_told_apart(line):
    now = factories.open_cycle(2012, 2, previous=line.cycle)
    for name in ("branch", "sibling"):
        hand_up(report_of(line.units[name], now))
    township = report_of(line.units["township"], now)

    assert of(township).kinds()["unrated"] == 2
    assert_opens(township, {}, of(township))


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
        assert share(count, whole) == f"{tenths // 10}.{tenths % 10}"
    assert share(0, 0) == "—"


@pytest.mark.parametrize("asked", ["before=x", "now=x", "kind=x", "unit=x", "unit=0", "unit="])
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
    # Line by line as a plain recount has it: what became of the rows that are below each now.
    plain_rows, heads = plain(root, cycle), Report.objects.in_bulk()
    told = {row[1]: row[-9:-1] for row in rows if row[0] and str(row[0]).isdigit()}
    assert len(told) == 3
    for name, values in told.items():
        under = [row for row in plain_rows if heads[row[-1]].name == name]
        now = Counter(row[2] for row in under)
        compared = [(b, t, n) for b, t, n, *_ in under if b]
        risen = sum(RANK[n] > RANK[b] for b, _, n in compared)
        base = sum(b != "good" for b, *_ in compared)
        share = (
            (Decimal(100 * risen) / base).quantize(Decimal("0.1"), ROUND_HALF_UP) if base else "—"
        )
        assert values == (
            *(now[grade] for grade in ("good", "fairly_good", "average", "poor")),
            risen,
            share if base == 0 else float(share),
            sum(bool(t) and RANK[n] < RANK[t] for _, t, n in compared),
            sum(RANK[n] < RANK[b] for b, _, n in compared),
        )


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
    movement.keep_again(before.get())
    before.update(state=CycleState.OPEN)
    LedgerEntry.objects.filter(report__cycle=before.get()).update(reviewed_grade=Grade.GOOD)

    report = report_of(root)
    found = of(report)

    assert found.kinds()["risen"] == 0
    assert_opens(report, {}, found)
    before.update(state=CycleState.CLOSED)
    movement.keep_again(before.get())
    assert of(report_of(root)).counts == found.counts


def test_the_command_gives_the_figures_of_the_page(province, capsys):
    root, _ = province
    where = ("--cycle", "2013-1", "--under", "P", "--movement")

    call_command("summary", *where, "--json")
    said = json.loads(capsys.readouterr().out)["movement"]
    call_command("summary", *where, "--by", "category", "--json")
    by_category = json.loads(capsys.readouterr().out)["movement"]
    call_command("summary", *where)

    found = of(report_of(root))
    assert (said["total"], said["kinds"]) == (found.total, found.kinds())
    assert said["matrix"]["好"]["较差"] == found.matrix()[Grade.GOOD][Grade.POOR]
    assert said["rates"]["晋位率"]["count"] == found.kinds()["risen"]
    assert sum(row["total"] for row in said["rows"]) == found.total
    assert sum(row["compared"] for row in by_category["rows"]) == found.compared
    assert f"两期可比{found.compared}，晋位{found.kinds()['risen']}" in capsys.readouterr().out


def test_the_command_refuses_what_has_nothing_before(line, capsys):
    with pytest.raises(SystemExit):
        call_command(
            "summary", "--cycle", "2012-1", "--under", line.of("county").code, "--movement"
        )
    assert "没有上一批次" in capsys.readouterr().err


def test_the_list_of_the_cycle_before_tells_what_became_of_each_row(province, tmp_path):
    root, cycle = province
    post, report = appoint(root), report_of(root, cycle.previous)
    path = tmp_path / "sheet.xlsx"
    with path.open("wb") as stream:
        exports.write(Form.ANNEX1_LIST, report, post, stream)
    sheet = load_workbook(path).worksheets[0]
    told = Counter(cell.value for cell in sheet["L"][3:] if cell.value)
    grades = Counter(cell.value for cell in sheet["K"][3:] if cell.value in Grade.labels)

    rows = [row for row in plain(root, cycle) if row[4] not in ("new", "excused")]
    gone = {"M", "S"}  # merged and split ones that were not there then
    rows = [row for row in rows if row[3] not in gone]
    assert sum(grades.values()) == len(rows)
    risen = sum(bool(b) and RANK[n] > RANK[b] for b, _, n, *_ in rows)
    assert sum(n for word, n in told.items() if word.startswith("晋位")) == risen
    assert told["不可比（合并）"] == sum(row[4] == "merged" for row in rows)
