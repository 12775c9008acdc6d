"""PostgreSQL starts anew under load: people get pages of ours, and nothing else is restarted."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from http.client import HTTPException
from urllib.parse import urlencode

import psycopg2
import pytest
from django.conf import settings

from ledger_site import backups
from tests.factories import ready_to_submit, report_of
from tests.saving import done
from tests.serving import private_servers, served, session_of, waited_for

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

READ = ("/", "/2012-1/ledger/", "/2012-1/review/", "/organizations/")
STORED = "SELECT report_id, action, count(*) FROM ratings_reportmove GROUP BY report_id, action"
VERSIONS = "SELECT report_id, 'submit', count(*) FROM ratings_reportversion GROUP BY report_id"
DUE = "UPDATE jobs_routine SET due_at = now(), done_at = NULL WHERE name = 'clean'"
DONE = "SELECT count(*) FROM jobs_routine WHERE name = 'clean' AND is_good"


@pytest.fixture
def server():
    """A server of its own that keeps what it has acknowledged."""
    module = private_servers()
    server = module.Server(module.programs(), module.OPTIONS | {"synchronous_commit": "on"})
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Person:
    """Somebody at a browser who goes on whatever comes back."""

    def __init__(self, browser, report=None):
        self.browser, self.report = browser, report
        self.answers = []  # each with the moment of its question; an error where there is none
        self.acknowledged, self.unknown = Counter(), Counter()

    def work(self, is_over):
        while not is_over.is_set():
            if self.report:
                page = f"/report/{self.report}/"
                self.press("submit", page + "hand-in/", page + "hand-in/")
                self.press("recall", page, page + "move/recall/")
            else:
                for path in READ:
                    self.ask("GET", path)

    def press(self, action, page, address):
        opened = self.ask("GET", page)
        if opened and (fields := opened.form(address)):
            answer = self.ask("POST", address, urlencode(fields))
            counted = self.acknowledged if answer and answer.status == 302 else self.unknown
            counted[self.report, action] += 1

    def ask(self, method, path, body=None):
        at = time.monotonic()
        try:
            answer, error = self.browser.exchange(method, path, body), None
        except (OSError, HTTPException) as failed:
            answer, error = None, f"{method} {path}: {failed!r}"
        self.answers.append((at, answer, error))
        return answer

    def since(self, moment) -> list[int]:
        return [answer and answer.status for at, answer, _ in self.answers if at > moment]


@contextmanager
def at_work(people):
    """They work at the same time, until the end of this."""
    is_over = threading.Event()
    threads = [threading.Thread(target=person.work, args=[is_over]) for person in people]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@contextmanager
def working(url):
    """A worker for jobs in the background."""
    command = [sys.executable, "manage.py", "worker"]
    environment = os.environ | {"DATABASE_URL": url, "LOG_LEVEL": "CRITICAL"}
    worker = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment)
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def asked(server, sql):
    """What a statement gives on the server that was started anew."""
    with closing(psycopg2.connect(server.url)) as database, database, database.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def test_people_see_pages_of_ours_and_what_they_were_told_is_stored(server, tmp_path):
    posts, dump = ready_to_submit(6), tmp_path / "dump"
    reports = [report_of(post.organization).pk for post in posts[:4]] + [None, None]
    sessions = [session_of(post) for post in posts]
    backups._run("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={backups._url()}")
    backups._run("pg_restore", "--no-owner", f"--dbname={server.url}", str(dump))
    with working(server.url) as worker, served(server.url, tmp_path) as web:
        people = [
            Person(web.browser(session), report)
            for session, report in zip(sessions, reports, strict=True)
        ]
        with at_work(people):
            time.sleep(2)
            # As when it crashes: nobody is told.
            server.run("pg_ctl", "--pgdata=data", "--mode=immediate", "--wait", "stop")
            assert web.status("/readyz") == 503
            time.sleep(1)
            server.run("pg_ctl", "--pgdata=data", "--log=server.log", "--wait", "start")
            begun = time.monotonic()
            asked(server, DUE)
            assert waited_for(lambda: asked(server, DONE)[0][0]), "the worker does nothing"
            assert waited_for(lambda: all(len(person.since(begun)) > 4 for person in people))
        assert web.status("/readyz") == 200
        assert worker.poll() is None
        assert not [line for line in web.lines() if "Booting" in line["message"]][2:]

    answers = [(at, answer) for person in people for at, answer, _ in person.answers]
    assert not [error for person in people for *_, error in person.answers if error]
    assert {answer.status for _, answer in answers} == {200, 302, 503}
    busy = [answer for _, answer in answers if answer.status == 503]
    assert all("请求编号" in answer.text for answer in busy)
    for person in people:
        assert 503 not in person.since(begun)
    told, unknown = Counter(), Counter()
    for person in people:
        told, unknown = told + person.acknowledged, unknown + person.unknown
    stored = {(report, action): count for report, action, count in asked(server, STORED)}
    assert len(told) == 8
    for press, count in stored.items():
        assert told[press] <= count <= told[press] + unknown[press], (press, count)
    assert sorted(asked(server, VERSIONS)) == sorted(
        (report, action, n) for (report, action), n in stored.items() if action == "submit"
    )
    done(os.environ | {"DATABASE_URL": server.url}, "verify")
