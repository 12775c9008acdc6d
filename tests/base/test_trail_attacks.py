"""The trail against whoever is late, at the same moment, or busy in the database."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connection, transaction

from ledger_site.base import guards, proof, sealing
from ledger_site.base.models import AuditEvent, AuditSeal

from .test_trail import faults, spoil, write


def in_thread(work):
    """A thread of its own connection; joined by whoever asked."""

    def run():
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def held(started, go, *, first, fails=False):
    """A transaction that writes an event before (`first`) or after it was told to go on."""

    def work():
        try:
            with transaction.atomic():
                if first:
                    write()
                else:
                    AuditEvent.objects.count()  # it has begun, and seen what there is
                started.set()
                assert go.wait(20)
                if not first:
                    write()
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    return work


def sealed_numbers() -> list[int]:
    return [pk for seal in AuditSeal.objects.order_by("number") for pk in proof.ids_of(seal.ids)]


def every_number() -> list[int]:
    return list(AuditEvent.objects.order_by("pk").values_list("pk", flat=True))


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fails", [False, True], ids=["commits", "rolls back"])
def test_a_number_given_out_before_the_seal_is_waited_for(monkeypatch, fails):
    monkeypatch.setattr(sealing, "LONGEST_WAIT", 0.3)
    started, go = threading.Event(), threading.Event()
    late = in_thread(held(started, go, first=True, fails=fails))
    assert started.wait(20)
    write(2)  # higher numbers, committed earlier

    assert sealing.seal() == 0  # not before the lower number is known
    go.set()
    late.join()

    assert sealing.seal() == (2 if fails else 3)
    assert sealed_numbers() == every_number()
    assert faults() == []


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_what_began_before_the_seal_and_writes_behind_it_is_in_the_next_one():
    started, go = threading.Event(), threading.Event()
    late = in_thread(held(started, go, first=False))
    assert started.wait(20)
    write(2)

    assert sealing.seal() == 2
    assert faults() == []
    go.set()
    late.join()
    assert sealing.seal() == 1

    assert sealed_numbers() == every_number()
    assert faults() == []


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_several_sealers_at_once_each_event_gets_one_seal(monkeypatch):
    monkeypatch.setattr(sealing, "MOST", 7)
    write(60)

    def seal(_):
        try:
            return sealing.seal()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(seal, range(4)))
    rest = sealing.seal()  # where one gave way to another

    assert sum(counts) + rest == 60
    assert sealed_numbers() == every_number()
    assert faults() == []


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_writers_and_a_sealer_at_once_leave_nothing_out():
    done = threading.Event()

    def work(_):
        try:
            for _ in range(10):
                write()
        finally:
            connection.close()

    def keep_sealing():
        while not done.is_set():
            sealing.seal()

    sealer = in_thread(keep_sealing)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    done.set()
    sealer.join()
    sealing.seal()

    assert len(every_number()) == 40
    assert sealed_numbers() == every_number()
    assert faults() == []


@pytest.mark.django_db
def test_an_event_is_guarded_from_the_moment_it_is_written():
    """Before its seal nothing proves that it was there, so it must not go."""
    write(2)
    for sql in ("DELETE FROM base_auditevent", "UPDATE base_auditevent SET reason = 'x'"):
        with (
            pytest.raises(DatabaseError, match="不能修改或删除"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEvent.objects.all().delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEvent.objects.update(mac="0" * 64)

    assert AuditEvent.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("number", 7),
        ("at", "2012-01-01 00:00:00+00:00"),
        ("first_id", 0),
        ("last_id", 2**40),
        ("format", 2),
    ],
)
def test_a_seal_changed_in_its_place_or_time_is_found(column, value):
    write(2)
    sealing.seal()
    write(2)
    sealing.seal()

    spoil(f"UPDATE base_auditseal SET {column} = %s WHERE number = 2", value)  # noqa: S608

    assert any("第2批" in fault for fault in faults())


@pytest.mark.django_db
def test_an_event_that_went_with_its_seal_is_missed_by_the_next():
    for _ in range(3):
        write()
        sealing.seal()
    gone = AuditEvent.objects.order_by("pk")[1].pk

    spoil("DELETE FROM base_auditevent WHERE id = %s", gone)
    spoil("DELETE FROM base_auditseal WHERE number = 2")

    assert any("缺少第2批" in fault for fault in faults())


@pytest.mark.django_db
def test_the_door_is_shut_behind_whoever_breaks_off():
    write(2)

    with pytest.raises(ZeroDivisionError), transaction.atomic(), guards.door(2**40):
        raise ZeroDivisionError

    with pytest.raises(DatabaseError, match="不能修改或删除"), transaction.atomic():
        AuditEvent.objects.all().delete()
    assert AuditEvent.objects.count() == 2
