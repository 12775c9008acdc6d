"""账号 one level down: opened, activated, handed over, stood in for and closed."""

import threading
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs import accounts
from orgs.choices import Duty, Role
from orgs.models import Appointment, OneTimeCode, User
from orgs.posts import posts_of
from ratings import workflow
from ratings.choices import State
from tests.factories import PASSWORD, UserFactory, appoint, fill, submit

NEW_PASSWORD = "Shan-2012-xiang"
LIST, NEW, SHEET = (reverse(f"accounts:{name}") for name in ("list", "new", "sheet"))


@pytest.fixture
def keeper(line, client):
    """Who keeps accounts at the township, signed in."""
    post = appoint(line.units["township"], Role.MANAGE)
    client.force_login(post.user)
    return post


def page_of(user):
    return reverse("accounts:account", args=[user.pk])


def entry(unit, username="xinren", full_name="新人", roles=(Role.FILL,), **more):
    return accounts.Entry(username, full_name, unit, roles, **more)


def opened(unit, by, **more) -> accounts.Issued:
    (issued,) = accounts.open_accounts([entry(unit, **more)], by=by)
    return issued


def set_password(client, username, code, password=NEW_PASSWORD):
    form = {"username": username, "code": code, "new_password1": password}
    return client.post(reverse("accounts:activate"), form | {"new_password2": password})


def form_of(unit, **changed):
    return {
        "username": "xinren",
        "full_name": "新人",
        "organization": unit.pk,
        "roles": [Role.FILL],
        **changed,
    }


def held_by(user):
    return {(post.unit_code, post.roles_text) for post in posts_of(user)}


# ---------------------------------------------------------------- opening


def test_an_account_is_opened_with_a_code_that_is_shown_once_and_not_stored(client, line, keeper):
    response = client.post(NEW, form_of(line.units["branch"]))

    (issued,) = response.context["issued"]
    assert issued.code in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    user = User.objects.get(username="xinren")
    assert not user.has_usable_password()
    assert held_by(user) == {("B1", "填报")}
    stored = OneTimeCode.objects.get()
    assert stored.digest == accounts.digest_of(issued.code)
    assert issued.code not in str(list(AuditEvent.objects.values()))
    assert list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))[-3:] == [
        "insert",
        "appoint",
        "show_codes",
    ]
    assert AuditEvent.objects.get(action="show_codes").data == {"rows": 1}
    assert "已有这些角色" in client.post(NEW, form_of(line.units["branch"])).content.decode()
    assert OneTimeCode.objects.get().digest == stored.digest


def test_a_code_has_eighty_bits_and_none_comes_twice():
    codes = {accounts.new_code() for _ in range(500)}

    assert len(codes) == 500
    assert len(set(accounts.ALPHABET)) ** 16 == 1 << 80
    assert {len(code.replace("-", "")) for code in codes} == {16}


@pytest.mark.parametrize("unit", ["province", "county"])
def test_units_above_are_no_choice(client, line, keeper, unit):
    response = client.post(NEW, form_of(line.units[unit]))

    assert response.context["form"].errors.keys() == {"organization"}
    assert not User.objects.filter(username="xinren").exists()


def test_two_levels_down_is_no_choice(client, line):
    client.force_login(appoint(line.units["county"], Role.MANAGE).user)

    client.post(NEW, form_of(line.units["branch"]))

    assert not User.objects.filter(username="xinren").exists()


def test_somebody_who_is_there_gets_a_second_post_only_under_the_right_name(client, line, keeper):
    other = appoint(line.units["county"], Role.READ).user
    form = form_of(line.units["branch"], username=other.username)

    wrong = client.post(NEW, form)
    right = client.post(NEW, form | {"full_name": other.full_name})

    assert "账号已被使用" in wrong.content.decode()
    assert right.status_code == 302
    assert held_by(other) == {("C", "查阅"), ("B1", "填报")}
    assert other.check_password(PASSWORD)


@pytest.mark.parametrize("field", ["username", "full_name"])
@pytest.mark.parametrize("text", ["a\0b", "x" * 61, "", "甲 乙\n", "<script>"])
def test_bad_names_are_said_and_open_nothing(client, line, keeper, field, text):
    before = User.objects.count()

    response = client.post(NEW, form_of(line.units["branch"], **{field: text}))

    assert response.status_code == 200
    if field == "username" or not User.objects.filter(username="xinren").exists():
        assert response.context.get("form") is None or response.context["form"].errors
        assert User.objects.count() == before
    else:
        assert "<script>" not in response.content.decode().replace('<script src="', "")


