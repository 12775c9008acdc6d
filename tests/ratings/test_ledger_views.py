"""台账: rows the post may see, filtered, searched, grouped and paged."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orgs.choices import Kind
from ratings import services, sight, workflow
from ratings.choices import Grade
from ratings.models import Report
from ratings.views.ledger import clean_path

from .. import factories
from ..factories import OrganizationFactory, accept, appoint, fill, hand_up, report_of, submit


def address(line, query=""):
    return reverse("ratings:ledger", args=[line.cycle]) + query


@pytest.fixture
def reported(line):
    """Accepted by the township: 较好 reviewed 一般, and 好; the county has both."""
    fill(line.of("branch"))
    submit(line.of("branch"))
    accept(line.of("branch"), grade="average", reason="成效不明显", target=Grade.FAIRLY_GOOD)
    hand_up_good(line.of("sibling"))
    hand_up(line.of("township"))
    return line


def hand_up_good(report):
    fill(report, declared_grade=Grade.GOOD, proposed_target=Grade.GOOD)
    submit(report)
    accept(report)


@pytest.fixture
def corrected(reported):
    hand_up(reported.of("county"))
    services.open_correction(
        issuer=reported.of("province"),
        rows=[reported.of("branch")],
        fields=["secretary_name", "declared_grade"],
        number="1号",
        reason="核",
        by=reported.province,
    )
    services.save_row(
        reported.of("branch"),
        {"secretary_name": "新书记", "declared_grade": Grade.POOR},
        by=reported.branch,
    )
    return reported


def page_of(client, line, who, **filters):
    client.force_login(getattr(line, who).user)
    return client.get(address(line), filters)


def codes(page) -> list[str]:
    return [row["report"].code for group in page.context["groups"] for row in group["rows"]]


def cells(page, code) -> list[str]:
    """What a row's cells say in the compact table: texts, grades as their keys."""
    rows = {row["report"].code: row for group in page.context["groups"] for row in group["rows"]}
    return [cell["grade"] or cell["text"] for cell in rows[code]["cells"]]


# ---------------------------------------------------------------- which rows, under which headings


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("branch", ["B1"]),
        ("township", ["B1", "B2"]),
        ("county", ["B1", "B2"]),
        ("province", []),
    ],
)
def test_the_ledger_holds_what_is_below_and_has_come_up(client, reported, who, expected):
    assert codes(page_of(client, reported, who)) == expected


def test_a_ledger_in_which_nothing_has_come_up_says_so(client, reported):
    page = page_of(client, reported, "province")

    assert "还没有可以查看的台账行" in page.content.decode()


def test_a_rated_unit_with_subordinates_is_not_in_its_own_ledger(client, line):
    general = OrganizationFactory(
        name="大总支",
        code="G",
        kind=Kind.GENERAL_BRANCH,
        is_rated=True,
        parent=line.units["county"],
    )
    OrganizationFactory(name="一支部", code="G1", parent=general)
    cycle = factories.open_cycle(2012, 2)
    general.refresh_from_db()
    client.force_login(appoint(general).user)

    own = client.get(reverse("ratings:ledger", args=[cycle]))
    client.force_login(line.county.user)
    above = client.get(reverse("ratings:ledger", args=[cycle]))

    assert codes(own) == ["G1"]
    assert "本级自己的台账行不列入下级台账" in own.content.decode()
    assert codes(above) == ["G"]


def test_rows_stand_under_the_direct_subordinate_they_belong_to(client, line):
    """As in the sheets: a heading for each township, “直接下级” for what has nothing below it."""
    county = line.units["county"]
    OrganizationFactory(name="机关党支部", code="D1", parent=county)
    other = OrganizationFactory(name="丙乡党委", code="T2", kind=Kind.COMMITTEE, parent=county)
    OrganizationFactory(name="丙乡一支部", code="B3", parent=other)
    cycle = factories.open_cycle(2012, 2)
    for code in ("B1", "B2", "B3", "D1", "T", "T2"):
        hand_up(Report.objects.select_related("cycle", "parent").get(cycle=cycle, code=code))
    client.force_login(line.county.user)

    page = client.get(reverse("ratings:ledger", args=[cycle]))

    groups = page.context["groups"]
    assert [(g["name"], [row["report"].code for row in g["rows"]]) for g in groups] == [
        (line.units["township"].short_name, ["B1", "B2"]),
        ("直接下级", ["D1"]),
        (other.short_name, ["B3"]),
    ]


def test_neighbours_of_one_short_name_keep_headings_of_their_own(client, line):
    county = line.units["county"]
    for code in ("X1", "X2"):
        town = OrganizationFactory(
            name=f"城关镇{code}", short_name="城关镇", code=code, kind=Kind.COMMITTEE, parent=county
        )
        OrganizationFactory(name=f"{code}支部", code=f"{code}B", parent=town)
    cycle = factories.open_cycle(2012, 2)
    for code in ("X1B", "X2B", "X1", "X2"):
        hand_up(Report.objects.select_related("cycle", "parent").get(cycle=cycle, code=code))
    client.force_login(line.county.user)

    groups = client.get(reverse("ratings:ledger", args=[cycle])).context["groups"]

    assert [(g["name"], len(g["rows"])) for g in groups] == [("城关镇", 1), ("城关镇", 1)]


