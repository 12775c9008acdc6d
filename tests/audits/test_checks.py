"""Spot checks: drawn from below, opened for their time, found, mended from the top down."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from audits import drawing, summary, workflow
from audits.choices import CheckState, Method
from audits.models import (
    Finding,
    FindingFile,
    Look,
    Practice,
    Remedy,
    RequestedCorrection,
    SampleRow,
    SpotCheck,
)
from audits.services import checks, outcomes
from audits.services.checks import Asked, Found
from audits.workflow import CLOSE, DROP, EXTEND, REPLY, SEND_BACK, START, VERIFY
from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings import opening, services, verification, versions
from ratings import workflow as moves
from ratings.choices import State
from ratings.models import CorrectionOrder, ReportVersion
from ratings.views import showing
from tests.factories import OrganizationFactory, accept, appoint, fill, hand_up, open_cycle, submit

pytestmark = pytest.mark.django_db
GOOD = dict.fromkeys(checks.ITEMS, ("good", ""))
TODAY = timezone.localdate


def asked(**values) -> Asked:
    given = {"title": "上半年抽查", "purpose": "核实定级", "method": Method.ALL}
    return Asked(**{**given, **values})


def draw(line, who="county", **values) -> SpotCheck:
    return checks.create_check(line.of(who), asked(**values), by=getattr(line, who))


def act(action, check, by, reason="查完了"):
    check = SpotCheck.objects.get(pk=check.pk)
    return workflow.act(action, check, reason=reason, token=check.token, by=by)


def started(line, who="county", **values) -> SpotCheck:
    return act(START, draw(line, who, **values), getattr(line, who))


def row_of(check, code="B1") -> SampleRow:
    related = ("spot_check__report", "report__parent", "report__cycle", "report__entry")
    return check.rows.select_related(*related).get(report__code=code)


def find(check, by, code="B1", found=None, **more) -> SampleRow:
    row = row_of(check, code)
    return checks.save_findings(row, found or Found(GOOD), token=row.token, by=by, **more)


def bad(**changed) -> Found:
    return Found({**GOOD, "真实": ("bad", "流动党员数与名册不符")}, **changed)


@pytest.fixture
def reported(line):
    """Both branches accepted by the township, and its report by the county."""
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    return line


# ---------------------------------------------------------------- drawing


def test_a_check_draws_from_any_depth_and_says_how(line):
    check = draw(line, "province", method=Method.RANDOM, size=1)

    (row,) = check.rows.all()
    assert row.report.code in {"B1", "B2"}
    assert (check.state, check.frame_count, len(check.seed)) == ("drafted", 2, 64)
    assert check.frame_text == "B1\t\nB2\t"
    event = AuditEvent.objects.get(action="draw")
    assert event.data["seed"] == check.seed
    assert checks.redraw(check).is_same


def test_a_redraw_tells_a_changed_frame_and_a_changed_sample(line):
    check = draw(line, method=Method.RANDOM, size=1)
    other = line.of("sibling" if check.rows.get().report.code == "B1" else "branch")
    SampleRow.objects.update(report=other)
    assert not checks.redraw(check).is_same
    SpotCheck.objects.update(frame_digest="0" * 64)
    assert not checks.redraw(SpotCheck.objects.get()).is_frame_sound


def test_the_seed_is_never_the_persons(line):
    first, second = draw(line), draw(line)
    assert first.seed != second.seed
    assert "seed" not in Asked.__dataclass_fields__


def test_what_nobody_handed_up_is_drawn_by_its_name_alone(line):
    """Strata and filters know what the checking unit may see: a draft's grade is nothing of it."""
    fill(line.of("branch"))
    with pytest.raises(TransitionRefused, match="没有可以抽取"):
        draw(line, declared="fairly_good")
    check = draw(line, method=Method.RANDOM, size=1, stratum="reviewed")
    assert check.frame_text == "B1\t未审核\nB2\t未审核"


def test_filters_and_strata_by_grade_category_and_unit(reported):
    line = reported
    assert draw(line, reviewed="fairly_good").rows.count() == 2
    assert draw(line, unit="T", category="村").rows.count() == 2
    for stratum, named in (
        ("reviewed", "较好"),
        ("category", "村"),
        ("unit", "中共测试省甲县乙乡委员会（T）"),
    ):
        check = draw(line, method=Method.RANDOM, amount="percent", size=50, stratum=stratum)
        assert [row.stratum for row in check.rows.all()] == [named]
    with pytest.raises(TransitionRefused, match="没有可以抽取"):
        draw(line, reviewed="poor")


def test_what_is_excused_is_not_drawn(line):
    moves.move("excuse", line.of("sibling"), by=line.township, reason="撤并")
    assert [row.report.code for row in draw(line).rows.all()] == ["B1"]


def test_by_hand_needs_a_reason_and_real_names(line):
    with pytest.raises(TransitionRefused, match="写明理由"):
        draw(line, method=Method.HAND, named="B1")
    with pytest.raises(TransitionRefused, match="“戊村”不在抽查范围内"):
        draw(line, method=Method.HAND, named="B1\n戊村", reason="信访反映")
    check = draw(line, method=Method.HAND, named="甲县乙乡丙村党支部\nB1", reason="信访反映")
    assert [row.report.code for row in check.rows.all()] == ["B1"]