# ---------------------------------------------------------------- sheets


def send(client, *rows, head="账号,姓名,党组织代码,角色,台账专人"):
    text = "\n".join([head, *rows])
    return client.post(SHEET, {"file": SimpleUploadedFile("人员.csv", text.encode())})


def test_a_sheet_opens_two_hundred_in_few_statements_and_hashes_nothing(
    client, line, keeper, monkeypatch
):
    monkeypatch.setattr(User, "set_password", None)
    rows = [f"ren{n},某人{n},{'B1' if n % 2 else 'T'},填报、审核," for n in range(200)]

    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = send(client, *rows)

    issued = response.context["issued"]
    assert len({one.code for one in issued}) == len(issued) == 200
    assert all(one.code in response.content.decode() for one in issued)
    assert OneTimeCode.objects.count() == 200
    assert len(queries) < 60
    assert held_by(User.objects.get(username="ren3")) == {("B1", "填报、审核")}


def test_all_faults_of_a_sheet_are_said_at_once_and_nothing_is_opened(client, line, keeper):
    stranger = appoint(line.units["county"]).user

    response = send(
        client,
        "hao,好人,B1,填报,是",
        ",无账号,B1,填报,",
        "yuan,远人,C,填报,",
        "jue,角色人,B1,书记,",
        "hao,坏人,T,填报,",
        "hao,好人,B1,审核,",
        f"{stranger.username},别人,B1,填报,",
        f"{keeper.user.username},{keeper.user.full_name},B1,填报,",
    )

    errors = response.context["errors"]
    assert [error.split()[0] for error in errors] == [
        "第3行",
        "第4行",
        "第5行",
        "第6行",
        "第7行",
        "第8行",
        "第9行",
    ]
    assert "密码" not in str(errors)
    assert not User.objects.filter(username="hao").exists()
    assert OneTimeCode.objects.count() == 0


@pytest.mark.parametrize(
    ("rows", "head", "said"),
    [
        (["a,b"], "账号,密码", "密码不写在文件里"),
        ([f"r{n},人{n},B1,填报," for n in range(201)], None, "一次最多导入200行"),
        ([], None, "没有数据"),
    ],
)
def test_a_sheet_that_is_none_is_refused_in_chinese(client, line, keeper, rows, head, said):
    response = send(client, *rows, **({"head": head} if head else {}))

    assert said in str(response.context["errors"])
    assert OneTimeCode.objects.count() == 0


def test_one_person_may_stand_in_a_sheet_for_several_units(client, line, keeper):
    response = send(client, "ren,某人,B1,填报,是", "ren,某人,T,审核,")

    (issued,) = response.context["issued"]
    assert held_by(issued.user) == {("B1", "填报"), ("T", "审核")}
    assert issued.places == "甲县乙乡丙村党支部（填报）；乙乡（审核）"


# ---------------------------------------------------------------- activation


def test_a_code_sets_the_password_once(client, line, keeper):
    issued = opened(line.units["branch"], keeper)
    visitor = Client()

    first = set_password(visitor, "xinren", issued.code.lower().replace("-", " "))
    again = set_password(visitor, "xinren", issued.code, "Xiang-2013-shan")

    assert first.url == reverse("login")
    assert accounts.WRONG_CODE in again.content.decode()
    user = User.objects.get(username="xinren")
    assert user.check_password(NEW_PASSWORD)
    assert OneTimeCode.objects.count() == 0
    signed_in = visitor.post(reverse("login"), {"username": "xinren", "password": NEW_PASSWORD})
    assert signed_in.url == reverse("desk")
    assert AuditEvent.objects.filter(action="activate", person_name="新人").exists()