def test_a_list_of_branches_alone_has_no_headings(client, reported):
    groups = page_of(client, reported, "township").context["groups"]

    assert [group["name"] for group in groups] == [""]


def test_the_full_view_has_the_sixteen_columns_under_two_heads(client, reported):
    page = page_of(client, reported, "township", view="full")

    head = page.context["head"]
    first = [cell["label"] for cell in head["first"]]
    assert len(cells(page, "B1")) == 15
    assert sum(cell["span"] or 1 for cell in head["first"]) == 15
    assert [first[2], first[-1]] == ["党组织情况", "整改情况"]
    assert "支部共有党员75人" in page.content.decode()
    assert 'name="view" value="full"' in page.content.decode()


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"declared": "good"}, ["B2"]),
        ({"reviewed": "average"}, ["B1"]),
        ({"declared": "fairly_good", "reviewed": "average"}, ["B1"]),
        ({"declared": "good", "reviewed": "average"}, []),
        ({"category": "村"}, ["B1", "B2"]),
        ({"category": "社区"}, []),
        ({"state": "accepted"}, ["B1", "B2"]),
        ({"state": "draft"}, []),
        ({"q": "丁村"}, ["B2"]),
        ({"q": "b1"}, ["B1"]),
        ({"q": "%"}, []),
        ({"overdue": "on"}, []),
    ],
)
def test_the_ledger_is_narrowed_from_its_address(client, reported, filters, expected):
    assert codes(page_of(client, reported, "county", **filters)) == expected


def test_the_ledger_is_narrowed_to_a_unit_at_any_depth(client, reported):
    by_township = page_of(client, reported, "county", unit=reported.of("township").pk)
    by_branch = page_of(client, reported, "county", unit=reported.of("sibling").pk)

    assert codes(by_township) == ["B1", "B2"]
    assert codes(by_branch) == ["B2"]
    assert by_branch.context["filters"].ignored == []


def test_a_unit_out_of_sight_is_no_choice(client, reported):
    page = page_of(client, reported, "township", unit=reported.of("county").pk)

    assert page.context["filters"].ignored == ["单位"]
    assert codes(page) == ["B1", "B2"]


def test_the_late_ones_can_be_picked_out(client, line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    day = timezone.localdate() - timedelta(days=1)
    Report.objects.filter(pk=line.of("township").pk).update(below_due_on=day)

    assert codes(page_of(client, line, "township", overdue="on")) == ["B2"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"state": "draft"}, []),
        ({"state": "accepted"}, []),
        ({"state": "excused"}, ["B1", "B2"]),
        ({"declared": "fairly_good"}, []),
        ({"overdue": "on"}, []),
    ],
)
def test_what_lies_under_an_excused_unit_is_found_as_excused_alone(client, line, filters, expected):
    hand_up(line.of("branch"))
    workflow.move("excuse", line.of("township"), by=line.county, reason="划出")
    hand_up(line.of("county"))
    Report.objects.filter(code__in=("C", "T")).update(
        below_due_on=timezone.localdate() - timedelta(days=1)
    )

    page = page_of(client, line, "province", **filters)

    assert codes(page) == expected


def test_an_excused_row_shows_its_reason_and_no_values(client, line):
    fill(line.of("branch"))
    workflow.move("excuse", line.of("branch"), by=line.township, reason="整体划出")

    page = page_of(client, line, "township")

    (group,) = page.context["groups"]
    assert group["rows"][0]["cells"] is None
    assert "免报：整体划出" in page.content.decode()
    assert "书记B1" not in page.content.decode()


BAD = [
    "?after=x",
    "?after=%00",
    "?after=" + "9" * 80,
    "?after=00010001000100020003",
    "?before=123",
    "?before=0001&after=0001&page=last&n=x",
    "?n=" + "9" * 40,
    "?page=-1",
    "?unit=" + "9" * 40,
    "?unit=%00&state=%00&declared=%00&category=%00",
    "?state=nonsense&reviewed=%E4%BC%98%E7%A7%80",
    "?q=%00",
    "?q=%ED%A0%80",
    "?q=%FF%FE",
    "?q=" + "长" * 99,
    "?view=%00",
    "?after=²²²²",
    "?unit=1&unit=2&q=a&q=%00",
    "?q='%22%25_%5C",
]


@pytest.mark.parametrize("query", BAD)
@pytest.mark.parametrize("who", ["county", "branch"])
def test_an_address_that_says_nonsense_still_shows_the_ledger(client, reported, who, query):
    client.force_login(getattr(reported, who).user)

    assert client.get(address(reported, query)).status_code == 200


def test_filters_that_make_no_sense_are_named_and_left_out(client, reported):
    page = page_of(client, reported, "county", state="nonsense", declared="优秀", q="\0")

    assert page.context["filters"].ignored == ["申报等次", "状态", "查找"]
    assert codes(page) == ["B1", "B2"]
    assert "以下筛选条件无效，没有采用：申报等次、状态、查找" in page.content.decode()


