"""The tree: loading, renumbering, single changes, beside mptt as it comes."""

from pathlib import Path

from django.db.models import F
from mptt.models import MPTTModel

from ledger_site.base.trail import WithoutUnit
from orgs import loading
from orgs import tree as ours
from orgs.choices import Kind
from orgs.models import Organization

from .ground import SLOW_UP_TO, copy_floor, sql, timed, timed_undone, undone

NEW = 50  # organizations added at once, in the several ways
BY = WithoutUnit()


def tree(data: Path) -> list:
    load = timed(lambda: loading.import_organizations(data / "orgs.csv"))
    count = Organization.objects.count()
    floor = copy_floor("orgs_organization")
    is_small = count <= SLOW_UP_TO
    rows = [
        ("COPY (floor)", floor, 1.0, f"{count} organizations, committed"),
        ("import_orgs", load, load / floor, "reading, checks, numbering, writing"),
    ]

    def told(name, seconds, note=""):
        rows.append((name, seconds, seconds / floor, note))

    with undone():
        sql("UPDATE orgs_organization SET lft = lft + 1, rght = rght + 1")
        told("renumber all", timed(lambda: ours.load([], by=BY)))
    if is_small:
        told("mptt rebuild()", timed_undone(Organization.objects.rebuild))
    wide = [o for o in Organization.objects.filter(level=2).order_by("lft") if o.has_subordinates]
    first, middle, last = wide[0], wide[len(wide) // 2], wide[-1]
    for place, parent in (("first", first), ("middle", middle), ("last", last)):
        told(f"one insert, {place}", timed_undone(lambda parent=parent: _insert(parent)))

    lines = [_line(number, middle) for number in range(NEW)]
    told(f"{NEW} new, ours in bulk", timed_undone(lambda: ours.load(lines, by=BY)))
    if is_small:
        told(f"{NEW} new, mptt save()", timed_undone(lambda: _save_each(middle)))
        told(f"{NEW} new, mptt delayed updates", timed_undone(lambda: _save_delayed(middle)))

    moved = first.get_children().order_by(F("lft") - F("rght")).first()
    below = f"{moved.get_descendant_count() + 1} organizations, from the first county to the last"
    told("one move, ours", timed_undone(lambda: ours.move(moved, parent=last, by=BY)), below)
    if is_small:
        told("one move, mptt move_to()", timed_undone(lambda: _move_to(moved, last)), below)
    return rows


def _insert(parent) -> None:
    ours.insert(parent=parent, code="BENCH", name="新党支部", kind=Kind.BRANCH, by=BY)


def _line(number: int, parent) -> ours.Line:
    return ours.Line(f"BENCH{number}", parent.code, f"新{number}党支部", Kind.BRANCH)


def _save_each(parent) -> None:
    """As mptt's documents have it; our `save` would also keep what is searched."""
    for number in range(NEW):
        line = _line(number, parent)
        new = Organization(code=line.code, name=line.name, kind=line.kind, order=10**6 + number)
        new.parent = Organization.objects.get(pk=parent.pk)
        MPTTModel.save(new)


def _save_delayed(parent) -> None:
    with Organization.objects.delay_mptt_updates():
        _save_each(parent)


def _move_to(moved, parent) -> None:
    moved = Organization.objects.get(pk=moved.pk)
    moved.move_to(Organization.objects.get(pk=parent.pk), "last-child")
