"""批次: who sees which cycles, and who may make, open, close and reopen them."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from ledger_site.jobs.choices import JobState
from ledger_site.jobs.models import Job
from ledger_site.jobs.services import run as run_job
from orgs.choices import Duty, Role
from orgs.models import Category
from ratings import opening
from ratings.choices import CycleState, State
from ratings.models import Cycle, Report

from .. import factories
from ..factories import UserFactory, appoint, hand_up

LIST, NEW = reverse("ratings:cycles"), reverse("ratings:new_cycle")


def said(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def act_on(cycle, action):
    return reverse("ratings:cycle_act", args=[cycle, action])


@pytest.fixture
def manager(client, line):
    post = appoint(line.units["province"], Role.MANAGE)
    client.force_login(post.user)
    return post


HUGE = "9" * 30


def prepared(**values):
    return Cycle.objects.create(**{"year": 2013, "round": 1, "title": "2013年度", **values})


def form(**changed):
    return {"year": "2013", "round": "1", "days_per_level": "7", **changed}


# ---------------------------------------------------------------- seeing


def test_a_prepared_cycle_is_seen_by_the_administrators_at_the_top_alone(client, line, manager):
    cycle = prepared()
    others = [line.branch, line.county, appoint(line.units["province"], Role.FILL, Role.REVIEW)]

    listed = [row["cycle"] for row in client.get(LIST).context["rows"]]

    assert listed == [cycle, line.cycle]
    assert client.get(reverse("ratings:cycle", args=[cycle])).status_code == 200
    for post in others:
        client.force_login(post.user)
        page = client.get(LIST)
        assert [row["cycle"] for row in page.context["rows"]] == [line.cycle]
        assert "新建批次" not in page.content.decode()
        assert client.get(reverse("ratings:cycle", args=[cycle])).status_code == 404


def test_a_cycle_shows_the_units_own_progress(client, line):
    hand_up(line.of("branch"))
    client.force_login(line.township.user)

    page = client.get(reverse("ratings:cycle", args=[line.cycle]))

    counts = {one["label"]: one["count"] for one in page.context["progress"]}
    assert {label: n for label, n in counts.items() if n} == {"填报中": 1, "已审核": 1}
    assert page.context["report"] == line.of("township")
    assert page.context["action"] == ""


def test_the_late_are_counted_on_the_page_of_the_cycle(client, line):
    Report.objects.filter(pk=line.of("township").pk).update(
        below_due_on=timezone.localdate() - timedelta(days=1)
    )
    client.force_login(line.township.user)

    page = client.get(reverse("ratings:cycle", args=[line.cycle]))

    assert page.context["late_count"] == 2
    assert "其中逾期未报 2 个" in page.content.decode()


def test_a_previous_cycle_in_which_the_unit_had_no_part_is_named_without_a_link(client, line):
    unseen = prepared(year=2011, title="2011年度", state=CycleState.CLOSED)
    Cycle.objects.filter(pk=line.cycle.pk).update(previous=unseen)
    client.force_login(line.branch.user)

    text = client.get(reverse("ratings:cycle", args=[line.cycle])).content.decode()

    assert "2011年度" in text
    assert reverse("ratings:cycle", args=[unseen]) not in text


@pytest.mark.parametrize("label", ["2099-1", "2012-99", "0000-0", "9999-99"])
def test_a_cycle_that_is_not_there_is_a_404(client, line, manager, label):
    assert client.get(f"/cycles/{label}/").status_code == 404


def test_queries_of_the_list_do_not_grow_with_the_cycles(client, line):
    client.force_login(line.branch.user)

    def used():
        with CaptureQueriesContext(connection) as queries:
            assert len(client.get(LIST).context["rows"]) == Cycle.objects.count()
        return len(queries)

    few = used()
    for number in (2, 3, 4):
        factories.open_cycle(2012, number, previous=line.cycle)

    assert used() == few


# ---------------------------------------------------------------- making


def test_a_new_cycle_is_prepared_and_named_by_its_year(client, line, manager):
    pressed = client.post(NEW, form(previous=line.cycle.pk), follow=True)

    cycle = Cycle.objects.get(year=2013)
    assert (cycle.title, cycle.state, cycle.previous) == (
        "2013年度",
        CycleState.PREPARING,
        line.cycle,
    )
    assert said(pressed) == ["已新建“2013年度”，核对后可以开始"]
    assert pressed.redirect_chain == [(reverse("ratings:cycle", args=[cycle]), 302)]
    event = AuditEvent.objects.get(action="create_cycle", object_id=cycle.pk)
    assert event.person_id == manager.person_id


def test_a_new_cycle_takes_kinds_and_categories(client, line, manager):
    village = Category.objects.get(code="village")

    client.post(NEW, form(kinds=["branch"], categories=[village.pk], title="试点"))

    cycle = Cycle.objects.get(year=2013)
    assert (cycle.title, cycle.kinds, list(cycle.categories.all())) == (
        "试点",
        ["branch"],
        [village],
    )
    page = client.get(reverse("ratings:cycle", args=[cycle])).content.decode()
    assert "党支部" in page
    assert village.name in page


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"year": "1999"}, "year"),
        ({"year": "2999"}, "year"),
        ({"year": HUGE}, "year"),
        ({"year": "二〇一三"}, "year"),
        ({"year": ""}, "year"),
        ({"round": "0"}, "round"),
        ({"round": "100"}, "round"),
        ({"round": HUGE}, "round"),
        ({"year": "2012"}, "__all__"),
        ({"title": "x" * 121}, "title"),
        ({"title": "\0"}, "title"),
        ({"previous": HUGE}, "previous"),
        ({"previous": "x"}, "previous"),
        ({"final_due_on": "2012-01-01"}, "final_due_on"),
        ({"final_due_on": "明年"}, "final_due_on"),
        ({"days_per_level": HUGE}, "days_per_level"),
        ({"days_per_level": "-1"}, "days_per_level"),
        ({"kinds": ["nonsense"]}, "kinds"),
        ({"categories": ["x"]}, "categories"),
        ({"categories": [HUGE]}, "categories"),
        ({"categories": ["\0"]}, "categories"),
    ],
)
def test_what_makes_no_sense_is_said_at_its_field_and_nothing_is_made(
    client, line, manager, changed, field
):
    page = client.post(NEW, form(**changed))

    assert page.status_code == 200
    assert list(page.context["form"].errors) == [field]
    assert list(Cycle.objects.all()) == [line.cycle]


def test_the_form_proposes_this_year_and_the_newest_cycle(client, line, manager):
    initial = client.get(NEW).context["form"].initial

    assert initial == {"year": timezone.localdate().year, "previous": line.cycle}


# ---------------------------------------------------------------- changing


def edit(cycle):
    return reverse("ratings:edit_cycle", args=[cycle])


def test_everything_of_a_prepared_cycle_can_be_changed(client, line, manager):
    village, organ = (Category.objects.get(code=code) for code in ("village", "organ"))
    cycle = prepared(kinds=["branch"])
    cycle.categories.set([village])
    page = client.get(edit(cycle))
    entered = page.context["form"].initial
    assert (entered["kinds"], entered["categories"]) == (["branch"], [village.pk])
    day = timezone.localdate() + timedelta(days=30)
    changed = {
        "year": "2014",
        "title": "试点",
        "previous": line.cycle.pk,
        "final_due_on": day.isoformat(),
        "remind_days": "5",
        "kinds": ["general_branch"],
        "categories": [organ.pk],
        "token": "0",
    }

    pressed = client.post(edit(cycle), form(**changed), follow=True)

    assert said(pressed) == ["“试点”：已保存"]
    cycle.refresh_from_db()
    assert (cycle.label, cycle.title, cycle.previous) == ("2014-1", "试点", line.cycle)
    assert (cycle.final_due_on, cycle.remind_days, cycle.token) == (day, 5, 1)
    assert (cycle.kinds, list(cycle.categories.all())) == (["general_branch"], [organ])
    event = AuditEvent.objects.get(action="edit_cycle")
    assert event.person_id == manager.person_id
    assert event.data["categories"] == [[village.pk], [organ.pk]]
    assert event.data["previous"] == [None, "2012年度"]
    # The same again is no change and leaves nothing; nobody writes over what was not seen.
    client.post(edit(cycle), form(**changed | {"token": "1"}))
    stale = client.post(edit(cycle), form(**changed | {"title": "旧页面"}))
    assert AuditEvent.objects.filter(action="edit_cycle", result="done").count() == 1
    assert "刚刚由他人修改" in stale.context["form"].non_field_errors()[0]
    assert 'value="旧页面"' in stale.content.decode()  # nothing typed is lost
    cycle.refresh_from_db()
    assert (cycle.title, cycle.token) == ("试点", 1)


@pytest.mark.parametrize("state", [CycleState.OPEN, CycleState.CLOSED])
def test_of_a_cycle_that_has_begun_name_and_reminders_alone_can_be_changed(
    client, line, manager, state
):
    Cycle.objects.update(state=state)
    fields = client.get(edit(line.cycle)).context["form"].fields
    assert set(fields) == {"title", "remind_days"}

    values = {"title": "二〇一二年", "remind_days": "", "token": "0", "days_per_level": "1"}
    client.post(edit(line.cycle), form(**values))

    cycle = Cycle.objects.get()
    assert (cycle.year, cycle.title, cycle.remind_days) == (2012, "二〇一二年", None)
    assert cycle.days_per_level == 7
    with pytest.raises(TransitionRefused, match="只能修改名称和自动催报"):
        opening.edit_cycle(cycle, {"days_per_level": 1}, by=manager, token=cycle.token)


@pytest.mark.parametrize(
    ("changed", "said_at"),
    [
        ({"year": "2012"}, "__all__"),
        ({"title": ""}, "title"),
        ({"remind_days": "61"}, "remind_days"),
        ({"remind_days": HUGE}, "remind_days"),
        ({"previous": "self"}, "previous"),
    ],
)
def test_a_change_that_makes_no_sense_is_said_at_its_field(client, line, manager, changed, said_at):
    cycle = prepared()
    changed = {name: cycle.pk if value == "self" else value for name, value in changed.items()}

    page = client.post(edit(cycle), form(**{"title": "试点", "token": "0"} | changed))

    assert list(page.context["form"].errors) == [said_at]
    assert "2013年度" in page.content.decode()  # the page is still that of this cycle
    assert Cycle.objects.filter(pk=cycle.pk, token=0).exists()


@pytest.mark.parametrize("duty", Duty.values)
def test_cycles_are_the_system_administrators_work_and_no_other_ones(client, line, duty):
    """From the first page to the reopening, without a post; the trail says by whom."""
    user = UserFactory(duty=duty, is_staff=True, full_name="系统员")
    client.force_login(user)
    if duty != Duty.SYSTEM:
        for address in (NEW, edit(line.cycle), act_on(line.cycle, "close")):
            assert client.get(address).status_code == 404
        assert client.get(LIST).context["rows"] == []
        return

    assert reverse("ratings:cycles") in client.get(reverse("desk")).content.decode()
    client.post(NEW, form(previous=line.cycle.pk))
    cycle = Cycle.objects.get(year=2013)
    page = client.get(reverse("ratings:cycle", args=[cycle]))
    offered = ("may_edit", "may_write_notice", "may_set_score_sheet")
    assert [page.context[name] for name in offered] == [True, False, False]
    client.post(edit(cycle), form(title="试点", previous=line.cycle.pk, token="0"))
    client.post(act_on(cycle, "open"))
    assert Cycle.objects.get(pk=cycle.pk).state == CycleState.OPEN
    close(line)
    client.post(act_on(line.cycle, "close"))
    client.post(act_on(line.cycle, "reopen"), {"reason": "核查"})

    found = AuditEvent.objects.filter(person_name="系统员", result="done")
    acts = found.exclude(action="sign_in").order_by("pk")
    assert [(one.action, one.post) for one in acts] == [
        (action, "系统管理员")
        for action in ("create_cycle", "edit_cycle", "open_cycle", "close_cycle", "reopen_cycle")
    ]
    # What is in the cycles stays closed.
    assert client.get(line.of("province").get_absolute_url()).status_code == 404


def test_a_large_cycle_is_opened_in_the_background_for_the_system_administrator(
    client, line, monkeypatch, settings, tmp_path
):
    settings.JOBS_DIR = tmp_path
    monkeypatch.setattr("ratings.jobs.LARGE", 1)
    client.force_login(UserFactory(duty=Duty.SYSTEM, is_staff=True))
    cycle = prepared()

    answer = client.post(act_on(cycle, "open"))

    job = Job.objects.get()
    assert answer.url == job.get_absolute_url()
    assert client.get(answer.url).status_code == 200
    run_job(job.pk, 1)
    job.refresh_from_db()
    assert (job.state, Cycle.objects.get(pk=cycle.pk).state) == (JobState.DONE, CycleState.OPEN)


# ---------------------------------------------------------------- opening, closing, reopening


def test_a_prepared_cycle_is_opened_after_a_question(client, line, manager):
    cycle = prepared()

    asked = client.get(act_on(cycle, "open"))
    untouched = Cycle.objects.get(pk=cycle.pk).state
    pressed = client.post(act_on(cycle, "open"), follow=True)

    assert asked.context["question"] == "确定开始“2013年度”吗？"
    assert untouched == CycleState.PREPARING
    assert said(pressed) == ["“2013年度”：已开始批次"]
    assert Cycle.objects.get(pk=cycle.pk).state == CycleState.OPEN
    assert Report.objects.filter(cycle=cycle).count() == 5
    event = AuditEvent.objects.get(action="open_cycle", object_id=cycle.pk)
    assert event.person_id == manager.person_id


def test_a_cycle_in_whose_scope_there_is_nothing_is_not_opened(client, line, manager):
    cycle = prepared(kinds=["general_branch"])

    pressed = client.post(act_on(cycle, "open"), follow=True)

    assert said(pressed) == ["没有纳入定级的党组织，不能开始批次；请先导入组织并标记纳入定级"]
    assert Cycle.objects.get(pk=cycle.pk).state == CycleState.PREPARING
    assert not Report.objects.filter(cycle=cycle).exists()


def test_a_cycle_is_not_closed_before_its_root_is_final(client, line, manager):
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    factories.submit(line.of("province"))

    pressed = client.post(act_on(line.cycle, "close"), follow=True)

    assert said(pressed) == ["“中共测试省委员会”已上报，定稿后才能关闭批次"]
    assert Cycle.objects.get(pk=line.cycle.pk).state == CycleState.OPEN


def close(line):
    for name in ("branch", "sibling", "township", "county", "province"):
        hand_up(line.of(name))


def test_a_final_cycle_is_closed_and_can_be_reopened_with_a_reason(client, line, manager):
    close(line)

    closed = client.post(act_on(line.cycle, "close"), follow=True)
    assert said(closed) == ["“2012年度”：已关闭批次"]
    assert Cycle.objects.get(pk=line.cycle.pk).state == CycleState.CLOSED
    assert closed.context["action"] == "reopen"

    reopened = client.post(act_on(line.cycle, "reopen"), {"reason": "核\0查 "}, follow=True)

    assert said(reopened) == ["“2012年度”：已恢复批次"]
    cycle = Cycle.objects.get(pk=line.cycle.pk)
    assert (cycle.state, cycle.closed_on) == (CycleState.OPEN, None)
    assert AuditEvent.objects.get(action="reopen_cycle").reason == "核查"


@pytest.mark.parametrize("reason", ["", "  \n", "\0"])
def test_reopening_without_a_reason_asks_for_one(client, line, manager, reason):
    close(line)
    client.post(act_on(line.cycle, "close"))

    page = client.post(act_on(line.cycle, "reopen"), {"reason": reason})

    assert page.context["error"] == "恢复批次须写明理由"
    assert "恢复批次须写明理由" in page.content.decode()
    assert Cycle.objects.get(pk=line.cycle.pk).state == CycleState.CLOSED


@pytest.mark.parametrize(
    ("action", "sentence"),
    [("open", "批次进行中，不能再次开始"), ("reopen", "批次进行中，不需要恢复")],
)
def test_a_press_on_an_old_page_is_refused_in_a_plain_sentence(
    client, line, manager, action, sentence
):
    pressed = client.post(act_on(line.cycle, action), {"reason": "旧页面"}, follow=True)

    assert said(pressed) == [sentence]
    assert Cycle.objects.get(pk=line.cycle.pk).state == CycleState.OPEN


@pytest.mark.parametrize("action", ["nonsense", "delete", "create"])
def test_there_are_no_other_acts(client, line, manager, action):
    assert client.post(act_on(line.cycle, action)).status_code == 404


@pytest.mark.parametrize(
    ("unit", "roles"),
    [
        ("province", (Role.FILL, Role.REVIEW, Role.READ)),
        ("county", tuple(Role)),
        ("branch", (Role.MANAGE,)),
    ],
)
def test_a_forged_press_by_anybody_else_finds_nothing_and_changes_nothing(
    client, line, unit, roles
):
    cycle = prepared()
    close(line)
    client.force_login(appoint(line.units[unit], *roles).user)

    answers = [
        client.post(address, {"reason": "伪造", **form(year="2014")}).status_code
        for address in (
            NEW,
            act_on(cycle, "open"),
            act_on(line.cycle, "close"),
            act_on(line.cycle, "reopen"),
        )
    ]

    assert answers == [404] * 4
    assert set(Cycle.objects.values_list("year", "state")) == {
        (2012, CycleState.OPEN),
        (2013, CycleState.PREPARING),
    }
    assert line.of("province").state == State.ACCEPTED
