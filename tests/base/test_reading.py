"""Files that people send end in rows or in one sentence, and harm nobody who reads them."""

import random
import subprocess
import sys
import tracemalloc
from datetime import date
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import openpyxl
import pytest
from django.conf import settings

from ledger_site.base import reading
from ledger_site.base.readers.formats import GENERAL, Looks, look_of
from ledger_site.base.readers.table import Columns, letter, unescaped
from ledger_site.base.reading import Limits, Unreadable, read

pytestmark = pytest.mark.once


FILES = Path(__file__).parent.parent / "files/ledgers"
MB = 1 << 20

TYPES = "http://schemas.openxmlformats.org/package/2006/"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def links(*pairs):
    each = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(pairs, 1)
    )
    return f'{HEAD}<Relationships xmlns="{TYPES}relationships">{each}</Relationships>'


def parts(sheet, **more):
    """The parts of a workbook with one sheet, given from `<sheetData>` on, or whole."""
    if not sheet.startswith("<?xml"):
        sheet = f'{HEAD}<worksheet xmlns="{MAIN}">{sheet}</worksheet>'
    return {
        "[Content_Types].xml": f'{HEAD}<Types xmlns="{TYPES}content-types"/>',
        "_rels/.rels": links(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">'
        f'{more.pop("before", "")}<sheets><sheet name="台账" sheetId="1" r:id="r1"/></sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": links(
            ("worksheet", "worksheets/sheet1.xml"),
            ("sharedStrings", "/xl/strings.xml"),
            ("styles", "styles.xml"),
        ),
        "xl/worksheets/sheet1.xml": sheet,
    } | {f"xl/{name}.xml": f"{HEAD}{content}" for name, content in more.items()}


def rows_xml(*lines):
    """Rows of inline texts."""
    cells = ("".join(f'<c t="inlineStr"><is><t>{v}</t></is></c>' for v in line) for line in lines)
    return f"<sheetData>{''.join(f'<row>{line}</row>' for line in cells)}</sheetData>"


@pytest.fixture
def save(tmp_path):
    def save(content, name="表.xlsx", kind=ZIP_DEFLATED):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            with ZipFile(path, "w", kind) as package:
                for part, text in content.items():
                    package.writestr(part, text)
        return path

    return save


def cells(path, **changed):
    """The cells of the first sheet by row."""
    return {row.number: row.cells for row in read(path, limits(**changed))[0].rows}


def limits(**changed):
    return Limits(**settings.READING_LIMITS | changed)


def told(path, **changed):
    """The sentence that refuses the file."""
    with pytest.raises(Unreadable) as refused:
        [list(sheet.rows) for sheet in read(path, limits(**changed))]
    assert any("\u4e00" <= sign <= "\u9fff" for sign in str(refused.value))
    assert "\n" not in str(refused.value)
    return str(refused.value)


# ---------------------------------------------------------------- kinds of file


def test_a_workbook_gives_its_sheets_in_order_with_what_is_hidden():
    sheets = read(FILES / "one-sheet-per-township.xlsx")

    named = [(sheet.name, sheet.is_hidden) for sheet in sheets]
    assert named == [
        ("填表说明", False),
        ("石门坳镇", False),
        ("枫木桥乡", False),
        ("旧数据", True),
    ]
    # Each by itself, in any order.
    assert [len(list(sheet.rows)) for sheet in reversed(sheets)] == [3, 4, 3, 2]


def test_hidden_rows_and_columns_are_read_and_told():
    (sheet,) = read(FILES / "hidden-and-filtered-rows.xlsx")

    assert sheet.hidden_columns == {7}
    assert [row.number for row in sheet.rows if row.is_hidden] == [5, 7]


def test_a_merged_value_is_spread_over_its_range_only():
    rows = cells(FILES / "merged-data-cells.xlsx")

    assert [rows[n][13] for n in (3, 4, 5)] == ["县水利局"] * 3
    assert [rows[n][12] for n in (3, 4, 5)] == ["2012年底", "2012年底", "2012年10月"]
    marks = [getattr(rows[n][13], "is_spread", False) for n in (3, 4, 5)]
    assert marks == [False, True, True]
    assert [cell.is_spread for cell in rows[1][4:8]] == [True] * 4


