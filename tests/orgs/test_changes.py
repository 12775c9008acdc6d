"""组织变动: its services and pages; what open cycles make of it is told in tests/ratings."""

from datetime import date, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.models import AuditEvent
from ledger_site.base.trail import WithoutUnit
from orgs import changes, tree
from orgs.choices import ChangeKind, Kind, PartRole, Role
from orgs.models import Appointment, Category, FormerName, Organization, OrgChange
from orgs.tree import StructureError
from tests.factories import OrganizationFactory, appoint

pytestmark = pytest.mark.django_db

GROUND = changes.Ground(date(2012, 5, 1), "测发〔2012〕3号", "区划调整")
ENTERED = {"effective_on": "2012-05-01", "document_number": "测发〔2012〕3号", "reason": ""}
NEW = {"code": "B3", "name": "甲县乙乡戊村党支部", "kind": Kind.BRANCH}


def address(kind, unit):
    return reverse("orgs:change", args=[unit.pk, kind])


def asked(client, kind, unit, /, **entered):
    return client.post(address(kind, unit), ENTERED | entered)


def confirmed(client, kind, unit, /, **entered):
    page = asked(client, kind, unit, **entered)
    assert page.context["preview"], page.context["form"].errors
    digest = page.context["preview"].digest
    return client.post(address(kind, unit), ENTERED | entered | {"digest": digest})


@pytest.fixture
def county(client, line):
    client.force_login(line.county.user)
    return client


# ---------------------------------------------------------------- services


@pytest.mark.parametrize(
    ("ground", "said"),
    [
        (changes.Ground(date(2012, 5, 1), "  "), "文号"),
        (changes.Ground(timezone.localdate() + timedelta(days=1), "1号"), "不能晚于今天"),
    ],
)
def test_a_change_has_a_document_and_a_day(line, ground, said):
    with pytest.raises(StructureError, match=said):
        changes.close(line.units["branch"], ground=ground, by=line.county)
    assert not Organization.objects.get(code="B1").closed_on


def test_a_change_is_kept_with_what_it_changed(line):
    change = changes.rename(line.units["branch"], name="新村党支部", ground=GROUND, by=line.county)

    assert change.data["name"] == ["甲县乙乡丙村党支部", "新村党支部"]
    assert (change.unit_name, change.document_number) == (
        "中共测试省甲县委员会",
        "测发〔2012〕3号",
    )
    assert FormerName.objects.get().name == "甲县乙乡丙村党支部"
    event = AuditEvent.objects.get(action="rename")
    assert "测发〔2012〕3号" in event.reason


@pytest.mark.parametrize("name", ["township", "sibling", "branch", "province"])
def test_nobody_changes_the_own_unit_or_what_is_above_or_beside(line, name):
    with pytest.raises(StructureError, match="不在您管理的范围"):
        changes.close(line.units[name], ground=GROUND, by=getattr(line, name))


def test_who_does_not_keep_accounts_changes_nothing(line):
    reviewer = appoint(line.units["county"], Role.REVIEW, Role.FILL)
    with pytest.raises(StructureError, match="管理人员"):
        changes.close(line.units["branch"], ground=GROUND, by=reviewer)


def test_what_has_subordinates_is_not_closed(line):
    with pytest.raises(StructureError, match="还有没有撤销的下级"):
        changes.close(line.units["township"], ground=GROUND, by=line.county)


def test_closing_ends_the_posts(line):
    change = changes.close(line.units["branch"], ground=GROUND, by=line.county)

    assert change.data["ended"]
    held = Appointment.objects.filter(organization=line.units["branch"])
    assert set(held.values_list("ended_on", flat=True)) == {timezone.localdate()}


def test_names_and_codes_stay_single(line):
    said = {"ground": GROUND, "by": line.county}
    with pytest.raises(StructureError, match="同一上级下已有"):
        changes.rename(line.units["branch"], name="甲县乙乡丁村党支部", **said)
    with pytest.raises(StructureError, match="已有党组织使用"):
        changes.create(line.units["township"], **said, **(NEW | {"code": "B2"}))
    assert not OrgChange.objects.exists()


