"""Ledgers as hundreds of hands fill them: what each file of tests/files/ledgers must give.

`expected.json` says of each what is odd about it, what becomes of it, and values by row.
"""

import json
import re
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command

from orgs.models import Organization
from ratings.finding import cycle_of, report_of
from ratings.loading import import_ledger

FILES = settings.BASE_DIR / "tests/files/ledgers"
EXPECTED = json.loads((FILES / "expected.json").read_text(encoding="utf-8"))
OUTCOMES = {
    "accept": {"accepted"},
    "accept_with_warning": {"accepted"},
    "reject_rows": {"rows_rejected"},
    "reject_file": {"file_rejected"},
    "either": {"accepted", "file_rejected"},
}


@pytest.fixture
def root(db):
    call_command("import_orgs", str(FILES / "orgs.csv"), stdout=StringIO())
    call_command("open_cycle", "2012", stdout=StringIO())
    return report_of(cycle_of("2012-1"), "ROOT")


def look(name, root, **options):
    loading = import_ledger(
        FILES / name, root, is_reviewed=True, is_dry_run=True, keeps_rows=True, **options
    )
    said = loading.as_json()
    return said | {"rows": {(row["sheet"], row["row"]): row for row in said["rows"]}}


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case["file"])
def test_a_file_is_read_as_a_careful_reader_would(root, case):
    said = look(case["file"], root)

    assert said["outcome"] in OUTCOMES[case["outcome"]]
    for finding in said["errors"] + said["warnings"]:
        assert re.search("[\u4e00-\u9fff]", finding["message"])
    if said["outcome"] == "file_rejected":
        assert said["errors"]
        assert said["rows"] == {}
        return
    for wanted in case.get("rows", ()):
        check_row(wanted, said)
    if "row_count" in case:
        assert len(said["rows"]) == case["row_count"]
    cells = {error["cell"] for error in said["errors"]}
    assert set(case.get("errors", ())) <= cells
    assert set(case.get("warnings", ())) <= {warning["cell"] for warning in said["warnings"]}
    assert said["warnings"] or case["outcome"] != "accept_with_warning"


def check_row(wanted, said):
    wanted = dict(wanted)
    number, sheet = wanted.pop("row"), wanted.pop("sheet", None)
    row = next(
        row for (name, at), row in said["rows"].items() if at == number and sheet in (None, name)
    )
    unit = Organization.objects.select_related("parent").get(code=row["branch_code"])
    found = row["values"] | {
        "branch_name": unit.short_name,
        "township": unit.parent.short_name,
        "is_hidden": row.get("is_hidden", False),
    }
    for part in wanted.pop("features_contains", ()):
        assert part in found["features"]
    assert row["action"] != "rejected"
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (
            "missing-upper-rating-column.xlsx",
            ["缺少“上级党组织定级类别”一列（表头在第2行），请补上"],
        ),
        ("duplicate-header.xlsx", ["G2、I2 的列名相同，这一列重复，请只留一列"] * 2),
        (
            "no-data.xlsx",
            ["没有找到台账的表头（党支部名称、书记姓名、基本情况等列），请使用台账表样"],
        ),
        ("header-only.xlsx", ["表中没有数据行，请检查文件"]),
    ],
)
def test_a_refused_head_is_explained_with_its_cells(root, file, said):
    assert [error["message"] for error in look(file, root)["errors"]] == said


def test_what_is_read_over_is_told_with_its_row(root):
    said = look("total-and-signature-rows.xlsx", root)

    assert [(found["row"], found["message"]) for found in said["skipped"]] == [
        (7, "合计行，没有读取"),
        (8, "说明文字，没有读取"),
        (9, "落款，没有读取"),
    ]
    ignored = look("columns-reordered.xlsx", root)["skipped"]
    assert [found["message"] for found in ignored] == [
        "“序号”一列不需要，没有读取",
        "“备注”一列不需要，没有读取",
    ]


