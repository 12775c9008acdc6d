"""Backup and restore: the whole state in one file, each part of it under its digest.

A tar with the database (SQLite by its online backup, PostgreSQL by `pg_dump` in its custom format),
the attachments, and last a manifest that says of every part how long it is and what its SHA-256 is.
The secret key is not in it: whoever finds a backup must not be able to sign sessions.
Files under `ATTACHMENTS_DIR` are only ever added, so those copied after the database hold all that
it names.
"""

import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlencode

from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from django.utils.crypto import get_random_string

from ledger_site.base.reading import digest_of

from . import env

FORMAT = 1
DATABASE, MANIFEST, FILES = "database", "manifest.json", "attachments"
MOST_MANIFEST = 1 << 30  # bytes; a line for each of some millions of files


# Everything that is there, not only what the backup knows of: what a later version has added refers
# to what is replaced, and would be met again by the next upgrade.
EMPTY = """
DO $$
DECLARE one text;
BEGIN
  FOR one IN SELECT oid::regclass FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') LOOP
    EXECUTE 'DROP TABLE ' || one || ' CASCADE';
  END LOOP;
  FOR one IN SELECT oid::regprocedure FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS
      (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e') LOOP
    EXECUTE 'DROP ROUTINE ' || one || ' CASCADE';
  END LOOP;
END $$;
"""


class BackupError(Exception):
    """What could not be saved or brought back; one Chinese sentence with the remedy."""


@dataclass(frozen=True)
class Backup:
    path: Path
    size: int  # bytes
    digest: str  # SHA-256 of the file
    file_count: int  # attachments


# ---------------------------------------------------------------- saving


def back_up(path: Path, *, is_checked: bool = True) -> Backup:
    """Write everything to `path`, which must not be there; beside it the digest, as sha256sum
    reads it. `is_checked`: restore it into an empty database, and verify that one.

    Raises `BackupError`; nothing is left at `path` then. People may go on working meanwhile.
    """
    path = path.absolute()
    if path.exists():
        raise BackupError(f"文件 {path} 已存在，请换一个文件名")
    part = path.with_name(f".{path.name}.part")
    try:
        count = _write(part)
        if is_checked:
            check(part)
        digest = digest_of(part)
        os.replace(part, path)
        sum_of(path).write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    except OSError as error:
        raise BackupError(f"不能写入 {path}：{error.strerror}") from None
    except sqlite3.Error as error:
        raise BackupError(f"数据库不能读取：{error}") from None
    finally:
        part.unlink(missing_ok=True)
    return Backup(path, path.stat().st_size, digest, count)


def sum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _write(path: Path) -> int:
    """The tar; how many attachments it holds."""
    parts = {}
    migrations = sorted(MigrationRecorder(connection).applied_migrations())
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, path.open("xb") as file:
        os.chmod(path, 0o600)
        with tarfile.open(fileobj=file, mode="w") as tar:
            dump = Path(folder) / DATABASE
            _dump(dump)
            _add(tar, dump, DATABASE, parts)
            dump.unlink()
            for one in _attachments():
                _add(tar, one, f"{FILES}/{one.name}", parts)
            manifest = {
                "format": FORMAT,
                "made_at": timezone.now().isoformat(),
                "database": connection.vendor,
                "migrations": migrations,
                "parts": parts,
            }
            text = json.dumps(manifest, ensure_ascii=False).encode()
            member = tarfile.TarInfo(MANIFEST)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        file.flush()
        os.fsync(file.fileno())
    return len(parts) - 1


def _attachments() -> Iterator[Path]:
    if settings.ATTACHMENTS_DIR.is_dir():
        yield from sorted(one for one in settings.ATTACHMENTS_DIR.iterdir() if one.is_file())


def _add(tar: tarfile.TarFile, path: Path, name: str, parts: dict) -> None:
    member = tarfile.TarInfo(name)
    member.size = path.stat().st_size
    with path.open("rb") as file:
        reading = _Digesting(file)
        tar.addfile(member, reading)
    parts[name] = {"size": member.size, "sha256": reading.digest}


