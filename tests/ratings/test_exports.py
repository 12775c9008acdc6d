"""附件一, 附件二 and 附件三: real workbooks, read back with openpyxl."""

import json
from collections import Counter
from datetime import date
from io import BytesIO
from zipfile import ZipFile

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from ledger_site.base import sheets
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Kind
from orgs.models import Organization
from orgs.posts import system_post
from ratings import exports, services, workflow
from ratings.choices import Form, Grade
from ratings.summary import summarize
from tests.factories import (
    OrganizationFactory,
    accept,
    fill,
    hand_up,
    open_cycle,
    report_of,
    submit,
)

SMALL = settings.BASE_DIR / "tests/data/lanshan_small"
LEDGERS = (Form.ANNEX2, Form.ANNEX3)


def book(form, report, post=None):
    stream = BytesIO()
    exports.write(form, report, post or system_post(report.organization), stream)
    return load_workbook(stream)


def rows_of(workbook, head=3):
    """Rows below the head up to the foot line, without trailing empty cells."""
    found = []
    for cells in workbook.worksheets[0].iter_rows(min_row=head + 1, values_only=True):
        if str(cells[0]).startswith("填报单位（盖章）"):
            return found
        found.append(cells)
    raise AssertionError("no foot line")


def data_of(workbook):
    return [cells for cells in rows_of(workbook) if any(cells[1:])]


def names_of(workbook):
    """First cells of all rows, group rows in brackets."""
    return [cells[0] if any(cells[1:]) else f"[{cells[0]}]" for cells in rows_of(workbook)]


def notes_of(workbook):
    return dict(workbook["说明"].iter_rows(min_row=3, max_col=2, values_only=True))


def head_of(sheet, rows):
    return [
        [cell.value for cell in cells] for cells in sheet.iter_rows(min_row=2, max_row=1 + rows)
    ]


@pytest.fixture
def reported(line):
    """Both branches accepted by the township, the township by the county."""
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    return line


# ---------------------------------------------------------------- form


def test_annex3_has_sixteen_columns_under_a_head_of_two_rows(reported):
    sheet = book(Form.ANNEX3, reported.of("county"))["附件三"]

    upper, lower = head_of(sheet, 2)
    assert sheet.max_column == 16
    assert upper == [
        "党支部名称", "村党支部书记", "第一书记", "党组织情况", None, None, None, None,
        "支部申报定级类别", "上级党组织定级类别", "整改情况", None, None, None, None, None,
    ]  # fmt: skip
    assert lower == [
        None, None, None, "基本情况", "流动党员数", "村级活动场所情况", "主要特点", "存在问题",
        None, None, "晋位升级目标", "整改措施", "整改时限", "帮扶单位", "联系领导", "整改责任人",
    ]  # fmt: skip
    assert {str(found) for found in sheet.merged_cells.ranges} >= {
        "A1:P1", "A2:A3", "B2:B3", "C2:C3", "D2:H2", "I2:I3", "J2:J3", "K2:P2",
    }  # fmt: skip
    assert sheet["A1"].value == "测试省甲县基层党组织分类定级晋位升级目标管理工作台账（2012年度）"


def test_annex2_has_fifteen_columns_without_the_first_secretary(reported):
    sheet = book(Form.ANNEX2, reported.of("county"))["附件二"]

    heads = [upper or lower for upper, lower in zip(*head_of(sheet, 2), strict=True)]
    assert sheet.max_column == 15
    assert (heads[0], heads[1], heads[8]) == (
        "党总支（支部）名称",
        "党总支（支部）书记姓名",
        "上级党组织审核定级类别",
    )
    assert head_of(sheet, 2)[1][4] == "活动场所情况"
    assert "第一书记" not in heads
    assert {"C2:G2", "J2:O2"} <= {str(found) for found in sheet.merged_cells.ranges}


