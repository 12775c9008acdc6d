"""组织变动: what becomes of organizations, each on a day and by a document (rule 10).

The organization is changed at once, behind the lock of the tree, and the change is kept with what
it concerned. Whatever else rests on organizations follows in the same transaction, by functions
that apps register with `follows`. Nothing is deleted: an undoing is a contrary change.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.db import retried

from . import services, tree
from .choices import ChangeKind, Kind, PartRole, Role
from .models import Appointment, Category, Organization, OrgChange, OrgChangePart
from .tree import StructureError

MOST_NAMED = 20  # in a preview; the others are counted


@dataclass(frozen=True)
class Ground:
    """On which day and by which document; `undoes` is the change that a contrary one takes back."""

    effective_on: date
    document_number: str
    reason: str = ""
    undoes: OrgChange | None = None

    def check(self) -> None:
        if not self.document_number.strip():
            raise StructureError("请填写变动依据的文号")
        if self.effective_on > timezone.localdate():
            raise StructureError("变动日期不能晚于今天；尚未生效的变动，到生效时再办理")

    @property
    def text(self) -> str:
        return f"{self.document_number.strip()} {self.reason.strip()}".strip()


FOLLOWERS: list[Callable] = []
DESCRIBERS: list[Callable] = []


def follows(function):
    """Register what an app does with changes: `function(changes, by)`, in their transaction.

    It may raise `StructureError`: nothing is changed then."""
    FOLLOWERS.append(function)
    return function


def describes(function):
    """Register what an app says of a change: `function(change, by)` gives pairs of a heading and
    its lines, no more of them than who looks (`by`) may see."""
    DESCRIBERS.append(function)
    return function


# ---------------------------------------------------------------- who and what


def _reached(organizations: Iterable[Organization], by) -> list[Organization]:
    """The organizations as they are now; refuses what is not this doer's to change."""
    scope = Organization.objects.all()
    if by.unit_id is not None:
        post_unit = Organization.objects.get(pk=by.unit_id)
        scope = Organization.objects.below(post_unit)
        if not by.has(Role.MANAGE):
            raise StructureError("只有上级的管理人员可以办理组织变动")
    wanted = [organization.pk for organization in organizations]
    found = scope.select_related("parent", "category").in_bulk(wanted)
    if len(found) < len(set(wanted)):
        raise StructureError("有党组织不在您管理的范围内；本单位的变动由上级办理")
    return [found[pk] for pk in wanted]


def _reached_superior(parent: Organization, by) -> Organization:
    """A superior under which something is put: the own unit, or anything below it."""
    if by.unit_id == parent.pk and by.has(Role.MANAGE):
        return Organization.objects.get(pk=parent.pk)
    return _reached([parent], by)[0]


def _check_open(*organizations: Organization) -> None:
    for organization in organizations:
        if organization.closed_on:
            raise StructureError(f"“{organization.name}”已撤销，不能再办理")


def _check_new(values: Mapping) -> None:
    if Organization.objects.filter(code=values["code"]).exists():
        raise StructureError(f"代码“{values['code']}”已有党组织使用，请换一个")


def _done(
    kind: ChangeKind,
    organization: Organization,
    ground: Ground,
    by,
    *,
    data: Mapping | None = None,
    sources: Iterable[Organization] = (),
    products: Iterable[Organization] = (),
    is_recorded: bool = False,
) -> OrgChange:
    """Keep the change, let the other apps follow, leave the event unless it is there already."""
    ground.check()
    change = _change(kind, organization, ground, by, data)
    change.save()
    parts = [(one, PartRole.SOURCE) for one in sources]
    parts += [(one, PartRole.PRODUCT) for one in products]
    OrgChangePart.objects.bulk_create(
        OrgChangePart(change=change, organization=one, role=role) for one, role in parts
    )
    _follow([change], by)
    if not is_recorded:
        said = {**change.data, "parts": [one.code for one, _ in parts]}
        act = tree.act_of(organization, ground.text, **said)
        trail.record(kind, kind.label, [act], by=by)
    return change


def _change(kind: ChangeKind, organization: Organization, ground: Ground, by, data) -> OrgChange:
    return OrgChange(
        kind=kind,
        organization=organization,
        effective_on=ground.effective_on,
        document_number=ground.document_number.strip(),
        reason=ground.reason.strip(),
        data=dict(data or {}),
        person_name=by.person_name,
        unit_name=by.unit_name,
        undoes=ground.undoes,
    )


def _follow(changes: list[OrgChange], by) -> None:
    for follow in FOLLOWERS:
        follow(changes, by)


# ---------------------------------------------------------------- one organization


