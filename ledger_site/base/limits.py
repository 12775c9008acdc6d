"""How often somebody does something: a count in the database, the same for every node."""

import time

from django.db import connection

from .models import Tally

WINDOW = 600  # seconds
_COUNT_UP = """
INSERT INTO base_tally (name, number, count) VALUES (%s, %s, 1)
ON CONFLICT (name, number) DO UPDATE SET count = base_tally.count + 1
RETURNING count
"""


def count_up(name: str) -> int:
    """Count once more under this name; how often it was in the ten minutes that are running."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_UP, [name, _window()])
        return cursor.fetchone()[0]


def seconds_left() -> int:
    """Until the count begins anew; at least one."""
    return WINDOW - int(time.time()) % WINDOW


def forget() -> int:
    """Delete the counts of windows that are over; how many."""
    return Tally.objects.filter(number__lt=_window()).delete()[0]


def _window() -> int:
    return int(time.time()) // WINDOW
