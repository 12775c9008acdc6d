"""Marks cells of a workbook, in a process of its own: `ledger_site/base/marking.py` starts it.

The workbook has been looked into by the readers before, which refuse what is dangerous; openpyxl,
which keeps its look, still gets no more memory and time than it is given.
"""

import json
import resource
import sys
import warnings

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import MergedCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.worksheet.properties import PageSetupProperties

FAULTY = PatternFill("solid", fgColor="FFF2A8")
AUTHOR = "系统"
A4 = 9
HEADS = ("工作表", "单元格", "列名", "填写内容", "原因和处理办法")
WIDTHS = (16, 10, 22, 30, 80)


def limit(most_memory: int, most_seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (most_memory, most_memory))
    resource.setrlimit(resource.RLIMIT_CPU, (most_seconds, most_seconds + 1))
    for what in (resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        resource.setrlimit(what, (0, 0))


def mark(book: Workbook, marks: list[list[str]], name: str) -> None:
    """Mark and comment cells, and list the marks on a sheet `name`.

    A mark is (sheet, cell, heading, value, why); several of one cell share its comment.
    """
    said: dict[tuple[str, str], list[str]] = {}
    for sheet, cell, _, _, why in marks:
        if cell and sheet in book.sheetnames:
            said.setdefault((sheet, cell), []).append(why)
    for (sheet, place), texts in said.items():
        cell = book[sheet][place]
        if isinstance(cell, MergedCell):
            merged = (each for each in book[sheet].merged_cells.ranges if place in each)
            cell = book[sheet].cell(*next((r.min_row, r.min_col) for r in merged))
        cell.fill = FAULTY
        cell.comment = Comment("\n".join(texts), AUTHOR, width=320, height=40 + 36 * len(texts))
    if name in book.sheetnames and tuple(c.value for c in book[name][1]) == HEADS:
        del book[name]  # of an earlier round
    listed = book.create_sheet(name)
    listed.append(HEADS)
    for row in marks:
        listed.append(row)
    for cell in listed[1]:
        cell.font = Font(bold=True)
    for column, width in zip("ABCDE", WIDTHS, strict=True):
        listed.column_dimensions[column].width = width
    for row in listed.iter_rows():
        for cell in row:
            cell.data_type = "s"  # a text that begins with = is no formula
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    listed.freeze_panes = "A2"
    listed.print_title_rows = "1:1"
    listed.page_setup.paperSize, listed.page_setup.orientation = A4, "landscape"
    listed.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    listed.page_setup.fitToHeight = 0


def main() -> None:
    memory, seconds, path, name = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    limit(memory, seconds)
    book = load_workbook(path)
    mark(book, json.load(sys.stdin), name)
    book.save(sys.stdout.buffer)


if __name__ == "__main__":
    main()
