"""Django's, but it does not make a province wait for a lock that it waits for itself."""

from django.core.management import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

PATIENCE = "5s"
LOCK_NOT_AVAILABLE = "55P03"  # of PostgreSQL


def _impatient(editor: type) -> type:
    """Behind whoever waits for a table all others queue, even those who only read: a migration
    that does not get it within seconds gives up, and is taken back whole."""

    class Impatient(editor):
        def __enter__(self):
            super().__enter__()
            if self.atomic_migration and not self.collect_sql:
                self.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
            return self

    return Impatient


class Command(migrate.Command):
    def handle(self, *args, database, **options):
        connection = connections[database]
        if connection.vendor == "postgresql":
            connection.SchemaEditorClass = _impatient(type(connection).SchemaEditorClass)
        try:
            super().handle(*args, database=database, **options)
        except OperationalError as error:
            if getattr(error.__cause__, "pgcode", None) != LOCK_NOT_AVAILABLE:
                raise
            raise CommandError(
                "要改的表正被使用（多半是正在导出），等了 5 秒没有等到，这一步没有做，"
                "做完的各步有效；请过一会儿再运行 migrate"
            ) from None
        finally:
            vars(connection).pop("SchemaEditorClass", None)
