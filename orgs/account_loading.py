"""People from a table of any length: every error with its line, or everything loaded.

The lines pass by and lie in a table of the transaction; what is wrong with them and what becomes of
them is asked of the database at once, so that a province takes no more memory than a township.
"""

import csv
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.db import (
    analyzed,
    copy_rows,
    joined,
    moment,
    next_key,
    reserved_keys,
    selected,
)
from ledger_site.base.importing import Line, Rejected, faults_of
from ledger_site.base.packing import cell
from ledger_site.base.progress import EVERY, Tell, untold
from ledger_site.base.readers.table import has_content
from ledger_site.base.reading import Row, Unreadable, digest_of, read
from ledger_site.base.trail import WithoutUnit
from ledger_site.base.workflow import TransitionRefused

from . import accounts
from .choices import Role
from .models import Appointment, OneTimeCode, User
from .resources import AccountResource

PIECE = 2000  # new accounts that are in memory at once
UNKNOWN_UNIT = "没有这个代码的党组织，或已撤销，请核对"
HEADS = ("党组织代码", "任职", "姓名", "账号", "激活码", "有效至")


@dataclass(frozen=True)
class Loaded:
    new_count: int = 0  # accounts, each with its code
    appointment_count: int = 0
    same_count: int = 0  # lines of which everything was there


@dataclass
class _Reading:
    """The lines of a file as they pass by: how many there are, and the faults in their cells."""

    count: int
    faults: list[tuple[int, str]]  # number of the line and what is said


def import_accounts(path: Path, codes: Path, *, tell: Tell = untold) -> Loaded:
    """Open the accounts of a table in the form of the sheet for 200, and appoint everybody.

    The codes of activation of the new ones are written to `codes`, a new file that its owner alone
    may read; it is complete before anything is stored, and gone where nothing is. The same table
    twice changes nothing. Raises `Rejected` with all errors at once.
    """
    try:
        with _written_once(codes) as out:
            loaded = load(path, out, by=WithoutUnit(), tell=tell)
    except Unreadable as error:
        raise Rejected([str(error)]) from None
    if not loaded.new_count:
        codes.unlink()
    return loaded


@contextmanager
def _written_once(path: Path) -> Iterator:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Rejected(
            [f"文件“{path}”已经存在，激活码要写入新的文件，请用 --codes 另取名称"]
        ) from None
    except OSError as error:
        raise Rejected([f"文件“{path}”不能写入：{error.strerror}"]) from None
    try:
        # With the mark by which spreadsheets know UTF-8.
        with open(descriptor, "w", encoding="utf-8-sig", newline="") as file:
            yield file
    except BaseException:
        path.unlink()
        raise


@trail.service("导入账号文件")
def load(path: Path, out, *, by, tell: Tell = untold) -> Loaded:
    """As `import_accounts`, with the codes into an open file."""
    try:
        with transaction.atomic():  # the event of the refusal needs a transaction that still is one
            return _load(path, out, by, tell)
    except IntegrityError:
        raise TransitionRefused("有账号或任职刚刚由他人建立，请重新导入") from None
    except OSError as error:
        raise TransitionRefused(f"激活码不能写入文件：{error.strerror}") from None


def _load(path: Path, out, by, tell: Tell) -> Loaded:
    out.seek(0)
    out.truncate()
    _run(LINES)
    lines = _stage(path, by, tell)
    tell("核对账号和任职", 0, 0)
    faults = sorted([*lines.faults, *_faults_in_database(by)])
    if not lines.count and not faults:
        raise Rejected(["文件中没有人员，请检查内容"])
    if faults:
        raise Rejected([said for _, said in faults])
    new_count = _open(out, tell)
    tell("办理任职", 0, 0)
    (appointment_count, changed_count) = _appoint()
    analyzed(User, Appointment, OneTimeCode, rows=new_count)
    trail.record_selected("appoint", "任职", EVENT, "FROM account_post p ORDER BY p.id", by=by)
    said = {"digest": digest_of(path), "rows": lines.count, "accounts": new_count}
    said["appointments"] = appointment_count
    trail.record(
        "import", "导入账号文件", [trail.Act("user", None, "", path.name, data=said)], by=by
    )
    _run("DROP TABLE account_post")
    _run("DROP TABLE account_line")
    return Loaded(new_count, appointment_count, lines.count - changed_count)


def _run(sql: str, *params) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else []


# ---------------------------------------------------------------- the lines