def test_an_old_workbook_is_read_by_what_it_holds(save):
    rows = cells(save((FILES / "excel97.xls").read_bytes(), "台账.xlsx"))

    assert rows[5][:5] == ("白水洞村党支部", "曾秀", "张才平", rows[5][3], "11")
    assert rows[5][4].kind == "number"


def test_each_table_of_a_word_document_is_a_sheet_that_begins_with_its_title():
    (sheet,) = read(FILES / "seed-annex3.docx")
    rows = list(sheet.rows)

    assert sheet.name == "表1"
    assert [row.number for row in rows] == list(range(1, 10))
    assert rows[0].cells == ("蓝山县基层党组织分类定级晋位升级目标管理工作台账（样表）",)
    assert rows[5].cells[0] == "土市乡"
    assert all(cell.is_spread for cell in rows[5].cells[1:])
    assert rows[6].cells[0::8] == ("四村     党支部", "较好")
    assert len(rows[2].cells) == 16


def test_a_workbook_may_have_any_name(save):
    content = (FILES / "merged-data-cells.xlsx").read_bytes()

    assert len(cells(save(content, "a.xls"))) == len(cells(save(content, "b.et"))) == 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_text_of_a_csv_is_plain(save, encoding):
    path = save('名称,"一\r\n二\x0b三\x00"\r\n\r\n𠮷,2\r\n'.encode(encoding), "a.csv")

    assert cells(path) == {1: ("名称", "一\n二\n三"), 3: (), 4: ("𠮷", "2")}


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.xlsx", b"", "是空的"),
        ("a.xls", '<html><meta charset="gb2312"><table>表'.encode("gbk"), "网页"),
        ("a.xls", b'\xef\xbb\xbf<?xml version="1.0"?><Workbook/>', "XML"),
        ("a.xlsx", "名称,等次\n".encode(), "文本"),
        ("a.docx", b"words", "不是表格"),
        ("a.pdf", b"%PDF-1.4", "PDF"),
        ("a.xlsx", b"Rar!\x1a\x07", "压缩包"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "损坏"),
        ("a.csv", b"x" * 200_000, "过长"),
        ("a.csv", b"," * 2000, "格"),
    ],
)
def test_what_is_no_table_is_refused_with_advice(save, name, content, word):
    assert word in told(save(content, name))


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"mimetype": "application/vnd.oasis.opendocument.spreadsheet"}, ".ods"),
        ({"mimetype": "application/vnd.oasis.opendocument.text"}, ".odt"),
        ({"xl/vbaProject.bin": "x"}, "宏"),
        ({"[Content_Types].xml": "application/vnd.ms-excel.sheet.macroEnabled.main+xml"}, "宏"),
        ({"_rels/.rels": links(("officeDocument", "xl/workbook.bin"))}, ".xlsb"),
        ({"_rels/.rels": links(("officeDocument", "../../etc/passwd"))}, "损坏"),
        ({"xl/_rels/workbook.xml.rels": links(("worksheet", "/etc/passwd"))}, "损坏"),
        ({"xl/_rels/workbook.xml.rels": links(("chartsheet", "worksheets/sheet1.xml"))}, "没有"),
    ],
)
def test_packages_of_another_kind_are_refused_with_advice(save, more, word):
    assert word in told(save(parts(rows_xml("A")) | more))


def test_a_plain_archive_is_not_a_workbook(save):
    assert "压缩包" in told(save({"台账.txt": "x"}))


def test_wps_tables_and_locked_files_are_told_by_what_they_hold(save):
    assert ".et" in told(FILES / "wps-table.et")
    assert "密码" in told(FILES / "encrypted.xlsx")
    assert "密码" in told(save((FILES / "encrypted.xlsx").read_bytes(), "a.xls"))


def test_a_word_document_without_a_table_says_so(save):
    document = f'{HEAD}<w:document xmlns:w="w"><w:body><w:p/></w:body></w:document>'
    content = parts("") | {
        "_rels/.rels": links(("officeDocument", "word/document.xml")),
        "word/document.xml": document,
    }

    assert "没有表格" in told(save(content, "a.docx"))


# ---------------------------------------------------------------- what cells say


