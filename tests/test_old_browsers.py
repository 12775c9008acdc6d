"""Pages are written for Chromium 86, which is what many offices still have (360, UOS, Windows 7).

The tables say what it lacks, and since which version of Chromium it is there.
"""

import re

import pytest
from django.conf import settings

pytestmark = pytest.mark.once

CSS = {
    r":has\(": 105,
    r":is\(|:where\(": 88,
    r":not\([^()]*,": 88,
    r":user-(in)?valid|:popover-open|:modal\b": 105,
    r"@container|container-(type|name)\s*:": 105,
    r"@layer": 99,
    r"@scope|@starting-style|@view-transition|@position-try": 111,
    r"[{;]\s*&|^\s*&": 112,  # nesting
    r"\bcolor-mix\(|\b(ok)?l(ab|ch)\(|\blight-dark\(|\bhwb\(": 101,
    r"\baspect-ratio\s*:": 88,
    r"[{;\s]inset(-\w+)*\s*:": 87,
    r"(margin|padding)-(inline|block)\s*:": 87,
    r"border-(start|end)-(start|end)-radius": 89,
    r"\baccent-color\s*:": 93,
    r"\btext-wrap\s*:": 114,
    r"text-underline-offset|text-decoration-(thickness|skip-ink)": 87,
    r"\d[dsl]v[hw]\b|\dv[ib]\b|\dcq[whib]\b": 108,
    r"\bfield-sizing|interpolate-size|anchor-name|scrollbar-(gutter|width|color)": 94,
    r"overflow(-\w)?\s*:\s*clip": 90,
    r"^\s*(translate|rotate|scale)\s*:": 104,
    r"grid-template-\w+:[^;]*\b(subgrid|masonry)\b": 117,
    r"@media[^{]*[<>]": 104,
    r"\bcontent-visibility:\s*hidden|contain-intrinsic": 108,
    r"\b(round|mod|rem|sin|cos|tan|pow|hypot|abs|sign)\(": 111,
}
SCRIPT = {
    r"\.at\(": 92,
    r"\bstructuredClone\(": 98,
    r"\bObject\.(hasOwn|groupBy)\b": 93,
    r"\.findLast(Index)?\(": 97,
    r"\.(toSorted|toReversed|toSpliced|with)\(": 110,
    r"\bArray\.fromAsync\b": 121,
    r"\bPromise\.(withResolvers|try)\b": 119,
    r"\bcrypto\.randomUUID\b": 92,
    r"\bAbortSignal\.(timeout|any|abort)\b": 93,
    r"\bstatic\s*\{": 94,
    r"#\w+\s+in\s": 91,
    r"^await\s": 89,
    r"/[a-z]*[dv][a-z]*\.(test|exec)\(": 90,
    r"new Error\([^()]*,": 93,
    r"\.(isWellFormed|showPicker|checkVisibility|togglePopover|showPopover|hidePopover)\(": 99,
    r"\.inert\b": 102,
    r"\bscheduler\.|\bnavigation\.|\bCloseWatcher\b|\bEditContext\b": 94,
    r"\bnew (Set|Map)\([^()]*\)\.(union|intersection|difference)\(": 122,
    r"\bhasIndices\b|\bIntl\.(Segmenter|DurationFormat)\b": 87,
}
MARKUP = {
    r"<[^>]*\s(inert|popover\w*|closedby|command\w*)(?=[\s=>])": 102,
    r"<details[^>]*\sname=": 120,
    r"<(search|selectlist|dialog[^>]*\sclosedby)\b": 118,
    r"hidden=.until-found": 102,
    r"type=.importmap": 89,
    r"fetchpriority=|blocking=": 101,
}
FILES = (
    ("static/css", "*.css", CSS),
    ("static/js", "*.js", SCRIPT),
    ("templates", "*.html", MARKUP),
)
# A newer browser may show more where it is asked first; comments are no rules.
ASIDE = re.compile(r"/\*.*?\*/|@supports[^{]*\{(?:[^{}]*\{[^{}]*\})*\s*\}|\{#.*?#\}", re.DOTALL)


def lacking(text: str, table: dict[str, int]) -> list[str]:
    text = ASIDE.sub("", text)
    return [
        f"{found[0].strip()} needs {version}"
        for pattern, version in table.items()
        for found in re.finditer(pattern, text, re.M)
    ]


@pytest.mark.parametrize(("folder", "files", "table"), FILES)
def test_chromium_86_knows_all_that_is_used(folder, files, table):
    found = {
        str(path.relative_to(settings.BASE_DIR)): lacks
        for path in (settings.BASE_DIR / folder).rglob(files)
        if (lacks := lacking(path.read_text(encoding="utf-8"), table))
    }

    assert found == {}


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("a:has(b) {}", CSS),
        (".a { inset: 0 }", CSS),
        (".a {\n  & b { top: 0 }\n}", CSS),
        ("@media (width > 40rem) {}", CSS),
        ("a { height: 100dvh }", CSS),
        ("a { accent-color: red }", CSS),
        ("list.at(-1)", SCRIPT),
        ("await ready();", SCRIPT),
        ("class A { static { run() } }", SCRIPT),
        ("<div inert>", MARKUP),
        ('<details class="a" name="b">', MARKUP),
    ],
)
def test_what_it_lacks_is_found(text, table):
    assert len(lacking(text, table)) == 1


def test_what_it_has_is_left_alone():
    old = """/* :has( */ .a { gap: 1rem; box-shadow: inset 0 0 0 1px; width: min(100%, 2rem) }
    @media (min-width: 40rem) { .a:not(.b):focus-visible { transform: scale(1) } }
    @supports (accent-color: red) { a { accent-color: red } }"""

    assert lacking(old, CSS) == []
    assert lacking("text.replaceAll('a', 'b'); a ??= b; async () => await c();", SCRIPT) == []