def test_a_name_that_two_have_is_asked_for_by_its_code(line):
    OrganizationFactory(
        code="T2", name="中共甲县戊乡委员会", kind="committee", parent=line.units["county"]
    )
    twin = OrganizationFactory(
        code="B9",
        name="戊乡丙村党支部",
        short_name="甲县乙乡丙村党支部",
        parent=type(line.units["county"]).objects.get(code="T2"),
    )
    cycle = open_cycle(2013)
    own = twin.reports.get(cycle=cycle).parent.parent
    with pytest.raises(TransitionRefused, match="“甲县乙乡丙村党支部”有2个，请填写代码"):
        checks.create_check(
            own,
            asked(method=Method.HAND, named="甲县乙乡丙村党支部", reason="核实"),
            by=line.county,
        )


def test_what_is_excluded_has_a_reason_and_is_not_in_the_frame(line):
    with pytest.raises(TransitionRefused, match="没有写明不参加抽取的原因"):
        draw(line, excluded="B2")
    check = draw(line, excluded="B2 上月刚检查过")
    assert check.frame_text == "B1\t"
    check.refresh_from_db()
    assert check.excluded == [["B2", "甲县乙乡丁村党支部", "上月刚检查过"]]


def test_too_many_at_once_are_refused(line, monkeypatch):
    monkeypatch.setattr(checks, "MOST_SAMPLED", 1)
    with pytest.raises(TransitionRefused, match="会抽出2个，一次最多1个"):
        draw(line)
    assert not SpotCheck.objects.exists()


@pytest.mark.parametrize("who", ["branch", "sibling"])
def test_only_a_unit_with_rows_below_draws(line, who):
    with pytest.raises(TransitionRefused):
        draw(line, who)


def test_only_the_own_reviewer_draws(line):
    reader = appoint(line.units["county"], Role.READ)
    with pytest.raises(TransitionRefused, match="审核人员"):
        checks.create_check(line.of("county"), asked(), by=reader)
    with pytest.raises(TransitionRefused, match="审核人员"):
        checks.create_check(line.of("county"), asked(), by=line.province)


def test_a_closed_cycle_is_checked_too(line):
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    submit(line.of("province"))
    accept(line.of("province"))
    opening.close_cycle(line.cycle, by=line.province)
    check = started(line, "province")
    assert checks.look(row_of(check), by=line.province).values["member_count"] == 75


def test_what_changes_between_the_frame_and_the_draw_leaves_a_sample_that_is_redrawn(
    line, monkeypatch
):
    """The frame is that of its moment: what became 免报 meanwhile is in it, and shows nothing."""
    new_seed = drawing.new_seed

    def meanwhile():
        moves.move("excuse", line.of("sibling"), by=line.township, reason="撤并")
        return new_seed()

    monkeypatch.setattr(drawing, "new_seed", meanwhile)
    check = draw(line, method=Method.RANDOM, size=2)

    assert check.frame_text == "B1\t\nB2\t"
    assert checks.redraw(check).is_same
    act(START, check, line.county)
    opened = checks.look(row_of(check, "B2"), by=line.county)
    assert (opened.values, opened.mark) == (None, "免报：撤并")


def test_queries_of_a_drawing_do_not_grow(line, django_assert_max_num_queries):
    with django_assert_max_num_queries(20):
        draw(line, method=Method.RANDOM, size=2, stratum="reviewed")


# ---------------------------------------------------------------- moves


def test_a_check_is_started_and_closed_and_what_was_drawn_is_never_lost(line):
    check = draw(line)
    act(START, check, line.county)
    with pytest.raises(TransitionRefused, match="抽查中"):
        act(DROP, check, line.county)
    with pytest.raises(TransitionRefused, match="理由"):
        act(CLOSE, check, line.county, reason=" ")
    act(CLOSE, check, line.county)
    assert SpotCheck.objects.get().conclusion == "查完了"
    again = draw(line)
    act(DROP, again, line.county, reason="范围填错")
    assert SpotCheck.objects.get(pk=again.pk).state == CheckState.DROPPED
    with pytest.raises(TransitionRefused, match="已作废"):
        act(START, again, line.county)


@pytest.mark.parametrize("who", ["province", "township", "branch"])
def test_nobody_else_moves_a_check(line, who):
    check = draw(line)
    with pytest.raises(TransitionRefused, match="抽查单位"):
        act(START, check, getattr(line, who))
    assert SpotCheck.objects.get().state == CheckState.DRAFTED


def test_a_stale_tab_moves_no_check(line):
    check = draw(line)
    act(START, check, line.county)
    with pytest.raises(TransitionRefused):
        workflow.act(CLOSE, check, reason="查完", token=check.token, by=line.county)


def test_items_change_until_something_is_found(reported):
    line = reported
    check = started(line)
    checks.set_items(check, ("三会一课",), token=check.token, by=line.county)
    check = SpotCheck.objects.get()
    assert check.items == ["三会一课"]
    find(check, line.county, found=Found({"三会一课": ("good", "")}))
    with pytest.raises(TransitionRefused, match="已经记录了检查结论"):
        checks.set_items(check, ("真实",), token=check.token, by=line.county)


# ---------------------------------------------------------------- looking