def test_parts_of_a_merger_do_not_lie_below_each_other(line):
    parts = [line.units["township"], line.units["branch"]]
    with pytest.raises(StructureError, match="在另一个要合并的党组织之下"):
        changes.merge(parts, into=parts[0], ground=GROUND, by=line.county)


def test_a_merger_and_a_split_keep_their_parts(line):
    said = {"ground": GROUND, "by": line.county}
    parts = [line.units["branch"], line.units["sibling"]]
    merged = changes.merge(parts, parent=line.units["township"], **said, **NEW)
    products = [NEW | {"code": f"N{n}", "name": f"第{n}党支部"} for n in (1, 2)]
    split = changes.split(merged.organization, products=products, closes=True, **said)

    roles = merged.parts.order_by("pk").values_list("organization__code", "role")
    assert list(roles) == [("B1", PartRole.SOURCE), ("B2", PartRole.SOURCE)]
    roles = split.parts.order_by("pk").values_list("organization__code", "role")
    assert list(roles) == [("N1", PartRole.PRODUCT), ("N2", PartRole.PRODUCT)]
    assert OrgChange.objects.concerning(parts[0]).count() == 1
    assert tree.check() == []


def test_subordinates_go_where_they_are_told_to(line):
    products = [
        NEW | {"code": f"T{n}", "name": f"第{n}乡党委", "kind": Kind.COMMITTEE} for n in (2, 3)
    ]
    changes.split(
        line.units["township"],
        products=products,
        closes=True,
        assigned={line.units["sibling"].pk: 1},
        ground=GROUND,
        by=line.county,
    )

    above = Organization.objects.in_bulk(["B1", "B2"], field_name="code")
    assert {code: one.parent.code for code, one in above.items()} == {"B1": "T2", "B2": "T3"}
    assert tree.check() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda unit, said: changes.rename(unit, name="新村党支部", **said),
        lambda unit, said: changes.reclassify(
            unit, category=Category.objects.get(code="organ"), **said
        ),
        lambda unit, said: changes.upgrade(unit, kind=Kind.GENERAL_BRANCH, is_rated=False, **said),
        lambda unit, said: changes.move(unit, parent=unit.parent.parent, **said),
        lambda unit, said: changes.close(unit, **said),
        lambda unit, said: changes.split(unit, products=[NEW], closes=False, **said),
        lambda unit, said: changes.merge(
            [unit, Organization.objects.get(code="B2")], into=unit, **said
        ),
        lambda unit, said: changes.merge(
            [unit, Organization.objects.get(code="B2")], parent=unit.parent, **said, **NEW
        ),
    ],
    ids=["rename", "reclassify", "upgrade", "move", "close", "split", "absorb", "merge"],
)
def test_each_change_is_taken_back_by_a_contrary_one(line, change):
    kept = ("name", "short_name", "category", "kind", "is_rated", "parent", "closed_on")
    below = Organization.objects.filter(code__in=["B1", "B2"]).order_by("pk")
    before = list(below.values(*kept))
    said = {"ground": GROUND, "by": line.county}

    done = change(line.units["branch"], said)
    assert list(below.values(*kept)) != before or done.kind == ChangeKind.SPLIT
    back = changes.undo(done, **said)

    assert list(below.values(*kept)) == before
    assert back.undoes == done
    assert not Organization.objects.open().filter(code="B3").exists()
    assert tree.check() == []
    with pytest.raises(StructureError, match="已经撤回"):
        changes.undo(done, **said)


def test_the_last_change_is_taken_back_first(line):
    said = {"ground": GROUND, "by": line.county}
    first = changes.rename(line.units["branch"], name="一村党支部", **said)
    changes.rename(line.units["branch"], name="二村党支部", **said)

    with pytest.raises(StructureError, match="请先撤回后来的变动"):
        changes.undo(first, **said)