@trail.service("新建党组织")
def create(parent: Organization, *, ground: Ground, by, **values) -> OrgChange:
    """Make an organization below `parent`; `values` as `tree.insert` takes them.

    Raises `StructureError`, as all of these do, and changes nothing then.
    """
    tree.lock()
    parent = _reached_superior(parent, by)
    _check_new(values)
    values.setdefault("opened_on", ground.effective_on)
    made = tree.insert(parent=parent, by=by, reason=ground.text, **values)
    return _done(ChangeKind.CREATE, made, ground, by, is_recorded=True)


@trail.service("更名")
def rename(
    organization: Organization, *, name: str, short_name: str = "", ground: Ground, by
) -> OrgChange:
    """Give another name; without a short one it is derived. Former names stay known."""
    tree.lock()
    (organization,) = _reached([organization], by)
    _check_open(organization)
    tree.check_name(organization.parent, name, of=organization)
    short_name = short_name or tree.short_name_under(organization.parent, name)
    if (name, short_name) == (organization.name, organization.short_name):
        raise StructureError("名称没有改变")
    data = {
        "name": [organization.name, name],
        "short_name": [organization.short_name, short_name],
    }
    services.rename(organization, name=name, short_name=short_name, reason=ground.text, by=by)
    return _done(ChangeKind.RENAME, organization, ground, by, data=data, is_recorded=True)


@trail.service("变更领域类别")
def reclassify(
    organization: Organization, *, category: Category | None, ground: Ground, by
) -> OrgChange:
    tree.lock()
    (organization,) = _reached([organization], by)
    _check_open(organization)
    old, new = organization.category_id, category and category.pk
    if old == new:
        raise StructureError("领域类别没有改变")
    data = {"category": [old, new]}
    organization.category_id = new
    organization.save()
    return _done(ChangeKind.RECLASSIFY, organization, ground, by, data=data)


@trail.service("改设")
def upgrade(
    organization: Organization, *, kind: Kind, is_rated: bool, ground: Ground, by
) -> OrgChange:
    """改设: make it another kind (支部→总支); whether it is rated itself is said with it."""
    tree.lock()
    (organization,) = _reached([organization], by)
    _check_open(organization)
    data = {"kind": [organization.kind, kind], "is_rated": [organization.is_rated, is_rated]}
    if all(old == new for old, new in data.values()):
        raise StructureError("组织类型没有改变")
    organization.kind, organization.is_rated = kind, is_rated
    organization.save()
    return _done(ChangeKind.UPGRADE, organization, ground, by, data=data)


@trail.service("转隶")
def move(organization: Organization, *, parent: Organization, ground: Ground, by) -> OrgChange:
    """转隶: hang it with all that is below it under another superior. Who is above both may."""
    tree.lock()
    (organization,) = _reached([organization], by)
    parent = _reached_superior(parent, by)
    _check_open(organization)
    old = organization.parent
    if old.pk == parent.pk:
        raise StructureError(f"“{organization.name}”的上级已经是“{parent.name}”")
    moved = tree.move(organization, parent=parent, by=by, reason=ground.text)
    data = {"parent": [old.pk, parent.pk], "parent_name": [old.name, parent.name]}
    return _done(ChangeKind.MOVE, moved, ground, by, data=data, is_recorded=True)


@trail.service("撤销")
def close(organization: Organization, *, ground: Ground, by) -> OrgChange:
    """撤销; whoever held a post there holds it no more."""
    tree.lock()
    (organization,) = _reached([organization], by)
    ended = _close(organization, ground)
    return _done(ChangeKind.CLOSE, organization, ground, by, data={"ended": ended})


@trail.service("恢复")
def reopen(organization: Organization, *, ground: Ground, by) -> OrgChange:
    """恢复 what was closed; posts are given anew."""
    tree.lock()
    (organization,) = _reached([organization], by)
    _reopen(organization)
    return _done(ChangeKind.REOPEN, organization, ground, by)


def _close(organization: Organization, ground: Ground) -> list[str]:
    """Close one organization and end its posts; the posts in words."""
    _check_open(organization)
    if Organization.objects.open().filter(parent=organization).exists():
        raise StructureError(
            f"“{organization.name}”还有没有撤销的下级，请先办理下级的撤销、转隶或合并"
        )
    if organization.opened_on and ground.effective_on < organization.opened_on:
        raise StructureError(
            f"“{organization.name}”{organization.opened_on:%Y-%m-%d}成立，撤销日期不能更早"
        )
    organization.closed_on = ground.effective_on
    organization.save()
    held = Appointment.objects.filter(organization=organization).select_related("user")
    held = held.filter(Q(ended_on=None) | Q(ended_on__gt=timezone.localdate()))
    ended = [f"{one.user}（{one.get_role_display()}）" for one in held.order_by("user", "role")]
    held.update(ended_on=timezone.localdate())
    return ended


