"""A cycle: opening it, importing its ledger, playing it through."""

import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tablib
from django.core.management import call_command
from django.db import connection, transaction
from import_export import resources

from ledger_site.base import db
from orgs.posts import system_post
from ratings import loading, workflow
from ratings.columns import FIELDS
from ratings.models import LedgerEntry, Report
from ratings.playing import play_cycle

from .ground import SAMPLE, copy_floor, root, select_floor, sql, timed

ONE_BY_ONE = 200  # reports that are moved singly


def opening(data: Path) -> list:
    seconds = timed(lambda: call_command("open_cycle", "2012", verbosity=0))
    floor = select_floor("ratings_report", "path")
    count = Report.objects.count()
    return [
        ("INSERT … SELECT (floor)", floor, 1.0, f"{count} reports, keys checked, committed"),
        ("open_cycle", seconds, seconds / floor, "paths, counts, reports, empty rows, ANALYZE"),
    ]


# ---------------------------------------------------------------- importing


def importing(data: Path) -> list:
    spent = [0.0]

    def measured(execute, *args):
        start = time.perf_counter()
        try:
            return execute(*args)
        finally:
            spent[0] += time.perf_counter() - start

    copy, commit = db.copy_rows, connection._commit
    loading.copy_rows = lambda *args: measured(copy, *args)
    connection._commit = lambda: measured(commit)
    with connection.execute_wrapper(measured):
        seconds = timed(lambda: loading.import_ledger(data / "ledger.csv", root()))
    count = LedgerEntry.objects.exclude(declared_grade=None).count()
    floor = copy_floor("ratings_ledgerentry")
    rows = [
        ("COPY (floor)", floor, 1.0, f"{count} rows, committed"),
        ("import_ledger", seconds, seconds / floor, "reading, parsing, checks, trail, ANALYZE"),
        ("import_ledger, database", spent[0], spent[0] / floor, "its statements and the commit"),
    ]
    lines = _sample(data)
    for name, way in (("import-export bulk", _import_export), ("bulk_create", _bulk_create)):
        with _put_back([line["report"] for line in lines]):
            theirs = timed(lambda way=way: way(lines))
        by_row = theirs / len(lines) / (seconds / count)
        rows.append((f"{name}, {len(lines)} rows", theirs, by_row, "× import_ledger, by row"))
    return rows


def _sample(data: Path) -> list[dict]:
    """The first rows of the ledger file as fields of the model, the key of the report among them;
    for ways that know nothing of its head."""
    named = {source: name for name, spec in FIELDS.items() for source in spec.source_names}
    source = {name: key for key, name in named.items()}
    texts = [name for name in named.values() if name not in ("venue_due_on", "reviewed_grade")]
    with (data / "ledger.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = [line for line, _ in zip(csv.DictReader(file), range(SAMPLE), strict=False)]
    codes = [line["branch_code"] for line in lines]
    keys = dict(Report.objects.filter(code__in=codes).values_list("code", "pk"))
    found = []
    for line in lines:
        values = {name: line.get(source[name]) or None for name in texts}
        for name in ("venue_status", "declared_grade", "proposed_target"):
            values[name] = FIELDS[name].parse(values[name] or "")
        found.append({"report": keys[line["branch_code"]], **values})
    return found


@contextmanager
def _put_back(reports: list[int]) -> Iterator[None]:
    """These rows of the ledger are afterwards what they were: the others' ways commit, as ours."""
    mine = "report_id = ANY(%s)"
    sql(f"CREATE TABLE kept AS SELECT * FROM ratings_ledgerentry WHERE {mine}", reports)  # noqa: S608
    try:
        yield
    finally:
        with transaction.atomic():
            sql(f"DELETE FROM ratings_ledgerentry WHERE {mine}", reports)  # noqa: S608
            sql("INSERT INTO ratings_ledgerentry SELECT * FROM kept")
        sql("DROP TABLE kept")


def _import_export(lines: list[dict]) -> None:
    class Entries(resources.ModelResource):
        class Meta:
            model = LedgerEntry
            fields = tuple(lines[0])
            import_id_fields = ("report",)
            use_bulk = True
            skip_diff = True
            batch_size = 1000

    dataset = tablib.Dataset(*(list(line.values()) for line in lines), headers=list(lines[0]))
    Entries().import_data(dataset, raise_errors=True)


def _bulk_create(lines: list[dict]) -> None:
    """INSERT … ON CONFLICT of Django, without any check."""
    entries = [
        LedgerEntry(report_id=line["report"], **{n: v for n, v in line.items() if n != "report"})
        for line in lines
    ]
    LedgerEntry.objects.bulk_create(
        entries,
        batch_size=1000,
        update_conflicts=True,
        unique_fields=["report"],
        update_fields=[name for name in lines[0] if name != "report"],
    )


# ---------------------------------------------------------------- playing


def playing(data: Path) -> list:
    singly, single_moves = _one_by_one()
    played = []
    seconds = timed(lambda: played.append(play_cycle(root())))
    moves = played[0].submitted_count + played[0].accepted_count
    batch, single = 1000 * seconds / moves, 1000 * singly / single_moves
    return [
        ("play_cycle", seconds, batch, 1.0, f"{moves} moves, in batches"),
        ("move, one by one", singly, single, single / batch, f"{single_moves} moves"),
    ]


def _one_by_one() -> tuple[float, int]:
    """Seconds and number of moves: branches handed in and accepted singly, each committed."""
    branches = Report.objects.filter(is_rated=True, has_subordinates=False).order_by("path")
    pks = list(branches.values_list("pk", flat=True)[:ONE_BY_ONE])
    found = Report.objects.select_related("organization", "parent__organization", "entry")
    posts = {
        report.pk: (
            system_post(report.organization),
            system_post(report.parent.organization),
            workflow._given(report.entry),
        )
        for report in found.filter(pk__in=pks)
    }
    bare = Report.objects.select_related("cycle", "parent", "category").in_bulk(pks)

    def move():
        for pk in pks:
            own, superior, decision = posts[pk]
            workflow.move("submit", bare[pk], by=own)
            bare[pk].refresh_from_db()
            workflow.move("accept", bare[pk], by=superior, decision=decision)

    return timed(move), 2 * len(pks)
