"""The worker as a process of its own: what signals and a locked database do to a job in hand."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection

from ledger_site.jobs import services
from ledger_site.jobs.choices import JobState
from ledger_site.jobs.models import Job

pytestmark = pytest.mark.django_db(transaction=True)

ON_SQLITE = "sqlite" in settings.DATABASES["default"]["ENGINE"]

SET_UP = """
import sys, time
from pathlib import Path
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.db import connections
settings.JOBS_DIR = Path(sys.argv[1])
settings.DATABASES["default"]["NAME"] = sys.argv[2]
connections["default"].settings_dict["NAME"] = sys.argv[2]
from ledger_site.jobs import services
def work(params, post, stream, watch):
    print("working", flush=True)
    time.sleep(2)
    stream.write("完整".encode())
    return "结果.txt"
services.KINDS["test"] = services.Kind(work, False)
call_command("worker")
"""

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, settings):
    settings.JOBS_DIR = tmp_path / "jobs"
    return settings.JOBS_DIR


@pytest.fixture
def job(line, monkeypatch):
    monkeypatch.setitem(services.KINDS, "test", None)
    return services.start("test", "测试", {}, by=line.township)


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM], [signal.SIGTERM] * 2]
)
def test_a_worker_told_to_stop_ends_its_job_first_however_often_it_is_told(job, folder, signals):
    worker = subprocess.Popen(
        [sys.executable, "-c", SET_UP, str(folder), str(connection.settings_dict["NAME"])],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "ledger_site.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert worker.stdout.readline().strip() == "working"
        for number in signals:
            worker.send_signal(number)
            time.sleep(0.2)
        assert worker.wait(timeout=20) == 0
    finally:
        worker.kill()
        worker.communicate()

    job.refresh_from_db()
    assert (job.state, job.attempt) == (JobState.DONE, 1)
    assert job.path.read_text(encoding="utf-8") == "完整"


@pytest.mark.skipif(not ON_SQLITE, reason="where writers do not wait for one another")
def test_a_worker_shows_life_while_another_process_holds_the_lock(job, folder, monkeypatch):
    signs = []
    monkeypatch.setattr(services, "BEAT", 0.1)

    def work(params, post, stream, watch):
        holder = [sys.executable, "-c", LOCK, str(connection.settings_dict["NAME"])]
        with subprocess.Popen(
            holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as lock:
            assert lock.stdout.readline().strip() == "locked"
            before = Job.objects.get().heartbeat_at
            for _ in range(3):
                time.sleep(0.7)
                signs.append((folder / f"{job.pk}-1.alive").stat().st_mtime_ns)
            monkeypatch.setattr("ledger_site.jobs.querysets.SILENCE", timedelta(0))
            monkeypatch.setattr(services, "SILENCE", timedelta(seconds=1))
            assert Job.objects.silent().exists()
            assert services.recover() == 0
            assert Job.objects.get().heartbeat_at - before < timedelta(seconds=1)
        return ""

    monkeypatch.setitem(services.KINDS, "test", services.Kind(work, False))
    services.run(job.pk, 1)

    job.refresh_from_db()
    assert (job.state, job.message) == (JobState.DONE, "")
    assert signs == sorted(set(signs))
