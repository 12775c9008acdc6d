"""组织: the tree as it is today, by scope, one level at a time."""

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orgs.choices import Kind, Role
from orgs.models import Appointment, Organization
from orgs.views import CHILDREN

from ..factories import OrganizationFactory, UserFactory, appoint, fill, submit

TREE = reverse("orgs:tree")


def branch_of(unit):
    return reverse("orgs:branch", args=[unit.pk])


def unit_page(unit):
    return reverse("orgs:organization", args=[unit.pk])


def codes(organizations) -> list[str]:
    return [one.code for one in organizations]


def look(client, post, **params):
    client.force_login(post.user)
    return client.get(TREE, params)


@pytest.fixture
def wide(line):
    """Beside the line: another county with a township of its own."""
    other = OrganizationFactory(
        code="C2", name="中共测试省乙县委员会", kind=Kind.COMMITTEE, parent=line.units["province"]
    )
    OrganizationFactory(code="T2", name="乙县丙乡党委", kind=Kind.COMMITTEE, parent=other)
    for unit in line.units.values():
        unit.refresh_from_db()
    return line


# ---------------------------------------------------------------- scope


@pytest.mark.parametrize(
    ("who", "line_up", "children"),
    [
        ("province", [], ["C", "C2"]),
        ("county", ["P"], ["T"]),
        ("township", ["P", "C"], ["B1", "B2"]),
        ("branch", ["P", "C", "T"], []),
    ],
)
def test_the_tree_starts_at_the_own_unit_with_the_line_above(client, wide, who, line_up, children):
    page = look(client, getattr(wide, who))

    assert codes(page.context["line"]) == line_up
    assert page.context["own"].code == wide.units[who].code
    assert codes(page.context["children"]) == children


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("province", {"P", "C", "T", "B1", "B2", "C2", "T2"}),
        ("county", {"P", "C", "T", "B1", "B2"}),
        ("branch", {"P", "C", "T", "B1"}),
    ],
)
def test_an_organization_out_of_scope_does_not_exist(client, wide, who, seen):
    client.force_login(getattr(wide, who).user)

    for address in (unit_page, branch_of):
        answers = {
            unit.code: client.get(address(unit)).status_code for unit in Organization.objects.all()
        }
        assert {code for code, status in answers.items() if status == 200} == seen
        assert set(answers.values()) <= {200, 404}


def test_what_is_below_a_superior_is_shown_only_along_the_own_line(client, wide):
    """The line upward is seen, the neighbours beside it are not."""
    client.force_login(wide.branch.user)

    page = client.get(branch_of(wide.units["province"]))

    assert codes(page.context["children"]) == ["C"]
    assert "乙县" not in page.content.decode()


def test_without_a_post_there_is_no_tree(client, line):
    client.force_login(UserFactory())

    page = client.get(TREE, {"q": "村"})

    assert page.status_code == 200
    assert "您目前没有任职" in page.content.decode()
    assert "丙村" not in page.content.decode()


# ---------------------------------------------------------------- search


@pytest.mark.parametrize(
    ("who", "text", "expected"),
    [
        ("province", "村", ["B1", "B2"]),
        ("province", "乙县", ["C2", "T2"]),
        ("county", "乙县", []),
        ("county", "t", ["T"]),
        ("branch", "委员会", ["P", "C", "T"]),
        ("branch", "丁村", []),
        ("province", "%", []),
        ("province", "  ", None),
    ],
)
def test_the_search_finds_by_name_or_code_within_the_scope(client, wide, who, text, expected):
    page = look(client, getattr(wide, who), q=text)

    found = page.context.get("found")
    assert (None if found is None else codes(found)) == expected


def test_closed_organizations_are_not_found_but_shown_in_their_place(client, line):
    Organization.objects.filter(code="B2").update(closed_on=date(2012, 6, 1))

    found = look(client, line.township, q="村").context["found"]
    page = look(client, line.township)

    assert codes(found) == ["B1"]
    assert codes(page.context["children"]) == ["B1", "B2"]
    assert "已撤销" in page.content.decode()


