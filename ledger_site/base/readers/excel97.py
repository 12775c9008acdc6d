"""Workbooks of Excel 97 to 2003 (.xls), read by xlrd, and the container that they come in."""

from collections.abc import Iterator

import xlrd
from xlrd.compdoc import CompDoc

from . import kinds
from .formats import GENERAL, Looks, look_of
from .package import IS_LOCKED
from .table import DAMAGED, MOST_COLUMNS, Cell, Merges, Row, Sheet, Unreadable, plain, row_of
from .workbook import ERROR


class _Silence:
    """Where xlrd writes what it wonders about."""

    def write(self, text: str) -> None:
        pass


def _parts(content: bytes) -> set[str]:
    """What the container holds, at its top."""
    container = CompDoc(content, logfile=_Silence())
    return {entry.name for entry in container.dirlist if entry.parent == 0}


class Workbook:
    def __init__(self, content: bytes):
        parts = _parts(content)
        if "EncryptedPackage" in parts:
            raise Unreadable(IS_LOCKED)
        if "WordDocument" in parts:
            raise Unreadable(kinds.WORD)
        if not parts & {"Workbook", "Book"}:
            raise Unreadable(kinds.OTHER)
        try:
            self.book = xlrd.open_workbook(
                file_contents=content, formatting_info=True, on_demand=True, logfile=_Silence()
            )
        except xlrd.XLRDError as error:
            raise Unreadable(IS_LOCKED if "encrypted" in str(error) else DAMAGED) from None
        self.looks = Looks(is_1904=self.book.datemode == 1)

    def sheets(self) -> list[Sheet]:
        """The sheets without their rows."""
        return [self._sheet(number) for number in range(self.book.nsheets)]

    def _sheet(self, number: int) -> Sheet:
        sheet = self.book.sheet_by_index(number)
        hidden = (i for i, column in sheet.colinfo_map.items() if column.hidden)
        found = Sheet(
            plain(sheet.name),
            iter(()),
            sheet.visibility != 0,
            frozenset(i for i in hidden if i < MOST_COLUMNS),
        )
        self.book.unload_sheet(number)
        return found

    def rows(self, number: int) -> Iterator[Row]:
        """The rows of a sheet, counted from 0."""
        sheet = self.book.sheet_by_index(number)
        ends = sheet.merged_cells  # the last row and column do not belong to the range
        merges = Merges([(top + 1, end, left, right - 1) for top, end, left, right in ends])
        for index in range(sheet.nrows):
            info = sheet.rowinfo_map.get(index)
            is_hidden = bool(info and info.hidden)
            cells = [self._cell(cell) for cell in sheet.row(index)]
            if row := row_of(index + 1, cells, is_hidden, merges, sheet.name):
                yield row

    def _cell(self, cell) -> str:
        if cell.ctype in {xlrd.XL_CELL_NUMBER, xlrd.XL_CELL_DATE}:
            return self.looks.show(cell.value, self._look(cell.xf_index))
        if cell.ctype == xlrd.XL_CELL_BOOLEAN:
            return "TRUE" if cell.value else "FALSE"
        if cell.ctype == xlrd.XL_CELL_ERROR:
            text = xlrd.error_text_from_code.get(cell.value, "#ERROR!")
            return Cell(text, fault=ERROR.format(text))
        return plain(cell.value) if cell.ctype == xlrd.XL_CELL_TEXT else ""

    def _look(self, style: int) -> int | str:
        if not 0 <= style < len(self.book.xf_list):
            return GENERAL
        key = self.book.xf_list[style].format_key
        known = self.book.format_map.get(key)
        return look_of(key, known.format_str if known else None)
