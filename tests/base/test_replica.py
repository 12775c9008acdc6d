"""Reading from a replica. A second alias of the same database stands for it: what is tested is who
reads where; that a real one is followed is rehearsed by script/rehearse."""

from io import BytesIO

import pytest
from django.db import InternalError, OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext

from ledger_site.base import replica
from ledger_site.base.db import snapshot
from orgs.models import Category
from orgs.posts import system_post
from orgs.services import ensure_categories
from ratings import exports
from ratings.choices import Form
from tests import factories
from tests.factories import OrganizationFactory

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True, databases=[replica.PRIMARY, replica.REPLICA]),
]


@pytest.fixture(scope="module", autouse=True)
def alias(django_db_setup):
    """`replica`, whose server is in truth the primary."""
    connections.settings[replica.REPLICA] = connection.settings_dict.copy()
    yield
    del connections.settings[replica.REPLICA]


@pytest.fixture
def second(transactional_db):
    ensure_categories()
    yield connections[replica.REPLICA]
    connections[replica.REPLICA].close()
    del connections[replica.REPLICA]


@pytest.fixture
def level(second, monkeypatch):
    """A replica that holds whatever is committed."""
    monkeypatch.setattr(replica, "_has_replayed", lambda position: True)
    return second


def test_a_workbook_is_read_from_a_replica_that_is_level_and_from_nowhere_else(level):
    branch = OrganizationFactory()
    cycle = factories.open_cycle()
    report, post = factories.report_of(branch, cycle), system_post(branch)

    with CaptureQueriesContext(connection) as primary, CaptureQueriesContext(level) as read:
        exports.write(Form.ANNEX3, report, post, BytesIO())

    assert [query["sql"] for query in primary] == ["SELECT pg_current_wal_lsn()::text"]
    assert len(read) > 5


def test_whatever_does_not_ask_for_it_stays_with_the_primary(level):
    with CaptureQueriesContext(level) as read:
        Category.objects.count()
        with snapshot():
            Category.objects.count()

    assert len(read) == 0


def test_what_was_read_from_a_replica_is_written_to_the_primary(level):
    with snapshot(from_replica=True):
        category = Category.objects.get(code="village")
        other = Category.objects.get(code="community")

    category.parent, category.name = other, "村级"
    category.save()

    assert category._state.db == replica.PRIMARY
    assert Category.objects.get(name="村级").parent == other


def test_nothing_can_be_written_from_inside(level):
    with (
        pytest.raises(InternalError, match="read-only"),
        snapshot(from_replica=True),
        level.cursor() as cursor,
    ):
        cursor.execute("DELETE FROM orgs_category")


def test_a_server_that_is_no_replica_any_more_is_not_read(second):
    assert replica.current_source() == replica.PRIMARY


def test_a_replica_that_lags_is_waited_for_but_not_long(second, monkeypatch):
    answers = iter([(True, False), (True, False), (True, True)])
    monkeypatch.setattr(replica, "_progress", lambda position: next(answers))
    assert replica.current_source() == replica.REPLICA

    monkeypatch.setattr(replica, "_progress", lambda position: (True, False))
    monkeypatch.setattr(replica, "LONGEST_WAIT", 0.01)
    assert replica.current_source() == replica.PRIMARY


def test_a_replica_that_is_down_is_left_aside(second, monkeypatch):
    second.close()
    monkeypatch.setitem(second.settings_dict, "OPTIONS", {"host": "/nowhere"})

    with snapshot(from_replica=True):
        assert Category.objects.count() == 10
    with pytest.raises(OperationalError):
        second.ensure_connection()
