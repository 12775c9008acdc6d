"""The audit trail (操作留痕): one event for each act, written with it or not at all.

An act that was refused leaves one too, and one that broke off: `service` writes it when nothing of
the act is left.
"""

import functools
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    models,
    transaction,
)
from django.utils import timezone

from . import proof
from .choices import LOOK, Result
from .db import copy_rows, moment, retried, selected
from .models import AuditEvent
from .numbers import NONE, request_address, request_number
from .workflow import Refusal

logger = logging.getLogger(__name__)

REFUSALS = (Refusal, PermissionDenied, ValidationError)
_PIECE = 2000  # events that are in memory at once
_COLUMNS = (*proof.EVENT_COLUMNS, "format", "mac")
_LENGTHS = {
    name: AuditEvent._meta.get_field(name).max_length for name in ("person_name", "object_name")
}


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


def record(
    action: str, label: str, acts: list[Act], *, by: Doer, result: Result = Result.DONE
) -> None:
    """Append an event for each act. Call it last in the transaction of the acts."""
    now, number, address = timezone.now(), request_number.get(), request_address.get()
    form = proof.format_now()
    events = []
    for act in acts:
        doer = act.by or by
        event = AuditEvent(
            at=now,
            action=action,
            label=label,
            person_id=doer.person_id,
            person_name=doer.person_name[: _LENGTHS["person_name"]],
            post=doer.roles_text,
            unit_id=doer.unit_id,
            unit_code=doer.unit_code,
            unit_name=doer.unit_name,
            object_kind=act.kind,
            object_id=act.object_id,
            object_code=act.code,
            object_name=act.name[: _LENGTHS["object_name"]],
            reason=act.reason,
            data=proof.plain(act.data),
            request_number=number,
            address=address,
            result=Result(result).value,
            format=form,
        )
        event.mac = proof.mac_of(form, [getattr(event, name) for name in proof.EVENT_COLUMNS])
        events.append(event)
    AuditEvent.objects.bulk_create(events, batch_size=_PIECE)


def record_selected(
    action: str, label: str, columns: Mapping[str, str], source: str, *, by: Doer
) -> None:
    """As `record`, for acts that SQL selects: any number of them, of which a piece is read at once.

    `columns` maps columns of unit, object and `data` (JSON as text) to SQL over `source`, which
    begins with FROM. Both are of our own code.
    """
    said = {
        "at": timezone.now(),
        "action": action,
        "label": label,
        "person_id": by.person_id,
        "person_name": by.person_name,
        "post": by.roles_text,
        "reason": "",
        "request_number": request_number.get(),
        "address": request_address.get(),
        "result": Result.DONE.value,
    }
    form = proof.format_now()
    for rows in selected(f"SELECT {', '.join(columns.values())} {source}", _PIECE):
        copy_rows(
            AuditEvent._meta.db_table,
            _COLUMNS,
            (_keyed(said | dict(zip(columns, row, strict=True)), form) for row in rows),
        )


def _keyed(event: dict, form: int) -> tuple:
    """An event as it is copied: with its proof, moment and data as the database takes them."""
    event["data"] = json.loads(event["data"])
    values = [event[name] for name in proof.EVENT_COLUMNS]
    stored = event | {
        "at": moment(event["at"]),
        "data": json.dumps(event["data"], ensure_ascii=False),
    }
    mac = proof.mac_of(form, values)
    return (*(stored[name] for name in proof.EVENT_COLUMNS), form, mac)


def look(act: Act, *, by: Doer, action: str = LOOK, label: str = "查看") -> None:
    """Leave that somebody looked at what is another unit's: once a day for each person, post and
    object, so that going to and fro costs a query and writes nothing."""
    today = timezone.localdate()
    same = AuditEvent.objects.of(act.kind, act.object_id).between(today, None).done()
    if not same.filter(action=action, person_id=by.person_id, unit_id=by.unit_id).exists():
        record(action, label, [act], by=by)


# ---------------------------------------------------------------- services

_depth: ContextVar[int] = ContextVar("services within services", default=0)
_told: ContextVar[str] = ContextVar("request that has left a refusal", default=NONE)


class Named(NamedTuple):
    """How an act is called in the trail, where a table of moves does not say it."""

    action: str
    label: str


def service(label: str | Mapping, *, is_atomic: bool = True) -> Callable:
    """Make a function a service: one transaction, whose acts it records itself, run again where
    the database ended it for the sake of another, and leaving an event where it is refused.

    `label` names the act, or is a table of moves, or of `Named`, that its argument `action` names.
    One that is not `is_atomic` reads before it opens the transaction itself. Of services within
    services the outermost leaves the event, when all is rolled back; one for each request, so that
    a refusal that is repeated by a program does not flood the trail.
    """

    def made(function):
        signature = inspect.signature(function)
        inner = retried(transaction.atomic(function)) if is_atomic else function

        @functools.wraps(function)
        def run(*args, **kwargs):
            depth = _depth.set(_depth.get() + 1)
            try:
                return inner(*args, **kwargs)
            except Exception as error:
                if _depth.get() == 1 and not isinstance(error, OperationalError | InterfaceError):
                    said = signature.bind_partial(*args, **kwargs).arguments
                    named = _named(label, function.__name__, said)
                    refuse(*named, _tried(said), error, by=said.get("by"))
                raise
            finally:
                _depth.reset(depth)

        run.is_service = True
        return run

    return made


def _named(label: str | Mapping, name: str, said: Mapping) -> Named:
    if isinstance(label, str):
        return Named(said.get("action", name), label)
    move = label[said["action"]]
    return move if isinstance(move, Named) else Named(said["action"], move.label)


def refuse(action: str, label: str, act: Act, error: Exception, *, by: Doer | None) -> None:
    """Leave the event of an act that was refused or broke off, once for each request.

    That the event can't be written is no reason to hide why the act was refused.
    """
    number = request_number.get()
    if number != NONE and _told.get() == number:
        return
    result, act.reason = _why(error)
    try:
        record(action, label, [act], by=by or WithoutUnit(), result=result)
    except (DatabaseError, InterfaceError):
        logger.exception("A refusal left no event: %s %s", action, act.name)
        return
    _told.set(number)


def _why(error: Exception) -> tuple[Result, str]:
    if isinstance(error, ValidationError):
        return Result.REFUSED, "；".join(error.messages)
    if isinstance(error, REFUSALS):
        return Result.REFUSED, str(error)
    return Result.FAILED, type(error).__name__  # its text may hold what nobody should read


def _tried(said: Mapping) -> Act:
    """The object that the arguments of a service name: the first record among them."""
    for value in said.values():
        if isinstance(value, list | tuple) and value:
            value = value[0]
        if isinstance(value, models.Model) and value.pk:
            code = getattr(value, "code", "") or getattr(value, "label", "")
            return Act(value._meta.model_name, value.pk, code, str(value))
    return Act("", None, "", "")
