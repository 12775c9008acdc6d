"""Things a test depends on, made through the services that make them in life."""

from contextlib import contextmanager
from datetime import date

import factory
from django.db import transaction

from ledger_site.base.trail import WithoutUnit
from orgs import tree
from orgs.choices import Kind, Role
from orgs.models import Appointment, Category, Organization, User
from orgs.posts import Post, system_post
from ratings import opening, services, workflow
from ratings.choices import Grade, Venue
from ratings.models import Cycle, Report

PASSWORD = "ledger-tests-2012"
ALL_ROLES = frozenset(Role.values) - {Role.AUDIT}  # who audits does nothing else


@contextmanager
def taken_back():
    """What is done here leaves nothing: whoever comes next meets the same world."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user{n}")
    full_name = factory.Sequence(lambda n: f"用户{n}")

    @classmethod
    def _create(cls, model_class, *args, **kwargs):
        return model_class.objects.create_user(password=PASSWORD, **kwargs)


class OrganizationFactory(factory.Factory):
    """An organization put into the tree; a 党支部 of a village unless said otherwise."""

    class Meta:
        model = Organization

    code = factory.Sequence(lambda n: f"org{n}")
    name = factory.Sequence(lambda n: f"第{n}党支部")
    parent = None
    kind = Kind.BRANCH

    @classmethod
    def _create(cls, model_class, *args, **kwargs):
        if kwargs["kind"] == Kind.BRANCH:
            kwargs.setdefault("category", Category.objects.get(code="village"))
        return tree.insert(by=WithoutUnit(), **kwargs)


def grow(parents: list[Organization], count: int, chance) -> None:
    """Put rated organizations below chosen ones, some of which have others below them."""
    for number in range(count):
        parent = chance.choice(parents)
        if chance.random() < 0.4:
            kind = Kind.GENERAL_BRANCH
            unit = OrganizationFactory(code=f"G{number}", parent=parent, kind=kind, is_rated=True)
            parents.append(unit)
        else:
            OrganizationFactory(code=f"X{number}", parent=parent)


def appoint(organization, *roles, user=None) -> Post:
    """A person with roles in an organization, all unless named; the post they act under."""
    user = user or UserFactory()
    held = frozenset(roles or ALL_ROLES)
    Appointment.objects.bulk_create(
        Appointment(user=user, organization=organization, role=role) for role in held
    )
    return Post(organization, held, user)


def open_cycle(year=2012, round=1, **values) -> Cycle:
    root = Organization.objects.filter(parent=None).first()
    by = system_post(root)
    cycle = opening.create_cycle(year, round, by=by, **values)
    return opening.open_cycle(cycle, by=by)


def report_of(organization, cycle=None) -> Report:
    """The organization's report, read afresh, in the newest cycle or the one given."""
    reports = Report.objects.filter(organization=organization)
    if cycle:
        reports = reports.filter(cycle=cycle)
    return reports.select_related("cycle", "parent", "category").order_by("-pk")[0]


def row(**changed) -> dict:
    """The values of a ledger row that passes every check of a cycle of 2012."""
    return {
        "secretary_name": "张建国",
        "first_secretary_name": "李明",
        "basic_info": "支部共有党员75人，其中预备党员7人，女党员12人，班子成员5人。",
        "member_count": 75,
        "probationary_count": 7,
        "female_count": 12,
        "team_size": 5,
        "floating_member_count": 3,
        "venue_text": "已建",
        "venue_status": Venue.BUILT,
        "features": "1、班子团结；\n2、制度健全。",
        "problems": "党员年龄偏大。",
        "declared_grade": Grade.FAIRLY_GOOD,
        "proposed_target": Grade.GOOD,
        "measures": "发展青年党员3名。",
        "deadline_text": "2012年底",
        "due_on": date(2012, 12, 31),
        "support_unit": "县卫生局",
        "contact_leader": "李明",
        "responsible_name": "张建国",
        **changed,
    }


def fill(report, *, by=None, **changed) -> Report:
    """Fill the report's row so that it can be submitted."""
    by = by or system_post(report.organization)
    values = row(secretary_name=f"书记{report.code}", **changed)
    return services.save_row(report, values, by=by)


def submit(report, *, by=None) -> Report:
    by = by or system_post(report.organization)
    return workflow.move("submit", report_of(report.organization, report.cycle), by=by)


def accept(report, *, by=None, grade=None, reason="", target=None, target_reason="") -> Report:
    """Accept with the declared grade unless another one is given."""
    report = report_of(report.organization, report.cycle)
    superior = report.parent.organization if report.parent_id else report.organization
    decision = None
    if report.counts_row:
        decision = workflow.Decision(
            Grade(grade or report.entry.declared_grade), reason, target, target_reason
        )
    return workflow.move("accept", report, by=by or system_post(superior), decision=decision)


def hand_up(report, **decided) -> Report:
    """Fill (a rated unit's row), submit and have accepted."""
    if report.is_rated:
        fill(report)
    submit(report)
    return accept(report, **decided)


def ready_to_submit(count: int) -> list[Post]:
    """People at so many branches of one committee, each with a row that can be submitted."""
    committee = OrganizationFactory(code="P", name="中共测试县委员会", kind=Kind.COMMITTEE)
    units = [OrganizationFactory(parent=committee) for _ in range(count)]
    cycle = open_cycle()
    for unit in units:
        fill(report_of(unit, cycle))
    return [appoint(unit) for unit in units]