def test_a_wrong_code_an_unknown_account_and_an_old_code_are_told_alike(client, line, keeper):
    issued = opened(line.units["branch"], keeper)
    old = opened(line.units["branch"], keeper, username="jiu", full_name="旧人")
    OneTimeCode.objects.filter(user=old.user).update(expires_at=timezone.now())
    closed = opened(line.units["branch"], keeper, username="ting", full_name="停人")
    User.objects.filter(pk=closed.user.pk).update(is_active=False)

    answers = {
        str(set_password(Client(), *pair, "short").context["form"].errors)
        for pair in (
            ("xinren", old.code),
            ("nobody", issued.code),
            ("jiu", old.code),
            ("ting", closed.code),
            ("xinren", "٣" * 16),
        )
    }

    assert len(answers) == 1
    assert accounts.WRONG_CODE in answers.pop()


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("Ab1-short", "10"),
        ("onlylowercase1", "三种"),
        ("Xinren-2012-a", "不能含有"),
        ("新人-Shan-2012", "不能含有"),
    ],
)
def test_a_weak_password_is_refused_and_the_code_stays_good(client, line, keeper, password, said):
    issued = opened(line.units["branch"], keeper)

    refused = set_password(Client(), "xinren", issued.code, password)

    assert said in str(refused.context["form"].errors)
    assert set_password(Client(), "xinren", issued.code).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_a_code_at_once_one_succeeds(line):
    issued = opened(line.units["branch"], line.township)
    barrier, done = threading.Barrier(2), []

    def run(password):
        try:
            user = User.objects.get(username="xinren")
            barrier.wait(10)
            accounts.activate(user, issued.code, password)
            done.append(password)
        except TransitionRefused as refusal:
            done.append(str(refusal))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[f"Shan-2012-{n}"]) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert accounts.WRONG_CODE in done
    (winner,) = [one for one in done if one != accounts.WRONG_CODE]
    assert User.objects.get(username="xinren").check_password(winner)


def test_a_new_code_ends_the_password_the_session_and_the_code_before(client, line, keeper):
    person = appoint(line.units["branch"], Role.FILL).user
    theirs = Client()
    theirs.force_login(person)
    first = client.post(page_of(person), {"action": "reissue"}).context["issued"][0].code

    second = client.post(reverse("accounts:codes"), {"user": [person.pk, "x", "٣", "9" * 30]})

    assert theirs.get(reverse("desk")).status_code == 302
    assert not User.objects.get(pk=person.pk).has_usable_password()
    assert accounts.code_holder(person.username, first) is None
    (issued,) = second.context["issued"]
    assert accounts.code_holder(person.username, issued.code) == person
    assert AuditEvent.objects.filter(action="issue_code", object_id=person.pk).count() == 2


# ---------------------------------------------------------------- handing over


def test_an_office_is_handed_over_in_one_step_and_the_history_stays(client, line, keeper):
    old = appoint(line.units["branch"], Role.FILL, Role.READ).user
    theirs = Client()
    theirs.force_login(old)

    response = client.post(
        page_of(old),
        {
            "action": "hand_over",
            "organization": line.units["branch"].pk,
            "username": "xinren",
            "full_name": "新人",
        },
    )

    (issued,) = response.context["issued"]
    assert held_by(issued.user) == {("B1", "填报、查阅")}
    assert held_by(old) == set()
    ended = Appointment.objects.filter(user=old)
    assert set(ended.values_list("ended_on", flat=True)) == {timezone.localdate()}
    assert theirs.get(reverse("desk")).url.startswith(reverse("login"))
    assert "曾任" in client.get(page_of(old)).content.decode()
    reasons = AuditEvent.objects.filter(action="end_appointment").values_list("reason", flat=True)
    assert set(reasons) == {"交接给新人"}


def test_a_second_press_of_hand_over_is_refused_and_changes_nothing(line, keeper):
    old = appoint(line.units["branch"], Role.FILL).user
    accounts.hand_over(old, line.units["branch"], to=entry(line.units["branch"]), by=keeper)
    before = list(Appointment.objects.order_by("pk").values())

    with pytest.raises(TransitionRefused, match="已经结束"):
        accounts.hand_over(
            old, line.units["branch"], to=entry(line.units["branch"], "er", "二人"), by=keeper
        )

    assert list(Appointment.objects.order_by("pk").values()) == before


def test_a_successor_who_is_refused_leaves_the_old_appointment_in_force(line, keeper):
    old, other = appoint(line.units["branch"], Role.FILL).user, UserFactory(full_name="甲")

    with pytest.raises(TransitionRefused):
        accounts.hand_over(
            old,
            line.units["branch"],
            to=entry(line.units["branch"], other.username, "乙"),
            by=keeper,
        )

    assert held_by(old) == {("B1", "填报")}


