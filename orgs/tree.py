"""The only writer of the tree's structure.

Nested sets read well and write badly: two writers at once corrupt them. So every change here is
one transaction behind one lock. Single inserts and moves go through mptt; whatever is larger is
numbered in memory and only what changed is written (measured on 211,000 nodes: a full load of
seconds, where mptt's `rebuild` needs minutes).
"""

from collections import defaultdict
from copy import copy
from dataclasses import dataclass, field, fields
from datetime import date
from operator import attrgetter

from django.db import connection, transaction
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.db import analyzed, copy_rows, reserved_keys, update_integers
from ledger_site.base.workflow import Refusal

from .choices import Kind
from .models import FormerName, Organization, SearchText
from .names import initials_of, place_of, short_name_of

MAX_DEPTH = 12  # levels below the root; the cycles' paths hold four digits a level
LOCK_KEY = 20120709  # any constant: the key of the advisory lock on the tree


class StructureError(Refusal):
    """A change that would break the tree; the text says what and where, in Chinese."""


def lock() -> None:
    """Hold the tree until the transaction ends.

    SQLite needs no more than its IMMEDIATE transaction, which admits one writer.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("orgs.tree.lock needs a transaction")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])


def act_of(organization, reason: str = "", **data) -> trail.Act:
    named = (organization.pk, organization.code, organization.name)
    return trail.Act("organization", *named, reason, data)


def check_name(parent: Organization | None, name: str, *, of: Organization | None = None) -> None:
    """Refuse a name that another open one than `of` has below the superior."""
    same = Organization.objects.open().filter(parent=parent, name=name)
    if same.exclude(pk=of and of.pk).exists():
        raise StructureError(f"同一上级下已有“{name}”，请核对名称")


def short_name_under(parent: Organization | None, name: str) -> str:
    """The short name that an official one has below a superior."""
    above = parent.get_ancestors(include_self=True) if parent else Organization.objects.none()
    return short_name_of(name, [place_of(one) for one in above.values_list("name", flat=True)])


@trail.service("新建党组织")
def insert(*, parent: Organization | None, by, reason: str = "", **values) -> Organization:
    """Put a new organization below `parent`, last among its siblings unless `order` says otherwise.

    `short_name` is derived when it is not given, `is_rated` is true for a 党支部. Raises
    `StructureError` below a closed organization, beyond `MAX_DEPTH` or for a name taken there.
    """
    lock()
    if parent is not None:
        parent = Organization.objects.get(pk=parent.pk)  # as it is now, under the lock
        _check_superior(parent, parent.level + 1)
    siblings = Organization.objects.filter(parent=parent)
    check_name(parent, values["name"])
    if "order" not in values:
        last = siblings.order_by("-order").values_list("order", flat=True).first()
        values["order"] = (last or 0) + 1
    values.setdefault("is_rated", values["kind"] == Kind.BRANCH)
    values["short_name"] = values.get("short_name") or short_name_under(parent, values["name"])
    organization = Organization(parent=parent, **values)
    organization.save(structure=True)
    trail.record("insert", "新建党组织", [act_of(organization, reason)], by=by)
    return organization


@trail.service("转隶")
def move(organization: Organization, *, parent: Organization, by, reason: str = "") -> Organization:
    """Hang an organization with all that is below it under another superior, last there."""
    lock()
    organization = Organization.objects.get(pk=organization.pk)
    parent = Organization.objects.get(pk=parent.pk)
    old = organization.parent
    if (
        parent.tree_id == organization.tree_id
        and organization.lft <= parent.lft <= organization.rght
    ):
        raise StructureError(f"“{organization.name}”不能移到自己或自己的下级之下")
    depth = (
        Organization.objects.below(organization)
        .order_by("-level")
        .values_list("level", flat=True)
        .first()
        or organization.level
    ) - organization.level
    _check_superior(parent, parent.level + 1 + depth)
    siblings = Organization.objects.filter(parent=parent)
    if siblings.open().filter(name=organization.name).exists():
        raise StructureError(f"“{parent.name}”下已有“{organization.name}”，请先更名")
    last = siblings.order_by("-order").values_list("order", flat=True).first()
    organization.order = (last or 0) + 1
    organization.parent = parent
    organization.save(structure=True)
    organization.refresh_from_db()
    act = act_of(organization, reason, old=old and old.code, new=parent.code)
    trail.record("move", "转隶", [act], by=by)
    return organization


def _check_superior(parent, deepest: int) -> None:
    if parent.closed_on:
        raise StructureError(f"上级党组织“{parent.name}”已撤销，不能再设下级")
    if deepest > MAX_DEPTH:
        raise StructureError(f"组织层级不能超过{MAX_DEPTH}级，请检查上级是否选错")


@dataclass(frozen=True)
class Line:
    """One organization of a bulk load; `None` leaves what is there, or derives it."""

    code: str
    parent_code: str
    name: str
    kind: str
    category_id: int | None = None
    short_name: str | None = None
    is_rated: bool | None = None
    term_ends_on: date | None = None


@dataclass(frozen=True)
class Loaded:
    new_count: int
    changed_count: int
    same_count: int
    # By code, {} for a new one, else what changed: name of the field → old, new.
    outcomes: dict[str, dict[str, list]]


@dataclass(slots=True)
class _Record:
    """An organization as a bulk load sees it: a quarter of a million of instances would be slow."""

    code: str
    id: int | None = None  # None: a new one
    name: str = ""
    short_name: str = ""
    initials: str = ""
    kind: str = ""
    category_id: int | None = None
    is_rated: bool = False
    term_ends_on: date | None = None
    order: int = 0
    parent_id: int | None = None
    lft: int = 0
    rght: int = 0
    level: int = 0
    tree_id: int | None = None

    @property
    def pk(self) -> int | None:
        return self.id


RECORD = tuple(field.name for field in fields(_Record))
# What a line of a load may change.
REWRITTEN = frozenset(RECORD) - {"code", "id", "lft", "rght", "level", "tree_id"}


@dataclass
class _Node:
    """What the numbering needs to know of one organization."""

    organization: _Record
    parent: "_Node | None" = None
    numbers: tuple = ()
    changes: dict[str, list] = field(default_factory=dict)


NUMBERS = ("lft", "rght", "level", "tree_id")
BATCH = 200
PIECE = 5000


@trail.service("批量导入党组织")
def load(lines: list[Line], *, by, records_each: bool = False) -> Loaded:
    """Insert and change any number of organizations at once, parents anywhere in the list.

    New organizations stand after their siblings, in the order of the list. The same list twice
    changes nothing. Raises `StructureError` where the result would be no tree: an unknown
    superior, a circle, too deep. Nothing is written then. An empty list is no change. New ones
    leave one event together, or with `records_each` one each.
    """
    lock()
    stored = Organization.objects.order_by("tree_id", "lft").values_list(*RECORD)
    nodes = {values[0]: _Node(_Record(*values)) for values in stored.iterator(PIECE)}
    by_id = {node.organization.pk: node for node in nodes.values()}
    for node in nodes.values():
        node.parent = by_id.get(node.organization.parent_id)
    new, changed = [], []
    for line in lines:
        if line.code not in nodes:
            nodes[line.code] = _Node(_Record(line.code))
            new.append(nodes[line.code])
    is_new = {id(node) for node in new}
    last_order = defaultdict(int)
    for node in nodes.values():
        key = id(node.parent) if node.parent else None
        last_order[key] = max(last_order[key], node.organization.order)
    for line in lines:
        node = nodes[line.code]
        parent = nodes.get(line.parent_code)
        if line.parent_code and parent is None:
            raise StructureError(f"“{line.name}”（{line.code}）的上级 {line.parent_code} 不存在")
        moved = id(node) in is_new or node.parent is not parent
        if moved:
            if id(node) not in is_new:
                node.changes["parent"] = [_code_of(node.parent), _code_of(parent)]
            key = id(parent) if parent else None
            last_order[key] += 1
            node.organization.order = last_order[key]
            node.parent = parent
        if _take(line, node, moved=moved) and id(node) not in is_new:
            changed.append(node)
    order = _number(nodes.values())
    _write(new, order)
    _rewrite(changed)
    analyzed(Organization, SearchText, rows=len(new) + len(changed))
    acts = [act_of(node.organization, **node.changes) for node in changed]
    if acts:
        trail.record("change", "批量修改党组织", acts, by=by)
    if new:
        loaded = [trail.Act("organization", None, "", "", data={"count": len(new)})]
        if records_each:
            loaded = [act_of(node.organization) for node in new]
        trail.record("load", "批量导入党组织", loaded, by=by)
    outcomes = {node.organization.code: node.changes for node in changed}
    if records_each:
        outcomes |= {node.organization.code: {} for node in new}
    return Loaded(len(new), len(changed), len(lines) - len(new) - len(changed), outcomes)


def _code_of(node: _Node | None) -> str | None:
    return node and node.organization.code


def _rewrite(changed: list[_Node]) -> None:
    """Store what the lines changed; names that were given up are kept as former ones."""
    records = {node.organization.pk: node.organization for node in changed}
    organizations, former = Organization.objects.in_bulk(records), []
    for pk, organization in organizations.items():
        old = (organization.name, organization.short_name)
        if old != (records[pk].name, records[pk].short_name):
            former.append(
                FormerName(
                    organization=organization,
                    name=old[0],
                    short_name=old[1],
                    ended_on=timezone.localdate(),
                )
            )
        for name in REWRITTEN:
            setattr(organization, name, getattr(records[pk], name))
    FormerName.objects.bulk_create(former, batch_size=BATCH)
    Organization.objects.bulk_update(
        organizations.values(),
        sorted(name.removesuffix("_id") for name in REWRITTEN),
        batch_size=BATCH,
    )
    SearchText.refresh(organizations.values())


def _take(line: Line, node: _Node, *, moved: bool) -> bool:
    """Write the line into the organization; whether anything changed."""
    organization = node.organization
    old = copy(organization) if organization.pk else _Record(line.code)
    organization.name = line.name
    organization.kind = line.kind
    organization.category_id = line.category_id
    if line.is_rated is not None:
        organization.is_rated = line.is_rated
    elif organization.pk is None:
        organization.is_rated = line.kind == Kind.BRANCH
    if line.term_ends_on is not None:
        organization.term_ends_on = line.term_ends_on
    if line.short_name is not None:
        organization.short_name = line.short_name
    elif moved or old.name != line.name:
        places, above = [], node.parent
        for _ in range(MAX_DEPTH + 1):  # a circle is found later, by the numbering
            if above is None:
                break
            places.append(place_of(above.organization.name))
            above = above.parent
        organization.short_name = short_name_of(line.name, places)
    if organization.short_name != old.short_name or not organization.initials:
        organization.initials = initials_of(organization.short_name)
    if organization.pk is not None:
        for name in ("name", "short_name", "kind", "category_id", "is_rated"):
            if getattr(old, name) != getattr(organization, name):
                node.changes[name] = [getattr(old, name), getattr(organization, name)]
        if old.term_ends_on != organization.term_ends_on:
            days = (old.term_ends_on, organization.term_ends_on)
            node.changes["term_ends_on"] = [day and day.isoformat() for day in days]
    return moved or organization != old


def _number(nodes) -> list[_Node]:
    """Give every node its numbers; the nodes in the order of the tree, superiors first."""
    nodes = list(nodes)
    children, roots = defaultdict(list), []
    for node in nodes:
        (children[id(node.parent)] if node.parent else roots).append(node)
    for siblings in children.values():
        siblings.sort(key=lambda node: node.organization.order)
    roots.sort(key=lambda node: node.organization.tree_id or len(nodes) + node.organization.order)
    tree_ids = {node.organization.tree_id for node in roots}
    done, free = [], max((t for t in tree_ids if t), default=0)
    for root in roots:
        tree_id = root.organization.tree_id
        if tree_id is None:
            free += 1
            tree_id = free
        counter = 0
        stack = [(root, 0, False)]  # no recursion: a chain may be as long as a mistake makes it
        while stack:
            node, level, is_left = stack.pop()
            counter += 1
            if is_left:
                node.numbers = (node.numbers[0], counter, level, tree_id)
                continue
            if level > MAX_DEPTH:
                raise StructureError(f"“{node.organization.name}”超过{MAX_DEPTH}级，请检查上级代码")
            node.numbers = (counter, 0, level, tree_id)
            done.append(node)
            stack.append((node, level, True))
            stack.extend((child, level + 1, False) for child in reversed(children[id(node)]))
    if len(done) != len(nodes):
        reached = {id(node) for node in done}
        lost = next(node for node in nodes if id(node) not in reached)
        raise StructureError(
            f"“{lost.organization.name}”（{lost.organization.code}）的上级关系成环"
        )
    return done


def _write(new: list[_Node], order: list[_Node]) -> None:
    """Append the new nodes, their keys reserved beforehand so that a subordinate can name its
    superior, and change the numbers of old ones where they differ."""
    for node, key in zip(new, reserved_keys(Organization, len(new)), strict=True):
        node.organization.id = key
    is_new, moved = {id(node) for node in new}, []
    for node in order:
        organization = node.organization
        organization.parent_id = node.parent.organization.pk if node.parent else None
        if id(node) not in is_new and node.numbers != _numbers_of(organization):
            moved.append((organization.pk, *node.numbers))
        for name, number in zip(NUMBERS, node.numbers, strict=True):
            setattr(organization, name, number)
    known = [Organization._meta.get_field(name) for name in RECORD]
    rest = [field for field in Organization._meta.concrete_fields if field not in known]
    values, defaults = attrgetter(*RECORD), tuple(field.get_default() for field in rest)
    copy_rows(
        Organization._meta.db_table,
        [field.column for field in (*known, *rest)],
        (values(node.organization) + defaults for node in order if id(node) in is_new),
    )
    copy_rows(
        SearchText._meta.db_table,
        ("organization_id", "text"),
        ((node.organization.pk, SearchText.of(node.organization)) for node in new),
    )
    update_integers(Organization, NUMBERS, moved)


def _numbers_of(organization) -> tuple:
    return tuple(getattr(organization, name) for name in NUMBERS)


CHECKS = """
SELECT code, '左右值无效' FROM orgs_organization WHERE lft >= rght
UNION ALL
SELECT c.code, '与上级的区间或层级不符'
  FROM orgs_organization c JOIN orgs_organization p ON c.parent_id = p.id
 WHERE NOT (c.tree_id = p.tree_id AND c.lft > p.lft AND c.rght < p.rght AND c.level = p.level + 1)
