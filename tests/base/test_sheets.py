"""Workbooks in the form of official documents, read back with openpyxl."""

import tracemalloc
from io import BytesIO
from itertools import repeat
from zipfile import ZipFile

import pytest
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from ledger_site.base import sheets
from ledger_site.base.sheets import Book, Column, Form, Row, TooLarge

pytestmark = pytest.mark.once


COLUMNS = (
    Column(("名称",), 12),
    Column(("情况", "人数"), 6, number_format="0"),
    Column(("情况", "特点"), 20, is_left=True),
    Column(("等次",), 8, choices=("好", "较好")),
)
FOOT = ("填报单位（盖章）：甲县", "填报人：", "审核人：", "填报日期：")


def made(rows, columns=COLUMNS, foot=FOOT, name="台账", title="甲县台账"):
    """The sheet, and what `Book.add` said of it."""
    stream = BytesIO()
    with Book(stream, title) as book:
        written = book.add(Form(name, title, columns, foot), rows)
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


@pytest.mark.parametrize(
    ("width", "paper"), [(46, (9, "portrait")), (101, (9, "landscape")), (146, (8, "landscape"))]
)
def test_print_is_one_page_wide_on_the_smallest_paper_with_pages_counted(width, paper):
    columns = (*COLUMNS[:-1], Column(("等次",), width - 38))

    sheet, _ = made([row("甲", 1, "", "好")], columns)

    assert (sheet.page_setup.paperSize, sheet.page_setup.orientation) == paper
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


def test_foot_is_as_high_as_its_longest_text():
    low, high = (
        made([], foot=(text, "乙"))[0].row_dimensions[4].height for text in ("甲", "甲" * 60)
    )

    assert low == 36
    assert 4 * 12 * 1.2 < high < 6 * 12 * 1.5


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
    stream = BytesIO()
    with Book(stream, "甲") as book:
        for _ in range(2):
            book.add(Form("甲/乙", "甲", COLUMNS), [])

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

    with Book(BytesIO(), "甲") as book:
        assert taken == []
        written = book.add(Form("甲", "甲", COLUMNS), rows())

    assert written.row_count == len(taken) == 3


def test_notes_say_an_item_a_line():
    stream = BytesIO()
    with Book(stream, "甲") as book:
        book.add(*sheets.notes("说明", "填报说明", [("来源", "台账"), ("时间", "=now()")]))

    sheet = load_workbook(stream)["说明"]
    assert [[cell.value for cell in cells] for cells in sheet["A3:B4"]] == [
        ["来源", "台账"],
        ["时间", "=now()"],
    ]


# ---------------------------------------------------------------- what the readers make of it


def written(rows, columns=COLUMNS):
    stream = BytesIO()
    with Book(stream, "甲") as book:
        book.add(Form("台账", "甲县台账", columns, FOOT), rows)
    stream.seek(0)
    return stream


TEXTS = (
    "甲<b>&amp;乙</b>",
    " 甲 ",
    "甲\n乙",
    "=1+1",
    "“好”'\"",
    "\t甲",
    "㵲水\U00020000村",
    "_x_甲",
)


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_as_it_was_typed(text):
    stream = written([row(text, 1, text * 5, "好")])

    whole = load_workbook(stream).worksheets[0]
    piecewise = load_workbook(stream, read_only=True).worksheets[0]
    stream.seek(0)
    other = CalamineWorkbook.from_filelike(stream).get_sheet_by_index(0).to_python()
    read = list(piecewise.iter_rows(values_only=True))[3]
    assert [cell.value for cell in whole[4]] == [text, 1, text * 5, "好"]
    assert list(read) == [text, 1, text * 5, "好"]
    assert other[3] == [text, 1, text * 5, "好"]


