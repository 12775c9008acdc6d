"""A table that was read, given back as a workbook with its errors marked."""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from django.conf import settings
from openpyxl import Workbook

from .readers import kinds, marking
from .reading import Limits, Unreadable, read
from .sheets import clean, sheet_name

logger = logging.getLogger(__name__)

MOST_ROWS = 5000  # of a table that is given back whole
MOST_MARKS = 5000
MOST_BYTES = 10 << 20  # of a workbook that keeps its look


class Mark(NamedTuple):
    sheet: str
    cell: str  # A1; empty for a sheet as a whole
    heading: str
    value: str
    why: str


def write_marked(
    path: Path,
    marks: Sequence[Mark],
    name: str,
    stream: BinaryIO,
    limits: Limits | None = None,
) -> None:
    """Write the table again as .xlsx, with marks and comments at its cells and a list of them on a
    sheet `name`. A workbook keeps its look, other kinds their cells; what is too large for either
    is given as the list alone.
    """
    marks = [Mark(*map(clean, mark)) for mark in islice(marks, MOST_MARKS)]
    with path.open("rb") as file:
        is_book = kinds.kind_of(file.read(kinds.HEAD_SIZE)) == kinds.ZIP
    if is_book and path.suffix.lower() == ".xlsx" and path.stat().st_size <= MOST_BYTES:
        with tempfile.TemporaryFile() as made:
            if _marked_elsewhere(path, marks, name, made):
                made.seek(0)
                while piece := made.read(1 << 20):
                    stream.write(piece)
                return
    book = _copied(path, limits)
    names = {sheet: sheet_name(sheet or "表") for sheet in {mark.sheet for mark in marks}}
    marking.mark(book, [[names[mark.sheet], *mark[1:]] for mark in marks], name)
    book.save(stream)


def _marked_elsewhere(path: Path, marks: Sequence[Mark], name: str, made) -> bool:
    limits = settings.READING_LIMITS
    words = json.dumps((limits["most_memory"], limits["most_seconds"], str(path), name))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as told:
        json.dump(marks, told, ensure_ascii=False)
        told.seek(0)
        try:
            done = subprocess.run(  # noqa: S603 - our own program, no shell
                (sys.executable, "-s", "-B", "-m", "ledger_site.base.readers.marking", words),
                stdin=told,
                stdout=made,
                stderr=subprocess.DEVNULL,
                cwd=settings.BASE_DIR,
                env={"LANG": "C.UTF-8", "TMPDIR": folder, "PATH": os.defpath},
                timeout=limits["most_seconds"],
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    if done.returncode:
        logger.warning("%s can't be marked: status %s", path.name, done.returncode)
    return done.returncode == 0


def _copied(path: Path, limits: Limits | None) -> Workbook:
    """The cells of a table in a new workbook; no sheets where they are too many."""
    book = Workbook()
    book.remove(book.active)
    try:
        sheets = read(path, limits)
        for sheet in sheets:
            made = book.create_sheet(sheet_name(sheet.name or "表", book.sheetnames))
            rows = list(islice(sheet.rows, MOST_ROWS + 1))
            if len(rows) > MOST_ROWS:
                raise Unreadable
            for row in rows:
                for column, text in enumerate(row.cells, 1):
                    if text and not getattr(text, "is_spread", False):
                        cell = made.cell(row.number, column, clean(str(text)))
                        cell.data_type = "s"
            for letter in (
                cell.column_letter for cell in chain.from_iterable(islice(made.rows, 1))
            ):
                made.column_dimensions[letter].width = 16
    except Unreadable:
        for name in book.sheetnames:
            del book[name]
    return book
