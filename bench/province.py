"""A province from its tree to its workbook, at several sizes, beside other ways and the floor.

    script/with-postgresql .venv/bin/python bench/province.py --sizes 2000 20000 200000
    …  --only tree opening importing          some subjects (in this order, from the first on)
    …  --write                                 put the tables into bench/results.md

Each size has a database of its own, each subject a process of its own. The floor is what the
database itself needs for the same rows; slow ways are tried on fewer rows and counted by row.
"""

import argparse
import csv
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from html import unescape
from pathlib import Path

import measure

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "bench" / "results.md"
MEASURED = "## The tables"  # what is above it is written by hand
SUBJECTS = ("tree", "opening", "importing", "playing", "summary", "pages", "export")
OK = 200
SAMPLE = 2000  # rows on which slow ways are tried


class _Undone(Exception):
    pass


@contextmanager
def undone():
    """A transaction of which nothing stays."""
    from django.db import transaction

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


def sql(text: str, *params):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(text, params)
        return cursor.fetchall() if cursor.description else None


def root():
    from ratings.models import Report

    return Report.objects.select_related("cycle", "organization").get(parent=None)


def floor_of(table: str) -> float:
    """Seconds for COPY of all rows of a table into one that is made alike, indexes too."""
    from django.db import connection

    with tempfile.TemporaryFile() as file, undone(), connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} TO STDOUT", file)
        file.seek(0)
        cursor.execute(f"CREATE TABLE floor_of (LIKE {table} INCLUDING ALL)")
        return timed(lambda: cursor.copy_expert("COPY floor_of FROM STDIN", file))


# ---------------------------------------------------------------- subjects


