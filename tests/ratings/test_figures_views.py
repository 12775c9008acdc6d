"""汇总 and 核对: the same figures as the command and the workbook, and only for whom they are."""

import io
from urllib.parse import unquote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from ledger_site.base.models import AuditEvent
from orgs.choices import Kind
from ratings import workflow
from ratings.choices import Grade
from ratings.models import LedgerEntry, Report
from tests.factories import OrganizationFactory, accept, fill, hand_up, open_cycle, submit


@pytest.fixture
def reported(line):
    """Both branches accepted, one of them lowered; the township reported to the county."""
    hand_up(line.of("branch"))
    hand_up(line.of("sibling"), grade=Grade.AVERAGE, reason="措施未落实", target=Grade.FAIRLY_GOOD)
    submit(line.of("township"))
    return line


def get(client, line, who, page, name):
    client.force_login(getattr(line, who).user)
    return client.get(reverse(f"ratings:{page}", args=[line.of(name).pk]))


def text(response):
    return response.content.decode()


def test_figures_name_their_basis_version_and_rounding(client, reported):
    page = text(get(client, reported, "county", "summary", "township"))

    version = reported.of("township").versions.get()
    assert "已上报" in page
    assert version.digest[:8] in page
    assert "相加不一定等于100" in page
    for said in ("50.0", "甲县乙乡丙村党支部"):
        assert said in page


def test_a_superior_does_not_see_what_is_under_review_below(client, line):
    hand_up(line.of("branch"))

    own = get(client, line, "township", "summary", "township")
    above = get(client, line, "county", "summary", "township")

    assert "审核中" in text(own)
    assert "甲县乙乡丙村党支部" not in text(above)
    assert get(client, line, "province", "summary", "township").status_code == 404


def test_the_last_version_is_shown_after_a_return(client, reported):
    workflow.move("send_back", reported.of("township"), by=reported.county, reason="核对")
    workflow.move("reopen", reported.of("branch"), by=reported.township, reason="核对")

    above = text(get(client, reported, "county", "summary", "township"))

    assert "50.0" in above  # both rows as they were handed over


def test_the_recount_agrees_and_marks_what_does_not(client, reported):
    assert "一致" in text(get(client, reported, "township", "recount", "township"))

    accept(reported.of("township"))
    LedgerEntry.objects.filter(report=reported.of("branch")).update(reviewed_grade=Grade.POOR)
    page = text(get(client, reported, "county", "recount", "county"))

    assert "不一致" in page


@pytest.mark.parametrize("form", ["annex1", "annex1-list", "annex2", "annex3"])
def test_a_download_opens_has_a_safe_name_and_leaves_its_trace(client, reported, form):
    client.force_login(reported.township.user)
    url = reverse("ratings:download", args=[reported.of("township").pk, form])

    response = client.get(url)

    disposition = response["Content-Disposition"]
    assert disposition.isascii()
    assert "filename*=UTF-8''" in disposition
    assert "2012年度" in unquote(disposition)
    content = b"".join(response) if response.streaming else response.content
    assert load_workbook(io.BytesIO(content)).sheetnames
    event = AuditEvent.objects.get(action="export")
    assert (event.object_code, event.person_id) == ("T", reported.township.person_id)


def test_a_download_of_what_is_not_visible_does_not_exist(client, line):
    fill(line.of("branch"))
    client.force_login(line.county.user)

    for form in ("annex1", "annex3"):
        url = reverse("ratings:download", args=[line.of("branch").pk, form])
        assert client.get(url).status_code == 404
    assert not AuditEvent.objects.filter(action="export").exists()


def test_a_summary_costs_the_same_queries_for_two_subordinates_as_for_seven(client, line):
    town = OrganizationFactory(
        code="W", name="丙乡委", kind=Kind.COMMITTEE, parent=line.units["county"]
    )
    for n in range(7):
        OrganizationFactory(code=f"W{n}", name=f"{n}村党支部", parent=town)
    cycle = open_cycle(2012, 2)
    counts = []
    client.force_login(line.county.user)
    for code in ("T", "W"):
        for report in Report.objects.filter(cycle=cycle, parent__code=code):
            hand_up(report)
        submit(Report.objects.get(cycle=cycle, code=code))
        url = reverse("ratings:summary", args=[Report.objects.get(cycle=cycle, code=code).pk])
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        counts.append(len(queries))

    assert counts[0] == counts[1]
