"""组织: the tree to look at, a level at a time, within the own scope."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orgs.choices import Kind
from tests.factories import OrganizationFactory

TREE = "/organizations/"


def test_the_tree_holds_the_own_subtree_and_the_line_upward(client, line):
    client.force_login(line.township.user)
    other = OrganizationFactory(
        code="T2", name="丙乡委", kind=Kind.COMMITTEE, parent=line.units["county"]
    )

    page = client.get(TREE).content.decode()

    assert "丙村党支部" in page
    assert "丙乡委" not in page
    assert client.get(reverse("orgs:organization", args=[other.pk])).status_code == 404
    assert client.get(reverse("orgs:branch", args=[other.pk])).status_code == 404


@pytest.mark.parametrize(
    ("query", "found"), [("q=丁村", True), ("q=B2", True), ("q=无此", False), ("q=%00", None)]
)
def test_search_by_name_short_name_and_code(client, line, query, found):
    client.force_login(line.county.user)

    page = client.get(f"{TREE}?{query}")

    assert page.status_code == 200
    if found is not None:
        assert ("丁村党支部" in page.content.decode()) is found


def test_a_branch_is_a_page_and_for_htmx_a_fragment(client, line):
    client.force_login(line.county.user)
    url = reverse("orgs:branch", args=[line.units["township"].pk])

    page = client.get(url).content.decode()
    fragment = client.get(url, headers={"HX-Request": "true"}).content.decode()

    assert "<html" in page
    assert "<html" not in fragment
    assert "丙村党支部" in page
    assert "丙村党支部" in fragment


def test_a_level_costs_the_same_queries_for_two_as_for_nine(client, line):
    client.force_login(line.county.user)
    url, counts = reverse("orgs:branch", args=[line.units["township"].pk]), []
    for n in range(2):
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        counts.append(len(queries))
        for m in range(7 * (1 - n)):
            OrganizationFactory(code=f"X{m}", name=f"{m}支部", parent=line.units["township"])

    assert counts[0] == counts[1]


def test_an_organization_shows_its_people_and_former_names(client, line):
    from orgs import services

    unit = line.units["branch"]
    services.rename(unit, name="甲县乙乡新丙村党支部", short_name="新丙村党支部", by=line.township)
    client.force_login(line.township.user)

    page = client.get(reverse("orgs:organization", args=[unit.pk])).content.decode()

    for said in ("新丙村党支部", "甲县乙乡丙村党支部", str(line.branch.user), "填报"):
        assert said in page