def tree(data: Path) -> list:
    """(way, seconds, times the floor, note) of loading, renumbering and single changes."""
    from ledger_site.base.trail import WithoutUnit
    from orgs import loading
    from orgs import tree as ours
    from orgs.models import Organization

    load = timed(lambda: loading.import_organizations(data / "orgs.csv"))
    count = Organization.objects.count()
    floor = floor_of("orgs_organization")
    rows = [
        ("COPY (floor)", floor, 1.0, f"{count} organizations"),
        ("import_orgs", load, load / floor, "reading, checks, numbering, writing"),
    ]
    with undone():
        sql("UPDATE orgs_organization SET lft = lft + 1, rght = rght + 1")
        seconds = timed(lambda: ours.load([], by=WithoutUnit()))
    rows.append(("renumber all", seconds, seconds / floor, ""))
    if count <= 30_000:
        with undone():
            seconds = timed(Organization.objects.rebuild)
        rows.append(("mptt rebuild()", seconds, seconds / floor, ""))
    parents = Organization.objects.filter(lft__lt=1e9, rght__gt=0).order_by("lft")
    wide = [o for o in parents.filter(level=2)[: 10**4] if o.has_subordinates]
    for place, parent in (("first", wide[0]), ("middle", wide[len(wide) // 2]), ("last", wide[-1])):
        with undone():
            seconds = timed(
                lambda parent=parent: ours.insert(
                    parent=parent, code="BENCH", name="新党支部", kind="branch", by=WithoutUnit()
                )
            )
        rows.append((f"one insert, {place}", seconds, seconds / floor, ""))
    return rows


def opening(data: Path) -> list:
    from django.core.management import call_command

    seconds = timed(lambda: call_command("open_cycle", "2012", verbosity=0))
    with undone():
        sql(
            "INSERT INTO ratings_cycle (year, round, title, state, kinds, days_per_level) "
            "SELECT 2999, 1, title, state, kinds, days_per_level FROM ratings_cycle"
        )
        columns = [name for (name,) in sql(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND table_name = 'ratings_report' AND column_name NOT IN ('id', 'cycle_id')"
        )]  # fmt: skip
        names = ", ".join(f'"{name}"' for name in columns)
        floor = timed(
            lambda: sql(
                f"INSERT INTO ratings_report (cycle_id, {names}) SELECT "  # noqa: S608
                f"(SELECT id FROM ratings_cycle WHERE year = 2999), {names} FROM ratings_report "
                "ORDER BY path"
            )
        )
        floor += timed(lambda: sql("SET CONSTRAINTS ALL IMMEDIATE"))
    count = sql("SELECT COUNT(*) FROM ratings_report")[0][0]
    return [
        ("INSERT … SELECT (floor)", floor, 1.0, f"{count} reports, keys checked"),
        ("open_cycle", seconds, seconds / floor, "paths, counts, reports, empty rows, ANALYZE"),
    ]


def importing(data: Path) -> list:
    from django.db import connection

    from ledger_site.base import db
    from ratings import loading
    from ratings.models import LedgerEntry

    spent = [0.0]

    def measured(execute, *args):
        start = time.perf_counter()
        try:
            return execute(*args)
        finally:
            spent[0] += time.perf_counter() - start

    copy = db.copy_rows
    loading.copy_rows = lambda *args: measured(copy, *args)
    theirs = _import_export(data)
    with connection.execute_wrapper(measured):
        seconds = timed(lambda: loading.import_ledger(data / "ledger.csv", root()))
    count = LedgerEntry.objects.exclude(declared_grade=None).count()
    floor = floor_of("ratings_ledgerentry")
    by_row = theirs / SAMPLE / (seconds / count)
    return [
        ("COPY (floor)", floor, 1.0, f"{count} rows"),
        ("import_ledger", seconds, seconds / floor, "reading, parsing, checks, trail, ANALYZE"),
        ("import_ledger, database", spent[0], spent[0] / floor, "its statements alone"),
        (f"import-export bulk, {SAMPLE} rows", theirs, by_row, "× import_ledger, by row"),
    ]


def _import_export(data: Path) -> float:
    """The same columns by import-export's bulk mode, of which nothing stays."""
    import tablib
    from import_export import resources

    from ratings.columns import FIELDS
    from ratings.models import LedgerEntry, Report

    named = {source: name for name, spec in FIELDS.items() for source in spec.source_names}
    texts = [name for name in named.values() if name not in ("venue_due_on", "reviewed_grade")]

    class Entries(resources.ModelResource):
        class Meta:
            model = LedgerEntry
            fields = ("report", *texts)
            import_id_fields = ("report",)
            use_bulk = True
            skip_diff = True
            batch_size = 1000

    with (data / "ledger.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = [line for line, _ in zip(csv.DictReader(file), range(SAMPLE), strict=False)]
    codes = [line["branch_code"] for line in lines]
    keys = dict(Report.objects.filter(code__in=codes).values_list("code", "pk"))
    dataset = tablib.Dataset(headers=["report", *texts])
    source = {name: key for key, name in named.items()}
    for line in lines:
        values = {name: line.get(source[name]) or None for name in texts}
        for name in ("venue_status", "declared_grade", "proposed_target"):
            values[name] = FIELDS[name].parse(values[name] or "")
        dataset.append([keys[line["branch_code"]], *(values[name] for name in texts)])
    with undone():
        return (
            timed(lambda: Entries().import_data(dataset, raise_errors=True)) * SAMPLE / len(lines)
        )


def playing(data: Path) -> list:
    from ratings.playing import play_cycle

    played = []
    seconds = timed(lambda: played.append(play_cycle(root())))
    moves = played[0].submitted_count + played[0].accepted_count
    return [("play_cycle", seconds, 1000 * seconds / moves, f"ms a move, {moves} moves")]


def summary(data: Path) -> list:
    from django.db.models import Count

    from ratings.models import Report
    from ratings.querysets import below
    from ratings.summary import recount, summarize

    top = root()

    def by_child():
        for path in Report.objects.filter(parent=top).values_list("path", flat=True):
            rows = Report.objects.filter(below(path), cycle=top.cycle_id, is_rated=True)
            list(rows.order_by().values_list("entry__reviewed_grade").annotate(n=Count("pk")))

    ours = statistics.median(timed(lambda: summarize(top)) for _ in range(15))
    grouped = statistics.median(timed(lambda: recount(top)) for _ in range(3))
    each = statistics.median(timed(by_child) for _ in range(3))
    return [
        ("from stored totals", ours, 1.0, ""),
        ("GROUP BY over the rows", grouped, grouped / ours, "核对"),
        ("one query a subordinate", each, each / ours, ""),
    ]


PAGES = {
    "工作台": "/",
    "台账，首页": "/2012-1/ledger/",
    "台账，第二页": "",
    "台账，末页": "/2012-1/ledger/?page=last",
    "台账，较差": "/2012-1/ledger/?reviewed=poor",
    "台账，填报中（没有）": "/2012-1/ledger/?state=draft",
    "查找，少见": "/2012-1/ledger/?q=土市村",
    "查找，常见": "/2012-1/ledger/?q=村党支部",
    "查找，没有": "/2012-1/ledger/?q=无此村名",
    "查找，拼音": "/2012-1/ledger/?q=tscdz",
    "下级审核": "/2012-1/review/",
    "汇总": "/2012-1/summary/",
    "整改": "/2012-1/rectification/",
    "组织，查找": "/organizations/?q=土市村",
}


def pages(data: Path) -> list:
    """(page, ms for the province, for a county, queries): through all of Django, no network."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from ledger_site.base.trail import WithoutUnit
    from orgs.choices import Role
    from orgs.models import Organization, User
    from orgs.services import appoint

    top = Organization.objects.get(parent=None)
    county = Organization.objects.filter(level=2, name__endswith="县委员会").order_by("lft").last()
    clients = []
    for unit in (top, county or Organization.objects.filter(level=2).last()):
        user = User.objects.create_user(f"bench{unit.pk}", full_name="测量")
        appoint(user, unit, *Role.values, by=WithoutUnit())
        client = Client(HTTP_HOST="localhost")
        client.force_login(user)
        clients.append(client)
    rows = []
    for name, url in PAGES.items():
        times, queries = [], 0
        for client in clients:
            address = url or "/2012-1/ledger/" + _second(client)
            client.get(address)
            with CaptureQueriesContext(connection) as captured:
                if client.get(address).status_code != OK:
                    raise SystemExit(f"{address}: no page")
            queries = max(queries, len(captured))
            ask = partial(client.get, address)
            times.append(statistics.median(timed(ask) for _ in range(7)))
        rows.append((name, 1000 * times[0], 1000 * times[1], f"{queries}"))
    return rows


def _second(client) -> str:
    found = re.search(r'href="(\?after=[^"]+)"', client.get("/2012-1/ledger/").content.decode())
    return unescape(found[1]) if found else ""


def export(data: Path) -> list:
    from orgs.posts import system_post
    from ratings import exports
    from ratings.choices import Form

    top, done = root(), []
    with tempfile.TemporaryFile() as file:
        seconds = timed(
            lambda: done.append(
                exports.write(Form.ANNEX3, top, system_post(top.organization), file)
            )
        )
        size = file.tell() / 1e6
    return [
        ("附件三", seconds, 1e6 * seconds / done[0], f"µs a row, {done[0]} rows, {size:.0f} MB")
    ]


# ---------------------------------------------------------------- running and telling

HEADS = {
    "tree": ("way", "s", "× floor", ""),
    "opening": ("way", "s", "× floor", ""),
    "importing": ("way", "s", "× floor", ""),
    "playing": ("way", "s", "", ""),
    "summary": ("way", "s", "× ours", ""),
    "pages": ("page", "province ms", "county ms", "queries"),
    "export": ("form", "s", "", ""),
}


def child(subject: str, data: Path) -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "ledger_site.settings"
    django.setup()
    measure.report(lambda: {"rows": globals()[subject](data)})


def province(size: int, subjects, folder: Path) -> dict[str, measure.Figures]:
    data = folder / str(size)
    if not (data / "orgs.csv").exists():
        make = [sys.executable, str(ROOT / "bench/make_province.py"), "--seed", "1"]
        make += ["--branches", str(size), "--out", str(data)]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    server = os.environ["DATABASE_URL"]
    name = f"province_{size}"
    for command in (f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}"):
        subprocess.run(["psql", "-q", server, "-c", command], check=True)  # noqa: S603, S607
    environment = os.environ | {
        "DATABASE_URL": server.replace("/ledger?", f"/{name}?"),
        "SECRET_KEY": "bench",
        "HTTPS_ONLY": "0",
        "ALLOWED_HOSTS": "localhost",
        "DATA_DIR": str(folder),
    }
    migrate = [sys.executable, str(ROOT / "manage.py"), "migrate", "-v0"]
    subprocess.run(migrate, env=environment, check=True)  # noqa: S603
    found = {}
    for subject in subjects:
        found[subject] = measure.in_child(
            __file__, "--child", subject, "--data", str(data), environment=environment
        )
        figures = found[subject]
        print(f"\n{size} branches, {subject}: {figures.wall:.1f} s, {figures.peak:.0f} MB")
        print(measure.table(HEADS[subject], figures.more["rows"]), flush=True)
    return found


def write(results: dict[int, dict[str, measure.Figures]]) -> None:
    """Put these sections into the file, in the place of older ones of the same subject and size."""
    import django

    machine = (
        f"Measured on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} processors, Python "
        f"{platform.python_version()}, Django {django.__version__}, PostgreSQL on the same machine "
        "(no fsync, as `script/with-postgresql` starts it). Peak memory is that of the process."
    )
    text = RESULTS.read_text(encoding="utf-8")
    said, _, measured = text.partition(MEASURED)
    sections = dict(re.findall(r"^### ([^(]+) \((.*?)(?=^### |\Z)", measured, re.M | re.S))
    for size, found in results.items():
        for subject, figures in found.items():
            head = HEADS[subject]
            lines = [
                f"peak {figures.peak:.0f} MB)",
                "",
                "| " + " | ".join(head) + " |",
                "|" + "---|" * len(head),
            ]
            for name, *values in figures.more["rows"]:
                lines.append(f"| {name} | " + " | ".join(_shown(value) for value in values) + " |")
            sections[f"{subject}, {size:,} branches"] = "\n".join([*lines, "", ""])
    parts = [f"### {name} ({section}" for name, section in sections.items()]
    told = f"{said}{MEASURED}\n\n{machine}\n\n{''.join(parts)}"
    RESULTS.write_text(told.rstrip() + "\n", encoding="utf-8")


def _shown(value) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 20_000, 200_000])
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=SUBJECTS)
    parser.add_argument("--write", action="store_true", help="into bench/results.md")
    parser.add_argument("--data", type=Path, help="folder of generated data, kept")
    parser.add_argument("--child", choices=SUBJECTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.data)
        return
    if not os.environ.get("DATABASE_URL"):
        parser.error("run it by script/with-postgresql")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data or Path(scratch)
        results = {size: province(size, options.only, folder) for size in options.sizes}
    if options.write:
        write(results)


if __name__ == "__main__":
    main()