@pytest.mark.parametrize("form", Form)
def test_every_sheet_prints_one_page_wide_on_a3_landscape(reported, form):
    for sheet in book(form, reported.of("county")).worksheets:
        setup = sheet.page_setup
        assert (setup.paperSize, setup.orientation) == (8, "landscape")
        assert (setup.fitToWidth, setup.fitToHeight) == (1, 0)
        assert sheet.freeze_panes
        assert sheet.oddFooter.center.text == "第 &P 页 共 &N 页"


def test_grades_are_chosen_from_the_four_words(reported):
    sheet = book(Form.ANNEX3, reported.of("county"))["附件三"]

    rules = {str(rule.sqref): rule.formula1 for rule in sheet.data_validations.dataValidation}
    assert rules == dict.fromkeys(("I4:I6", "J4:J6", "K4:K6"), '"好,较好,一般,较差"')


@pytest.mark.parametrize("form", Form)
def test_foot_names_the_unit_and_who_signs(reported, form):
    sheet = book(form, reported.of("county")).worksheets[0]

    foot = [cell.value for cell in sheet[sheet.max_row] if cell.value]
    assert [text.partition("：")[0] for text in foot] == [
        "填报单位（盖章）", "填报人", "审核人", "填报日期",
    ]  # fmt: skip
    assert foot[0] == "填报单位（盖章）：中共测试省甲县委员会"


# ---------------------------------------------------------------- rows


def test_row_shows_what_was_typed_and_the_decided_target(line):
    fill(line.of("branch"), proposed_target=Grade.FAIRLY_GOOD)
    submit(line.of("branch"))
    accept(
        line.of("branch"), grade=Grade.AVERAGE, reason="核查", target=Grade.GOOD, target_reason="x"
    )

    (row,) = data_of(book(Form.ANNEX3, line.of("township")))

    assert row == (
        "甲县乙乡丙村党支部", "书记B1", "李明",
        "支部共有党员75人，其中预备党员7人，女党员12人，班子成员5人。",
        3, "已建", "1、班子团结；\n2、制度健全。", "党员年龄偏大。", "较好", "一般", "好",
        "发展青年党员3名。", "2012年底", "县卫生局", "李明", "张建国",
    )  # fmt: skip


def test_group_rows_hold_the_direct_superior(reported):
    assert names_of(book(Form.ANNEX3, reported.of("county"))) == [
        "[乙乡]",
        "甲县乙乡丙村党支部",
        "甲县乙乡丁村党支部",
    ]
    assert names_of(book(Form.ANNEX3, reported.of("township"))) == [
        "甲县乙乡丙村党支部",
        "甲县乙乡丁村党支部",
    ]


@pytest.fixture
def county(db):
    """A county with two townships of one name in two districts, and a branch of its own."""
    county = OrganizationFactory(code="C", name="中共甲县委员会", kind=Kind.COMMITTEE)
    own = OrganizationFactory(code="C0", name="甲县机关党支部", parent=county)
    branches = []
    for district in ("东", "西"):
        above = OrganizationFactory(
            code=district, name=f"中共甲县{district}区委员会", kind=Kind.COMMITTEE, parent=county
        )
        township = OrganizationFactory(
            code=f"{district}T",
            name=f"中共甲县{district}区城关镇委员会",
            short_name="城关镇",
            kind=Kind.COMMITTEE,
            parent=above,
        )
        branches.append(
            OrganizationFactory(code=f"{district}B", name="机关党支部", parent=township)
        )
    last = OrganizationFactory(code="C9", name="甲县老干部党支部", parent=county)
    cycle = open_cycle()
    for unit in (own, *branches, last):
        hand_up(report_of(unit, cycle))
    for code in ("东T", "西T", "东", "西"):
        hand_up(report_of(Organization.objects.get(code=code), cycle))
    return report_of(county, cycle)


def test_group_row_is_a_path_where_the_short_name_is_not_single(county):
    assert names_of(book(Form.ANNEX3, county)) == [
        "[甲县]", "机关党支部",
        "[东区 / 城关镇]", "机关党支部",
        "[西区 / 城关镇]", "机关党支部",
        "[甲县]", "老干部党支部",
    ]  # fmt: skip


