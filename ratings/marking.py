"""The errors of a ledger, marked where they stand in the file."""

from pathlib import Path

from ledger_site.base import marking
from ledger_site.base.marking import Mark
from ledger_site.base.reading import Limits

from .loading import Loading

LISTED = "错误清单"  # the sheet that lists them


def write_marked(path: Path, found: Loading, stream, limits: Limits | None = None) -> None:
    """Write the file again as a workbook in which each faulty cell says what is wrong with it."""
    marks = [
        Mark(one.sheet, one.cell or (one.row and f"A{one.row}") or "", *_said(one))
        for one in found.errors
    ]
    marking.write_marked(path, marks, LISTED, stream, limits)


def _said(one) -> tuple[str, str, str]:
    return one.heading, one.value[:200], one.message
