"""Every page, with markup stored in every text, and with what nobody types sent to it."""

import html
import io
import itertools
import re
import zipfile
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.urls import reverse

from ledger_site.base import trail
from ratings.models import LedgerEntry
from tests import test_access
from tests.factories import UserFactory
from tests.test_access import addresses, url_of, world  # noqa: F401 - an object of every kind

# Begins as a formula does, ends an attribute, and opens an element of its own.
MARK = "=1\"'><xss>"
RAW = b"<xss"
APPS = ("orgs", "jobs", "ratings", "rectification", "audits")
# Texts that the system writes and reads by itself: keys, digests, names of files in its folders.
KEYS = {
    "action", "code", "content", "digest", "duty", "fields", "file", "frame_digest", "initials",
    "kind", "kinds", "object_kind", "password", "path", "scope", "seed", "sheet_row", "source",
    "state", "target", "topic", "use", "username",
}  # fmt: skip
SHORTEST = 20  # characters that a column has to hold


def free_texts(model):
    """The fields of a model in which somebody may have typed anything."""
    for field in model._meta.concrete_fields:
        is_text = isinstance(field, models.CharField | models.TextField)
        if not is_text or field.choices or field.primary_key or field.is_relation:
            continue
        own_source = field.name == "source" and model.__name__ == "Objection"
        is_long = not field.max_length or field.max_length >= SHORTEST
        if is_long and (field.name not in KEYS or own_source):
            yield field


def spoil(world):  # noqa: F811
    """Write the mark into every free text of every record, past all checks, and into the trail."""
    count = 0
    for app in APPS:
        for model in apps.get_app_config(app).get_models():
            fields = list(free_texts(model))
            for key in model._base_manager.values_list("pk", flat=True) if fields else ():
                values = {field.attname: f"{MARK}{key}" for field in fields}
                model._base_manager.filter(pk=key).update(**values)
                count += len(values)
    LedgerEntry.objects.update(explanations={"jump": MARK}, unread={"measures": MARK})
    act = trail.Act("report", world.of("branch").pk, "T", MARK, reason=MARK, data={"text": MARK})
    trail.record("note", "说明", [act], by=world.township)

    return count


def who(world, answered):  # noqa: F811
    return world.users[next(role for role in reversed(test_access.ROLES) if role in answered)]


def asked(world):  # noqa: F811
    """(name, address, methods, user) of every page that somebody may open."""
    for name, arguments, methods, answered in addresses():
        if answered:
            yield name, url_of(world, name, arguments), methods, who(world, answered)


def body_of(response) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def names_in(page: bytes) -> set[str]:
    return set(re.findall(r'\sname="([^"]+)"', page.decode())) - {"csrfmiddlewaretoken"}


def faults_of(response) -> str:
    """What is wrong with an answer: markup that runs, or a cell that is calculated."""
    content = body_of(response)
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            parts = [package.read(name) for name in package.namelist() if name.endswith(".xml")]
        return "formula" if any(re.search(rb"<f[ >]", part) for part in parts) else ""
    if "html" in response.get("Content-Type", "") and RAW in content:
        at = content.index(RAW)
        return content[max(0, at - 60) : at + 20].decode(errors="replace")
    return ""


# ---------------------------------------------------------------- markup


@pytest.mark.once
def test_markup_in_every_text_is_shown_as_text_on_every_page(world, client):  # noqa: F811
    assert spoil(world) > 100
    wrong, shown = {}, set()
    for name, url, methods, user in asked(world):
        if "GET" not in methods:
            continue
        client.force_login(user)
        for query in ("", "?sheet=1"):
            response = client.get(url + query)
            if fault := faults_of(response):
                wrong[name] = fault
            if html.escape(MARK).encode() in getattr(response, "content", b""):
                shown.add(name)

    assert wrong == {}
    assert len(shown) > 40, shown  # what is tested for is there


@pytest.mark.once
def test_markup_in_every_text_is_shown_as_text_in_the_admin(world, client):  # noqa: F811
    spoil(world)
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    wrong, opened = {}, 0
    for model, site in admin.site._registry.items():
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}_"
        pages = [reverse(f"{base}changelist"), f"{reverse(f'{base}changelist')}?q={MARK}"]
        first = site.get_queryset(client.get(pages[0]).wsgi_request).first()
        if first is not None:
            pages.append(reverse(f"{base}change", args=[first.pk]))
            pages.append(reverse(f"{base}history", args=[first.pk]))
        for page in pages:
            response = client.get(page, follow=True)
            opened += response.status_code == 200
            if fault := faults_of(response):
                wrong[page] = fault

    assert wrong == {}
    assert opened > 10