def test_equal_values_in_rows_of_different_kinds_keep_their_looks():
    sheet, _ = made(
        [row("甲", 1, "乙", "好"), sheets.total(["甲", 1, "乙", "好"]), row("甲", 1, "乙", "好")]
    )

    assert [[cell.font.name for cell in sheet[number]] for number in (4, 5, 6)] == [
        ["仿宋_GB2312"] * 4,
        ["黑体"] * 4,
        ["仿宋_GB2312"] * 4,
    ]
    assert [sheet.cell(number, 2).number_format for number in (4, 5, 6)] == ["0"] * 3


def test_every_cell_says_where_it_stands_and_the_sheet_does_not_say_its_size_wrongly():
    xml = ZipFile(written([row("甲", 1, None, "好")])).read("xl/worksheets/sheet1.xml").decode()

    assert 'r="A4"' in xml
    assert 'r="C4"' in xml
    assert "<dimension" not in xml


def test_values_that_come_again_and_again_are_not_mixed_up():
    numbers = range(3 * sheets._KEPT)

    sheet, _ = made(row(f"第{n % 2500}行", n, "", "好") for n in numbers)

    found = sheet.iter_rows(min_row=4, max_row=3 + len(numbers), max_col=2, values_only=True)
    assert list(found) == [(f"第{n % 2500}行", n) for n in numbers]


def test_every_group_row_is_merged():
    rows = [kind for n in range(300) for kind in (sheets.group(f"第{n}乡"), row("甲", n, "", "好"))]

    sheet, _ = made(rows)

    assert {f"A{number}:D{number}" for number in range(4, 604, 2)} <= merged(sheet)
    assert len(merged(sheet)) == 300 + len({"A1:D1", "A2:A3", "B2:C2", "D2:D3"})


def test_stream_is_written_from_front_to_back():
    class Pipe:
        def __init__(self):
            self.parts = []

        def write(self, part):
            self.parts.append(bytes(part))
            return len(part)

        def flush(self):
            pass

    pipe = Pipe()
    with Book(pipe, "甲") as book:
        book.add(Form("台账", "甲", COLUMNS), [row("甲", 1, "", "好")])

    sheet = load_workbook(BytesIO(b"".join(pipe.parts))).worksheets[0]
    assert sheet["A4"].value == "甲"


def test_level_of_compression_is_a_setting(settings):
    sizes = []
    for level in (1, 6):
        settings.XLSX_COMPRESSION = level
        stream = written(
            row(f"第{n}村党支部", n, f"{n}、班子团结，制度健全；", "好") for n in range(500)
        )
        assert load_workbook(stream).worksheets[0].max_row == 504
        sizes.append(len(stream.getvalue()))

    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(("limit", "most"), [("MOST_ROWS", 10), ("MOST_BYTES", 5000)])
def test_sheet_that_programs_would_not_open_is_refused(monkeypatch, limit, most):
    monkeypatch.setattr(sheets, limit, most)

    with pytest.raises(TooLarge, match="工作表“台账”"):
        made(repeat(row("甲", 1, "", "好")))


def test_as_many_rows_as_a_program_shows_are_written_with_the_foot(monkeypatch):
    monkeypatch.setattr(sheets, "MOST_ROWS", 10)

    sheet, _ = made([row("甲", 1, "", "好")] * 6)

    assert (sheet.max_row, sheet["A10"].value) == (10, FOOT[0])


class Nowhere:
    """A stream that forgets: what is in memory is the writer's own."""

    def write(self, part):
        return len(part)

    def flush(self):
        pass


def peak_of(count):
    rows = (
        sheets.group(f"第{n}乡")
        if n % 5 == 0
        else row(
            f"第{n}村党支部", n, f"{n}、班子团结，分工明确；\n2、制度健全{n}，执行较好；", "好"
        )
        for n in range(count)
    )
    tracemalloc.start()
    try:
        with Book(Nowhere(), "甲") as book:
            book.add(Form("台账", "甲", COLUMNS), rows)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_rows():
    peak_of(10)  # what is loaded once

    fewer, more = peak_of(20_000), peak_of(60_000)

    assert more < fewer + 200_000  # bytes, for 40,000 rows more
    assert more < 10_000_000