def test_list_names_the_superior_on_every_row(county):
    rows = rows_of(book(Form.ANNEX1_LIST, county))

    assert [(row[0], row[1], row[2]) for row in rows] == [
        (1, "甲县", "机关党支部"),
        (2, "东区 / 城关镇", "机关党支部"),
        (3, "西区 / 城关镇", "机关党支部"),
        (4, "甲县", "老干部党支部"),
    ]


def test_rows_of_one_short_name_under_one_superior_have_their_full_names(line):
    township = line.units["township"]
    twin = OrganizationFactory(
        code="B3", name="乙乡第二党支部", short_name="甲县乙乡丙村党支部", parent=township
    )
    cycle = open_cycle(2013)
    for unit in (line.units["branch"], line.units["sibling"], twin):
        report = report_of(unit, cycle)
        fill(report, deadline_text="2013年底", due_on=date(2013, 12, 31))
        submit(report)
        accept(report)

    assert names_of(book(Form.ANNEX3, report_of(township, cycle))) == [
        "甲县乙乡丙村党支部",
        "甲县乙乡丁村党支部",
        "乙乡第二党支部",
    ]


@pytest.mark.parametrize("form", LEDGERS)
def test_text_of_a_row_is_never_a_formula_and_has_no_control_characters(line, form):
    fill(line.of("branch"), features='=HYPERLINK("http://x","y")', support_unit="+86\x0b局")
    submit(line.of("branch"))
    accept(line.of("branch"))

    sheet = book(form, line.of("township")).worksheets[0]

    found = {cell.value: cell.data_type for cell in sheet[4]}
    assert found['=HYPERLINK("http://x","y")'] == "s"
    assert found["+86局"] == "s"


def test_unknown_is_empty_and_not_zero(line):
    fill(line.of("branch"), floating_member_count=0, first_secretary_name=None)
    submit(line.of("branch"))
    accept(line.of("branch"))

    (row,) = data_of(book(Form.ANNEX3, line.of("township")))

    assert (row[2], row[4]) == (None, 0)


# ---------------------------------------------------------------- the same rows as the summary


def counted(workbook, head=3):
    """Reviewed grades of the ledger's rows, by label."""
    return Counter(row[9] for row in data_of(workbook))


def assert_agrees(report, post=None):
    """Both ledgers, the list and the count form have the rows that the summary counts."""
    total = summarize(report).total
    expected = Counter({grade.label: n for grade, n in total.reviewed.items() if n})
    annex1 = rows_of(book(Form.ANNEX1, report, post), head=4)
    listed = rows_of(book(Form.ANNEX1_LIST, report, post))

    assert counted(book(Form.ANNEX3, report, post)) == expected
    assert len(data_of(book(Form.ANNEX2, report, post))) == total.total
    assert Counter(row[6] for row in listed) == expected
    assert annex1[-1][2:4] == (total.expected, total.total)
    assert annex1[-1][4:12:2] == tuple(total.reviewed.values())


def test_sheets_agree_while_reports_come_in(line):
    assert_agrees(line.of("township"))
    assert_agrees(line.of("county"))

    hand_up(line.of("branch"))
    assert_agrees(line.of("township"))
    assert_agrees(line.of("county"))

    fill(line.of("sibling"))
    submit(line.of("sibling"))
    assert_agrees(line.of("township"))

    accept(line.of("sibling"))
    submit(line.of("township"))
    assert_agrees(line.of("township"), line.county)
    assert_agrees(line.of("county"))

    accept(line.of("township"))
    assert_agrees(line.of("county"))
    assert len(data_of(book(Form.ANNEX3, line.of("county")))) == 2