LINES = """
CREATE TEMPORARY TABLE account_line (
  number integer, username varchar(60), full_name varchar(60), unit varchar(24),
  roles varchar(60), is_ledger_clerk boolean)
"""
COLUMNS = ("number", "username", "full_name", "unit", "roles", "is_ledger_clerk")
UNMARKED = "此人已有这个角色，不是台账专人；请先在组织页面结束任职，或去掉“是”"
# What is wrong with a line beside others, or with what is there.
ROLES = " UNION ALL ".join(
    f"SELECT {place} AS place, '{role.value}' AS role, '{role.label}' AS label"
    for place, role in enumerate(Role)
)
FAULTY = f"""
SELECT number, username, full_name, unit, first_name, place, unit_id, known_name, is_active, duty,
       is_unmarked
  FROM (
    SELECT l.*, o.id AS unit_id, u.full_name AS known_name, u.is_active, u.duty,
           l.is_ledger_clerk AND EXISTS (
             SELECT 1 FROM orgs_appointment a
               JOIN ({ROLES}) r ON r.role = a.role AND l.roles LIKE '%' || r.label || '%'
              WHERE a.user_id = u.id AND a.organization_id = o.id
                AND a.ended_on IS NULL AND NOT a.is_ledger_clerk) AS is_unmarked,
           FIRST_VALUE(l.full_name) OVER (PARTITION BY l.username ORDER BY l.number) AS first_name,
           ROW_NUMBER() OVER (PARTITION BY l.username, l.unit ORDER BY l.number) AS place
      FROM account_line l
      LEFT JOIN orgs_organization o ON o.code = l.unit AND o.closed_on IS NULL
      LEFT JOIN orgs_user u ON u.username = l.username) checked
 WHERE unit_id IS NULL OR first_name <> full_name OR place > 1
    OR known_name <> full_name OR NOT is_active OR duty <> '' OR is_unmarked
"""  # noqa: S608 - our own names


def _stage(path: Path, by, tell: Tell) -> _Reading:
    """Lay the lines that can be read into their table."""
    resource, lines = AccountResource(by=by), _Reading(0, [])
    sheet = next((one for one in read(path) if not one.is_hidden), None)
    rows = (row for row in sheet.rows if any(map(has_content, row.cells))) if sheet else iter(())
    head = next(rows, Row(1, ()))
    heads = [text.strip() for text in head.cells]
    while heads and not heads[-1]:
        heads.pop()
    resource.check_head(heads)
    headings = {column.heading: column.name for column in resource.columns}
    names = [headings[heading] for heading in heads]
    copy_rows("account_line", COLUMNS, _parsed(rows, names, resource, lines, tell))
    _run("CREATE INDEX account_line_username ON account_line (username)")
    _run("ANALYZE account_line")
    return lines


def _parsed(
    rows: Iterable[Row], names: list[str], resource, lines: _Reading, tell: Tell
) -> Iterator[tuple]:
    for lines.count, row in enumerate(rows, 1):
        if lines.count % EVERY == 0:
            tell("读取", lines.count, 0)
        found = faults_of(row)
        if any(map(has_content, row.cells[len(names) :])):
            found.append(f"第{row.number}行比表头多出内容，请检查逗号和引号")
        pairs = zip_longest(names, row.cells[: len(names)], fillvalue="")
        line = Line(row.number, {name: text.strip() for name, text in pairs})
        found += resource.parse(line)
        values = line.values
        if not found:
            username = User.normalize_username(values["username"])  # as the sign-in page does
            wrong = accounts.faults_of_names(username, values["full_name"])
            found += [resource.error(line, *fault) for fault in wrong]
        if found:
            lines.faults += [(row.number, said) for said in found]
            continue
        roles = "、".join(Role(role).label for role in values["roles"])
        is_clerk = values.get("is_ledger_clerk", False)
        full_name, unit = values["full_name"], values["organization"]
        yield row.number, username, full_name, unit, roles, is_clerk


def _faults_in_database(by) -> Iterator[tuple[int, str]]:
    """By the same rules as `accounts.faults_of`, but that a role which is held is no fault."""
    resource = AccountResource(by=by)
    for (
        number,
        username,
        full_name,
        unit,
        first,
        place,
        unit_id,
        known,
        active,
        duty,
        unmarked,
    ) in _run(FAULTY):
        line = Line(number, {"username": username, "organization": unit})
        if unit_id is None:
            yield number, resource.error(line, "organization", UNKNOWN_UNIT)
        fault = ""
        if first != full_name:
            fault = accounts.NAMESAKE.format(first)
        elif place > 1:
            fault = accounts.TWICE
        elif known is not None and known != full_name:
            fault = accounts.TAKEN.format(full_name)
        elif known is not None and not active:
            fault = accounts.CLOSED
        elif duty:
            fault = accounts.ADMINISTRATOR
        elif unmarked:
            fault = UNMARKED
        if fault:
            yield number, resource.error(line, "username", fault)


# ---------------------------------------------------------------- what becomes of them


