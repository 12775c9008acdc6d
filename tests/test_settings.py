"""What the settings promise before any page is made; start-ups are real ones, in a process."""

import logging
import os
import re
import subprocess
import sys
from unittest import mock

import pytest
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError, OperationalError, connection
from django.http import Http404
from django.template import loader
from django.test import Client
from django.urls import include, path

from ledger_site import env
from ledger_site.logs import NumberFilter
from ledger_site.static import VersionedStaticFilesStorage

pytestmark = pytest.mark.once


KEY = "for-tests-of-the-settings-" + "0123456789abcdef" * 3
CSP = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "object-src": "'none'",
}


def raising(exception):
    @login_not_required
    def view(request):
        raise exception

    return view


urlpatterns = [
    path("", include("ledger_site.urls")),
    path("broken/", raising(ZeroDivisionError("a secret"))),
    path("refused/", raising(PermissionDenied("只有上级可以审核"))),
    path("foreign/", raising(Http404("No Report matches the given query."))),
    path("away/", raising(OperationalError("could not connect to server: a secret"))),
    path("vague/", raising(DatabaseError("error with status PGRES_TUPLES_OK"))),
    path("large/", raising(RequestDataTooBig("Request body exceeded"))),
]
handler400 = "ledger_site.errors.bad_request"
handler403 = "ledger_site.errors.permission_denied"
handler404 = "ledger_site.errors.page_not_found"
handler500 = "ledger_site.errors.server_error"

own_urls = pytest.mark.urls(__name__)


@pytest.fixture
def start(tmp_path):
    """Run a command with the given variables and no others of ours."""

    def run(*arguments, **variables):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_nothing_starts_without_a_secret_key(start):
    process = start("check")

    assert process.returncode == 1
    assert re.fullmatch(r"设置有误，未启动：没有设置 SECRET_KEY.*。\n", process.stderr)


def test_production_is_safe_with_only_key_and_host_set(start):
    process = start(
        "check", "--deploy", "--fail-level", "WARNING", SECRET_KEY=KEY, ALLOWED_HOSTS="a.example"
    )

    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "maybe"),
        ("DEMO", "2"),
        ("HTTPS_ONLY", "ture"),
        ("TRUST_PROXY_HEADER", "on!"),
        ("ALLOWED_HOSTS", "https://ledger.example"),
        ("CSRF_TRUSTED_ORIGINS", "ledger.example"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("PASSWORD_HASHER", "md5"),
        ("ADMIN_ALLOWED_CIDRS", "10.1.0.7/8"),
        ("ADMIN_ALLOWED_CIDRS", "office"),
        ("UPLOAD_LIMIT", "-1"),
        ("SEARCH_LIMIT", "many"),
        ("XLSX_COMPRESSION", "0"),
        ("XLSX_COMPRESSION", "7"),
        ("XLSX_COMPRESSION", "１"),
        ("XLSX_COMPRESSION", "fast"),
        ("DATABASE_URL", "mysql://ledger:geheim@db/ledger"),
        ("DATABASE_URL", "postgresql://ledger:geheim@db:port/ledger"),
        ("DATABASE_URL", "postgresql://ledger:geheim@db"),
        ("DATABASE_REPLICA_URL", "postgresql://ledger:geheim@db2/ledger"),
        ("DATABASE_REPLICA_URL", "mysql://ledger:geheim@db2/ledger"),
        ("DATA_DIR", "/dev/null/ledger"),
        ("SECRET_KEY_FILE", "/dev/null"),
        ("SECRET_KEY_FILE", "/nowhere/key"),
    ],
)
def test_bad_value_stops_the_start_with_one_sentence_naming_the_variable(start, name, value):
    key = {} if name == "SECRET_KEY_FILE" else {"SECRET_KEY": KEY}

    process = start("check", **key, **{name: value})

    assert process.returncode == 1
    assert re.fullmatch(rf"设置有误，未启动：{name} .*。\n", process.stderr)
    assert "geheim" not in process.stderr


def test_only_env_reads_the_environment():
    code = [
        file
        for folder in ("ledger_site", "orgs", "ratings", "rectification", "audits")
        for file in (settings.BASE_DIR / folder).rglob("*.py")
        if re.search(r"\b(environ|getenv)\b", file.read_text(encoding="utf-8"))
    ]

    readers = {str(file.relative_to(settings.BASE_DIR)) for file in code}

    # wsgi.py says where the settings are; it reads nothing.
    assert readers == {"ledger_site/env.py", "ledger_site/wsgi.py"}


