"""Asking for long work, doing it, and taking up what a dead worker left.

A kind of work is a function that an app registers by `runs`. It is given its parameters, the post
of whoever asked, a binary stream for its result and a `Watch`. If it `writes`, all of it is one
transaction together with the end of the job: it is done once and whole, or not at all, whoever
is killed when.
"""

import logging
import secrets
import threading
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django_tasks import task

from ledger_site.base import trail
from ledger_site.base.numbers import new_number, request_number
from ledger_site.base.reading import digest_of
from ledger_site.base.workflow import TransitionRefused
from orgs.posts import administrator, posts_of

from .choices import JobState
from .models import Job
from .querysets import SILENCE

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
BEAT = 1.0  # seconds between signs of life
KEPT = timedelta(days=7)  # a result's file
GONE = "后台程序连续{}次中断，没有完成，请重新提交；仍不成功请联系系统管理员"
FAULT = (
    "执行时出错，没有完成，也没有留下一半的结果。请重新提交；仍不成功请联系系统管理员（编号 {}）"
)
NO_POST = "提交人已不在该单位任职，或者账号已停用，不再执行"


@dataclass(frozen=True)
class Kind:
    run: Callable  # (params, post, stream, watch) -> the name of the file, or "" without one
    writes: bool


KINDS: dict[str, Kind] = {}


def runs(kind: str, *, writes: bool = False):
    """Register the function that does a kind of work."""

    def register(function):
        KINDS[kind] = Kind(function, writes)
        return function

    return register


HOUSEKEEPING: list[Callable[[], int]] = []


def keeps_house(function):
    """Register what an app does every few seconds, and counts: files that have been kept long
    enough are deleted, what waited is tried again."""
    HOUSEKEEPING.append(function)
    return function


class Cancelled(Exception):
    """Whoever asked for the work does not want it any more."""


class TakenOver(Exception):
    """The job was taken for left behind, and is another worker's now."""


class Watch:
    """What a job in hand tells of itself, and is told: called by the work as it gets on."""

    def __init__(self, job: Job):
        self.job, self.phase, self.done, self.total = job, "", 0, 0
        self.wants_cancel = self.is_lost = False
        self.last_acts: list[Callable[[], None]] = []

    def __call__(self, phase: str, done: int = 0, total: int = 0) -> None:
        self.phase, self.done, self.total = phase, done, total
        self.check()

    def at_end(self, act: Callable[[], None]) -> None:
        """Do this together with the end of the job, if it comes to its end."""
        self.last_acts.append(act)

    def check(self) -> None:
        if self.wants_cancel:
            raise Cancelled
        if self.is_lost:
            raise TakenOver

    def beat(self) -> None:
        """Store a sign of life and how far the work is; learn whether it is still wanted."""
        mine = _in_hand(self.job)
        alive = mine.update(
            heartbeat_at=timezone.now(), phase=self.phase, done=self.done, total=self.total
        )
        self.is_lost = not alive
        self.wants_cancel = mine.filter(wants_cancel=True).exists()


class _Stream:
    """The file of a result, which asks at every write whether to go on."""

    def __init__(self, file, watch: Watch):
        self._file, self._watch = file, watch

    def write(self, data):
        self._watch.check()
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)


def _in_hand(job: Job):
    return Job.objects.filter(pk=job.pk, attempt=job.attempt, state=JobState.RUNNING)


def _act(job: Job, **data) -> trail.Act:
    return trail.Act("job", job.pk, job.kind, job.title, data=data)


# ---------------------------------------------------------------- asking


@trail.service("提交后台作业")
def start(kind: str, title: str, params: dict, *, by) -> Job:
    """Ask for work of a kind; the same thing asked for twice at once is one job."""
    same = Job.objects.own(by).unfinished().filter(kind=kind, params=params, wants_cancel=False)
    if job := same.first():
        return job
    job = Job.objects.create(
        kind=kind, title=title, params=params, person_id=by.person_id, unit_id=by.unit_id
    )
    trail.record("start_job", "提交后台作业", [_act(job, params=params)], by=by)
    _enqueue(job)
    return job


@task()
def run_job(pk: int, attempt: int) -> None:
    run(pk, attempt)


def _enqueue(job: Job) -> None:
    run_job.enqueue(job.pk, job.attempt)


@trail.service("取消后台作业")
def cancel(job: Job, *, by) -> bool:
    """Take back what was asked for: at once (true) where nobody has begun, else at the next
    chance of whoever does it."""
    waiting = Job.objects.filter(pk=job.pk, state=JobState.WAITING)
    is_over = bool(waiting.update(state=JobState.CANCELLED, finished_at=timezone.now()))
    if not is_over and not Job.objects.filter(pk=job.pk, state=JobState.RUNNING).update(
        wants_cancel=True
    ):
        raise TransitionRefused("作业已经结束，不能取消")
    trail.record("cancel_job", "取消后台作业", [_act(job)], by=by)
    return is_over


# ---------------------------------------------------------------- doing


def run(pk: int, attempt: int) -> None:
    """Do a job, unless another worker has it or had it."""
    told = request_number.set(new_number())  # what one job does belongs together
    try:
        _run(pk, attempt)
    finally:
        request_number.reset(told)


