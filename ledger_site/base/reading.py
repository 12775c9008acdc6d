"""Reading tables from files: the door for every kind of file, which knows no column.

A file is a list of sheets; a sheet gives its rows with the numbers a person sees in the program
that made the file. Whoever reads a new kind of file adds a reader to `READERS`.
"""

import codecs
import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST_CELL = 32_767  # characters, as in a workbook
PIECE = 1 << 20  # bytes


class Unreadable(Exception):
    """The file as a whole can't be read; the text says why and what to do, in Chinese."""


@dataclass(frozen=True)
class Row:
    number: int  # as shown in the file, from 1
    cells: tuple[str, ...]
    is_hidden: bool = False


@dataclass(frozen=True)
class Sheet:
    name: str  # empty for a file without sheets
    rows: Iterator[Row]
    is_hidden: bool = False
    hidden_columns: frozenset[int] = frozenset()


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


READERS: dict[str, Callable[[Path], list[Sheet]]] = {".csv": _csv}
