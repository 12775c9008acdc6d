"""People for the load: a secretary for every branch of a sample, two reviewers for every superior,
all signed in. And what they did, as the database has it afterwards."""

import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from bench.counting import Decision, Move, Standing
from orgs import sessions
from orgs.choices import Role
from orgs.models import Appointment, User
from ratings.models import Cycle, Report, ReportMove, ReportVersion
from ratings.querysets import below

COUNTY = 2  # steps below the root: the sample is made of whole counties
REVIEWERS = 2  # of one superior, so that two may press at the same moment


@dataclass(frozen=True)
class Person:
    pk: int
    name: str
    session: str
    report: int  # of the unit the person acts for
    parent: int | None
    level: int
    is_branch: bool


@transaction.atomic
def appointed(cycle: Cycle, branch_count: int) -> list[Person]:
    """Appoint and sign in people for whole counties of so many branches or more, and above them."""
    reports = _sample(cycle, branch_count)
    posts = [
        (report, roles)
        for report in reports
        for roles in (
            [(Role.FILL, Role.REVIEW)] * REVIEWERS if report.has_subordinates else [(Role.FILL,)]
        )
    ]
    users = User.objects.bulk_create(
        User(
            username=f"load-{uuid.uuid4()}",
            full_name=f"演练{n}",
            password=make_password(None),
            session_mark=sessions.new_mark(),
        )
        for n, _ in enumerate(posts)
    )
    Appointment.objects.bulk_create(
        Appointment(user=user, organization_id=report.organization_id, role=role)
        for user, (report, roles) in zip(users, posts, strict=True)
        for role in roles
    )
    signed_in = Session.objects.bulk_create(map(_signed_in, users))
    return [
        Person(
            user.pk,
            user.full_name,
            session.session_key,
            report.pk,
            report.parent_id,
            report.level,
            not report.has_subordinates,
        )
        for user, session, (report, _) in zip(users, signed_in, posts, strict=True)
    ]


def _sample(cycle, branch_count) -> list[Report]:
    found, count = {}, 0
    reports = Report.objects.filter(cycle=cycle).order_by("path")
    for county in [report for report in reports if report.level == COUNTY]:
        if count >= branch_count:
            break
        inside = reports.filter(below(county.path))
        above = reports.filter(path__in=[county.path[:4], county.path[:8], county.path])
        count += county.rated_count
        found |= {report.pk: report for report in [*above, *inside]}
    return sorted(found.values(), key=lambda report: report.path)


def _signed_in(user) -> Session:
    """What the login form would store, without the work of a password."""
    values = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[-1],
        HASH_SESSION_KEY: user.get_session_auth_hash(),
        **sessions.begun(user),
    }
    return Session(
        session_key=uuid.uuid4().hex,
        session_data=SessionStore().encode(values),
        expire_date=timezone.now() + timedelta(hours=12),
    )


def stored(people: list[Person]) -> Counter:
    """The decisions of these people, as 报送经过 has them."""
    moves = ReportMove.objects.filter(person__in=[person.pk for person in people]).order_by()
    return Counter(Decision(*values) for values in moves.values_list("report", "action", "person"))


def histories(people: list[Person]) -> dict[int, tuple[list[Move], Standing]]:
    """By report of these people: its moves in order, and where it stands."""
    pks = {person.report for person in people}
    moves, versions = defaultdict(list), defaultdict(list)
    values = ReportMove.objects.filter(report__in=pks).order_by("id")
    for pk, *move in values.values_list("report", "action", "source", "target", "number"):
        moves[pk].append(Move(*move))
    for pk, number in ReportVersion.objects.filter(report__in=pks).values_list("report", "number"):
        versions[pk].append(number)
    reports = Report.objects.filter(pk__in=pks).values_list("pk", "state", "number")
    return {pk: (moves[pk], Standing(state, number, versions[pk])) for pk, state, number in reports}
