"""工作台: what waits for whom and until when; the choice of a post."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ledger_site.desk import NAMED, names
from orgs.choices import Role
from orgs.models import Appointment
from ratings import services, workflow
from ratings.choices import State
from ratings.models import Cycle, Reminder, Report

from . import factories
from .factories import UserFactory, accept, appoint, fill, hand_up, submit

DESK = "/"


def desk(client, post):
    client.force_login(post.user)
    return client.get(DESK)


def titles(page) -> list[str]:
    return [task.title for task in page.context["tasks"]]


def said(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def due_in(line, days, superior="township"):
    """The last day for whoever reports to `superior`, seen from today."""
    day = timezone.localdate() + timedelta(days=days)
    Report.objects.filter(pk=line.of(superior).pk).update(below_due_on=day)
    return day


def correct(line, issuer="county", row="branch"):
    return services.open_correction(
        issuer=line.of(issuer),
        rows=[line.of(row)],
        fields=["measures"],
        number="更正1号",
        reason="措施不具体",
        by=getattr(line, issuer),
    )


# ---------------------------------------------------------------- what waits, for each role


@pytest.mark.parametrize(
    ("days", "left"), [(3, "，还有 3 天"), (0, "，就是今天"), (-2, "，已逾期 2 天")]
)
def test_a_branch_is_told_to_fill_in_and_until_when(client, line, days, left):
    day = due_in(line, days)

    page = desk(client, line.branch)

    assert page.context["sentence"] == (
        f"请填报2012年度本级台账，截止{day.month}月{day.day}日24:00{left}。"
    )
    (task,) = page.context["tasks"]
    assert task.url == reverse("ratings:fill", args=[line.of("branch").pk])


def test_a_row_without_errors_can_be_handed_in_and_the_desk_says_who_reviews_it(client, line):
    fill(line.of("branch"))

    (task,) = desk(client, line.branch).context["tasks"]

    assert task.title == "2012年度可以上报了"
    assert task.text == f"上报后由{line.units['township'].short_name}审核。"
    assert task.url == reverse("ratings:hand_in", args=[line.of("branch").pk])


def test_what_was_handed_in_waits_for_the_superior_and_asks_nothing(client, line):
    fill(line.of("branch"))
    submit(line.of("branch"))

    page = desk(client, line.branch)

    assert titles(page) == []
    assert page.context["sentence"] == (
        "目前没有等您办理的事项。2012年度：等待“中共测试省甲县乙乡委员会”审核；审核前可以撤回。"
    )


def test_the_newest_reason_of_a_return_stands_first(client, line):
    """An older cycle's return stands before the newer cycle's ordinary work."""
    fill(line.of("branch"))
    for reason in ("第一次的理由", "措施太笼统，请写明人和时间"):
        submit(line.of("branch"))
        workflow.move("send_back", line.of("branch"), by=line.township, reason=reason)
    factories.open_cycle(2013)

    page = desk(client, line.branch)

    assert titles(page) == [
        "2012年度材料被退回，请按退回理由修改后重新上报",
        "请填报2013年度本级台账",
    ]
    assert page.context["tasks"][0].reason.reason == "措施太笼统，请写明人和时间"
    assert page.context["sentence"].endswith("另有 1 件事待办。")
    text = page.content.decode()
    assert "措施太笼统" in text
    assert "第一次的理由" not in text


def test_a_correction_names_its_order_and_is_never_late(client, line):
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    correct(line)
    due_in(line, -10)

    page = desk(client, line.branch)

    (task,) = page.context["tasks"]
    assert task.title.startswith("2012年度需要更正（更正1号")
    assert page.context["sentence"].endswith("重新上报，请尽快办理。")
    assert "逾期" not in page.context["sentence"]
    assert "已逾期" not in page.content.decode()
    assert "下级改好、审核后重新上报" in desk(client, line.township).context["sentence"]
    submit(line.of("branch"))
    accept(line.of("branch"))
    ready = desk(client, line.township).context["first"]
    assert "下级已改好，请核对后重新上报" in ready.title
    assert ready.url == reverse("ratings:hand_in", args=[line.of("township").pk])


def test_a_reviewer_is_told_how_many_wait_and_who_is_late(client, line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    due_in(line, -1)

    page = desk(client, line.township)

    queue = reverse("ratings:queue", args=[line.cycle])
    assert [(task.title, task.url) for task in page.context["tasks"]] == [
        ("2012年度有 1 份下级材料等您审核", f"{queue}?state=submitted"),
        ("2012年度有 1 个下级逾期未报", f"{queue}?state=overdue#late"),
        ("2012年度等下级审核完才能上报", reverse("ratings:mine", args=[line.cycle])),
    ]
    late, waiting = page.context["tasks"][1:]
    assert late.text == line.units["sibling"].short_name
    assert waiting.text == "还有 2 个直接下级没有审核通过（未报 1 个、待审核 1 个）。"


def test_counts_of_the_subordinates_lead_to_what_they_count(client, line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    workflow.move("excuse", line.of("sibling"), by=line.township, reason="划出")

    (work,) = desk(client, line.township).context["works"]

    assert {tile["label"]: tile["count"] for tile in work.counts} == {
        "未报": 0,
        "待审核": 1,
        "已退回": 0,
        "已审核": 0,
        "免报": 1,
        "逾期": 0,
    }
    for tile in work.counts:
        assert len(client.get(tile["url"]).context["rows"]) == tile["count"]


def test_a_superior_whose_subordinates_are_accepted_may_report(client, line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))

    assert titles(desk(client, line.township)) == ["2012年度可以上报了"]


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (Role.FILL, ["2012年度等下级审核完才能上报"]),
        (Role.REVIEW, ["2012年度有 1 份下级材料等您审核"]),
        (Role.READ, []),
        (Role.MANAGE, []),
    ],
)
def test_each_role_gets_its_own_work_alone(client, line, role, expected):
    fill(line.of("branch"))
    submit(line.of("branch"))

    page = desk(client, appoint(line.units["township"], role))

    assert titles(page) == expected


BELOW = "直接下级应报 2 个，已审核 0 个，还差 2 个，下级上报截止12月31日24:00"
ONLY_READING = "您的角色是查阅，没有需要您填报或审核的事项。2012年度："


@pytest.mark.parametrize(
    ("unit", "role", "sentence", "page"),
    [
        ("branch", Role.FILL, "请填报2012年度本级台账，截止12月31日24:00，还有 30 天。", "fill"),
        (
            "township",
            Role.REVIEW,
            "2012年度有 1 份下级材料等您审核，截止12月31日24:00，还有 30 天。",
            "queue",
        ),
        (
            "township",
            Role.FILL,
            "2012年度等下级审核完才能上报，截止12月31日24:00，还有 30 天。",
            "mine",
        ),
        (
            "province",
            Role.FILL,
            "2012年度等下级审核完才能上报，下级上报截止12月31日24:00。",
            "mine",
        ),
        ("township", Role.READ, f"{ONLY_READING}{BELOW}。", "queue"),
        (
            "branch",
            Role.READ,
            f"{ONLY_READING}本级填报中，截止12月31日24:00，还有 30 天。",
            "mine",
        ),
        (
            "township",
            Role.MANAGE,
            "本级和直接下级有 3 个单位没有台账专人，请尽快办理任职。",
            "tree",
        ),
    ],
)
def test_the_first_sentence_says_what_to_do_and_until_when_with_one_press_to_it(
    client, line, monkeypatch, unit, role, sentence, page
):
    day = date(timezone.localdate().year, 12, 31)
    Report.objects.update(below_due_on=day)
    monkeypatch.setattr(timezone, "localdate", lambda *_: day - timedelta(days=30))
    fill(line.of("sibling"))
    submit(line.of("sibling"))

    answer = desk(client, appoint(line.units[unit], role))

    addresses = {
        "fill": reverse("ratings:fill", args=[line.of(unit).pk]),
        "queue": reverse("ratings:queue", args=[line.cycle]),
        "mine": reverse("ratings:mine", args=[line.cycle]),
        "tree": reverse("orgs:tree"),
    }
    assert answer.context["sentence"] == sentence
    first = answer.content.decode().partition("desk__sentence")[2]
    assert first[: first.index("</section>")].count("href=") == 1
    assert answer.context["first"].url.partition("?")[0] == addresses[page]
    assert client.get(answer.context["first"].url, follow=True).status_code == 200


def test_who_is_not_done_is_named_by_state(client, line):
    fill(line.of("branch"))
    submit(line.of("branch"))

    (work,) = desk(client, line.township).context["works"]

    names_of = {unit: line.units[unit].short_name for unit in ("branch", "sibling")}
    assert work.undone == [
        {"label": "未报", "count": 1, "names": names_of["sibling"]},
        {"label": "待审核", "count": 1, "names": names_of["branch"]},
    ]
    assert work.below_text.startswith("直接下级应报 2 个，已审核 0 个，还差 2 个")


def test_the_root_waits_for_a_second_person(client, line):
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    submit(line.of("province"), by=line.province)
    other = appoint(line.units["province"], Role.REVIEW)

    own = desk(client, line.province).context["tasks"]
    theirs = desk(client, other).context["tasks"]

    assert [(t.title, t.text) for t in own] == [
        ("2012年度已汇总上报，等待定稿", "定稿须由上报人以外的审核人员办理。")
    ]
    assert [(t.title, t.text) for t in theirs] == [("2012年度已汇总上报，等待定稿", "")]


def test_an_excused_unit_has_nothing_to_do_and_reads_why(client, line):
    workflow.move("excuse", line.of("branch"), by=line.township, reason="整体划出")

    page = desk(client, line.branch)

    assert titles(page) == []
    assert "免报，不需要办理：整体划出" in page.context["sentence"]


@pytest.mark.parametrize("who", ["township", "branch"])
def test_below_an_excused_unit_there_is_nothing_to_do(client, line, who):
    fill(line.of("sibling"))
    submit(line.of("sibling"))
    workflow.move("excuse", line.of("county"), by=line.province, reason="整体划出")
    due_in(line, -5)

    page = desk(client, getattr(line, who))

    assert titles(page) == []
    assert "上级“中共测试省甲县委员会”已免报，本级无需报送" in page.context["sentence"]
    assert "逾期 5 天" not in page.content.decode()


def test_a_closed_cycle_asks_for_nothing(client, line):
    Cycle.objects.update(state="closed")

    page = desk(client, appoint(line.units["branch"], Role.FILL, Role.REVIEW))

    assert (page.context["tasks"], page.context["works"]) == ([], [])
    assert page.context["sentence"] == "目前没有进行中的批次，没有需要您办理的事项。"


def test_names_beyond_the_first_are_counted():
    assert names(["甲", "乙"]) == "甲、乙"
    assert names(["村"] * (NAMED + 1)) == "、".join(["村"] * NAMED) + f"等 {NAMED + 1} 个"
    assert names(["甲"], 12) == "甲等 12 个"


# ---------------------------------------------------------------- reminders


def test_a_reminder_stands_on_the_desk_until_the_report_is_handed_in(client, line):
    due_in(line, -1)
    services.remind([line.of("branch")], by=line.township)
    text = Reminder.objects.get().text

    before = desk(client, line.branch)
    fill(line.of("branch"))
    submit(line.of("branch"))
    after = desk(client, line.branch)

    assert [reminder.text for reminder in before.context["reminders"]] == [text]
    assert text in before.content.decode()
    assert after.context["reminders"] == []


def test_a_reminder_of_another_unit_is_not_shown(client, line):
    due_in(line, -1)
    services.remind([line.of("sibling")], by=line.township)

    assert desk(client, line.branch).context["reminders"] == []


# ---------------------------------------------------------------- posts and administrators


def test_a_user_without_a_post_is_told_whom_to_ask(client, line):
    client.force_login(UserFactory())

    page = client.get(DESK)

    assert page.status_code == 200
    assert "您的账号目前没有任职" in page.content.decode()
    assert [item["label"] for item in page.context["nav"]] == ["工作台"]


def test_a_chosen_post_holds_for_every_later_page(client, line):
    appoint(line.units["county"], user=line.branch.user)
    client.force_login(line.branch.user)
    assert client.get(DESK).context["post"].organization == line.units["county"]

    pressed = client.post(
        reverse("choose_post"), {"organization": line.units["branch"].pk}, follow=True
    )

    assert said(pressed)[0].startswith("现在以“")
    assert pressed.context["post"].organization == line.units["branch"]
    assert client.get(DESK).context["post"].organization == line.units["branch"]


@pytest.mark.parametrize("asked", ["", "x", "\0", "9" * 40, "²", "-1", "branch"])
def test_a_post_one_does_not_hold_cannot_be_chosen(client, line, asked):
    client.force_login(line.branch.user)
    asked = line.units["sibling"].pk if asked == "branch" else asked

    pressed = client.post(reverse("choose_post"), {"organization": asked}, follow=True)

    assert said(pressed) == ["您在所选的单位没有任职，身份没有改变。"]
    assert pressed.context["post"].organization == line.units["branch"]


def test_a_chosen_post_that_ended_gives_way_to_the_next(client, line):
    appoint(line.units["county"], user=line.branch.user)
    client.force_login(line.branch.user)
    client.post(reverse("choose_post"), {"organization": line.units["branch"].pk})

    Appointment.objects.filter(user=line.branch.user, organization=line.units["branch"]).update(
        ended_on=timezone.localdate()
    )

    assert client.get(DESK).context["post"].organization == line.units["county"]


def test_choosing_a_post_takes_a_press(client, line):
    client.force_login(line.branch.user)

    assert client.get(reverse("choose_post")).status_code == 405


def test_an_administrator_sees_which_units_lack_people(client, line):
    post = appoint(line.units["township"], Role.MANAGE)
    Appointment.objects.filter(organization=line.units["branch"]).update(is_ledger_clerk=True)

    page = desk(client, post)

    (task,) = page.context["upkeep"]["tasks"]
    lacking = [line.units[unit].short_name for unit in ("township", "sibling")]
    assert (task.title, task.text) == (
        "本级和直接下级有 2 个单位没有台账专人",
        "、".join(lacking),
    )
    assert page.context["sentence"].startswith(task.title)
    assert [node.short_name for node in client.get(task.url).context["found"]] == lacking


def test_a_prepared_cycle_waits_for_the_administrator_at_the_top_alone(client, line):
    Cycle.objects.create(year=2013, round=1, title="2013年度")

    top = desk(client, appoint(line.units["province"], Role.MANAGE))
    below = desk(client, appoint(line.units["county"], Role.MANAGE))

    assert top.context["sentence"] == "批次“2013年度”正在准备，请核对后开始。"
    assert below.context["sentence"].startswith("本级和直接下级有 2 个单位没有台账专人")
    assert "2013年度" not in below.content.decode()


# ---------------------------------------------------------------- the way around


def test_the_navigation_counts_what_waits_and_leaves_out_what_one_has_not(client, line):
    fill(line.of("branch"))
    submit(line.of("branch"))

    township = desk(client, line.township).context["nav"]
    branch = desk(client, line.branch).context["nav"]

    assert {item["label"]: item.get("count") for item in township}["下级审核"] == 1
    assert [item["label"] for item in branch] == [
        "工作台",
        "本级填报",
        "汇总",
        "台账",
        "整改",
        "抽查",
        "批次",
        "组织",
        "我的下载",
    ]


def test_pages_of_a_cycle_offer_the_same_page_in_the_other_cycles(client, line):
    later = factories.open_cycle(2013)
    client.force_login(line.branch.user)

    page = client.get(reverse("ratings:ledger", args=[line.cycle]))

    assert [(one["title"], one["url"], one["current"]) for one in page.context["nav_cycles"]] == [
        ("2013年度", reverse("ratings:ledger", args=[later]), False),
        ("2012年度", reverse("ratings:ledger", args=[line.cycle]), True),
    ]
    assert list(desk(client, line.branch).context["nav_cycles"]) == []


def test_queries_of_the_desk_do_not_grow_with_subordinates_nor_cycles(client, line):
    def used():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert desk_again().status_code == 200
        return len(queries)

    def desk_again():
        return client.get(DESK)

    client.force_login(line.township.user)
    fill(line.of("branch"))
    submit(line.of("branch"))
    few = used()

    for n in range(4):
        factories.OrganizationFactory(name=f"新{n}村党支部", parent=line.units["township"])
    later = factories.open_cycle(2012, 2)
    for report in Report.objects.filter(cycle=later, parent__code="T").exclude(code="B1"):
        fill(report)
        submit(report)
    Report.objects.filter(cycle=later, code="T").update(
        below_due_on=timezone.localdate() - timedelta(days=1)
    )

    assert used() == few


def test_a_report_given_back_after_acceptance_says_so(client, line):
    hand_up(line.of("branch"))
    workflow.move("reopen", line.of("branch"), by=line.township, reason="定级有误")

    (task,) = desk(client, line.branch).context["tasks"]

    assert task.reason.reason == "定级有误"
    assert line.of("branch").state == State.RETURNED


def test_an_accepted_report_reads_as_done(client, line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    accept(line.of("branch"))

    page = desk(client, line.branch)

    assert "已审核通过" in page.context["sentence"]
    assert titles(page) == []
