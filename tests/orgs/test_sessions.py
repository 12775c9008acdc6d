"""Sessions: one a person, over when idle, after half a day, and with the post; the second step."""

import re
import time
from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import totp as token_of
from django_otp.plugins.otp_totp.models import TOTPDevice

from ledger_site.base.models import AuditEvent
from orgs import accounts, sessions, signing_in
from orgs.choices import Duty, Role
from orgs.models import FormerPassword, OneTimeCode, User
from orgs.passwords import NotAFormerOne, NotTheName, ThreeOfFourKinds
from tests.factories import PASSWORD, UserFactory, appoint

DESK, LOGIN, SECOND = reverse("desk"), reverse("login"), reverse("accounts:second_step")
CHANGE, TOTP, DRAFT = (reverse(f"accounts:{name}") for name in ("password", "totp", "draft"))
OTHER_PASSWORD = "Xiang-2013-shan"
KEY = "3132333435363738393031323334353637383930"


@pytest.fixture
def user(line):
    return line.township.user


@pytest.fixture
def clock(monkeypatch):
    """The time of sessions, to be set forward; the rest of the world keeps its own."""
    now = {"at": time.time()}
    monkeypatch.setattr(sessions.time, "time", lambda: now["at"])

    def forward(**passed):
        now["at"] += timedelta(**passed).total_seconds()

    return forward


def sign_in(client, user, password=PASSWORD, **more):
    return client.post(LOGIN, {"username": user.username, "password": password, **more})


def is_in(client) -> bool:
    return client.get(DESK).status_code == 200


# ---------------------------------------------------------------- one, and not for ever


def test_a_second_sign_in_ends_the_first_and_says_so(user):
    first, second = Client(), Client()
    sign_in(first, user)
    sign_in(second, user)

    answer = first.get(DESK, follow=True)

    assert "已在别处登录" in answer.content.decode()
    assert not is_in(first)
    assert is_in(second)


def test_two_people_in_one_browser_do_not_mix(line, client):
    sign_in(client, line.branch.user)
    sign_in(client, line.township.user)  # the page is closed to whoever is in
    assert client.get(DESK).context["user"] == line.branch.user
    client.post(reverse("logout"))
    sign_in(client, line.township.user)

    assert client.get(DESK).context["user"] == line.township.user


@pytest.mark.parametrize(
    ("is_staff", "minutes"), [(False, 30), (True, 15)], ids=["people", "administrators"]
)
def test_a_session_is_over_when_nobody_has_worked_for_so_long(line, clock, is_staff, minutes):
    user = appoint(line.units["branch"], user=UserFactory(is_staff=is_staff)).user
    client = Client()
    sign_in(client, user)
    for _ in range(3):
        clock(minutes=minutes - 1)
        assert is_in(client)
    clock(minutes=minutes, seconds=1)

    answer = client.get(DESK, follow=True)

    assert f"超过 {minutes} 分钟没有操作" in answer.content.decode()
    assert not is_in(client)


def test_a_page_that_asks_by_itself_keeps_no_session_alive(client, user, clock):
    sign_in(client, user)
    polling = {"X-Polling": "1", "HX-Request": "true", "HX-Current-URL": "http://testserver/jobs/"}
    jobs = reverse("jobs:list")
    for _ in range(4):
        clock(minutes=8)
        answer = client.get(jobs, headers=polling)

    assert answer.status_code == 204
    assert answer["HX-Redirect"] == f"{LOGIN}?next=/jobs/"
    assert not is_in(client)


def test_whatever_asks_by_itself_says_so(settings):
    for path in (settings.BASE_DIR / "templates").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert text.count('hx-trigger="every') == text.count('"X-Polling"'), path


def test_after_twelve_hours_everybody_signs_in_again(client, user, clock):
    sign_in(client, user)
    for _ in range(12 * 3 + 1):
        clock(minutes=20)
        answer = client.get(DESK)

    assert answer.status_code == 302
    assert not is_in(client)


def test_a_click_a_moment_later_writes_nothing(client, user, django_assert_max_num_queries):
    sign_in(client, user)
    before = client.session["seen_at"]

    client.get(reverse("accounts:mine"))

    assert client.session["seen_at"] == before