def _new_people() -> str:
    """SQL for whoever has no account yet, in the order of the file, with all their posts."""
    place = "o.short_name || '（' || l.roles || '）'"
    return f"""
SELECT l.username, MIN(l.full_name), {joined("l.unit", "；", "l.number")},
       {joined(place, "；", "l.number")}
  FROM (SELECT * FROM account_line ORDER BY number) l JOIN orgs_organization o ON o.code = l.unit
 WHERE NOT EXISTS (SELECT 1 FROM orgs_user u WHERE u.username = l.username)
 GROUP BY l.username ORDER BY MIN(l.number)
"""  # noqa: S608 - our own SQL


def _open(out, tell: Tell) -> int:
    """Open the new accounts, without a password, and write their codes; how many."""
    count, writer, now = 0, csv.writer(out), timezone.now()
    last_day = timezone.localdate(now) + accounts.CODE_LASTS - timedelta(days=1)  # a whole one
    now, until = moment(now), moment(now + accounts.CODE_LASTS)
    writer.writerow(HEADS)
    given = ("id", "username", "full_name", "password", "date_joined", "password_set_at")
    known = [User._meta.get_field(name) for name in given]
    rest = [field for field in User._meta.concrete_fields if field not in known]
    columns = [field.column for field in (*known, *rest)]
    defaults = tuple(field.get_default() for field in rest)
    for people in selected(_new_people(), PIECE):
        codes = [accounts.new_code() for _ in people]
        keys = list(reserved_keys(User, len(people)))
        copy_rows(
            User._meta.db_table,
            columns,
            (
                (key, username, name, _no_password(), now, now, *defaults)
                for key, (username, name, *_) in zip(keys, people, strict=True)
            ),
        )
        copy_rows(
            OneTimeCode._meta.db_table,
            ("user_id", "use", "digest", "expires_at"),
            (
                (key, OneTimeCode.Use.ACTIVATE.value, accounts.digest_of(code), until)
                for key, code in zip(keys, codes, strict=True)
            ),
        )
        for (username, name, units, places), code in zip(people, codes, strict=True):
            texts = (units, places, name, username, code, last_day.isoformat())
            writer.writerow(map(cell, texts))
        count += len(people)
        tell("开通账号", count, 0)
    out.flush()
    os.fsync(out.fileno())  # before the commit: no account whose code is lost
    return count


def _no_password() -> str:
    """As `make_password(None)`, which takes its time over the random letters."""
    return UNUSABLE_PASSWORD_PREFIX + secrets.token_urlsafe(30)


# What is not held yet, with the key it gets. No label of a role is part of another.
POSTS = """
CREATE TEMPORARY TABLE account_post AS
SELECT {key} AS id, made.* FROM (
  SELECT l.number, u.id AS user_id, u.full_name, o.id AS organization_id, o.code, o.name,
         r.role, r.label, r.place, l.is_ledger_clerk
    FROM account_line l
    JOIN orgs_user u ON u.username = l.username
    JOIN orgs_organization o ON o.code = l.unit
    JOIN ({roles}) r ON l.roles LIKE '%' || r.label || '%'
   WHERE NOT EXISTS (
     SELECT 1 FROM orgs_appointment a
      WHERE a.user_id = u.id AND a.organization_id = o.id AND a.role = r.role
        AND a.ended_on IS NULL)
   ORDER BY l.number, r.place) made
"""
APPOINT = """
INSERT INTO orgs_appointment (id, user_id, organization_id, role, is_ledger_clerk, started_on)
SELECT id, user_id, organization_id, role, is_ledger_clerk, %s FROM account_post ORDER BY id
"""
# Whoever's rights change signs in again.
SIGN_OUT = """
UPDATE orgs_user SET session_mark = ''
 WHERE session_mark <> '' AND id IN (SELECT user_id FROM account_post)
"""
EVENT = {  # columns of the trail, an event for each appointment as the pages leave it
    "unit_id": "NULL",
    "unit_code": "''",
    "unit_name": "''",
    "object_kind": "'appointment'",
    "object_id": "p.id",
    "object_code": "p.code",
    "object_name": "SUBSTR(p.full_name || ' · ' || p.name || ' · ' || p.label, 1, 200)",
    "data": "'{}'",
}


def _appoint() -> tuple[int, int]:
    """Make the appointments; how many, and of how many lines."""
    key = next_key(Appointment, "ROW_NUMBER() OVER (ORDER BY number, place)")
    _run(POSTS.format(key=key, roles=ROLES))
    _run(APPOINT, timezone.localdate())
    _run(SIGN_OUT)
    ((count, lines),) = _run("SELECT COUNT(*), COUNT(DISTINCT number) FROM account_post")
    return count, lines