def test_readme_lists_exactly_the_variables_that_are_read():
    readme = (settings.BASE_DIR / "README.md").read_text(encoding="utf-8")
    tables = [
        [[cell.strip(" `") for cell in line.strip("| ").split("|")] for line in block.splitlines()]
        for block in re.findall(r"(?:^\|.*\n)+", readme, re.MULTILINE)
    ]

    listed = [
        row[0] for table in tables if table[0][:3] == ["变量", "默认", "说明"] for row in table[2:]
    ]

    assert sorted(listed) == sorted(env.NAMES)


@mock.patch.dict(os.environ, {"SECRET_KEY": ""})
def test_quickstart_makes_one_key_that_only_its_owner_reads(tmp_path):
    os.environ["DATA_DIR"] = str(tmp_path)
    file = tmp_path / "secret_key"

    env.local()
    first = file.read_text()
    env.local()

    assert len(first) > 50
    assert file.read_text() == first
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["/login/", "/static/css/base.css", "/nowhere/"])
def test_every_answer_has_the_strict_policy_and_a_number_of_its_own(client, url):
    responses = [client.get(url) for _ in range(2)]

    for response in responses:
        directives = response["Content-Security-Policy"].split("; ")
        assert dict(directive.split(" ", 1) for directive in directives) == CSP
    assert len({response["X-Request-ID"] for response in responses}) == 2


@own_urls
@pytest.mark.parametrize(
    ("url", "status_code", "reason"),
    [
        ("/large/", 400, "一次提交的内容太多"),
        ("/refused/", 403, "只有上级可以审核"),
        ("/foreign/", 404, None),
        ("/broken/", 500, None),
        ("/away/", 503, "系统正忙，请稍后再试"),
    ],
)
def test_error_page_shows_number_and_own_reasons_only(client, url, status_code, reason):
    client.raise_request_exception = False

    response = client.get(url)

    page = response.content.decode()
    assert response.status_code == status_code
    assert response["X-Request-ID"] in page
    assert reason is None or reason in page
    assert not re.search("a secret|No Report|exceeded", page)


def test_page_asks_for_another_try_when_the_database_goes_away(client, monkeypatch):
    """Also where the database is asked first by a middleware, for session and user."""
    client.raise_request_exception = False
    client.cookies["sessionid"] = "a-key-of-a-session"
    asked = []

    def load(session):
        asked.append(session)
        raise OperationalError("a secret")

    monkeypatch.setattr(SessionStore, "load", load)

    response = client.get("/")

    assert (response.status_code, len(asked)) == (503, 1)
    assert response["Retry-After"] == "5"
    assert response["X-Request-ID"] in response.content.decode()


@own_urls
@pytest.mark.parametrize(("is_usable", "status_code"), [(True, 500), (False, 503)])
def test_an_error_that_says_nothing_is_told_by_the_connection(
    db, client, monkeypatch, is_usable, status_code
):
    client.raise_request_exception = False
    monkeypatch.setattr(connection, "is_usable", lambda: is_usable)

    assert client.get("/vague/").status_code == status_code


def test_unknown_host_gets_the_chinese_page(client):
    response = client.get("/login/", headers={"host": "evil.example"})

    assert response.status_code == 400
    assert "本系统不以这个网址提供服务" in response.content.decode()


def test_form_without_its_cookie_is_refused_in_chinese():
    response = Client(enforce_csrf_checks=True).post("/login/")

    assert response.status_code == 403
    assert "Cookie" in response.content.decode()


@own_urls
def test_broken_error_page_still_gives_the_number(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr(loader, "get_template", raising(OSError()))

    response = client.get("/broken/")

    assert response.status_code == 500
    assert response["X-Request-ID"] in response.content.decode()


def test_log_lines_carry_the_number_of_their_request(client):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    handler.addFilter(NumberFilter())
    logging.getLogger("django.request").addHandler(handler)
    try:
        response = client.get("/nowhere/")
    finally:
        logging.getLogger("django.request").removeHandler(handler)

    assert [record.number for record in records] == [response["X-Request-ID"]]


def test_address_of_a_static_file_changes_with_its_content(tmp_path, settings):
    settings.STATICFILES_DIRS = [tmp_path]
    settings.DEBUG = True
    storage = VersionedStaticFilesStorage()

    addresses = []
    for content in ("a", "b"):
        (tmp_path / "page.css").write_text(content)
        addresses.append(storage.url("page.css"))

    assert len(set(addresses)) == 2
    assert all(address.startswith("/static/page.css?v=") for address in addresses)
    assert storage.url("missing.css") == "/static/missing.css"