# ---------------------------------------------------------------- under correction


def test_a_row_under_correction_shows_what_was_handed_up_to_those_above(client, corrected):
    old, new = f"书记{corrected.of('branch').code}", "新书记"

    shown = {
        who: cells(page_of(client, corrected, who), "B1")[0]
        for who in ("branch", "township", "county", "province")
    }

    assert shown == {"branch": new, "township": new, "county": old, "province": old}


def test_a_row_under_correction_is_marked_and_not_found_by_its_new_grade(client, corrected):
    page = page_of(client, corrected, "province")
    (group,) = page.context["groups"]

    assert [row["mark"] for row in group["rows"]] == [sight.CORRECTING, ""]
    assert cells(page, "B1")[2:4] == ["fairly_good", "average"]
    assert codes(page_of(client, corrected, "province", declared="poor")) == []
    assert codes(page_of(client, corrected, "township", declared="poor")) == ["B1"]


# ---------------------------------------------------------------- pages


@pytest.fixture
def many(line):
    """A township with 120 branches in a cycle of its own."""
    town = OrganizationFactory(
        name="大乡党委", code="M", kind=Kind.COMMITTEE, parent=line.units["county"]
    )
    for n in range(120):
        OrganizationFactory(name=f"第{n:03}村党支部", code=f"M{n:03}", parent=town)
    town.refresh_from_db()
    line.cycle = factories.open_cycle(2012, 2)
    line.town = appoint(town)
    return line


def test_pages_follow_each_other_forth_and_back_with_their_filters(client, many):
    client.force_login(many.town.user)

    def go(page, link):
        return client.get(address(many) + page.context["pages"][link])

    def numbers(page):
        return [int(code[1:]) for code in codes(page)]

    first = client.get(address(many, "?state=draft&view=full"))
    second = go(first, "next")
    third = go(second, "next")
    back = go(third, "previous")
    last = go(first, "last")
    before_last = go(last, "previous")
    home = go(third, "first")

    assert numbers(first) == list(range(50))
    assert numbers(second) == numbers(back) == list(range(50, 100))
    assert numbers(third) == list(range(100, 120))
    assert numbers(last) == list(range(70, 120))
    assert numbers(before_last) == list(range(20, 70))
    assert numbers(home) == numbers(first)
    texts = [page.context["pages"]["text"] for page in (first, second, third, last, back)]
    assert texts == [
        "第 1 页，本页 50 条",
        "第 2 页，本页 50 条",
        "末页，本页 20 条",
        "末页，本页 50 条",
        "第 2 页，本页 50 条",
    ]
    parts = [page.context["pages"]["part"] for page in (first, second, third, last)]
    assert parts == ["第 1—50 条", "第 51—100 条", "第 101—120 条", "末页，本页 50 条"]
    printed = "这里只是其中一页（第 51—100 条），其余请翻页打印，全部请下载附件。"
    assert printed in second.content.decode()
    for page in (first, second, third):
        for link in ("first", "previous", "next", "last"):
            asked = page.context["pages"][link]
            assert not asked or "state=draft&view=full" in asked
    assert (first.context["pages"]["previous"], third.context["pages"]["next"]) == ("", "")


def test_an_address_behind_the_last_row_shows_the_last_page(client, many):
    client.force_login(many.town.user)
    end = report_of(many.town.organization, many.cycle).path + "9999"

    page = client.get(address(many, f"?after={end}&n=4"))

    assert codes(page)[-1] == "M119"
    assert page.context["pages"]["previous"]


def test_a_page_before_the_first_row_is_the_first_page(client, many):
    client.force_login(many.town.user)

    page = client.get(address(many, "?before=0001"))

    assert codes(page)[0] == "M000"
    assert page.context["pages"]["previous"] == ""


def test_queries_do_not_grow_with_the_rows(client, line):
    used = []
    towns = []
    for count in (1, 4):
        towns.append(
            OrganizationFactory(
                name=f"第{count}乡党委", kind=Kind.COMMITTEE, parent=line.units["county"]
            )
        )
        for n in range(count):
            OrganizationFactory(name=f"第{count}乡第{n}党支部", parent=towns[-1])
    cycle = factories.open_cycle(2012, 2)
    for town, count in zip(towns, (1, 4), strict=True):
        town.refresh_from_db()
        client.force_login(appoint(town).user)
        with CaptureQueriesContext(connection) as queries:
            page = client.get(reverse("ratings:ledger", args=[cycle]), {"view": "full"})
        assert len(codes(page)) == count
        used.append(len(queries))

    assert used[0] == used[1]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("00010002", "00010002"),
        ("0001" * 16, "0001" * 16),
        ("0001" * 17, None),
        ("123", None),
        ("", None),
        (None, None),
        ("²²²²", None),
        ("०००१", None),
        ("0001\0", None),
    ],
)
def test_a_path_of_an_address_is_believed_only_as_one(text, path):
    assert clean_path(text) == path