def test_cells_of_a_workbook_say_what_a_person_sees(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append([11.0, 0.1 + 0.2, 2012.8, True, "  字 ", None, "=1+1"])
    sheet.append([0.85, 6, date(2012, 12, 31), 41122, 7])
    forms = ("0%", "0%", "yyyy-mm-dd", 'yyyy"年"m"月"', "0000")
    for cell, form in zip(sheet[2][:5], forms, strict=True):
        cell.number_format = form
    book.save(tmp_path / "a.xlsx")

    rows = cells(tmp_path / "a.xlsx")

    assert rows[1] == ("11", "0.3", "2012.8", "TRUE", "  字 ", "", "")
    assert "公式" in rows[1][6].fault
    assert rows[2] == ("85%", "600%", "2012-12-31", "2012年8月", "0007")
    assert [cell.kind for cell in rows[2]] == ["percent", "percent", "date", "", "number"]


@pytest.mark.parametrize(
    ("cell", "text", "kind", "has_fault"),
    [
        ('<c t="e"><v>#REF!</v></c>', "#REF!", "", True),
        ('<c><f>A1</f></c><c t="str"><f>A1</f><v></v></c>', "", "", True),
        ('<c t="str"><f>A1</f><v>好</v></c>', "好", "", False),
        ('<c t="str"><f>A1</f><v>a_x000B_b_x005F_x000B_</v></c>', "a\nb_x000B_", "", False),
        ('<c t="d"><v>2012-12-31T00:00:00</v></c>', "2012-12-31", "date", False),
        ('<c t="s"><v>0</v></c>', "一二", "", False),
        ('<c t="s"><v>1</v></c>', "三", "", False),
        ('<c s="1"><v>39812</v></c>', "2012-12-31", "date", False),
        ('<c s="99"><v>1e3</v></c>', "1000", "number", False),
        ("<c><is><t>a&#13;&#10;b</t></is></c>", "a\nb", "", False),
    ],
)
def test_cells_as_programs_write_them(save, cell, text, kind, has_fault):
    strings = (
        f'<sst xmlns="{MAIN}"><si><r><t>一</t></r><r><t>二</t></r><rPh><t>yi</t></rPh></si>'
        "<si><t>三</t></si></sst>"
    )
    styles = f'<styleSheet xmlns="{MAIN}"><cellXfs><xf/><xf numFmtId="14"/></cellXfs></styleSheet>'
    path = save(
        parts(
            f"<sheetData><row>{cell}</row></sheetData>",
            before='<workbookPr date1904="1"/>',
            strings=strings,
            styles=styles,
        )
    )

    (found, *_) = cells(path)[1]

    assert found == text
    assert (getattr(found, "kind", ""), bool(getattr(found, "fault", ""))) == (kind, has_fault)


def test_phonetic_guides_are_left_out():
    assert cells(FILES / "phonetic-and-rich-text.xlsx")[4][0] == "白水洞村党支部"


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("General", 41274, "41274"),
        ("[$-804]yyyy年m月d日;@", 41274, "2012-12-31"),
        ("yyyy年", 41274, "2012年"),
        ("yyyy-m-d h:mm", 41274.5, "2012-12-31 12:00"),
        ("h:mm", 0.5, "12:00"),
        ("[h]:mm", 1.5, "1.5"),
        ('0"day"', 3, "3"),
        ("[Red]0.00", 3.5, "3.5"),
        ("yyyy-mm-dd", 1, "1900-01-01"),
        ("yyyy-mm-dd", -5, "-5"),
        ("yyyy-mm-dd", 1e9, "1000000000"),
    ],
)
def test_formats_of_numbers(code, value, text):
    assert Looks().show(value, look_of(164, code)) == text


def test_dates_of_built_in_formats_count_as_dates():
    looks = Looks()

    assert looks.show(41274, look_of(14, None)) == looks.show(41274, look_of(31, None))
    assert look_of(49, None) == GENERAL


def test_letters_of_columns_and_back():
    columns = Columns()

    assert all(columns[letter(n)] == n for n in range(16_384))
    assert letter(16_383) == "XFD"


def test_numbers_of_characters_in_text_join_to_one():
    assert unescaped("_xD842__xDFB7_") == "𠮷"
    assert unescaped("a_xD842_b_x0000_") == "ab"


# ---------------------------------------------------------------- odd workbooks


