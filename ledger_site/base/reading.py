"""Reading tables from files: the door for every kind of file, which knows no column.

A file is a list of sheets; a sheet gives its rows with the numbers a person sees in the program
that made the file. CSV is read here; into everything else looks a process of its own
(`ledger_site/base/readers`), which has no Django, no more memory and time than it is given, and
can open nothing. What it says is believed as little as the file: it ends in rows or `Unreadable`.
"""

import codecs
import csv
import hashlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic

from django.conf import settings

from .readers import kinds
from .readers.table import (
    MOST_COLUMNS,
    Cell,
    Row,
    Sheet,
    Unreadable,
    plain,
)

__all__ = ["Cell", "Limits", "Row", "Sheet", "Unreadable", "read"]

logger = logging.getLogger(__name__)

PIECE = 1 << 20  # bytes
MB = 1 << 20
LONGEST_LINE = 16 * MB  # bytes, of a row
TOO_LONG = "读取文件超过{}秒，文件太大或过于复杂，请删去多余的内容或拆分后再导入"
CUT_OFF = "读取文件时出错中断，文件可能已损坏或过于复杂，请把表格复制到新建的 .xlsx 后再导入"
# Without what the environment or the user's own packages could bring along.
COMMAND = (sys.executable, "-E", "-s", "-B", "-m", "ledger_site.base.readers")


@dataclass(frozen=True)
class Limits:
    """What a file may hold, and what looking into it may take. Defaults are in the settings."""

    most_rows: int  # of all sheets together, empty ones not counted
    most_bytes: int
    most_unpacked: int  # bytes
    most_memory: int  # bytes, of the process that looks into the file
    most_seconds: int  # of its processor, and of waiting for it


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, by which it is named and known again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path, limits: Limits | None = None) -> list[Sheet]:
    """The sheets of a file, whose rows are read while one goes through them, each once.

    Raises `Unreadable`, as the rows do, for a file that is missing, empty, too large, of an
    unknown kind, damaged, protected or dangerous.
    """
    limits = limits or Limits(**settings.READING_LIMITS)
    try:
        with path.open("rb") as file:
            head = file.read(kinds.HEAD_SIZE)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise Unreadable(f"找不到文件“{path}”") from None
    except OSError as error:
        raise Unreadable(f"文件“{path}”打不开：{error.strerror}") from None
    if not head:
        raise Unreadable(f"文件“{path.name}”是空的")
    if size > limits.most_bytes:
        raise Unreadable(f"文件“{path.name}”超过{limits.most_bytes // MB}MB，请拆分后再导入")
    kind = kinds.kind_of(head)
    if kind in {kinds.ZIP, kinds.OLE}:
        sheets = _looked_into(path, limits)
    elif kind == kinds.TEXT:
        sheets = _text(path)
    else:
        raise Unreadable(f"不能读取“{path.name}”：{kind}")
    counted = count(1)
    return [_limited(sheet, limits, counted) for sheet in sheets]


def _limited(sheet: Sheet, limits: Limits, counted: Iterator[int]) -> Sheet:
    def rows() -> Iterator[Row]:
        for row in sheet.rows:
            if any(row.cells) and next(counted) > limits.most_rows:
                raise Unreadable(f"文件超过{limits.most_rows}行，请拆分后再导入")
            yield row

    return Sheet(sheet.name, rows(), sheet.is_hidden, sheet.hidden_columns)


# ---------------------------------------------------------------- CSV


def _text(path: Path) -> list[Sheet]:
    ending = path.suffix.lower()
    if ending == ".csv":
        return [Sheet("", _csv_rows(path, _encoding_of(path)))]
    if ending in {".xlsx", ".xlsm", ".xls", ".et"}:
        raise Unreadable(f"不能读取“{path.name}”：{kinds.TEXT_AS_BOOK}")
    raise Unreadable(f"不能读取“{path.name}”：{kinds.OTHER}")


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
    # Line ends become "\n" in cells too.
    with path.open(encoding=encoding) as file:
        yield from _lines(csv.reader(_short_lines(file)))


