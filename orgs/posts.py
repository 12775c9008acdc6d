"""Whoever acts: a person for one unit with the roles held there, or the system for a named unit."""

from dataclasses import dataclass
from functools import cached_property

from ledger_site.base.trail import WithoutUnit

from .choices import Duty, Role
from .models import Appointment, Organization, User

SYSTEM = "系统"
LONGEST_TEXT = 60  # of a name and of a post, where they are stored


@dataclass(frozen=True)
class Post:
    """The unit a user acts for, with every role held in it; `user` is None for the system."""

    organization: Organization
    roles: frozenset[str]
    user: User | None = None
    deputies: tuple[tuple[str, str], ...] = ()  # role, and the person for whom it is held

    def has(self, role: str) -> bool:
        return role in self.roles

    @property
    def manages_cycles(self) -> bool:
        """管理 at the top of the tree, which has the cycles and what belongs to them."""
        return self.has(Role.MANAGE) and self.organization.parent_id is None

    @property
    def is_system(self) -> bool:
        return self.user is None

    @property
    def person_id(self) -> int | None:
        return self.user and self.user.pk

    @property
    def person_name(self) -> str:
        """“乙 代 甲” where the whole post is held for somebody else."""
        if not self.user:
            return SYSTEM
        stood_in = dict(self.deputies)
        names = "、".join(dict.fromkeys(stood_in.values()))
        is_deputy = stood_in.keys() == self.roles
        return f"{self.user} 代 {names}"[:LONGEST_TEXT] if is_deputy else str(self.user)

    @cached_property
    def roles_text(self) -> str:
        stood_in = dict(self.deputies)
        parts = []
        for value, label in Role.choices:
            if value in self.roles:
                parts.append(f"{label}（代{stood_in[value]}）" if value in stood_in else label)
        return "、".join(parts)[:LONGEST_TEXT]

    @property
    def title(self) -> str:
        return f"{self.organization.short_name} · {self.roles_text}"

    @property
    def organization_id(self) -> int:
        return self.organization.pk

    unit_id = organization_id

    @property
    def unit_code(self) -> str:
        return self.organization.code

    @property
    def unit_name(self) -> str:
        return self.organization.name

    def is_held_at(self, organization_id: int) -> bool:
        """Whether this person holds any post, under whatever role, in that organization."""
        return organization_id in self._own_units

    @cached_property
    def _own_units(self) -> frozenset[int]:
        if self.user is None:
            return frozenset()
        held = Appointment.objects.active().filter(user=self.user)
        return frozenset(held.values_list("organization_id", flat=True))


def posts_of(user: User) -> list[Post]:
    """The posts in force today, one a unit, in the order of the tree; none for nobody, nor for
    one of the three administrators, who keep out of the work."""
    if not user.is_authenticated or user.duty:
        return []
    held = (
        Appointment.objects.active()
        .filter(user=user)
        .select_related("organization", "deputy_for")
        .order_by("organization__tree_id", "organization__lft")
    )
    units, roles, deputies = {}, {}, {}
    for appointment in held:
        pk = appointment.organization_id
        units[pk] = appointment.organization
        roles.setdefault(pk, {}).setdefault(appointment.role, set()).add(appointment.deputy_for)
    for pk, by_role in roles.items():
        # Whoever holds a role as his own stands in for nobody in it.
        deputies[pk] = tuple(
            (role, "、".join(sorted(map(str, persons))))
            for role, persons in by_role.items()
            if None not in persons
        )
    return [Post(unit, frozenset(roles[pk]), user, deputies[pk]) for pk, unit in units.items()]


@dataclass(frozen=True)
class Administrator(WithoutUnit):
    """One of the three administrators, who acts for no unit and by the duty alone."""

    duty: str = ""

    def has(self, role: str) -> bool:
        return role == Role.AUDIT and self.duty == Duty.AUDIT

    @property
    def manages_cycles(self) -> bool:
        return self.duty == Duty.SYSTEM


def administrator(user: User) -> Administrator | None:
    """The administrator that a user is; None for everybody else."""
    if not (user.is_authenticated and user.is_active and user.duty):
        return None
    return Administrator(user.pk, str(user), user.get_duty_display(), duty=user.duty)


def acting(request) -> Post | Administrator | None:
    """Whose rights a request has: of the post in hand, or of a duty; None for whoever has none."""
    return getattr(request, "post", None) or administrator(request.user)


def doer_of(request, role: str = "") -> Post | WithoutUnit:
    """Whoever sent a request: with the rights at hand, or as a person without any."""
    user = request.user
    return acting(request) or WithoutUnit(
        user.pk, str(user) if user.is_authenticated else "未登录", role
    )


def system_post(organization: Organization) -> Post:
    """The system acting for a unit by a command; bound by every rule that is not about persons."""
    return Post(organization, frozenset(Role.values) - {Role.AUDIT})
