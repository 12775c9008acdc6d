"""What is done every night: the proof of everything that is stored, and a backup."""

from datetime import time

from django.conf import settings
from django.utils import timezone

from ledger_site.jobs import routines
from orgs import tree
from ratings.verification import verify

from . import backups

MOST_TOLD = 20  # faults in the result of a night; the command tells all


def faults_of_all() -> list[str]:
    return [*tree.check(), *verify()]


def note_verified(faults: list[str]) -> None:
    """Keep the result of a verification, whoever asked for it, for monitoring."""
    routines.note("verify", not faults, _told(faults))


def _told(faults: list[str]) -> str:
    return "\n".join(faults[:MOST_TOLD]) or "没有发现问题"


@routines.every_night("verify", "核验", time(2, 30))
def _verify() -> str:
    faults = faults_of_all()
    if faults:
        raise routines.Failed(_told(faults))
    return _told(faults)


@routines.every_night("backup", "备份", time(1, 30), is_wanted=lambda: bool(settings.BACKUP_DIR))
def _backup() -> str:
    """A backup that was restored to be sure; old ones make room, but for the newest ones."""
    folder = settings.BACKUP_DIR
    path = folder / f"ledger-{timezone.localtime():%Y%m%d-%H%M%S}.tar"
    try:
        made = backups.back_up(path, is_checked=True)
    except backups.BackupError as error:
        raise routines.Failed(str(error)) from None
    kept = sorted(folder.glob("ledger-*.tar"))
    for old in kept[: -settings.BACKUPS_KEPT]:
        old.unlink()
    return f"{path.name}，{made.size}字节，SHA-256 {made.digest}"
