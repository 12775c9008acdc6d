"""What paper needs of each page that can be printed."""

import re

import pytest
from django.conf import settings
from django.urls import reverse

TEMPLATES = settings.BASE_DIR / "templates"
BUTTON = "components/print_button.html"
FORMS_WITH_A_COVER = {
    "audits/result.html",
    "ratings/ledger.html",
    "ratings/movement.html",
    "ratings/summary.html",
    "rectification/board.html",
    "rectification/list.html",
    "rectification/weak.html",
}
# Lists, rows, figures and checks: what somebody takes to a meeting or files.
PRINTED = FORMS_WITH_A_COVER | {
    "audits/check.html",
    "audits/checks.html",
    "audits/corrections.html",
    "audits/practices.html",
    "audits/remedies.html",
    "audits/row.html",
    "orgs/changes.html",
    "orgs/terms.html",
    "orgs/tree.html",
    "ratings/cover.html",
    "ratings/movement_rows.html",
    "ratings/preview.html",
    "ratings/publicities.html",
    "ratings/publicity.html",
    "ratings/queue.html",
    "ratings/report.html",
    "ratings/version.html",
    "rectification/figures.html",
    "rectification/measures.html",
}


def printable():
    """By name: the templates of pages with a button, each with the fragments it includes."""
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if path.parent.name != "components" and BUTTON in text:
            included = re.findall(r'include "([^"]+/_[^"]+)"', text)
            parts = [(TEMPLATES / name).read_text(encoding="utf-8") for name in included]
            yield path.relative_to(TEMPLATES).as_posix(), "".join([text, *parts])


@pytest.mark.once
def test_a_page_with_a_print_button_has_what_paper_needs():
    faults = []
    for name, text in printable():
        if '{% extends "base.html" %}' not in text:
            faults.append(f"{name}: no head on each page, which base.html gives")
        if "{% block page_head %}" in text and "sheet__title" not in text:
            faults.append(f"{name}: no title on paper")
        if text.count("<table") != text.count("<thead"):
            faults.append(f"{name}: a table whose head is not repeated")
        if "truncate" in text:
            faults.append(f"{name}: text is cut on paper; the class cut cuts it on the screen")
        if re.search(r"include \"components/pages.html\" (?!with pages=pages\b)", text):
            faults.append(f"{name}: does not say that it is one page of many")
        if ("has_cover=True" in text) != ("components/print_cover.html" in text) and (
            name != "ratings/cover.html"
        ):
            faults.append(f"{name}: a cover without its button, or the other way round")

    found = dict(printable())
    assert faults == []
    assert found.keys() >= PRINTED
    assert {name for name, text in found.items() if "has_cover=True" in text} == FORMS_WITH_A_COVER


@pytest.mark.django_db
def test_a_report_is_printed_with_its_unit_its_cycle_and_on_request_a_cover(client, line):
    unit = line.units["township"].name
    client.force_login(line.township.user)
    address = reverse("ratings:ledger", args=[line.cycle])

    plain, covered = (client.get(address + query).content.decode() for query in ("", "?cover=1"))

    for page in (plain, covered):
        head = page.partition('class="print-head__line">')[2].partition("</p>")[0]
        assert re.fullmatch(
            rf"<span>{unit}</span><span>{line.cycle.title}</span>"
            r"<span>截至 \d{4}年\d{1,2}月\d{1,2}日 \d{2}:\d{2}</span>",
            head,
        )
    assert 'class="sheet cover"' not in plain
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", covered) == [
        ("填报单位（盖章）", unit),
        ("单位代码", line.units["township"].code),
        ("负责人", ""),
        ("填报人", ""),
        ("报出时间", ""),
    ]
    assert 'href="?cover=1"' in plain
    assert "不加封面" in covered
