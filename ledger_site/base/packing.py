"""A zip of tables with a manifest that proves each file; knows no app.

Tables are CSV as spreadsheets of any kind open it, written as their rows come.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile

MANIFEST = "清单.csv"
MOST_BYTES = 4 << 30  # of all files, before they are packed
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how text begins that a spreadsheet would calculate


class TooMuch(Exception):
    """More than a pack may hold."""


@dataclass(frozen=True)
class Packed:
    """A file of the pack; `row_count` is without the head, None where there are no rows."""

    name: str
    digest: str
    size: int
    row_count: int | None


class _Measured(io.RawIOBase):
    """A file that is being written, with its digest and size so far."""

    def __init__(self, file: BinaryIO, pack: "Pack"):
        self._file, self._pack = file, pack
        self.digest, self.size = hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.digest.update(data)
        self.size += len(data)
        self._pack.size += len(data)
        if self._pack.size > MOST_BYTES:
            raise TooMuch
        self._file.write(data)
        return len(data)


class Pack:
    """The zip while it is written; closing adds the manifest.

    Use as a context manager. What raises inside leaves no manifest behind.
    """

    def __init__(self, stream: BinaryIO):
        self.files: list[Packed] = []
        self.size = 0
        self._archive = ZipFile(stream, "w", ZIP_DEFLATED)

    def __enter__(self) -> "Pack":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            heads = ("文件", "SHA-256", "字节", "行数")
            rows = [(file.name, file.digest, file.size, file.row_count) for file in self.files]
            self.add_table(MANIFEST, heads, rows)
            self._archive.close()
        else:  # what was written is thrown away; closed all the same, or it would be closed later
            with suppress(Exception):
                self._archive.close()

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file to be written as a whole."""
        with self._file(name) as (measured, _):
            yield measured

    @contextmanager
    def _file(self, name: str):
        counted = []
        with self._archive.open(name, "w", force_zip64=True) as file:
            measured = _Measured(file, self)
            yield measured, counted
        rows = counted[0] if counted else None
        self.files.append(Packed(name, measured.digest.hexdigest(), measured.size, rows))

    def add_table(self, name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """A table under its heads; returns the number of rows."""
        count = 0
        with self._file(name) as (measured, counted):
            # With the mark by which spreadsheets know UTF-8.
            text = io.TextIOWrapper(io.BufferedWriter(measured, 1 << 16), "utf-8-sig", newline="")
            writer = csv.writer(text)
            writer.writerow(heads)
            for count, row in enumerate(rows, 1):  # noqa: B007 - the last one is the number
                writer.writerow([cell(value) for value in row])
            text.flush()
            text.detach().detach()
            counted.append(count)
        return count

    def add_lines(self, name: str, lines: Iterable[str]) -> int:
        """A text file of lines that end in a line feed each."""
        count = 0
        with self._file(name) as (measured, counted):
            for line in lines:
                measured.write(f"{line}\n".encode())
                count += 1
            counted.append(count)
        return count


def cell(value: Any) -> Any:
    """A value as a cell holds it: text never becomes a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
