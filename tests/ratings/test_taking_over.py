"""组织变动 in open cycles: taken over at once or waiting, and what is proved stays proved."""

import io
import random
import re
from collections import defaultdict
from datetime import date
from zipfile import ZipFile

import pytest
from openpyxl import load_workbook

from ledger_site.base.importing import Rejected
from ledger_site.base.reading import Row
from ledger_site.base.trail import WithoutUnit
from ledger_site.base.workflow import TransitionRefused
from orgs import changes, tree
from orgs.choices import ChangeKind, Kind
from orgs.loading import load_rows
from orgs.models import Category, Organization
from orgs.posts import system_post
from ratings import exports, opening, services, sight, taking_over, verification, workflow
from ratings.choices import Form, State
from ratings.models import LedgerEntry, Report, ReportMove, Takeover
from tests import factories
from tests.factories import OrganizationFactory, appoint, fill, hand_up, report_of, submit

pytestmark = pytest.mark.django_db

GROUND = changes.Ground(date(2012, 5, 1), "测发〔2012〕3号", "区划调整")


def sound():
    assert verification.verify() == []
    assert tree.check() == []


def done(change):
    return [takeover.done_at is not None for takeover in change.takeovers.all()]


def second_township(line):
    """乙二乡 with a branch of its own, in the cycle by a change."""
    said = {"ground": GROUND, "by": line.province}
    values = {"code": "T2", "name": "中共测试省甲县庚乡委员会", "kind": Kind.COMMITTEE}
    made = changes.create(line.units["county"], **said, **values).organization
    values = {"code": "B9", "name": "甲县庚乡辛村党支部", "kind": Kind.BRANCH}
    branch = changes.create(made, **said, **values, category=village()).organization
    return made, branch


def village():
    return Category.objects.get(code="village")


def test_a_new_branch_has_a_report_and_a_row(line):
    township, branch = second_township(line)

    report = report_of(branch, line.cycle)
    assert report.is_rated
    assert LedgerEntry.objects.get(report=report).declared_grade is None
    assert report.parent.organization == township
    assert [line.of(name).rated_count for name in ("province", "county", "township")] == [3, 3, 2]
    sound()


def test_a_new_organization_that_nothing_is_rated_below_has_no_report(line):
    values = {"code": "T2", "name": "中共测试省甲县庚乡委员会", "kind": Kind.COMMITTEE}
    change = changes.create(line.units["county"], ground=GROUND, by=line.province, **values)

    assert done(change) == [True]
    assert not Report.objects.filter(organization=change.organization).exists()


