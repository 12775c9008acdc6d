import json
from types import SimpleNamespace

import pytest
from django.db.backends.base.operations import BaseDatabaseOperations

from ledger_site.base.models import AuditDoor
from orgs.choices import Kind
from orgs.models import Appointment, Organization
from orgs.posts import Post
from ratings.models import Cycle

from . import factories, kept
from .factories import ALL_ROLES, OrganizationFactory, appoint, report_of
from .saving import SMALL, done, place, python

CODES = {"province": "P", "county": "C", "township": "T", "branch": "B1", "sibling": "B2"}


def _line() -> None:
    kind = Kind.COMMITTEE
    province = OrganizationFactory(code="P", name="中共测试省委员会", kind=kind)
    county = OrganizationFactory(code="C", name="中共测试省甲县委员会", kind=kind, parent=province)
    township = OrganizationFactory(
        code="T", name="中共测试省甲县乙乡委员会", kind=kind, parent=county
    )
    OrganizationFactory(code="B1", name="甲县乙乡丙村党支部", parent=township)
    OrganizationFactory(code="B2", name="甲县乙乡丁村党支部", parent=township)
    factories.open_cycle()
    for code in CODES.values():
        appoint(Organization.objects.get(code=code))


@pytest.fixture
def line(db):
    """A line of organizations from province to branch, with a sibling branch, in an open cycle.

    `line.branch` is a post with every role there; `line.of("branch")` its report, read afresh.
    """
    kept.put(_line)
    cycle = Cycle.objects.get(year=2012, round=1)
    found = Organization.objects.in_bulk(list(CODES.values()), field_name="code")
    units = {name: found[code] for name, code in CODES.items()}
    held = Appointment.objects.filter(organization__in=found.values()).select_related("user")
    users = {one.organization_id: one.user for one in held}
    posts = {name: Post(unit, ALL_ROLES, users[unit.pk]) for name, unit in units.items()}
    return SimpleNamespace(
        cycle=cycle, units=units, of=lambda name: report_of(units[name], cycle), **posts
    )


ALL = """
import django; django.setup()
from django.core.management import call_command
for command in {commands}: call_command(*command)
"""


@pytest.fixture(scope="session")
def saved(tmp_path_factory, django_db_setup, django_db_blocker):
    """A province that was played through, with an attachment, its backup, and its figures."""
    folder = tmp_path_factory.mktemp("backups")
    with django_db_blocker.unblock(), place(folder / "one") as environment:
        scope = ("--cycle", "2012-1", "--under", "431127")
        commands = (
            ("migrate",),
            ("import_orgs", f"{SMALL / 'orgs.csv'}"),
            ("open_cycle", "2012"),
            ("import_ledger", f"{SMALL / 'ledger.csv'}", *scope),
            ("play_cycle", *scope),
        )
        python(environment, ALL.format(commands=commands))
        (folder / "one/attachments").mkdir(exist_ok=True)
        (folder / "one/attachments/abc").write_bytes(b"%PDF-1.4")
        file = folder / "whole.tar"
        said = json.loads(done(environment, "backup", file, "--json"))
        figures = done(environment, "summary", *scope, "--json")
        yield file, said, figures, scope, environment


@pytest.fixture
def empty(tmp_path, django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), place(tmp_path / "two") as environment:
        yield environment


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
