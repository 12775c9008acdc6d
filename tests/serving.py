"""Gunicorn as in deploy/, in front of a database of the tests, and people who ask it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

from django.conf import settings
from django.db import connection
from django.test import Client

from bench.browser import Browser
from ledger_site import backups


def database_url() -> str:
    """The address of the database of this test."""
    if connection.vendor == "sqlite":
        return f"sqlite:///{connection.settings_dict['NAME']}"
    return backups._url()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def waited_for(said, seconds=60.0):
    """What `said` gives as soon as it is something; its last answer where it never is."""
    deadline = time.monotonic() + seconds
    while not (found := said()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def session_of(post) -> str:
    """The session of somebody who has just signed in."""
    client = Client()
    client.force_login(post.user)
    return client.session.session_key


def private_servers():
    """script/with-postgresql as a module."""
    loader = SourceFileLoader("with_postgresql", str(settings.BASE_DIR / "script/with-postgresql"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class Web:
    """A node: a master and two workers, which can be killed all at once and started again."""

    def __init__(self, url: str, folder):
        self.port, self.log = free_port(), folder / "web.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {"DATABASE_URL": url, "LOG_LEVEL": "INFO"}
        self.process = None

    def start(self) -> None:
        command = [sys.executable, "-m", "gunicorn", "ledger_site.wsgi", "--workers", "2"]
        command += ["--config", "deploy/gunicorn.conf.py", "--bind", f"127.0.0.1:{self.port}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert waited_for(lambda: self.status("/healthz") == 200), self.log.read_text()

    def kill(self) -> None:
        """kill -9 of all that it is."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def status(self, path: str) -> int:
        """0 where nobody answers."""
        try:
            return self.browser().exchange("GET", path).status
        except OSError:
            return 0

    def browser(self, session: str = "") -> Browser:
        return Browser(self.url, session, None, [])

    def lines(self) -> list[dict]:
        """Its log, every line of which is an object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def served(url: str, folder):
    """A node that runs; whatever the test does, nothing of it goes on."""
    web = Web(url, folder)
    try:
        web.start()
        yield web
    finally:
        web.kill()