def test_a_session_ends_with_the_appointment(client, line, user):
    keeper = appoint(line.units["county"], Role.MANAGE)
    sign_in(client, user)

    accounts.end_post(user, line.units["township"], by=keeper)

    assert not is_in(client)


@pytest.mark.parametrize("headers", [{}, {"X-Polling": "1"}], ids=["at work", "asks by itself"])
def test_a_deputys_session_ends_with_the_deputys_last_day(line, monkeypatch, headers):
    """Though nobody does anything on that night, and the deputy holds a post of their own."""
    today, deputy = timezone.localdate(), line.branch.user
    accounts.deputize(
        line.township.user,
        line.units["township"],
        deputy=deputy,
        roles=[Role.REVIEW],
        until=today,
        by=line.county,
    )
    client, other = Client(), Client()
    sign_in(client, deputy)
    sign_in(other, line.sibling.user)
    assert is_in(client)
    monkeypatch.setattr(timezone, "localdate", lambda *a: today + timedelta(days=1))

    answer = client.get(DESK, follow=True, headers=headers)

    assert "您的代理或任职已到期" in answer.content.decode()
    assert not is_in(client)
    assert is_in(other)
    sign_in(client, deputy)
    assert is_in(client)


def test_a_session_from_before_the_sign_in_is_not_the_one_after(client, user):
    client.get(SECOND)
    session = client.session
    session["planted"] = True
    session.save()
    planted = session.session_key

    sign_in(client, user)

    assert client.session.session_key != planted


# ---------------------------------------------------------------- what was typed


def type_a_reason(client, line):
    """A form without autosave, sent when the session is over."""
    address = reverse("ratings:move", args=[line.of("branch").pk, "extend"])
    return address, client.post(address, {"token": "0", "reason": "写了很久的理由"})


def test_what_was_typed_is_kept_for_the_same_person_and_can_be_sent_on(line, user, clock, client):
    sign_in(client, user)
    clock(minutes=31)
    address, answer = type_a_reason(client, line)
    assert answer.url.startswith(LOGIN)
    assert "已保留" in client.get(answer.url).content.decode()
    assert not is_in(client)

    assert sign_in(client, user).url == DRAFT

    page = client.get(DRAFT).content.decode()
    assert f'action="{address}"' in page
    assert page.count("写了很久的理由") == 2
    client.post(DRAFT)
    assert client.get(DRAFT).url == DESK


def test_what_was_typed_is_shown_to_nobody_else(line, user, clock, client):
    sign_in(client, user)
    clock(minutes=31)
    type_a_reason(client, line)

    assert sign_in(client, line.branch.user).url == DESK

    assert client.get(DRAFT).url == DESK
    assert "draft" not in client.session


def test_no_password_is_kept_as_typed(user, clock, client):
    sign_in(client, user)
    clock(minutes=31)

    client.post(CHANGE, {"old_password": PASSWORD, "new_password1": OTHER_PASSWORD})

    assert "draft" not in client.session


def test_what_saves_itself_is_told_and_keeps_its_text_on_the_page(line, user, clock, client):
    sign_in(client, user)
    clock(minutes=31)
    address = reverse("ratings:autosave", args=[line.of("branch").pk])

    answer = client.post(address, {"features": "x"}, headers={"X-Requested-With": "fetch"})

    assert (answer.status_code, "draft" in client.session) == (302, False)


@pytest.mark.parametrize("text", ["</textarea><script>alert(1)</script>", "长" * 300_000])
def test_a_draft_is_text_and_has_a_limit(line, user, clock, client, text):
    sign_in(client, user)
    clock(minutes=31)
    client.post(reverse("choose_post"), {"organization": text})

    sign_in(client, user)

    page = client.get(DRAFT, follow=True).content.decode()
    assert "<script>alert" not in page
    assert len(page) < 250_000


# ---------------------------------------------------------------- counting failures


def fail(client, username, times=5):
    for number in range(times):
        answer = client.post(LOGIN, {"username": username, "password": f"wrong{number}"})
    return answer


