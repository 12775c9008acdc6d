"""Sealing the trail in batches, proving what is sealed, archiving what was kept long enough.

Writers wait for nobody: they key their own events, and a job seals what can get no more events
before it. The chain over the batches tells of each event that it is there, in its place and as it
was; `check` finds what is changed, missing or put in.
"""

import gzip
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from . import guards, proof, trail
from .choices import Result
from .db import snapshot
from .models import AuditEvent, AuditSeal
from .workflow import Refusal

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=1)
MOST = 10_000  # events of a batch
CHUNK = 2000
LONGEST_WAIT = 10.0  # seconds for transactions that may still write earlier numbers
PAUSE = 0.05
ARCHIVE = "archive_trail"
VERIFY = "verify_trail"
COLUMNS = ("id", *proof.EVENT_COLUMNS, "format", "mac")


# ---------------------------------------------------------------- sealing


def seal_if_due() -> int:
    """Seal what is new, at most once a minute; how many events."""
    last = AuditSeal.objects.first()
    if last and timezone.now() - last.at < EVERY:
        return 0
    return seal()


def seal() -> int:
    """Seal every event that is settled; how many. Nothing where another does so at this moment."""
    settled = _settled()
    if settled is None:
        return 0
    count = 0
    try:
        while (added := _seal_next(settled)) is not None:
            count += added
    except IntegrityError:  # the same batch by another worker
        logger.info("The trail is being sealed by another worker")
    return count


def _settled() -> int | None:
    """A number up to which no event can come any more, or None where that is not known yet.

    PostgreSQL hands out numbers before transactions end. Whoever has one and is still at it holds
    the table's lock for writers, which was taken before the number; who comes later gets a higher
    one. So those that hold it now are waited for. On SQLite there is one writer, in order.
    """
    table = AuditEvent._meta.db_table
    if connection.vendor != "postgresql":
        newest = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first()
        return newest or 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        (sequence,) = cursor.fetchone()
        cursor.execute("SELECT COALESCE(pg_sequence_last_value(%s), 0)", [sequence])
        (number,) = cursor.fetchone()
        at_it, until = _writers(cursor, table), time.monotonic() + LONGEST_WAIT
        while at_it & _writers(cursor, table):
            if time.monotonic() > until:
                logger.info("The trail is not sealed now: a transaction takes long")
                return None
            time.sleep(PAUSE)
    return number


def _writers(cursor, table: str) -> set[str]:
    """The other transactions that write to the table or did."""
    cursor.execute(
        "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND relation = %s::regclass AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()",
        [table],
    )
    return {writer for (writer,) in cursor.fetchall()}


@transaction.atomic
def _seal_next(settled: int) -> int | None:
    """Seal one batch; its count, or None where there is nothing to seal."""
    last = AuditSeal.objects.first()
    after = last.last_id if last else 0
    new = AuditEvent.objects.filter(pk__gt=after, pk__lte=settled).order_by("pk")
    rows = list(new.values_list(*COLUMNS)[:MOST])
    if not rows:
        return None
    form = proof.format_now()
    made = AuditSeal(
        number=last.number + 1 if last else 1,
        at=timezone.now(),
        first_id=after + 1,
        last_id=rows[-1][0] if len(rows) == MOST else settled,
        ids=proof.ranges_of(row[0] for row in rows),
        count=len(rows),
        digest=proof.batch_digest(form, (_line(row) for row in rows)),
        previous=last.mac if last else "",
        format=form,
    )
    made.mac = proof.mac_of(form, _values(made))
    made.save(force_insert=True)
    # In the log too, which may be sent elsewhere: so that an end that was cut off is missed.
    logger.info("trail sealed: batch %s to event %s, %s", made.number, made.last_id, made.mac)
    return made.count


def _line(row: tuple) -> bytes:
    pk, *values, form, mac = row
    return proof.line_of(pk, form, values, mac)


def _values(seal: AuditSeal) -> list:
    return [getattr(seal, name) for name in proof.SEAL_COLUMNS]


# ---------------------------------------------------------------- proving


@dataclass
class Checked:
    """What a check has gone through, for whoever tells of it."""

    events: int = 0
    seals: int = 0
    archived_to: int = 0  # number of the last batch that was archived
    is_keyed: bool = False  # an event with a key has come: from there on there is none without


def check(found: Checked | None = None) -> Iterator[str]:
    """Every place where the trail is not what was written, as Chinese sentences; none if sound.

    Goes through events and seals once, side by side; memory does not grow with their number.
    """
    found = found if found is not None else Checked()
    for name in guards.missing():
        yield f"操作留痕：数据库触发器 {name} 不在，留痕不受保护，请运行 manage.py migrate"
    with snapshot():
        yield from _check_chain(found)