def test_excused_rows_are_out_and_named_with_their_reason(line):
    hand_up(line.of("branch"))
    workflow.move("excuse", line.of("sibling"), by=line.township, reason="换届未完成")
    submit(line.of("township"))

    assert_agrees(line.of("township"), line.county)
    found = book(Form.ANNEX1, line.of("township"), line.county)
    assert [row[1:4] + row[-1:] for row in rows_of(found, head=4)[:2]] == [
        ("甲县乙乡丙村党支部", 1, 1, None),
        ("甲县乙乡丁村党支部", 0, 0, "免报：换届未完成"),
    ]
    assert notes_of(found)["免报"] == "甲县乙乡丁村党支部（免报：换届未完成）"


def test_what_is_not_reported_is_named_with_its_state(line):
    fill(line.of("sibling"))
    submit(line.of("sibling"))

    found = book(Form.ANNEX1, line.of("township"))

    assert [row[-1] for row in rows_of(found, head=4)[:2]] == ["未报", "已上报，待审核"]
    assert notes_of(found)["未报的直接下级"] == (
        "甲县乙乡丙村党支部（未报）；甲县乙乡丁村党支部（已上报，待审核）"
    )
    assert notes_of(found)["数据依据"].startswith("审核中：")


@pytest.fixture
def corrected(reported):
    """The county asks one branch to correct its grade and measures; the branch has begun."""
    services.open_correction(
        issuer=reported.of("county"),
        rows=[reported.of("branch")],
        fields=["declared_grade", "measures"],
        number="蓝组〔2012〕1号",
        reason="措施不具体",
        by=reported.county,
    )
    services.save_row(
        reported.of("branch"),
        {"measures": "新措施", "declared_grade": Grade.POOR},
        by=reported.branch,
    )
    return reported


def measures(workbook):
    return {row[0]: (row[8], row[11]) for row in data_of(workbook)}


OLD = ("较好", "发展青年党员3名。")


@pytest.mark.parametrize("unit", ["township", "county"])
def test_rows_under_a_correction_show_what_was_handed_up(corrected, unit):
    found = book(Form.ANNEX3, corrected.of(unit))

    assert measures(found) == {"甲县乙乡丙村党支部": OLD, "甲县乙乡丁村党支部": OLD}
    assert_agrees(corrected.of(unit))
    assert notes_of(found)["更正或退回"].startswith("有1行正在更正")


def test_correction_keeps_the_declared_grade_that_was_counted(corrected):
    declared = summarize(corrected.of("county")).total.declared

    assert (declared[Grade.FAIRLY_GOOD], declared[Grade.POOR]) == (2, 0)


def test_corrected_row_is_shown_above_when_the_issuer_has_accepted_it(corrected):
    submit(corrected.of("branch"))
    accept(corrected.of("branch"), grade=Grade.FAIRLY_GOOD, reason="核查", target=Grade.GOOD)
    assert measures(book(Form.ANNEX3, corrected.of("county")))["甲县乙乡丙村党支部"] == OLD

    submit(corrected.of("township"))
    assert measures(book(Form.ANNEX3, corrected.of("township")))["甲县乙乡丙村党支部"] == (
        "较差",
        "新措施",
    )
    assert measures(book(Form.ANNEX3, corrected.of("county")))["甲县乙乡丙村党支部"] == OLD

    accept(corrected.of("township"))
    assert measures(book(Form.ANNEX3, corrected.of("county")))["甲县乙乡丙村党支部"] == (
        "较差",
        "新措施",
    )


@pytest.fixture
def given_back(reported):
    """The county had reported; then everything was given back and one row written anew."""
    submit(reported.of("county"))
    workflow.move("send_back", reported.of("county"), by=reported.province, reason="核对")
    workflow.move("reopen", reported.of("township"), by=reported.county, reason="核对")
    workflow.move("reopen", reported.of("branch"), by=reported.township, reason="核对")
    fill(reported.of("branch"), measures="新措施")
    return reported


def test_superior_has_the_rows_of_the_version_that_was_handed_up(given_back):
    found = book(Form.ANNEX3, given_back.of("county"), given_back.province)

    assert measures(found) == {"甲县乙乡丙村党支部": OLD, "甲县乙乡丁村党支部": OLD}
    assert "上次上报的版本" in notes_of(found)["数据依据"]
    assert data_of(book(Form.ANNEX3, given_back.of("county"))) == []  # its own: nothing accepted