def _reopen(organization: Organization) -> None:
    if not organization.closed_on:
        raise StructureError(f"“{organization.name}”没有撤销，不需要恢复")
    if organization.parent and organization.parent.closed_on:
        raise StructureError(f"上级“{organization.parent.name}”已撤销，请先恢复上级")
    tree.check_name(organization.parent, organization.name, of=organization)
    organization.closed_on = None
    organization.save()


@trail.service("登记任期")
def set_term(organization: Organization, ends_on: date | None, *, by) -> None:
    """换届: the day on which the term of its committee ends; None: not known."""
    tree.lock()
    (organization,) = _reached([organization], by)
    _check_open(organization)
    if organization.term_ends_on == ends_on:
        return
    said = [day and day.isoformat() for day in (organization.term_ends_on, ends_on)]
    organization.term_ends_on = ends_on
    organization.save()
    trail.record("set_term", "登记任期", [tree.act_of(organization, term_ends_on=said)], by=by)


# What may be done to an organization, in the order of its page.
OF_OPEN = (
    ChangeKind.RENAME,
    ChangeKind.RECLASSIFY,
    ChangeKind.UPGRADE,
    ChangeKind.MOVE,
    ChangeKind.MERGE,
    ChangeKind.SPLIT,
    ChangeKind.CLOSE,
)


def open_to(organization: Organization, by) -> list[ChangeKind]:
    """The changes this post may begin at the organization; what they need is checked later."""
    if by is None or not by.has(Role.MANAGE):
        return []
    below = Organization.objects.below(by.organization).filter(pk=organization.pk).exists()
    if not below and organization.pk != by.organization_id:
        return []
    if organization.closed_on:
        return [ChangeKind.REOPEN] if below else []
    return [ChangeKind.CREATE, *(OF_OPEN if below else ())]


# ---------------------------------------------------------------- several


@trail.service("合并")
def merge(
    parts: list[Organization],
    *,
    into: Organization | None = None,
    parent: Organization | None = None,
    ground: Ground,
    by,
    **values,
) -> OrgChange:
    """合并 into one of the parts, or into a new organization below `parent` made of `values`.

    The other parts are closed; what was below them hangs under the result. One that a
    split closed is opened again where this takes the split back.
    """
    tree.lock()
    parts = _reached(parts, by)
    result = _reached([into], by)[0] if into else None
    sources = [part for part in parts if result is None or part.pk != result.pk]
    if not sources or (result is None and len(sources) < 2):
        raise StructureError("合并至少涉及两个党组织")
    _check_open(*sources)
    lines = {one.pk: one for one in [*sources, *([result] if result else [])]}
    for one in lines.values():
        above = one.get_ancestors().values_list("pk", flat=True)
        if any(pk in lines for pk in above):
            raise StructureError(f"“{one.name}”在另一个要合并的党组织之下，请先办理转隶")
    was_made = result is None
    if result is None:
        _check_new(values)
        values.setdefault("opened_on", ground.effective_on)
        parent = _reached_superior(parent, by)
        names = {one.name for one in sources if one.parent_id == parent.pk}
        if values["name"] in names:
            raise StructureError("新的名称与要合并的党组织相同：请选择并入该党组织，或另取名称")
        result = tree.insert(parent=parent, by=by, reason=ground.text, **values)
    elif result.closed_on and ground.undoes:
        _reopen(result)
    _check_open(result)
    moved, ended = {}, []
    for source in sources:
        moved |= _move_below(source, lambda child: result, by)
        ended += [f"{source.short_name}：{post}" for post in _close(source, ground)]
    result.refresh_from_db()
    data = {"moved": moved, "made": was_made, "ended": ended}
    return _done(ChangeKind.MERGE, result, ground, by, data=data, sources=sources)