def test_five_failures_lock_for_half_an_hour_and_one_event_is_left(client, user):
    assert fail(client, user.username, 4).status_code == 200
    assert fail(client, user.username, 1).status_code == 429

    assert "在 30 分钟后再试" in sign_in(client, user).content.decode()
    fail(client, user.username, 3)

    event = AuditEvent.objects.get(action="lock")
    assert (event.object_id, event.person_id) == (user.pk, None)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=25, seconds=1))
    assert "在 5 分钟后再试" in sign_in(client, user).content.decode()
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=31))
    assert sign_in(client, user).url == DESK
    assert AccessAttempt.objects.count() == 0


def test_a_password_typed_as_a_name_stands_nowhere(client, user):
    fail(client, OTHER_PASSWORD)

    stored = str([*AuditEvent.objects.values(), *AccessAttempt.objects.values("post_data")])
    assert OTHER_PASSWORD not in stored
    assert "不存在的账号" in stored


def test_one_address_locks_no_others(client, line):
    for name in ("branch", "sibling", "county"):
        fail(client, getattr(line, name).user.username, 6)

    assert sign_in(Client(), line.township.user).url == DESK


def test_a_forged_browser_gains_nothing(client, user):
    fail(client, user.username)
    for cookie in ("", "x", "{}", "a:b:c"):
        forged = Client()
        forged.cookies[signing_in.BROWSER] = cookie
        assert sign_in(forged, user).status_code == 429


def test_a_known_browser_is_locked_too_when_it_fails(client, user):
    sign_in(client, user)
    client.post(reverse("logout"))

    fail(client, user.username)

    assert sign_in(client, user).status_code == 429
    assert signing_in.is_locked(user)
    assert sign_in(Client(), user).url == DESK


def test_a_known_browser_is_known_for_its_person_alone(client, line):
    sign_in(client, line.branch.user)
    client.post(reverse("logout"))
    fail(Client(), line.township.user.username)

    assert sign_in(client, line.township.user).status_code == 429


def test_an_unlocked_account_gets_in_at_once(client, user, line):
    fail(client, user.username)
    assert signing_in.is_locked(user)

    accounts.unlock(user, by=line.county)

    assert not signing_in.is_locked(user)
    assert sign_in(client, user).url == DESK


def test_unknown_accounts_take_as_long_as_known_ones(client, user, monkeypatch):
    """One hash each, whether or not there is an account, a password or a right to sign in."""
    hashed = []
    from django.contrib.auth import hashers

    monkeypatch.setattr(
        hashers.MD5PasswordHasher,
        "encode",
        lambda self, password, salt: hashed.append(password) or "md5$x$x",
    )
    pending = UserFactory()
    pending.set_unusable_password()
    pending.save()
    counts = []
    for username in (user.username, "nobody", pending.username):
        hashed.clear()
        fail(client, username, 1)
        counts.append(len(hashed))

    assert counts == [1, 1, 1]


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example/", "javascript:alert(1)"]
)
def test_no_sign_in_leads_elsewhere(client, user, target):
    assert sign_in(client, user, next=target).url == DESK


# ---------------------------------------------------------------- the second step


@pytest.fixture
def device(user):
    return TOTPDevice.objects.create(user=user, name="动态口令", key=KEY)


def token(steps=0):
    return f"{token_of(bytes.fromhex(KEY), drift=steps):06}"


def test_with_a_second_step_the_password_alone_opens_nothing(client, user, device):
    answer = sign_in(client, user, next="/jobs/")

    assert answer.url == SECOND
    assert not is_in(client)
    assert User.objects.get(pk=user.pk).session_mark == ""
    done = client.post(SECOND, {"token": token()})
    assert done.url == "/jobs/"
    assert is_in(client)
    assert AuditEvent.objects.filter(action="sign_in").count() == 1


def test_a_token_is_good_once(user, device):
    now = token()
    for client, is_good in ((Client(), True), (Client(), False)):
        sign_in(client, user)
        client.post(SECOND, {"token": now})
        assert is_in(client) == is_good


