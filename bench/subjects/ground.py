"""What all subjects stand on: clocks, undoing, the floor of the database itself."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from ratings.models import Report

SAMPLE = 2000  # rows on which slow ways are tried
SLOW_UP_TO = 30_000  # organizations; what takes minutes beyond is left out there


class _Undone(Exception):
    pass


@contextmanager
def undone() -> Iterator[None]:
    """A transaction of which nothing stays."""
    try:
        with transaction.atomic():
            yield
            raise _Undone
    except _Undone:
        pass


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def timed_undone(work) -> float:
    """Seconds of a change whose keys are checked as at a commit, and of which nothing stays."""
    with undone():
        return timed(lambda: (work(), sql("SET CONSTRAINTS ALL IMMEDIATE")))


def sql(text: str, *params):
    with connection.cursor() as cursor:
        cursor.execute(text, params)
        return cursor.fetchall() if cursor.description else None


def root() -> Report:
    return Report.objects.select_related("cycle", "organization").get(parent=None)


@contextmanager
def _made_alike(table: str) -> Iterator[None]:
    """An empty table `floor_of` with the columns, indexes, checks and foreign keys of another."""
    sql(f"CREATE TABLE floor_of (LIKE {table} INCLUDING ALL)")
    keys = sql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype = 'f'",
        table,
    )
    for name, definition in keys:
        sql(f'ALTER TABLE floor_of ADD CONSTRAINT "{name}" {definition}')
    try:
        yield
    finally:
        sql("DROP TABLE floor_of")


def copy_floor(table: str) -> float:
    """Seconds for COPY of all rows of a table into one made alike, committed."""
    with tempfile.TemporaryFile() as file, _made_alike(table):
        with connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} TO STDOUT", file)
        file.seek(0)

        def copy():
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.copy_expert("COPY floor_of FROM STDIN", file)

        return timed(copy)


def select_floor(table: str, order: str) -> float:
    """Seconds for INSERT … SELECT of all rows of a table into one made alike, committed."""
    with _made_alike(table):
        insert = f"INSERT INTO floor_of SELECT * FROM {table} ORDER BY {order}"  # noqa: S608
        return timed(lambda: sql(insert))
