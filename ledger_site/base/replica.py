"""Reading from a streaming replica (DATABASE_REPLICA_URL), where it is known to be up to date.

What is heavy and only reads, a workbook or a recount, may be read there, inside
`db.snapshot(from_replica=True)`. Everything else, and everything where there is no replica, is
read and written on the primary.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

logger = logging.getLogger(__name__)

PRIMARY, REPLICA = DEFAULT_DB_ALIAS, "replica"
LONGEST_WAIT = 2.0  # seconds until a replica that lags is left aside
PAUSE = 0.05

_reading_from: ContextVar[str] = ContextVar("database", default=PRIMARY)


class Router:
    """Django's question which database: reads go where `reading` says, writes to the primary."""

    def db_for_read(self, model, **hints):
        return _reading_from.get()

    def db_for_write(self, model, **hints):
        return PRIMARY

    def allow_relation(self, one, other, **hints):
        return True  # the same rows, wherever they were read

    def allow_migrate(self, alias, app_label, **hints):
        return alias == PRIMARY


@contextmanager
def reading(alias: str) -> Iterator[None]:
    """Querysets inside are read from that database."""
    token = _reading_from.set(alias)
    try:
        yield
    finally:
        _reading_from.reset(token)


def current_source() -> str:
    """The replica, if there is one that holds all that is committed by now; else the primary.

    So whoever has just pressed a button finds the result in the workbook too.
    """
    if REPLICA not in connections.settings:
        return PRIMARY
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()::text")
        (position,) = cursor.fetchone()
    try:
        if _has_replayed(position):
            return REPLICA
        logger.warning("The replica is behind or no replica; reading from the primary")
    except (DatabaseError, InterfaceError) as error:
        logger.warning("The replica does not answer; reading from the primary: %s", error)
        connections[REPLICA].close()
    return PRIMARY


def _has_replayed(position: str) -> bool:
    """Whether the replica comes as far as that position of the primary's log within the wait.

    A server that is a replica no more is not waited for: it has a history of its own.
    """
    until = time.monotonic() + LONGEST_WAIT
    while True:
        is_replica, is_level = _progress(position)
        if is_level or not is_replica or time.monotonic() > until:
            return bool(is_replica and is_level)
        time.sleep(PAUSE)


def _progress(position: str) -> tuple[bool, bool | None]:
    """Whether the server follows another, and whether it has replayed up to the position."""
    with connections[REPLICA].cursor() as cursor:
        cursor.execute(
            "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() >= %s::pg_lsn", [position]
        )
        return cursor.fetchone()
