"""/admin: Chinese, plain, and no way around the services."""

import re
from datetime import date

import pytest
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.models import AuditEvent
from orgs.choices import Role
from orgs.models import Appointment, Category, FormerName, Organization, User
from ratings.choices import State
from ratings.models import Cycle, LedgerEntry, Report
from tests.factories import PASSWORD, UserFactory, appoint, fill, hand_up


@pytest.fixture
def root(client, line):
    """A superuser without any post, signed in."""
    user = UserFactory(is_staff=True, is_superuser=True, full_name="维护员")
    client.force_login(user)
    return user


def address(record, page="change"):
    meta = record._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=[record.pk])


def organization_form(unit, **changed):
    return {
        "name": unit.name,
        "short_name": unit.short_name,
        "kind": unit.kind,
        "category": unit.category_id or "",
        "is_rated": "on" if unit.is_rated else "",
        "former_names-TOTAL_FORMS": 0,
        "former_names-INITIAL_FORMS": 0,
        **changed,
    }


def test_every_list_and_form_opens_in_chinese(client, root, line):
    hand_up(line.of("branch"))
    for model, options in admin.site._registry.items():
        meta = model._meta
        name = f"admin:{meta.app_label}_{meta.model_name}"
        record = model._default_manager.first()
        pages = [reverse(f"{name}_changelist")]
        pages += [reverse(f"{name}_change", args=[record.pk])] if record else []
        for page in pages:
            response = client.get(page)
            assert response.status_code == 200, page
            assert str(meta.verbose_name) in response.content.decode()
        assert re.search("[\u4e00-\u9fff]", str(meta.verbose_name)), model
        assert not options.has_delete_permission(response.wsgi_request)


def test_structure_and_state_posted_to_the_admin_change_nothing(client, root, line):
    unit, report = line.units["branch"], line.of("branch")
    before = Organization.objects.filter(pk=unit.pk).values("lft", "rght", "level", "parent").get()
    forged = {"lft": 1, "rght": 2, "level": 0, "tree_id": 9, "parent": line.units["county"].pk}

    client.post(address(unit), organization_form(unit, handling_office="组织科", **forged))
    client.post(address(report), {"state": State.ACCEPTED, "path": "0001", "token": 99})
    client.post(address(line.cycle), {"state": "closed"})
    client.post(address(report.entry), {"reviewed_grade": "good"})

    fields = ("lft", "rght", "level", "parent", "handling_office")
    after = Organization.objects.filter(pk=unit.pk).values(*fields).get()
    assert after == {**before, "handling_office": "组织科"}
    assert (line.of("branch").state, line.of("branch").token) == (State.DRAFT, 0)
    assert Cycle.objects.get().state == "open"
    assert LedgerEntry.objects.get(report=report).reviewed_grade is None


def test_a_change_leaves_an_event_with_old_and_new(client, root, line):
    unit = line.units["branch"]

    client.post(address(unit), organization_form(unit, handling_office="组织科"))

    event = AuditEvent.objects.get(action="change")
    assert event.data == {"handling_office": ["", "组织科"]}
    assert (event.person_name, event.object_code) == ("维护员", "B1")


def test_a_new_short_name_keeps_the_former_one(client, root, line):
    unit = line.units["branch"]

    client.post(address(unit), organization_form(unit, short_name="新丙村党支部"))

    unit.refresh_from_db()
    assert unit.short_name == "新丙村党支部"
    assert FormerName.objects.get().short_name == "甲县乙乡丙村党支部"
    assert line.of("branch").short_name == "甲县乙乡丙村党支部"  # the cycle's copy stays


@pytest.mark.parametrize("page", ["add", "delete"])
@pytest.mark.parametrize("model", [Organization, Report, AuditEvent])
def test_nothing_with_history_is_added_or_deleted(client, root, line, model, page):
    fill(line.of("branch"))
    record = model.objects.first()
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    before = model.objects.count()

    response = client.post(reverse(name, args=[record.pk] if page == "delete" else []))

    assert (response.status_code, model.objects.count()) == (403, before)


def test_an_appointment_ends_but_is_never_turned_into_another(client, root, line):
    appointment = Appointment.objects.filter(organization=line.units["branch"]).first()
    other = UserFactory()

    client.post(
        address(appointment),
        {"user": other.pk, "role": "manage", "ended_on": timezone.localdate().isoformat()},
    )

    after = Appointment.objects.get(pk=appointment.pk)
    assert (after.user_id, after.role) == (appointment.user_id, appointment.role)
    assert after.ended_on == timezone.localdate()


def test_an_account_is_made_with_a_password_that_passes_and_is_not_in_the_trail(client, root, line):
    entered = {"username": "xinren", "full_name": "新人", "usable_password": "true"}

    client.post(
        reverse("admin:orgs_user_add"),
        {**entered, "password1": PASSWORD, "password2": PASSWORD},
    )

    assert User.objects.get(username="xinren").check_password(PASSWORD)
    event = AuditEvent.objects.get(object_kind="user")
    assert PASSWORD not in str(event.data)


def test_staff_that_is_no_superuser_makes_no_superuser(client, line):
    from django.contrib.auth.models import Permission

    staff = UserFactory(is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=("change_user", "view_user")))
    client.force_login(staff)

    client.post(
        address(staff),
        {"username": staff.username, "full_name": "我", "is_active": "on", "is_superuser": "on"},
    )

    staff.refresh_from_db()
    assert (staff.full_name, staff.is_superuser) == ("我", False)