# ---------------------------------------------------------------- standing in


def stand_in(client, person, deputy, unit, **changed):
    form = {
        "action": "deputize",
        "organization": unit.pk,
        "username": deputy.username,
        "full_name": deputy.full_name,
        "roles": [Role.REVIEW],
        "until": timezone.localdate().isoformat(),
        **changed,
    }
    return client.post(page_of(person), form)


def test_a_deputy_acts_as_b_for_a_until_the_day_and_no_longer(client, line, keeper, monkeypatch):
    person = appoint(line.units["township"], Role.REVIEW, user=UserFactory(full_name="甲")).user
    deputy = appoint(line.units["sibling"], Role.FILL, user=UserFactory(full_name="乙")).user
    fill(line.of("branch"))
    submit(line.of("branch"))

    assert stand_in(client, person, deputy, line.units["township"]).status_code == 302

    post = next(post for post in posts_of(deputy) if post.unit_code == "T")
    assert (post.person_name, post.roles_text) == ("乙 代 甲", "审核（代甲）")
    report = line.of("branch")
    workflow.move("send_back", report, by=post, token=report.token, reason="再改")
    assert line.of("branch").state == State.RETURNED
    event = AuditEvent.objects.get(action="send_back")
    assert (event.person_id, event.person_name, event.post) == (
        deputy.pk,
        "乙 代 甲",
        "审核（代甲）",
    )
    assert AuditEvent.objects.get(action="deputize").object_name.endswith("审核（代甲）")
    tomorrow = timezone.localdate() + timedelta(days=1)
    monkeypatch.setattr(timezone, "localdate", lambda *a: tomorrow)
    assert {post.unit_code for post in posts_of(deputy)} == {"B2"}


def test_own_roles_and_a_deputys_stand_apart_in_one_post(line):
    both, other = UserFactory(full_name="乙"), UserFactory(full_name="甲")
    appoint(line.units["township"], Role.FILL, user=both)
    appoint(line.units["township"], Role.REVIEW, user=other)

    accounts.deputize(
        other,
        line.units["township"],
        deputy=both,
        roles=[Role.REVIEW],
        until=timezone.localdate(),
        by=line.county,
    )

    (post,) = posts_of(both)
    assert (post.person_name, post.roles_text) == ("乙", "填报、审核（代甲）")


@pytest.mark.parametrize(
    "changed",
    [
        {"until": "2000-01-01"},
        {"until": "9999-12-31"},
        {"until": "x"},
        {"roles": [Role.MANAGE]},
        {"roles": []},
        {"username": "nobody"},
        {"full_name": "别人"},
        {"organization": "٣"},
    ],
)
def test_a_deputy_beyond_what_there_is_is_refused(client, line, keeper, changed):
    person = appoint(line.units["township"], Role.REVIEW).user
    deputy = appoint(line.units["sibling"], Role.FILL).user

    response = stand_in(client, person, deputy, line.units["township"], **changed)

    assert response.status_code in (200, 302)
    assert not Appointment.objects.exclude(deputy_for=None).exists()


def test_nobody_stands_in_for_whoever_has_gone(client, line, keeper):
    person = appoint(line.units["township"], Role.REVIEW).user
    deputy = appoint(line.units["sibling"], Role.FILL).user
    stand_in(client, person, deputy, line.units["township"])

    client.post(page_of(person), {"action": "end", "organization": line.units["township"].pk})

    assert held_by(person) == set()
    assert held_by(deputy) == {("B2", "填报")}


# ---------------------------------------------------------------- closing, and what is not theirs


def test_a_closed_account_signs_in_no_more_and_can_be_opened_again(client, line, keeper):
    person = appoint(line.units["branch"], Role.FILL).user

    client.post(page_of(person), {"action": "close"})

    person.refresh_from_db()
    assert (person.is_active, held_by(person)) == (False, set())
    assert Appointment.objects.filter(user=person, ended_on=timezone.localdate()).exists()
    (issued,) = client.post(page_of(person), {"action": "reopen"}).context["issued"]
    assert set_password(Client(), person.username, issued.code).status_code == 302
    assert held_by(person) == set()