def test_a_look_shows_what_was_handed_in_last_and_is_noted(reported):
    line = reported
    check = started(line)

    opened = checks.look(row_of(check), by=line.county)

    assert opened.values["secretary_name"] == "书记B1"
    assert opened.values["reviewed_grade"] == "fairly_good"
    look = Look.objects.get()
    assert (look.number, look.purpose, look.person_name) == (
        1,
        "核实定级",
        line.county.person_name,
    )
    event = AuditEvent.objects.get(action="look")
    assert (event.object_kind, event.object_code, event.reason) == ("report", "B1", "核实定级")


def test_a_draft_is_opened_to_nobody(line):
    fill(line.of("branch"))
    check = started(line, "province")
    opened = checks.look(row_of(check), by=line.province)
    assert opened.values is None
    assert "未报" in opened.mark
    assert Look.objects.get().number == 0


def test_what_is_written_after_a_return_is_not_shown(line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    moves.move("send_back", line.of("branch"), by=line.township, reason="再核")
    services.save_row(line.of("branch"), {"features": "没有上报的"}, by=line.branch)
    check = started(line, "province")
    opened = checks.look(row_of(check), by=line.province)
    assert "没有上报的" not in str(opened.values)
    assert opened.values["reviewed_grade"] is None
    assert "已退回" in opened.mark


def test_rows_are_open_for_the_time_of_the_check_only(reported):
    line = reported
    check = draw(line)
    with pytest.raises(TransitionRefused, match="未开始"):
        checks.look(row_of(check), by=line.county)
    act(START, check, line.county)
    checks.look(row_of(check), by=line.county)
    act(CLOSE, check, line.county)
    with pytest.raises(TransitionRefused, match="已结束"):
        checks.look(row_of(check), by=line.county)
    assert Look.objects.count() == 1


def test_who_looks_belongs_to_the_checking_unit_and_reads(reported):
    line = reported
    check = started(line)
    reader = appoint(line.units["county"], Role.READ)
    checks.look(row_of(check), by=reader)
    for post in (
        appoint(line.units["county"], Role.FILL),
        appoint(line.units["county"], Role.MANAGE),
        line.province,
        line.township,
    ):
        with pytest.raises(TransitionRefused):
            checks.look(row_of(check), by=post)
    assert Look.objects.count() == 1


# ---------------------------------------------------------------- findings


def test_findings_change_no_row(reported):
    line = reported
    check = started(line)
    before = (line.of("branch").token, versions.row_content(line.of("branch").entry))

    row = find(check, line.county, found=bad(opinion_grade="average", opinion="台账不实"))

    assert row.is_agreed is False
    assert Finding.objects.get(item="真实").verdict == "bad"
    assert (line.of("branch").token, versions.row_content(line.of("branch").entry)) == before
    event = AuditEvent.objects.get(action="find")
    assert event.data["changes"]["真实"] == [None, "不符合（流动党员数与名册不符）"]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Found(), "至少对一项"),
        (Found({"真实": ("bad", "")}), "请写明发现的情况"),
        (Found({"真实": ("perfect", "很好")}), "的结论应为"),
        (Found({"真实": ("", "情况")}), "同时选择结论"),
        (Found(GOOD, "poor"), "请写明理由"),
    ],
)
def test_what_is_half_said_is_not_stored(reported, found, message):
    check = started(reported)
    with pytest.raises(TransitionRefused, match=message):
        find(check, reported.county, found=found)
    assert not Finding.objects.exists()
    assert not SampleRow.objects.exclude(found_at=None).exists()


def test_a_verdict_is_changed_and_not_withdrawn(reported):
    line = reported
    check = started(line)
    find(check, line.county, found=bad())
    find(check, line.county)
    assert Finding.objects.get(item="真实").verdict == "good"
    with pytest.raises(TransitionRefused, match="不能清空"):
        find(check, line.county, found=Found({"完整": ("good", "")}))


def test_of_two_tabs_the_second_is_told(reported):
    line = reported
    check = started(line)
    stale = row_of(check)
    find(check, line.county)
    with pytest.raises(TransitionRefused, match="已变更"):
        checks.save_findings(stale, bad(), token=stale.token, by=line.county)
    assert Finding.objects.get(item="真实").verdict == "good"


def test_nobody_checks_their_own_unit(reported):
    line = reported
    check = started(line)
    both = appoint(line.units["county"], user=line.branch.user)
    with pytest.raises(TransitionRefused, match="不能检查本单位"):
        find(check, both)
    for post in (line.province, line.township, appoint(line.units["county"], Role.READ)):
        with pytest.raises(TransitionRefused):
            find(check, post)
    act(CLOSE, check, line.county)
    with pytest.raises(TransitionRefused, match="已结束"):
        find(check, line.county)


def test_the_grade_of_the_day_counts_for_agreement(reported):
    """What is decided anew later does not change how often the checker agreed."""
    line = reported
    check = started(line)
    find(check, line.county, found=Found(GOOD, "fairly_good"))
    find(check, line.county, code="B2", found=Found(GOOD, "average", "偏高"))
    line.of("branch").entry.__class__.objects.update(reviewed_grade="good")

    result = summary.result_of(SpotCheck.objects.get())

    assert (result.total.compared, result.total.agreed, result.total.rate) == (2, 1, "50.0")
    assert [(u.name, u.sampled, u.rate) for u in result.units] == [("乙乡", 2, "50.0")]
    assert [(g.name, g.sampled, g.agreed) for g in result.grades] == [("较好", 2, 1)]
    assert result.items[0].cells == ["真实", 2, 0, 0]


