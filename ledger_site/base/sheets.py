"""Writing workbooks in the form of official documents; knows no app.

A `Form` is a sheet's skeleton: title, head, widths, foot. The rows come from an iterator and are
written as they come, so that a sheet is never in memory as a whole. What a cell shows is a value,
never a formula.

openpyxl makes what is of one size for any number of rows: styles, print set-up, the parts around
the sheets. The cells are written here, as XML straight into the file: openpyxl takes ten times as
long for them (docs/decisions.md).
"""

import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from itertools import chain, islice
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from django.conf import settings
from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, NamedStyle, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.properties import PageSetupProperties

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TITLE_FONT, HEAD_FONT, TEXT_FONT = "方正小标宋简体", "黑体", "仿宋_GB2312"
TITLE_SIZE, FOOT_SIZE, TEXT_SIZE, SMALL_SIZE = 22, 12, 10.5, 8
A3, A4 = 8, 9
LARGEST_CELL = 32_767  # characters
LOWEST_ROW, HIGHEST_ROW = 24, 409  # points; no program shows a higher row
LINE = 1.4  # height of a line by size of the font; fonts of other systems are higher than 仿宋
LONGEST_SHEET_NAME = 31
LONGEST_FILE_NAME = 240  # bytes; most file systems take 255
MOST_ROWS = 1_048_576  # of a sheet
MOST_BYTES = 2_000_000_000  # of a sheet's XML; with more the file needs ZIP64, which not all read


# ---------------------------------------------------------------- text and names

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_NOT_IN_SHEET_NAME = re.compile(r"[:\\/?*\[\]\x00-\x1f]")
_NOT_IN_FILE_NAME = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')


