"""What the system does by itself at an hour of the night, and how monitoring learns of it.

No cron is needed: workers look every few seconds whether something is due, one of them claims it by
its row and puts it into the queue like any other work. What was missed while nothing ran is done
once at the next start.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.core.management import call_command
from django.utils import timezone
from django_tasks import task

from ledger_site.base import limits

from .models import Routine

logger = logging.getLogger(__name__)

WORKER = "worker"  # the sign of life of whatever worker looked last
FAULT = "执行时出错，详见日志"


@dataclass(frozen=True)
class Kind:
    label: str
    at: time  # of the day, in local time
    run: Callable[[], str]  # what came of it, in words; raises `Failed` or anything else
    is_wanted: Callable[[], bool]


class Failed(Exception):
    """It ran, and found or did what must be looked into; the text says what."""


KINDS: dict[str, Kind] = {}


def every_night(name: str, label: str, at: time, is_wanted: Callable[[], bool] = lambda: True):
    """Register what is done once a day at an hour."""

    def register(function):
        KINDS[name] = Kind(label, at, function, is_wanted)
        return function

    return register


def show_life() -> None:
    """A worker looked for work: monitoring takes it for gone where it hasn't for a while."""
    now = timezone.now()
    Routine.objects.update_or_create(name=WORKER, defaults={"done_at": now, "is_good": True})


def begin_due() -> int:
    """Put what is due into the queue, each once however many workers look; how many."""
    now, begun = timezone.now(), 0
    rows = Routine.objects.in_bulk(KINDS)
    for name, kind in KINDS.items():
        if not kind.is_wanted():
            continue
        if name not in rows:
            Routine.objects.get_or_create(name=name, defaults={"due_at": next_at(kind.at, now)})
        elif rows[name].due_at <= now:
            same = Routine.objects.filter(name=name, due_at=rows[name].due_at)
            if same.update(due_at=next_at(kind.at, now)):
                run_routine.enqueue(name)
                begun += 1
    return begun


def next_at(at: time, now: datetime) -> datetime:
    """The next time that the clock shows `at`, behind `now`."""
    local = timezone.localtime(now)
    due = local.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return due if due > local else due + timedelta(days=1)


@task()
def run_routine(name: str) -> None:
    run(name)


def run(name: str) -> bool:
    """Do it now, and keep what came of it; whether all is well."""
    is_good = True
    try:
        message = KINDS[name].run()
    except Failed as failed:
        is_good, message = False, str(failed)
        logger.error("routine %s: %s", name, message)
    except Exception:
        is_good, message = False, FAULT
        logger.exception("routine %s failed", name)
    note(name, is_good, message)
    return is_good


def note(name: str, is_good: bool, message: str) -> None:
    """Keep the end of a run, also of one that was begun by hand."""
    now = timezone.now()
    said = {"done_at": now, "is_good": is_good, "message": message}
    first = {"due_at": next_at(KINDS[name].at, now)}
    Routine.objects.update_or_create(name=name, defaults=said, create_defaults=said | first)


@every_night("clean", "清理过期的登录", time(3, 30))
def _clean() -> str:
    call_command("clearsessions")
    limits.forget()
    return "已清理"
