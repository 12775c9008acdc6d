"""What the system writes as a sheet, it reads again without a change."""

from datetime import date
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command

from orgs.choices import Kind
from orgs.models import Organization
from orgs.posts import system_post
from ratings import exports
from ratings.choices import Form, Grade, Venue
from ratings.loading import import_ledger
from ratings.models import LedgerEntry, Report
from tests.factories import OrganizationFactory, accept, fill, open_cycle, report_of, submit

SMALL = settings.BASE_DIR / "tests/data/lanshan_small"
LEDGERS = (Form.ANNEX2, Form.ANNEX3)


def read_again(form, report, folder, **options):
    path = folder / "台账.xlsx"
    with path.open("wb") as file:
        exports.write(form, report, system_post(report.organization), file)
    return import_ledger(path, report, keeps_rows=True, **options)


@pytest.mark.parametrize("form", LEDGERS)
def test_a_county_with_group_rows_is_the_same(db, tmp_path, form):
    call_command("import_orgs", str(SMALL / "orgs.csv"), stdout=StringIO())
    call_command("open_cycle", "2012", stdout=StringIO())
    where = ("--cycle", "2012-1", "--under", "431127")
    call_command("import_ledger", str(SMALL / "ledger.csv"), *where, stdout=StringIO())
    call_command("play_cycle", *where, stdout=StringIO())
    report = report_of(Organization.objects.get(code="431127"))
    before = list(LedgerEntry.objects.order_by("pk").values())

    loading = read_again(form, report, tmp_path)

    assert loading.errors == []
    assert {row["action"] for row in loading.rows} == {"same"}
    assert len(list(loading.rows)) == 26
    assert {group["organization_code"] for group in loading.groups} == set(
        Report.objects.filter(children__is_rated=True).values_list("code", flat=True)
    )
    assert [found.sheet for found in loading.skipped if not found.row] == ["说明"]
    assert list(LedgerEntry.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("form", LEDGERS)
def test_odd_texts_choices_by_hand_and_decisions_are_the_same(db, tmp_path, form):
    root = OrganizationFactory(code="T", name="中共乙乡委员会", kind=Kind.COMMITTEE)
    odd = [
        {"features": "-1、加强学习", "problems": "=1+1", "measures": "@SUM(1,1)\n+2"},
        {"features": "型号_x000B_", "measures": "'引号", "problems": "㵲水𠮷"},
        {
            "venue_text": "与会议室合用",
            "venue_status": Venue.BUILT,
            "deadline_text": "2012.1",
            "due_on": date(2012, 10, 31),
            "member_count": 75,
            "team_size": 5,
        },
        {"proposed_target": Grade.GOOD, "declared_grade": Grade.AVERAGE},
    ]
    for number in range(len(odd)):
        OrganizationFactory(code=f"B{number}", name=f"乙乡第{number}村党支部", parent=root)
    cycle = open_cycle()
    for number, changed in enumerate(odd):
        report = report_of(Organization.objects.get(code=f"B{number}"), cycle)
        if form == Form.ANNEX2:
            changed = changed | {"first_secretary_name": None}
        fill(report, **changed)
        submit(report)
        accept(report, grade=Grade.AVERAGE, reason="核定", target=Grade.FAIRLY_GOOD)

    loading = read_again(form, report_of(root), tmp_path, is_reviewed=False)

    assert loading.errors == []
    assert [(row["branch_code"], row["action"]) for row in loading.rows] == [
        (f"B{number}", "same") for number in range(len(odd))
    ]


def test_units_of_one_name_are_told_apart_by_the_path_of_their_group_rows(db, tmp_path):
    province = OrganizationFactory(code="P", name="中共丁省委员会", kind=Kind.COMMITTEE)
    root = OrganizationFactory(
        code="C", name="中共丙市委员会", kind=Kind.COMMITTEE, parent=province
    )
    # 丙市 has a 城关镇 of its own, and each county another one.
    towns = [("丙", root)]
    for place in "甲乙":
        county = OrganizationFactory(
            code=place, name=f"中共丙市{place}县委员会", kind=Kind.COMMITTEE, parent=root
        )
        towns.append((place, county))
    for place, above in towns:
        town = OrganizationFactory(
            code=f"{place}T",
            name=f"中共{above.short_name}城关镇委员会",
            short_name="城关镇",
            kind=Kind.COMMITTEE,
            parent=above,
        )
        OrganizationFactory(
            code=f"{place}B", name=f"{place}城关镇新村党支部", short_name="新村党支部", parent=town
        )
    cycle = open_cycle()
    for report in cycle.reports.filter(is_rated=True).select_related("cycle", "organization"):
        fill(report)
    call_command("play_cycle", cycle="2012-1", under="P", stdout=StringIO())

    loading = read_again(Form.ANNEX3, report_of(province, cycle), tmp_path)

    assert loading.errors == []
    assert {row["action"] for row in loading.rows} == {"same"}
    assert sorted(row["branch_code"] for row in loading.rows) == ["丙B", "乙B", "甲B"]
    assert {group["name"]: group["organization_code"] for group in loading.groups} == {
        "丙市 / 城关镇": "丙T",
        "甲县 / 城关镇": "甲T",
        "乙县 / 城关镇": "乙T",
    }
