import random
import threading

import pytest
from django.db import connections, models

from ledger_site.base.trail import WithoutUnit
from orgs import tree
from orgs.choices import Kind
from orgs.models import Organization
from orgs.posts import system_post
from orgs.tree import Line, StructureError
from tests.factories import OrganizationFactory

BY = WithoutUnit()


@pytest.fixture
def small(db):
    root = OrganizationFactory(code="R", name="中共某省委员会", kind=Kind.COMMITTEE)
    county = OrganizationFactory(
        code="C", name="中共某省县委员会", kind=Kind.COMMITTEE, parent=root
    )
    town = OrganizationFactory(
        code="T", name="中共某省县乡委员会", kind=Kind.COMMITTEE, parent=county
    )
    OrganizationFactory(code="B", name="县乡村党支部", parent=town)
    return root


def get(code):
    return Organization.objects.get(code=code)


def shape():
    return {o.code: (o.parent and o.parent.code, o.level) for o in Organization.objects.all()}


def test_insert_derives_short_name_and_rating_and_keeps_the_tree_sound(small):
    branch = OrganizationFactory(code="N", name="某省县乡新村党支部", parent=get("T"))

    assert (branch.short_name, branch.is_rated) == ("新村党支部", True)
    assert tree.check() == []


def test_insert_refuses_a_name_taken_among_siblings(small):
    with pytest.raises(StructureError, match="已有"):
        OrganizationFactory(code="N", name="县乡村党支部", parent=get("T"))

    assert not Organization.objects.filter(code="N").exists()


def test_a_chain_ends_at_the_deepest_level_allowed(db):
    parent = None
    for level in range(tree.MAX_DEPTH + 1):
        parent = OrganizationFactory(code=f"L{level}", parent=parent, kind=Kind.COMMITTEE)

    with pytest.raises(StructureError, match="层级不能超过"):
        OrganizationFactory(code="deeper", parent=parent)


def test_move_takes_everything_below_along(small):
    other = OrganizationFactory(code="C2", name="另一县委", kind=Kind.COMMITTEE, parent=small)

    tree.move(get("T"), parent=other, by=BY)

    assert shape()["T"] == ("C2", 2)
    assert shape()["B"] == ("T", 3)
    assert tree.check() == []


@pytest.mark.parametrize("target", ["C", "T", "B"])
def test_move_below_itself_is_refused_in_chinese(small, target):
    before = shape()

    with pytest.raises(StructureError, match="不能移到自己"):
        tree.move(get("C"), parent=get(target), by=BY)

    assert shape() == before


def test_a_stale_instance_saved_after_a_move_does_not_move_it_back(small):
    other = OrganizationFactory(code="C2", name="另一县委", kind=Kind.COMMITTEE, parent=small)
    stale = get("T")
    tree.move(get("T"), parent=other, by=BY)

    stale.handling_office = "组织科"
    stale.save()

    assert shape()["T"] == ("C2", 2)
    assert get("T").handling_office == "组织科"
    assert tree.check() == []


def test_organizations_are_never_deleted_nor_made_outside_the_tree(small):
    with pytest.raises(models.ProtectedError):
        get("B").delete()
    with pytest.raises(ValueError, match="tree"):
        Organization(code="X", name="x", kind=Kind.BRANCH).save()

    assert len(shape()) == 4


def test_load_inserts_changes_and_moves_in_one_go_and_twice_is_no_change(small):
    lines = [
        Line("B9", "T9", "新乡一村党支部", Kind.BRANCH),
        Line("T9", "C", "中共某省县新乡委员会", Kind.COMMITTEE),
        Line("T", "R", "中共某省县乡委员会", Kind.COMMITTEE),  # moved up
        Line("B", "T", "县乡老村党支部", Kind.BRANCH),  # renamed
    ]

    done = tree.load(lines, by=BY)
    again = tree.load(lines, by=BY)

    assert (done.new_count, done.changed_count, done.same_count) == (2, 2, 0)
    assert (again.new_count, again.changed_count, again.same_count) == (0, 0, 4)
    assert shape() == {
        "R": (None, 0),
        "C": ("R", 1),
        "T9": ("C", 2),
        "B9": ("T9", 3),
        "T": ("R", 1),
        "B": ("T", 2),
    }
    assert get("B").name == "县乡老村党支部"
    assert tree.check() == []


def test_an_insert_after_a_load_gets_a_key_of_its_own(small):
    tree.load([Line(f"N{n}", "T", f"新支部{n}", Kind.BRANCH) for n in range(3)], by=WithoutUnit())
    inserted = tree.insert(
        parent=get("T"), by=WithoutUnit(), code="M", name="后来支部", kind=Kind.BRANCH
    )

    assert inserted.pk > max(get(f"N{n}").pk for n in range(3))
    assert tree.check() == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([Line("X", "nowhere", "x", Kind.BRANCH)], "不存在"),
        ([Line("C", "T", "中共某省县委员会", Kind.COMMITTEE)], "成环"),
        ([Line(f"D{n}", f"D{n - 1}" if n else "B", "d", Kind.BRANCH) for n in range(12)], "超过"),
    ],
)
def test_load_of_what_is_no_tree_writes_nothing(small, lines, said):
    before = shape()

    with pytest.raises(StructureError, match=said):
        tree.load(lines, by=BY)

    assert shape() == before


def test_random_changes_keep_numbers_nested_and_equal_to_the_parents(small):
    pick = random.Random(7)
    for n in range(40):
        nodes = list(Organization.objects.all())
        parent = pick.choice([node for node in nodes if node.level < 6])
        if n % 3:
            OrganizationFactory(code=f"n{n}", name=f"n{n}", parent=parent)
        else:
            try:
                tree.move(pick.choice(nodes[1:]), parent=parent, by=BY)
            except StructureError:
                continue

    assert tree.check() == []
    for node in Organization.objects.all():
        above, parent = [], node.parent
        while parent:
            above.insert(0, parent.code)
            parent = parent.parent
        assert [o.code for o in node.get_ancestors()] == above


@pytest.mark.parametrize(
    "damage",
    [
        {"lft": 4},
        {"rght": 99},
        {"level": 7},
        {"tree_id": 5},
    ],
)
def test_check_finds_a_damaged_number(small, damage):
    Organization.objects.filter(code="T").update(**damage)

    assert tree.check() != []


def test_lock_outside_a_transaction_is_a_programming_error(transactional_db):
    with pytest.raises(Exception, match="needs a transaction"):
        tree.lock()


@pytest.mark.django_db(transaction=True)
def test_twenty_inserts_and_five_moves_at_once_leave_a_sound_tree():
    root = OrganizationFactory(code="R", name="省委", kind=Kind.COMMITTEE)
    counties = [
        OrganizationFactory(code=f"C{n}", name=f"县委{n}", kind=Kind.COMMITTEE, parent=root)
        for n in range(6)
    ]
    failures = []

    def run(work):
        try:
            work()
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    jobs = [
        lambda n=n: OrganizationFactory(code=f"B{n}", name=f"支部{n}", parent=counties[0])
        for n in range(20)
    ]
    jobs += [
        lambda n=n: tree.move(counties[n], parent=counties[0], by=system_post(root))
        for n in range(1, 6)
    ]
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert tree.check() == []
    assert Organization.objects.count() == 27
    assert {o.parent.code for o in Organization.objects.filter(level=2)} == {"C0"}