def test_hidden_rows_columns_and_sheets_are_told(root):
    hidden = {found["message"] for found in look("hidden-and-filtered-rows.xlsx", root)["warnings"]}
    sheets = look("one-sheet-per-township.xlsx", root)

    assert "有2行是隐藏的（第5、7行），已照常读取，请核对" in hidden
    assert "H列“存在问题”是隐藏的，已照常读取，请核对" in hidden
    assert [(w["sheet"], w["kind"]) for w in sheets["warnings"] if w["sheet"] == "旧数据"] == [
        ("旧数据", "隐藏内容")
    ]
    assert [s["sheet"] for s in sheets["skipped"]] == ["填表说明"]


def test_group_rows_are_told_with_their_organizations(root):
    groups = look("section-rows-mixed.xlsx", root)["groups"]

    assert [(group["row"], group["organization_code"]) for group in groups] == [
        (4, "C1T1"),
        (6, "C1T2"),
        (8, "C1T3"),
    ]


def test_similar_names_are_offered_and_a_choice_is_taken(root):
    said = look("name-not-in-tree.xlsx", root)
    offered = {
        error["row"]: [answer["value"] for answer in error["answers"]]
        for error in said["errors"]
        if error["asks"]
    }
    assert offered[5][0] == "C1T3B3"
    assert "C1T3B6" in offered[6]

    choices = {
        ("台账", 6): {"branch_code": "C1T3B6"},
        ("台账", 5): {"branch_code": "C1T3B2"},
        ("台账", 7): {"branch_code": "C1T4"},
        ("台账", 8): {"branch_code": "C1T4B2"},
    }
    answered = look("name-not-in-tree.xlsx", root, choices=choices)

    assert answered["errors"] == []
    codes = [row["branch_code"] for row in answered["rows"].values()]
    assert codes == ["C1T3B3", "C1T3B2", "C1T3B6", "C1T4B2"]


def test_an_unsure_day_offers_both_and_a_choice_is_taken(root):
    said = look("deadline-as-number.xlsx", root)
    unsure = next(warning for warning in said["warnings"] if warning["asks"] == "due_on")
    assert (unsure["cell"], [answer["value"] for answer in unsure["answers"]]) == (
        "M7",
        ["2012-01-31", "2012-10-31"],
    )

    place = unsure["sheet"], unsure["row"]
    answered = look("deadline-as-number.xlsx", root, choices={place: {"due_on": "2012-10-31"}})

    values = answered["rows"][place]["values"]
    assert (values["deadline_text"], values["due_on"]) == ("2012.1", "2012-10-31")
    assert not [warning for warning in answered["warnings"] if warning["asks"]]


def test_what_is_foreign_is_as_unknown_as_what_does_not_exist(root):
    """A township imports a ledger of its neighbour: neither rows nor the group are found."""
    under = report_of(root.cycle, "C1T1")

    foreign = look("section-rows-mixed.xlsx", under)
    unknown = look("name-not-in-tree.xlsx", under)

    heads = {error["message"] for error in foreign["errors"] if error["field"] == "superior"}
    assert heads == {"在“中共湘泉县石门坳镇委员会”范围内没有叫这个名称的上级党组织，请核对名称"}
    assert {e["message"] for e in unknown["errors"] if e["field"] == "superior"} == heads
    assert not any(error["answers"] for error in foreign["errors"])
    assert [row["branch_code"] for row in foreign["rows"].values()] == ["C1T1B1", None, None, None]


def test_a_row_that_is_not_wanted_is_left_out(root):
    said = look("clean-annex3-county.xlsx", root, choices={("湘泉县", 5): {"skip": "1"}})

    assert len(said["rows"]) == 29
    assert said["skipped"][-1]["message"] == "按您的选择没有读取" or any(
        found["message"] == "按您的选择没有读取" for found in said["skipped"]
    )
