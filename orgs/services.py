"""Writes of this app that touch no structure."""

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.utils import timezone

from ledger_site.base import trail

from . import tree
from .choices import CATEGORIES, Role
from .models import Appointment, Category, FormerName, Organization, User


def ensure_categories(**kwargs) -> None:
    """See that the ten official categories are there, after each migration; renamed ones stay."""
    there = set(Category.objects.values_list("code", flat=True))
    Category.objects.bulk_create(
        Category(code=code, name=name, sheet_row=name, order=order)
        for order, (code, name) in enumerate(CATEGORIES, 1)
        if code not in there
    )


@trail.service("新建或修改")
def write(record: models.Model, values: Mapping[str, Any], *, kind: str, by) -> dict[str, list]:
    """Make a record or change it, and leave the event; what changed as name → old, new.

    Nothing that is the same is written. Raises `ValidationError` as the model's own checks do.
    For categories and users: an organization has its place in the tree, an appointment begins and
    ends.
    """
    is_new = record._state.adding
    changes = {
        name: [None if is_new else getattr(record, name), value]
        for name, value in values.items()
        if is_new or getattr(record, name) != value
    }
    if not changes:
        return {}
    for name, value in values.items():
        setattr(record, name, value)
    record.full_clean()
    record.save()
    plain = {name: [_plain(old), _plain(new)] for name, (old, new) in changes.items()}
    act = trail.Act(kind, record.pk, getattr(record, "code", ""), str(record), data=plain)
    trail.record(*(("insert", "新建") if is_new else ("change", "修改")), [act], by=by)
    return changes


def _plain(value):
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


@trail.service("任职")
def appoint(user: User, organization: Organization, *roles: Role, by, is_ledger_clerk=False):
    """Give a user roles in an organization from today; a role already held stays as it is."""
    held = set(
        Appointment.objects.filter(user=user, organization=organization, ended_on=None).values_list(
            "role", flat=True
        )
    )
    made = Appointment.objects.bulk_create(
        Appointment(
            user=user, organization=organization, role=role, is_ledger_clerk=is_ledger_clerk
        )
        for role in roles
        if role not in held
    )
    trail.record("appoint", "任职", [act_of(appointment) for appointment in made], by=by)
    return made


def act_of(appointment: Appointment, reason: str = "") -> trail.Act:
    code = appointment.organization.code
    return trail.Act("appointment", appointment.pk, code, str(appointment), reason)


@trail.service("更名")
def rename(organization: Organization, *, name: str, short_name: str, by, reason: str = "") -> None:
    """Change an organization's names and keep the former ones, by which sheets still find it.

    An official name changes by a document: `changes.rename`.
    """
    FormerName.objects.create(
        organization=organization,
        name=organization.name,
        short_name=organization.short_name,
        ended_on=timezone.localdate(),
    )
    act = tree.act_of(
        organization,
        reason,
        name=[organization.name, name],
        short_name=[organization.short_name, short_name],
    )
    organization.name, organization.short_name = name, short_name
    organization.save()
    trail.record("rename", "更名", [act], by=by)
