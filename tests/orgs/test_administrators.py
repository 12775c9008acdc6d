"""三员: each does what its duty says and nothing of the others'; no account may everything."""

import json
from io import StringIO

import pytest
from axes.models import AccessAttempt
from django.contrib import admin
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from ledger_site import demo
from ledger_site.base.models import AuditEvent
from ledger_site.base.trail import WithoutUnit
from orgs import accounts
from orgs.choices import DUTY_RIGHTS, Duty, Role
from orgs.models import Appointment, Category, OneTimeCode, User
from orgs.posts import posts_of
from tests.factories import PASSWORD, UserFactory, appoint

SECURITY = reverse("accounts:security")
OPEN = {
    Duty.SYSTEM: {"category", "organization", "cycle", "job"},
    Duty.SECURITY: {"user", "appointment", "organization"},
    Duty.AUDIT: set(),  # the trail has pages of its own
}


def administrator(duty, **more):
    return UserFactory(duty=duty, is_staff=True, **more)


@pytest.fixture(params=Duty.values)
def duty(request, client, line):
    """Each of the three in turn, signed in."""
    client.force_login(administrator(request.param))
    return Duty(request.param)


@pytest.fixture
def officer(client, line):
    user = administrator(Duty.SECURITY, full_name="安全员")
    client.force_login(user)
    return user


def press(client, person, action):
    return client.post(SECURITY, {"user": person.pk, "action": action})


def test_each_opens_in_the_admin_what_its_duty_says_and_nothing_else(client, duty):
    answers = {}
    for model in admin.site._registry:
        address = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        answers[model._meta.model_name] = client.get(reverse(address)).status_code

    assert {name for name, status in answers.items() if status == 200} == OPEN[duty]
    assert set(answers.values()) <= {200, 403}


def test_no_right_is_two_duties_but_to_look_at_organizations():
    shared = DUTY_RIGHTS[Duty.SYSTEM] & DUTY_RIGHTS[Duty.SECURITY]

    assert shared == {"orgs.view_organization"}
    assert DUTY_RIGHTS[Duty.AUDIT] == set()


def test_none_of_the_three_has_a_post_whatever_is_written_about_them(client, line, duty):
    user = User.objects.get(duty=duty)
    appoint(line.units["province"], user=user)
    user.user_permissions.set([])

    assert posts_of(user) == []
    page = client.get(reverse("desk")).content.decode()
    assert f"您是{duty.label}" in page
    assert client.get(reverse("ratings:mine", args=["2012-1"])).status_code == 404
    assert client.get(reverse("accounts:list")).status_code == 404


def test_rights_of_djangos_own_add_nothing_to_a_duty(duty):
    from django.contrib.auth.models import Permission

    user = User.objects.get(duty=duty)
    user.user_permissions.set(Permission.objects.all())
    user = User.objects.get(pk=user.pk)

    assert not user.has_perm("ratings.change_report")
    assert user.is_auditor == (duty == Duty.AUDIT)
    user.is_active = False
    assert not any(user.has_perm(right) for right in DUTY_RIGHTS[duty])


def test_none_is_a_superuser_by_the_database(db):
    with pytest.raises(IntegrityError), transaction.atomic():
        UserFactory(duty=Duty.AUDIT, is_superuser=True)


def test_the_system_administrator_imports_categories_and_no_accounts(client, line):
    client.force_login(administrator(Duty.SYSTEM))

    for model, status in (("category", 200), ("organization", 200), ("user", 403)):
        assert client.get(reverse(f"admin:orgs_{model}_import")).status_code == status
    assert Category.objects.exists()


# ---------------------------------------------------------------- 安全管理员


def test_the_security_officer_makes_an_account_that_changes_its_password_first(
    client, officer, line
):
    form = {"username": "guanli", "full_name": "管理人", "usable_password": "true"}
    client.post(
        reverse("admin:orgs_user_add"), form | {"password1": PASSWORD, "password2": PASSWORD}
    )
    user = User.objects.get(username="guanli")
    client.post(
        reverse("admin:orgs_appointment_add"),
        {
            "user": user.pk,
            "organization": line.units["province"].pk,
            "role": Role.MANAGE,
            "started_on": "2012-01-01",
        },
    )

    theirs = Client()
    theirs.post(reverse("login"), {"username": "guanli", "password": PASSWORD})
    assert theirs.get(reverse("desk")).url == reverse("accounts:password")
    assert {post.unit_code for post in posts_of(user)} == {"P"}
    event = AuditEvent.objects.filter(object_kind="appointment").latest("pk")
    assert (event.person_name, event.post) == ("安全员", "安全管理员")


@pytest.mark.parametrize("field", ["is_superuser", "duty"])
def test_the_security_officer_makes_none_more_than_they_are(client, officer, line, field):
    person = line.branch.user
    value = {"is_superuser": "on", "duty": "audit"}[field]

    client.post(
        reverse("admin:orgs_user_change", args=[person.pk]),
        {"username": person.username, "full_name": "改", "is_active": "on", field: value},
    )

    person.refresh_from_db()
    assert (person.full_name, person.is_superuser, person.duty) == ("改", False, "")


