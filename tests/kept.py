"""What most tests begin with is made once in a process; later tests get its rows as they were."""

from collections.abc import Callable

from django.db import connection, transaction

# What makes it → what was there before, by table, and what it made: columns and rows.
_kept: dict[Callable, tuple[dict, dict]] = {}


def put(make: Callable[[], object]) -> None:
    """Have in the database what `make` makes in an empty one.

    Where there is something already it is made by itself, whatever that gives.
    """
    ground, made = _kept.get(make, ({}, {}))
    if ground and ground == _state(ground):
        # One transaction: rows refer to others that come after them.
        with transaction.atomic(), connection.cursor() as cursor:
            for table, (columns, rows) in made.items():
                names = ", ".join(map(connection.ops.quote_name, columns))
                places = ", ".join([f"({', '.join(['%s'] * len(columns))})"] * len(rows))
                sql = f"INSERT INTO {table} ({names}) VALUES {places}"  # noqa: S608 - our own names
                cursor.execute(sql, [value for row in rows for value in row])
        return
    tables = connection.introspection.django_table_names(only_existing=True)
    before = _state(tables)
    make()
    changed = [table for table, state in _state(tables).items() if state != before[table]]
    if not any(before[table][0] for table in changed):
        # Of what stays only categories are referred to; they are others after each flush.
        ground = {table: before[table] for table in [*changed, "orgs_category"]}
        _kept[make] = ground, {table: _rows(table) for table in changed}


def _state(tables) -> dict[str, tuple]:
    """How many rows each table has, and the last key of categories."""
    with connection.cursor() as cursor:
        found = {}
        for table in tables:
            last = "max(id)" if table == "orgs_category" else "0"
            cursor.execute(f"SELECT count(*), {last} FROM {table}")  # noqa: S608
            found[table] = cursor.fetchone()
        return found


def _rows(table: str) -> tuple[list[str], list[tuple]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")  # noqa: S608
        return [column[0] for column in cursor.description], cursor.fetchall()