def _run(pk: int, attempt: int) -> None:
    waiting = Job.objects.filter(pk=pk, attempt=attempt, state=JobState.WAITING)
    now = timezone.now()
    if not waiting.update(state=JobState.RUNNING, started_at=now, heartbeat_at=now):
        return
    job = Job.objects.select_related("person", "unit").get(pk=pk)
    watch = Watch(job)
    name = f"{pk}-{attempt}-{secrets.token_hex(16)}"
    settings.JOBS_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.JOBS_DIR / name
    ended = {}
    try:
        with _beating(watch):
            _do(job, watch, path)
        return
    except Cancelled:
        ended = {"state": JobState.CANCELLED}
    except TakenOver:
        logger.warning("job %s: taken over by another worker", pk)
    except TransitionRefused as refusal:
        _refuse(job, refusal)
        ended = {"state": JobState.FAILED, "message": str(refusal)}
    except Exception as error:
        _refuse(job, error)
        number = secrets.token_hex(4)
        logger.exception("job %s failed (%s)", pk, number)
        ended = {"state": JobState.FAILED, "message": FAULT.format(number)}
    path.unlink(missing_ok=True)
    if ended:
        _in_hand(job).update(finished_at=timezone.now(), **ended)


def _refuse(job: Job, error: Exception) -> None:
    """The event of a job that came to nothing, by whoever asked for it."""
    by = _asker(job) or trail.WithoutUnit()
    trail.refuse(job.kind, "执行后台作业", _act(job), error, by=by)


def _asker(job: Job):
    """Whoever asked for a job, with the rights of now; None where none are left."""
    if job.unit_id is None:
        return administrator(job.person)
    return next((p for p in posts_of(job.person) if p.organization_id == job.unit_id), None)


def _do(job: Job, watch: Watch, path: Path) -> None:
    kind = KINDS[job.kind]
    post = _asker(job)
    if post is None:
        raise TransitionRefused(NO_POST)
    with path.open("w+b") as file, transaction.atomic() if kind.writes else nullcontext():
        name = kind.run(job.params, post, _Stream(file, watch), watch)
        _finish(watch, path, file, name)


@transaction.atomic
def _finish(watch: Watch, path: Path, file, name: str) -> None:
    """The end of a job, if it is still this worker's and still wanted."""
    now, stored = timezone.now(), {}
    if name:
        file.flush()
        stored = {
            "file": path.name,
            "file_name": name,
            "size": path.stat().st_size,
            "digest": digest_of(path),
            "expires_at": now + KEPT,
        }
    mine = _in_hand(watch.job)
    if not mine.filter(wants_cancel=False).update(
        state=JobState.DONE, finished_at=now, message="", **stored
    ):
        raise Cancelled if mine.exists() else TakenOver
    for act in watch.last_acts:
        act()
    if not name:
        path.unlink()


@contextmanager
def _beating(watch: Watch):
    """Signs of life from a thread, over a connection of its own, while the work goes on.

    While the work itself writes, SQLite lets nobody else write: then a file beside the result is
    the sign.
    """
    stop = threading.Event()

    def beat():
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA busy_timeout = 200")
        while not stop.wait(BEAT):
            _sign(watch.job).touch()
            try:
                watch.beat()
            except OperationalError:
                continue
        connection.close()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        _sign(watch.job).unlink(missing_ok=True)


def _sign(job: Job) -> Path:
    return settings.JOBS_DIR / f"{job.pk}-{job.attempt}.alive"


# ---------------------------------------------------------------- keeping house


def recover() -> int:
    """Take up the jobs whose worker is gone, or end them after the last attempt; how many."""
    left = [job for job in Job.objects.silent() if not _shows_life(job)]
    return sum(map(_ask_again, Job.objects.forgotten())) + sum(map(_take_up, left))


def _shows_life(job: Job) -> bool:
    try:
        return _sign(job).stat().st_mtime > (timezone.now() - SILENCE).timestamp()
    except FileNotFoundError:
        return False


@transaction.atomic
def _ask_again(job: Job) -> bool:
    """Enqueue a job whose task was claimed by a worker that died before it claimed the job.

    A second task does no harm: whoever claims the job first does it.
    """
    same = Job.objects.filter(pk=job.pk, state=JobState.WAITING, heartbeat_at=job.heartbeat_at)
    is_ours = bool(same.update(heartbeat_at=timezone.now()))
    if is_ours:
        _enqueue(job)
    return is_ours


@transaction.atomic
def _take_up(job: Job) -> bool:
    """Give a job to the next attempt, or end it; false where somebody else did, or it lives."""
    mine = _in_hand(job).filter(heartbeat_at=job.heartbeat_at)
    now, is_over = timezone.now(), True
    if job.wants_cancel:
        changed = mine.update(state=JobState.CANCELLED, finished_at=now)
    elif job.attempt >= MOST_ATTEMPTS:
        message = GONE.format(MOST_ATTEMPTS)
        changed = mine.update(state=JobState.FAILED, finished_at=now, message=message)
    else:
        is_over = False
        changed = mine.update(state=JobState.WAITING, attempt=job.attempt + 1, done=0, phase="")
    if not changed:
        return False
    for file in settings.JOBS_DIR.glob(f"{job.pk}-*"):
        file.unlink(missing_ok=True)
    if not is_over:
        job.attempt += 1
        _enqueue(job)
    return True


def expire() -> int:
    """Delete the files that have been kept long enough, and what the queue knows of tasks as old;
    the jobs stay as a record. Returns how many files."""
    call_command("prune_db_task_results", min_age_days=KEPT.days, queue_name="*", verbosity=0)
    count = sum(act() for act in HOUSEKEEPING)
    for job in Job.objects.expired():
        job.path.unlink(missing_ok=True)
        count += Job.objects.filter(pk=job.pk).update(file="")
    return count