@pytest.mark.once
def test_markup_that_is_asked_for_or_sent_comes_back_as_text(world, client):  # noqa: F811
    wrong, sent = {}, 0
    for name, url, methods, user in asked(world):
        client.force_login(user)
        fields = {"q", "unit", "category", "after", "before", "old", "new", "row", "check", "next"}
        if "GET" in methods:
            page = client.get(url)
            if not page.streaming:
                fields |= names_in(page.content)
            response = client.get(url, dict.fromkeys(fields - {"sheet"}, MARK))
            if fault := faults_of(response):
                wrong[f"GET {name}"] = fault
        if "POST" in methods:
            sent += len(fields)
            response = client.post(url, dict.fromkeys(fields, MARK), follow=True)
            if fault := faults_of(response):
                wrong[f"POST {name}"] = fault

    assert wrong == {}
    assert sent > 300


def test_markup_at_the_doors_comes_back_as_text(db, client):
    for name in sorted(test_access.PUBLIC - {"logout"}):
        url = reverse(name)
        fields = names_in(client.get(url, follow=True).content) | {"next"}
        for response in (
            client.get(url, {"next": MARK}, follow=True),
            client.post(url, dict.fromkeys(fields, MARK), follow=True),
        ):
            assert faults_of(response) == "", name
    assert faults_of(client.get(f"/{MARK}/")) == ""


# ---------------------------------------------------------------- what nobody types

ODD = {
    "NUL": "a%00b",
    "surrogate": "%ED%A0%80",
    "half a character": "%E4%B8",
    "huge": "%E9%95%BF" * 3000,
    "number": "9" * 400,
    "negative": "-1",
    "digits of another script": "%D9%A3",
    "nested": "%5B" * 3000,
    "escape": "%1B%5B31m%0D%0ASet-Cookie:x=1",
}


KINDS = list(ODD)
FORM = "application/x-www-form-urlencoded"


def odd(fields, text: str) -> str:
    """A query or a form in which every field holds the text, which is encoded already."""
    return "&".join(f"{field}={text}" for field in sorted(fields))


def mixed(fields, kinds, shift: int) -> str:
    """A query or a form in which the fields hold the texts of these kinds in turn."""
    turned = [ODD[kind] for kind in kinds[shift:] + kinds[:shift]]
    pairs = zip(sorted(fields), itertools.cycle(turned), strict=False)
    return "&".join(f"{field}={text}" for field, text in pairs)


def test_odd_queries_and_forms_are_answered_without_an_error(world, client):  # noqa: F811
    """On PostgreSQL NUL in a query would be an error of the database."""
    wrong = []
    for name, url, methods, user in asked(world):
        client.force_login(user)
        fields = {"q", "unit", "category", "after", "before", "old", "new", "row", "check", "post"}
        if "GET" in methods:
            page = client.get(url)
            fields |= set() if page.streaming else names_in(page.content)
        if "GET" in methods and client.get(f"{url}?{odd(fields, 'a%00b')}").status_code >= 500:
            wrong.append(("NUL", name))
        for shift in (0, 4):  # so that no field is spared
            if "GET" in methods:
                status_code = client.get(f"{url}?{mixed(fields, KINDS[1:], shift)}").status_code
                if status_code not in {200, 302, 400, 404, 422}:
                    wrong.append(("GET", name, shift, status_code))
            if "POST" in methods:
                status_code = client.post(url, mixed(fields, KINDS, shift), FORM).status_code
                if status_code not in {200, 204, 302, 400, 404, 409, 422}:
                    wrong.append(("POST", name, shift, status_code))

    assert wrong == []


def test_odd_forms_at_the_doors_are_answered_without_an_error(db, client):
    wrong = []
    for name in sorted(test_access.PUBLIC - {"logout"}):
        page = reverse(name)
        fields = names_in(client.get(page, follow=True).content)
        for kind, text in ODD.items():
            status_code = client.post(page, odd(fields, text), FORM).status_code
            if status_code not in {200, 302, 400, 405, 429}:
                wrong.append((page, kind, status_code))

    assert wrong == []