def test_what_is_excused_later_stays_in_the_version_handed_up(given_back):
    workflow.move("excuse", given_back.of("township"), by=given_back.county, reason="撤并")

    found = book(Form.ANNEX3, given_back.of("county"), given_back.province)

    assert measures(found) == {"甲县乙乡丙村党支部": OLD, "甲县乙乡丁村党支部": OLD}


def test_a_decision_changed_later_is_not_shown_above(given_back):
    workflow.move(
        "regrade",
        given_back.of("sibling"),
        by=given_back.township,
        reason="复核",
        decision=workflow.Decision(Grade.POOR, "复核", Grade.AVERAGE),
    )

    found = book(Form.ANNEX3, given_back.of("county"), given_back.province)

    assert {row[9] for row in data_of(found)} == {"较好"}


# ---------------------------------------------------------------- one workbook a subordinate


def split(form, report, post=None):
    """By file name, the workbooks of a zip and the numbers of rows that were said."""
    stream = BytesIO()
    said = exports.write_split(form, report, post or system_post(report.organization), stream)
    with ZipFile(stream) as archive:
        assert archive.namelist() == list(said)
        books = {name: load_workbook(BytesIO(archive.read(name))) for name in said}
    return books, said


DETAILS = (Form.ANNEX1_LIST, *LEDGERS)


def values_of(form, workbook):
    """Data rows; in the list without the number, which begins anew in every part."""
    return [row[form == Form.ANNEX1_LIST :] for row in data_of(workbook)]


def assert_parts_make_the_whole(form, report, post=None):
    books, said = split(form, report, post)
    whole = values_of(form, book(form, report, post))

    assert len(whole) > 1
    assert [row for part in books.values() for row in values_of(form, part)] == whole
    assert [len(values_of(form, part)) for part in books.values()] == list(said.values())


@pytest.mark.parametrize("form", DETAILS)
def test_parts_hold_the_rows_of_the_whole_in_its_order(county, form):
    assert_parts_make_the_whole(form, county)


@pytest.mark.parametrize("form", DETAILS)
def test_parts_hold_what_was_handed_up_as_the_whole_does(given_back, form):
    assert_parts_make_the_whole(form, given_back.of("county"), given_back.province)
    books, _ = split(form, given_back.of("county"), given_back.province)
    assert [notes_of(part)["更正或退回"][:2] for part in books.values()] == ["有1"]


def test_parts_are_named_after_the_direct_subordinates(county):
    books, said = split(Form.ANNEX3, county)

    units = [name.partition("基层党组织")[0] for name in books]
    assert units == ["甲县机关党支部", "甲县东区", "甲县西区", "甲县老干部党支部"]
    assert list(said.values()) == [1, 1, 1, 1]
    for name, part in books.items():
        sheet = part["附件三"]
        title = sheet["A1"].value
        assert name.startswith(title)
        assert part["附件三"].max_column == 16
        assert names_of(part)[0] in {"[甲县]", "[东区 / 城关镇]", "[西区 / 城关镇]"}


def test_subordinates_of_one_name_have_files_of_their_own(db):
    county = OrganizationFactory(code="C", name="中共甲县委员会", kind=Kind.COMMITTEE)
    OrganizationFactory(code="B1", name="甲县/机关", parent=county)
    OrganizationFactory(code="B2", name="甲县_机关", parent=county)
    cycle = open_cycle()
    for report in cycle.reports.filter(is_rated=True):
        hand_up(report)

    books, _ = split(Form.ANNEX2, report_of(county, cycle))

    first, second = books
    assert first.startswith("甲县_机关基层党组织")
    assert second == first.replace(".xlsx", "_B2.xlsx")


