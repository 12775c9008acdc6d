"""What an upgrade does to people at work: which migrations hold a large table for long."""

import re
from contextlib import closing

import psycopg2
import pytest
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.core.management import CommandError, call_command
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.models import AlterTogetherOptionOperation as AlterTogether

from bench.subjects.migrations import LARGE, OURS
from ledger_site import backups
from ledger_site.management.commands import migrate


def listed() -> set[str]:
    """The migrations in the table of docs/operation.md."""
    page = (settings.BASE_DIR / "docs/operation.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(\w+\.\w+)` \|", page, re.MULTILINE))


def is_long(migration, before) -> bool:
    """Whether its time grows with the rows of a large table while nobody can write to that."""
    made = {operation.name_lower for operation in migration.operations if made_by(operation)}
    return any(
        isinstance(operation, migrations.RunPython | migrations.RunSQL)
        or (
            f"{migration.app_label}.{getattr(operation, 'model_name_lower', '')}" in LARGE
            and operation.model_name_lower not in made
            and is_long_operation(operation, migration.app_label, before)
        )
        for operation in migration.operations
    )


def made_by(operation) -> bool:
    return isinstance(operation, migrations.CreateModel)


def is_long_operation(operation, app, before) -> bool:
    if isinstance(operation, AddIndexConcurrently | AddConstraintNotValid):
        return False
    if isinstance(operation, migrations.AddField):
        field = operation.field  # an index is built, a reference checked; a default costs nothing
        return not field.many_to_many and bool(field.remote_field or field.unique or field.db_index)
    if isinstance(operation, migrations.AlterField):
        old = before.models[app, operation.model_name_lower].fields[operation.name]
        return stored(old) != stored(operation.field)
    return isinstance(operation, migrations.AddIndex | migrations.AddConstraint | AlterTogether)


def stored(field) -> tuple:
    """As far as the database knows of it."""
    _, path, arguments, options = field.deconstruct()
    known = {key: value for key, value in options.items() if key not in field.non_db_attrs}
    return path, arguments, known


def test_every_migration_that_takes_longer_with_more_rows_is_listed_with_its_time():
    loader = MigrationLoader(None)
    found, seen = set(), 0
    for app, name in loader.graph._generate_plan(loader.graph.leaf_nodes(), at_end=True):
        migration = loader.graph.nodes[app, name]
        if app in OURS and not migration.initial and migration.dependencies:
            before = loader.project_state((app, name), at_end=False)
            found |= {str(migration)} if is_long(migration, before) else set()
            seen += 1

    assert seen > 20
    assert found == listed()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_migration_waits_seconds_for_a_table_and_then_leaves_all_as_it_was(monkeypatch):
    """Whoever waits for a table makes everybody else wait: readers stand behind him."""
    monkeypatch.setattr(migrate, "PATIENCE", "100ms")
    with closing(psycopg2.connect(backups._url())) as exporting, exporting.cursor() as cursor:
        cursor.execute("LOCK TABLE ratings_report IN ACCESS SHARE MODE")

        with pytest.raises(CommandError, match="正被使用"):
            call_command("migrate", "ratings", "0011", verbosity=0)

    with connection.cursor() as cursor:
        cursor.execute("SELECT origin FROM ratings_report")  # of 0012
    assert "SchemaEditorClass" not in vars(connection)