def _check_chain(found: Checked) -> Iterator[str]:
    found.archived_to = archived_to()
    events = _Events()
    previous = None
    for seal in AuditSeal.objects.order_by("number").iterator(CHUNK):
        found.seals += 1
        yield from _check_seal(seal, previous)
        rows = events.until(seal.last_id)
        if seal.number <= found.archived_to:
            for row in rows:
                yield f"{_place(row)}：所在的{seal}已经归档，这一条是添加的"
        else:
            yield from _check_batch(seal, rows, found)
        previous = seal
    for row in events.rest():
        found.events += 1
        if not _is_proved(row) and not (row[-2] == proof.NOT_KEYED and previous is None):
            yield f"{_place(row)}：内容与校验码不符（尚未封存）"


class _Events:
    """The events in their order, taken up to a number at a time."""

    def __init__(self):
        rows = AuditEvent.objects.order_by("pk").values_list(*COLUMNS)
        self.rows = rows.iterator(CHUNK)
        self.next = next(self.rows, None)

    def until(self, last_id: int) -> Iterator[tuple]:
        while self.next is not None and self.next[0] <= last_id:
            row, self.next = self.next, next(self.rows, None)
            yield row

    def rest(self) -> Iterator[tuple]:
        while self.next is not None:
            row, self.next = self.next, next(self.rows, None)
            yield row


def _check_seal(seal: AuditSeal, previous: AuditSeal | None) -> Iterator[str]:
    if not proof.is_proved(seal.format, _values(seal), seal.mac):
        yield f"操作留痕{seal}（{_when(seal.at)}）：封存记录与校验码不符"
    number, before, first = (
        (previous.number + 1, previous.mac, previous.last_id + 1) if previous else (1, "", 1)
    )
    if seal.number != number:
        yield f"操作留痕：缺少第{number}批至第{seal.number - 1}批的封存记录"
    elif seal.previous != before or seal.first_id != first:
        yield f"操作留痕{seal}（{_when(seal.at)}）：与上一批不衔接"


def _check_batch(seal, rows: Iterable[tuple], found: Checked) -> Iterator[str]:
    """The events of a batch against its seal; what the proofs of events do not name, its digest
    does."""
    wanted, lines, faults = proof.ids_of(seal.ids), [], []
    due = next(wanted, None)
    for row in rows:
        pk = row[0]
        while due is not None and due < pk:
            faults.append(f"操作留痕 {due}：缺少这一条（{seal}，{_when(seal.at)}封存）")
            due = next(wanted, None)
        if due != pk:
            faults.append(f"{_place(row)}：不在{seal}封存的各条之中，是后来添加的")
            continue
        due = next(wanted, None)
        found.events += 1
        lines.append(_line(row))
        if row[-2] == proof.NOT_KEYED and not row[-1] and not found.is_keyed:
            continue  # from before there were keys
        found.is_keyed = True
        if not _is_proved(row):
            faults.append(f"{_place(row)}：内容与校验码不符")
    for missing in filter(None, (due, *wanted)):
        faults.append(f"操作留痕 {missing}：缺少这一条（{seal}，{_when(seal.at)}封存）")
    yield from faults
    if not faults and proof.batch_digest(seal.format, lines) != seal.digest:
        yield (
            f"操作留痕 {seal.first_id} 至 {seal.last_id}：与{seal}"
            f"（{_when(seal.at)}）封存的摘要不符，其中有被替换的"
        )


def _is_proved(row: tuple) -> bool:
    _, *values, form, mac = row
    return proof.is_proved(form, values, mac)


def _place(row: tuple) -> str:
    said = dict(zip(COLUMNS, row, strict=True))
    return f"操作留痕 {said['id']}（{_when(said['at'])} {said['person_name']} {said['label']}）"


def _when(at: datetime) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M")


def check_and_record(*, by) -> tuple[Checked, list[str]]:
    """Check the trail and leave in it that this was done, and with what result."""
    found = Checked()
    faults = list(islice(check(found), 1000))
    head = AuditSeal.objects.first()
    about = {
        "events": found.events,
        "seals": found.seals,
        "head": head.mac if head else "",
        "faults": len(faults),
        "named": faults[:20],
    }
    act = trail.Act("trail", head.number if head else None, "", "操作留痕", data=about)
    trail.record(VERIFY, "核验留痕", [act], by=by)
    return found, faults


# ---------------------------------------------------------------- archiving


def archived_to() -> int:
    """The number of the last batch that was archived; 0 for none. As the trail itself proves it."""
    told = AuditEvent.objects.filter(action=ARCHIVE, result=Result.DONE).order_by("-pk")
    for row in told.values_list(*COLUMNS).iterator(CHUNK):
        if _is_proved(row):
            return row[COLUMNS.index("object_id")]
    return 0


