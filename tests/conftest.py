from types import SimpleNamespace

import pytest
from django.db.backends.base.operations import BaseDatabaseOperations

from ledger_site.base.models import AuditDoor
from orgs.choices import Kind

from . import factories
from .factories import OrganizationFactory, appoint, report_of


@pytest.fixture
def line(db):
    """A line of organizations from province to branch, with a sibling branch, in an open cycle.

    `line.branch` is a post with every role there; `line.of("branch")` its report, read afresh.
    """
    province = OrganizationFactory(code="P", name="中共测试省委员会", kind=Kind.COMMITTEE)
    county = OrganizationFactory(
        code="C", name="中共测试省甲县委员会", kind=Kind.COMMITTEE, parent=province
    )
    township = OrganizationFactory(
        code="T", name="中共测试省甲县乙乡委员会", kind=Kind.COMMITTEE, parent=county
    )
    branch = OrganizationFactory(code="B1", name="甲县乙乡丙村党支部", parent=township)
    sibling = OrganizationFactory(code="B2", name="甲县乙乡丁村党支部", parent=township)
    cycle = factories.open_cycle()
    units = {
        "province": province,
        "county": county,
        "township": township,
        "branch": branch,
        "sibling": sibling,
    }
    for unit in units.values():
        unit.refresh_from_db()
    posts = {name: appoint(unit) for name, unit in units.items()}
    return SimpleNamespace(
        cycle=cycle, units=units, of=lambda name: report_of(units[name], cycle), **posts
    )


@pytest.fixture(scope="session", autouse=True)
def _emptied_between_tests():
    """The triggers that guard the trail also stop Django's flush after transactional tests."""
    door = AuditDoor._meta.db_table
    opened = f"INSERT INTO {door} (last_id) VALUES ({2**62})"  # noqa: S608

    def flushing(flush):
        def run(operations, statements):
            last = [one for one in statements if one.startswith("DELETE") and door in one]
            rest = [one for one in statements if one not in last]
            return flush(operations, [opened, *rest, *last] if statements else [])

        return run

    with pytest.MonkeyPatch.context() as patch:
        flush = BaseDatabaseOperations.execute_sql_flush
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", flushing(flush))
        yield
