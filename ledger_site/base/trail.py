"""The audit trail (操作留痕): one event for each act, written with it or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from django.db import connection
from django.utils import timezone

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
    by: Doer | None = None  # where not all acts of one record are the same doer's


def record(action: str, label: str, acts: list[Act], *, by: Doer) -> None:
    """Append an event for each act. Call it last in the transaction of the acts."""
    AuditEvent.objects.bulk_create(
        AuditEvent(
            action=action,
            label=label,
            person_id=doer.person_id,
            person_name=doer.person_name,
            post=doer.roles_text,
            unit_id=doer.unit_id,
            unit_code=doer.unit_code,
            unit_name=doer.unit_name,
            object_kind=act.kind,
            object_id=act.object_id,
            object_code=act.code,
            object_name=act.name[: AuditEvent._meta.get_field("object_name").max_length],
            reason=act.reason,
            data=act.data,
            request_number=request_number.get(),
        )
        for act, doer in ((act, act.by or by) for act in acts)
    )


def record_selected(
    action: str, label: str, columns: Mapping[str, str], source: str, *, by: Doer
) -> None:
    """As `record`, for acts that SQL selects: any number of them, none of which is read.

    `columns` maps columns of unit, object and `data` (JSON as text) to SQL over `source`, which
    begins with FROM. Both are of our own code.
    """
    data = columns["data"]
    if connection.vendor == "postgresql":
        data = f"CAST({data} AS jsonb)"
    said = {
        "at": timezone.now(),
        "action": action,
        "label": label,
        "person_id": by.person_id,
        "person_name": by.person_name,
        "post": by.roles_text,
        "reason": "",
        "request_number": request_number.get(),
    }
    names = ", ".join([*said, *columns])
    values = ", ".join([*["%s"] * len(said), *({**columns, "data": data}).values()])
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO base_auditevent ({names}) SELECT {values} {source}",
            [connection.ops.adapt_datetimefield_value(said.pop("at")), *said.values()],
        )