def archive(path: Path, *, before: datetime | None = None, by) -> dict:
    """Write the batches that have been kept long enough to a signed file, and delete their events.

    Their seals stay, so that the chain goes on. Raises `Refusal` where nothing is old enough, the
    file is there already, or what would be archived is not sound.
    """
    oldest_kept = timezone.now() - timedelta(days=settings.AUDIT_KEPT_DAYS)
    before = before or oldest_kept
    if before > oldest_kept:
        raise Refusal(f"操作留痕至少保存 {settings.AUDIT_KEPT_DAYS} 天，不能归档较新的")
    first = archived_to() + 1
    seals = AuditSeal.objects.filter(number__gte=first).order_by("number")
    newer = seals.filter(at__gte=before).values_list("number", flat=True).first()
    seals = seals.filter(number__lt=newer) if newer else seals
    last = seals.last()
    if last is None:
        raise Refusal("没有到期可以归档的操作留痕")
    try:
        file = path.open("xb")
    except FileExistsError:
        raise Refusal(f"文件 {path} 已经存在，请另取名称") from None
    except OSError as error:
        raise Refusal(f"文件 {path} 不能写入：{error.strerror}") from error
    try:
        with file:
            count, digest = _write_archive(file, seals)
        if faults := check_archive(path):
            raise Refusal("\n".join(faults[:20]))
        with transaction.atomic(), guards.door(last.last_id):
            AuditEvent.objects.filter(pk__lte=last.last_id)._raw_delete(connection.alias)
            about = {"first": first, "last": last.number, "events": count, "digest": digest}
            act = trail.Act("trail", last.number, "", path.name, data=about)
            trail.record(ARCHIVE, "归档留痕", [act], by=by)
    except BaseException:
        path.unlink()
        raise
    return about | {"file": path.name}


def _write_archive(file, seals) -> tuple[int, str]:
    """Lines of JSON, gzipped: a seal, its events, …, and the proof of all that stands before."""
    running = hashlib.sha256()
    count = 0
    with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:

        def write(record: dict) -> None:
            line = json.dumps(record, ensure_ascii=False, sort_keys=True).encode() + b"\n"
            running.update(line)
            packed.write(line)

        events = AuditEvent.objects.order_by("pk")
        for seal in seals.iterator(CHUNK):
            said = {name: _as_json(getattr(seal, name)) for name in proof.SEAL_COLUMNS}
            write({"seal": said | {"format": seal.format, "mac": seal.mac}})
            rows = events.filter(pk__gte=seal.first_id, pk__lte=seal.last_id)
            for row in rows.values_list(*COLUMNS).iterator(CHUNK):
                write({"event": dict(zip(COLUMNS, map(_as_json, row), strict=True))})
                count += 1
        digest = running.hexdigest()
        packed.write(json.dumps({"digest": digest, "mac": _signature(digest)}).encode() + b"\n")
    return count, digest


def _as_json(value):
    return value.isoformat() if isinstance(value, datetime) else value


def _signature(digest: str, key: bytes | None = None) -> str:
    return hmac.new(
        key or settings.AUDIT_KEYS[0], digest.encode(), settings.AUDIT_DIGEST
    ).hexdigest()


def check_archive(path: Path) -> list[str]:
    """What is wrong with an archived file, as Chinese sentences; [] if it is as it was written."""
    try:
        return list(islice(_check_archive(path), 1000))
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return [f"{path.name}：不是操作留痕的归档文件，或者已经损坏"]


def _check_archive(path: Path) -> Iterator[str]:
    running, last, previous, found = hashlib.sha256(), b"", None, Checked()
    with gzip.open(path, "rb") as packed:

        def records() -> Iterator[dict]:
            nonlocal last
            for line in packed:
                if last:
                    running.update(last)
                    yield json.loads(last)
                last = line

        batches = groupby(records(), _Counter())
        for _, batch in batches:
            seal = AuditSeal(**_moments(next(batch)["seal"]))
            if previous:
                yield from _check_seal(seal, previous)
            elif not proof.is_proved(seal.format, _values(seal), seal.mac):
                yield f"{path.name}：{seal}的封存记录与校验码不符"
            rows = (tuple(_moments(record["event"])[name] for name in COLUMNS) for record in batch)
            yield from _check_batch(seal, rows, found)
            previous = seal
    end = json.loads(last)
    told = (_signature(end["digest"], key) for key in settings.AUDIT_KEYS)
    if running.hexdigest() != end["digest"] or end["mac"] not in told:
        yield f"{path.name}：文件内容与签名不符"


class _Counter:
    """Groups lines by the seal they stand under."""

    def __init__(self):
        self.number = 0

    def __call__(self, record: dict) -> int:
        self.number += "seal" in record
        return self.number


def _moments(said: dict) -> dict:
    return said | {"at": datetime.fromisoformat(said["at"])}