def test_a_third_level_of_categories_is_refused_in_chinese(client, root, line):
    village = Category.objects.get(code="village")
    second = Category.objects.create(code="a", name="a", parent=village, sheet_row="村")

    response = client.post(
        reverse("admin:orgs_category_add"),
        {"code": "b", "name": "b", "parent": second.pk, "sheet_row": "村", "order": 1},
    )

    assert not Category.objects.filter(code="b").exists()
    assert re.search("[\u4e00-\u9fff]", str(response.context["adminform"].form.errors["parent"]))


@pytest.mark.parametrize(
    "forged", [{"name": "另一个党支部"}, {"kind": "committee"}, {"closed_on": "2020-01-01"}]
)
def test_what_changes_by_a_document_does_not_change_here(client, root, line, forged):
    unit = line.units["branch"]
    before = Organization.objects.filter(pk=unit.pk).values(*forged).get()

    client.post(address(unit), organization_form(unit, **forged))

    assert Organization.objects.filter(pk=unit.pk).values(*forged).get() == before


@pytest.mark.parametrize("ended_on", ["1990-01-01", ""])
def test_an_appointment_ends_after_it_began_and_is_not_revived_beside_another(
    client, root, line, ended_on
):
    now = Appointment.objects.get(user=line.branch.user, role=Role.FILL)
    past = Appointment.objects.create(
        user=now.user,
        organization=now.organization,
        role=Role.FILL,
        started_on=date(2011, 1, 1),
        ended_on=date(2012, 1, 1),
    )

    response = client.post(address(past), {"ended_on": ended_on})

    assert list(response.context["adminform"].form.errors) == ["ended_on"]
    assert Appointment.objects.get(pk=past.pk).ended_on == date(2012, 1, 1)


def password_page(user):
    return reverse("admin:auth_user_password_change", args=[user.pk])


NEW_PASSWORD = {
    "password1": "xin-mima-2012",
    "password2": "xin-mima-2012",
    "usable_password": "true",
}


def test_a_password_set_by_an_administrator_is_in_the_trail_without_the_password(
    client, root, line
):
    user = line.branch.user

    client.post(password_page(user), NEW_PASSWORD)

    user.refresh_from_db()
    assert user.check_password("xin-mima-2012")
    event = AuditEvent.objects.get(action="set_password")
    assert (event.object_id, event.object_name, event.data) == (user.pk, str(user), {})


@pytest.fixture
def keeper(client, line):
    """Staff with 管理 at the township and no right of Django's own, signed in."""
    user = UserFactory(is_staff=True)
    appoint(line.units["township"], Role.MANAGE, user=user)
    client.force_login(user)
    return user


def listed(client, name):
    response = client.get(reverse(f"admin:{name}_changelist"))
    return {record.pk for record in response.context["cl"].queryset}


def test_who_keeps_accounts_maintains_the_own_subtree_and_who_works_there_alone(
    client, keeper, line
):
    everywhere = appoint(line.units["branch"]).user
    appoint(line.units["province"], Role.READ, user=everywhere)
    fresh = UserFactory()

    units = {line.units[name].pk for name in ("township", "branch", "sibling")}
    users = {post.user.pk for post in (line.township, line.branch, line.sibling)} | {fresh.pk}
    assert listed(client, "orgs_organization") == units
    assert listed(client, "orgs_user") == users
    in_units = Appointment.objects.filter(organization__in=units)
    assert listed(client, "orgs_appointment") == set(in_units.values_list("pk", flat=True))


@pytest.mark.parametrize("name", ["ratings_report", "ratings_ledgerentry", "base_auditevent"])
def test_who_keeps_accounts_sees_no_ledger_and_no_trail_in_the_admin(client, keeper, name):
    assert client.get(reverse(f"admin:{name}_changelist")).status_code == 403


def test_who_keeps_accounts_appoints_only_within_the_own_subtree(client, keeper, line):
    fresh = UserFactory()
    entered = {"role": Role.FILL, "started_on": "2012-01-01"}
    url = reverse("admin:orgs_appointment_add")

    client.post(url, {**entered, "user": fresh.pk, "organization": line.units["county"].pk})
    client.post(url, {**entered, "user": keeper.pk, "organization": line.units["branch"].pk})
    client.post(
        url, {**entered, "user": line.county.user.pk, "organization": line.units["branch"].pk}
    )
    client.post(url, {**entered, "user": fresh.pk, "organization": line.units["branch"].pk})

    made = Appointment.objects.filter(started_on="2012-01-01")
    assert list(made.values_list("user", "organization")) == [(fresh.pk, line.units["branch"].pk)]
    event = AuditEvent.objects.get(object_kind="appointment")
    assert (event.person_id, event.unit_code) == (keeper.pk, "T")


@pytest.mark.parametrize("whose", ["county", "root"])
def test_who_keeps_accounts_sets_no_password_above_the_own_unit(client, keeper, line, whose):
    user = line.county.user if whose == "county" else UserFactory(is_superuser=True)

    client.post(password_page(user), NEW_PASSWORD)

    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_staff_without_the_role_keep_nothing(client, line):
    user = UserFactory(is_staff=True)
    appoint(line.units["township"], Role.FILL, Role.REVIEW, user=user)
    client.force_login(user)

    assert client.get(reverse("admin:orgs_user_changelist")).status_code == 403
    assert client.get(reverse("admin:orgs_organization_changelist")).status_code == 403


def test_staff_who_may_change_users_set_no_superusers_password(client, line):
    from django.contrib.auth.models import Permission

    staff, superuser = UserFactory(is_staff=True), UserFactory(is_superuser=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=("change_user", "view_user")))
    client.force_login(staff)

    response = client.post(password_page(superuser), NEW_PASSWORD)

    superuser.refresh_from_db()
    assert response.status_code == 403
    assert superuser.check_password(PASSWORD)
