"""From the draw to a new version of the province in which one row changed, by pressing buttons."""

import pytest
from django.urls import reverse
from django.utils import timezone

from audits import trail
from audits.models import Look, Remedy, SpotCheck
from ledger_site import upkeep
from ledger_site.base import sealing
from ledger_site.base.models import AuditEvent
from orgs.choices import Role
from ratings.choices import State
from ratings.models import CorrectionOrder, ReportVersion
from tests.factories import accept, appoint, hand_up, submit
from tests.ratings.test_rows_views import form_of

pytestmark = pytest.mark.django_db


class Desk:
    """A person at a browser: presses what the pages offer, and is told what came of it."""

    def __init__(self, client, post):
        self.client, self.post = client, post

    def open(self, name, *args, **query) -> str:
        self.client.force_login(self.post.user)
        answer = self.client.get(reverse(name, args=args), query)
        assert answer.status_code == 200
        return answer.content.decode()

    def press(self, name, *args, **data) -> str:
        self.client.force_login(self.post.user)
        answer = self.client.post(reverse(name, args=args), data, follow=True)
        assert answer.redirect_chain, answer.content.decode()
        return answer.content.decode()


@pytest.fixture
def final(line):
    """The province has its first version, and is opened again by a second person."""
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    submit(line.of("province"))
    accept(line.of("province"))
    line.second = appoint(line.units["province"], Role.REVIEW, Role.FILL)
    return line


def test_the_whole_way_by_the_pages(client, final):
    line = final
    province, second = Desk(client, line.province), Desk(client, line.second)
    county, township = Desk(client, line.county), Desk(client, line.township)
    branch, sibling = Desk(client, line.branch), Desk(client, line.sibling)
    key = {name: line.of(name).pk for name in line.units}

    # 定稿 is undone, so that the province can take a correction over.
    second.press(
        "ratings:move",
        key["province"],
        "reopen",
        token=line.of("province").token,
        reason="抽查更正",
    )

    # Drawn, begun, looked into, found.
    asked = {"title": "定级抽查", "purpose": "核实定级", "method": "random", "size": "2"}
    asked |= {"amount": "count", "stratum": "reviewed", "items": "真实\n完整"}
    assert "名单已经抽定" in province.press("audits:new_check", line.cycle, **asked)
    check = SpotCheck.objects.get()
    assert "名单相同" in province.open("audits:redraw", check.pk)
    province.press("audits:act", check.pk, "start", token=0)
    row = check.rows.get(report=key["branch"])
    assert "书记B1" in province.open("audits:row", check.pk, row.pk)
    found = {"action": "find", "token": 0, "verdict_0": "bad", "text_0": "流动党员数不符"}
    province.press("audits:row", check.pk, row.pk, **found)
    due = {"number": "1号", "text": "请核实", "due_on": timezone.localdate().isoformat()}
    province.press("audits:row", check.pk, row.pk, action="remedy", **due)
    remedy = Remedy.objects.get()
    assert line.province.person_name in branch.open("audits:row", check.pk, row.pk)

    # Ordered: the chain above this one row is open, and nothing else.
    order = {"number": "2号", "reason": "与名册不符", "rows": row.pk}
    order |= {"fields_named": "floating_member_count"}
    assert "更正中" in province.press("audits:request_correction", check.pk, **order)
    order = CorrectionOrder.objects.get()
    states = {name: line.of(name).state for name in ("county", "township", "branch", "sibling")}
    assert states.pop("sibling") == State.ACCEPTED
    assert set(states.values()) == {State.RETURNED}

    # Changed by the branch, in the named column alone.
    report = line.of("branch")
    typed = form_of(report, floating_member_count="9", features="没有要求改的")
    branch.client.force_login(line.branch.user)
    page = branch.client.post(reverse("ratings:fill", args=[report.pk]), typed, follow=True)
    assert "更正" in page.content.decode()
    assert line.of("branch").entry.features != "没有要求改的"
    report = line.of("branch")
    branch.press("ratings:fill", report.pk, **form_of(report, floating_member_count="9"))
    assert line.of("branch").entry.floating_member_count == 9
    assert "更正通知" in branch.open("ratings:report", key["branch"])
    assert "更正通知 2号" not in sibling.open("ratings:report", key["sibling"])
    branch.press("ratings:hand_in", key["branch"], token=line.of("branch").token)

    # Each level sees its difference and accepts it.
    grade = {"action": "accept", "reviewed_grade": "fairly_good"}
    page = township.open("ratings:review", key["branch"])
    assert "流动党员数" in page
    assert ">9<" in page
    township.press("ratings:review", key["branch"], token=line.of("branch").token, **grade)
    for lower, desk, upper in (("township", township, county), ("county", county, province)):
        desk.press("ratings:hand_in", key[lower], token=line.of(lower).token)
        assert "内容有变" in upper.open("ratings:review", key[lower])
        upper.press("ratings:review", key[lower], token=line.of(lower).token, action="accept")
    order.refresh_from_db()
    assert order.closed_at is not None
    province.press("ratings:hand_in", key["province"], token=line.of("province").token)
    second.press(
        "ratings:review", key["province"], token=line.of("province").token, action="accept"
    )

    # The notice comes home, the check is closed.
    reply = {"action": "reply", "token": 0, "text": "已更正为9人"}
    township.press("audits:remedy", remedy.pk, **reply)
    province.press("audits:remedy", remedy.pk, action="verify", token=1, text="属实")
    province.press("audits:act", check.pk, "close", token=1, reason="一处不实，已更正")

    # A new version of the province with exactly one row changed, in one cell; all of it sound.
    versions = ReportVersion.objects.filter(report=key["province"]).order_by("number")
    first, last = versions
    assert first.digest != last.digest
    province.client.force_login(line.province.user)
    page = province.client.get(reverse("ratings:compare", args=[key["province"]]))
    (difference,) = page.context["found"].found
    assert (difference.code, difference.kind.value) == ("B1", "改变")
    (change,) = difference.changes
    assert (change["label"], change["old"], change["new"]) == ("流动党员数", "3", "9")
    assert line.of("sibling").versions.count() == 1
    assert "一处不实，已更正" in branch.open("audits:check", check.pk)
    assert Look.objects.count() >= 1
    sealing.seal()
    assert upkeep.faults_of_all() == []
    for event in AuditEvent.objects.all():  # in words, for whoever audits
        labels = {one["label"] for one in trail.details(event)} - {"SHA-256"}
        assert not [label for label in labels if label.isascii()], event
    told = set(AuditEvent.objects.filter(result="done").values_list("action", flat=True))
    assert told >= {"draw", "start_check", "look", "find", "issue_remedy", "correct", "edit"}
    assert told >= {"submit", "accept", "reply_remedy", "verify_remedy", "close_check"}
