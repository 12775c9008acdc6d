"""The plans of a cycle by their day and helper: filters on what `visible_to` gives."""

from calendar import monthrange
from datetime import date

from django.db.models import Q


def due(when: str, today: date) -> Q:
    """Plans by their day: overdue (before today), month (until its end), later, none."""
    end = today.replace(day=monthrange(today.year, today.month)[1])
    return {
        "overdue": Q(entry__due_on__lt=today),
        "month": Q(entry__due_on__gte=today, entry__due_on__lte=end),
        "later": Q(entry__due_on__gt=end),
        "none": Q(entry__due_on=None),
    }[when]


def helped_by(text: str) -> Q:
    return Q(entry__support_unit__icontains=text) | Q(entry__contact_leader__icontains=text)