def test_every_part_says_what_it_is_a_part_of(reported):
    submit(reported.of("county"))
    version = reported.of("county").versions.get()

    books, _ = split(Form.ANNEX3, reported.of("county"))
    (part,) = books.values()
    notes = notes_of(part)

    assert notes["单位"] == "中共测试省甲县委员会（代码C）"
    assert notes["版本摘要"] == f"SHA-256 {version.digest}"
    assert "本册为“中共测试省甲县乙乡委员会”（代码T）及其以下，共2行" in notes["分册"]


def test_whole_workbook_is_no_part(reported):
    assert "分册" not in notes_of(book(Form.ANNEX3, reported.of("county")))


@pytest.mark.parametrize(
    ("form", "unit", "reason"),
    [
        (Form.ANNEX1, "county", "不需要分开"),
        (Form.ANNEX3, "branch", "没有直接下级"),
        (Form.ANNEX3, "province", "没有审核通过的台账行"),
    ],
)
def test_what_cannot_be_split_is_refused(reported, form, unit, reason):
    stream = BytesIO()
    report = reported.of(unit)

    with pytest.raises(TransitionRefused, match=reason):
        exports.write_split(form, report, system_post(report.organization), stream)

    assert stream.getvalue() == b""


def test_more_rows_than_a_workbook_holds_are_to_be_split(reported, monkeypatch):
    monkeypatch.setattr(sheets, "MOST_ROWS", 6)  # title, head of two, group, a row, foot

    with pytest.raises(TransitionRefused, match=r"“附件三”超过6行.*请按直接下级分开导出"):
        book(Form.ANNEX3, reported.of("county"))


# ---------------------------------------------------------------- who


@pytest.mark.parametrize(
    ("who", "unit"),
    [
        ("county", "township"),  # a direct subordinate that has not reported
        ("province", "township"),
        ("sibling", "branch"),
        ("branch", "township"),
    ],
)
@pytest.mark.parametrize("write", [exports.write, exports.write_split])
def test_nothing_is_written_for_whom_nothing_was_handed_up_to(line, who, unit, write):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    stream = BytesIO()

    with pytest.raises(TransitionRefused):
        write(Form.ANNEX3, line.of(unit), getattr(line, who), stream)

    assert stream.getvalue() == b""


# ---------------------------------------------------------------- 说明, names


def test_notes_say_where_the_figures_come_from(reported):
    submit(reported.of("county"))
    version = reported.of("county").versions.get()

    notes = notes_of(book(Form.ANNEX1, reported.of("county"), reported.county))

    assert notes["单位"] == "中共测试省甲县委员会（代码C）"
    assert notes["数据依据"] == "已上报：本级上报的版本"
    assert notes["版本摘要"] == f"SHA-256 {version.digest}"
    assert notes["生成人"] == f"中共测试省甲县委员会　{reported.county.user.full_name}"
    assert "不一定等于100" in notes["占比"]
    assert notes["合计"] == "党支部总数2，已定级2，未报（未审核通过）0，免报0"


def test_sheets_of_a_demo_say_so(reported, settings):
    settings.DEMO = True

    assert notes_of(book(Form.ANNEX3, reported.of("county")))["提示"] == "演示环境，数据均为虚构"


@pytest.mark.parametrize("form", Form)
def test_sheet_without_rows_is_whole(line, form):
    found = book(form, line.of("township"))

    rows = rows_of(found, head=4 if form == Form.ANNEX1 else 3)
    assert [row[1] for row in rows] == (
        ["甲县乙乡丙村党支部", "甲县乙乡丁村党支部", "合计"] if form == Form.ANNEX1 else []
    )
    assert found.sheetnames[-1] == "说明"


def test_share_of_nothing_is_a_dash(line):
    rows = rows_of(book(Form.ANNEX1, line.of("township")), head=4)

    assert rows[-1][4:12] == (0, "—") * 4


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (Form.ANNEX1, "测试省甲县基层党组织分类定级晋位升级情况汇总表（2012年度）_20120731.xlsx"),
        (
            Form.ANNEX3,
            "测试省甲县基层党组织分类定级晋位升级目标管理工作台账（2012年度）_20120731.xlsx",
        ),
    ],
)
def test_file_is_named_after_unit_table_and_day(line, form, name):
    assert exports.file_name(form, line.of("county"), date(2012, 7, 31)) == name