def test_a_table_leaves_changes_too(line):
    specs = [
        tree.Line("B1", "C", "甲县丙村党支部", Kind.BRANCH, Category.objects.get(code="organ").pk)
    ]
    loaded = tree.load(specs, by=WithoutUnit())
    changes.note_loaded(loaded.outcomes, by=WithoutUnit())

    kinds = OrgChange.objects.filter(organization__code="B1").values_list("kind", flat=True)
    assert set(kinds) == {"move", "rename", "reclassify"}


# ---------------------------------------------------------------- looking before


def test_a_look_changes_nothing(line):
    before = list(Organization.objects.order_by("pk").values())
    parts = [line.units["branch"], line.units["sibling"]]
    preview = changes.rehearse(
        lambda: changes.merge(parts, into=parts[0], ground=GROUND, by=line.county),
        by=line.county,
    )

    said = dict(preview.sections)
    assert "并入：甲县乙乡丁村党支部" in said["涉及的党组织"]
    assert said["终止的任职"]
    assert said["批次“2012年度”"][0] == "纳入本批次"
    assert list(Organization.objects.order_by("pk").values()) == before
    assert not OrgChange.objects.exists()
    assert not AuditEvent.objects.filter(action="merge").exists()


def test_pages_ask_show_and_do(county, line):
    unit = line.units["branch"]
    page = county.get(address("rename", unit))
    assert "下一步：核对" in page.content.decode()
    page = asked(county, "rename", unit, name="甲县乙乡新村党支部")
    text = page.content.decode()
    assert "请核对后确认" in text
    assert "纳入本批次" in text
    assert not OrgChange.objects.exists()

    done = confirmed(county, "rename", unit, name="甲县乙乡新村党支部")
    change = OrgChange.objects.get()
    assert done.url == reverse("orgs:past_change", args=[change.pk])
    assert "甲县乙乡丙村党支部 → 甲县乙乡新村党支部" in county.get(done.url).content.decode()
    assert line.of("branch").name == "甲县乙乡新村党支部"


def test_what_is_not_as_it_was_shown_is_not_done(county, line):
    unit = line.units["branch"]
    digest = asked(county, "close", unit).context["preview"].digest
    appoint(unit, Role.READ)

    page = county.post(address("close", unit), ENTERED | {"digest": digest})

    assert "情况已有变化" in page.content.decode()
    assert page.context["preview"].digest != digest
    assert not OrgChange.objects.exists()


def test_back_to_the_form_keeps_what_was_entered(county, line):
    entered = ENTERED | {"name": "甲县乙乡新村党支部", "digest": "x", "back": "1"}
    page = county.post(address("rename", line.units["branch"]), entered)

    assert page.context["preview"] is None
    assert 'value="甲县乙乡新村党支部"' in page.content.decode()


@pytest.mark.parametrize(
    ("kind", "unit", "entered", "said"),
    [
        ("move", "branch", {"parent": "P9"}, "没有找到"),
        ("move", "branch", {"parent": "P"}, "没有找到"),  # above the own unit
        ("move", "township", {"parent": "B1"}, "不能移到自己或自己的下级之下"),
        ("merge", "branch", {"others": "B9\nB8", "result": "into"}, "没有找到“B8”"),
        ("merge", "branch", {"others": "B1", "result": "into"}, "至少涉及两个"),
        ("merge", "branch", {"others": "B2", "result": "new"}, "新设的党组织须填写"),
        ("split", "branch", {"code_0": "N1", "name_0": "甲", "closes": "on"}, "至少有两个"),
        ("split", "branch", {"code_0": "N1", "name_0": "甲", "code_1": "N2"}, "代码和全称都要填写"),
        ("close", "township", {}, "还有没有撤销的下级"),
        ("close", "branch", {"effective_on": "2999-01-01"}, "不能晚于今天"),
        ("close", "branch", {"document_number": ""}, "文号"),
        ("reclassify", "branch", {"category": "999"}, "领域类别"),
        ("create", "branch", {"code": "B2", "name": "甲", "kind": "branch"}, "已有党组织使用"),
        ("rename", "branch", {"name": "甲\x00乙"}, "空字符"),
    ],
)
def test_what_may_not_be_is_said_in_chinese_and_not_done(county, line, kind, unit, entered, said):
    page = asked(county, kind, line.units[unit], **entered)

    assert page.context["preview"] is None
    assert said in page.content.decode()
    assert not OrgChange.objects.exists()