def test_below_what_was_handed_up_it_waits_and_blocks(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    values = {"code": "B3", "name": "甲县乙乡戊村党支部", "kind": Kind.BRANCH}
    change = changes.create(line.units["township"], ground=GROUND, by=line.county, **values)
    takeover = change.takeovers.get()

    assert takeover.done_at is None
    assert "已上报，撤回、退回或重开后才能纳入" in takeover.refusal
    assert taking_over.attempt_waiting() == 0
    sound()
    workflow.move("recall", line.of("township"), by=line.township)
    with pytest.raises(TransitionRefused, match="组织变动尚未纳入"):
        submit(line.of("township"))
    assert taking_over.attempt_waiting() == 1
    assert line.of("township").rated_count == 3
    with pytest.raises(TransitionRefused, match="下级尚未全部审核通过"):
        submit(line.of("township"))
    sound()


def test_nothing_comes_in_below_an_excused_unit_whose_superior_reported(line):
    workflow.move("excuse", line.of("county"), by=line.province, reason="整体免报")
    submit(line.of("province"), by=line.province)
    values = {"code": "B3", "name": "甲县乙乡戊村党支部", "kind": Kind.BRANCH}
    change = changes.create(line.units["township"], ground=GROUND, by=line.county, **values)

    assert done(change) == [False]
    sound()


def test_under_an_excused_unit_it_is_taken_in_while_nobody_reported(line):
    workflow.move("excuse", line.of("county"), by=line.province, reason="整体免报")
    values = {"code": "B3", "name": "甲县乙乡戊村党支部", "kind": Kind.BRANCH}
    change = changes.create(line.units["township"], ground=GROUND, by=line.county, **values)

    assert done(change) == [True]
    submit(line.of("province"), by=line.province)
    sound()


def test_a_waiting_change_waits_for_an_earlier_one(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    said = {"ground": GROUND, "by": line.county}
    values = {"code": "B3", "name": "甲县乙乡戊村党支部", "kind": Kind.BRANCH}
    made = changes.create(line.units["township"], **said, **values).organization
    change = changes.rename(made, name="甲县乙乡己村党支部", **said)

    assert "须先纳入较早的变动" in change.takeovers.get().refusal
    workflow.move("recall", line.of("township"), by=line.township)
    assert taking_over.attempt_waiting() == 2
    assert report_of(made, line.cycle).name == "甲县乙乡己村党支部"


def test_a_name_follows_whatever_was_reported(line):
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    change = changes.rename(
        line.units["branch"], name="甲县乙乡新村党支部", ground=GROUND, by=line.county
    )

    assert done(change) == [True]
    assert line.of("branch").name == line.of("branch").short_name == "甲县乙乡新村党支部"
    sound()


def test_a_category_waits_for_the_superior(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    community = Category.objects.get(code="community")
    said = {"category": community, "ground": GROUND, "by": line.county}
    submit(line.of("township"))
    change = changes.reclassify(line.units["branch"], **said)
    assert done(change) == [False]
    workflow.move("recall", line.of("township"), by=line.township)

    assert taking_over.attempt_waiting() == 1
    assert line.of("branch").category == community
    hand_up(line.of("township"))
    figures = sight.figures_of(line.of("county"), line.county).total
    assert {key.partition("|")[0] for key in figures.counts} == {"社区", "村"}
    sound()


def test_a_category_out_of_the_cycles_scope_leaves_it(line):
    line.cycle.categories.set([village()])
    community = Category.objects.get(code="community")
    changes.reclassify(line.units["branch"], category=community, ground=GROUND, by=line.county)

    report = line.of("branch")
    assert (report.is_rated, report.state) == (False, State.EXCUSED)
    assert line.of("province").rated_count == 1
    changes.reclassify(line.units["branch"], category=village(), ground=GROUND, by=line.county)
    assert line.of("province").rated_count == 2
    sound()


def test_a_branch_that_became_a_general_one_is_rated_no_more(line):
    change = changes.upgrade(
        line.units["branch"],
        kind=Kind.GENERAL_BRANCH,
        is_rated=False,
        ground=GROUND,
        by=line.county,
    )
    values = {"code": "B3", "name": "丙村第一党支部", "kind": Kind.BRANCH}
    assert done(change) == [True]
    assert line.of("branch").kind == Kind.GENERAL_BRANCH
    assert line.of("township").rated_count == 1
    sound()
    workflow.move("include", line.of("branch"), by=line.township, reason="下设支部")
    changes.create(line.units["branch"], ground=GROUND, by=line.county, **values)
    assert line.of("township").rated_count == 2
    sound()


def test_a_branch_moves_with_its_row_and_its_grade(line):
    township, _ = second_township(line)
    hand_up(line.of("branch"))
    entry = LedgerEntry.objects.get(report=line.of("branch"))
    change = changes.move(line.units["branch"], parent=township, ground=GROUND, by=line.province)

    moved = line.of("branch")
    assert done(change) == [True]
    assert (moved.parent.organization, moved.state) == (township, State.ACCEPTED)
    assert LedgerEntry.objects.get(report=moved).reviewed_grade == entry.reviewed_grade
    counts = [report_of(unit).rated_count for unit in (line.units["township"], township)]
    assert counts == [1, 2]
    assert line.of("county").rated_count == 3
    sound()


def test_who_moves_must_be_above_both(line):
    township, _ = second_township(line)
    said = {"ground": GROUND, "by": line.township}
    with pytest.raises(tree.StructureError, match="不在您管理的范围"):
        changes.move(line.units["branch"], parent=township, **said)
    with pytest.raises(tree.StructureError, match="不在您管理的范围"):
        changes.close(line.units["township"], **said)
    assert not line.units["branch"].changes.exists()


def test_the_last_subordinate_leaves_an_empty_unit(line):
    township, _ = second_township(line)
    for name in ("branch", "sibling"):
        changes.move(line.units[name], parent=township, ground=GROUND, by=line.province)

    left = line.of("township")
    assert (left.state, left.has_subordinates, left.rated_count) == (State.EXCUSED, False, 0)
    sound()


def test_closing_is_excuse_with_the_document(line):
    hand_up(line.of("branch"))
    change = changes.close(line.units["branch"], ground=GROUND, by=line.county)

    report = line.of("branch")
    assert done(change) == [True]
    assert report.state == State.EXCUSED
    assert "测发〔2012〕3号" in report.excuse_reason
    assert not line.branch.user.appointments.filter(ended_on=None).exists()
    sound()
    back = changes.undo(change, ground=GROUND, by=line.county)
    assert back.kind == ChangeKind.REOPEN
    assert line.of("branch").state == State.RETURNED
    assert LedgerEntry.objects.get(report=line.of("branch")).reviewed_grade is None
    sound()


def test_merged_branches_need_a_new_rating_and_keep_their_rows(line):
    hand_up(line.of("branch"))
    fill(line.of("sibling"))
    parts = [line.units["branch"], line.units["sibling"]]
    values = {"code": "B3", "name": "甲县乙乡丙丁村党支部", "kind": Kind.BRANCH}
    change = changes.merge(
        parts, parent=line.units["township"], ground=GROUND, by=line.county, **values
    )

    result = report_of(change.organization, line.cycle)
    assert done(change) == [True]
    assert (result.state, result.entry.declared_grade) == (State.DRAFT, None)
    for name in ("branch", "sibling"):
        assert line.of(name).state == State.EXCUSED
        assert "合并入“甲县乙乡丙丁村党支部”" in line.of(name).excuse_reason
        assert line.of(name).entry.secretary_name
    assert list(result.former.order_by("path")) == [line.of("branch"), line.of("sibling")]
    assert result.origin_text == "由甲县乙乡丙村党支部、甲县乙乡丁村党支部合并"
    figures = sight.figures_of(line.of("township"), line.township).total
    assert (figures.expected, figures.excused) == (1, 2)
    sound()
    hand_up(result)
    hand_up(line.of("township"))
    sound()


def test_an_absorbing_branch_is_rated_anew(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    parts = [line.units["branch"], line.units["sibling"]]
    change = changes.merge(parts, into=parts[0], ground=GROUND, by=line.county)

    report = line.of("branch")
    assert report.state == State.RETURNED
    assert report.entry.reviewed_grade is None
    assert ReportMove.objects.filter(report=report, action="renew").exists()
    assert line.of("sibling").state == State.EXCUSED
    sound()
    changes.undo(change, ground=GROUND, by=line.county)
    assert line.of("sibling").state == State.RETURNED
    assert not Organization.objects.get(code="B2").closed_on
    sound()


def test_a_split_branch_and_what_it_was_split_into(line):
    hand_up(line.of("branch"))
    products = [
        {"code": f"B1{n}", "name": f"甲县乙乡丙村第{n}党支部", "kind": Kind.BRANCH} for n in (1, 2)
    ]
    said = {"ground": GROUND, "by": line.county}
    change = changes.split(line.units["branch"], products=products, closes=True, **said)

    assert line.of("branch").state == State.EXCUSED
    assert line.of("township").rated_count == 4
    made = [report_of(part.organization) for part in change.parts.order_by("pk")]
    assert [list(report.former.all()) for report in made] == [[line.of("branch")]] * 2
    sound()
    changes.undo(change, ground=GROUND, by=line.county)
    assert line.of("branch").state == State.RETURNED
    assert [report_of(report.organization).state for report in made] == [State.EXCUSED] * 2
    sound()


def test_subordinates_go_with_a_merger_and_come_back(line):
    township, _ = second_township(line)
    said = {"ground": GROUND, "by": line.province}
    change = changes.merge([line.units["township"], township], into=township, **said)

    assert [line.of(name).parent.organization for name in ("branch", "sibling")] == [township] * 2
    assert line.of("township").state == State.EXCUSED
    assert report_of(township).rated_count == 3
    sound()
    changes.undo(change, **said)
    assert line.of("branch").parent.organization == line.units["township"]
    assert report_of(township).rated_count == 1
    sound()


def test_nothing_is_restructured_while_a_correction_runs(line):
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    services.open_correction(
        issuer=line.of("province"),
        rows=[line.of("branch")],
        fields=["problems"],
        number="更正1号",
        reason="数字有误",
        by=line.province,
    )
    change = changes.close(line.units["sibling"], ground=GROUND, by=line.county)
    assert done(change) == [False]
    assert "正在更正" in change.takeovers.get().refusal
    sound()


def files_of(report, post):
    return {form: sheets_of(form, report, post) for form in (Form.ANNEX1, Form.ANNEX3)}


# When it was written, as the properties and the 说明 of a workbook tell.
MOMENT = re.compile(
    rb"\d{4}-\d\d-\d\dT[\d:]{8}Z|" + r"\d{4}年\d{1,2}月\d{1,2}日 \d\d:\d\d（北京时间）".encode()
)


def bytes_of(report, post):
    """Every file of a report: each member of each workbook but for the moment of writing."""
    files = {}
    for form in Form.values:
        stream = io.BytesIO()
        exports.write(form, report, post, stream, lambda *_: None)
        with ZipFile(stream) as book:
            for name in book.namelist():
                files[form, name] = MOMENT.sub(b"", book.read(name))
    return files


def test_whatever_changes_the_files_of_a_closed_cycle_are_the_same_bytes(line):
    township, other = second_township(line)
    for one in (other, line.units["branch"], line.units["sibling"], township):
        hand_up(report_of(one, line.cycle))
    for name in ("township", "county", "province"):
        hand_up(line.of(name))
    closed = opening.close_cycle(line.cycle, by=line.province)
    units = [line.units[name] for name in ("province", "county", "township")]
    # 附件一 has the columns of 晋位升级结果 from now on.
    later = factories.open_cycle(2013, previous=closed)
    kept = [bytes_of(report_of(unit, closed), system_post(unit)) for unit in units]
    said = {"ground": GROUND, "by": line.province}
    one, two = line.units["branch"], line.units["sibling"]

    def again():
        found = [bytes_of(report_of(unit, closed), system_post(unit)) for unit in units]
        for before, after in zip(kept, found, strict=True):
            assert [key for key in before if before[key] != after.get(key)] == []
            assert before.keys() == after.keys()

    changes.rename(one, name="甲县乙乡新村党支部", **said)
    changes.reclassify(one, category=Category.objects.get(code="organ"), **said)
    changes.move(one, parent=township, **said)
    again()
    merged = changes.merge([one, two], into=two, **said)
    changes.undo(merged, **said)
    new = {"code": "N1", "name": "甲县乙乡分出党支部", "kind": Kind.BRANCH}
    changes.split(two, products=[new], closes=False, **said)
    changes.upgrade(two, kind=Kind.GENERAL_BRANCH, is_rated=False, **said)
    changes.move(line.units["township"], parent=line.units["province"], **said)
    changes.close(one, **said)
    again()
    assert Takeover.objects.filter(cycle=closed).count() == 2  # those made while it was open
    assert Takeover.objects.filter(cycle=later, done_at=None).count() == 0
    sound()


def sheets_of(form, report, post):
    stream = io.BytesIO()
    exports.write(form, report, post, stream, lambda *_: None)
    book = load_workbook(stream, read_only=True)
    # 说明 tells when it was written.
    return [
        list(sheet.iter_rows(values_only=True))
        for sheet in book.worksheets
        if sheet.title != "说明"
    ]


def test_a_county_of_300_branches_moves_and_everything_agrees(db, django_assert_max_num_queries):
    by = WithoutUnit()
    kind = Kind.COMMITTEE
    province = OrganizationFactory(code="P", name="中共测试省委员会", kind=kind)
    cities = [
        OrganizationFactory(code=f"S{n}", name=f"中共测试省{n}市委员会", kind=kind, parent=province)
        for n in "甲乙"
    ]
    for n, city in zip("丙丁", cities, strict=True):
        OrganizationFactory(code=f"C{n}", name=f"中共测试省{n}县委员会", kind=kind, parent=city)
    lines = [tree.Line(f"T{n}", "C丙", f"中共丙县第{n}乡委员会", kind) for n in range(10)]
    lines += [
        tree.Line(f"B{n}-{m}", f"T{n}", f"第{n}乡第{m}村党支部", Kind.BRANCH, village().pk)
        for n in range(10)
        for m in range(30)
    ]
    lines += [tree.Line("BX", "C丁", "丁县机关党支部", Kind.BRANCH, village().pk)]
    tree.load(lines, by=by)
    before = factories.open_cycle(2011)
    played(before)
    closed = opening.close_cycle(before, by=system_post(province))
    cycle = factories.open_cycle(2012, previous=closed)
    post = appoint(province)
    old = report_of(province, closed)
    kept = bytes_of(old, post)
    moved = Organization.objects.get(code="C丙")
    hand_up(report_of(Organization.objects.get(code="B0-0"), cycle))

    with django_assert_max_num_queries(80):
        change = changes.move(moved, parent=cities[1], ground=GROUND, by=post)

    assert done(change) == [True]
    rated = [report_of(city, cycle).rated_count for city in cities]
    assert rated == [0, 301]
    assert report_of(cities[0], cycle).state == State.EXCUSED
    assert report_of(province, cycle).rated_count == 301
    below = Report.objects.below(report_of(cities[1], cycle)).order_by("path")
    units = Organization.objects.below(Organization.objects.get(code="S乙"))
    assert set(below.values_list("organization", flat=True)) == set(
        units.values_list("pk", flat=True)
    )
    assert below.filter(is_rated=True).count() == 301
    sound()
    # The closed cycle is as it was, to the byte.
    assert bytes_of(report_of(province, closed), post) == kept
    assert [report_of(city, closed).rated_count for city in cities] == [300, 1]
    # The open one is played to its end by the tree as it is now.
    played(cycle)
    figures = sight.figures_of(report_of(province, cycle), post)
    assert figures.total.total == 301
    rows = files_of(report_of(province, cycle), post)[Form.ANNEX3]
    assert sum("党支部" in str(row[0]) + str(row[1]) for row in rows[0][2:]) == 301
    sound()


def test_a_table_of_many_changes_waits_for_the_end_of_the_cycle(line, monkeypatch):
    monkeypatch.setattr(taking_over, "MOST_AT_ONCE", 1)
    head = Row(1, ["code", "parent_code", "name", "kind", "category"])
    rows = [Row(n, [f"B{n}", "T", f"新名{n}", "党支部", "村"]) for n in (1, 2)]

    with pytest.raises(Rejected, match="请分批导入"):
        load_rows([head, *rows], by=WithoutUnit())
    assert Organization.objects.get(code="B1").name == "甲县乙乡丙村党支部"
    load_rows([head, rows[0]], by=WithoutUnit())
    assert line.of("branch").name == "新名1"


def played(cycle):
    """Every branch is filled in and everything handed up, level by level, by the moves of life."""
    waiting = Report.objects.of(cycle).filter(state__in=(State.DRAFT, State.RETURNED))
    entries, values = list(LedgerEntry.objects.filter(report__in=waiting)), factories.row()
    for number, entry in enumerate(entries):
        for name, value in values.items():
            setattr(entry, name, value)
        entry.secretary_name = f"书记{number}"
    workflow.write_entries(entries, values)
    levels = defaultdict(list)
    for pk, path in waiting.order_by("path").values_list("pk", "path"):
        levels[len(path)].append(pk)
    for length in sorted(levels, reverse=True):
        submitted, accepted = workflow.hand_up_imported(levels[length])
        assert not submitted.left_out + accepted.left_out


@pytest.mark.parametrize("seed", range(2))
def test_whatever_the_order_of_changes_and_moves_all_is_sound(line, seed):
    """Random changes between random moves: each is done or waits, and nothing is ever off."""
    chance = random.Random(seed)
    second_township(line)
    by = line.province
    numbers = iter(range(1, 1000))

    def units(**scope):
        return list(
            Organization.objects.open().below(line.units["province"]).filter(**scope).order_by("pk")
        )

    def act():
        said = {"ground": GROUND, "by": by}
        branches, committees = units(kind=Kind.BRANCH), units(kind=Kind.COMMITTEE)
        number, choice = next(numbers), chance.randrange(8) if len(branches) > 2 else 0
        new = {"code": f"N{number}", "name": f"第{number}新党支部", "kind": Kind.BRANCH}
        one = chance.choice(branches) if branches else None
        if choice == 0:
            return changes.create(chance.choice(committees), **said, **new, category=village())
        if choice == 1:
            return changes.rename(one, name=f"改名{number}党支部", **said)
        if choice == 2:
            return changes.move(one, parent=chance.choice(committees), **said)
        if choice == 3:
            return changes.close(one, **said)
        if choice == 4:
            parts = chance.sample(branches, 2)
            return changes.merge(
                parts, into=chance.choice([None, parts[0]]), parent=parts[1].parent, **said, **new
            )
        if choice == 5:
            return changes.split(one, products=[new], closes=False, **said)
        if choice == 6:
            category = Category.objects.get(code=chance.choice(["organ", "community"]))
            return changes.reclassify(one, category=category, **said)
        past = list(one.changes.all())
        return changes.undo(chance.choice(past), **said) if past else None

    def travel():
        reports = list(Report.objects.of(line.cycle).order_by("pk"))
        report = chance.choice(reports)
        action = chance.choice(["up", "up", "up", "recall", "reopen", "excuse", "include"])
        own = system_post(report.organization)
        above = system_post((report.parent or report).organization)
        if action == "up":
            hand_up(report)
        else:
            workflow.move(action, report, by=own if action == "recall" else above, reason="试")

    for _ in range(25):
        for step in (act, travel, travel):
            try:
                step()
            except (tree.StructureError, TransitionRefused):
                continue
            sound()
        taking_over.attempt_waiting()
        sound()
    assert Takeover.objects.exclude(done_at=None).count() > 5