def test_after_five_wrong_tokens_the_password_is_asked_for_again(client, user, device):
    sign_in(client, user)
    for text in ("000000", "abc", "٣٣٣٣٣٣", "9" * 40, "-1"):
        assert "不正确" in client.post(SECOND, {"token": text}).content.decode()

    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    assert client.post(SECOND, {"token": token()}).url == LOGIN
    assert not is_in(client)


def test_half_a_sign_in_ends_after_five_minutes_and_with_a_new_password(client, user, device):
    sign_in(client, user)
    half = client.session["half"]
    session = client.session
    session["half"] = half | {"at": half["at"] - 301}
    session.save()
    assert client.post(SECOND, {"token": token()}).url == LOGIN

    sign_in(client, user)
    user.set_password(OTHER_PASSWORD)
    user.save()
    assert client.post(SECOND, {"token": token()}).url == LOGIN


def test_a_phone_is_bound_with_a_password_and_a_token_and_codes_come_once(client, user):
    sign_in(client, user)
    page = client.get(TOTP)
    assert 'src="data:image/svg+xml' in page.content.decode()
    key = client.session["totp_key"]
    right = f"{token_of(bytes.fromhex(key)):06}"
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    for form in (
        {"password": PASSWORD, "token": wrong},
        {"password": "wrong", "token": right},
        {"password": PASSWORD, "token": ""},
    ):
        client.post(TOTP, form)
        assert signing_in.device_of(user) is None

    codes = client.post(TOTP, {"password": PASSWORD, "token": right}).context["codes"]

    assert signing_in.device_of(user).key == key
    assert len(set(codes)) == 10
    stored = OneTimeCode.objects.filter(user=user)
    assert {one.digest for one in stored} == {accounts.digest_of(code) for code in codes}
    assert not {key, *codes} & set(str(list(AuditEvent.objects.values())).split("'"))


def test_a_recovery_code_stands_in_once_and_not_for_anybody_else(line, user, device):
    (code, *_) = accounts.recovery_codes(user)
    other = line.branch.user
    TOTPDevice.objects.create(user=other, name="动态口令", key=KEY)
    for person, is_good in ((other, False), (user, True), (user, False)):
        client = Client()
        sign_in(client, person)
        client.post(SECOND, {"token": code.lower()})
        assert is_in(client) == is_good

    assert AuditEvent.objects.get(action="recover").data == {"left": 9}


def test_a_recovery_code_is_no_code_of_activation_and_the_other_way_round(line, user, device):
    (code, *_) = accounts.recovery_codes(user)
    assert accounts.code_holder(user.username, code) is None

    (issued,) = accounts.reissue([user], by=line.county)

    assert not accounts.recover(user, issued.code)
    assert signing_in.device_of(user) is None


@pytest.mark.parametrize(
    ("groups", "name", "is_asked"),
    [
        (("administrators",), "staff", True),
        (("administrators",), "county", False),
        (("departments",), "county", True),
        (("departments",), "province", True),
        (("departments",), "township", False),
        (("departments",), "branch", False),
        ((), "staff", False),
    ],
)
def test_who_has_to_bind_a_phone_does_nothing_before(
    settings, line, client, groups, name, is_asked
):
    settings.TOTP_FOR = groups
    staff = appoint(line.units["branch"], user=UserFactory(is_staff=True)).user
    person = staff if name == "staff" else getattr(line, name).user
    sign_in(client, person)

    answer = client.get(reverse("orgs:tree"))

    assert answer.status_code == (302 if is_asked else 200)
    if is_asked:
        assert answer.url == SECOND
        assert "须使用动态口令" in client.get(SECOND).content.decode()
        key = client.session["totp_key"]
        right = f"{token_of(bytes.fromhex(key)):06}"
        assert client.post(SECOND, {"password": PASSWORD, "token": right}).context["codes"]
        assert is_in(client)


# ---------------------------------------------------------------- passwords