def test_odd_queries_and_forms_of_the_admin_are_answered_without_an_error(line, client):
    wrong = []
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    for model in admin.site._registry:
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for kind, text in ODD.items():
            for names in (["q"], ["p", "o", "is_active", "id__exact"]):
                status_code = client.get(f"{page}?{odd(names, text)}", follow=True).status_code
                if status_code not in ({400} if kind == "NUL" else {200, 400, 404}):
                    wrong.append((page, names, kind, status_code))
            sent = f"action=delete_selected&_selected_action={text}&index=0"
            status_code = client.post(page, sent, FORM, follow=True).status_code
            if status_code not in {200, 400, 403, 404}:
                wrong.append((page, "POST", kind, status_code))

    assert wrong == []


@pytest.mark.parametrize("path", ["/a%00b/", "/admin/%00/", "/static/%00", "/login/%00"])
def test_nul_in_a_path_is_refused(db, client, path):
    assert client.get(path).status_code == 400


def test_a_form_of_too_many_fields_is_refused_in_chinese(line, client, settings):
    client.force_login(line.branch.user)
    many = urlencode({f"x{n}": "1" for n in range(settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1)})

    for page in (reverse("login"), reverse("ratings:fill", args=[line.of("branch").pk])):
        answer = client.post(page, many, "application/x-www-form-urlencoded")
        assert answer.status_code == 400
        assert "一次提交的内容太多" in answer.content.decode()


# ---------------------------------------------------------------- names of files, ways elsewhere

NAMES = ['a"; x="b.pdf', "a\r\nSet-Cookie: x=1.pdf", "a\nb.pdf", "../../a.pdf", "<xss>.pdf", ".pdf"]


@pytest.mark.once
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_of_a_file_ends_its_header(world, client, name):  # noqa: F811
    for attachment in (world.attached, world.progress, world.finding_file, world.remedy_file):
        type(attachment).objects.filter(pk=attachment.pk).update(file_name=name)
    type(world.job).objects.update(file_name=name)
    files = [one for one in asked(world) if one[0].endswith("file")]
    assert len(files) == 5

    for _, url, _, user in files:
        client.force_login(user)
        response = client.get(url)
        assert response.status_code == 200
        assert response["Content-Disposition"].startswith("attachment")
        assert response["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in response.headers
        assert not re.search(r"[\r\n]", "".join(map("".join, response.items())))


@pytest.mark.once
@pytest.mark.parametrize("target", ["//evil.example", "javascript:alert(1)"])
def test_no_page_sends_anybody_elsewhere(world, client, target):  # noqa: F811
    away = []
    for name, url, methods, user in asked(world):
        client.force_login(user)
        sent = dict.fromkeys(("next", "back", "path", "url", "return", "organization"), target)
        for method in methods.lower().split():
            response = getattr(client, method)(f"{url}?{urlencode(sent)}", sent)
            if re.match(r"(?i)[a-z]+:|//|\\", response.get("Location", "")):
                away.append((method, name))
            content = b"" if response.streaming else response.content
            if re.search(rb'(?:href|action)="' + re.escape(target.encode()), content):
                away.append((method, name, "link"))

    assert away == []


PNG = b"\x89PNG\r\n\x1a\n"
TWO_KINDS = {
    "page.html": (PNG + b"<script>alert(1)</script>", False),
    "picture.svg": (b"<svg onload='alert(1)'/>", False),
    "picture.png.html": (PNG, False),
    "page.png": (b"<html><script>alert(1)</script>", False),
    "archive.docx": (b"PK\x03\x04<script>", False),
    "program.pdf": (b"MZ\x90\x00%PDF-1.4", False),
    "picture.png": (PNG + b"<script>alert(1)</script>", True),
    "paper.pdf": (b"%PDF-1.4\nPK\x03\x04<html><script>", True),
}


@pytest.mark.parametrize("name", TWO_KINDS)
def test_a_file_of_two_kinds_is_refused_or_only_ever_a_download(
    world,  # noqa: F811
    client,
    name,
):
    content, is_taken = TWO_KINDS[name]
    client.force_login(world.province.user)
    page = reverse("ratings:attach", args=[world.cycle])
    before = world.attached.notice.files.count()

    client.post(page, {"file": SimpleUploadedFile(name, content, "text/html")})

    files = world.attached.notice.files.order_by("-pk")
    assert files.count() == before + is_taken
    if is_taken:
        response = client.get(reverse("ratings:notice_file", args=[world.cycle, files[0].pk]))
        assert response["Content-Type"] == "application/octet-stream"
        assert response["Content-Disposition"].startswith("attachment")
        assert response["X-Content-Type-Options"] == "nosniff"
        assert body_of(response) == content
