"""What holds for every page: who finds administration, how often is too often, what is logged."""

import json
import logging
import re
from importlib import import_module

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import check_password, identify_hasher, make_password
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from django.urls import resolve, reverse

from ledger_site import env, logs, middleware
from ledger_site.base import limits, trail
from ledger_site.base.masking import masked
from ledger_site.base.models import AuditEvent, Tally
from ledger_site.jobs.routines import run
from orgs import signing_in
from tests import test_access
from tests.factories import PASSWORD, UserFactory, appoint
from tests.test_access import world  # noqa: F401 - the fixture with an object of every kind

PHONE, CARD = "13907460001", "431127196505120012"

# ---------------------------------------------------------------- administration


@pytest.mark.parametrize(
    ("address", "is_shown"),
    [
        ("127.0.0.1", True),
        ("10.3.2.1", True),
        ("::1", True),
        ("fd00::7", True),
        ("203.0.113.9", False),
        ("2001:db8::1", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_administration_is_found_from_networks_without_strangers(db, client, address, is_shown):
    client.force_login(UserFactory(is_staff=True, is_superuser=True))

    for page in (reverse("admin:index"), "/admin/nowhere/", reverse("admin:login")):
        found = client.get(page, REMOTE_ADDR=address).status_code != 404
        assert found == (is_shown and "nowhere" not in page), page


def test_the_page_of_the_security_administrator_is_as_hidden(db, client, settings):
    settings.ADMIN_ALLOWED_CIDRS = env.networks("NOWHERE", default="10.1.0.0/24,2001:db8::/32")
    client.force_login(UserFactory(duty="security"))
    page = reverse("accounts:security")

    for address, status_code in (("10.1.0.7", 200), ("2001:db8::7", 200), ("10.1.1.7", 404)):
        assert client.get(page, REMOTE_ADDR=address).status_code == status_code
    env.NAMES.discard("NOWHERE")


def test_only_the_last_word_of_a_trusted_proxy_opens_administration(db, client, settings):
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    page, forged = reverse("admin:index"), {"X-Forwarded-For": "10.1.0.7, 203.0.113.9"}

    assert client.get(page, REMOTE_ADDR="203.0.113.9", headers=forged).status_code == 404
    settings.TRUST_PROXY_HEADER = True
    assert client.get(page, REMOTE_ADDR="10.1.0.2", headers=forged).status_code == 404
    behind = {"X-Forwarded-For": "203.0.113.9, 10.1.0.7"}
    assert client.get(page, REMOTE_ADDR="10.1.0.2", headers=behind).status_code == 200


def test_the_admin_has_no_door_of_its_own(line, client):
    """Its form would let in whoever has the password alone, without the second step."""
    user = UserFactory(is_staff=True, is_superuser=True)
    signing_in.TOTPDevice.objects.create(user=user, name="动态口令")
    door, index = reverse("admin:login"), reverse("admin:index")
    data = {"username": user.username, "password": PASSWORD, "next": index}

    answer = client.post(f"{door}?next={index}", data)

    assert answer.url == f"{reverse('login')}?next={index}"
    assert "_auth_user_id" not in client.session
    client.force_login(line.branch.user)  # who is in and may not finds no form either
    assert client.post(door, data).status_code == 404
    client.force_login(user)
    assert client.get(door).url == index
    assert client.post(reverse("admin:password_change")).url == reverse("accounts:password")


# ---------------------------------------------------------------- how often


def sign_in(client, user, password=PASSWORD, **more):
    data = {"username": user.username, "password": password}
    return client.post(reverse("login"), data, **more)


def allow(settings, **most):
    settings.RATE_LIMITS = settings.RATE_LIMITS | most


def test_who_searches_too_often_waits_and_others_do_not(line, settings):
    allow(settings, search=3)
    page, (first, second) = reverse("orgs:tree"), (Client(), Client())
    first.force_login(line.township.user)
    second.force_login(line.county.user)

    answers = [first.get(page, {"q": "村"}) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 3
    assert 1 <= int(answers[-1]["Retry-After"]) <= limits.WINDOW
    assert "操作过于频繁" in answers[-1].content.decode()
    assert answers[-1]["X-Request-ID"] in answers[-1].content.decode()
    assert first.get(page).status_code == 200  # what is no search goes on
    assert second.get(page, {"q": "村"}).status_code == 200
    refused = AuditEvent.objects.get(action="limit")  # once
    assert refused.person_id == line.township.user.pk


def test_the_count_begins_anew_and_old_counts_are_cleaned_away(line, settings, client, monkeypatch):
    allow(settings, search=1)
    client.force_login(line.township.user)
    page = reverse("orgs:tree")
    statuses = [client.get(page, {"q": "村"}).status_code for _ in range(2)]
    now = limits.time.time()
    monkeypatch.setattr(limits.time, "time", lambda: now + limits.WINDOW)

    statuses.append(client.get(page, {"q": "村"}).status_code)

    assert statuses == [200, 429, 200]
    assert Tally.objects.count() == 2
    run("clean")
    assert Tally.objects.count() == 1


def test_sign_ins_from_one_address_are_counted_but_known_browsers_apart(line, settings):
    allow(settings, sign_in=5)
    known, stranger, colleague = Client(), Client(), Client()
    sign_in(known, line.branch.user)
    known.post(reverse("logout"))

    guesses = [sign_in(stranger, line.county.user, f"x{n}").status_code for n in range(9)]

    assert guesses[:4] == [200] * 4
    assert guesses[-1] == 429
    assert sign_in(colleague, line.sibling.user).status_code == 429  # new to this address
    assert sign_in(known, line.branch.user).status_code == 302
    assert sign_in(colleague, line.sibling.user, REMOTE_ADDR="10.9.9.9").status_code == 302


def test_uploads_and_exports_are_counted_for_each_person(line, settings, client, tmp_path):
    settings.UPLOADS_DIR = settings.JOBS_DIR = tmp_path
    allow(settings, upload=2, export=2)
    client.force_login(line.township.user)
    uploads = reverse("ratings:uploads", args=[line.cycle])
    sheet = reverse("ratings:download", args=[line.of("township").pk, "annex1"])

    sent = [
        client.post(uploads, {"file": SimpleUploadedFile("a.xlsx", b"x")}).status_code
        for _ in range(3)
    ]
    fetched = [client.get(sheet).status_code for _ in range(3)]

    assert sent[-1] == 429
    assert 429 not in sent[:2]
    assert fetched == [200, 200, 429]


def test_every_file_that_is_made_for_somebody_counts_as_an_export(world, client):  # noqa: F811
    """Attachments are sent as they lie; every other download is counted."""
    roles = [role for role in test_access.ROLES if role in world.users]
    free, seen = set(), set()
    for name, arguments, methods, answered in test_access.addresses():
        if "GET" not in methods or not answered:
            continue
        client.force_login(world.users[next(role for role in roles if role in answered)])
        url = test_access.url_of(world, name, arguments)
        for query in ({}, {"sheet": "1"}):
            answer = client.get(url, query)
            if not answer.get("Content-Disposition", "").startswith("attachment"):
                continue
            seen.add(name)
            request = RequestFactory().get(url, query)
            request.resolver_match = resolve(url)
            if middleware.kind_of(request) != middleware.EXPORT:
                free.add(name)

    assert seen >= {"ratings:download", "audits:frame", "audits:result", "ratings:template"}
    assert {name for name in free if not name.endswith("_file")} == set()


def test_counting_is_one_query(db, django_assert_num_queries):
    with django_assert_num_queries(1):
        counts = limits.count_up("search 7")
    assert counts == 1
    assert [limits.count_up("search 7"), limits.count_up("search 8")] == [2, 1]


# ---------------------------------------------------------------- what is not even read


def test_a_body_larger_than_any_form_is_refused_unread(client, settings):
    settings.MOST_SENT = 1000

    answer = client.post(reverse("login"), {"username": "x" * 2000})

    assert answer.status_code == 413
    assert "一次提交的内容太多" in answer.content.decode()
    assert answer["X-Request-ID"] in answer.content.decode()


# ---------------------------------------------------------------- personal data


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"电话{PHONE}。", "电话139****0001。"),
        (f"身份证{CARD}", "身份证431127********0012"),
        ("43112719650512001X", "431127********001X"),
        (f"{PHONE}、{PHONE}", "139****0001、139****0001"),
        ("a" + PHONE, "a" + PHONE),  # part of a digest
        (PHONE + "5", PHONE + "5"),
        ("0746-1234567", "0746-1234567"),  # of an office
        ("", ""),
    ],
)
def test_the_middle_of_a_number_is_covered(text, shown):
    assert masked(text) == shown


def test_the_trail_shows_no_whole_phone_number(line, client):
    reason = f"请联系{PHONE}"
    act = trail.Act("report", 1, "T", "乙乡", reason=reason, data={"text": CARD})
    trail.record("note", "说明", [act], by=line.township)
    event = AuditEvent.objects.get(action="note")
    client.force_login(appoint(line.units["township"], "audit").user)

    for page in (reverse("audits:trail"), reverse("audits:event", args=[event.pk])):
        text = client.get(page).content.decode()
        assert "139****0001" in text
        assert PHONE not in text
        assert CARD not in text
    assert event.reason == reason  # what is proved is what was said


# What is kept of a person: the account, the persons whom the notice's form names, where a visit
# came from, whom whoever objects to a grade says to be. Nothing else: no phone number, no identity
# card, no date of birth, no home.
PERSONAL = {
    "orgs.User.username",
    "orgs.User.full_name",
    "base.AuditEvent.address",
    "ratings.LedgerEntry.secretary_name",
    "ratings.LedgerEntry.secretary_vacant_since",
    "ratings.LedgerEntry.first_secretary_name",
    "ratings.LedgerEntry.contact_leader",
    "ratings.LedgerEntry.responsible_name",
    "ratings.Objection.source",
    "rectification.Measure.owner",
    "rectification.Measure.contact_leader",
}
# Who did something: the full name of an account, as it was at that moment.
DOER = {"person_name", "answered_by", "found_by", "lifted_by"}
OF_A_PERSON = re.compile(
    "姓名|人$|人员$|书记|领导|账号|地址|电话|手机|身份证|证件|邮箱|微信|出生|年龄|性别|民族|籍贯|住"
    "|phone|mobile|mail|birth|gender|card|address|person"
)
OURS = ("base", "orgs", "jobs", "ratings", "rectification", "audits")


def test_no_more_is_kept_of_a_person_than_the_list_says():
    fields = [
        field
        for app in OURS
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.concrete_fields
        if not (field.is_relation or field.get_internal_type() == "BooleanField")
        and field.name not in DOER
        and field.name != "person_id"
        and not field.name.endswith("_at")
    ]

    found = {
        f"{field.model._meta.label}.{field.name}"
        for field in fields
        if OF_A_PERSON.search(f"{field.verbose_name} {field.name}".split()[0])
        or OF_A_PERSON.search(field.name)
    }

    assert len(fields) > 300
    assert found == PERSONAL


# ---------------------------------------------------------------- the log


class Written(logging.Handler):
    def __init__(self, formatter):
        super().__init__()
        self.lines = []
        self.setFormatter(formatter)
        self.addFilter(logs.NumberFilter())

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture(
    params=[logs.JsonLines(), logs.Lines("{levelname} [{number}] {message}", style="{")]
)
def written(request):
    handler = Written(request.param)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_a_line_has_its_request_and_nothing_of_a_person(client, written):
    client.get(f"/nowhere/{PHONE}/")
    answer = client.get("/nowhere/")
    try:
        raise ValueError(f"张三 {CARD}")
    except ValueError:
        logging.getLogger("test").exception("失败 %s", PHONE)

    text = "\n".join(written.lines)
    assert answer["X-Request-ID"] in text
    assert "builtins.ValueError" in text
    assert "test_a_line_has_its_request" in text  # where it was
    assert "张三" not in text
    assert PHONE not in text
    assert CARD not in text
    if isinstance(written.formatter, logs.JsonLines):
        for line in written.lines:
            said = json.loads(line)
            assert {"time", "level", "request", "logger", "message"} <= said.keys()
            assert "\n" not in line


def test_no_sign_in_that_fails_leaves_what_was_typed_in_the_log(line, client, written):
    sign_in(client, line.branch.user, "Geheim-2012-x")
    client.post(reverse("login"), {"username": "Geheim-2012-y", "password": "x"})

    assert not [line for line in written.lines if "Geheim" in line]


def test_production_writes_json():
    assert settings.LOGGING["handlers"]["stderr"]["formatter"] == "json"


# ---------------------------------------------------------------- passwords


def test_passwords_can_be_kept_by_sm3_and_old_ones_open_once_more(
    db, client, settings, monkeypatch
):
    sha256 = env.hashers("PASSWORD_HASHER")
    monkeypatch.setenv("PASSWORD_HASHER", "sm3")
    settings.PASSWORD_HASHERS = sha256
    user = UserFactory()
    assert user.password.startswith("pbkdf2_sha256$")
    settings.PASSWORD_HASHERS = env.hashers("PASSWORD_HASHER")

    assert sign_in(client, user).status_code == 302

    user.refresh_from_db()
    assert user.password.startswith("pbkdf2_sm3$")
    assert client.get(reverse("desk")).status_code == 200
    assert check_password(PASSWORD, user.password)
    assert not check_password("x", user.password)
    assert identify_hasher(make_password("x")).algorithm == "pbkdf2_sm3"


def test_sm3_is_refused_at_start_where_the_machine_has_none(monkeypatch):
    monkeypatch.setenv("PASSWORD_HASHER", "sm3")

    def missing(name):
        raise ValueError(name)

    monkeypatch.setattr(import_module("hashlib"), "new", missing)

    with pytest.raises(env.SettingError, match="PASSWORD_HASHER：本机的 Python"):
        env.hashers("PASSWORD_HASHER")