def test_what_was_never_reviewed_can_not_be_agreed_with(line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    check = started(line, "province")
    find(check, line.province, found=Found(GOOD, "average"))
    result = summary.result_of(check)
    assert (result.total.examined, result.total.compared, result.total.rate) == (1, 0, "—")


# ---------------------------------------------------------------- notices


def issue(row, by, **changed):
    given = {"number": "甲组通〔2012〕1号", "text": "请核实名册", "due_on": TODAY()}
    return outcomes.issue_remedy(row, **{**given, **changed}, by=by)


def do(action, remedy, by, text="已核实", **more):
    remedy = Remedy.objects.get(pk=remedy.pk)
    return workflow.act_on_remedy(action, remedy, text=text, token=remedy.token, by=by, **more)


@pytest.fixture
def noticed(reported):
    check = started(reported, "province")
    reported.remedy = issue(find(check, reported.province, found=bad()), reported.province)
    return reported


def test_a_notice_goes_to_the_direct_superior_and_comes_back(noticed, settings, tmp_path):
    line, settings.ATTACHMENTS_DIR = noticed, tmp_path
    remedy = line.remedy
    assert remedy.addressee == line.of("township")
    photo = SimpleUploadedFile("照片.png", b"\x89PNG\r\n\x1a\n")
    do(REPLY, remedy, line.township, files=[photo])
    do(SEND_BACK, remedy, line.province, "没有附名册")
    do(REPLY, remedy, line.township)
    do(VERIFY, remedy, line.province, "")
    remedy.refresh_from_db()
    assert (remedy.state, remedy.closed_at is not None) == ("closed", True)
    assert [entry.label for entry in remedy.entries.all()] == [
        "发出整改通知",
        "答复",
        "退回整改",
        "答复",
        "核实办结",
    ]
    assert AuditEvent.objects.filter(action__endswith="_remedy").count() == 5
    with pytest.raises(TransitionRefused, match="已办结"):
        do(REPLY, remedy, line.township)


def test_of_a_direct_subordinate_the_unit_itself_is_told(reported):
    check = started(reported, "township")
    remedy = issue(find(check, reported.township, found=bad()), reported.township)
    assert remedy.addressee == reported.of("branch")


@pytest.mark.parametrize("who", ["branch", "county", "province"])
def test_a_notice_is_answered_by_its_addressee_alone(noticed, who):
    with pytest.raises(TransitionRefused, match="收件单位"):
        do(REPLY, noticed.remedy, getattr(noticed, who))


def test_who_holds_a_post_at_the_addressee_verifies_nothing(noticed):
    do(REPLY, noticed.remedy, noticed.township)
    both = appoint(noticed.units["province"], user=noticed.township.user)
    with pytest.raises(TransitionRefused, match="任职的人员"):
        do(VERIFY, noticed.remedy, both)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"number": " "}, "文号"),
        ({"text": ""}, "问题和要求"),
        ({"due_on": None}, "答复期限"),
        ({"due_on": TODAY() - timedelta(days=1)}, "不能早于今天"),
    ],
)
def test_a_notice_says_what_and_until_when(reported, changed, message):
    check = started(reported)
    row = find(check, reported.county, found=bad())
    with pytest.raises(TransitionRefused, match=message):
        issue(row, reported.county, **changed)


def test_a_notice_needs_a_finding(reported):
    check = started(reported)
    with pytest.raises(TransitionRefused, match="先记录检查结论"):
        issue(row_of(check), reported.county)


def test_a_notice_past_its_day_is_overdue_until_it_is_answered(noticed):
    assert not Remedy.objects.overdue().exists()
    Remedy.objects.update(due_on=TODAY() - timedelta(days=1))
    assert Remedy.objects.overdue().get().is_overdue
    do(REPLY, noticed.remedy, noticed.township)
    assert not Remedy.objects.overdue().exists()


def test_a_notice_is_extended_by_the_checker_with_a_reason_and_a_later_day(noticed):
    line, later = noticed, TODAY() + timedelta(days=10)
    do(EXTEND, line.remedy, line.province, "汛期", due_on=later)
    remedy = Remedy.objects.get()
    assert (remedy.due_on, remedy.state) == (later, "issued")
    assert [(one.label, one.due_on) for one in remedy.entries.all()][1:] == [("延期", later)]
    event = AuditEvent.objects.get(action="extend_remedy")
    assert event.data["reply_by"] == [TODAY().isoformat(), later.isoformat()]
    for day in (None, later, TODAY()):
        with pytest.raises(TransitionRefused, match="延期至哪一天"):
            do(EXTEND, line.remedy, line.province, "再延", due_on=day)
    with pytest.raises(TransitionRefused, match="须写明理由"):
        do(EXTEND, line.remedy, line.province, " ", due_on=later + timedelta(days=1))
    for who in ("township", "county", "branch"):
        with pytest.raises(TransitionRefused, match="抽查单位"):
            do(EXTEND, line.remedy, getattr(line, who), due_on=later + timedelta(days=1))
    do(REPLY, line.remedy, line.township)
    with pytest.raises(TransitionRefused, match="待核实"):
        do(EXTEND, line.remedy, line.province, due_on=later + timedelta(days=1))


