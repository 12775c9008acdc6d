"""使用帮助: says what the code says, leads only to what is there, opens for whom it should."""

import re

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.urls import get_resolver, reverse

from audits import workflow as checks
from audits.choices import CheckState, RemedyState
from ledger_site import help_pages, keys
from ledger_site.help_pages import ABOUT, FOLDER, GROUPS, NAMES, OPEN, page_of
from orgs.choices import Duty, Role
from ratings.choices import State
from ratings.columns import REPORTED
from ratings.workflow import TRANSITIONS, Actor
from rectification.choices import MeasureState
from rectification.workflow import TRANSITIONS as MEASURE_TRANSITIONS

from .factories import UserFactory, appoint
from .test_access import names

IMAGES = settings.BASE_DIR / "docs/images"


def source(name):
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def cells(html):
    """The rows of all tables of a page, as tuples of their texts."""
    for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL):
        found = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        yield tuple(cell.strip() for cell in found)


@pytest.mark.once
def test_every_file_is_a_page_with_its_pictures_in_their_place():
    pages = {name: page_of(name) for name in NAMES}
    pictures = {
        name: re.findall(r"!\[(.*?)\]\(\.\./images/(.+?)\)", source(name)) for name in NAMES
    }

    assert {file.stem for file in FOLDER.iterdir()} == set(NAMES)
    assert all(page.title and page.contents for page in pages.values())
    assert not any(re.search(r"\{\{|\*\*| style=", page.html) for page in pages.values())
    assert all(pictures[name] for name in GROUPS)
    for name, shown in pictures.items():
        assert pages[name].html.count("<img") == source(name).count("![") == len(shown)
        for words, file in shown:
            assert len(words) > 6
            assert finders.find(f"help/{file}") == str(IMAGES / file)


@pytest.mark.once
def test_no_link_of_the_help_leads_nowhere_and_no_page_stands_alone():
    home = {name: reverse("help_page", args=[name]) for name in NAMES}
    headings = {name: re.findall(r' id="(.+?)"', page_of(name).html) for name in NAMES}
    places = {f"{home[name]}#{one}" for name in NAMES for one in headings[name]}
    places |= set(home.values())
    links = {link for name in NAMES for link in re.findall(r'href="(.+?)"', page_of(name).html)}
    explained = {help_pages.about(view) for view in ABOUT}

    assert links | explained <= places
    assert set(ABOUT) <= set(names(get_resolver()))
    reached = {link.partition("#")[0] for link in links | explained}
    assert reached | {home[name] for name in GROUPS} == set(home.values())


@pytest.mark.once
@pytest.mark.parametrize(
    ("table", "states"),
    [
        (TRANSITIONS, State),
        (MEASURE_TRANSITIONS, MeasureState),
        (checks.TRANSITIONS, CheckState),
        (checks.REMEDY_TRANSITIONS, RemedyState),
    ],
)
def test_the_tables_of_moves_are_those_that_run(table, states):
    shown = set(cells(page_of("states").html))

    for move in table.values():
        before = "、".join(state.label for state in states if state in move.sources)
        after = move.outcome if callable(move.target) else states(move.target).label
        reason = "须写明" if move.needs_reason else "—"
        assert (move.label, move.actor.value, before, after, reason) in shown
        assert callable(move.target) == bool(move.outcome)


@pytest.mark.once
def test_the_help_says_of_states_fields_and_keys_what_the_code_says():
    states, sample, known = (page_of(name).html for name in ("states", "sample", "keys"))

    told = re.findall(r"^- \*\*(.+?)\*\*：", source("states"), re.MULTILINE)
    assert set(told) == set(State.labels)
    by_state = {row[0]: row[1:] for row in cells(states) if len(row) == len(Actor) + 1}
    assert set(by_state) >= set(State.labels)
    assert by_state["已上报"] == ("撤回", "—", "审核通过、退回")
    shown = {row[2].replace("<br>", "\n") for row in cells(sample) if len(row) == 3}
    assert shown >= {spec.sample for spec in REPORTED if spec.sample}
    rows = set(cells(known))
    assert {row for _, page in keys.PAGES for row in page} <= rows


@pytest.mark.once
def test_what_the_help_prints_bold_stands_on_the_screen():
    folders = (
        "templates",
        "static/js",
        "ledger_site",
        "orgs",
        "ratings",
        "rectification",
        "audits",
    )
    files = (file for folder in folders for file in (settings.BASE_DIR / folder).rglob("*.*"))
    kinds = {".html", ".js", ".py"}
    screen = "\n".join(f.read_text(encoding="utf-8") for f in files if f.suffix in kinds)

    bold = {(name, words) for name in NAMES for words in re.findall(r"\*\*(.+?)\*\*", source(name))}

    assert len(bold) > 150
    assert {one for one in bold if one[1] not in screen} == set()


def test_whoever_asks_for_help_is_led_to_the_page_of_his_group(client, line):
    units = line.units
    whom = {
        "secretary": appoint(units["branch"], Role.FILL).user,
        "committee": appoint(units["township"], Role.FILL, Role.REVIEW).user,
        "department": appoint(units["county"], Role.REVIEW).user,
        "province": appoint(units["province"], Role.REVIEW).user,
        "inspection": appoint(units["county"], Role.READ).user,
        "manager": appoint(units["province"], Role.MANAGE).user,
        "administrators": appoint(units["county"], Role.AUDIT).user,
        "questions": UserFactory(),
    }
    for name, user in whom.items():
        client.force_login(user)
        assert client.get(reverse("help")).url == reverse("help_page", args=[name])
        page = client.get(reverse("help_page", args=[name])).content.decode()
        assert f"<h1>{page_of(name).title}</h1>" in page
        assert page.count('aria-current="page"') >= 2  # in the way to it and in the list
        assert page_of(name).html in page
    client.force_login(UserFactory(duty=Duty.SECURITY, is_staff=True))
    assert client.get(reverse("help")).url == reverse("help_page", args=["administrators"])
    assert client.get(reverse("help_page", args=["nothing"])).status_code == 404


def test_before_signing_in_only_what_is_for_everybody_can_be_read(client, db):
    assert client.get(reverse("help")).url == reverse("help_page", args=["questions"])
    assert reverse("help") in client.get(reverse("login")).content.decode()

    for name in NAMES:
        response = client.get(reverse("help_page", args=[name]))
        assert response.status_code == (200 if name in OPEN else 302)
    page = client.get(reverse("help_page", args=["questions"])).content.decode()
    listed = set(re.findall(r'<li><a href="/help/(\w+)/"', page))
    assert listed == set(OPEN)


def test_a_page_leads_to_what_the_help_says_of_it(client, line):
    client.force_login(line.branch.user)
    fill = client.get(reverse("ratings:fill", args=[line.of("branch").pk])).content.decode()
    desk = client.get(reverse("desk")).content.decode()

    assert f'href="{help_pages.about("ratings:fill")}">本页帮助' in fill
    assert "本页帮助" not in desk
    assert f'href="{reverse("help")}">使用帮助' in desk
