"""Commands of ours on databases of their own."""

import os
import subprocess
import sys
from contextlib import contextmanager

from django.conf import settings

from ledger_site import backups

SMALL = settings.BASE_DIR / "tests/data/lanshan_small"
IS_SQLITE = "sqlite" in settings.DATABASES["default"]["ENGINE"]


@contextmanager
def place(folder):
    """An environment with an empty database, gone afterwards."""
    folder.mkdir()
    said = {"SECRET_KEY": "k" * 60, "DATA_DIR": str(folder), "DATABASE_URL": "", "BACKUP_DIR": ""}
    if IS_SQLITE:
        yield os.environ | said
        return
    with backups._spare(str(folder)) as url:
        yield os.environ | said | {"DATABASE_URL": url}


def run(environment, *command):
    return subprocess.run(
        [sys.executable, "manage.py", *map(str, command)],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def done(environment, *command):
    found = run(environment, *command)
    assert found.returncode == 0, found.stderr
    return found.stdout


def python(environment, text):
    """Run a few lines in a process of their own."""
    found = subprocess.run(
        [sys.executable, "-c", text],
        cwd=settings.BASE_DIR,
        env=environment | {"DJANGO_SETTINGS_MODULE": "ledger_site.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
