"""Workbooks in the form of official documents, read back with openpyxl."""

from io import BytesIO

import pytest
from openpyxl import load_workbook

from ledger_site.base import sheets
from ledger_site.base.sheets import Book, Column, Form, Row

COLUMNS = (
    Column(("名称",), 12),
    Column(("情况", "人数"), 6, number_format="0"),
    Column(("情况", "特点"), 20, is_left=True),
    Column(("等次",), 8, choices=("好", "较好")),
)
FOOT = ("填报单位（盖章）：甲县", "填报人：", "审核人：", "填报日期：")


def made(rows, columns=COLUMNS, foot=FOOT, name="台账", title="甲县台账"):
    """The sheet, and what `Book.add` said of it."""
    book, stream = Book(title), BytesIO()
    written = book.add(Form(name, title, columns, foot), rows)
    book.save(stream)
    stream.seek(0)
    return load_workbook(stream).worksheets[0], written


def merged(sheet):
    return {str(found) for found in sheet.merged_cells.ranges}


def row(*values):
    return Row(values)


def test_head_has_a_row_for_each_depth_and_spans_what_has_none_below_it():
    sheet, _ = made([row("甲", 1, "", "好")])

    assert [[cell.value for cell in cells] for cells in sheet["A2:D3"]] == [
        ["名称", "情况", None, "等次"],
        [None, "人数", "特点", None],
    ]
    assert merged(sheet) >= {"A1:D1", "A2:A3", "B2:C2", "D2:D3"}


def test_head_of_three_rows_merges_neighbours_under_one_head():
    columns = (
        Column(("单位",), 10),
        *(Column(("情况", grade, what), 6) for grade in ("好", "较好") for what in ("个数", "%")),
        Column(("目标", "巩固"), 6),
    )

    sheet, _ = made([], columns, foot=())

    assert merged(sheet) == {"A1:F1", "A2:A4", "B2:E2", "B3:C3", "D3:E3", "F3:F4"}
    assert sheet.freeze_panes == "A5"
    assert sheet.print_title_rows == "$2:$4"


def test_print_is_one_page_wide_on_a3_landscape_with_pages_counted():
    sheet, _ = made([row("甲", 1, "", "好")])

    assert (sheet.page_setup.paperSize, sheet.page_setup.orientation) == (8, "landscape")
    assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (1, 0)
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.oddFooter.center.text == "第 &P 页 共 &N 页"
    assert sheet.print_title_rows == "$2:$3"
    assert sheet.freeze_panes == "A4"


def test_fonts_are_those_of_official_documents():
    sheet, _ = made([row("甲", 1, "", "好")])

    fonts = [sheet[cell].font.name for cell in ("A1", "A2", "A4")]
    assert fonts == ["方正小标宋简体", "黑体", "仿宋_GB2312"]
    assert sheet["A4"].border.left.style == "thin"
    assert sheet["C4"].alignment.wrap_text


@pytest.mark.parametrize("text", ["=1+1", "+86", "-3", "@SUM(A1)", "#N/A", "=cmd|' /C calc'!A0"])
def test_text_is_never_a_formula(text):
    sheet, _ = made([row(text, 1, text, "好")])

    for cell in ("A4", "C4"):
        assert (sheet[cell].value, sheet[cell].data_type) == (text, "s")


def test_text_that_would_be_a_formula_stays_text_when_the_cell_is_edited():
    sheet, _ = made([row("=1+1", 1, "甲", "好")])

    assert sheet["A4"].quotePrefix
    assert not sheet["C4"].quotePrefix


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("甲\x00\x0b乙\x1f", "甲乙"),
        ("甲\r\n乙\r丙", "甲\n乙\n丙"),
        ("甲\ud800乙\uffff", "甲乙"),
        ("㵲水\U00020000村", "㵲水\U00020000村"),
        (" 甲 ", " 甲 "),
    ],
)
def test_characters_that_a_cell_cannot_hold_are_left_out(text, stored):
    sheet, _ = made([row(text, None, "", "好")])

    assert sheet["A4"].value == stored


def test_what_looks_like_an_escaped_character_stays_as_typed():
    assert sheets.clean("_x000D_甲_x_") == "_x005F_x000D_甲_x_"


def test_cell_is_no_longer_than_a_program_reads():
    assert len(sheets.clean("甲" * 40_000)) == 32_767


def test_numbers_are_numbers_and_unknown_is_empty():
    sheet, _ = made([row("甲", 0, None, ""), row("乙", None, "", "好")])

    assert (sheet["B4"].value, sheet["B4"].data_type) == (0, "n")
    assert [sheet["C4"].value, sheet["D4"].value, sheet["B5"].value] == [None, None, None]