def test_second_round_of_a_year_is_told_apart(line):
    cycle = open_cycle(2012, 2)

    title = exports.title_of(Form.ANNEX3, report_of(line.units["county"], cycle))

    assert title.endswith("（2012年度第2次）")


def test_odd_names_of_units_make_good_files_and_titles(db):
    unit = OrganizationFactory(code="X", name='甲/乙:"丙"*党总支', kind=Kind.GENERAL_BRANCH)
    hand_up(report_of(OrganizationFactory(code="X1", name="=1+1党支部", parent=unit), open_cycle()))
    report = report_of(unit)

    found = book(Form.ANNEX3, report)

    assert found.worksheets[0]["A1"].value.startswith('甲/乙:"丙"*党总支基层党组织')
    assert found.worksheets[0]["A4"].data_type == "s"
    assert names_of(found) == ["=1+1党支部"]
    assert exports.file_name(Form.ANNEX3, report, date(2012, 7, 31)).startswith("甲_乙__丙__党总支")


# ---------------------------------------------------------------- figures, queries


def figures(row):
    """(总数, 已定级, {grade: (count, percent)}) of a row of the count form."""
    grades = dict(zip(Grade.labels, zip(row[4:12:2], row[5:12:2], strict=True), strict=True))
    return row[2], row[3], grades


def truth_of(group):
    return {
        grade: (said["count"], float(said["percent"])) for grade, said in group["reviewed"].items()
    }


def test_annex1_holds_the_counts_and_percentages_of_the_small_county(db):
    call_command("import_orgs", str(SMALL / "orgs.csv"))
    call_command("open_cycle", "2012")
    where = ("--cycle", "2012-1", "--under", "431127")
    call_command("import_ledger", str(SMALL / "ledger.csv"), *where)
    call_command("play_cycle", *where)
    truth = json.loads((SMALL / "truth.json").read_text(encoding="utf-8"))
    report = report_of(Organization.objects.get(code="431127"))

    found = book(Form.ANNEX1, report)

    units = rows_of(found, head=4)
    assert [figures(row) for row in units[:-1]] == [
        (group["total"], group["total"], truth_of(group)) for group in truth["by_unit"].values()
    ]
    overall = truth["overall"]
    assert figures(units[-1]) == (26, 26, truth_of(overall))
    assert units[-1][12:16] == tuple(overall["reviewed"][grade]["count"] for grade in Grade.labels)
    categories = {
        row[1]: figures(row)
        for row in found["附件一（按领域类别）"].iter_rows(min_row=5, max_row=14, values_only=True)
    }
    assert len(categories) == 10
    for name, group in truth["by_category"].items():
        assert categories[name] == (group["total"], group["total"], truth_of(group))
    assert categories["高校"] == (0, 0, dict.fromkeys(Grade.labels, (0, "—")))
    assert len(data_of(book(Form.ANNEX3, report))) == 26


@pytest.mark.parametrize("form", Form)
def test_queries_do_not_depend_on_the_number_of_rows(db, form):
    root = OrganizationFactory(name="中共甲县委员会", kind=Kind.COMMITTEE)
    units = [
        OrganizationFactory(name=f"中共甲县{name}乡委员会", kind=Kind.COMMITTEE, parent=root)
        for name in ("乙", "丙")
    ]
    for unit, size in zip(units, (1, 4), strict=True):
        OrganizationFactory.create_batch(size, parent=unit)
    cycle = open_cycle()
    for report in cycle.reports.filter(is_rated=True).select_related("cycle", "organization"):
        hand_up(report)

    counts = []
    for unit in units:
        with CaptureQueriesContext(connection) as queries:
            book(form, report_of(unit, cycle))
        counts.append(len(queries))

    assert counts[0] == counts[1]
