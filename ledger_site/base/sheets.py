"""Writing workbooks in the form of official documents; knows no app.

A `Form` is a sheet's skeleton: title, head, widths, foot. The rows come from an iterator and are
written as they come, so that a sheet is never in memory as a whole. What a cell shows is a value,
never a formula.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, NamedStyle, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.cell_range import CellRange
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.properties import PageSetupProperties

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TITLE_FONT, HEAD_FONT, TEXT_FONT = "方正小标宋简体", "黑体", "仿宋_GB2312"
TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 22, 10.5, 8  # at 10.5 a Chinese character is two units wide
A3 = 8
LARGEST_CELL = 32_767  # characters
HIGHEST_ROW = 409  # points; no program shows a higher row
LINE = 1.4  # height of a line by size of the font; fonts of other systems are higher than 仿宋
LONGEST_SHEET_NAME = 31
LONGEST_FILE_NAME = 240  # bytes; most file systems take 255


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


def units_of(text: str) -> float:
    """Width of a text in half-width characters: a Chinese character counts as two."""
    return (len(text) + len(text.encode())) / 2  # three bytes in UTF-8


def lines_of(text: str, width: float) -> int:
    """How many lines a text takes in a column, wrapped."""
    room = max(math.floor((width - 1) / 2) * 2, 2)  # a Chinese character is not cut in two
    count = 0
    for paragraph in text.split("\n"):
        units = units_of(paragraph)
        lines = math.ceil(units / room)
        # A sign that may not begin a line takes the character before it along, now and then.
        count += max(math.ceil((units + (lines - 1) / 2) / room), 1)
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
    foot: Sequence[str] = ()  # texts of one line, spread below the rows

    @property
    def head_height(self) -> int:
        return max(len(column.heads) for column in self.columns)

    @property
    def width(self) -> float:
        return sum(column.width for column in self.columns)


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
        (GROUP, HEAD_FONT, 12, "center", border),
        (TOTAL, HEAD_FONT, TEXT_SIZE, "center", border),
        (FOOT, TEXT_FONT, 12, "left", None),
    )
    for name, font, size, across, frame in looks:
        yield NamedStyle(
            name,
            font=Font(name=font, size=size, color="000000"),
            alignment=Alignment(across, "center", wrap_text=True),
            border=frame,
        )


# ---------------------------------------------------------------- writing


class Book:
    """A workbook; sheets are added one after another and stored by `save`."""

    def __init__(self, title: str, author: str = ""):
        self._book = Workbook(write_only=True)
        self._book.properties.title = clean(title)
        self._book.properties.creator = clean(author)
        for style in _styles():
            self._book.add_named_style(style)

    def add(self, form: Form, rows: Iterable[Row]) -> Written:
        return _Sheet(self._book, form).write(rows)

    def save(self, stream) -> None:
        self._book.save(stream)


class _Sheet:
    """One sheet while it is being written."""

    def __init__(self, book: Workbook, form: Form):
        self.form = form
        self.sheet = book.create_sheet(sheet_name(form.name, book.sheetnames))
        self.number = 0  # of the row written last
        self.written = Written()
        self._prepare()

    def write(self, rows: Iterable[Row]) -> Written:
        self._write_title()
        self._write_head()
        first = self.number + 1
        for row in rows:
            if row.kind == "group":
                self._across(clean(row.values[0]), GROUP, 24)
            else:
                self._write_row(row)
        self._add_choices(first)
        self._write_foot()
        self.sheet.close()
        return self.written

    def _prepare(self) -> None:
        """Print set-up, widths, frozen head: what stands before the first row in the file."""
        sheet, form = self.sheet, self.form
        sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
        sheet.page_setup.paperSize = A3
        sheet.page_setup.orientation = "landscape"
        sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
        margins = sheet.page_margins
        margins.left = margins.right = 0.55
        margins.top = margins.bottom = 0.75
        margins.header = margins.footer = 0.35
        sheet.print_options.horizontalCentered = True
        sheet.oddFooter.center.text = "第 &P 页 共 &N 页"
        sheet.oddFooter.center.font, sheet.oddFooter.center.size = TEXT_FONT, 12
        last = 1 + form.head_height
        sheet.print_title_rows = f"2:{last}"
        sheet.freeze_panes = f"A{last + 1}"
        for place, column in enumerate(form.columns, 1):
            sheet.column_dimensions[get_column_letter(place)].width = column.width

    def _write_title(self) -> None:
        title = clean(self.form.title)
        lines = lines_of(title, self.form.width * TEXT_SIZE / TITLE_SIZE)
        self._across(title, TITLE, max(lines * TITLE_SIZE * LINE + 10, 45))

    def _write_head(self) -> None:
        form, top, height = self.form, self.number + 1, self.form.head_height
        grid = [[None] * len(form.columns) for _ in range(height)]
        needed = [24.0] * height
        # Heads over several columns first: the lowest row has what is left to the others.
        for first, last, depth, text in sorted(_heads(form.columns), key=lambda head: head[2]):
            below = height if first == last and depth == len(form.columns[first].heads) else depth
            grid[depth - 1][first] = text
            if (first, depth) != (last, below):
                self._merge(top + depth - 1, first + 1, top + below - 1, last + 1)
            width = sum(column.width for column in form.columns[first : last + 1])
            room = lines_of(text, width) * TEXT_SIZE * LINE + 6
            needed[below - 1] = max(needed[below - 1], room - sum(needed[depth - 1 : below - 1]))
        for texts, room in zip(grid, needed, strict=True):
            self._append([(text, HEAD) for text in texts], room)

    def _write_row(self, row: Row) -> None:
        columns, cells, lines = self.form.columns, [], 1
        for column, value in zip(columns, row.values, strict=True):
            style = LEFT if column.is_left else TEXT
            if isinstance(value, str):
                value = clean(value)
                lines = max(lines, lines_of(value, column.width))
            cells.append((value, TOTAL if row.kind == "total" else style))
        height = max(lines * TEXT_SIZE * LINE + 6, 24)
        if height > HIGHEST_ROW:
            cells, height = self._smaller(cells)
        self._append(cells, height, [column.number_format for column in columns])
        self.written.row_count += row.kind == "data"

    def _smaller(self, cells) -> tuple[list, float]:
        """A row too high to be shown, in small type; what is still too high is named."""
        lines = max(
            lines_of(value, column.width * TEXT_SIZE / SMALL_SIZE)
            for (value, _), column in zip(cells, self.form.columns, strict=True)
            if isinstance(value, str)
        )
        height = lines * SMALL_SIZE * LINE + 4
        if height > HIGHEST_ROW:
            self.written.cut.append(str(cells[0][0] or f"第{self.number + 1}行"))
        return [(value, SMALL if style == LEFT else style) for value, style in cells], min(
            height, HIGHEST_ROW
        )

    def _across(self, text: str, style: str, height: float) -> None:
        """One text over the whole width."""
        count = len(self.form.columns)
        self._append([(text, style), *[(None, style)] * (count - 1)], height)
        if count > 1:
            self._merge(self.number, 1, self.number, count)

    def _write_foot(self) -> None:
        form = self.form
        if not form.foot:
            return
        starts = _spread(len(form.foot), [column.width for column in form.columns])
        cells = [(None, FOOT)] * len(form.columns)
        ends = [*starts[1:], len(form.columns)]
        for text, first in zip(form.foot, starts, strict=True):
            cells[first] = (clean(text), FOOT)
        self._append(cells, 36)
        for first, end in zip(starts, ends, strict=True):
            if end - first > 1:
                self._merge(self.number, first + 1, self.number, end)

    def _append(self, cells, height: float, formats: Sequence[str] = ()) -> None:
        self.number += 1
        self.sheet.row_dimensions[self.number].height = round(height * 4) / 4
        self.sheet.append(
            [
                self._cell(value, style, formats[place] if formats else "General")
                for place, (value, style) in enumerate(cells)
            ]
        )
        del self.sheet.row_dimensions[self.number]  # written; nothing of it is needed any more

    def _cell(self, value, style: str, number_format: str) -> WriteOnlyCell:
        cell = WriteOnlyCell(self.sheet)
        cell.style = style
        if value is None or value == "":
            return cell
        cell.value = value
        if isinstance(value, str):
            if cell.data_type != "s":
                cell.data_type = "s"  # =1+1 is what somebody typed, not a formula
            if value[0] in "=+-@":
                cell.quotePrefix = True  # it stays text when the cell is edited
        elif isinstance(value, int | float | Decimal) and number_format != "General":
            cell.number_format = number_format
        return cell

    def _merge(self, top: int, left: int, bottom: int, right: int) -> None:
        # The set itself: `add` compares with every range that is there.
        self.sheet.merged_cells.ranges.add(
            CellRange(min_row=top, min_col=left, max_row=bottom, max_col=right)
        )

    def _add_choices(self, first: int) -> None:
        if self.number < first:
            return
        for place, column in enumerate(self.form.columns, 1):
            if not column.choices:
                continue
            rule = DataValidation("list", f'"{",".join(column.choices)}"', allow_blank=True)
            rule.showErrorMessage = True
            rule.errorTitle, rule.error = "请重新选择", f"只能是{'、'.join(column.choices)}"
            letter = get_column_letter(place)
            rule.add(f"{letter}{first}:{letter}{self.number}")
            self.sheet.data_validations.append(rule)


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