def _short_lines(file) -> Iterator[str]:
    """Lines without control characters; a file that is one endless line is not read to its end."""
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise Unreadable("文件中有一行过长，请检查逗号、引号和换行后再导入")
        yield plain(line)


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
        if len(cells) > MOST_COLUMNS:
            raise Unreadable(f"第{number}行超过{MOST_COLUMNS}格，请检查逗号和引号")
        yield Row(number, tuple(cells))
        number = lines.line_num + 1  # a quoted cell may hold several lines


# ---------------------------------------------------------------- in a process of its own


def _looked_into(path: Path, limits: Limits) -> list[Sheet]:
    sheets = []
    for number, line in enumerate(_told(path, limits)):
        match line:
            case [str(name), bool(is_hidden), list(hidden)]:
                hidden = frozenset(column for column in hidden if isinstance(column, int))
                sheets.append(Sheet(name, _rows(path, limits, number), is_hidden, hidden))
            case _:
                raise Unreadable(CUT_OFF)
    return sheets


def _rows(path: Path, limits: Limits, sheet: int) -> Iterator[Row]:
    for line in _told(path, limits, sheet):
        match line:
            case [int(number), bool(is_hidden), list(cells), list(known)]:
                try:
                    for column, kind, fault, is_spread in known:
                        cells[column] = Cell(cells[column], str(kind), str(fault), bool(is_spread))
                    "".join(cells)  # nothing but text; quicker than to ask each
                except (TypeError, ValueError, IndexError):
                    raise Unreadable(CUT_OFF) from None
                yield Row(number, tuple(cells), is_hidden)
            case _:
                raise Unreadable(CUT_OFF)


def _told(path: Path, limits: Limits, sheet: int = -1) -> Iterator[list]:
    """What a process that looks into the file says, line by line; it ends with the iterator."""
    words = json.dumps(
        (limits.most_memory, limits.most_seconds, limits.most_unpacked, path.suffix.lower(), sheet)
    )
    try:
        with path.open("rb") as file:
            child = subprocess.Popen(  # noqa: S603 - our own program, no shell
                (*COMMAND, words),
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=settings.BASE_DIR,
                env={"LANG": "C.UTF-8"},
                start_new_session=True,  # Ctrl-C is for whoever reads, not for this one
            )
    except OSError as error:
        raise Unreadable(f"文件“{path.name}”打不开：{error.strerror}") from None
    try:
        for line in _pieces(child, limits.most_seconds):
            try:
                said = json.loads(line)
            except (ValueError, RecursionError):
                raise Unreadable(CUT_OFF) from None
            match said:
                case list():
                    yield said
                case {"done": True}:
                    return
                case {"told": str(why), **rest}:
                    if rest:
                        logger.warning("%s is damaged: %s", path.name, rest)
                    raise Unreadable(why)
                case _:
                    raise Unreadable(CUT_OFF)
        ended = child.wait()
        logger.warning("Reading %s ended without an end: status %s", path.name, ended)
        if ended in {-signal.SIGXCPU, -signal.SIGKILL}:
            raise Unreadable(TOO_LONG.format(limits.most_seconds))
        raise Unreadable(CUT_OFF)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _pieces(child: subprocess.Popen, most_seconds: float) -> Iterable[bytes]:
    """Whole lines. Only waiting counts: whoever takes the rows may take his time."""
    pipe, rest, left = child.stdout.fileno(), b"", float(most_seconds)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while True:
        started = monotonic()
        if not poll.poll(max(left, 0) * 1000):
            raise Unreadable(TOO_LONG.format(most_seconds))
        left -= monotonic() - started
        piece = os.read(pipe, PIECE)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise Unreadable(CUT_OFF)
        yield from lines