def test_units_without_a_clerk_are_listed_from_the_own_unit_down(client, line):
    Appointment.objects.filter(organization__code="B1").update(is_ledger_clerk=True)

    found = look(client, line.township, lacking="clerk").context["found"]

    assert codes(found) == ["T", "B2"]


def test_units_with_subordinates_and_no_reviewer_are_listed(client, line):
    Appointment.objects.filter(organization__code__in=("T", "B1"), role=Role.REVIEW).delete()

    found = look(client, line.county, lacking="reviewer").context["found"]

    assert codes(found) == ["T"]


@pytest.mark.parametrize(
    "query",
    [
        "?q=%00",
        "?q=%ED%A0%80",
        "?q=" + "长" * 99,
        "?lacking=nonsense",
        "?lacking=%00",
        "?after=x",
        "?after=" + "9" * 40,
        "?q=a&before=%00&n=x",
        "?q=a&after=999999999",
        "?page=last&n=" + "9" * 40,
        "?lacking=clerk&page=last",
        "?after=²",
    ],
)
def test_an_address_that_says_nonsense_still_shows_the_tree(client, line, query):
    client.force_login(line.township.user)

    for address in (TREE, branch_of(line.units["township"]), unit_page(line.units["township"])):
        assert client.get(address + query).status_code == 200


def test_search_words_that_make_no_sense_are_named_and_left_out(client, line):
    page = look(client, line.township, q="\0", lacking="x")

    assert page.context["filters"].ignored == ["查找", "只看"]
    assert codes(page.context["children"]) == ["B1", "B2"]
    assert "以下筛选条件无效，没有采用：查找、只看" in page.content.decode()


# ---------------------------------------------------------------- one level at a time


def test_a_level_is_fetched_as_a_fragment_and_stands_alone_as_a_page(client, line):
    client.force_login(line.county.user)
    address = branch_of(line.units["township"])

    fragment = client.get(address, headers={"HX-Request": "true"})
    page = client.get(address)

    assert "<html" not in fragment.content.decode()
    assert "<html" in page.content.decode()
    for answer in (fragment, page):
        assert "HX-Request" in answer["Vary"]
        assert codes(answer.context["children"]) == ["B1", "B2"]
        assert "丙村党支部" in answer.content.decode()
    assert codes(page.context["line"]) == ["P", "C"]


def test_the_tree_holds_one_level_and_an_address_for_the_next(client, line):
    text = look(client, line.province).content.decode()

    assert branch_of(line.units["county"]) in text
    assert line.units["township"].short_name not in text


@pytest.fixture
def broad(line):
    """A township with more branches than fit on a page."""
    town = OrganizationFactory(
        name="大乡党委", code="M", kind=Kind.COMMITTEE, parent=line.units["county"]
    )
    for n in range(CHILDREN_SHOWN + 2):
        OrganizationFactory(name=f"第{n}村党支部", code=f"M{n}", parent=town)
    town.refresh_from_db()
    line.town = town
    return line


CHILDREN_SHOWN = 3


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    assert CHILDREN == 200
    monkeypatch.setattr("orgs.views.CHILDREN", CHILDREN_SHOWN)


def test_many_subordinates_are_paged(client, broad):
    client.force_login(appoint(broad.town).user)
    for address in (TREE, branch_of(broad.town), unit_page(broad.town)):
        first = client.get(address)
        second = client.get(address + first.context["pages"]["next"])
        back = client.get(address + second.context["pages"]["previous"])

        assert codes(first.context["children"]) == ["M0", "M1", "M2"]
        assert codes(second.context["children"]) == ["M3", "M4"]
        assert codes(back.context["children"]) == ["M0", "M1", "M2"]