@trail.service("分设")
def split(
    source: Organization,
    *,
    products: list[Mapping | Organization],
    closes: bool,
    assigned: Mapping[int, int] | None = None,
    ground: Ground,
    by,
) -> OrgChange:
    """分设 into `products`, each the values of a new organization beside the source, or a closed
    one that is opened again. The source is closed, or stays.

    `assigned`: subordinates of the source by key → place of their product; the others stay, or
    go to the first where the source is closed.
    """
    tree.lock()
    (source,) = _reached([source], by)
    _check_open(source)
    assigned = dict(assigned or {})
    if len(products) < (2 if closes else 1):
        raise StructureError("分设后至少有两个党组织")
    made = []
    for product in products:
        if isinstance(product, Organization):
            (old,) = _reached([product], by)
            _reopen(old)
            made.append(old)
            continue
        _check_new(product)
        values = {"opened_on": ground.effective_on, "category": source.category, **product}
        made.append(tree.insert(parent=source.parent, by=by, reason=ground.text, **values))

    def product_of(child: Organization) -> Organization | None:
        place = assigned.get(child.pk, 0 if closes else None)
        if place is not None and not 0 <= place < len(made):
            raise StructureError(f"没有为“{child.name}”选定分设后的上级")
        return None if place is None else made[place]

    moved = _move_below(source, product_of, by)
    ended = _close(source, ground) if closes else []
    data = {"moved": moved, "closes": closes, "ended": ended}
    return _done(ChangeKind.SPLIT, source, ground, by, data=data, products=made)


def _move_below(source: Organization, superior_of: Callable, by) -> dict[str, list[int]]:
    """Hang each open subordinate under the superior that the function gives it, if any; keys of
    the old and the new superior by that of the subordinate. `source` is read afresh."""
    moved = {}
    for child in Organization.objects.open().filter(parent=source).order_by("lft"):
        superior = superior_of(child)
        if superior is not None:
            moved[str(child.pk)] = [source.pk, superior.pk]
            tree.move(child, parent=superior, by=by)
    source.refresh_from_db()
    return moved


# ---------------------------------------------------------------- tables

LOADED = {
    "parent": ChangeKind.MOVE,
    "name": ChangeKind.RENAME,
    "category_id": ChangeKind.RECLASSIFY,
    "kind": ChangeKind.UPGRADE,
    "is_rated": ChangeKind.UPGRADE,
}
LOADED_BY = "批量导入"  # stands for the document, which a table does not name


def note_loaded(outcomes: Mapping[str, Mapping[str, list]], *, by) -> None:
    """Keep what a table changed of stored organizations, as `tree.load` tells it, as changes of
    today; the event is the load's."""
    changed = [code for code, what in outcomes.items() if LOADED.keys() & what.keys()]
    found = Organization.objects.in_bulk(changed, field_name="code") if changed else {}
    ends = {code for what in outcomes.values() for code in what.get("parent", ()) if code}
    superiors = Organization.objects.in_bulk(ends, field_name="code") if ends else {}
    ground, made = Ground(timezone.localdate(), LOADED_BY), []
    for code in changed:
        what, organization = outcomes[code], found[code]
        kinds = {kind: name for name, kind in LOADED.items() if name in what}
        for kind, name in kinds.items():
            data = {name.removesuffix("_id"): what[name]}
            if kind == ChangeKind.UPGRADE:
                data = {
                    "kind": what.get("kind", [organization.kind] * 2),
                    "is_rated": what.get("is_rated", [organization.is_rated] * 2),
                }
            elif kind == ChangeKind.RENAME:
                data["short_name"] = what.get("short_name", [organization.short_name] * 2)
            elif kind == ChangeKind.MOVE:
                pair = [superiors.get(one) for one in what[name]]  # None: above the old root
                data = {
                    "parent": [one and one.pk for one in pair],
                    "parent_name": [one.name if one else "" for one in pair],
                }
            made.append(_change(kind, organization, ground, by, data))
    if made:
        _follow(OrgChange.objects.bulk_create(made, batch_size=1000), by)


# ---------------------------------------------------------------- taking back


@trail.service("撤回组织变动")
def undo(change: OrgChange, *, ground: Ground, by) -> OrgChange:
    """Take a change back by a contrary one; the last one of an organization first."""
    tree.lock()
    change = OrgChange.objects.select_related("organization").get(pk=change.pk)
    refusal = why_not_undone(change)
    if refusal:
        raise StructureError(refusal)
    organization, data = change.organization, change.data
    said = {"ground": replace(ground, undoes=change), "by": by}
    if change.kind == ChangeKind.RENAME:
        name, short_name = data["name"][0], data["short_name"][0]
        return rename(organization, name=name, short_name=short_name, **said)
    if change.kind == ChangeKind.RECLASSIFY:
        category = Category.objects.filter(pk=data["category"][0]).first()
        return reclassify(organization, category=category, **said)
    if change.kind == ChangeKind.UPGRADE:
        return upgrade(organization, kind=data["kind"][0], is_rated=data["is_rated"][0], **said)
    if change.kind == ChangeKind.MOVE:
        return move(organization, parent=Organization.objects.get(pk=data["parent"][0]), **said)
    if change.kind == ChangeKind.CLOSE:
        return reopen(organization, **said)
    if change.kind in (ChangeKind.CREATE, ChangeKind.REOPEN):
        return close(organization, **said)
    parts = [part.organization for part in change.parts.select_related("organization")]
    if change.kind == ChangeKind.SPLIT:
        return merge([*parts, organization], into=organization, **said)
    places = {part.pk: place for place, part in enumerate(parts)}
    assigned = {int(child): places[old] for child, (old, _) in data["moved"].items()}
    return split(organization, products=parts, closes=data["made"], assigned=assigned, **said)