UNION ALL
SELECT code, '根节点层级或左值无效'
  FROM orgs_organization WHERE parent_id IS NULL AND (level <> 0 OR lft <> 1)
UNION ALL
SELECT code, '区间与同级重叠或有空缺' FROM (
  SELECT code, lft,
         LAG(rght) OVER (PARTITION BY parent_id ORDER BY lft) AS before_it,
         (SELECT p.lft FROM orgs_organization p WHERE p.id = o.parent_id) AS start
    FROM orgs_organization o WHERE parent_id IS NOT NULL) s
 WHERE lft <> COALESCE(before_it, start) + 1
UNION ALL
SELECT p.code, '右值与下级不符'
  FROM orgs_organization p
  LEFT JOIN (SELECT parent_id, MAX(rght) AS last FROM orgs_organization GROUP BY parent_id) c
         ON c.parent_id = p.id
 WHERE p.rght <> COALESCE(c.last, p.lft) + 1
UNION ALL
SELECT MIN(code), '两棵树编号相同'
  FROM orgs_organization WHERE parent_id IS NULL GROUP BY tree_id HAVING COUNT(*) > 1
"""


def check() -> list[str]:
    """Every place where the stored tree breaks an invariant, in Chinese; [] when sound."""
    with connection.cursor() as cursor:
        cursor.execute(CHECKS)
        return [f"党组织 {code}：{fault}" for code, fault in cursor.fetchall()]