def test_a_notice_sent_back_may_get_another_day_and_a_reply_none(noticed):
    line, later = noticed, TODAY() + timedelta(days=3)
    do(REPLY, line.remedy, line.township, due_on=later)
    assert Remedy.objects.get().due_on == TODAY()
    with pytest.raises(TransitionRefused, match="不能早于今天"):
        do(SEND_BACK, line.remedy, line.province, due_on=TODAY() - timedelta(days=1))
    do(SEND_BACK, line.remedy, line.province, due_on=later)
    assert Remedy.objects.get().due_on == later


def test_a_notice_is_extended_by_its_page(client, noticed):
    line, later = noticed, TODAY() + timedelta(days=2)
    address, data = [line.remedy.pk], {"action": "extend", "token": 0, "text": "汛期"}
    post_to(client, line.province, "remedy", *address, **data, due_on="不是日期")
    assert "不是有效的日期" in get(client, line.province, "remedy", *address).content.decode()
    assert Remedy.objects.get().due_on == TODAY()
    post_to(client, line.province, "remedy", *address, **data, due_on=later.isoformat())
    assert "答复期限改为" in get(client, line.township, "remedy", *address).content.decode()
    assert Remedy.objects.get().due_on == later


# ---------------------------------------------------------------- the whole way


def test_from_the_draw_to_a_new_version_of_the_province_with_one_row_changed(line):
    """Draw → finding → order → correction of one branch's row → each level's difference → new
    version of the province."""
    for name in ("branch", "sibling", "township", "county"):
        hand_up(line.of(name))
    submit(line.of("province"))
    accept(line.of("province"))
    first = ReportVersion.objects.get(report=line.of("province"))
    moves.move("reopen", line.of("province"), by=appoint(line.units["province"]), reason="更正")
    check = started(line, "province", method=Method.RANDOM, size=2)
    checks.look(row_of(check), by=line.province)
    row = find(check, line.province, found=bad())

    order = outcomes.request_correction(
        check,
        [row_of(check)],
        fields=["floating_member_count"],
        number="省组函〔2012〕3号",
        reason="与名册不符",
        by=line.province,
    )

    states = {name: line.of(name).state for name in line.units}
    assert states["branch"] == states["township"] == states["county"] == State.RETURNED
    assert states["sibling"] == State.ACCEPTED
    with pytest.raises(TransitionRefused, match="只允许修改列出的栏目"):
        services.save_row(line.of("branch"), {"features": "改"}, by=line.branch)
    services.save_row(line.of("branch"), {"floating_member_count": 9}, by=line.branch)
    submit(line.of("branch"), by=line.branch)
    (change,) = showing.between_versions(line.of("branch"))
    assert (change["old"], change["new"]) == ("3", "9")
    for name, superior in (("branch", "township"), ("township", "county"), ("county", "province")):
        accept(line.of(name), by=getattr(line, superior))
        if superior != "province":
            submit(line.of(superior), by=getattr(line, superior))
            (changed,) = showing.between_versions(line.of(superior))
            assert "内容有变" in changed["new"]
    order.refresh_from_db()
    assert order.closed_at is not None
    submit(line.of("province"), by=line.province)
    accept(line.of("province"), by=appoint(line.units["province"]))
    second = ReportVersion.objects.filter(report=line.of("province")).order_by("-number").first()
    assert second.digest != first.digest
    assert rows_of(second) - rows_of(first) == {("B1", 9)}
    assert rows_of(first) - rows_of(second) == {("B1", 3)}
    assert verification.verify() == []
    assert RequestedCorrection.objects.get().spot_check == check
    assert row.report.code == "B1"


def rows_of(version) -> set:
    """(code, 流动党员数) of every row that a version holds, followed by the digests."""
    content, found = versions.read(version), set()
    if content["row"]:
        found.add((content["code"], content["row"]["floating_member_count"]))
    for said in content["subordinates"]:
        below = ReportVersion.objects.get(digest=said["digest"])
        found |= rows_of(below)
    return found


def test_a_correction_is_refused_where_the_checker_has_reported_itself(reported):
    line = reported
    hand_up(line.of("county"))
    check = started(line)
    find(check, line.county, found=bad())
    with pytest.raises(TransitionRefused, match="本级已上报"):
        outcomes.request_correction(
            check, [row_of(check)], fields=["measures"], number="1号", reason="核实", by=line.county
        )
    assert not RequestedCorrection.objects.exists()


def test_a_row_is_corrected_without_a_check(client, reported):
    line = reported
    branch = line.of("branch")
    address = reverse("audits:correct_row", args=[branch.pk])
    form = {"number": "3号", "reason": "群众反映", "fields_named": ["measures"]}
    for who, status in (("branch", 404), ("sibling", 404), ("province", 404)):
        client.force_login(getattr(line, who).user)
        assert client.post(address, form).status_code == status
    client.force_login(line.county.user)
    assert address in client.get(branch.get_absolute_url()).content.decode()
    assert client.post(address, form | {"fields_named": "token"}).status_code == 200
    assert client.post(address, form | {"number": ""}).status_code == 200
    assert not CorrectionOrder.objects.exists()

    answer = client.post(address, form)

    order = CorrectionOrder.objects.get()
    assert answer.url == reverse("audits:correction", args=[order.pk])
    assert [row.pk for row in order.rows.all()] == [branch.pk]
    assert "更正中" in client.get(answer.url).content.decode()
    assert "正在更正" in client.post(address, form).content.decode()
    assert address not in client.get(branch.get_absolute_url()).content.decode()


