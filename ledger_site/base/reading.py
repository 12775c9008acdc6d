"""Reading tables from files: the door for every kind of file, which knows no column.

A file is a list of sheets; a sheet gives its rows with the numbers a person sees in the program
that made the file. Whoever reads a new kind of file adds a reader to `READERS`.
"""

import codecs
import csv
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_ENTRIES = 500  # of the archive that a workbook is
LARGEST_UNPACKED = 64 << 20  # bytes
LARGEST_CELL = 32_767  # characters, as in a workbook
PIECE = 1 << 20  # bytes


class Unreadable(Exception):
    """The file as a whole can't be read; the text says why and what to do, in Chinese."""


@dataclass(frozen=True)
class Row:
    number: int  # as shown in the file, from 1
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    name: str  # empty for a file without sheets
    rows: Iterator[Row]


def read(path: Path) -> list[Sheet]:
    """The sheets of a file. Raises `Unreadable` for a missing, empty or unknown kind of file."""
    try:
        reader = READERS[path.suffix.lower()]
    except KeyError:
        kinds = "、".join(sorted(READERS))
        raise Unreadable(f"不能读取“{path.name}”这种文件，请另存为 {kinds} 后再导入") from None
    try:
        return reader(path)
    except FileNotFoundError:
        raise Unreadable(f"找不到文件“{path}”") from None
    except OSError as error:
        raise Unreadable(f"文件“{path}”打不开：{error.strerror}") from None


def _csv(path: Path) -> list[Sheet]:
    return [Sheet("", _csv_rows(path, _encoding_of(path)))]


def _encoding_of(path: Path) -> str:
    """The encoding of a text file, found by reading all of it, a piece in memory."""
    for encoding in ("utf-8-sig", "gb18030"):
        decoder, has_text = codecs.getincrementaldecoder(encoding)(), False
        try:
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    decoder.decode(piece)
                    has_text = has_text or bool(piece.strip())
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        if not has_text:
            raise Unreadable(f"文件“{path.name}”是空的")
        return encoding
    raise Unreadable(f"文件“{path.name}”不是 UTF-8 或 GB18030 编码的文本，请另存为 UTF-8 的 CSV")


def _csv_rows(path: Path, encoding: str) -> Iterator[Row]:
    with path.open(encoding=encoding, newline="") as file:
        yield from _lines(csv.reader(file))


def _lines(lines) -> Iterator[Row]:
    number = 1
    while True:
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error:
            raise Unreadable(
                f"第{number}行起读不下去：引号不成对或内容过长，请检查后再导入"
            ) from None
        yield Row(number, tuple(cells))
        number = lines.line_num + 1  # a quoted cell may hold several lines


def _xlsx(path: Path) -> list[Sheet]:
    from openpyxl import load_workbook  # slow to import, and of no use to most requests

    damaged = Unreadable(f"文件“{path.name}”已损坏或不是 .xlsx 工作簿，请用 Excel 重新保存")
    try:
        _check_archive(path)
        book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
        sheets = []
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # what the file says of its size may be wrong
            sheets.append(Sheet(sheet.title, iter(list(_cells(sheet)))))
        book.close()
    except Unreadable:
        raise
    except Exception:
        raise damaged from None
    if not sheets:
        raise damaged
    return sheets


def _check_archive(path: Path) -> None:
    """Sizes and kinds of parts before anything is unpacked for good; no part has a DTD."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ENTRIES or sum(e.file_size for e in entries) > LARGEST_UNPACKED:
            raise Unreadable(f"文件“{path.name}”解开后过大，请拆分后再导入")
        for entry in entries:
            if entry.flag_bits & 1:
                raise Unreadable(f"文件“{path.name}”有密码，请取消密码后再导入")
            if entry.filename.endswith((".xml", ".rels")):
                content = archive.read(entry).replace(b"\0", b"")
                if re.search(rb"<!\s*(DOCTYPE|ENTITY)", content, re.IGNORECASE):
                    raise Unreadable(f"文件“{path.name}”含有不允许的内容，请用 Excel 重新保存")


def _cells(sheet) -> Iterator[Row]:
    for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
        yield Row(number, tuple("" if value is None else str(value) for value in values))


READERS: dict[str, Callable[[Path], list[Sheet]]] = {".csv": _csv, ".xlsx": _xlsx}
