"""The lines of the log: each says its request, none says what a person typed."""

import json
import logging
import traceback
from datetime import UTC, datetime

from ledger_site.base.masking import masked
from ledger_site.base.numbers import request_number


class NumberFilter(logging.Filter):
    """Gives every record `number`, for the format of the log line."""

    def filter(self, record):
        record.number = request_number.get()
        return True


class Lines(logging.Formatter):
    """Text for people. Of an exception it tells kind and place: its words may hold anything,
    those of a database the values of a row."""

    def format(self, record):
        record.exc_text = None  # what another handler made of the exception holds its words
        return masked(super().format(record))

    def formatException(self, told):
        return "\n".join(_trace(told[1]))


class JsonLines(Lines):
    """One JSON object a line, for whatever collects logs."""

    def format(self, record):
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "request": record.number,
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if record.exc_info and record.exc_info[1]:
            said["exception"] = _trace(record.exc_info[1])
        return json.dumps(said, ensure_ascii=False)


def _trace(error: BaseException | None) -> list[str]:
    """Where it was raised, and the kinds of errors in their chain, the last one first."""
    lines, told = [], set()
    while error is not None and id(error) not in told:
        told.add(id(error))
        kind = type(error)
        lines.append(f"{kind.__module__}.{kind.__qualname__}")
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        error = error.__cause__ or error.__context__
    return lines
