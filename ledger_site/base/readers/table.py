"""What every reader gives: cells, rows, sheets, or one sentence that refuses the whole file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST_COLUMNS = 1000  # of a sheet; the ledger has 16
LONGEST_TEXT = 131_072  # characters of a cell that is read at all; a workbook holds 32,767
DAMAGED = "文件已损坏或不完整，请在 Excel 或 WPS 中打开并另存为 .xlsx 后再导入；打不开的请重新发送"


class Unreadable(Exception):
    """The file as a whole can't be read; the text says why and what to do, in Chinese."""


class Cell(str):
    """The text of a cell of which more is known than the text.

    `kind` is "number", "date", "percent" or "" for text; `fault` says in Chinese why the cell
    can't be used. `is_spread`: the value stands in another cell that is merged with this one.
    """

    __slots__ = ("fault", "is_spread", "kind")

    def __new__(cls, text: str = "", kind: str = "", fault: str = "", is_spread: bool = False):
        cell = super().__new__(cls, text)
        cell.kind, cell.fault, cell.is_spread = kind, fault, is_spread
        return cell


@dataclass(frozen=True)
class Row:
    """Cells from column A on. Rows without any value of their own may be left out."""

    number: int  # as shown in the file, from 1; in Word the row of the table
    cells: tuple[str, ...]
    is_hidden: bool = False


@dataclass(frozen=True)
class Sheet:
    name: str  # empty for a file without sheets
    rows: Iterator[Row]
    is_hidden: bool = False
    hidden_columns: frozenset[int] = frozenset()  # from 0


# ---------------------------------------------------------------- text

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


def plain(text: str) -> str:
    """Without control characters, `\\n` line ends; a vertical tab is Word's line break."""
    if not _CONTROL.search(text):
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0b", "\n")
    return _CONTROL.sub("", text)


def unescaped(text: str) -> str:
    """Text of a workbook, in which `_x000B_` is a character by its number. Then as `plain`."""
    if "_x" in text and _ESCAPED.search(text):
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
        # Two numbers may be the halves of one character.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    return plain(text)


# ---------------------------------------------------------------- places


def letter(column: int) -> str:
    """The letter of a column, A for 0."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


class Columns(dict):
    """The column of letters, 0 for A. Raises `ValueError` for what is none."""

    def __missing__(self, letters: str) -> int:
        if not (letters.isascii() and letters.isalpha() and len(letters) <= 3):
            raise ValueError(letters)
        column = 0
        for sign in letters.upper():
            column = column * 26 + ord(sign) - 64
        self[letters] = column - 1
        return column - 1


# ---------------------------------------------------------------- merged cells


class Merges:
    """Gives the value of a merged range to each of its cells, row by row from above."""

    def __init__(self, ranges: list[tuple[int, int, int, int]]):
        """Ranges as (first row, last row, first column, last column), rows as they are counted."""
        self.waiting = sorted(ranges, reverse=True)
        self.open: list[tuple[int, int, int, int]] = []
        self.values: dict[tuple[int, int, int, int], str] = {}

    def spread(self, number: int, cells: list[str]) -> None:
        """Add to the cells of a row what the ranges over them hold; rows come in their order."""
        if not self.waiting and not self.open:
            return
        if any(area[1] < number for area in self.open):
            for area in self.open:
                if area[1] < number:
                    self.values.pop(area, None)
            self.open = [area for area in self.open if area[1] >= number]
        while self.waiting and self.waiting[-1][0] <= number:
            area = self.waiting.pop()
            if area[1] < number:
                continue
            if len(self.open) > MOST_COLUMNS:
                raise Unreadable(DAMAGED)
            self.open.append(area)
            if area[0] == number and area[2] < len(cells):
                self.values[area] = cells[area[2]]
        for area in self.open:
            self._fill(area, area[0] == number, cells)

    def _fill(self, area: tuple[int, int, int, int], is_first: bool, cells: list[str]) -> None:
        value = self.values.get(area, "")
        kind, fault = getattr(value, "kind", ""), getattr(value, "fault", "")
        if not value.strip() and not fault:
            return
        _, _, first, last = area
        last = min(last, MOST_COLUMNS - 1)
        cells.extend("" for _ in range(last + 1 - len(cells)))
        spread = Cell(value, kind, fault, is_spread=True)
        for column in range(first + is_first, last + 1):
            cells[column] = spread


def has_content(cell: str) -> bool:
    """Whether a cell says anything; a fault does."""
    return bool(cell.strip() or getattr(cell, "fault", ""))


def row_of(
    number: int, cells: list[str], is_hidden: bool, merges: Merges, sheet: str
) -> Row | None:
    """The row without blank cells at its end, with what is merged over it; None if it is empty."""
    while cells and not has_content(cells[-1]):
        cells.pop()
    if len(cells) > MOST_COLUMNS:
        raise Unreadable(
            f"工作表“{sheet}”的 {letter(len(cells) - 1)}{number} 单元格还有内容，"
            f"表格超过{MOST_COLUMNS}列，请把台账部分复制到新的 .xlsx 后再导入"
        )
    if max(map(len, cells), default=0) > LONGEST_TEXT:
        raise Unreadable(f"工作表“{sheet}”第{number}行有超过{LONGEST_TEXT}字的单元格，请检查文件")
    is_empty = not any(map(has_content, cells))
    merges.spread(number, cells)
    return None if is_empty else Row(number, tuple(cells), is_hidden)
