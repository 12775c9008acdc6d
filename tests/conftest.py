from types import SimpleNamespace

import pytest

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
