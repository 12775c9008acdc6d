from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from .choices import UNFINISHED, JobState

SILENCE = timedelta(seconds=30)  # without a sign of life, after which a worker counts as gone


class JobQuerySet(QuerySet):
    def own(self, by):
        """What this person asked for under this post, or as an administrator; nothing without."""
        if by is None or by.person_id is None:
            return self.none()
        return self.filter(person=by.person_id, unit=by.unit_id)

    def unfinished(self):
        return self.filter(state__in=UNFINISHED)

    def silent(self):
        """进行中, and nothing heard of its worker for too long."""
        return self.filter(state=JobState.RUNNING, heartbeat_at__lt=timezone.now() - SILENCE)

    def forgotten(self):
        """等待 for too long, as happens where a worker dies with their task in hand."""
        long_ago = timezone.now() - SILENCE
        return self.filter(state=JobState.WAITING, created_at__lt=long_ago).exclude(
            heartbeat_at__gte=long_ago
        )

    def expired(self):
        """Finished ones whose file has been kept long enough."""
        return self.filter(expires_at__lt=timezone.now()).exclude(file="")