def test_whoever_works_elsewhere_too_is_not_theirs_to_reset_or_close(client, line, keeper):
    person = appoint(line.units["branch"], Role.FILL).user
    appoint(line.units["county"], Role.REVIEW, user=person)
    staff = appoint(line.units["branch"], user=UserFactory(is_staff=True)).user

    for user in (person, staff, keeper.user):
        for action in ("reissue", "close", "reopen", "nonsense", "__init__"):
            assert client.post(page_of(user), {"action": action}).status_code == 404
        client.post(reverse("accounts:codes"), {"user": [user.pk]})

    users = User.objects.filter(pk__in=[person.pk, staff.pk, keeper.user.pk])
    assert all(user.is_active and user.has_usable_password() for user in users)
    assert OneTimeCode.objects.count() == 0


def test_nobody_changes_what_they_hold_themselves(client, line, keeper):
    unit = line.units["township"]
    forms = (
        {"action": "appoint", "organization": unit.pk, "roles": [Role.REVIEW]},
        {"action": "end", "organization": unit.pk},
    )

    for form in forms:
        assert client.post(page_of(keeper.user), form).status_code == 404
    client.post(NEW, form_of(unit, username=keeper.user.username, full_name=keeper.user.full_name))

    assert held_by(keeper.user) == {("T", "管理")}


def test_others_people_do_not_exist(client, line, keeper):
    for name in ("county", "province"):
        assert client.get(page_of(getattr(line, name).user)).status_code == 404


@pytest.mark.parametrize("role", [Role.FILL, Role.REVIEW, Role.READ])
def test_pages_of_accounts_exist_for_whoever_keeps_them_alone(client, line, role):
    client.force_login(appoint(line.units["township"], role).user)

    for address in (LIST, NEW, SHEET, page_of(line.branch.user)):
        assert client.get(address).status_code == 404


def test_an_administrator_of_the_three_takes_no_post(line, keeper):
    officer = UserFactory(duty=Duty.AUDIT)

    faults = accounts.faults_of(
        [entry(line.units["branch"], officer.username, officer.full_name)], by=keeper
    )

    assert [message for *_, message in faults] == [accounts.ADMINISTRATOR]


# ---------------------------------------------------------------- the list


def test_the_list_shows_own_and_direct_people_and_warns_of_units_without_a_reviewer(
    client, line, django_assert_num_queries
):
    client.force_login(appoint(line.units["county"], Role.MANAGE).user)
    line.township.user.appointments.filter(role=Role.REVIEW).delete()

    response = client.get(LIST)

    shown = {user.pk for user in response.context["people"]}
    assert line.branch.user.pk not in shown
    assert {line.township.user.pk, line.county.user.pk} < shown
    assert [unit.code for unit in response.context["lacking"]] == ["T"]
    assert "没有审核人员的单位 1 个" in response.content.decode()


def test_the_list_takes_the_same_number_of_queries_for_one_and_for_many(client, line, keeper):
    client.get(LIST)
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    entries = [entry(line.units["branch"], f"ren{n}", f"人{n}") for n in range(60)]
    accounts.open_accounts(entries, by=keeper)

    with CaptureQueriesContext(connection) as many:
        response = client.get(LIST)

    assert len(response.context["people"]) == 50
    assert len(many) == len(few)


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"q": "ren1"}, {"人1"}),
        ({"q": "人"}, {"人1", "人2"}),
        ({"state": "pending"}, {"人1", "人2"}),
        ({"state": "closed"}, {"停"}),
        ({"state": "gone"}, {"离"}),
        ({"q": "a\0b"}, None),
        ({"state": "x"}, None),
    ],
)
def test_people_are_found_by_name_account_and_state(client, line, keeper, params, names):
    unit = line.units["branch"]
    for username, full_name in (("ren1", "人1"), ("ren2", "人2")):
        opened(unit, keeper, username=username, full_name=full_name)
    closed = appoint(unit, user=UserFactory(full_name="停")).user
    gone = appoint(unit, user=UserFactory(full_name="离")).user
    accounts.close(closed, by=keeper)
    accounts.end_post(gone, unit, by=keeper)

    response = client.get(LIST, params)

    assert response.status_code == 200
    if names is not None:
        assert {user.full_name for user in response.context["people"]} == names
