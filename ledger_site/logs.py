"""The lines of the log: each says its request, none says what a person typed.

Gunicorn reads this module too, before there are any settings.
"""

import json
import logging
import traceback
from datetime import UTC, datetime

from ledger_site.base.masking import masked
from ledger_site.base.numbers import request_number

from . import env


def from_environment() -> dict:
    """The configuration of Python's logging, for the application and for gunicorn."""
    level = env.log_level("LOG_LEVEL")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"number": {"()": NumberFilter}},
        "formatters": {
            "line": {
                "()": Lines,
                "format": "{asctime} {levelname} [{number}] {name}: {message}",
                "style": "{",
            },
            "json": {"()": JsonLines},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "filters": ["number"],
                "formatter": env.one_of("LOG_FORMAT", among=("json", "line")),
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Without handlers of their own, whose lines would lack the number.
            "django": {"handlers": [], "level": level},
            "django.server": {"handlers": [], "level": level, "propagate": True},
            "gunicorn.error": {"handlers": [], "propagate": True},  # it has a level of its own
            "axes": {"level": "ERROR"},  # several lines a sign-in; the trail says what counts
        },
    }


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