def test_a_row_of_another_check_is_not_corrected_by_this_one(reported):
    line = reported
    one, other = started(line), started(line)
    find(other, line.county, found=bad())
    with pytest.raises(TransitionRefused, match="本次抽查抽中"):
        outcomes.request_correction(
            one, [row_of(other)], fields=["measures"], number="1号", reason="核实", by=line.county
        )
    assert not CorrectionOrder.objects.exists()


# ---------------------------------------------------------------- 典型做法


def practise(line, who="township", action="recommend", **more):
    return outcomes.find_practice(
        line.of("branch"),
        line.of(who),
        title="党员积分管理",
        text="按月公示",
        action=action,
        by=getattr(line, who),
        **more,
    )


def seen(line, who) -> bool:
    return Practice.objects.visible_to(line.of(who)).exists()


def test_a_practice_goes_up_and_is_published_down(line):
    practice = practise(line)
    assert {who: seen(line, who) for who in line.units} == {
        "province": False,
        "county": True,
        "township": True,
        "branch": False,
        "sibling": False,
    }
    outcomes.act_on_practice(practice, line.of("county"), action="recommend", by=line.county)
    outcomes.act_on_practice(practice, line.of("province"), action="publish", by=line.province)
    assert all(seen(line, who) for who in line.units)
    with pytest.raises(TransitionRefused, match="已经办理"):
        outcomes.act_on_practice(practice, line.of("province"), action="publish", by=line.province)


def test_a_practice_is_declined_with_a_reason_and_done_with(line):
    practice = practise(line)
    with pytest.raises(TransitionRefused, match="写明理由"):
        outcomes.act_on_practice(practice, line.of("county"), action="decline", by=line.county)
    outcomes.act_on_practice(
        practice, line.of("county"), action="decline", reason="已有同类", by=line.county
    )
    assert outcomes.open_to(practice, line.of("county"), line.county) == []
    assert outcomes.open_to(practice, line.of("township"), line.township) == ["publish"]


def test_a_practice_is_found_below_only_and_by_a_reviewer(line):
    reader = appoint(line.units["township"], Role.READ)
    for own, by in (("sibling", line.sibling), ("township", reader), ("branch", line.branch)):
        with pytest.raises(TransitionRefused):
            outcomes.find_practice(
                line.of("branch"), line.of(own), title="一", text="二", action="publish", by=by
            )
    with pytest.raises(TransitionRefused, match="最高一级"):
        practise(line, "province")
    assert not Practice.objects.exists()


# ---------------------------------------------------------------- two at once


def race(press, times=6) -> int:
    def once(_):
        try:
            press()
        except TransitionRefused:
            return 0
        finally:
            connection.close()
        return 1

    with ThreadPoolExecutor(times) as pool:
        return sum(pool.map(once, range(times)))


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
class TestOfTwoWhoPressAtOnceOneDoes:
    def test_starting(self, line):
        check = draw(line)
        assert race(lambda: workflow.act(START, check, token=0, by=line.county)) == 1

    def test_findings(self, line):
        check = started(line)
        row = row_of(check)
        assert race(lambda: checks.save_findings(row, Found(GOOD), token=0, by=line.county)) == 1
        assert AuditEvent.objects.filter(action="find").count() == 1

    def test_replying(self, line):
        check = started(line, "province")
        remedy = issue(find(check, line.province, found=bad()), line.province)
        press = lambda: workflow.act_on_remedy(  # noqa: E731 - one line of a race
            REPLY, remedy, text="改了", token=0, by=line.township
        )
        assert race(press) == 1
        assert remedy.entries.count() == 2

    def test_publishing(self, line):
        practice = practise(line)
        press = lambda: outcomes.act_on_practice(  # noqa: E731 - one line of a race
            practice, line.of("county"), action="publish", by=line.county
        )
        assert race(press) == 1


# ---------------------------------------------------------------- pages


def get(client, post, name, *args, **query):
    client.force_login(post.user)
    return client.get(reverse(f"audits:{name}", args=args), query)


def post_to(client, post, name, *args, **data):
    client.force_login(post.user)
    return client.post(reverse(f"audits:{name}", args=args), data)


