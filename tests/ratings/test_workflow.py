"""The table of moves, line by line, and the rules around it."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs import tree
from orgs.choices import Kind, Role
from orgs.posts import system_post
from ratings import opening, services, workflow
from ratings.choices import CycleState, Grade, State
from ratings.models import LedgerEntry, Report, ReportMove
from ratings.verification import verify
from ratings.workflow import TRANSITIONS, Decision, Item, move, move_many
from tests.factories import (
    OrganizationFactory,
    UserFactory,
    accept,
    appoint,
    fill,
    hand_up,
    open_cycle,
    report_of,
    submit,
)

S = State
OPEN = {S.DRAFT, S.RETURNED}

# Who may do what from which state: written down from the notice, not from the code.
OWN_FILL, OWN_OTHER = "own 填报", "own 审核"
UP_FILL, UP_REVIEW, UP_READ, UP_MANAGE = (
    "superior 填报",
    "superior 审核",
    "superior 查阅",
    "superior 管理",
)
ABOVE, SIBLING, SYSTEM = "two levels up", "sibling", "system for the superior"
PLAYERS = (OWN_FILL, OWN_OTHER, UP_FILL, UP_REVIEW, UP_READ, UP_MANAGE, ABOVE, SIBLING, SYSTEM)
ALLOWED = {
    "submit": (OPEN, {OWN_FILL, UP_FILL, SYSTEM}),
    "recall": ({S.SUBMITTED}, {OWN_FILL}),
    "accept": ({S.SUBMITTED}, {UP_REVIEW, SYSTEM}),
    "send_back": ({S.SUBMITTED}, {UP_REVIEW, SYSTEM}),
    "regrade": ({S.ACCEPTED}, {UP_REVIEW, SYSTEM}),
    "reopen": ({S.ACCEPTED}, {UP_REVIEW, SYSTEM}),
    "excuse": (OPEN, {UP_REVIEW, SYSTEM}),
    "include": ({S.EXCUSED}, {UP_REVIEW, SYSTEM}),
    "extend": (OPEN, {UP_REVIEW, SYSTEM}),
}


@pytest.fixture
def players(line):
    units = line.units
    return {
        OWN_FILL: appoint(units["branch"], Role.FILL),
        OWN_OTHER: appoint(units["branch"], Role.REVIEW, Role.READ, Role.MANAGE),
        UP_FILL: appoint(units["township"], Role.FILL),
        UP_REVIEW: appoint(units["township"], Role.REVIEW),
        UP_READ: appoint(units["township"], Role.READ),
        UP_MANAGE: appoint(units["township"], Role.MANAGE),
        ABOVE: appoint(units["county"]),
        SIBLING: appoint(units["sibling"]),
        SYSTEM: system_post(units["township"]),
    }


def put(report, state, **values):
    """Set a state past the workflow, which is what is under test."""
    Report.objects.filter(pk=report.pk).update(state=state, **values)
    return report_of(report.organization, report.cycle)


def test_the_table_has_exactly_the_moves_that_are_tested():
    assert set(TRANSITIONS) == set(ALLOWED)


@pytest.mark.parametrize("state", list(State))
def test_every_move_is_open_to_whom_the_notice_says_and_to_no_one_else(line, players, state):
    report = put(line.of("branch"), state)

    found = {
        (action, player)
        for action in TRANSITIONS
        for player in PLAYERS
        if _may(action, report, players[player])
    }

    expected = {
        (action, player)
        for action, (states, who) in ALLOWED.items()
        for player in who
        if state in states
    }
    assert found == expected


def _may(action, report, post):
    try:
        workflow.check(action, report, post)
    except TransitionRefused:
        return False
    return True


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("action", list(TRANSITIONS))
def test_a_refused_move_leaves_state_and_history_untouched(line, players, state, action):
    report = put(line.of("branch"), state)
    events = AuditEvent.objects.count()

    with pytest.raises(TransitionRefused):
        move(action, report, by=players[SIBLING], reason="理由")

    after = report_of(report.organization)
    assert (after.state, after.token, after.number) == (state, report.token, 0)
    assert not ReportMove.objects.filter(report=report).exists()
    assert AuditEvent.objects.count() == events + 1  # of the refusal


@pytest.mark.parametrize("state", [CycleState.CLOSED, CycleState.PREPARING])
@pytest.mark.parametrize("action", list(TRANSITIONS))
def test_nothing_moves_outside_an_open_cycle(line, players, action, state):
    line.cycle.state = state
    line.cycle.save()
    report = put(line.of("branch"), next(iter(ALLOWED[action][0])))

    with pytest.raises(TransitionRefused, match="不能办理"):
        workflow.check(action, report, players[UP_REVIEW])


# ---------------------------------------------------------------- the way up


def test_a_row_goes_up_and_is_final_at_the_root_by_two_persons(line):
    first, second = appoint(line.units["province"]), appoint(line.units["province"])
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    hand_up(line.of("township"))
    hand_up(line.of("county"))

    submit(line.of("province"), by=first)
    with pytest.raises(TransitionRefused, match="定稿须由上报人以外的人员办理"):
        accept(line.of("province"), by=first)
    accept(line.of("province"), by=second)

    assert line.of("province").state == S.ACCEPTED
    assert ReportMove.objects.filter(report=line.of("province")).first().label == "定稿"


def test_a_report_waits_for_its_subordinates_and_names_them(line):
    hand_up(line.of("branch"))

    with pytest.raises(TransitionRefused, match="丁村党支部（填报中）"):
        submit(line.of("township"))

    assert line.of("township").state == S.DRAFT


def test_excused_subordinates_do_not_hold_up_a_report(line):
    hand_up(line.of("branch"))
    move("excuse", line.of("sibling"), by=line.township, reason="已撤并")

    submit(line.of("township"))

    assert line.of("township").state == S.SUBMITTED


def test_a_row_with_errors_is_not_submitted_and_all_errors_are_told(line):
    fill(line.of("branch"), measures=None, member_count=3)

    with pytest.raises(TransitionRefused) as refused:
        submit(line.of("branch"))

    assert "整改措施未填写" in str(refused.value)
    assert "女党员12人，多于党员总数3人" in str(refused.value)


def test_what_must_be_explained_holds_a_submit_until_it_is(line):
    since = timezone.localdate() - timedelta(days=200)
    report = fill(line.of("branch"))
    services.save_row(
        report, {"secretary_name": None, "secretary_vacant_since": since}, by=line.branch
    )

    with pytest.raises(TransitionRefused, match="书记空缺已超过3个月"):
        submit(line.of("branch"))
    services.save_row(report, {"explanations": {"vacant": "正在物色人选"}}, by=line.branch)
    submit(line.of("branch"))

    assert line.of("branch").state == S.SUBMITTED


def test_recall_goes_back_to_where_the_report_came_from(line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    move("recall", line.of("branch"), by=line.branch)
    first = line.of("branch").state

    submit(line.of("branch"))
    move(
        "send_back",
        line.of("branch"),
        by=line.township,
        reason="措施不具体",
        fields={"measures": "没有写明资金"},
    )
    submit(line.of("branch"))
    move("recall", line.of("branch"), by=line.branch)

    assert (first, line.of("branch").state) == (S.DRAFT, S.RETURNED)
    assert line.of("branch").number == 3
    sent_back = ReportMove.objects.get(action="send_back")
    assert sent_back.reason == "措施不具体"
    assert sent_back.data["fields"] == {"measures": "没有写明资金"}


@pytest.mark.parametrize(
    "action", ["send_back", "reopen", "excuse", "regrade", "include", "extend"]
)
def test_a_blank_reason_is_refused(line, action):
    report = put(line.of("branch"), next(iter(ALLOWED[action][0])))

    with pytest.raises(TransitionRefused, match="须写明理由"):
        move(action, report, by=line.township, reason="  ")


# ---------------------------------------------------------------- decisions


@pytest.fixture
def submitted(line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    return line


def decide(line, *decision, **named):
    return move(
        "accept", line.of("branch"), by=line.township, decision=Decision(*decision, **named)
    )


def test_the_notices_own_row_goes_through_unchanged(line):
    fill(
        line.of("branch"),
        declared_grade=Grade.FAIRLY_GOOD,
        proposed_target=Grade.FAIRLY_GOOD,
    )
    submit(line.of("branch"))

    decide(line, Grade.AVERAGE, "班子配合不够")

    entry = LedgerEntry.objects.get(report=line.of("branch"))
    assert (entry.declared_grade, entry.proposed_target) == ("fairly_good", "fairly_good")
    assert (entry.reviewed_grade, entry.target_grade) == ("average", "fairly_good")


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ((None,), "请选择审核定级类别"),
        ((Grade.AVERAGE,), "请写明理由"),
        ((Grade.AVERAGE, "理由", Grade.AVERAGE), "目标应高于“一般”"),
        ((Grade.FAIRLY_GOOD, "", Grade.POOR), "目标应高于“较好”"),
        ((Grade.GOOD, "理由", Grade.FAIRLY_GOOD), "目标应为“好”"),
        ((Grade.POOR, "理由", Grade.GOOD), "越级"),
    ],
)
def test_a_decision_against_the_rules_is_refused(submitted, decision, said):
    with pytest.raises(TransitionRefused, match=said):
        decide(submitted, *decision)

    assert submitted.of("branch").state == S.SUBMITTED


def test_a_proposal_that_the_reviewed_grade_forbids_needs_a_choice(line):
    fill(line.of("branch"), proposed_target=Grade.AVERAGE)
    submit(line.of("branch"))

    with pytest.raises(TransitionRefused, match="请选定晋位升级目标"):
        decide(line, Grade.FAIRLY_GOOD)


def test_a_raised_grade_and_a_jump_pass_with_their_reasons(submitted):
    decide(submitted, Grade.POOR, "问题突出", Grade.FAIRLY_GOOD, "已派驻工作组")

    entry = LedgerEntry.objects.get(report=submitted.of("branch"))
    assert (entry.reviewed_grade, entry.target_grade) == ("poor", "fairly_good")
    assert (entry.review_reason, entry.target_reason) == ("问题突出", "已派驻工作组")


def test_regrade_changes_only_the_decision_and_refuses_the_same_one(submitted):
    decide(submitted, Grade.FAIRLY_GOOD)
    again = {"by": submitted.township, "reason": "复核"}

    with pytest.raises(TransitionRefused, match="都没有改变"):
        move("regrade", submitted.of("branch"), decision=Decision(Grade.FAIRLY_GOOD), **again)
    move(
        "regrade",
        submitted.of("branch"),
        decision=Decision(Grade.AVERAGE, "复核", Grade.FAIRLY_GOOD),
        **again,
    )

    report = submitted.of("branch")
    assert (report.state, report.entry.reviewed_grade) == (S.ACCEPTED, "average")
    assert report.entry.declared_grade == "fairly_good"


def test_reopening_takes_the_decision_back_and_needs_the_superior_open(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))

    with pytest.raises(TransitionRefused, match="本级已上报"):
        move("reopen", line.of("branch"), by=line.township, reason="有误")
    move("send_back", line.of("township"), by=line.county, reason="请核对")
    move("reopen", line.of("branch"), by=line.township, reason="有误")

    report = line.of("branch")
    assert (report.state, report.accepted_version) == (S.RETURNED, None)
    assert report.entry.reviewed_grade is None


# ---------------------------------------------------------------- persons


def test_no_one_decides_on_a_unit_where_they_hold_any_post(submitted):
    both = appoint(submitted.units["township"], Role.REVIEW)
    appoint(submitted.units["branch"], Role.READ, user=both.user)

    with pytest.raises(TransitionRefused, match="不能审核该单位") as refused:
        accept(submitted.of("branch"), by=both)

    assert str(submitted.township.user) in str(refused.value)  # who can


def test_whoever_submitted_from_the_unit_cannot_decide_after_leaving_it(line):
    post = appoint(line.units["branch"], Role.FILL)
    fill(line.of("branch"))
    submit(line.of("branch"), by=post)
    post.user.appointments.update(ended_on=timezone.localdate())
    promoted = appoint(line.units["township"], Role.REVIEW, user=post.user)

    with pytest.raises(TransitionRefused, match="曾代表其上报"):
        accept(line.of("branch"), by=promoted)


def test_filling_in_for_a_subordinate_and_deciding_is_allowed_and_marked(line):
    fill(line.of("branch"), by=line.township)
    submit(line.of("branch"), by=line.township)
    accept(line.of("branch"), by=line.township)

    marks = dict(ReportMove.objects.values_list("action", "mark"))
    assert marks == {"submit": "代填", "accept": "同一人代填并审核"}


def test_an_ended_appointment_counts_no_more(submitted):
    both = appoint(submitted.units["township"], Role.REVIEW)
    former = appoint(submitted.units["branch"], Role.READ, user=both.user)
    former.user.appointments.filter(organization=submitted.units["branch"]).update(
        ended_on=timezone.localdate()
    )

    accept(submitted.of("branch"), by=both)

    assert submitted.of("branch").state == S.ACCEPTED


# ---------------------------------------------------------------- excusing


def test_a_rated_unit_with_subordinates_has_only_its_own_row_excused(line):
    general = OrganizationFactory(
        code="G",
        name="总支",
        kind=Kind.GENERAL_BRANCH,
        is_rated=True,
        parent=line.units["township"],
    )
    OrganizationFactory(code="G1", name="一支部", parent=general)
    cycle = open_cycle(2012, 2)
    report = report_of(general, cycle)

    move("excuse", report, by=line.township, reason="新建")
    excused = report_of(general, cycle)
    move("include", excused, by=line.township, reason="纳入")

    assert (excused.state, excused.is_row_excused, excused.excuse_reason) == (S.DRAFT, True, "新建")
    after = report_of(general, cycle)
    assert (after.state, after.is_row_excused, after.excuse_reason) == (S.DRAFT, False, "")


def test_what_is_below_an_excused_unit_makes_no_moves_and_keeps_its_state(line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    move("excuse", line.of("township"), by=line.county, reason="另行安排")

    with pytest.raises(TransitionRefused, match="已免报"):
        accept(line.of("branch"))
    with pytest.raises(TransitionRefused, match="已免报"):
        services.save_row(line.of("sibling"), {"features": "改"}, by=line.sibling)

    assert line.of("branch").state == S.SUBMITTED
    assert workflow.open_to(line.of("branch"), line.township) == []


def test_including_goes_back_to_returned_where_a_version_exists(submitted):
    move("send_back", submitted.of("branch"), by=submitted.township, reason="补充")
    move("excuse", submitted.of("branch"), by=submitted.township, reason="撤并")
    move("include", submitted.of("branch"), by=submitted.township, reason="未撤")
    move("excuse", submitted.of("sibling"), by=submitted.township, reason="撤并")
    move("include", submitted.of("sibling"), by=submitted.township, reason="未撤")

    assert submitted.of("branch").state == S.RETURNED
    assert submitted.of("sibling").state == S.DRAFT


# ---------------------------------------------------------------- dates


def test_an_extension_moves_one_units_day_within_the_superiors_own(line):
    due = line.of("branch").due_on
    above = line.of("township").due_on
    entered = {"by": line.township, "reason": "换届"}

    for until in (due, above + timedelta(days=1), timezone.localdate() - timedelta(days=1), None):
        with pytest.raises(TransitionRefused):
            move("extend", line.of("branch"), until=until, **entered)
    move("extend", line.of("branch"), until=above, **entered)

    assert line.of("branch").due_on == above
    assert line.of("sibling").due_on == due


def test_lateness_begins_at_midnight_in_beijing(line, monkeypatch):
    from datetime import UTC, datetime

    Report.objects.filter(pk=line.of("township").pk).update(below_due_on="2012-08-09")
    moments = {
        datetime(2012, 8, 9, 15, 59, 59, tzinfo=UTC): False,
        datetime(2012, 8, 9, 16, 0, 0, tzinfo=UTC): True,
        datetime(2012, 8, 9, 23, 59, tzinfo=UTC): True,
    }

    for moment, late in moments.items():
        monkeypatch.setattr(timezone, "now", lambda moment=moment: moment)
        assert line.of("branch").is_overdue is late
        assert Report.objects.overdue().filter(code="B1").exists() is late


# ---------------------------------------------------------------- two at once


def test_a_stale_page_decides_nothing(submitted):
    read = submitted.of("branch").token
    move("recall", submitted.of("branch"), by=submitted.branch)
    services.save_row(submitted.of("branch"), {"declared_grade": Grade.GOOD}, by=submitted.branch)
    submit(submitted.of("branch"))

    with pytest.raises(TransitionRefused, match="内容已变更，请重新查看"):
        move(
            "accept",
            submitted.of("branch"),
            by=submitted.township,
            token=read,
            decision=Decision(Grade.FAIRLY_GOOD),
        )

    assert submitted.of("branch").state == S.SUBMITTED


def test_the_later_save_of_an_old_form_is_refused_and_loses_nothing(line):
    token = line.of("branch").token
    services.save_row(line.of("branch"), {"measures": "二"}, by=line.branch, token=token)

    with pytest.raises(services.Conflict):
        services.save_row(
            line.of("branch"), {"contact_leader": "王五"}, by=line.township, token=token
        )

    entry = line.of("branch").entry
    assert (entry.measures, entry.contact_leader) == ("二", None)


@pytest.mark.django_db(transaction=True)
def test_eight_accepts_at_once_give_one_decision_and_seven_refusals(line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    token = line.of("branch").token
    reviewers = [appoint(line.units["township"], Role.REVIEW) for _ in range(8)]
    barrier, answers = threading.Barrier(8), []

    def press(post):
        barrier.wait()
        try:
            move(
                "accept",
                Report.objects.get(code="B1"),
                by=post,
                token=token,
                decision=Decision(Grade.FAIRLY_GOOD),
            )
            answers.append("accepted")
        except TransitionRefused as refusal:
            answers.append(str(refusal))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press, args=(post,)) for post in reviewers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == ["accepted", *["当前状态为“已审核”，不能审核通过"] * 7]
    assert ReportMove.objects.filter(action="accept").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_double_press_of_submit_makes_one_version(line):
    fill(line.of("branch"))
    token = line.of("branch").token
    barrier, answers = threading.Barrier(2), []

    def press():
        barrier.wait()
        try:
            move("submit", Report.objects.get(code="B1"), by=line.branch, token=token)
            answers.append("submitted")
        except TransitionRefused:
            answers.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == ["refused", "submitted"]
    assert line.of("branch").versions.count() == 1


# ---------------------------------------------------------------- batches


def township_with(line, count):
    town = OrganizationFactory(
        code=f"W{count}", name=f"{count}乡委", kind=Kind.COMMITTEE, parent=line.units["county"]
    )
    for n in range(count):
        OrganizationFactory(code=f"W{count}B{n}", name=f"{n}村党支部", parent=town)
    return town


def test_a_batch_costs_the_same_queries_for_two_reports_as_for_nine(line):
    towns = [township_with(line, 2), township_with(line, 9)]
    cycle = open_cycle(2012, 2)
    queries = []

    for town in towns:
        reports = list(Report.objects.filter(cycle=cycle, parent__organization=town))
        for report in reports:
            fill(report)
        items = [Item(report.pk, decision=Decision(Grade.FAIRLY_GOOD)) for report in reports]
        by = system_post(town)
        with CaptureQueriesContext(
            connection,
        ) as submit_queries:
            submitted = move_many("submit", items, by=by)
        with CaptureQueriesContext(connection) as accept_queries:
            accepted = move_many("accept", items, by=by)
        assert (submitted.left_out, accepted.left_out) == ([], [])
        assert len(accepted.moved) == len(reports)
        queries.append((len(submit_queries), len(accept_queries)))

    assert queries[0] == queries[1]


def test_a_batch_names_what_it_leaves_out_and_moves_the_rest(line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    items = [
        Item(line.of(name).pk, decision=Decision(Grade.FAIRLY_GOOD))
        for name in ("branch", "sibling")
    ]

    outcome = move_many("accept", items, by=line.township)

    assert [report.code for report in outcome.moved] == ["B1"]
    assert [(report.code, why) for report, why in outcome.left_out] == [
        ("B2", "当前状态为“填报中”，不能审核通过")
    ]


def test_a_forged_key_in_a_batch_moves_nothing(submitted):
    outcome = move_many("accept", [Item(10**9)], by=submitted.township)

    assert (outcome.moved, outcome.left_out) == ([], [])


def test_reports_of_two_superiors_are_no_batch(line):
    with pytest.raises(ValueError, match="one superior"):
        move_many(
            "submit", [Item(line.of("branch").pk), Item(line.of("county").pk)], by=line.county
        )


# ---------------------------------------------------------------- life of a cycle


def test_a_cycle_closes_only_when_its_root_is_final_and_comes_back_with_a_reason(line):
    by = line.province
    with pytest.raises(TransitionRefused, match="定稿后才能关闭"):
        opening.close_cycle(line.cycle, by=by)
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    hand_up(line.of("province"))

    assert opening.close_cycle(line.cycle, by=by).state == CycleState.CLOSED
    with pytest.raises(TransitionRefused, match="理由"):
        opening.reopen_cycle(line.cycle, reason=" ", by=by)
    assert opening.reopen_cycle(line.cycle, reason="更正", by=by).state == CycleState.OPEN


def test_a_user_without_any_post_is_refused_everything(line):
    from orgs.posts import Post

    nobody = Post(line.units["sibling"], frozenset(), UserFactory())

    assert workflow.open_to(line.of("branch"), nobody) == []
    with pytest.raises(TransitionRefused):
        services.save_row(line.of("branch"), {"features": "x"}, by=nobody)


def test_a_return_that_gives_its_reasons_field_by_field_needs_no_other(submitted):
    move(
        "send_back",
        submitted.of("branch"),
        by=submitted.township,
        fields={"measures": "没有写明资金", "problems": ""},
    )

    assert submitted.of("branch").state == S.RETURNED


@pytest.mark.parametrize("action", ["excuse", "extend"])
def test_the_root_is_neither_excused_nor_extended(line, action):
    with pytest.raises(TransitionRefused, match="最高一级"):
        move(
            action,
            line.of("province"),
            by=line.province,
            reason="理由",
            until=line.of("county").due_on,
        )

    assert action not in workflow.open_to(line.of("province"), line.province)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_last_hour_has_no_deadlock_while_organizations_are_inserted(line):
    """Edits, submits, batches of two superiors and inserts into the tree, all at once."""
    units = line.units
    towns, failures = [units["township"]], []
    towns.append(
        OrganizationFactory(
            code="T2", name="中共测试省甲县戊乡委员会", kind="committee", parent=units["county"]
        )
    )
    for town in towns:
        for n in range(6):
            OrganizationFactory(code=f"{town.code}N{n}", name=f"{n}村党支部", parent=town)
    cycle = open_cycle(2012, 2)
    branches = {town.code: list(cycle.reports.filter(parent__code=town.code)) for town in towns}

    def run(work):
        try:
            work()
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    def hand_in(report):
        fill(report)
        submit(report)

    def accept_all(town):
        for _ in range(12):
            waiting = branches[town.code]
            items = [Item(r.pk, decision=Decision(Grade.FAIRLY_GOOD)) for r in reversed(waiting)]
            move_many("accept", items, by=system_post(town))

    jobs = [lambda r=r: hand_in(r) for town in towns for r in branches[town.code]]
    jobs += [lambda town=town: accept_all(town) for town in towns]
    jobs += [
        lambda n=n: OrganizationFactory(code=f"NEW{n}", name=f"新{n}村党支部", parent=towns[n % 2])
        for n in range(8)
    ]
    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    for town in towns:
        accept_all(town)
    states = set(cycle.reports.filter(parent__code__in=branches).values_list("state", flat=True))
    assert states == {S.ACCEPTED}
    assert tree.check() == verify() == []