def test_an_organization_is_taken_by_its_full_name(county, line):
    confirmed(county, "move", line.units["branch"], parent=" 中共测试省 甲县委员会")

    assert Organization.objects.get(code="B1").parent.code == "C"


def test_a_name_that_two_have_is_asked_for_by_its_code(county, line):
    for code, parent in (("X1", "county"), ("X2", "township")):
        OrganizationFactory(code=code, name="同名党支部", parent=line.units[parent])

    page = asked(county, "merge", line.units["branch"], others="同名党支部", result="into")

    assert "请填写代码" in page.content.decode()


def test_the_own_unit_offers_new_subordinates_only(county, line):
    page = county.get(reverse("orgs:organization", args=[line.units["county"].pk]))
    assert page.context["actions"] == [ChangeKind.CREATE]
    page = county.get(reverse("orgs:organization", args=[line.units["province"].pk]))
    assert page.context["actions"] == []


def test_what_concerns_the_own_unit_is_not_its_to_take_back(client, line):
    past = changes.rename(line.units["county"], name="新县委", ground=GROUND, by=line.province)
    client.force_login(line.county.user)

    page = client.get(reverse("orgs:past_change", args=[past.pk]))

    assert not page.context["may_undo"]
    assert client.get(reverse("orgs:undo", args=[past.pk])).status_code == 404


def test_a_merger_is_seen_from_both_sides(client, line):
    township = OrganizationFactory(code="T2", name="庚乡党委", parent=line.units["county"])
    other = OrganizationFactory(code="B9", name="辛村党支部", parent=township)
    post = appoint(township, Role.REVIEW)
    parts = [line.units["branch"], other]
    past = changes.merge(parts, into=parts[0], ground=GROUND, by=line.county)
    client.force_login(post.user)

    page = client.get(reverse("orgs:past_change", args=[past.pk]))

    assert page.status_code == 200
    assert reverse("orgs:organization", args=[parts[0].pk]) not in page.content.decode()
    # The others' states in the cycle are not this unit's to know.
    assert [lines for heading, lines in page.context["sections"] if "批次" in heading] == [
        ["纳入本批次"]
    ]


@pytest.mark.parametrize(
    ("kind", "entered", "said"),
    [
        ("rename", {"name": "坏\x07村党支部"}, "有不能显示的字符"),
        ("rename", {"name": "坏\u200b村党支部"}, "有不能显示的字符"),
        ("rename", {"name": "长" * 121}, "120"),
        ("rename", {"name": "新村党支部", "document_number": "一\x1b号"}, "有不能显示的字符"),
        ("merge", {"others": "B2\n" * 21, "result": "into"}, "一次最多填写20个，现在有21个"),
        ("merge", {"others": "B1", "result": "into"}, "至少涉及两个"),
        ("move", {"parent": "X" * 200}, "120"),
        ("move", {"parent": "坏\x00"}, "空字符"),
    ],
)
def test_what_no_list_could_show_is_refused(county, line, kind, entered, said):
    page = asked(county, kind, line.units["branch"], **entered)

    assert page.context["preview"] is None
    assert said in page.content.decode()


def test_white_space_in_a_name_is_one_space(county, line):
    confirmed(county, "rename", line.units["branch"], name="新村\r\n  党支部")

    assert Organization.objects.get(code="B1").name == "新村 党支部"
    confirmed(county, "close", line.units["sibling"])
    assert confirmed(county, "move", line.units["branch"], parent="C").status_code == 302


