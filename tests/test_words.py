"""What people read is Chinese, on every page and in what every form says to nonsense."""

import gettext
import re
from html.parser import HTMLParser
from itertools import chain

import pytest
from django.conf import settings
from django.test import Client

from orgs.models import Category, User

from .factories import taken_back
from .pages import upkeep, visits, visits_when_late
from .test_access import world  # noqa: F401 - an object of every kind

pytestmark = pytest.mark.once

# Names of programs, formats and keys that officials call by these names too.
ALLOWED = {
    *("Excel", "Word", "WPS", "PDF", "CSV", "XLSX", "xlsx", "xls", "zip", "MB", "KB"),
    *("Tab", "Shift", "Alt", "Ctrl", "Esc"),
    *("SHA", "UTF", "GB", "IE", "Edge", "Chrome", "Cookie", "IP"),
    *("Alt", "Ctrl", "Esc", "Shift", "Tab"),
}
ELSEWHERE = {"/text-size/", "/logout/", "/admin/logout/"}  # on every page
UNREAD = ("script", "style", "code", "kbd", "bdi", "textarea")
SEEN = (
    "title",
    "alt",
    "aria-label",
    "placeholder",
    "label",
    "summary",
    "data-confirm",
    "data-label",
)
# Usernames, codes and names of files have figures, dots or marks in them.
CODE = re.compile(r"[\w./@:#-]*(?:[0-9_./@:#-][A-Za-z]|[A-Za-z][0-9_./@:#-])[\w./@:#-]*", re.ASCII)
WORD = re.compile(r"[A-Za-z]{2,}")


class Page(HTMLParser):
    """The words of a page, and its forms: (address, [(name, kind, value)]) of those that POST."""

    def __init__(self, text: str):
        super().__init__()
        self.said, self.forms, self.unread, self.form = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.said += [values[name] for name in SEEN if values.get(name)]
        if tag in UNREAD:
            self.unread.append(tag)
        if tag == "form":
            self.form = (values.get("action", ""), [])
            if values.get("method", "").lower() == "post":
                self.forms.append(self.form)
        if values.get("type") in ("submit", "button", "reset"):
            self.said.append(values.get("value") or "")
        if self.form and values.get("name") and tag in ("input", "select", "textarea", "button"):
            kind = values.get("type", tag)
            self.form[1].append((values["name"], kind, values.get("value") or ""))

    def handle_endtag(self, tag):
        if tag in self.unread:
            self.unread.remove(tag)
        if tag == "form":
            self.form = None

    def handle_data(self, data):
        if not self.unread:
            self.said.append(data)

    def foreign(self) -> set[str]:
        """Words in Latin letters that are none of the allowed."""
        return set(WORD.findall(CODE.sub(" ", "\n".join(self.said)))) - ALLOWED


def test_pages_and_what_forms_say_hold_no_other_language(world):  # noqa: F811
    own = set(User.objects.values_list("username", flat=True))
    own.update(Category.objects.values_list("code", flat=True))
    found, sent = {}, set()
    for url, user in chain(visits(world), upkeep(world), visits_when_late(world)):
        client = Client()
        if user:
            client.force_login(user)
        page = read(client.get(url), url, own, found)
        for action, fields in page.forms:
            address = action or url
            if address in ELSEWHERE or (address, user) in sent:
                continue
            sent.add((address, user))
            hidden = {name: value for name, kind, value in fields if kind == "hidden"}
            wrong = {name: "错" for name, kind, _ in fields if kind != "hidden"}
            for values in (hidden, hidden | wrong):
                with taken_back():
                    answer = client.post(address, values, follow=True)
                    read(answer, f"{address} after {values}", own, found)

    assert found == {}


def read(response, name, own, found) -> Page:
    """The page, whose foreign words go into `found`; empty where a file is the answer."""
    is_page = response["Content-Type"].startswith("text/html")
    page = Page(response.content.decode() if is_page else "")
    for word in page.foreign() - own:
        found.setdefault(word, name)
    return page


def test_the_words_of_ours_for_packages_are_compiled():
    folder = settings.BASE_DIR / "locale/zh_Hans/LC_MESSAGES"
    source = (folder / "django.po").read_text(encoding="utf-8")
    written = dict(re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', source, re.M))

    with (folder / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)

    assert written
    assert {word: compiled.gettext(word) for word in written} == written