class _Digesting:
    """A file that is digested while it is read."""

    def __init__(self, file):
        self._file, self._hash = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _dump(path: Path) -> None:
    if connection.vendor == "sqlite":
        with _sqlite(connection.settings_dict["NAME"]) as source, _sqlite(path) as target:
            source.backup(target, pages=1000, sleep=0.01)
        return
    _run("pg_dump", "--format=custom", f"--file={path}", f"--dbname={_url(with_password=False)}")


@contextmanager
def _sqlite(path):
    with closing(sqlite3.connect(path, timeout=30)) as database:
        yield database


def _url(name: str = "", *, with_password: bool = True) -> str:
    """The address of the database, or of another on the same server, for libpq and for us."""
    entry = connection.settings_dict
    user = quote(entry.get("USER") or "", safe="")
    if with_password and entry.get("PASSWORD"):
        user += f":{quote(entry['PASSWORD'], safe='')}"
    place = f"{entry.get('HOST') or ''}:{entry['PORT']}" if entry.get("PORT") else entry.get("HOST")
    options = {k: v for k, v in entry.get("OPTIONS", {}).items() if isinstance(v, str | int)}
    query = f"?{urlencode(options, safe='/')}" if options else ""
    return f"postgresql://{user}@{place or ''}/{quote(name or entry['NAME'])}{query}"