@pytest.mark.parametrize("who", ["self", "audit", "system", "superuser"])
def test_the_security_officer_takes_over_no_administrator(client, officer, line, who):
    person = {
        "self": lambda: officer,
        "superuser": lambda: UserFactory(is_superuser=True),
    }.get(who, lambda: administrator(who))()

    for action in ("reissue", "close", "reopen", "nonsense"):
        press(client, person, action)
    client.post(
        reverse("admin:auth_user_password_change", args=[person.pk]),
        {"password1": "Shan-2012-xiang", "password2": "Shan-2012-xiang"},
    )

    person.refresh_from_db()
    assert person.is_active
    assert person.check_password(PASSWORD)
    assert not OneTimeCode.objects.exists()


def test_who_is_locked_is_listed_and_unlocked(client, officer, line):
    person = line.branch.user
    for number in range(5):
        Client().post(reverse("login"), {"username": person.username, "password": f"x{number}"})
    page = client.get(SECURITY)
    assert [one.pk for one in page.context["people"]] == [person.pk]

    press(client, person, "unlock")

    assert AccessAttempt.objects.count() == 0
    assert client.get(SECURITY).context["people"] == []
    event = AuditEvent.objects.get(action="unlock")
    assert (event.object_id, event.post) == (person.pk, "安全管理员")


def test_the_security_officer_ends_sessions_and_gives_codes(client, officer, line):
    person, theirs = line.branch.user, Client()
    theirs.force_login(person)

    press(client, person, "end_sessions")
    (issued,) = press(client, person, "reissue").context["issued"]

    assert theirs.get(reverse("desk")).status_code == 302
    assert accounts.code_holder(person.username, issued.code) == person
    press(client, person, "close")
    person.refresh_from_db()
    assert not person.is_active
    assert not Appointment.objects.active().filter(user=person).exists()


@pytest.mark.parametrize("q", ["a\vb", "x" * 100, "<script>"])
def test_whatever_is_looked_for_is_answered(client, officer, q):
    assert client.get(SECURITY, {"q": q}).status_code == 200
    assert client.post(SECURITY, {"user": q, "action": "unlock"}).status_code == 404


@pytest.mark.parametrize("who", [Duty.SYSTEM, Duty.AUDIT, ""])
def test_security_is_the_officers_alone(client, line, who):
    client.force_login(administrator(who, username="someone"))

    assert client.get(SECURITY).status_code == 404
    assert press(client, line.branch.user, "close").status_code == 404
    assert User.objects.get(pk=line.branch.user.pk).is_active


# ---------------------------------------------------------------- made by a command


def run(*arguments):
    out, err, status = StringIO(), StringIO(), 0
    try:
        call_command("create_administrator", *arguments, "--json", stdout=out, stderr=err)
    except SystemExit as exit_:
        status = exit_.code
    return status, out.getvalue() and json.loads(out.getvalue()), err.getvalue()


def test_the_three_are_made_by_a_command_with_a_code(db):
    status, said, _ = run("shenji", "审计人", "--duty", "audit")

    user = User.objects.get()
    assert (status, user.duty, user.is_staff, user.is_superuser) == (0, "audit", True, False)
    assert not user.has_usable_password()
    assert accounts.code_holder("shenji", said["code"]) == user
    again = run("shenji", "审计人", "--duty", "audit")[1]
    assert accounts.code_holder("shenji", said["code"]) is None
    assert accounts.code_holder("shenji", again["code"]) == user


@pytest.mark.parametrize(
    ("username", "full_name", "duty"),
    [
        ("shenji", "审计人", "security"),
        ("shenji", "别人", "audit"),
        ("pu", "普通人", "audit"),
        ("a b", "空格", "audit"),
        ("x" * 61, "长", "system"),
    ],
)
def test_nobody_becomes_two_of_them(db, username, full_name, duty):
    accounts.make_administrator("shenji", "审计人", Duty.AUDIT, by=WithoutUnit())
    UserFactory(username="pu", full_name="普通人")
    before = list(User.objects.order_by("pk").values_list("username", "duty", "password"))

    status, said, err = run(username, full_name, "--duty", duty)

    assert (status, said) == (1, "")
    assert err.strip()
    assert list(User.objects.order_by("pk").values_list("username", "duty", "password")) == before


# ---------------------------------------------------------------- what must not be there


def errors():
    found = run_checks(include_deployment_checks=True)
    return {error.id for error in found if error.id.startswith("ledger_site.")}


def test_the_check_of_a_deployment_fails_for_a_superuser(db, settings):
    administrator(Duty.SECURITY)
    assert errors() == set()

    root = UserFactory(is_superuser=True)
    assert errors() == {"ledger_site.E001"}

    settings.DEMO = True
    assert errors() == set()
    settings.DEMO = False
    User.objects.filter(pk=root.pk).update(is_active=False)
    assert errors() == set()


def test_the_check_of_a_deployment_fails_for_an_account_of_the_demo(db):
    xian = UserFactory(username="xian")
    assert errors() == set()

    xian.set_password(demo.PASSWORD)
    xian.save()

    assert errors() == {"ledger_site.E002"}