def test_group_row_goes_across_and_is_no_data_row():
    sheet, written = made([sheets.group("土市乡"), row("甲", 1, "", "好")])

    assert sheet["A4"].value == "土市乡"
    assert "A4:D4" in merged(sheet)
    assert written.row_count == 1


def test_foot_stands_below_the_rows_and_begins_in_the_first_column():
    sheet, _ = made([row("甲", 1, "", "好"), sheets.total(["合计", 1, None, None])])

    assert [cell.value for cell in sheet[6] if cell.value] == list(FOOT)
    assert sheet["A6"].value == FOOT[0]


def test_choices_are_offered_on_every_row_and_nowhere_else():
    sheet, _ = made([row("甲", 1, "", "好"), row("乙", 2, "", "较好")])

    rules = sheet.data_validations.dataValidation
    assert [(str(rule.sqref), rule.formula1, rule.type) for rule in rules] == [
        ("D4:D5", '"好,较好"', "list")
    ]


def test_sheet_without_rows_opens_and_has_head_and_foot():
    sheet, written = made([])

    assert (sheet["A3"].value, sheet["A4"].value) == (None, FOOT[0])
    assert sheet.data_validations.dataValidation == []
    assert (written.row_count, written.cut) == (0, [])


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, 1),
        ("甲乙丙丁", 9, 1),
        ("甲乙丙丁戊", 9, 2),
        ("abcdefgh", 9, 1),
        ("甲\n\n乙", 9, 3),
        ("甲" * 10, 9, 3),
    ],
)
def test_lines_are_reckoned_with_two_units_for_a_chinese_character(text, width, lines):
    assert sheets.lines_of(text, width) == lines


def test_rows_are_as_high_as_their_text():
    sheet, _ = made([row("甲", 1, "甲", "好"), row("乙", 1, "长" * 60, "好")])

    low, high = (sheet.row_dimensions[number].height for number in (4, 5))
    assert low == 24
    assert 6 * 14 < high < 9 * 15


def test_text_too_high_for_a_row_is_made_smaller():
    sheet, written = made([row("甲", 1, "长" * 280, "好")])

    assert sheet.row_dimensions[4].height <= 409
    assert (sheet["C4"].font.size, sheet["A4"].font.size) == (8, 10.5)
    assert written.cut == []


def test_row_that_no_program_shows_whole_keeps_its_text_and_is_named():
    sheet, written = made([row("甲", 1, "长" * 4000, "好"), row("乙", 1, "", "好")])

    assert sheet.row_dimensions[4].height == 409
    assert sheet["C4"].value == "长" * 4000
    assert written.cut == ["甲"]


@pytest.mark.parametrize(
    ("wanted", "taken", "name"),
    [
        ("附件三", (), "附件三"),
        ("a:b\\c/d?e*f[g]", (), "a_b_c_d_e_f_g_"),
        ("'甲'", (), "甲"),
        ("", (), "表"),
        ("甲" * 40, (), "甲" * 31),
        ("Abc", ("aBC",), "Abc（2）"),
        ("甲" * 40, ("甲" * 31, "甲" * 28 + "（2）"), "甲" * 28 + "（3）"),
    ],
)
def test_sheet_names_are_those_that_programs_accept(wanted, taken, name):
    assert sheets.sheet_name(wanted, taken) == name


def test_sheets_of_one_name_are_told_apart():
    book, stream = Book("甲"), BytesIO()
    for _ in range(2):
        book.add(Form("甲/乙", "甲", COLUMNS), [])
    book.save(stream)

    assert load_workbook(stream).sheetnames == ["甲_乙", "甲_乙（2）"]


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("蓝山县", "蓝山县台账.xlsx"),
        ('甲/乙\\丙:丁*戊?"己<庚>|\n', "甲_乙_丙_丁_戊__己_庚__台账.xlsx"),
        ("../甲", "_甲台账.xlsx"),
        ("甲" * 120, "甲" * 76 + "台账.xlsx"),
    ],
)
def test_file_names_hold_what_every_system_takes(unit, name):
    assert sheets.file_name(unit, "台账.xlsx") == name


def test_rows_are_taken_one_by_one():
    taken = []

    def rows():
        for number in range(3):
            taken.append(number)
            yield row(f"第{number}行", number, "", "好")

    book = Book("甲")
    assert taken == []
    written = book.add(Form("甲", "甲", COLUMNS), rows())

    assert written.row_count == len(taken) == 3


def test_notes_say_an_item_a_line():
    book, stream = Book("甲"), BytesIO()
    book.add(*sheets.notes("说明", "填报说明", [("来源", "台账"), ("时间", "=now()")]))
    book.save(stream)

    sheet = load_workbook(stream)["说明"]
    assert [[cell.value for cell in cells] for cells in sheet["A3:B4"]] == [
        ["来源", "台账"],
        ["时间", "=now()"],
    ]
