"""The clock of the demo's story, which takes weeks and is told in seconds.

What the services write carries the moment of the story, so histories, deadlines and the order of
events are those of a real cycle. No stored time is changed afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta

from django.utils import timezone


def _moment_of(day: date, hour: int) -> datetime:
    return timezone.make_aware(datetime.combine(day, time(hour, 5)))


class Clock:
    def __init__(self, today: date):
        self.today = today
        self._moment = timezone.now()

    def __call__(self) -> datetime:
        return self._moment

    def start(self, day: date) -> None:
        self._moment = _moment_of(day, 9)

    def go_to(self, day: date | int, hour: int = 9) -> None:
        """On to an hour of a day, a number is days from today; never back."""
        if isinstance(day, int):
            day = self.today + timedelta(days=day)
        self._moment = max(self._moment, _moment_of(day, hour))

    def tick(self) -> None:
        """What is done next is done a little later."""
        self._moment += timedelta(seconds=100)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Stands in for Django's own while the story is told; nothing else runs meanwhile."""
        real, timezone.now = timezone.now, self
        try:
            yield
        finally:
            timezone.now = real
