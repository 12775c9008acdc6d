"""下级审核: the queue, batches, the review of one report, deadlines and reminders."""

import re
from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orgs.choices import Kind, Role
from ratings import workflow
from ratings.choices import Grade, State
from ratings.models import LedgerEntry, Reminder, Report, ReportMove

from .. import factories
from ..factories import OrganizationFactory


def said(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


@pytest.fixture
def waiting(line):
    """Both branches have handed in."""
    for name in ("branch", "sibling"):
        factories.fill(line.of(name))
        factories.submit(line.of(name))
    return line


@pytest.fixture
def reviewer(client, line):
    client.force_login(line.township.user)
    return line.township


def queue_of(line):
    return reverse("ratings:queue", args=[line.cycle])


def review_of(report):
    return reverse("ratings:review", args=[report.pk])


def chosen(*reports):
    return [f"{report.pk}:{report.token}" for report in reports]


def make_late(line):
    day = timezone.localdate() - timedelta(days=2)
    Report.objects.filter(pk=line.of("township").pk).update(below_due_on=day)


# ---------------------------------------------------------------- queue


def test_counts_are_links_to_what_they_count(client, waiting, reviewer):
    workflow.move("send_back", waiting.of("sibling"), by=reviewer, reason="改")
    make_late(waiting)

    page = client.get(queue_of(waiting))

    counts = {tile["label"]: tile["count"] for tile in page.context["counts"]}
    assert counts == {
        "应报": 2,
        "未报": 0,
        "待审核": 1,
        "已退回": 1,
        "已审核": 0,
        "免报": 0,
        "逾期": 1,
    }
    for tile in page.context["counts"]:
        assert len(client.get(tile["url"]).context["rows"]) == tile["count"]


def test_the_queue_lists_direct_subordinates_alone_in_the_order_of_the_tree(client, waiting):
    for who, names in (
        ("township", ["branch", "sibling"]),
        ("county", ["township"]),
        ("province", ["county"]),
        ("branch", []),
    ):
        client.force_login(getattr(waiting, who).user)

        page = client.get(queue_of(waiting))

        listed = [row["report"].pk for row in page.context["rows"]]
        assert listed == [waiting.of(name).pk for name in names]


@pytest.mark.parametrize(
    "query",
    [
        "?state=nonsense",
        "?after=x",
        "?after=" + "9" * 80,
        "?q=%00",
        "?before=%00&n=x",
        "?q=" + "长" * 99,
    ],
)
def test_an_address_that_says_nonsense_shows_the_queue(client, line, reviewer, query):
    assert client.get(queue_of(line) + query).status_code == 200


def test_the_queue_is_searched_by_name(client, line, reviewer):
    page = client.get(queue_of(line), {"q": "丁村"})

    assert [row["report"].pk for row in page.context["rows"]] == [line.of("sibling").pk]


def test_pages_of_fifty_follow_each_other_with_their_filters(client, line):
    town = OrganizationFactory(name="大乡党委", kind=Kind.COMMITTEE, parent=line.units["county"])
    for n in range(53):
        OrganizationFactory(name=f"第{n:02}村党支部", parent=town)
    town.refresh_from_db()
    cycle = factories.open_cycle(2013)
    client.force_login(factories.appoint(town).user)
    url = reverse("ratings:queue", args=[cycle])

    first = client.get(url, {"state": "draft"})
    second = client.get(url + first.context["pages"]["next"])

    assert [len(page.context["rows"]) for page in (first, second)] == [50, 3]
    assert "state=draft" in first.context["pages"]["next"]


def test_queries_of_the_queue_do_not_grow_with_its_rows(client, line):
    used = []
    for count in (1, 3):
        town = OrganizationFactory(
            name=f"第{count}乡党委", kind=Kind.COMMITTEE, parent=line.units["county"]
        )
        for n in range(count):
            OrganizationFactory(name=f"第{count}乡第{n}党支部", parent=town)
    cycle = factories.open_cycle(2013, final_due_on=timezone.localdate())
    for count in (1, 3):
        town = Report.objects.get(cycle=cycle, name=f"第{count}乡党委").organization
        for report in Report.objects.filter(cycle=cycle, parent__organization=town):
            factories.fill(report)
        client.force_login(factories.appoint(town).user)

        with CaptureQueriesContext(connection) as queries:
            page = client.get(reverse("ratings:queue", args=[cycle]))

        assert len(page.context["rows"]) == count
        used.append(len(queries))
    assert used[0] == used[1]


def test_who_may_only_read_gets_no_boxes_and_no_buttons(client, waiting):
    reader = factories.appoint(waiting.units["township"], Role.READ)
    client.force_login(reader.user)

    page = client.get(queue_of(waiting))

    assert "没有审核角色" in page.content.decode()
    assert 'name="chosen"' not in page.content.decode()
    assert "设定" not in page.content.decode()


# ---------------------------------------------------------------- batches


def batch(client, line, **data):
    url = reverse("ratings:batch", args=[line.cycle])
    return client.post(url, data, follow=True)


def test_a_batch_accepts_as_declared_and_proposed(client, waiting, reviewer):
    reports = [waiting.of("branch"), waiting.of("sibling")]

    page = batch(client, waiting, action="accept", chosen=chosen(*reports))

    entries = [waiting.of(name).entry for name in ("branch", "sibling")]
    assert said(page) == ["已审核通过 2 个"]
    assert {entry.reviewed_grade for entry in entries} == {Grade.FAIRLY_GOOD}
    assert {entry.target_grade for entry in entries} == {Grade.GOOD}


def test_a_batch_names_what_it_leaves_out_and_why_once(client, waiting, reviewer):
    branch, sibling = waiting.of("branch"), waiting.of("sibling")
    factories.accept(sibling)

    page = batch(client, waiting, action="accept", chosen=chosen(branch, sibling))

    assert said(page) == ["已审核通过 1 个"]
    assert page.context["left_out"] == [
        {
            "name": sibling.short_name,
            "reason": "当前状态为“已审核”，不能审核通过",
            "url": sibling.get_absolute_url(),
        }
    ]
    assert client.get(queue_of(waiting)).context["left_out"] is None


def test_a_batch_leaves_out_what_changed_since_it_was_read(client, waiting, reviewer):
    old = chosen(waiting.of("branch"))
    workflow.move("recall", waiting.of("branch"), by=waiting.branch)
    factories.submit(waiting.of("branch"))

    page = batch(client, waiting, action="accept", chosen=old)

    assert "内容已变更" in page.context["left_out"][0]["reason"]
    assert waiting.of("branch").state == State.SUBMITTED


def test_a_batch_returns_with_one_reason(client, waiting, reviewer):
    reports = [waiting.of("branch"), waiting.of("sibling")]

    without = batch(client, waiting, action="send_back", chosen=chosen(*reports))
    batch(client, waiting, action="send_back", chosen=chosen(*reports), reason="统一补充措施")

    assert {one["reason"] for one in without.context["left_out"]} == {"退回须写明理由"}
    assert {move.reason for move in ReportMove.objects.filter(action="send_back")} == {
        "统一补充措施"
    }


@pytest.mark.parametrize("values", [[], ["x"], ["\x00:1"], ["9" * 40 + ":1"], ["1:2:3"], [":"]])
def test_a_batch_of_nothing_or_of_nonsense_changes_nothing(client, waiting, reviewer, values):
    page = batch(client, waiting, action="accept", chosen=values)

    assert page.status_code == 200
    assert waiting.of("branch").state == State.SUBMITTED


def test_a_batch_reaches_no_further_than_direct_subordinates(client, waiting):
    client.force_login(waiting.county.user)

    batch(client, waiting, action="accept", chosen=chosen(waiting.of("branch")))

    assert waiting.of("branch").state == State.SUBMITTED


def test_an_unknown_batch_is_not_found(client, waiting, reviewer):
    assert batch(client, waiting, action="excuse", chosen=["1:1"]).status_code == 404
    assert batch(client, waiting).status_code == 404


def test_after_a_batch_the_filters_are_kept(client, waiting, reviewer):
    page = batch(client, waiting, action="accept", query="state=submitted&q=x")

    assert page.redirect_chain[0][0] == f"{queue_of(waiting)}?state=submitted&q=x"


# ---------------------------------------------------------------- one report


@pytest.mark.parametrize(
    ("who", "status_code"),
    [("branch", 404), ("township", 200), ("sibling", 404), ("county", 404), ("province", 404)],
)
def test_the_review_page_is_the_direct_superiors_alone(client, waiting, who, status_code):
    client.force_login(getattr(waiting, who).user)

    assert client.get(review_of(waiting.of("branch"))).status_code == status_code


def decide(client, report, follow=True, **data):
    data = {"token": report.token, "action": "accept", **data}
    return client.post(review_of(report), data, follow=follow)


def test_accepting_takes_the_proposal_and_says_what_was_decided(client, waiting, reviewer):
    page = decide(client, waiting.of("branch"), reviewed_grade="fairly_good")

    entry = waiting.of("branch").entry
    assert (entry.reviewed_grade, entry.target_grade) == (Grade.FAIRLY_GOOD, Grade.GOOD)
    assert "审核等次“较好”，晋位升级目标“好”" in said(page)[0]


@pytest.mark.parametrize(
    ("entered", "target"),
    [
        ({}, Grade.FAIRLY_GOOD),  # the proposal 好 would jump: the next grade
        ({"target_reason": "条件成熟"}, Grade.GOOD),
        ({"target_grade": "fairly_good"}, Grade.FAIRLY_GOOD),
    ],
)
def test_a_lowered_grade_takes_the_next_target_unless_said_otherwise(
    client, waiting, reviewer, entered, target
):
    decide(
        client,
        waiting.of("branch"),
        reviewed_grade="average",
        review_reason="考核一般",
        **entered,
    )

    assert waiting.of("branch").entry.target_grade == target


@pytest.mark.parametrize(
    ("entered", "text"),
    [
        ({}, "请选择审核定级类别"),
        ({"reviewed_grade": "优秀"}, "请选择审核定级类别"),
        ({"reviewed_grade": "average"}, "请写明理由"),
        ({"reviewed_grade": "fairly_good", "target_grade": "poor"}, "目标应高于"),
        (
            {"reviewed_grade": "poor", "review_reason": "差", "target_grade": "good"},
            "越级",
        ),
    ],
)
def test_a_refused_decision_shows_the_page_with_what_was_entered(
    client, waiting, reviewer, entered, text
):
    page = decide(client, waiting.of("branch"), target_reason="", reason="", **entered)

    assert page.status_code == 422
    assert text in page.context["refusal"]
    assert page.context["form"]["review_reason"].value() == entered.get("review_reason")
    assert waiting.of("branch").state == State.SUBMITTED


def test_a_return_names_fields_and_keeps_its_reason_when_refused(client, waiting, reviewer):
    report = waiting.of("branch")
    refused = decide(client, report, action="send_back", named=["measures"])
    stale = decide(client, report, action="send_back", token=99, reason="写了很久的理由")
    decide(
        client,
        report,
        action="send_back",
        reason="措施太空",
        named=["measures", "reviewed_grade", "x"],
        reason_problems="没有逐条写",
        reason_reviewed_grade="伪造",
    )

    move = waiting.of("branch").moves.first()
    assert refused.context["refusal"] == "退回须写明理由"
    assert stale.status_code == 409
    assert "写了很久的理由" in stale.content.decode()
    assert move.reason == "措施太空"
    assert move.data["fields"] == {"measures": "", "problems": "没有逐条写"}


@pytest.mark.parametrize("token", [None, "", "x", "9" * 40])
def test_a_stale_or_missing_token_decides_nothing(client, waiting, reviewer, token):
    report = waiting.of("branch")
    data = {"action": "accept", "reviewed_grade": "fairly_good"}
    data |= {} if token is None else {"token": token}

    response = client.post(review_of(report), data)

    assert response.status_code == 409
    assert "内容已变更，请重新查看" in response.content.decode()
    assert waiting.of("branch").state == State.SUBMITTED


def test_a_double_press_decides_once_and_leads_to_the_same_page(client, waiting, reviewer):
    report = waiting.of("branch")
    answers = [decide(client, report, reviewed_grade="fairly_good") for _ in range(2)]

    assert answers[0].redirect_chain == answers[1].redirect_chain
    assert ReportMove.objects.filter(report=report, action="accept").count() == 1


def test_accept_and_next_leads_through_the_queue_and_out_of_it(client, waiting, reviewer):
    first, second = waiting.of("branch"), waiting.of("sibling")
    data = {"reviewed_grade": "fairly_good", "then": "next", "follow": False}

    to_second = decide(client, first, **data)
    out = decide(client, second, **data)

    assert to_second.url == review_of(second)
    assert out.url == queue_of(waiting)


def test_no_grade_is_preset_and_what_a_file_gave_is_only_shown(client, waiting, reviewer):
    report = waiting.of("branch")
    report.entry.given_grade = Grade.AVERAGE
    report.entry.save(update_fields=["given_grade"])

    page = client.get(review_of(report))

    assert page.context["form"]["reviewed_grade"].value() is None
    assert "导入文件中的上级定级：<strong>一般</strong>" in page.content.decode()


def test_explanations_and_the_difference_to_the_last_version_are_shown(client, waiting, reviewer):
    report = waiting.of("branch")
    workflow.move("send_back", report, by=reviewer, reason="改")
    explained = {"deadline_text": "2015年底", "due_on": date(2015, 12, 31)}
    factories.fill(report, explanations={"far": "项目分三年实施"}, **explained)
    factories.submit(report)

    page = client.get(review_of(report))

    names = [change["name"] for change in page.context["changes"]]
    assert names == ["deadline_text", "due_on"]
    assert "填报单位说明：项目分三年实施" in page.content.decode()


def test_who_holds_a_post_in_the_unit_is_told_who_can_decide(client, waiting):
    clerk = factories.appoint(waiting.units["township"])
    factories.appoint(waiting.units["branch"], Role.FILL, user=clerk.user)
    client.force_login(clerk.user)
    session = client.session
    session["post"] = waiting.units["township"].pk
    session.save()

    page = client.get(review_of(waiting.of("branch")))

    assert not page.context["may_decide"]
    assert waiting.township.person_name in page.content.decode()
    assert 'name="action"' not in page.content.decode()


def test_filling_in_and_deciding_by_one_person_is_marked(client, line, reviewer):
    report = factories.fill(line.of("branch"))
    workflow.move("submit", line.of("branch"), by=reviewer)

    page = client.get(review_of(report))
    decide(client, line.of("branch"), reviewed_grade="fairly_good")

    assert "同一人代填并审核" in page.content.decode()
    assert line.of("branch").moves.first().mark == workflow.SAME_PERSON


def test_a_township_is_reviewed_by_its_totals_without_a_grade(client, waiting):
    for name in ("branch", "sibling"):
        factories.accept(waiting.of(name))
    factories.submit(waiting.of("township"))
    client.force_login(waiting.county.user)

    page = client.get(review_of(waiting.of("township")))
    decide(client, waiting.of("township"))

    assert page.context["totals"]["total"] == 2
    assert waiting.of("township").state == State.ACCEPTED


def test_the_root_is_finalized_by_a_second_person(client, waiting):
    for name in ("branch", "sibling"):
        factories.accept(waiting.of(name))
    for name in ("township", "county"):
        factories.hand_up(waiting.of(name))
    factories.submit(waiting.of("province"), by=waiting.province)
    client.force_login(waiting.province.user)
    refused = client.get(review_of(waiting.of("province")))
    second = factories.appoint(waiting.units["province"], Role.REVIEW)
    client.force_login(second.user)

    queue = client.get(queue_of(waiting))
    decide(client, waiting.of("province"))

    assert not refused.context["may_decide"]
    assert review_of(waiting.of("province")) in queue.content.decode()
    assert waiting.of("province").state == State.ACCEPTED


def test_queries_of_a_review_do_not_grow_with_the_queue(client, line):
    used = []
    for count in (1, 3):
        town = OrganizationFactory(
            name=f"第{count}乡党委", kind=Kind.COMMITTEE, parent=line.units["county"]
        )
        for n in range(count):
            OrganizationFactory(name=f"第{count}乡第{n}党支部", parent=town)
    cycle = factories.open_cycle(2013)
    for count in (1, 3):
        town = Report.objects.get(cycle=cycle, name=f"第{count}乡党委").organization
        client.force_login(factories.appoint(town).user)
        report = Report.objects.filter(cycle=cycle, parent__organization=town).first()

        with CaptureQueriesContext(connection) as queries:
            client.get(review_of(report))

        used.append(len(queries))
    assert used[0] == used[1]


# ---------------------------------------------------------------- deadlines and reminders


def test_late_subordinates_are_reminded_once_a_day(client, line, reviewer):
    make_late(line)
    url = reverse("ratings:remind", args=[line.cycle])

    before = client.get(queue_of(line))
    first = client.post(url, follow=True)
    second = client.post(url, follow=True)

    assert before.context["late_count"] == 2
    assert line.of("branch").short_name in before.context["late_text"]
    assert "已向 2 个单位发出催报" in said(first)[0]
    assert "今天已经催报过" in said(second)[0]
    assert Reminder.objects.count() == 2
    assert second.context["reminded_count"] == 2


@pytest.mark.parametrize("day", [None, "", "x", "2012-13-45", "9" * 400, "\x00"])
def test_a_deadline_that_is_none_is_refused(client, line, reviewer, day):
    report = line.of("township")
    url = reverse("ratings:due", args=[report.pk])
    data = {"token": report.token} | ({} if day is None else {"below_due_on": day})

    page = client.post(url, data, follow=True)

    assert "请填写截止日" in said(page)[0]
    assert line.of("township").below_due_on == report.below_due_on


def test_a_unit_sets_the_last_day_of_its_own_subordinates_only(client, line, reviewer):
    day = timezone.localdate() + timedelta(days=3)
    own, above = line.of("township"), line.of("branch")

    for report in (own, above):
        url = reverse("ratings:due", args=[report.pk])
        client.post(url, {"token": report.token, "below_due_on": day.isoformat()})

    assert line.of("township").below_due_on == day
    assert line.of("branch").below_due_on == above.below_due_on


@pytest.mark.parametrize("name", ["batch", "remind"])
def test_writes_are_posts(client, line, reviewer, name):
    assert client.get(reverse(f"ratings:{name}", args=[line.cycle])).status_code == 405


def test_one_press_takes_over_what_was_declared_and_opens_the_next(client, waiting, reviewer):
    line = waiting
    address = review_of(line.of("branch"))
    page = client.get(address)
    form = page.content.decode().partition("review-side__first")[2].partition("</form>")[0]
    sent = dict(re.findall(r'name="(\w+)" value="(\w+)"', form))

    answer = client.post(address, sent)

    assert page.context["as_declared"] == Grade.FAIRLY_GOOD
    assert answer.url == review_of(line.of("sibling"))
    entry = line.of("branch").entry
    assert (entry.reviewed_grade, entry.target_grade) == (Grade.FAIRLY_GOOD, Grade.GOOD)
    shares = [
        [(one["fill"], one["count"]) for one in said["shares"] if one["count"]]
        for said in client.get(answer.url).context["siblings"]
    ]
    assert shares == [[("fairly_good", 2)], [("fairly_good", 1)]]


def test_one_press_does_what_is_written_beside_it(client, line, reviewer):
    """A proposal that jumps is not the target without a reason, and what an old ledger decided is
    not passed over."""
    report = line.of("branch")
    factories.fill(report, declared_grade=Grade.AVERAGE, proposed_target=Grade.GOOD)
    factories.submit(report)

    page = client.get(review_of(report))
    assert page.context["target_as_declared"] == Grade.FAIRLY_GOOD
    assert "目标取“较好”" in page.content.decode()

    LedgerEntry.objects.filter(report=report).update(given_grade=Grade.POOR)
    page = client.get(review_of(report))
    assert page.context["as_declared"] is None
    assert "导入文件中的上级定级" in page.content.decode()


def test_a_new_version_is_shown_beside_the_return_it_answers(client, line, reviewer):
    factories.fill(line.of("branch"))
    factories.submit(line.of("branch"))
    named = {"measures": "太笼统", "problems": ""}
    workflow.move("send_back", line.of("branch"), by=line.township, reason="请改", fields=named)
    factories.fill(line.of("branch"), measures="发展青年党员3名，10月前完成。")
    factories.submit(line.of("branch"))

    page = client.get(review_of(line.of("branch")))

    answered = page.context["answered"]
    assert answered["move"].reason == "请改"
    assert [(one["name"], one["is_changed"]) for one in answered["named"]] == [
        ("problems", False),
        ("measures", True),
    ]
    assert "发展青年党员3名<ins>，10月前完成</ins>。" in page.content.decode()
