"""Sessions: what signing in, moving away, a new password and signing out do to them."""

import logging
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import fill, submit
from tests.ratings.test_rows_views import form_of

PASSWORD = "Shan-2012-xiang"


@pytest.fixture
def user(line):
    user = line.township.user
    user.set_password(PASSWORD)
    user.save()
    return user


def sign_in(client, user, **more):
    return client.post(reverse("login"), {"username": user.username, "password": PASSWORD, **more})


def is_in(client) -> bool:
    return client.get(reverse("desk")).status_code == 200


def with_session(key):
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = key
    return client


def test_a_session_from_before_the_sign_in_opens_nothing(client, user):
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = planted = session.session_key

    sign_in(client, user)

    assert is_in(client)
    assert client.session.session_key != planted
    assert not is_in(with_session(planted))


def test_a_session_ends_with_the_sign_out_and_with_a_new_password(user):
    first, second = Client(), Client()
    for client in (first, second):
        sign_in(client, user)
    key = first.session.session_key
    first.post(reverse("logout"))
    assert not is_in(first)
    assert not is_in(with_session(key))
    assert is_in(second)

    user.set_password("Xiang-2013-shan")
    user.save()

    assert not is_in(second)


def test_a_form_from_before_another_sign_in_is_refused_in_chinese_with_a_way_back(user):
    """Two tabs: the token of the first one's form is out of date after the second's sign-in."""
    client = Client(enforce_csrf_checks=True)
    client.get(reverse("login"))
    token = client.cookies[settings.CSRF_COOKIE_NAME].value
    assert sign_in(client, user, csrfmiddlewaretoken=token).status_code == 302

    response = client.post(reverse("login"), {"csrfmiddlewaretoken": token})

    assert response.status_code == 403
    assert "页面已过期" in response.content.decode()


def test_whoever_was_moved_saves_no_form_of_the_old_unit(client, line):
    client.force_login(line.township.user)
    report = line.of("branch")
    url = reverse("ratings:fill", args=[report.pk])
    form = form_of(report, features="离任后所写")
    assert client.get(url).status_code == 200
    line.township.user.appointments.update(organization=line.units["province"])

    response = client.post(url, form)

    assert response.status_code in (403, 404)
    assert line.of("branch").entry.features is None


def test_no_password_is_logged(client, user, caplog):
    caplog.set_level(logging.DEBUG)

    client.post(reverse("login"), {"username": PASSWORD, "password": PASSWORD})
    sign_in(client, user)
    client.post(reverse("login"), {"username": user.username, "password": f"{PASSWORD}-falsch"})

    assert PASSWORD not in caplog.text
    assert client.session.session_key not in caplog.text


def test_wrong_passwords_of_a_stranger_lock_no_known_browser_and_tell_nothing(user):
    """By account, whatever address; the browser of the person is counted apart."""
    own, stranger = Client(), Client()
    sign_in(own, user)
    own.post(reverse("logout"))
    said = []
    for username in (user.username, "没有这个账号"):
        for number in range(8):
            wrong = {"username": username, "password": f"wrong-{number}"}
            answer = stranger.post(reverse("login"), wrong, REMOTE_ADDR=f"10.0.0.{number}")
            said.append((answer.status_code, answer.context["form"].errors))

    assert said[:8] == said[8:]
    assert "连续失败" in str(said[0])
    assert all("请在 30 分钟后再试" in str(one) for one in said[4:8])
    assert sign_in(stranger, user).status_code == 429
    assert sign_in(own, user).status_code == 302


def test_a_cycle_keeps_what_is_handed_in_after_its_year(line, monkeypatch):
    """A row belongs to its cycle's year, whatever day it is in Beijing or Greenwich."""
    moment = datetime(2013, 1, 1, 0, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
    fill(line.of("branch"))
    monkeypatch.setattr(timezone, "now", lambda: moment)
    assert timezone.localdate().isoformat() == "2013-01-01"
    submit(line.of("branch"))
    report = line.of("branch")
    assert (report.cycle.year, report.state) == (2012, "submitted")
    assert timezone.localdate(report.submitted_at).year == 2013