def clean(text: str) -> str:
    """Text as a cell can hold it: without control characters, `\\n` line ends, not too long."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    # To a reader _x000D_ is a character by its number; written out it stays what was typed.
    return _ESCAPED.sub("_x005F_", text)[:LARGEST_CELL]


def sheet_name(wanted: str, taken: Iterable[str] = ()) -> str:
    """A name that programs accept: at most 31 characters, none of `: \\ / ? * [ ]`, not taken."""
    name = _NOT_IN_SHEET_NAME.sub("_", wanted).strip("' ") or "表"
    used = {other.casefold() for other in taken}
    found, number = name[:LONGEST_SHEET_NAME].rstrip("' "), 1
    while found.casefold() in used:
        number += 1
        mark = f"（{number}）"
        found = name[: LONGEST_SHEET_NAME - len(mark)] + mark
    return found


def file_name(unit: str, rest: str) -> str:
    """The name of a file that begins with a unit's: illegal characters as `_`, the unit's name
    shortened where the whole would be too long."""
    unit, rest = (_NOT_IN_FILE_NAME.sub("_", part) for part in (unit.strip(), rest))
    while len((unit + rest).encode()) > LONGEST_FILE_NAME:
        unit = unit[:-1]
    return unit.lstrip(".") + rest


def lines_of(text: str, width: float) -> int:
    """How many lines a text takes in a column of so many half-width characters, wrapped.

    In the size of the rows, at which a Chinese character is two of them wide.
    """
    return _lines(text, _room(width))


def _room(width: float) -> int:
    """What goes into a line, in quarters of a Chinese character, which is not cut in two."""
    return max(math.floor((width - 1) / 2), 1) * 4


_WIDEST = 5  # quarters that a character may take


def _lines(text: str, room: int) -> int:
    count = 0
    for paragraph in text.split("\n"):
        # A Chinese character is two units wide and three bytes long, others are one of both.
        length = len(paragraph) + len(paragraph.encode())
        if length <= room:
            count += 1
        else:
            # A sign that may not begin a line takes the character before it along, now and then.
            breaks = (length - 1) // room
            count += -(-(length + breaks) // room)
    return count


# ---------------------------------------------------------------- what a sheet is made of


@dataclass(frozen=True)
class Column:
    """`heads` from the top: ("分类定级情况", "好", "个数"). Neighbours under one head are merged, a
    head without others below it stands over the rest of the head."""

    heads: tuple[str, ...]
    width: float  # in half-width characters
    is_left: bool = False  # text from the left; everything else is centred
    number_format: str = "General"
    choices: tuple[str, ...] = ()  # what may be chosen in its cells


@dataclass(frozen=True)
class Form:
    """The skeleton of a sheet."""

    name: str
    title: str
    columns: Sequence[Column]
    foot: Sequence[str] = ()  # spread below the rows, beside each other

    @property
    def head_height(self) -> int:
        return max(len(column.heads) for column in self.columns)

    @property
    def width(self) -> float:
        return sum(column.width for column in self.columns)

    @property
    def paper(self) -> tuple[int, str]:
        """The smallest paper that holds the columns without making them smaller; A3 at most."""
        if self.width <= 100:
            return A4, "portrait"
        return (A4 if self.width <= 145 else A3), "landscape"


class Row(NamedTuple):
    values: Sequence[Any]  # text, number or None
    kind: str = "data"  # data; total: 合计; group: one text across the sheet


def group(text: str) -> Row:
    return Row((text,), "group")


def total(values: Sequence[Any]) -> Row:
    return Row(values, "total")


@dataclass
class Written:
    """What became of the rows of a sheet."""

    row_count: int = 0  # data rows
    cut: list[str] = field(default_factory=list)  # first cells of rows too high to be seen whole


# ---------------------------------------------------------------- styles

TITLE, HEAD, TEXT, LEFT, SMALL, GROUP, TOTAL, FOOT = (
    "公文标题",
    "公文表头",
    "公文居中",
    "公文正文",
    "公文小字",
    "公文分组",
    "公文合计",
    "公文落款",
)


def _styles() -> Iterator[NamedStyle]:
    side = Side("thin", color="000000")
    border = Border(side, side, side, side)
    looks = (
        (TITLE, TITLE_FONT, TITLE_SIZE, "center", None),
        (HEAD, HEAD_FONT, TEXT_SIZE, "center", border),
        (TEXT, TEXT_FONT, TEXT_SIZE, "center", border),
        (LEFT, TEXT_FONT, TEXT_SIZE, "left", border),
        (SMALL, TEXT_FONT, SMALL_SIZE, "left", border),
        (GROUP, HEAD_FONT, FOOT_SIZE, "center", border),
        (TOTAL, HEAD_FONT, TEXT_SIZE, "center", border),
        (FOOT, TEXT_FONT, FOOT_SIZE, "left", None),
    )
    for name, font, size, across, frame in looks:
        yield NamedStyle(
            name,
            font=Font(name=font, size=size, color="000000"),
            alignment=Alignment(across, "center", wrap_text=True),
            border=frame,
        )


# ---------------------------------------------------------------- cells

_SPECIAL = re.compile(f"[&<>_{_CONTROL.pattern[1:]}")  # what a cell may not hold as it is
_FORMULA = "=+-@"  # how text begins that would become a formula when it is edited
_SHORT = 12  # characters of a text that will probably come again: a grade, a name, a date
_KEPT = 2000  # cells of one look that are kept


class _Cells(dict):
    """The cells of one look and width, by value: (XML behind the place, lines that it takes).

    Short texts and numbers are made once and kept, never more than `_KEPT` of them. Texts are
    written inline: the table of shared texts would be in memory until the end.
    """

    def __init__(self, style_of: Callable[..., int], name: str, number_format: str, width: float):
        super().__init__()
        self.room = _room(width)
        style, quoted = style_of(name), style_of(name, is_quoted=True)
        self.empty = f' s="{style}"/>'
        self.number = f' s="{style_of(name, number_format)}"><v>'
        self.text, self.quoted = (f' s="{s}" t="inlineStr"><is><t>' for s in (style, quoted))
        self.spaced = f'{self.text[:-1]} xml:space="preserve">'
        self.quoted_spaced = f'{self.quoted[:-1]} xml:space="preserve">'

    def __missing__(self, value) -> tuple[str, int]:
        if isinstance(value, str):
            made = self._text(value)
            if len(value) > _SHORT:
                return made
        else:
            made = self.empty if value is None else f"{self.number}{value}</v></c>", 1
        if len(self) == _KEPT:
            self.clear()
        self[value] = made
        return made

    def _text(self, text: str) -> tuple[str, int]:
        shown = text
        if _SPECIAL.search(text) or len(text) > LARGEST_CELL:
            text = clean(text)
            shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if not text:
            return self.empty, 1
        is_quoted = text[0] in _FORMULA
        if "\n" in text or text[0] <= " " or text[-1] <= " ":
            opening = self.quoted_spaced if is_quoted else self.spaced
        else:
            opening = self.quoted if is_quoted else self.text
            if len(text) * _WIDEST <= self.room:
                return f"{opening}{shown}</t></is></c>", 1
        return f"{opening}{shown}</t></is></c>", _lines(text, self.room)


# ---------------------------------------------------------------- writing


class TooLarge(Exception):
    """A sheet that programs would not open; the text says what is too much."""


class Book:
    """A workbook, written into a binary stream; sheets are added one after another.

    `with Book(stream, title) as book` writes what is common to the sheets at the end. After an
    exception the stream holds no workbook.
    """

    def __init__(self, stream, title: str, author: str = ""):
        self._skeleton = Workbook()
        self._skeleton.remove(self._skeleton.active)
        self._skeleton.properties.title = clean(title)
        self._skeleton.properties.creator = clean(author)
        for style in _styles():
            self._skeleton.add_named_style(style)
        self._zip = ZipFile(
            stream, "w", ZIP_DEFLATED, compresslevel=settings.XLSX_COMPRESSION, allowZip64=True
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        with self._zip:
            if kind is None:
                self._write_common()

    def add(self, form: Form, rows: Iterable[Row]) -> Written:
        """Write a sheet; raises `TooLarge`."""
        sheet = _Sheet(self._skeleton, form)
        with self._zip.open(_part_name(len(self._skeleton.worksheets)), "w") as part:
            part.write(self._around_rows()[0])
            sheet.write(rows, part)
            part.write(self._around_rows()[1])
        return sheet.written

    def _around_rows(self) -> list[bytes]:
        """What stands before and behind the rows of the sheet added last."""
        with self._saved() as skeleton:
            xml = skeleton.read(_part_name(len(self._skeleton.worksheets)))
        # openpyxl knows of no rows, and a reader would believe the size that it gives.
        return _NO_ROWS.split(_SIZE.sub(b"", xml))

    def _write_common(self) -> None:
        own = {_part_name(number) for number in range(1, len(self._skeleton.worksheets) + 1)}
        with self._saved() as skeleton:
            for name in skeleton.namelist():
                if name not in own:
                    self._zip.writestr(name, skeleton.read(name))

    def _saved(self) -> ZipFile:
        stream = BytesIO()
        self._skeleton.save(stream)
        return ZipFile(stream)


_NO_ROWS = re.compile(rb"<sheetData\s*/>|<sheetData>\s*</sheetData>")
_SIZE = re.compile(rb"<dimension [^>]*/>")
_AT_ONCE = 200  # rows that are compressed at once


def _part_name(number: int) -> str:
    return f"xl/worksheets/sheet{number}.xml"


class _Sheet:
    """One sheet while it is being written."""

    def __init__(self, book: Workbook, form: Form):
        self.form = form
        self.sheet = book.create_sheet(sheet_name(form.name, book.sheetnames))
        self.number = 0  # of the row written last
        self.written = Written()
        self._letters = [get_column_letter(n) for n in range(1, len(form.columns) + 1)]
        cells = "".join(f'<c r="{letter}#"%s' for letter in self._letters)
        self._line_form = f'<row r="#" ht="%s" customHeight="1">{cells}</row>'
        self._merged: list[str] = []
        self._groups = array("L")  # rows that are merged across; there may be tens of thousands
        self._kinds: dict[tuple[str, bool], list[_Cells]] = {}
        self._cells: dict[tuple, _Cells] = {}
        self._styles: dict[tuple, int] = {}
        self._prepare()

    def write(self, rows: Iterable[Row], part) -> None:
        """Write rows and merges; the choices are then in the skeleton."""
        part.write(b"<sheetData>")
        lines, size = self._rows(rows), 0
        while piece := "".join(islice(lines, _AT_ONCE)).encode():
            size += len(piece)
            if size > MOST_BYTES:
                raise TooLarge(f"工作表“{self.form.name}”的内容超过{MOST_BYTES // 2**20}MB")
            part.write(piece)
        part.write(b"</sheetData>")
        self._write_merges(part)

    def _rows(self, rows: Iterable[Row]) -> Iterator[str]:
        yield self._title()
        yield from self._head()
        first = self.number + 1
        for row in rows:
            if self.number == MOST_ROWS - 1:  # the last one is the foot's
                raise TooLarge(f"工作表“{self.form.name}”超过{MOST_ROWS}行")
            yield self._group(row) if row.kind == "group" else self._data(row)
        self._add_choices(first)
        if self.form.foot:
            yield self._foot()

    def _prepare(self) -> None:
        """Print set-up, widths, frozen head: what stands before the first row in the file."""
        sheet, form = self.sheet, self.form
        sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
        sheet.page_setup.paperSize, sheet.page_setup.orientation = form.paper
        sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
        margins = sheet.page_margins
        margins.left = margins.right = 0.55
        margins.top = margins.bottom = 0.75
        margins.header = margins.footer = 0.35
        sheet.print_options.horizontalCentered = True
        sheet.oddFooter.center.text = "第 &P 页 共 &N 页"
        sheet.oddFooter.center.font, sheet.oddFooter.center.size = TEXT_FONT, FOOT_SIZE
        last = 1 + form.head_height
        sheet.print_title_rows = f"2:{last}"
        sheet.freeze_panes = f"A{last + 1}"
        for letter, column in zip(self._letters, form.columns, strict=True):
            sheet.column_dimensions[letter].width = column.width

    def _title(self) -> str:
        title = self.form.title
        lines = lines_of(title, self.form.width * TEXT_SIZE / TITLE_SIZE)
        return self._across(title, TITLE, max(lines * TITLE_SIZE * LINE + 10, 45))

    def _head(self) -> Iterator[str]:
        form, top, height = self.form, self.number + 1, self.form.head_height
        grid = [[""] * len(form.columns) for _ in range(height)]
        needed = [24.0] * height
        # Heads over several columns first: the lowest row has what is left to the others.
        for first, last, depth, text in sorted(_heads(form.columns), key=lambda head: head[2]):
            below = height if first == last and depth == len(form.columns[first].heads) else depth
            grid[depth - 1][first] = text
            if (first, depth) != (last, below):
                self._merge(top + depth - 1, first, top + below - 1, last)
            width = sum(column.width for column in form.columns[first : last + 1])
            room = lines_of(text, width) * TEXT_SIZE * LINE + 6
            needed[below - 1] = max(needed[below - 1], room - sum(needed[depth - 1 : below - 1]))
        for texts, room in zip(grid, needed, strict=True):
            yield self._texts(texts, HEAD, room)

    def _data(self, row: Row) -> str:
        pieces, lines = self._made(row)
        height = lines * TEXT_SIZE * LINE + 6
        if height > HIGHEST_ROW:
            # Too high to be shown: in small type; what is still too high is named.
            pieces, lines = self._made(row, is_small=True)
            height = lines * SMALL_SIZE * LINE + 4
            if height > HIGHEST_ROW:
                self.written.cut.append(str(row.values[0] or f"第{self.number + 1}行"))
        self.written.row_count += row.kind == "data"
        return self._line(pieces, min(max(height, LOWEST_ROW), HIGHEST_ROW))

    def _made(self, row: Row, *, is_small=False) -> tuple[Sequence[str], int]:
        """The cells of a row, and how many lines the highest takes."""
        columns = self._columns(row.kind, is_small)
        made = [cells[value] for cells, value in zip(columns, row.values, strict=True)]
        pieces, lines = zip(*made, strict=True)
        return pieces, max(lines)

    def _columns(self, kind: str, is_small: bool) -> list[_Cells]:
        if (kind, is_small) not in self._kinds:
            scale = TEXT_SIZE / SMALL_SIZE if is_small else 1
            self._kinds[kind, is_small] = [
                self._cells_of(
                    _look(column, kind, is_small), column.number_format, column.width * scale
                )
                for column in self.form.columns
            ]
        return self._kinds[kind, is_small]

    def _cells_of(self, *look) -> _Cells:
        """Columns of one look share their cells: the same names stand in several of them."""
        if look not in self._cells:
            self._cells[look] = _Cells(self._style, *look)
        return self._cells[look]

    def _group(self, row: Row) -> str:
        self._groups.append(self.number + 1)
        return self._texts([row.values[0]], GROUP, 24)

    def _across(self, text: str, style: str, height: float) -> str:
        """One text over the whole width."""
        self._merge(self.number + 1, 0, self.number + 1, len(self._letters) - 1)
        return self._texts([text], style, height)

    def _foot(self) -> str:
        form, row = self.form, self.number + 1
        starts = _spread(len(form.foot), [column.width for column in form.columns])
        texts, lines = [""] * len(form.columns), 0
        for text, first, end in zip(
            form.foot, starts, [*starts[1:], len(form.columns)], strict=True
        ):
            texts[first] = text
            self._merge(row, first, row, end - 1)
            width = sum(column.width for column in form.columns[first:end])
            lines = max(lines, lines_of(text, width * TEXT_SIZE / FOOT_SIZE))
        return self._texts(texts, FOOT, max(lines * FOOT_SIZE * LINE + 2, 36))

    def _texts(self, texts: Sequence[str], style: str, height: float) -> str:
        """A row of texts in one style, with empty cells behind them."""
        cells = self._cells_of(style, "General", self.form.width)
        pieces = [cells[text][0] for text in texts]
        return self._line(pieces + [cells.empty] * (len(self._letters) - len(texts)), height)

    def _line(self, pieces: Sequence[str], height: float) -> str:
        self.number += 1
        points = round(height * 4) / 4
        return self._line_form.replace("#", str(self.number)) % (points, *pieces)

    def _style(self, name: str, number_format: str = "General", *, is_quoted=False) -> int:
        """The number of a style in the file."""
        key = name, number_format, is_quoted
        if key not in self._styles:
            cell = Cell(self.sheet, 1, 1)
            cell.style, cell.number_format, cell.quotePrefix = key
            self._styles[key] = cell.style_id
        return self._styles[key]

    def _merge(self, top: int, left: int, bottom: int, right: int) -> None:
        if (top, left) != (bottom, right):
            self._merged.append(f"{self._letters[left]}{top}:{self._letters[right]}{bottom}")

    def _write_merges(self, part) -> None:
        """The merged cells, which the format wants just behind the rows."""
        last = self._letters[-1]
        groups = self._groups if last != "A" else ()
        count = len(self._merged) + len(groups)
        if not count:
            return
        part.write(f'<mergeCells count="{count}">'.encode())
        places = chain(self._merged, (f"A{number}:{last}{number}" for number in groups))
        while piece := list(islice(places, _AT_ONCE)):
            part.write("".join(f'<mergeCell ref="{place}"/>' for place in piece).encode())
        part.write(b"</mergeCells>")

    def _add_choices(self, first: int) -> None:
        if self.number < first:
            return
        for letter, column in zip(self._letters, self.form.columns, strict=True):
            if not column.choices:
                continue
            rule = DataValidation("list", f'"{",".join(column.choices)}"', allow_blank=True)
            rule.showErrorMessage = True
            rule.errorTitle, rule.error = "请重新选择", f"只能是{'、'.join(column.choices)}"
            rule.add(f"{letter}{first}:{letter}{self.number}")
            self.sheet.add_data_validation(rule)


def _look(column: Column, kind: str, is_small: bool) -> str:
    if kind == "total":
        return TOTAL
    if not column.is_left:
        return TEXT
    return SMALL if is_small else LEFT


def _spread(count: int, widths: Sequence[float]) -> list[int]:
    """The columns at which `count` texts begin, as evenly as the widths allow."""
    starts, place, reached = [], 0, 0.0
    for number in range(count):
        while place < len(widths) - count + number and reached < sum(widths) * number / count:
            reached += widths[place]
            place += 1
        starts.append(place)
        reached += widths[place]
        place += 1
    return starts


def _heads(columns: Sequence[Column]) -> Iterator[tuple[int, int, int, str]]:
    """(first column, last column, depth from 1, text) of every head."""
    for depth in range(1, max(len(column.heads) for column in columns) + 1):
        first = 0
        while first < len(columns):
            path, last = columns[first].heads[:depth], first
            is_lowest = len(columns[first].heads) == depth
            while (
                not is_lowest
                and last + 1 < len(columns)
                and columns[last + 1].heads[:depth] == path
            ):
                last += 1
            if len(path) == depth:
                yield first, last, depth, path[-1]
            first = last + 1


def notes(name: str, title: str, pairs: Iterable[tuple[str, str]]) -> tuple[Form, list[Row]]:
    """A sheet that says what the others are: an item a line."""
    columns = (Column(("项目",), 24), Column(("内容",), 150, is_left=True))
    return Form(name, title, columns), [Row(pair) for pair in pairs]


def moment(at: datetime) -> str:
    return f"{at.year}年{at.month}月{at.day}日 {at:%H:%M}"
