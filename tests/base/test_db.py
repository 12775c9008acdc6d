from datetime import date

from django.db import connection

from ledger_site.base import replica
from ledger_site.base.db import copy_rows, snapshot
from orgs.models import Category


def _table(cursor):
    cursor.execute(
        "CREATE TEMPORARY TABLE things (number integer, name text, is_good boolean, due date)"
    )


def test_rows_are_stored_as_they_are_whatever_signs_they_hold(db):
    rows = [
        (1, "一\t二\n三\r四\\五 \\N", True, date(2012, 8, 31)),
        (2, None, False, None),
        (3, "", None, None),
        (4, "𠮷 '\"%s,;", True, None),
    ]
    with connection.cursor() as cursor:
        _table(cursor)
        assert copy_rows("things", ("number", "name", "is_good", "due"), iter(rows)) == 4
        cursor.execute("SELECT number, name, is_good, due FROM things ORDER BY number")
        found = cursor.fetchall()

    as_stored = [(n, name, good, due and str(due)) for n, name, good, due in found]
    assert as_stored == [(n, name, good, due and str(due)) for n, name, good, due in rows]


def test_rows_are_taken_as_they_come(db):
    taken = []

    def rows():
        for number in range(5000):
            taken.append(number)
            yield number, "字" * 200

    with connection.cursor() as cursor:
        _table(cursor)
        assert copy_rows("things", ("number", "name"), rows()) == 5000
        cursor.execute("SELECT COUNT(*), MAX(number), MAX(LENGTH(name)) FROM things")
        assert cursor.fetchone() == (5000, 4999, 200)
    assert len(taken) == 5000


def test_no_rows_are_no_error(db):
    with connection.cursor() as cursor:
        _table(cursor)
        assert copy_rows("things", ("number",), []) == 0


def test_without_a_replica_nothing_changes(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert replica.current_source() == replica.PRIMARY
    with snapshot(from_replica=True):
        assert Category.objects.count() == 10