@pytest.mark.parametrize("prefix", ["", "x:"])
def test_namespaces_references_and_the_stated_size_do_not_matter(save, prefix):
    sheet = (
        f'{HEAD}<worksheet xmlns="strict"><dimension ref="A1"/><sheetData>'
        "<row><c><v>1</v></c></row>\n<row/><row r='7'><c r='C7'><v>2</v></c></row>"
        "</sheetData></worksheet>"
    )
    if prefix:
        for tag in ("worksheet", "dimension", "sheetData", "row", "c", "v"):
            for mark in ("<", "</"):
                for end in (">", " ", "/"):
                    sheet = sheet.replace(f"{mark}{tag}{end}", f"{mark}{prefix}{tag}{end}")
        sheet = sheet.replace("xmlns=", "xmlns:x=")

    assert cells(save(parts(sheet))) == {1: ("1",), 7: ("", "", "2")}


def test_a_cell_in_the_last_corner_is_told_only_if_it_says_something(save):
    sheet = (
        '<sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="1048576">{}</row></sheetData>'
    )
    blank = sheet.format('<c r="XFD1048576" s="1"/>')
    filled = sheet.format('<c r="XFD1048576"><v>2</v></c>')

    assert cells(save(parts(blank))) == {1: ("1",)}
    assert "XFD1048576" in told(save(parts(filled)))


def test_formatted_rows_without_content_are_left_out(save):
    formatted = "".join(f'<row r="{n}" s="1"><c r="A{n}" s="1"/></row>' for n in range(2, 60_000))
    sheet = f'<sheetData><row r="1"><c><v>1</v></c></row>{formatted}</sheetData>'
    merge = '<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'

    rows = cells(save(parts(sheet + merge)))

    assert list(rows) == [1]
    assert set(rows[1]) == {"1"}


@pytest.mark.parametrize(
    "sheet",
    [
        '<sheetData><row r="2"/><row r="1"/></sheetData>',
        '<sheetData><row r="1"><c r="B1"/><c r="A1"/></row></sheetData>',
        '<sheetData><row r="1"><c r="A1" t="s"><v>5</v></c></row></sheetData>',
        '<sheetData><row r="1"><c r="?1"><v>5</v></c></row></sheetData>',
        '<sheetData><row r="1"><c r="A1"><v>nan</v></c></row></sheetData>',
        "<sheetData><row>",
        "<!-- </sheetData> --><sheetData></sheetData><sheetData>",
    ],
)
def test_a_sheet_that_contradicts_itself_is_damaged(save, sheet):
    assert "损坏" in told(save(parts(sheet)))


# ---------------------------------------------------------------- hostile files


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/strings.xml"])
@pytest.mark.parametrize(
    "declared",
    ['<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">', '<!ENTITY a SYSTEM "canary.txt">', ""],
)
def test_a_dtd_is_refused_wherever_it_stands(save, part, declared):
    content = parts(rows_xml("A"), strings=f'<sst xmlns="{MAIN}"><si><t>x</t></si></sst>')
    content[part] = content[part].replace(HEAD, f"{HEAD}<!DOCTYPE x [{declared}]>")

    assert "DTD" in told(save(content))


def test_a_dtd_is_refused_in_word_documents(save):
    content = {
        "[Content_Types].xml": "",
        "_rels/.rels": links(("officeDocument", "word/document.xml")),
        "word/document.xml": f"{HEAD}<!DOCTYPE x><document><tbl/></document>",
    }

    assert "DTD" in told(save(content, "a.docx"))


def test_what_would_burst_is_refused_before_it_is_unpacked(save):
    bomb = save(parts(rows_xml("A") + f"<!--{' ' * 40 * MB}-->"))
    large = save(parts(rows_xml("A") + f"<!--{'0123456789' * MB}-->"), "b.xlsx")
    many = save({f"part{n}": "" for n in range(5001)} | parts(""), "c.xlsx")

    assert "过大" in told(bomb)
    assert "展开后超过5MB" in told(large, most_unpacked=5 * MB)
    assert "5000" in told(many)


def test_other_ways_of_packing_are_refused(save):
    assert "损坏" in told(save(parts(rows_xml("A")), kind=ZIP_BZIP2))


def test_limits_are_stated(save):
    path = save(parts(rows_xml(*"ABC")))

    assert "超过2行" in told(path, most_rows=2)
    assert len(cells(path, most_rows=3)) == 3
    assert "超过0MB" in told(path, most_bytes=10)


