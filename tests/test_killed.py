"""kill -9 in the middle of work: nothing lost, nothing doubled, and `verify` finds nothing.

What is killed is a process of its own. It kills itself before the n-th statement that writes, or,
for LATE, when all is committed and nobody has been told; so the moment is the same each time.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from http.client import HTTPException
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from ledger_site.base.models import AuditEvent
from ledger_site.base.reading import digest_of
from ledger_site.jobs import services as jobs
from ledger_site.jobs.choices import JobState
from ledger_site.jobs.models import Job
from ratings import uploads, verification
from ratings.choices import Form, State, UploadState
from ratings.jobs import start_export
from ratings.models import Upload
from tests.factories import fill, ready_to_submit, report_of
from tests.ratings.test_uploads import send, workbook
from tests.saving import done, run
from tests.serving import database_url, served, session_of

LATE = 10_000

SET_UP = """
import os, signal, sys
from pathlib import Path
import django
django.setup()
from django.conf import settings
from django.db import connection, connections

name, jobs, uploads, number = sys.argv[1:5]
settings.JOBS_DIR, settings.UPLOADS_DIR = Path(jobs), Path(uploads)
settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
left = int(number)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def count(execute, sql, params, many, context):
    global left
    if sql.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
        left -= 1
        if not left:
            die()
    return execute(sql, params, many, context)

with connection.execute_wrapper(count):
    {work}
die()
"""

SUBMIT = """
    from django.test import Client
    client = Client()
    client.cookies["sessionid"] = sys.argv[5]
    answer = client.post(sys.argv[6], {"token": sys.argv[7]})
    assert answer.status_code == 302, answer.status_code
"""

RUN = """
    from ledger_site.jobs import services
    services.run(int(sys.argv[5]), 1)