@pytest.mark.parametrize(
    ("password", "is_good"),
    [
        ("abcdefghij", False),
        ("abcdefghi1", False),
        ("Abcdefghi1", True),
        ("abcdefgh-1", True),
        ("ABC-密码", False),
        ("ABC-密码a", True),
        ("ＡＢＣabc", False),
    ],
)
def test_a_password_has_three_of_four_kinds(password, is_good):
    try:
        ThreeOfFourKinds().validate(password)
    except ValidationError:
        assert not is_good
    else:
        assert is_good


def test_a_password_holds_neither_name_nor_code(line):
    user = UserFactory(username="zhangsan", full_name="张三")
    appoint(line.units["county"], user=user)
    line.units["county"].code = "431127"
    line.units["county"].save()
    for password in ("Zhangsan-2012", "张三-Shan-2012", "Shan-431127-x"):
        with pytest.raises(ValidationError):
            NotTheName().validate(password, user)
    NotTheName().validate("Shan-2012-xiang", user)


@pytest.mark.parametrize("password", ["a", "1234567890", "password123", "zhangsan-san", PASSWORD])
def test_whatever_is_wrong_with_a_password_is_said_in_chinese(db, password):
    user = UserFactory(username="zhangsan-sa", full_name="zhangsan-s")

    with pytest.raises(ValidationError) as refusal:
        validate_password(password, user)

    assert [one for one in refusal.value.messages if not re.search("[\u4e00-\u9fff]", one)] == []


def test_none_of_the_last_five_passwords_is_taken_again(db):
    user = UserFactory()
    used = [PASSWORD]
    for number in range(5):
        used.append(f"Shan-2012-x{number}")
        user.set_password(used[-1])
        user.save()

    assert FormerPassword.objects.filter(user=user).count() == 5
    for password in used[1:]:
        with pytest.raises(ValidationError):
            NotAFormerOne().validate(password, user)
    NotAFormerOne().validate(used[0], user)


def test_a_password_that_somebody_else_set_is_changed_first(client, user):
    User.objects.filter(pk=user.pk).update(must_change_password=True)
    sign_in(client, user)
    assert client.get(DESK).url == CHANGE
    form = {"old_password": PASSWORD, "new_password1": OTHER_PASSWORD}

    same = client.post(CHANGE, form | {"new_password1": PASSWORD, "new_password2": PASSWORD})
    done = client.post(CHANGE, form | {"new_password2": OTHER_PASSWORD})

    assert same.status_code == 200
    assert done.url == DESK
    assert is_in(client)
    assert User.objects.get(pk=user.pk).check_password(OTHER_PASSWORD)
    assert AuditEvent.objects.filter(action="change_password", person_id=user.pk).count() == 1


@pytest.mark.parametrize(("days", "limit", "is_asked"), [(89, 90, 0), (90, 90, 1), (999, 0, 0)])
def test_a_password_is_changed_after_so_many_days(client, user, settings, days, limit, is_asked):
    settings.PASSWORD_DAYS = limit
    User.objects.update(password_set_at=timezone.now() - timedelta(days=days))

    sign_in(client, user)

    assert client.get(DESK).status_code == (302 if is_asked else 200)


# ---------------------------------------------------------------- other ways in


class Elsewhere(ModelBackend):
    """A provider of 统一身份认证, as a test has it: it has found out who somebody is."""

    def authenticate(self, request, subject=None):
        return User.objects.filter(username=subject).first() if subject else None


ELSEWHERE = f"{__name__}.Elsewhere"


def test_another_provider_comes_through_the_same_door(client, user, device, settings):
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, ELSEWHERE]
    request = RequestFactory().get("/callback/")
    request.session = client.session
    found = Elsewhere().authenticate(request, subject=user.username)

    is_inside = signing_in.admit(request, found, ELSEWHERE, next_page=DESK)

    assert not is_inside
    half_user, half = signing_in.half_in(request)
    assert half_user == user
    assert signing_in.take_second_step(request, user, half, is_right=True)
    user.refresh_from_db()
    assert request.session[sessions.MARK] == user.session_mark != ""


def test_a_duty_is_an_administrators(db):
    assert UserFactory(duty=Duty.SECURITY).is_administrator
    assert not UserFactory().is_administrator