def may_undo(change: OrgChange, by) -> bool:
    """Whether this post may take the change back, if it can be: of what lies below its unit."""
    return any(kind != ChangeKind.CREATE for kind in open_to(change.organization, by))


def why_not_undone(change: OrgChange) -> str:
    """Why a change can't be taken back now; "" where it can."""
    if hasattr(change, "undone_by"):
        return "这项变动已经撤回"
    if change.undoes_id:
        return "这是对以前变动的撤回，不能再撤回；需要的，请重新办理"
    if change.kind == ChangeKind.MOVE and change.data["parent"][0] is None:
        return "转隶以前原来没有上级，不能撤回"
    concerned = [change.organization_id, *change.parts.values_list("organization", flat=True)]
    later = OrgChange.objects.filter(pk__gt=change.pk, undoes=None, undone_by=None)
    later = later.filter(
        Q(organization__in=concerned) | Q(parts__organization__in=concerned)
    ).first()
    return f"之后又办理了“{later}”，请先撤回后来的变动" if later else ""


# ---------------------------------------------------------------- telling


LABELS = {
    "name": "全称",
    "short_name": "简称",
    "category": "领域类别",
    "kind": "组织类型",
    "is_rated": "纳入定级",
    "parent_name": "上级",
}


def facts_of(change: OrgChange) -> list[dict]:
    """What changed, in words: label, old, new."""
    categories = dict(Category.objects.values_list("pk", "name"))
    words = {
        "category": categories,
        "kind": dict(Kind.choices),
        "is_rated": {True: "是", False: "否"},
    }
    return [
        {
            "label": label,
            **{
                side: words[name].get(value, "—") if name in words else value
                for side, value in zip(("old", "new"), change.data[name], strict=True)
            },
        }
        for name, label in LABELS.items()
        if name in change.data and change.data[name][0] != change.data[name][1]
    ]


# ---------------------------------------------------------------- looking before


@dataclass(frozen=True)
class Preview:
    """What a change would do: headings with their lines, and a digest of them."""

    sections: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.sections).encode()).hexdigest()


class _Rehearsed(Exception):
    pass


@retried
def rehearse(act: Callable[[], OrgChange], *, by) -> Preview:
    """Make the change, look at what became of everything, and take all of it back."""
    seen = []
    try:
        with transaction.atomic():
            seen.append(_look(act(), by))
            raise _Rehearsed
    except _Rehearsed:
        return seen[0]


@trail.service("办理组织变动")
def confirm(act: Callable[[], OrgChange], digest: str, *, by) -> OrgChange:
    """Make the change if it does what was shown; raises `StructureError` else."""
    change = act()
    if _look(change, by).digest != digest:
        raise StructureError("情况已有变化，请按下面的最新情况重新核对后再确认")
    return change


def _look(change: OrgChange, by) -> Preview:
    organization = change.organization
    lines = [str(organization)]
    lines += [f"{part.get_role_display()}：{part.organization}" for part in change.parts.all()]
    moved = Organization.objects.filter(pk__in=change.data.get("moved", {})).order_by("lft")
    lines += [f"随同变更上级：{name}" for name in named(moved.values_list("name", flat=True))]
    if change.kind == ChangeKind.MOVE:
        old, new = change.data["parent_name"]
        count = Organization.objects.below(organization).count()
        lines += [f"由“{old}”转到“{new}”", f"连同下级{count}个"]
    sections = [("涉及的党组织", lines)]
    if ended := change.data.get("ended"):
        sections.append(("终止的任职", named(ended)))
    return Preview([*sections, *described(change, by)])


def described(change: OrgChange, by) -> list[tuple[str, list[str]]]:
    """What the apps say of a change to who looks: headings with their lines."""
    return [section for describe in DESCRIBERS for section in describe(change, by)]


def named(names: Iterable[str]) -> list[str]:
    """The first of many, and how many there are."""
    names = list(names)
    rest = len(names) - MOST_NAMED
    return names if rest <= 0 else [*names[:MOST_NAMED], f"等共{len(names)}个"]
