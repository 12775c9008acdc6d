"""Rows of the province's generator, some of them spoiled: what is wrong is refused, and nothing
else; what can be mended is mended."""

import csv
import subprocess
import sys
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command

from ratings.columns import FIELDS
from ratings.finding import cycle_of, report_of
from ratings.loading import import_ledger

TYPED = {"basic_info", "venue_text", "deadline_text"}  # kept as they were typed
NAMES = {source: name for name, field in FIELDS.items() for source in field.source_names}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("province")
    maker = settings.BASE_DIR / "bench/make_province.py"
    words = ("--branches", "400", "--seed", "1", "--dirty", "60", "--out", str(folder))
    subprocess.run([sys.executable, str(maker), *words], check=True, capture_output=True)
    return folder


@pytest.fixture
def root(db, folder):
    call_command("import_orgs", str(folder / "orgs.csv"), stdout=StringIO())
    call_command("open_cycle", "2012", stdout=StringIO())
    return report_of(cycle_of("2012-1"), "43")


def answers(folder):
    with (folder / "answers.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_exactly_the_spoiled_rows_are_refused_at_the_spoiled_cells(root, folder):
    spoiled = {
        (answer["branch_code"], NAMES.get(answer["field"], answer["field"]))
        for answer in answers(folder)
        if answer["severity"] == "reject"
    }

    loading = import_ledger(
        folder / "ledger.csv", root, is_reviewed=True, is_dry_run=True, keeps_rows=True
    )

    rows = {row["row"]: row for row in loading.rows}
    rejected = {row["branch_code"] for row in rows.values() if row["action"] == "rejected"}
    assert rejected == {code for code, _ in spoiled}
    named = {(rows[error.row]["branch_code"], error.field) for error in loading.errors}
    assert spoiled <= named
    assert loading.counts["rejected"] == len(rejected)
    assert loading.counts["new"] == 400 - len(rejected)


def test_what_can_be_mended_comes_out_as_it_was_before(root, folder):
    loading = import_ledger(folder / "ledger.csv", root, is_dry_run=True, keeps_rows=True)

    rows = {row["branch_code"]: row for row in loading.rows}
    mended = [
        (answer, rows[answer["branch_code"]]["values"][NAMES[answer["field"]]])
        for answer in answers(folder)
        if answer["severity"] == "fixable" and answer["field"] in NAMES
    ]
    assert len(mended) > 100
    for answer, value in mended:
        if NAMES[answer["field"]] not in TYPED:
            assert str(value) == answer["clean_value"]


def test_only_the_good_rows_are_written_where_they_are_asked_for(root, folder):
    loading = import_ledger(folder / "ledger.csv", root, is_partial=True)

    good = loading.counts["new"]
    assert loading.outcome == "rows_rejected"
    assert loading.written_count == good
    filled = root.cycle.reports.exclude(entry__measures=None)
    assert filled.count() == good
    assert filled.filter(token=1).count() == good
    again = import_ledger(folder / "ledger.csv", root, is_partial=True)
    assert (again.counts["same"], again.counts["new"], again.written_count) == (good, 0, 0)