def test_the_pages_lead_from_the_draw_to_the_result(client, reported, settings, tmp_path):
    line, settings.ATTACHMENTS_DIR = reported, tmp_path
    form = {
        "title": "上半年抽查",
        "purpose": "核实定级",
        "method": "random",
        "amount": "count",
        "size": "2",
        "stratum": "reviewed",
        "items": "真实\n完整",
    }
    assert get(client, line.county, "new_check", line.cycle).status_code == 200
    answer = post_to(client, line.county, "new_check", line.cycle, **form)
    check = SpotCheck.objects.get()
    assert answer.url == check.get_absolute_url()
    assert "名单已经抽定" in client.get(answer.url).content.decode()
    post_to(client, line.county, "act", check.pk, "start", token=0)
    row = row_of(check)
    page = client.get(row.get_absolute_url()).content.decode()
    assert "书记B1" in page
    photo = SimpleUploadedFile("照片.png", b"\x89PNG\r\n\x1a\n")
    found = {"action": "find", "token": 0, "verdict_0": "bad", "text_0": "不符", "files": photo}
    found |= {"opinion_grade": "average", "opinion": "偏高", "then": "next"}
    answer = post_to(client, line.county, "row", check.pk, row.pk, **found)
    assert answer.url == row_of(check, "B2").get_absolute_url()
    due = {"number": "1号", "text": "请核实", "due_on": TODAY().isoformat()}
    answer = post_to(client, line.county, "row", check.pk, row.pk, action="remedy", **due)
    assert answer.url == Remedy.objects.get().get_absolute_url()
    for name in ("result", "redraw", "request_correction", "check"):
        assert get(client, line.county, name, check.pk).status_code == 200
    assert "一致" in get(client, line.county, "redraw", check.pk).content.decode()
    frame = get(client, line.county, "frame", check.pk)
    assert frame.content.decode() == "B1\t较好\nB2\t较好"
    for name in ("checks", "remedies", "corrections", "practices"):
        assert get(client, line.county, name, line.cycle).status_code == 200
    asks = {"number": "2号", "reason": "核实", "rows": row.pk, "fields_named": "measures"}
    answer = post_to(client, line.county, "request_correction", check.pk, **asks)
    assert "更正中" in client.get(answer.url).content.decode()
    post_to(client, line.county, "act", check.pk, "close", token=1, reason="总体真实")
    assert SpotCheck.objects.get().state == CheckState.CLOSED


def test_a_refused_finding_keeps_what_was_typed(client, reported):
    check = started(reported)
    row = row_of(check)
    answer = post_to(
        client, reported.county, "row", check.pk, row.pk, token=0, verdict_1="bad", opinion="偏高"
    )
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "请写明发现的情况" in page
    assert 'id="verdict-1-bad" name="verdict_1" value="bad" checked' in page
    assert ">偏高</textarea>" in page


def test_each_look_on_the_page_is_seen_by_the_checked_and_those_between(client, reported):
    line = reported
    check = started(line, "province")
    row = row_of(check)
    get(client, line.province, "row", check.pk, row.pk)
    get(client, line.province, "row", check.pk, row.pk)
    assert Look.objects.count() == 2
    for who in ("branch", "township", "county"):
        page = get(client, getattr(line, who), "row", check.pk, row.pk)
        assert line.province.person_name in page.content.decode()
        assert page.context["opened"] is None
    assert get(client, line.sibling, "row", check.pk, row.pk).status_code == 404
    assert Look.objects.count() == 2


def test_the_checked_see_their_own_rows_and_the_findings_at_the_end(client, reported):
    line = reported
    check = started(line)
    find(check, line.county, found=bad())
    page = get(client, line.branch, "check", check.pk)
    assert [one["row"].report.code for one in page.context["rows"]] == ["B1"]
    text = get(client, line.branch, "row", check.pk, row_of(check).pk).content.decode()
    assert "流动党员数与名册不符" not in text
    act(CLOSE, check, line.county)
    text = get(client, line.branch, "row", check.pk, row_of(check).pk).content.decode()
    assert "流动党员数与名册不符" in text
    assert [
        one["row"].report.code
        for one in get(client, line.township, "check", check.pk).context["rows"]
    ] == ["B1", "B2"]


def test_a_draft_of_a_check_is_nobodys_business(client, reported):
    line = reported
    check = draw(line)
    for who in ("province", "township", "branch"):
        assert get(client, getattr(line, who), "check", check.pk).status_code == 404
        assert list(get(client, getattr(line, who), "checks", line.cycle).context["checks"]) == []


def test_what_is_the_checkers_is_not_there_for_the_checked(client, reported, settings, tmp_path):
    line, settings.ATTACHMENTS_DIR = reported, tmp_path
    check = started(line, method=Method.RANDOM, size=2)
    row = find(check, line.county, files=[SimpleUploadedFile("1.pdf", b"%PDF-1.4")])
    file = FindingFile.objects.get()
    for who in ("township", "branch", "province"):
        post = getattr(line, who)
        for name in ("frame", "result", "request_correction"):
            assert get(client, post, name, check.pk).status_code == 404
        assert get(client, post, "finding_file", file.pk).status_code == 404
        assert (
            post_to(client, post, "act", check.pk, "close", token=1, reason="伪造").status_code
            == 404
        )
        answer = post_to(
            client, post, "row", check.pk, row.pk, token=1, verdict_0="bad", text_0="伪造"
        )
        assert answer.status_code == 404
    assert SpotCheck.objects.get().state == CheckState.RUNNING
    act(CLOSE, check, line.county)
    assert get(client, line.branch, "finding_file", file.pk).status_code == 200
    assert get(client, line.sibling, "finding_file", file.pk).status_code == 404
    page = get(client, line.branch, "redraw", check.pk).content.decode()
    assert "重新抽取，名单与抽查名单相同" in page
    assert "<li><code>" not in page


