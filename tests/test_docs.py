"""The documents say what the code does; what can be compared is compared."""

import re
import tokenize
from functools import cache

import pytest
from django.conf import settings
from django.core.management import get_commands

from ledger_site import demo
from ledger_site.jobs import routines
from ratings.choices import State
from ratings.columns import FIELDS
from ratings.workflow import TRANSITIONS

from .browser.way import documented

pytestmark = pytest.mark.once


APPS = ("ledger_site.jobs", "ledger_site", "orgs", "ratings", "rectification", "audits")


def text(name):
    return (settings.BASE_DIR / name).read_text(encoding="utf-8")


def tables(document):
    """The rows of every table, as lists of cells; heads and rulers are left out."""
    for block in re.findall(r"(?:^\|.*\n)+", document, re.MULTILINE):
        for line in block.splitlines()[2:]:
            cells = re.split(r"(?<!\\)\|", line.strip()[1:-1])
            yield [cell.strip() for cell in cells]


@cache
def names_in_code():
    """Every name of the code, and every word of its strings (values of choices, actions)."""
    found = set()
    for app in APPS:
        for file in (settings.BASE_DIR / app).rglob("*.py"):
            with file.open("rb") as stream:
                for token in tokenize.tokenize(stream.readline):
                    if token.type == tokenize.NAME:
                        found.add(token.string)
                    elif token.type == tokenize.STRING and '"""' not in token.string:
                        found.update(re.findall(r"\w+", token.string))
    return found


def test_every_identifier_of_the_glossary_is_in_the_code():
    named = {
        name
        for row in tables(text("docs/glossary.md"))
        for name in re.findall(r"`([^`]+)`", " ".join(row))
    }

    assert len(named) > 120
    assert named - names_in_code() == set()


def test_the_page_of_operation_names_what_is_done_by_itself():
    hours = {row[0] for row in tables(text("docs/operation.md"))}

    assert {f"{kind.at:%H:%M}" for kind in routines.KINDS.values()} <= hours


def test_a_term_is_defined_once():
    terms = [row[0] for row in tables(text("docs/glossary.md")) if not row[0].startswith("`")]
    fields = {field.label for field in FIELDS.values()}

    twice = {term for term in terms if terms.count(term) > 1}

    assert twice - fields == set()


def test_the_table_of_moves_is_the_one_that_runs():
    written = {
        row[0].strip("`"): (row[1], set(row[2].split("、")), row[4], row[5] == "yes")
        for row in tables(text("docs/glossary.md"))
        if len(row) == 6
    }

    running = {
        action: (
            move.label,
            {State(source).label for source in move.sources},
            move.actor.value,
            move.needs_reason,
        )
        for action, move in TRANSITIONS.items()
    }
    assert written == running


def test_every_state_and_every_field_is_in_the_glossary():
    glossary = text("docs/glossary.md")
    in_order = [name for name in FIELDS if name != "reviewed_grade"]
    in_order.insert(in_order.index("declared_grade") + 1, "reviewed_grade")

    assert all(f"`{state.name}` {state.label}" in glossary for state in State)
    assert [row[1].strip("`") for row in tables(glossary) if len(row) == 2] == in_order


def test_readme_lists_every_command_and_no_other():
    ours = {name for name, app in get_commands().items() if app in APPS or app == "ledger_site"}

    listed = {
        row[0].strip("`").split()[0]
        for row in tables(text("README.md"))
        if len(row) == 2 and row[0].startswith("`")
    }

    assert listed == ours


def test_readme_lists_the_demo_accounts():
    readme = text("README.md")
    listed = {row[0].strip("`") for row in tables(readme) if len(row) == 3 and " · " in row[1]}

    assert listed == {username for _, username, _ in demo.ACCOUNTS}
    assert demo.PASSWORD in readme


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "deploy/README.md",
        "docs/glossary.md",
        "docs/design.md",
        "docs/decisions.md",
        "docs/development.md",
        "docs/security.md",
        "docs/dependencies.md",
    ],
)
def test_links_lead_somewhere(name):
    folder = (settings.BASE_DIR / name).parent
    links = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", text(name))

    for link in (first or second for first, second in links):
        assert (folder / link).exists(), link


def test_documents_name_only_files_that_exist():
    for name in ("README.md", *(f"docs/{d}.md" for d in ("design", "decisions", "development"))):
        for path in re.findall(r"`((?:\w+/)+\w+\.(?:py|md|csv|toml))`", text(name)):
            assert (settings.BASE_DIR / path).exists(), (name, path)


def test_every_test_that_the_clauses_name_is_there():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text("docs/security.md"))
    rows = [row for row in tables(text("docs/security.md")) if len(row) == 4]

    missing = {(file, name) for file, name in named if f"def {name}(" not in text(file)}

    assert len(named) > 60
    assert missing == set()
    assert [row[0] for row in rows if "::" not in row[3]] == []
    for clause in (
        *("身份鉴别", "访问控制", "安全审计", "入侵防范", "数据完整性", "数据保密性"),
        *("数据备份恢复", "剩余信息保护", "个人信息保护"),
    ):
        assert any(row[0].endswith(clause) for row in rows), clause


def test_every_locked_package_is_listed_with_its_licence():
    def locked(name):
        return set(re.findall(r"^([\w.-]+)==", text(name), re.MULTILINE))

    run, develop = text("docs/dependencies.md").split("## 只用于开发和测试")
    licences = {row[0]: row[1] for row in tables(run + develop)}

    assert {row[0] for row in tables(run)} == locked("requirements.lock")
    assert locked("requirements-dev.lock") <= set(licences)
    assert not [one for one in licences.values() if re.search(r"\bA?GPL", one) or not one]


def test_pictures_are_small():
    pictures = list((settings.BASE_DIR / "docs/images").glob("*.png"))

    assert len(pictures) >= 4
    assert all(picture.stat().st_size < 200_000 for picture in pictures)


def test_every_way_of_the_page_is_walked_and_counted_by_a_browser_test():
    tests = (settings.BASE_DIR / "tests/browser").glob("test_*.py")
    walked = re.findall(r'is_as_documented\(\s*"([^"]+)"', "".join(map(text, tests)))

    assert set(walked) == set(documented())