def test_a_file_that_takes_too_much_memory_is_told(save):
    path = save(
        parts(rows_xml("A"), strings=f'<sst xmlns="{MAIN}"><si><t>{"x" * 30 * MB}</t></si></sst>')
    )

    assert told(path, most_memory=60 * MB)


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("import time; time.sleep(60)", "超过1秒"),
        ("while True: pass", "超过1秒"),
        ("import os; os.abort()", "中断"),
        ("print('nonsense')", "中断"),
        ("print('[1, 2]')", "中断"),
        ("print('[' * 100_000)", "中断"),
        ("print('x' * 20_000_000)", "中断"),
        ("import sys; sys.stdout.buffer.write(bytes([255, 10]))", "中断"),
        ("print('{\"told\": 5}')", "中断"),
        ("", "中断"),
    ],
)
def test_the_death_silence_or_nonsense_of_who_looks_is_told(save, monkeypatch, program, word):
    monkeypatch.setattr(reading, "COMMAND", (sys.executable, "-c", program))

    assert word in told(save(parts(rows_xml("A"))), most_seconds=1 if "秒" in word else 20)


def test_who_looks_into_files_has_no_django_and_opens_nothing():
    program = (
        "import sys\n"
        "from ledger_site.base.readers import __main__ as readers\n"
        "assert 'xlrd' in sys.modules\n"
        "readers.limit(1 << 30, 10)\n"
        "try:\n    open('manage.py')\n"
        "except OSError:\n    print([name for name in sys.modules if 'django' in name])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=settings.BASE_DIR, capture_output=True, text=True
    )

    assert done.stdout == "[]\n", done.stderr


def test_whoever_stops_reading_leaves_no_process(save, monkeypatch):
    started = []

    class Watched(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(reading.subprocess, "Popen", Watched)
    (sheet,) = read(save(parts(rows_xml(*[["字" * 500] * 50] * 100))))
    next(sheet.rows)
    running = [child for child in started if child.poll() is None]

    sheet.rows.close()

    assert running == started[1:]  # the first was for the sheets, the other is for the rows
    assert all(child.returncode is not None for child in started)


def test_rows_do_not_fill_the_memory(save):
    path = save(parts(rows_xml(*[["字" * 50] * 16] * 5000)))
    (sheet,) = read(path)
    tracemalloc.start()

    count = sum(1 for _ in sheet.rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 5000  # 5000 rows of 16 cells are more than 10 MB
    assert peak < 8 * MB


# ---------------------------------------------------------------- broken on purpose

BROKEN = 60  # files; each costs a process


def _flipped(content, dice):
    content = bytearray(content)
    for _ in range(dice.choice((1, 8, 64))):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    return bytes(content)


def _cut(content, dice):
    start, end = sorted(dice.randrange(len(content)) for _ in range(2))
    return content[:start] + content[end:]


def _shuffled(content, dice):
    """The parts under each other's names, or with bytes of their own turned."""
    if content[:2] != b"PK":
        return _cut(content, dice)
    with ZipFile(BytesIO(content)) as package:
        held = {name: package.read(name) for name in package.namelist()}
    names = list(held)
    if dice.random() < 0.3:
        dice.shuffle(names)
    broken = BytesIO()
    with ZipFile(broken, "w", ZIP_DEFLATED) as package:
        for name, part in zip(names, held.values(), strict=True):
            damage = dice.choice((_flipped, _cut, lambda part, _: part))
            package.writestr(name, damage(part, dice) if part else part)
    return broken.getvalue()


def test_broken_files_give_rows_or_a_sentence(save):
    dice = random.Random(2012)
    samples = [
        (FILES / name).read_bytes()
        for name in ("merged-data-cells.xlsx", "excel97.xls", "seed-annex3.docx", "encrypted.xlsx")
    ]
    sentences = []
    for _ in range(BROKEN):
        content = dice.choice((_flipped, _cut, _shuffled))(dice.choice(samples), dice)
        path = save(content, dice.choice(("a.xlsx", "a.xls", "a.docx", "a.csv")))
        try:
            for sheet in read(path, limits(most_seconds=20)):
                for row in sheet.rows:
                    assert all(isinstance(cell, str) for cell in row.cells)
        except Unreadable as error:
            sentences.append(str(error))
    assert 0 < len(sentences) < BROKEN
    assert "\n" not in "".join(sentences)