def test_a_row_of_another_check_and_a_forged_number_are_not_there(client, reported):
    line = reported
    one, other = started(line), started(line, "township")
    assert get(client, line.county, "row", one.pk, row_of(other).pk).status_code == 404
    assert get(client, line.county, "check", other.pk).status_code == 404
    assert get(client, line.county, "check", 999_999).status_code == 404
    for data in (
        {},
        {"token": "x"},
        {"token": 0, "verdict_0": ["x", "y"], "opinion_grade": "优秀"},
    ):
        answer = post_to(client, line.county, "row", one.pk, row_of(one).pk, **data)
        assert answer.status_code == 422
    assert post_to(client, line.county, "act", one.pk, "nonsense").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": ""},
        {"size": "0"},
        {"size": "9999999"},
        {"method": "sorcery"},
        {"title": ""},
        {"items": "\n"},
        {"amount": "percent", "size": "101"},
        {"unit": "没有这个单位"},
        {"category": "外星"},
        {"method": "hand"},
        {"reviewed": "优秀"},
        {"items": "长" * 41},
        {"excluded": "B1"},
    ],
    ids=str,
)
def test_a_wrong_form_is_answered_in_chinese(client, line, wrong):
    form = {"title": "抽查", "purpose": "核实", "method": "random", "size": "1", "items": "真实"}
    answer = post_to(client, line.county, "new_check", line.cycle, **form | wrong)
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert not SpotCheck.objects.exists()


def test_the_result_as_a_workbook(client, reported):
    line = reported
    check = started(line)
    find(check, line.county, found=bad(opinion_grade="average", opinion="偏高"))
    answer = get(client, line.county, "result", check.pk, sheet=1)
    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    assert book.sheetnames == ["按单位", "按等次", "按检查内容", "名单", "说明"]
    (row,) = [r for r in book["名单"].iter_rows(values_only=True) if r[0] == 1]
    assert row[1:5] == ("甲县乙乡丙村党支部", "乙乡", "较好", "一般")
    assert "真实：不符合（流动党员数与名册不符）" in row[5]
    assert AuditEvent.objects.get(action="export").data["rows"] == 2


def test_the_desk_tells_of_checks_and_notices(client, noticed):
    line = noticed

    def desk(who):
        client.force_login(getattr(line, who).user)
        return client.get(reverse("desk")).content.decode()

    assert "请于" in desk("township")
    assert "正在抽查调阅" in desk("branch")
    assert "等您核实" not in desk("province")
    do(REPLY, line.remedy, line.township)
    assert "请于" not in desk("township")
    assert "等您核实" in desk("province")
    practise(line)
    assert "下级推荐典型做法“党员积分管理”" in desk("county")


def test_a_practice_by_its_pages_from_a_review_and_from_a_check(client, reported):
    line = reported
    branch = line.of("branch").pk
    form = {"title": "积分管理", "text": "按月公示", "action": "recommend"}
    assert get(client, line.township, "find_practice", branch).status_code == 200
    answer = post_to(client, line.township, "find_practice", branch, **form)
    practice = Practice.objects.get()
    assert answer.url == practice.get_absolute_url()
    page = get(client, line.county, "practice", practice.pk).content.decode()
    assert "印发本级下属" in page
    post_to(client, line.county, "practice", practice.pk, action="publish")
    assert "县" in get(client, line.sibling, "practice", practice.pk).content.decode()
    assert get(client, line.province, "practice", practice.pk).status_code == 404
    assert get(client, line.branch, "find_practice", branch).status_code == 404
    check = started(line)
    url = reverse("audits:find_practice", args=[branch]) + f"?check={check.pk}"
    client.force_login(line.county.user)
    client.post(url, form)
    assert Practice.objects.filter(spot_check=check).count() == 1
    client.force_login(line.township.user)
    assert client.get(url).status_code == 404


def test_a_correction_is_shown_to_its_chain_and_in_the_end_with_its_difference(client, reported):
    line = reported
    check = started(line)
    find(check, line.county, found=bad())
    order = outcomes.request_correction(
        check,
        [row_of(check)],
        fields=["floating_member_count"],
        number="2号",
        reason="核实",
        by=line.county,
    )
    for who, status in (("branch", 200), ("township", 200), ("sibling", 404), ("province", 404)):
        assert get(client, getattr(line, who), "correction", order.pk).status_code == status
    services.save_row(line.of("branch"), {"floating_member_count": 9}, by=line.branch)
    submit(line.of("branch"))
    accept(line.of("branch"))
    submit(line.of("township"))
    accept(line.of("township"))
    page = get(client, line.county, "correction", order.pk)
    ((change,),) = [one["changes"] for one in page.context["rows"]]
    assert (change["old"], change["new"]) == ("3", "9")
    assert "已办结" in get(client, line.branch, "corrections", line.cycle).content.decode()


@pytest.mark.parametrize("name", ["checks", "remedies", "corrections", "practices"])
def test_lists_take_the_same_queries_for_one_and_three(
    client, reported, name, django_assert_max_num_queries
):
    line = reported
    for _ in range(3):
        check = started(line)
        issue(find(check, line.county, found=bad()), line.county)
        practise(line, "county")
    client.force_login(line.county.user)
    with django_assert_max_num_queries(18):
        client.get(reverse(f"audits:{name}", args=[line.cycle]))


def test_the_pages_of_a_check_take_the_same_queries_for_one_and_three(
    client, reported, django_assert_max_num_queries
):
    line = reported
    check = started(line)
    find(check, line.county, found=bad())
    find(check, line.county, "B2")
    client.force_login(line.county.user)
    for name in ("check", "result"):
        with django_assert_max_num_queries(18):
            client.get(reverse(f"audits:{name}", args=[check.pk]))
    with django_assert_max_num_queries(26):
        client.get(row_of(check).get_absolute_url())
