"""The whole state saved and brought back, by the real commands on databases of their own."""

import json
import tarfile
from types import SimpleNamespace

import pytest
from django.utils.crypto import get_random_string

from ledger_site import backups
from tests.saving import SMALL, done, python, run


def test_what_is_brought_back_is_what_was_saved(saved, empty, tmp_path):
    file, said, figures, scope, _ = saved

    assert said["checked"]
    assert said["files"] == 1
    assert backups.sum_of(file).read_text().split() == [said["digest"], "whole.tar"]
    assert oct(file.stat().st_mode)[-3:] == "600"
    done(empty, "restore", file)
    assert done(empty, "summary", *scope, "--json") == figures
    assert (tmp_path / "two/attachments/abc").read_bytes() == b"%PDF-1.4"
    assert json.loads(done(empty, "verify", "--json"))["outcome"] == "sound"


LATER = """
import django; django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE later (report bigint REFERENCES ratings_report (id))")
    if connection.vendor == "postgresql":
        cursor.execute("CREATE FUNCTION later() RETURNS int LANGUAGE sql AS 'SELECT 1'")
"""


def test_nothing_is_replaced_unless_it_is_said_and_then_all_is(saved):
    """Also what a later version has added: whoever goes back must be able to upgrade again."""
    file, *_, environment = saved
    python(environment, LATER)

    refused = run(environment, "restore", file)

    assert refused.returncode == 1
    assert "数据库里已有数据" in refused.stderr
    assert "Traceback" not in refused.stderr
    done(environment, "restore", file, "--replace")
    python(environment, LATER)  # there is none
    done(environment, "restore", file, "--replace")


GUARDED = """
import django; django.setup()
from django.db import DatabaseError, transaction
from ledger_site.base import guards
from ledger_site.base.models import AuditEvent, AuditSeal
assert guards.missing() == []
assert AuditSeal.objects.exists()
for rows in (AuditEvent.objects.all(), AuditSeal.objects.all()):
    try:
        with transaction.atomic():
            rows.delete()
    except DatabaseError:
        continue
    raise SystemExit("deleted")
"""
SEAL = """
import django; django.setup()
from ledger_site.base import sealing
sealing.seal()
"""


def test_a_trail_that_is_sealed_and_guarded_is_replaced_and_guarded_again(saved, tmp_path):
    """The triggers refuse whoever deletes events; bringing back a backup is no such thing."""
    *_, environment = saved
    file = tmp_path / "sealed.tar"
    python(environment, SEAL)
    done(environment, "backup", file)
    done(environment, "verify")  # later than the backup: an event and soon a seal
    python(environment, SEAL)

    done(environment, "restore", file, "--replace")

    python(environment, GUARDED)
    assert json.loads(done(environment, "verify", "--json"))["outcome"] == "sound"


@pytest.fixture
def target(db, settings, tmp_path, monkeypatch):
    """The database of the tests as the one to restore into: nothing may get as far as writing."""
    settings.DATA_DIR, settings.ATTACHMENTS_DIR = tmp_path / "data", tmp_path / "attachments"
    settings.DATA_DIR.mkdir()
    monkeypatch.setattr(backups, "is_empty", lambda: True)
    monkeypatch.setattr(backups, "_load", pytest.fail)
    monkeypatch.setattr(backups, "_put_attachments", pytest.fail)
    return tmp_path


@pytest.mark.parametrize("share", [0.001, 0.5, 0.9])
def test_a_byte_that_changed_is_found_and_nothing_is_written(saved, target, share):
    file, *_ = saved
    broken = target / "broken.tar"
    content = bytearray(file.read_bytes())
    content[int(len(content) * share)] ^= 1
    broken.write_bytes(content)

    with pytest.raises(backups.BackupError, match="没有恢复"):
        backups.restore(broken)


def test_a_file_that_is_not_what_its_digest_says_is_refused(saved, target):
    file, *_ = saved
    (target / "copy.tar").write_bytes(file.read_bytes())
    backups.sum_of(target / "copy.tar").write_text(f"{'0' * 64}  copy.tar\n", encoding="utf-8")

    with pytest.raises(backups.BackupError, match="摘要不符"):
        backups.restore(target / "copy.tar")


@pytest.mark.parametrize("name", ["../evil", "attachments/../../evil", "/etc/evil", "other"])
def test_a_forged_archive_writes_nowhere_else(target, name):
    forged = target / "forged.tar"
    with tarfile.open(forged, "w") as tar:
        tar.add(SMALL / "orgs.csv", arcname=name, recursive=False)

    with pytest.raises(backups.BackupError, match="没有恢复"):
        backups.restore(forged)
    assert not list(target.glob("**/evil"))


@pytest.mark.parametrize(
    "content", [b"", b"not a backup", b"PK\x03\x04" + bytes(2000)], ids=["empty", "text", "zip"]
)
def test_what_is_no_backup_is_said_to_be_none(target, content):
    (target / "file").write_bytes(content)

    with pytest.raises(backups.BackupError, match="没有恢复"):
        backups.restore(target / "file")


def test_a_backup_is_never_written_over(saved, db, tmp_path):
    file, *_, environment = saved

    refused = run(environment, "backup", file)

    assert (refused.returncode, "已存在" in refused.stderr) == (1, True)
    with pytest.raises(backups.BackupError, match="不能写入"):
        backups.back_up(tmp_path / "nowhere" / "file", is_checked=False)


def test_a_newer_backup_is_refused(saved, target):
    """Rewritten with a migration that this program does not have."""
    file, *_ = saved
    newer = target / "newer.tar"
    with tarfile.open(file) as old, tarfile.open(newer, "w") as tar:
        for member in old:
            stream = old.extractfile(member)
            if member.name == backups.MANIFEST:
                said = json.loads(stream.read())
                said["migrations"].append(["ratings", "9999_later"])
                (target / "manifest").write_text(json.dumps(said))
                tar.add(target / "manifest", arcname=backups.MANIFEST)
            else:
                tar.addfile(member, stream)

    with pytest.raises(backups.BackupError, match="请先升级程序再恢复"):
        backups.restore(newer)


def test_the_password_is_in_no_argument(db, monkeypatch):
    said = {"PASSWORD": "geheim", "NAME": "ledger", "USER": "ledger", "HOST": "10.1.0.21"}
    monkeypatch.setattr(backups, "connection", SimpleNamespace(settings_dict=said))

    assert "geheim" not in backups._url(with_password=False)
    assert "geheim" in backups._url(get_random_string(4))
