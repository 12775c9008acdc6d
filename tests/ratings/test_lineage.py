"""Which row of the cycle before a row goes on from, and what is shown of the others."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.trail import WithoutUnit
from orgs import changes, services, tree
from orgs.choices import ChangeKind, Kind, PartRole
from orgs.models import OrgChange, OrgChangePart
from ratings import lineage, workflow
from ratings.choices import CycleState, Grade, Origin
from ratings.models import Cycle, LedgerEntry, Report
from tests import factories
from tests.factories import OrganizationFactory, appoint, fill, hand_up, report_of, submit

pytestmark = pytest.mark.django_db


def record(kind, organization, *parts, at=None):
    role = PartRole.SOURCE if kind == ChangeKind.MERGE else PartRole.PRODUCT
    change = OrgChange.objects.create(
        kind=kind,
        organization=organization,
        effective_on=date(2012, 12, 1),
        at=at or timezone.now(),
    )
    OrgChangePart.objects.bulk_create(
        OrgChangePart(change=change, organization=part, role=role) for part in parts
    )


def close(organization):
    organization.refresh_from_db()
    organization.closed_on = date(2012, 12, 1)
    organization.save()


def next_cycle(line):
    return factories.open_cycle(2012, 2, previous=line.cycle)


def told(organization, cycle):
    report = report_of(organization, cycle)
    former = set(report.former.values_list("code", flat=True))
    return report.previous and report.previous.code, report.origin, report.origin_text, former


@pytest.fixture
def merged(line):
    """The branch and its sibling, reviewed, become one."""
    hand_up(line.of("branch"))
    hand_up(line.of("sibling"), grade=Grade.AVERAGE, reason="据实", target=Grade.FAIRLY_GOOD)
    new = OrganizationFactory(code="M", name="合并党支部", parent=line.units["township"])
    record(ChangeKind.MERGE, new, line.units["branch"], line.units["sibling"])
    close(line.units["branch"])
    close(line.units["sibling"])
    return new


def test_a_branch_that_was_renamed_moved_or_upgraded_goes_on(line):
    by, branch = WithoutUnit(), line.units["branch"]
    services.rename(branch, name="甲县新名党支部", short_name="新名党支部", by=by)
    branch.refresh_from_db()
    branch.kind = Kind.GENERAL_BRANCH
    branch.save()
    tree.move(branch, parent=line.units["county"], by=by)

    assert told(branch, next_cycle(line)) == ("B1", "", "", set())


def test_a_merged_branch_goes_on_from_none_and_names_those_it_was_made_of(line, merged):
    names = "、".join(line.units[name].short_name for name in ("branch", "sibling"))

    cycle = next_cycle(line)

    assert told(merged, cycle) == (None, Origin.MERGED, f"由{names}合并", {"B1", "B2"})
    entry = LedgerEntry.objects.get(report=report_of(merged, cycle))
    assert (entry.prefilled, entry.member_count) == ([], None)


def test_one_that_takes_another_in_is_made_of_both(line):
    branch, sibling = line.units["branch"], line.units["sibling"]
    record(ChangeKind.MERGE, branch, sibling)
    close(sibling)

    text = f"由{branch.short_name}、{sibling.short_name}合并"
    assert told(branch, next_cycle(line)) == (None, Origin.MERGED, text, {"B1", "B2"})


def test_what_was_merged_twice_names_the_last_and_shows_all(line, merged):
    other = OrganizationFactory(code="N", name="再合并党支部", parent=line.units["township"])
    record(ChangeKind.MERGE, other, merged)
    close(merged)

    found = told(other, next_cycle(line))

    assert found == (None, Origin.MERGED, f"由{merged.short_name}合并", {"B1", "B2"})


def test_both_sides_of_a_split_go_on_from_none(line):
    branch = line.units["branch"]
    product = OrganizationFactory(code="S", name="分设党支部", parent=line.units["township"])
    record(ChangeKind.SPLIT, branch, product)

    cycle = next_cycle(line)

    assert told(branch, cycle) == (None, Origin.SPLIT, f"分设出{product.short_name}", {"B1"})
    assert told(product, cycle) == (None, Origin.SPLIT, f"由{branch.short_name}分设", {"B1"})


def test_a_part_of_a_merger_that_was_reopened_goes_on_from_none(line):
    branch, sibling = line.units["branch"], line.units["sibling"]
    record(ChangeKind.MERGE, branch, sibling)

    text = f"曾并入{branch.short_name}，后恢复"
    assert told(sibling, next_cycle(line)) == (None, Origin.MERGED, text, {"B2"})


def test_a_merger_before_the_cycle_before_parts_nothing(line):
    branch, sibling = line.units["branch"], line.units["sibling"]
    record(ChangeKind.MERGE, branch, sibling, at=line.cycle.opened_at - timedelta(minutes=1))

    assert told(branch, next_cycle(line)) == ("B1", "", "", set())


def test_new_and_excused_ones_say_so(line):
    workflow.move("excuse", line.of("branch"), by=line.township, reason="停产整顿")
    old = OrganizationFactory(code="O", name="旧有党支部", parent=line.units["township"])
    new = OrganizationFactory(
        code="N", name="新建党支部", parent=line.units["township"], opened_on=timezone.localdate()
    )

    cycle = next_cycle(line)

    excused = (None, Origin.EXCUSED, "上期免报：停产整顿", set())
    assert told(line.units["branch"], cycle) == excused
    assert told(new, cycle) == (None, Origin.NEW, "新建", set())
    assert told(old, cycle) == (None, Origin.NEW, "上期未纳入", set())
    assert told(line.units["sibling"], cycle) == ("B2", "", "", set())


def test_the_first_cycle_has_no_origins(line):
    assert set(Report.objects.values_list("origin", "origin_text")) == {("", "")}


def test_one_that_is_taken_in_in_mid_cycle_is_new(line):
    cycle = next_cycle(line)
    Cycle.objects.filter(pk=line.cycle.pk).update(state=CycleState.CLOSED)
    ground = changes.Ground(date(2012, 12, 1), "1号")
    values = {"code": "N", "name": "新建党支部", "kind": Kind.BRANCH}
    made = changes.create(line.units["township"], ground=ground, by=line.province, **values)

    report = report_of(made.organization, cycle)
    assert (report.origin, report.origin_text) == (Origin.NEW, "新建")


def test_a_change_in_mid_cycle_parts_those_it_concerns_alone(line):
    cycle = next_cycle(line)
    branch, sibling = line.units["branch"], line.units["sibling"]
    record(ChangeKind.MERGE, branch, sibling)

    lineage.link(cycle, among=[branch.pk])
    lineage.link(cycle, among=[branch.pk])

    assert told(branch, cycle)[1:2] == (Origin.MERGED,)
    assert told(branch, cycle)[3] == {"B1", "B2"}
    assert told(sibling, cycle) == ("B2", "", "", set())


def test_the_number_of_statements_does_not_depend_on_the_mergers(line):
    counts = []
    for size in (1, 4):
        for n in range(size):
            new = OrganizationFactory(
                code=f"M{size}{n}", name=f"{size}{n}支部", parent=line.units["township"]
            )
            record(ChangeKind.MERGE, new, line.units["branch"])
        with CaptureQueriesContext(connection) as queries:
            factories.open_cycle(2013, size, previous=line.cycle)
        counts.append(len(queries))

    assert counts[0] == counts[1]


@pytest.mark.parametrize("page", ["report", "fill", "review"])
def test_the_old_rows_of_a_merged_branch_are_shown_and_not_proposed(client, line, merged, page):
    cycle = next_cycle(line)
    report = report_of(merged, cycle)
    post = line.township if page == "review" else appoint(merged)
    if page == "review":
        fill(report)
        submit(report)
    client.force_login(post.user)

    text = client.get(reverse(f"ratings:{page}", args=[report.pk])).content.decode()

    assert "来源：合并" in text
    for name in ("branch", "sibling"):
        assert f"{line.of(name).name}（{line.cycle}）" in text


def test_a_report_shows_its_grades_over_all_cycles(client, line, django_assert_max_num_queries):
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    cycle = next_cycle(line)
    report = report_of(line.units["branch"], cycle)
    hand_up(report, grade=Grade.GOOD, reason="据实")
    client.force_login(line.branch.user)

    with django_assert_max_num_queries(60):
        page = client.get(reverse("ratings:report", args=[report.pk]))

    rows = page.context["line"]["rows"]
    assert [(row["cycle"], row["reviewed"], row["word"]) for row in rows] == [
        (line.cycle.title, Grade.FAIRLY_GOOD, ""),
        (cycle.title, Grade.GOOD, "晋位"),
    ]
    assert len(page.context["line"]["reviewed_lines"]) == 1
    assert f"{line.cycle.title}审核为较好，{cycle.title}审核为好" in page.content.decode()


def test_a_draft_of_a_later_cycle_is_seen_by_who_may_see_it(client, line):
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    cycle = next_cycle(line)
    fill(report_of(line.units["branch"], cycle))
    client.force_login(line.county.user)  # to whom the township has not reported in this cycle

    page = client.get(reverse("ratings:report", args=[line.of("branch").pk]))

    assert page.context["line"] is None
