"""What the two databases do differently, in one place."""

import functools
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from django.db import OperationalError, connection, connections, transaction

from . import replica

RETRIES = 3


def retried(function):
    """Run a write again when the database ended it for the sake of another (deadlock, busy).

    Only at the outermost level: inside a transaction the whole of it must be run again, so the
    error goes up to whoever opened it.
    """

    @functools.wraps(function)
    def run(*args, **kwargs):
        if connection.in_atomic_block:
            return function(*args, **kwargs)
        for attempt in range(1, RETRIES + 1):
            try:
                return function(*args, **kwargs)
            except OperationalError:
                if attempt == RETRIES:
                    raise
                time.sleep(0.05 * attempt)

    return run


def _is_reading() -> bool:
    """Whether SQLite is in a snapshot already, which Django does not know of."""
    return connection.vendor == "sqlite" and bool(
        connection.connection and connection.connection.in_transaction
    )


@contextmanager
def snapshot(*, from_replica: bool = False):
    """Reads of one moment, that make no writer wait.

    PostgreSQL: REPEATABLE READ. SQLite: a deferred transaction, since Django's own would be
    IMMEDIATE and hold up every writer. Inside a transaction already begun, that one is used.
    `from_replica` reads from a replica that holds all that is committed, where there is one.
    """
    if connection.in_atomic_block or _is_reading():
        yield
    elif connection.vendor == "postgresql":
        alias = replica.current_source() if from_replica else replica.PRIMARY
        with replica.reading(alias), transaction.atomic(using=alias):
            with connections[alias].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")


def next_key(model, number: str) -> str:
    """SQL that gives rows of a SELECT their keys in `model` before they are inserted.

    `number` is SQL that counts the rows from 1; PostgreSQL does not need it. Under SQLite's lock of
    a writing transaction nobody else takes these keys.
    """
    table = model._meta.db_table
    if connection.vendor == "postgresql":
        return f"nextval(pg_get_serial_sequence('\"{table}\"', '{model._meta.pk.column}'))"
    taken = f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'"  # noqa: S608 - own names
    return f"COALESCE(({taken}), 0) + {number}"


def joined(value: str, separator: str, order: str) -> str:
    """SQL that joins the texts of a group in an order; SQLite, which knows no order there before
    3.44, takes them as they come, so that the rows must come in it."""
    if connection.vendor == "postgresql":
        return f"STRING_AGG({value}, '{separator}' ORDER BY {order})"
    return f"GROUP_CONCAT({value}, '{separator}')"


ANALYZED_FROM = 1000  # rows; what is smaller is not worth it


def analyzed(*models, rows: int) -> None:
    """Tell the planner about tables into which `rows` were just written by one transaction.

    PostgreSQL does so by itself within minutes, until when it takes a table for what it was: of a
    cycle that was not there before it expects no rows, and reads all of them for each.
    """
    if connection.vendor == "postgresql" and rows >= ANALYZED_FROM:
        with connection.cursor() as cursor:
            for model in models:
                cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")


def insert_select(model, columns, rows, *, skips_conflicts: bool = False) -> int:
    """INSERT INTO model (…) SELECT … FROM rows: `columns` maps field names to expressions over
    the queryset `rows`. No row passes through Python; returns how many were inserted.

    `skips_conflicts`: rows that are there already by a rule of uniqueness are left out.
    """
    quote = connection.ops.quote_name
    names = ", ".join(quote(model._meta.get_field(name).column) for name in columns)
    selected = rows.values_list(*(value for value in columns.values()))
    sql, params = selected.query.sql_with_params()
    with connection.cursor() as cursor:
        end = " ON CONFLICT DO NOTHING" if skips_conflicts else ""
        cursor.execute(f"INSERT INTO {quote(model._meta.db_table)} ({names}) {sql}{end}", params)
        return cursor.rowcount


def selected(select: str, size: int) -> Iterator[list[tuple]]:
    """The rows of a query in pieces of a size: while one is written PostgreSQL reads no other."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(select)
        while rows := cursor.fetchmany(size):
            yield rows


_ESCAPED = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_PIECE = 500  # rows sent at once


def _copied(value) -> str:
    """A value in the text format of COPY."""
    if value is None:
        return "\\N"
    if value.__class__ is str:
        return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], value)
    return str(value)


class _Lines:
    """Rows as the file that COPY reads; no more than a piece is in memory."""

    def __init__(self, rows: Iterator[Sequence]):
        self.rows, self.rest, self.count = rows, b"", 0

    def read(self, size: int) -> bytes:
        while len(self.rest) < size and (piece := list(islice(self.rows, _PIECE))):
            self.count += len(piece)
            lines = ("\t".join(map(_copied, row)) + "\n" for row in piece)
            self.rest += "".join(lines).encode()
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken


def copy_rows(table: str, columns: Sequence[str], rows: Iterable[Sequence]) -> int:
    """Append rows to a table, by COPY where the database has it; returns how many.

    Values are text, whole numbers, booleans, dates, moments or None; JSON goes in as text. Rows
    are taken as they come, so that any number of them needs the memory of a few hundred. For a
    table of ours, whose checks the database makes; names come from our own code.
    """
    rows, quote = iter(rows), connection.ops.quote_name
    names = ", ".join(map(quote, columns))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            lines = _Lines(rows)
            with connection.wrap_database_errors:  # which Django does for its own methods alone
                cursor.copy_expert(f"COPY {quote(table)} ({names}) FROM STDIN", lines)
            return lines.count
        places, count = ", ".join(["%s"] * len(columns)), 0
        insert = f"INSERT INTO {quote(table)} ({names}) VALUES ({places})"  # noqa: S608 - own names
        while piece := list(islice(rows, _PIECE)):
            cursor.executemany(insert, piece)
            count += len(piece)
        return count


def moment(at):
    """A moment as `copy_rows` takes it: SQLite keeps UTC without saying so."""
    return connection.ops.adapt_datetimefield_value(at)


def reserved_keys(model, count: int) -> Iterable[int]:
    """Keys for so many new rows, which no other insert will get.

    SQLite has one writer at a time, and counts on from the highest key it has seen written; so
    the caller must be inside the transaction that writes them.
    """
    select = f"SELECT {next_key(model, '1')}"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"{select} FROM generate_series(1, %s)", [count])
            return [key for (key,) in cursor.fetchall()]
        cursor.execute(select)
        (first,) = cursor.fetchone()
        return range(first, first + count)


def update_integers(model, names, rows) -> None:
    """Set the integer columns `names` of many rows at once; `rows` are (pk, value, …)."""
    if not rows:
        return
    quote = connection.ops.quote_name
    table, columns = quote(model._meta.db_table), [quote(name) for name in names]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            arrays = [list(values) for values in zip(*rows, strict=True)]
            sets = ", ".join(f"{column} = v.{column}" for column in columns)
            cursor.execute(
                f"UPDATE {table} SET {sets} FROM unnest("  # noqa: S608 - names of our own model
                f"%s::bigint[]{', %s::integer[]' * len(columns)}) AS v(id, {', '.join(columns)}) "
                f"WHERE {table}.id = v.id",
                arrays,
            )
        else:
            sets = ", ".join(f"{column} = %s" for column in columns)
            cursor.executemany(
                f"UPDATE {table} SET {sets} WHERE id = %s",  # noqa: S608 - names of our own model
                [(*values, pk) for pk, *values in rows],
            )
