"""Migrations over the rows of a province: how long a table lets nobody read, or nobody write."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.apps import apps
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor

from .ground import sql

OURS = ("base", "jobs", "orgs", "ratings", "rectification", "audits")
# What has a row for each organization, report, row, version, move, measure or event.
LARGE = (
    "base.auditevent",
    "orgs.organization",
    "orgs.searchtext",
    "orgs.user",
    "orgs.appointment",
    "ratings.report",
    "ratings.ledgerentry",
    "ratings.reportversion",
    "ratings.reportmove",
    "ratings.versionmovement",
    "ratings.score",
    "rectification.measure",
    "rectification.progress",
)
FILLED = 1000  # rows
# Locks during which nobody reads a table; nobody writes to it; nobody changes the same rows.
READS = {"AccessExclusiveLock"}
WRITES = READS | {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock"}
ROWS = WRITES | {"RowExclusiveLock"}
HELD = (
    "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
    "WHERE l.pid = pg_backend_pid() AND l.granted AND c.oid = ANY(%s)"
)


@dataclass
class Watch:
    """Since when each lock of each table was held."""

    since: dict[tuple[str, str], float] = field(default_factory=dict)
    ended: float = 0.0

    def seconds(self, modes: set[str]) -> float:
        begun = [at for (_, mode), at in self.since.items() if mode in modes]
        return self.ended - min(begun, default=self.ended)

    @property
    def tables(self) -> set[str]:
        return {table for table, mode in self.since if mode in ROWS}


@contextmanager
def watched(tables: list[str]) -> Iterator[Watch]:
    """Look at the locks of this connection after each statement; a lock stays until the end.

    A table that the migration makes is nobody's yet, and not looked at.
    """
    there = "SELECT oid FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s)"
    watch, known = Watch(), [oid for (oid,) in sql(there, tables)]

    def look(execute, statement, params, many, context):
        begun = time.perf_counter()
        result = execute(statement, params, many, context)
        with connection.connection.cursor() as cursor:
            cursor.execute(HELD, [known])
            for held in cursor.fetchall():
                watch.since.setdefault(held, begun)
        return result

    with connection.execute_wrapper(look):
        yield watch
    watch.ended = time.perf_counter()


def _each_again(tables: list[str]) -> Iterator[tuple[Migration, Watch]]:
    """Take all migrations of ours back but the first of each app, and make them again, watched."""
    for app in reversed(OURS):
        executor = MigrationExecutor(connection)
        roots = executor.loader.graph.root_nodes(app)
        if first := executor.loader.applied_migrations.keys() & roots:
            executor.migrate(list(first))
    executor = MigrationExecutor(connection)
    state = executor._create_project_state(with_applied_migrations=True)
    for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes()):
        with watched(tables) as watch:
            state = executor.apply_migration(state, migration)
        yield migration, watch


def migrations(data: Path) -> list:
    """Those that hold a table which is filled; the others would be measured on nothing."""
    tables = [apps.get_model(name)._meta.db_table for name in LARGE]
    filled = [one for one in tables if sql(f"SELECT count(*) FROM {one}")[0][0] > FILLED]  # noqa: S608
    return [
        (
            str(migration),
            *(watch.seconds(modes) for modes in (READS, WRITES, ROWS)),
            "、".join(sorted(watch.tables)),
        )
        for migration, watch in _each_again(filled)
        if watch.tables
    ]
