"""What a cycle copies of the tree when it opens."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger_site.base.workflow import TransitionRefused
from orgs import tree
from orgs.choices import Kind
from orgs.models import Category, Organization
from orgs.posts import system_post
from ratings import opening, workflow
from ratings.choices import State
from ratings.models import Cycle, LedgerEntry, Report
from tests.factories import OrganizationFactory, accept, fill, open_cycle, report_of, submit


@pytest.fixture
def province(db):
    return OrganizationFactory(code="P", name="中共测试省委员会", kind=Kind.COMMITTEE)


def copied(cycle):
    return {
        report.code: (report.path, report.parent and report.parent.code, report.rated_count)
        for report in Report.objects.filter(cycle=cycle).select_related("parent")
    }


def test_the_copy_has_a_path_for_each_and_counts_what_is_rated_below(province):
    county = OrganizationFactory(code="C", name="县委", kind=Kind.COMMITTEE, parent=province)
    general = OrganizationFactory(
        code="G", name="总支", kind=Kind.GENERAL_BRANCH, is_rated=True, parent=county
    )
    OrganizationFactory(code="G1", name="一支部", parent=general)
    OrganizationFactory(code="B", name="直属支部", parent=province)

    cycle = open_cycle()

    assert copied(cycle) == {
        "P": ("0001", None, 3),
        "C": ("00010001", "P", 2),
        "G": ("000100010001", "C", 1),
        "G1": ("0001000100010001", "G", 0),
        "B": ("00010002", "P", 0),
    }
    rated = set(LedgerEntry.objects.values_list("report__code", flat=True))
    assert rated == {"G", "G1", "B"}
    flags = dict(Report.objects.values_list("code", "has_subordinates"))
    assert flags == {"P": True, "C": True, "G": True, "G1": False, "B": False}


def test_closed_temporary_and_empty_organizations_are_out_and_joint_ones_in(province):
    town = OrganizationFactory(code="T", name="乡委", kind=Kind.COMMITTEE, parent=province)
    OrganizationFactory(code="empty", name="空乡委", kind=Kind.COMMITTEE, parent=province)
    OrganizationFactory(code="joint", name="联合支部", parent=town, joint_units="甲社\n乙社")
    OrganizationFactory(code="temp", name="临时支部", parent=town, is_temporary=True)
    OrganizationFactory(code="old", name="撤销支部", parent=town, closed_on=date(2012, 1, 1))

    assert set(copied(open_cycle())) == {"P", "T", "joint"}


def test_kinds_and_categories_of_the_cycle_narrow_its_scope(province):
    village = Category.objects.get(code="village")
    hamlet = Category.objects.create(
        code="hamlet", name="自然村", parent=village, sheet_row=village.sheet_row
    )
    school = Category.objects.get(code="school")
    OrganizationFactory(code="V", name="村支部", parent=province, category=village)
    OrganizationFactory(code="H", name="自然村支部", parent=province, category=hamlet)
    OrganizationFactory(code="S", name="学校支部", parent=province, category=school)
    OrganizationFactory(
        code="G",
        name="总支",
        kind=Kind.GENERAL_BRANCH,
        is_rated=True,
        category=village,
        parent=province,
    )
    by = system_post(province)
    cycle = opening.create_cycle(2012, kinds=[Kind.BRANCH], by=by)
    cycle.categories.add(village)

    opening.open_cycle(cycle, by=by)

    assert set(copied(cycle)) == {"P", "V", "H"}


def test_siblings_keep_the_order_of_the_tree_past_nine(province):
    for n in range(12):
        OrganizationFactory(code=f"B{n:02}", name=f"{n}支部", parent=province)

    paths = copied(open_cycle())

    assert [paths[f"B{n:02}"][0] for n in range(12)] == [f"0001{n:04}" for n in range(1, 13)]


def test_opening_costs_queries_by_level_and_not_by_organization(province):
    counts = []
    for n in range(2):
        OrganizationFactory(code=f"B{n}", name=f"{n}支部", parent=province)
        if n:
            for m in range(5):
                OrganizationFactory(code=f"M{m}", name=f"另{m}支部", parent=province)
        with CaptureQueriesContext(connection) as queries:
            open_cycle(2012, n + 1)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_deadlines_are_earlier_for_each_level_and_never_before_the_opening(province):
    county = OrganizationFactory(code="C", name="县委", kind=Kind.COMMITTEE, parent=province)
    OrganizationFactory(code="B", name="支部", parent=county)
    today = timezone.localdate()

    cycle = open_cycle(final_due_on=today + timedelta(days=10), days_per_level=7)
    near = open_cycle(2012, 2, final_due_on=today + timedelta(days=3), days_per_level=7)

    def days(of):
        return [
            (report_of(unit, of).due_on or today) - today
            for unit in (province, county, Organization.objects.get(code="B"))
        ]

    assert days(cycle) == [timedelta(0), timedelta(days=10), timedelta(days=3)]
    assert days(near) == [timedelta(0), timedelta(days=3), timedelta(0)]


def test_the_previous_cycle_is_linked_and_its_facts_proposed_but_not_grades(province):
    for code in ("same", "new", "excused"):
        OrganizationFactory(code=code, name=f"{code}支部", parent=province)
    first = open_cycle(2011)
    Report.objects.get(cycle=first, code="same")
    fill(
        Report.objects.get(cycle=first, code="same"),
        deadline_text="2011年底",
        due_on=date(2011, 12, 31),
    )
    workflow.move(
        "excuse",
        Report.objects.get(cycle=first, code="excused"),
        by=system_post(province),
        reason="新建",
    )
    OrganizationFactory(code="late", name="late支部", parent=province)

    second = open_cycle(2012, previous=first)

    linked = dict(Report.objects.filter(cycle=second).values_list("code", "previous__code"))
    assert linked == {"P": "P", "same": "same", "new": "new", "excused": None, "late": None}
    entry = LedgerEntry.objects.get(report__cycle=second, report__code="same")
    assert (entry.member_count, entry.features) == (75, "1、班子团结；\n2、制度健全。")
    assert (entry.declared_grade, entry.measures, entry.due_on) == (None, None, None)
    assert "member_count" in entry.prefilled
    assert "declared_grade" not in entry.prefilled


def test_a_closed_year_keeps_the_tree_as_it_was(province):
    county = OrganizationFactory(code="C", name="县委", kind=Kind.COMMITTEE, parent=province)
    OrganizationFactory(code="B", name="支部", parent=province)
    branch = OrganizationFactory(code="M", name="移动支部", parent=province)
    OrganizationFactory(code="K", name="县支部", parent=county)
    cycle = open_cycle()
    before = copied(cycle)

    tree.move(branch, parent=county, by=system_post(province))
    branch.refresh_from_db()
    branch.name = "改名支部"
    branch.save()

    assert copied(cycle) == before
    assert Report.objects.get(code="M").name == "移动支部"


def test_a_cycle_opens_once_and_not_without_anything_to_rate(province):
    by = system_post(province)
    with pytest.raises(TransitionRefused, match="没有纳入定级的党组织"):
        open_cycle()
    assert not Cycle.objects.filter(opened_on__isnull=False).exists()

    OrganizationFactory(code="B", name="支部", parent=province)
    cycle = Cycle.objects.first() or opening.create_cycle(2012, by=by)
    opening.open_cycle(cycle, by=by)
    with pytest.raises(TransitionRefused, match="不能再次开始"):
        opening.open_cycle(cycle, by=by)
    with pytest.raises(TransitionRefused, match="已存在"):
        opening.create_cycle(cycle.year, cycle.round, by=by)

    assert Report.objects.count() == 2


def test_too_many_direct_subordinates_are_refused_with_the_remedy(province, monkeypatch):
    monkeypatch.setattr(opening, "MOST_SUBORDINATES", 2)
    for n in range(3):
        OrganizationFactory(code=f"B{n}", name=f"{n}支部", parent=province)

    with pytest.raises(TransitionRefused, match="请先分设"):
        open_cycle()

    assert Report.objects.count() == 0


def test_a_great_change_of_members_must_be_explained(province):
    OrganizationFactory(code="B", name="支部", parent=province)
    first = open_cycle(2011)
    report = Report.objects.get(cycle=first, code="B")
    fill(report, deadline_text="2011年底", due_on=date(2011, 12, 31))
    submit(report)
    accept(report)
    second = open_cycle(2012, previous=first)
    now = Report.objects.get(cycle=second, code="B")
    fill(now, member_count=20, basic_info="支部共有党员20人。", probationary_count=2)

    with pytest.raises(TransitionRefused, match="由上次的75人变为20人"):
        submit(now)

    assert Report.objects.get(pk=now.pk).state == State.DRAFT
