"""What is done every night: once, however many workers look, and kept for monitoring."""

from datetime import datetime, time, timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from ledger_site import upkeep
from ledger_site.jobs import routines
from ledger_site.jobs.models import Routine

pytestmark = pytest.mark.django_db


@pytest.fixture
def routine(monkeypatch):
    """A routine of the test alone; a list of its runs."""
    runs = []

    def run():
        runs.append(1)
        return "好"

    kind = routines.Kind("试", time(2, 0), run, lambda: True)
    monkeypatch.setattr(routines, "KINDS", {"test": kind})
    return runs


def due(name):
    Routine.objects.filter(name=name).update(due_at=timezone.now() - timedelta(hours=1))


def test_the_first_look_only_says_when(routine):
    assert routines.begin_due() == 0
    assert Routine.objects.get(name="test").due_at > timezone.now()


def test_what_is_due_is_done_once(routine):
    routines.begin_due()
    due("test")

    assert (routines.begin_due(), routines.begin_due()) == (1, 0)
    (asked,) = DBTaskResult.objects.all()
    assert asked.args_kwargs["args"] == ["test"]
    routines.run("test")
    assert routine == [1]
    found = Routine.objects.get(name="test")
    assert (found.is_good, found.message) == (True, "好")
    assert found.due_at > timezone.now()


def test_a_fault_is_kept_and_told_without_its_inside(routine, monkeypatch):
    def run():
        raise ValueError("a secret")

    kind = routines.Kind("试", time(2, 0), run, lambda: True)
    monkeypatch.setattr(routines, "KINDS", {"test": kind})

    assert routines.run("test") is False
    found = Routine.objects.get(name="test")
    assert (found.is_good, "secret" in found.message) == (False, False)


def test_next_is_tomorrow_once_the_hour_has_passed():
    noon = datetime(2012, 7, 9, 12, 0, tzinfo=timezone.get_default_timezone())

    assert timezone.localtime(routines.next_at(time(2, 30), noon)).day == 10
    assert timezone.localtime(routines.next_at(time(12, 30), noon)).day == 9
    assert timezone.localtime(routines.next_at(time(12, 0), noon)).day == 10


def test_the_proof_of_the_night_is_that_of_the_command(monkeypatch, capsys):
    call_command("verify")
    assert Routine.objects.get(name="verify").is_good
    monkeypatch.setattr(upkeep, "verify", lambda: ["有一处不符"])

    assert routines.run("verify") is False
    found = Routine.objects.get(name="verify")
    assert (found.is_good, found.message) == (False, "有一处不符")


def test_old_backups_make_room(settings, tmp_path, monkeypatch):
    settings.BACKUP_DIR, settings.BACKUPS_KEPT = tmp_path, 2
    for day in range(3):
        (tmp_path / f"ledger-2012010{day + 1}-013000.tar").touch()

    def back_up(path, *, is_checked):
        path.touch()
        return upkeep.backups.Backup(path, 0, "d", 0)

    monkeypatch.setattr(upkeep.backups, "back_up", back_up)

    assert routines.run("backup")
    left = sorted(one.name for one in tmp_path.glob("*.tar"))
    assert left[0] == "ledger-20120103-013000.tar"
    assert len(left) == 2


def test_without_a_folder_there_is_no_backup_at_night(settings):
    settings.BACKUP_DIR = None
    routines.begin_due()

    assert not Routine.objects.filter(name="backup").exists()
    assert Routine.objects.filter(name="verify").exists()