"""


def killed(work: str, number: int, *arguments) -> None:
    """Let a process do the work, and kill itself at its n-th write."""
    command = [SET_UP.replace("{work}", work.strip()), connection.settings_dict["NAME"]]
    command += [settings.JOBS_DIR, settings.UPLOADS_DIR, number, *arguments]
    ended = subprocess.run(
        [sys.executable, "-c", *map(str, command)],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "ledger_site.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def take_up(monkeypatch) -> None:
    """A worker finds what the killed one left."""
    monkeypatch.setattr("ledger_site.jobs.querysets.SILENCE", timedelta(0))
    monkeypatch.setattr(jobs, "SILENCE", timedelta(0))
    call_command("worker", "--once")


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.JOBS_DIR, settings.UPLOADS_DIR = tmp_path / "jobs", tmp_path / "uploads"


def events(action: str) -> int:
    return AuditEvent.objects.filter(action=action).done().count()


# ---------------------------------------------------------------- the web


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [3, LATE])
def test_a_submit_that_is_killed_happened_once_or_not_at_all(line, client, number):
    report = fill(line.of("branch"))
    token = line.of("branch").token
    client.force_login(line.branch.user)
    address = reverse("ratings:move", args=[report.pk, "submit"])

    killed(SUBMIT, number, client.session.session_key, address, token)

    is_done = number == LATE
    assert line.of("branch").state == (State.SUBMITTED if is_done else State.DRAFT)
    assert line.of("branch").versions.count() == events("submit") == is_done
    assert client.post(address, {"token": token}).status_code == 302  # pressed again
    assert line.of("branch").state == State.SUBMITTED
    assert line.of("branch").versions.count() == events("submit") == 1
    assert line.of("branch").moves.count() == 1
    assert verification.verify() == []


@pytest.mark.django_db(transaction=True)
def test_of_submits_whose_node_is_killed_each_happened_once_or_not_at_all(tmp_path):
    """Master and workers die while eight people press; the first of them has just been told."""
    posts = ready_to_submit(8)
    reports = [report_of(post.organization) for post in posts]
    sessions = [session_of(post) for post in posts]
    told, is_told = {}, threading.Event()

    def press(report, browser):
        address = f"/report/{report.pk}/hand-in/"
        fields = browser.exchange("GET", address).form(address)
        ready.wait()
        with suppress(OSError, HTTPException):
            if fields:
                told[report] = browser.exchange("POST", address, urlencode(fields)).status
                is_told.set()

    def press_all():
        threads = [
            threading.Thread(target=press, args=[report, web.browser(session)])
            for report, session in zip(reports, sessions, strict=True)
        ]
        for thread in threads:
            thread.start()
        ready.wait()
        return threads

    def found():
        return [report_of(report.organization) for report in reports]

    ready = threading.Barrier(len(posts) + 1)
    with served(database_url(), tmp_path) as web:
        threads = press_all()
        assert is_told.wait(60)
        web.kill()
        for thread in threads:
            thread.join()
        kept = {report for report in found() if report.state == State.SUBMITTED}
        assert kept >= set(told)
        assert set(told.values()) == {302}

        web.start()
        for thread in press_all():
            thread.join()
        assert {line["logger"] for line in web.lines()} >= {"gunicorn.error"}

    assert {report.state for report in found()} == {State.SUBMITTED}
    assert [report.versions.count() for report in reports] == [1] * len(reports)
    assert [report.moves.count() for report in reports] == [1] * len(reports)
    assert events("submit") == len(reports)
    assert verification.verify() == []


# ---------------------------------------------------------------- the worker


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [2, 4, LATE])
def test_an_import_that_is_killed_is_written_once(line, client, monkeypatch, number):
    client.force_login(line.township.user)
    upload = send(client, line, workbook(line))
    assert upload.state == UploadState.CHECKED, upload.job.message
    data = {"seen": upload.job_id, "rows": "all"}
    client.post(reverse("ratings:upload_act", args=[upload.pk, "confirm"]), data)
    job = Job.objects.get(kind="apply_upload")

    killed(RUN, number, job.pk)

    is_done = number == LATE
    assert (line.of("branch").entry.secretary_name is not None) == is_done
    take_up(monkeypatch)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (JobState.DONE, 1 if is_done else 2), job.message
    assert uploads.settle(Upload.objects.get()).state == UploadState.APPLIED
    names = [line.of(name).entry.secretary_name for name in ("branch", "sibling")]
    assert names == ["赵一", "钱二"]
    written = AuditEvent.objects.filter(object_kind="report", action="edit").done()
    assert sorted(written.values_list("object_code", flat=True)) == ["B1", "B2"]
    assert verification.verify() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [2, LATE])
def test_an_export_that_is_killed_is_made_once_and_whole(line, monkeypatch, number):
    job = start_export(Form.ANNEX3, line.of("township"), is_split=False, by=line.township)

    killed(RUN, number, job.pk)

    is_done = number == LATE
    take_up(monkeypatch)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (JobState.DONE, 1 if is_done else 2), job.message
    assert digest_of(job.path) == job.digest
    assert [path for path in settings.JOBS_DIR.iterdir() if path.suffix != ".alive"] == [job.path]
    assert events("export") == 1
    assert verification.verify() == []


# ---------------------------------------------------------------- restoring

RESTORE = """
import os, signal, sys, threading
from ledger_site import backups
delay, load = float(sys.argv[1]), backups._load
def loading(path):
    threading.Timer(delay, os.kill, [os.getpid(), signal.SIGKILL]).start()
    load(path)
    threading.Event().wait()
backups._load = loading
sys.argv = ["manage.py", "restore", *sys.argv[2:]]
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


def killed_restoring(environment, file, delay: float) -> None:
    """Let a process restore, and kill itself so many seconds after it has begun to write."""
    ended = subprocess.run(
        [sys.executable, "-c", RESTORE, str(delay), str(file), "--replace"],
        cwd=settings.BASE_DIR,
        env=environment | {"DJANGO_SETTINGS_MODULE": "ledger_site.settings"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_a_restore_that_is_killed_leaves_what_was_there_or_all_that_is_new(saved, empty):
    file, _, figures, scope, _ = saved
    killed_restoring(empty, file, 0.0)  # into nothing: it can be done again
    done(empty, "restore", file, "--replace")

    for delay in (0.02, 1.0):  # in the middle, and when all is written
        killed_restoring(empty, file, delay)

        # pg_restore may go on to its end; whoever comes next waits for it.
        assert done(empty, "summary", *scope, "--json") == figures
        assert run(empty, "verify").returncode == 0