def test_a_fragment_of_many_leads_to_the_page(client, broad):
    client.force_login(broad.county.user)

    text = client.get(branch_of(broad.town), headers={"HX-Request": "true"}).content.decode()

    assert f'<a href="{branch_of(broad.town)}">下级较多，分页查看</a>' in text


def test_search_pages_keep_the_words(client, line):
    for n in range(51):
        OrganizationFactory(name=f"寻找{n}村党支部", code=f"S{n}", parent=line.units["township"])
    line.units["township"].refresh_from_db()

    first = look(client, line.township, q="寻找")
    second = client.get(TREE + first.context["pages"]["next"])

    assert [len(page.context["found"]) for page in (first, second)] == [50, 1]


# ---------------------------------------------------------------- one organization


def test_an_organization_shows_its_people_by_name_with_every_role(client, line):
    user = UserFactory(full_name="欧阳小红")
    appoint(line.units["branch"], Role.FILL, Role.READ, user=user)
    former = appoint(line.units["branch"], Role.FILL, user=UserFactory(full_name="离任者"))
    former.user.appointments.update(ended_on=date(2012, 1, 1))
    user.appointments.filter(role=Role.FILL).update(is_ledger_clerk=True)
    client.force_login(line.township.user)

    page = client.get(unit_page(line.units["branch"]))

    people = {person["name"]: person for person in page.context["people"]}
    assert set(people) == {"欧阳小红", line.branch.user.full_name}
    assert people["欧阳小红"]["clerk"]
    assert set(people["欧阳小红"]["roles"]) == {"填报", "查阅"}
    assert "没有台账专人" not in page.content.decode()


def test_an_organization_shows_its_former_names(client, line):
    line.units["branch"].former_names.create(
        name="甲县乙乡旧村党支部", short_name="旧村党支部", ended_on=date(2011, 5, 1)
    )
    client.force_login(line.branch.user)

    text = client.get(unit_page(line.units["branch"])).content.decode()

    assert "甲县乙乡旧村党支部（旧村党支部），用至 2011年5月1日" in text


def test_what_hangs_on_a_node_is_told_as_far_as_it_is_seen(client, line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    appoint(line.units["branch"], user=line.township.user)

    def told(post, unit):
        client.force_login(post.user)
        children = client.get(branch_of(line.units[unit])).context["children"]
        return [
            (
                node.code,
                node.people_count,
                [(one["text"], one["record"] and one["record"].state) for one in node.hanging],
            )
            for node in children
        ]

    branches = [("B1", 2, [("", "submitted")]), ("B2", 1, [("", "draft")])]
    unseen = [("B1", 2, [("", None)]), ("B2", 1, [("", None)])]
    assert told(line.township, "township") == branches
    assert told(line.county, "township") == unseen
    assert told(line.county, "county") == [("T", 1, [("应定级 2 个", "draft")])]
    assert told(line.branch, "county") == [("T", 1, [])]


@pytest.mark.parametrize("name", ["tree", "branch", "organization"])
def test_queries_do_not_grow_with_subordinates(client, line, name):
    used = []
    for count in (1, 3):
        town = OrganizationFactory(
            name=f"第{count}乡党委", kind=Kind.COMMITTEE, parent=line.units["county"]
        )
        for n in range(count):
            below = OrganizationFactory(
                name=f"第{count}乡第{n}党总支", kind=Kind.GENERAL_BRANCH, parent=town
            )
            appoint(OrganizationFactory(name="一支部", parent=below))
        town.refresh_from_db()
        client.force_login(appoint(town).user)
        address = TREE if name == "tree" else reverse(f"orgs:{name}", args=[town.pk])
        with CaptureQueriesContext(connection) as queries:
            page = client.get(address)
        assert len(page.context["children"]) == count
        used.append(len(queries))

    assert used[0] == used[1]


def test_pages_of_the_tree_change_nothing(client, line):
    client.force_login(line.township.user)

    for address in (TREE, branch_of(line.units["branch"]), unit_page(line.units["branch"])):
        assert client.post(address, {"name": "伪造"}).status_code == 405