def test_nothing_is_closed_before_it_was_founded(line):
    made = changes.create(line.units["township"], ground=GROUND, by=line.county, **NEW).organization
    earlier = changes.Ground(date(2012, 4, 30), "测发〔2012〕2号")

    with pytest.raises(StructureError, match="2012-05-01成立，撤销日期不能更早"):
        changes.close(made, ground=earlier, by=line.county)


def test_one_named_twice_is_merged_once(county, line):
    entered = {"others": "B2\n甲县乙乡丁村党支部\nB1", "result": "into"}
    confirmed(county, "merge", line.units["branch"], **entered)

    past = OrgChange.objects.get()
    assert [part.organization.code for part in past.parts.all()] == ["B2"]


def test_a_split_may_leave_the_second_place_empty(county, line):
    entered = {"closes": "on", "code_0": "T2", "name_0": "庚乡党委"}
    entered |= {"code_2": "T3", "name_2": "辛乡党委"}
    child = f"child_{line.units['sibling'].pk}"
    page = asked(county, "split", line.units["township"], **entered, **{child: "1"})
    assert "没有填写分设的第2个" in page.content.decode()
    confirmed(county, "split", line.units["township"], **entered, **{child: "2"})

    above = Organization.objects.in_bulk(["B1", "B2"], field_name="code")
    assert {code: one.parent.code for code, one in above.items()} == {"B1": "T2", "B2": "T3"}


@pytest.mark.parametrize("kind", ["reopen", "nonsense", "undo"])
def test_what_is_not_offered_does_not_exist(county, line, kind):
    assert county.get(address(kind, line.units["branch"])).status_code == 404


def test_a_change_is_taken_back_on_its_page(county, line):
    confirmed(county, "close", line.units["branch"])
    past = OrgChange.objects.get()
    url = reverse("orgs:undo", args=[past.pk])
    digest = county.post(url, ENTERED).context["preview"].digest
    county.post(url, ENTERED | {"digest": digest})

    assert not Organization.objects.get(code="B1").closed_on
    assert "已经撤回" in county.get(reverse("orgs:past_change", args=[past.pk])).content.decode()


def test_the_list_holds_the_own_subtree_the_newest_first(client, line, django_assert_num_queries):
    said = {"ground": GROUND, "by": line.province}
    other = changes.create(line.units["province"], **said, **(NEW | {"code": "X"})).organization
    for number in range(3):
        changes.rename(line.units["branch"], name=f"第{number}次党支部", **said)
    client.force_login(line.township.user)
    page = client.get(reverse("orgs:changes"))
    assert [one.data["name"][1] for one in page.context["rows"]] == [
        "第2次党支部",
        "第1次党支部",
        "第0次党支部",
    ]
    assert other.name not in page.content.decode()
    page = client.get(reverse("orgs:changes"), {"kind": "move"})
    assert page.context["rows"] == []


def test_terms_that_end_are_listed(county, line):
    days = {"branch": -1, "sibling": 30, "township": 400}
    for name, number in days.items():
        day = timezone.localdate() + timedelta(days=number)
        url = reverse("orgs:term", args=[line.units[name].pk])
        county.post(url, {"term_ends_on": day.isoformat()})

    page = county.get(reverse("orgs:terms"))

    assert [one.code for one in page.context["rows"]] == ["B1", "B2"]
    assert AuditEvent.objects.filter(action="set_term").count() == 3


def test_lists_ask_the_same_whatever_their_length(county, line, django_assert_max_num_queries):
    for number in range(30):
        values = NEW | {"code": f"N{number}", "name": f"第{number}党支部"}
        changes.create(line.units["township"], ground=GROUND, by=line.county, **values)
    for page in ("changes", "terms"):
        with django_assert_max_num_queries(12):
            county.get(reverse(f"orgs:{page}"))
