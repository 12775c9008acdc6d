"""The audit trail (操作留痕): one event for each act, written with it or not at all."""

from dataclasses import dataclass, field
from typing import Protocol

from .models import AuditEvent
from .numbers import request_number


class Doer(Protocol):
    """Whoever acts: a person under a post, or the system for a named unit."""

    person_id: int | None
    person_name: str
    roles_text: str
    unit_id: int | None
    unit_code: str
    unit_name: str


@dataclass(frozen=True)
class WithoutUnit:
    """Whoever acts for no unit: the system before there is a tree, an administrator in /admin."""

    person_id: int | None = None
    person_name: str = "系统"
    roles_text: str = ""
    unit_id: int | None = None
    unit_code: str = ""
    unit_name: str = ""


@dataclass
class Act:
    """One thing done to one object, before it is written to the trail."""

    kind: str
    object_id: int | None
    code: str
    name: str
    reason: str = ""
    data: dict = field(default_factory=dict)


def record(action: str, label: str, acts: list[Act], *, by: Doer) -> None:
    """Append an event for each act. Call it last in the transaction of the acts."""
    AuditEvent.objects.bulk_create(
        AuditEvent(
            action=action,
            label=label,
            person_id=by.person_id,
            person_name=by.person_name,
            post=by.roles_text,
            unit_id=by.unit_id,
            unit_code=by.unit_code,
            unit_name=by.unit_name,
            object_kind=act.kind,
            object_id=act.object_id,
            object_code=act.code,
            object_name=act.name[: AuditEvent._meta.get_field("object_name").max_length],
            reason=act.reason,
            data=act.data,
            request_number=request_number.get(),
        )
        for act in acts
    )
