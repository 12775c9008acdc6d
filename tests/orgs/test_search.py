"""Organizations are found by whatever people know of them, among what they may see."""

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import F, Value
from django.urls import reverse

from ledger_site.base.trail import WithoutUnit
from orgs import services, tree
from orgs.choices import Kind
from orgs.models import Organization, SearchText
from orgs.names import initials_of
from orgs.querysets import Grams, Holds
from ratings.models import Report
from tests.factories import (
    OrganizationFactory,
    accept,
    appoint,
    fill,
    open_cycle,
    report_of,
    submit,
)


@pytest.fixture
def village(db):
    root = OrganizationFactory(code="43", name="中共测试省委员会", kind=Kind.COMMITTEE)
    return OrganizationFactory(code="43AB1", name="土市乡土市村党支部", parent=root)


def found(text):
    return set(Organization.objects.found_by(text).values_list("code", flat=True))


@pytest.mark.parametrize(
    "text", ["土市村", "土市乡土市村", "村党", "43A", "43ab", "tsc", "TSCDZB", " 土市村 ", "乡"]
)
def test_by_part_of_the_name_code_and_initials_in_any_case(village, text):
    assert found(text) == {"43AB1"}


@pytest.mark.parametrize("text", ["", " ", "土村", "scd村", "%", "_", "''"])
def test_nothing_else_is_found(village, text):
    assert found(text) == set()


def test_a_renamed_one_is_found_by_both_names(village):
    services.rename(village, name="南风村党支部", short_name="南风村党支部", by=WithoutUnit())

    assert found("土市") == found("南风") == found("nfc") == {"43AB1"}


def test_a_bulk_load_derives_the_initials(village):
    line = tree.Line("43AB2", "43", "毛俊村党支部", Kind.BRANCH)

    tree.load([line], by=WithoutUnit())

    assert found("mjc") == {"43AB2"}


@pytest.mark.parametrize(
    ("name", "initials"), [("土市村党支部", "tscdzb"), ("A1 村𠀀", "a1 ch"), ("", "")]
)
def test_initials(name, initials):
    assert initials_of(name) == initials


def test_the_reports_of_a_cycle_are_found_by_the_same(village):
    open_cycle()

    assert [report.code for report in Report.objects.named("tsc")] == ["43AB1"]


@pytest.mark.postgresql
def test_a_search_looks_at_no_more_than_the_index_gives(db):
    OrganizationFactory(code="43", name="中共测试省委员会", kind=Kind.COMMITTEE)
    lines = [tree.Line(f"43{n}", "43", f"第{n}村党支部", Kind.BRANCH) for n in range(9000)]
    tree.load(lines, by=WithoutUnit())
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orgs_searchtext")
    texts = SearchText.objects.filter(Holds(Grams(F("text")), Grams(Value("第4321村"))))
    plan = texts.explain()

    assert "search_grams" in plan
    assert "Seq Scan" not in plan


def test_the_migration_fills_what_was_there_before(village):
    services.rename(village, name="南风村党支部", short_name="南风村党支部", by=WithoutUnit())
    SearchText.objects.all().delete()
    Organization.objects.update(initials="")

    import_module("orgs.migrations.0003_search").fill(apps, None)

    assert SearchText.objects.count() == Organization.objects.count()
    assert found("土市") == found("南风") == found("nfc") == found("43ab") == {"43AB1"}


@pytest.fixture
def hidden(line):
    """What the county may not see: a branch of another county, reported up to that one."""
    county = OrganizationFactory(
        code="X", name="中共测试省乙县委员会", kind=Kind.COMMITTEE, parent=line.units["province"]
    )
    branch = OrganizationFactory(code="XB7", name="旧密村党支部", parent=county)
    services.rename(branch, name="新隐村党支部", short_name="新隐村党支部", by=WithoutUnit())
    line.cycle = open_cycle(2012, 2)
    line.other = appoint(county)
    line.hidden = report_of(branch, line.cycle)
    fill(line.hidden, support_unit="县林业局")
    submit(line.hidden)
    accept(line.hidden)
    return line


@pytest.mark.parametrize("text", ["新隐村", "旧密", "xyc", "xb7", "村"])
def test_no_list_finds_what_is_outside_the_scope(client, hidden, text):
    label, key = hidden.cycle.label, hidden.hidden.pk
    pages = [
        reverse("orgs:tree") + f"?q={text}",
        reverse("ratings:ledger", args=[label]) + f"?q={text}",
        reverse("ratings:queue", args=[label]) + f"?q={text}",
    ]
    unsearched = [
        reverse("ratings:ledger", args=[label]) + f"?unit={key}",
        reverse("rectification:list", args=[label]) + f"?unit={key}",
        reverse("rectification:list", args=[label]) + "?helper=林业局",
    ]

    def seen(post):
        client.force_login(post.user)
        answers = [client.get(page) for page in pages + unsearched]
        assert {answer.status_code for answer in answers} == {200}
        return [
            "新隐村" in answer.content.decode().replace(f'value="{text}"', "") for answer in answers
        ]

    assert seen(hidden.other) == [True] * 6
    assert seen(hidden.county) == seen(hidden.township) == [False] * 6