def _run(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL; the password is not for the list of processes."""
    found = shutil.which(program) or next(
        (str(one) for one in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))[::-1]), ""
    )
    if not found:
        raise BackupError(f"没有找到 {program}，请安装与数据库同版本的 postgresql-client")
    secret = {"PGPASSWORD": connection.settings_dict.get("PASSWORD") or ""}
    done = subprocess.run(  # noqa: S603 - no shell; the arguments are ours
        [found, *arguments], env=env.of_child(**secret), capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["没有说明原因"]
        raise BackupError(f"{program} 没有完成：{lines[0]}")


# ---------------------------------------------------------------- bringing back


def restore(path: Path, *, replaces: bool = False) -> Backup:
    """Bring everything back into a database that holds nothing, or instead of what it holds.

    The whole file is checked before anything is written; the database is written in one step. What
    is older than this program is migrated. Raises `BackupError`, and nothing is changed then but
    for attachments that nothing refers to.
    """
    if not path.is_file():
        raise BackupError(f"文件 {path} 不存在")
    if not replaces and not is_empty():
        raise BackupError(
            "数据库里已有数据，没有恢复。请指定空的数据库；"
            "确要替换现有数据，先停止服务并备份，再加 --replace"
        )
    digest = digest_of(path)
    said = sum_of(path).read_text(encoding="utf-8").split() if sum_of(path).exists() else [digest]
    if not said or said[0] != digest:
        raise BackupError(f"文件与 {sum_of(path).name} 的摘要不符，可能已损坏，没有恢复")
    try:
        with tempfile.TemporaryDirectory(dir=settings.DATA_DIR) as folder:
            manifest = _unpacked(path, Path(folder))
            _put_attachments(Path(folder) / FILES)
            _load(Path(folder) / DATABASE)
    except OSError as error:
        raise BackupError(f"恢复没有完成：{error.strerror}") from None
    call_command("migrate", interactive=False, verbosity=0)
    return Backup(path, path.stat().st_size, digest, len(manifest["parts"]) - 1)


def is_empty() -> bool:
    """Whether nothing would be lost: no tables yet, or nobody and nothing in them."""
    from orgs.models import Organization, User

    try:
        return not (Organization.objects.exists() or User.objects.exists())
    except DatabaseError:
        return True


def _unpacked(path: Path, folder: Path) -> dict:
    """Take the parts out, each held against its digest; the manifest."""
    found, manifest = {}, None
    (folder / FILES).mkdir()
    try:
        with tarfile.open(path, mode="r:") as tar:
            for member in tar:
                if member.name == MANIFEST and member.isreg() and member.size <= MOST_MANIFEST:
                    manifest = json.loads(tar.extractfile(member).read())
                    continue
                if not member.isreg() or not _is_ours(member.name):
                    raise BackupError(f"备份中有不认识的内容“{member.name}”，没有恢复")
                reading = _Digesting(tar.extractfile(member))
                with (folder / member.name).open("xb") as file:
                    shutil.copyfileobj(reading, file, 1 << 20)
                found[member.name] = {"size": member.size, "sha256": reading.digest}
    except (tarfile.TarError, ValueError, EOFError):
        raise BackupError("不是备份文件，或者已损坏，没有恢复") from None
    if not isinstance(manifest, dict) or DATABASE not in found:
        raise BackupError("备份不完整，缺少清单或数据库，没有恢复")
    if manifest.get("format") != FORMAT:
        raise BackupError("备份的格式不是本版本的，请用写出它的版本恢复")
    if manifest["parts"] != found:
        wrong = _differing(manifest["parts"], found)
        raise BackupError(f"备份中“{wrong}”与清单不符，可能已损坏，没有恢复")
    if manifest["database"] != connection.vendor:
        raise BackupError(
            f"备份来自 {manifest['database']}，现在的数据库是 {connection.vendor}，不能互相恢复"
        )
    known = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)
    ours = {app for app, _ in known}
    for app, name in manifest["migrations"]:
        if app in ours and (app, name) not in known:
            raise BackupError(f"备份来自较新的版本（{app}.{name}），请先升级程序再恢复")
    return manifest


def _differing(said: dict, found: dict) -> str:
    return min(name for name in {*said, *found} if said.get(name) != found.get(name))


def _is_ours(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return name == DATABASE or (
        len(parts) == 2 and parts[0] == FILES and parts[1] not in ("", ".", "..")
    )


def _put_attachments(folder: Path) -> None:
    """Files have names of their own and never change: what is there stays."""
    settings.ATTACHMENTS_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    for one in folder.iterdir():
        target = settings.ATTACHMENTS_DIR / one.name
        if not target.exists():
            part = target.with_name(f".{one.name}.part")
            shutil.copyfile(one, part)
            os.replace(part, target)


def _load(path: Path) -> None:
    """The database in one step: whoever is killed in between leaves the old one."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        with _sqlite(path) as source, _sqlite(name) as target:
            fault = source.execute("PRAGMA integrity_check").fetchone()[0]
            if fault != "ok":
                raise BackupError("备份中的数据库已损坏，没有恢复")
            source.backup(target)  # all pages in one transaction
        connections.close_all()
        return
    connections.close_all()
    emptied, written = path.with_name("emptied.sql"), path.with_name("written.sql")
    emptied.write_text(EMPTY)
    _run("pg_restore", "--no-owner", f"--file={written}", str(path))
    _run(
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        f"--file={emptied}",
        f"--file={written}",
        f"--dbname={_url(with_password=False)}",
    )


# ---------------------------------------------------------------- making sure


def check(path: Path) -> None:
    """Restore a backup into an empty database of its own, and verify what came of it.

    PostgreSQL: the user may create databases. By child processes, which know no other database.
    """
    with tempfile.TemporaryDirectory(prefix="ledger-check-") as folder, _spare(folder) as url:
        environment = env.of_child(
            DATABASE_URL=url,
            DATABASE_REPLICA_URL="",
            DATA_DIR=folder,
            SECRET_KEY=settings.SECRET_KEY,
            BACKUP_DIR="",
        )
        for command in (["restore", str(path)], ["verify"]):
            done = subprocess.run(  # noqa: S603 - no shell; the arguments are ours
                [sys.executable, "manage.py", *command],
                cwd=settings.BASE_DIR,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                lines = done.stderr.strip().splitlines() or ["没有说明原因"]
                raise BackupError(f"备份试恢复没有通过（{command[0]}）：{lines[0]}")


@contextmanager
def _spare(folder: str):
    """The address of an empty database, gone afterwards."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{folder}/check.sqlite3"
        return
    name = f"ledger_check_{get_random_string(8, 'abcdefghijkmnpqrstuvwxyz')}"
    try:
        _statement(f'CREATE DATABASE "{name}"')
    except DatabaseError:
        raise BackupError(
            "数据库用户不能建立试恢复用的数据库，请执行 ALTER USER … CREATEDB，或加 --no-check"
        ) from None
    try:
        yield _url(name)
    finally:
        with suppress(DatabaseError):
            _statement(f'DROP DATABASE IF EXISTS "{name}"')


def _statement(sql: str) -> None:
    """Outside of any transaction, on a connection of its own."""
    fresh = connection.copy()
    try:
        with fresh.cursor() as cursor:
            cursor.execute(sql)
    finally:
        fresh.close()
