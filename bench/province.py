"""A province from its tree to its workbook, at several sizes, beside other ways and the floor.

    script/with-postgresql .venv/bin/python bench/province.py --sizes 2000 20000 200000
    …  --only tree opening importing          some subjects (in this order, from the first on)
    …  --write                                 put the tables into bench/results.md

Each size has a database of its own, each subject a process of its own. The floor is what the
database itself needs for the same rows, with the same indexes and keys, committed as ours; slow
ways are tried on fewer rows and counted by row. What is rolled back is so for all that it is
compared with.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import measure
import results

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SUBJECTS = {  # subject: its module
    "tree": "structure",
    "accounts": "people",
    "opening": "cycle",
    "reminding": "people",
    "importing": "cycle",
    "playing": "cycle",
    "summary": "reading",
    "pages": "reading",
    "export": "reading",
    "migrations": "migrations",
}


def child(subject: str, data: Path) -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "ledger_site.settings"
    django.setup()
    work = getattr(import_module(f"subjects.{SUBJECTS[subject]}"), subject)
    measure.report(lambda: {"rows": work(data)})


def province(size: int, subjects, folder: Path) -> list[results.Section]:
    data = folder / str(size)
    if not (data / "orgs.csv").exists():
        make = [sys.executable, str(ROOT / "bench/make_province.py"), "--seed", "1"]
        make += ["--branches", str(size), "--out", str(data)]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    server = os.environ["DATABASE_URL"]
    name = f"province_{size}"
    for command in (f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}"):
        psql(server, command)
    environment = os.environ | {
        "DATABASE_URL": server.replace("/ledger?", f"/{name}?"),
        "SECRET_KEY": "bench",
        "HTTPS_ONLY": "0",
        "ALLOWED_HOSTS": "localhost",
        "DATA_DIR": str(folder),
    }
    migrate = [sys.executable, str(ROOT / "manage.py"), "migrate", "-v0"]
    subprocess.run(migrate, env=environment, check=True)  # noqa: S603
    found = []
    for subject in subjects:
        figures = measure.in_child(
            __file__, "--child", subject, "--data", str(data), environment=environment
        )
        rows = figures.more["rows"]
        print(f"\n{size} branches, {subject}: {figures.wall:.1f} s, {figures.peak:.0f} MB")
        print(measure.table(results.HEADS[subject], rows), flush=True)
        found.append(
            results.Section.measured(subject, size, rows, peak=figures.peak, growth=figures.growth)
        )
    return found


def psql(server: str, command: str) -> str:
    run = ["psql", "-qAt", server, "-c", command]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


def machine() -> str:
    """What it was measured on, as far as Linux tells."""
    import django

    def told(file: str, pattern: str) -> str:
        found = re.search(pattern, Path(file).read_text(encoding="utf-8"), re.M)
        return found[1].strip() if found else "unknown"

    memory = int(told("/proc/meminfo", r"^MemTotal:\s+(\d+)")) / 2**20
    processor = told("/proc/cpuinfo", r"^model name\s*:(.*)")
    version = psql(os.environ["DATABASE_URL"], "SHOW server_version")
    return (
        f"Measured last on {os.cpu_count()} processors "
        f"({processor}) with {memory:.0f} GB of memory, "
        f"Python {platform.python_version()}, Django {django.__version__}, PostgreSQL {version} "
        "on the same machine (no fsync, as `script/with-postgresql` starts it). Peak memory is "
        "that of the process, growth what the work took of it."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 20_000, 200_000])
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--write", action="store_true", help="into bench/results.md")
    parser.add_argument("--data", type=Path, help="folder of generated data, kept")
    parser.add_argument("--child", choices=SUBJECTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.data)
        return
    if not os.environ.get("DATABASE_URL"):
        parser.error("run it by script/with-postgresql")
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data or Path(scratch)
        for size in options.sizes:
            found += province(size, options.only, folder)
    if options.write:
        results.write(found, machine())


if __name__ == "__main__":
    main()
