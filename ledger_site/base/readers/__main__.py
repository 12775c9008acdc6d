"""Looks into one file, standard input, and writes what it holds as lines of JSON.

Started by `ledger_site/base/reading.py`, with the limits, the name's ending and the number of a
sheet, -1 for the list of sheets. What it writes ends with `{"done": true}` or `{"told": …}`.
"""

import codecs
import gc
import json
import resource
import sys
import traceback

from . import kinds
from .excel97 import Workbook as Workbook97
from .package import Package
from .table import DAMAGED, Cell, Row, Unreadable
from .word import Document
from .workbook import Workbook

TOO_MUCH = "文件太大或过于复杂，读取它要占用过多内存，请删去多余的内容或拆分后再导入"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def limit(most_memory: int, most_seconds: int) -> None:
    """Whatever the file does to this process, it opens, writes and starts nothing any more."""
    for name in ("cp437", "utf-16-le", "latin-1", "gbk", "cp1252"):
        codecs.lookup(name)  # can't be imported later
    resource.setrlimit(resource.RLIMIT_AS, (most_memory, most_memory))
    resource.setrlimit(resource.RLIMIT_CPU, (most_seconds, most_seconds + 1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        resource.setrlimit(what, (0, 0))


def opened(ending: str, most_unpacked: int):
    """Something with `sheets` and `rows`, by what the file holds."""
    file = open(0, "rb", closefd=False)  # noqa: SIM115 - standard input
    kind = kinds.kind_of(file.read(kinds.HEAD_SIZE))
    file.seek(0)
    if kind == kinds.OLE:
        if ending == ".et":
            raise Unreadable(kinds.ET)
        return Workbook97(file.read())
    if kind == kinds.ZIP:
        return _in_zip(Package(file, most_unpacked))
    raise Unreadable(kinds.OTHER)


def _in_zip(package: Package):
    if "mimetype" in package:
        kind = package.whole("mimetype")
        raise Unreadable(kinds.ODS if b"spreadsheet" in kind else kinds.ODT)
    if "[Content_Types].xml" not in package:
        raise Unreadable(kinds.ARCHIVE)
    name = package.main_part()
    if name.endswith(".bin"):
        raise Unreadable(kinds.BINARY)
    root = package.root(name).closing[2:-1].rpartition(b":")[2]
    form = {b"workbook": Workbook, b"document": Document}.get(root)
    if form is None:
        raise Unreadable(kinds.OTHER)
    return form(package, name)


def write(line: dict | list) -> None:
    sys.stdout.write(_encode(line) + "\n")


def as_line(row: Row) -> list:
    """What is known beside the text is told for the cells that have it."""
    known = [
        (column, cell.kind, cell.fault, cell.is_spread)
        for column, cell in enumerate(row.cells)
        if type(cell) is Cell
    ]
    return [row.number, row.is_hidden, row.cells, known]


def look(ending: str, most_unpacked: int, sheet: int) -> None:
    book = opened(ending, most_unpacked)
    if sheet >= 0:
        for row in book.rows(sheet):
            write(as_line(row))
        return
    found = book.sheets()
    if not found:
        raise Unreadable("文件中没有工作表，请检查文件")
    for each in found:
        write([each.name, each.is_hidden, sorted(each.hidden_columns)])


def main() -> None:
    memory, seconds, most_unpacked, ending, sheet = json.loads(sys.argv[1])
    gc.disable()  # trees have no cycles; looking for them takes most of the time
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    limit(memory, seconds)
    try:
        look(ending, most_unpacked, sheet)
    except Unreadable as error:
        write({"told": str(error)})
    except MemoryError:
        write({"told": TOO_MUCH})
    except Exception as error:  # whatever xlrd and the XML parser make of damaged bytes
        where = traceback.extract_tb(error.__traceback__)[-1]
        write({"told": DAMAGED, "detail": f"{type(error).__name__}, {where.name}:{where.lineno}"})
    else:
        write({"done": True})
    sys.stdout.flush()


if __name__ == "__main__":
    main()
