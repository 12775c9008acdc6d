"""What the two databases do differently, in one place."""

import functools
import time
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

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


@contextmanager
def snapshot():
    """Reads of one moment, that make no writer wait.

    PostgreSQL: REPEATABLE READ. SQLite: a deferred transaction, since Django's own would be
    IMMEDIATE and hold up every writer. Inside a transaction already begun, that one is used.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
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


def insert_select(model, columns, rows) -> int:
    """INSERT INTO model (…) SELECT … FROM rows: `columns` maps field names to expressions over
    the queryset `rows`. No row passes through Python; returns how many were inserted."""
    quote = connection.ops.quote_name
    names = ", ".join(quote(model._meta.get_field(name).column) for name in columns)
    selected = rows.values_list(*(value for value in columns.values()))
    sql, params = selected.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(model._meta.db_table)} ({names}) {sql}", params)
        return cursor.rowcount


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
