"""Which events of the trail somebody asks for; each of these goes by an index."""

from datetime import date, datetime, time, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from .choices import LOOKS, Result


class AuditEventQuerySet(QuerySet):
    def of(self, kind: str, *keys: int):
        """What was done to these objects, seen or tried."""
        return self.filter(object_kind=kind, object_id__in=keys)

    def done(self):
        return self.filter(result=Result.DONE)

    def looks(self):
        """What showed somebody something, and changed nothing."""
        return self.filter(action__in=LOOKS)

    def changes(self):
        return self.exclude(action__in=LOOKS)

    def between(self, first: date | None, last: date | None):
        """Events of whole days, both included; None: open on that side."""
        found = self
        if first:
            found = found.filter(at__gte=_start_of(first))
        if last:
            found = found.filter(at__lt=_start_of(last + timedelta(days=1)))
        return found


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
