"""What keeps the trail from being changed inside the database itself.

Triggers refuse UPDATE, DELETE and TRUNCATE of events and seals; whoever may drop triggers is found
out by the proofs. Archiving has a door: a row of `AuditDoor` that never leaves its transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from .models import AuditDoor, AuditEvent, AuditSeal

GUARDED = (AuditEvent._meta.db_table, AuditSeal._meta.db_table)
DOOR = AuditDoor._meta.db_table
REFUSAL = "操作留痕不能修改或删除"

_FUNCTION = """
CREATE OR REPLACE FUNCTION ledger_guard_trail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    IF EXISTS (SELECT 1 FROM base_auditdoor) THEN RETURN NULL; END IF;
  ELSIF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'base_auditevent' THEN
    IF EXISTS (SELECT 1 FROM base_auditdoor WHERE OLD.id <= last_id) THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION '操作留痕不能修改或删除' USING ERRCODE = 'insufficient_privilege';
END $$
"""
_POSTGRESQL = {
    "row": "BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW",
    "all": "BEFORE TRUNCATE ON {table} FOR EACH STATEMENT",
}
_SQLITE = {
    "update": "BEFORE UPDATE ON {table}",
    "delete": "BEFORE DELETE ON {table} WHEN NOT EXISTS (SELECT 1 FROM {door}{upto})",
}


def _statements(vendor: str) -> Iterator[tuple[str, str]]:
    """(name of the trigger, SQL that creates it)."""
    for table in GUARDED:
        if vendor == "postgresql":
            for name, when in _POSTGRESQL.items():
                trigger = f"{table}_guard_{name}"
                when = when.format(table=table)
                body = "EXECUTE FUNCTION ledger_guard_trail()"
                yield trigger, f"CREATE TRIGGER {trigger} {when} {body}"
        else:
            upto = " WHERE OLD.id <= last_id" if table == GUARDED[0] else ""
            for name, when in _SQLITE.items():
                trigger = f"{table}_guard_{name}"
                when = when.format(table=table, door=DOOR, upto=upto)
                body = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
                yield trigger, f"CREATE TRIGGER {trigger} {when} {body}"


def _there() -> set[str]:
    """The triggers that stand and are in force."""
    if connection.vendor == "postgresql":
        sql = (
            "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
            " WHERE relname = ANY(%s) AND NOT tgisinternal AND tgenabled <> 'D'"
        )
        params = [list(GUARDED)]
    else:
        sql, params = "SELECT name FROM sqlite_master WHERE type = 'trigger'", []
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return {name for (name,) in cursor.fetchall()}


def missing() -> list[str]:
    """The triggers that ought to be there and are not."""
    there = _there()
    return [name for name, _ in _statements(connection.vendor) if name not in there]


def ensure(**kwargs) -> None:
    """See that the triggers are there, after each migration: SQLite loses them when a table is
    made anew for a change of its columns."""
    if DOOR not in connection.introspection.table_names():
        return
    absent = set(missing())
    if not absent:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_FUNCTION)
        for name, create in _statements(connection.vendor):
            if name in absent:
                if connection.vendor == "postgresql":  # a disabled one
                    table = create.partition(" ON ")[2].partition(" ")[0]
                    cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
                cursor.execute(create)


@contextmanager
def door(last_id: int) -> Iterator[None]:
    """Let the events up to `last_id` be deleted by the transaction in hand."""
    opened = AuditDoor.objects.create(last_id=last_id)
    yield
    opened.delete()
