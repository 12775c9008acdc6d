"""评分: what it proposes to the last digit, who enters which part, and that it decides nothing."""

import io
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs import changes
from orgs.choices import Kind, Role
from ratings import opening, scoring, services, workflow
from ratings.choices import CycleState, Grade, Opinion, ScorePart, State
from ratings.models import Cycle, LedgerEntry, Report, Score, ScoreSheet
from tests.factories import accept, appoint, fill, hand_up, submit

pytestmark = pytest.mark.django_db
SETTINGS = {
    "indicators": [["党组织带头人", 60], ["工作业绩", 40]],
    "self_weight": 30,
    "members_weight": 30,
    "superior_weight": 40,
    "good_from": Decimal(90),
    "fairly_good_from": Decimal(80),
    "average_from": Decimal(60),
    "satisfaction_floor": 90,
    "red_lines": [["发生责任事故", "average"], ["班子瘫痪", "poor"]],
    "quotas": {"good": 30},
}


def settings_with(**changed):
    return {**SETTINGS, **changed}


def scored(line, **changed):
    """Switch scoring on in the cycle of the line."""
    return scoring.set_sheet(line.cycle, settings_with(**changed), by=line.province, token=0)


def score_of(name, line):
    return Score.objects.filter(entry=line.of(name).pk).first()


def token_for(name, line):
    return scoring.token_of(ScoreSheet.objects.get(cycle=line.cycle), score_of(name, line))


def enter_own(name, line, *, by, selfs=(550, 380), members=(540, 370), asked=20, satisfied=19):
    values = {
        "points": {"self": list(selfs), "members": list(members)},
        "asked_count": asked,
        "satisfied_count": satisfied,
    }
    token = token_for(name, line)
    scoring.save(line.of(name), ScorePart.OWN, values, by=by, token=token)


def enter_superior(name, line, *, by, points=(550, 370), red_lines=None):
    values = {"points": {"superior": list(points)}, "red_lines": red_lines or {}}
    token = token_for(name, line)
    scoring.save(line.of(name), ScorePart.SUPERIOR, values, by=by, token=token)


def sheet_with(**changed):
    return ScoreSheet(**settings_with(**changed))


def score_with(self=(900, 0), members=(900, 0), superior=(900, 0), **values):
    points = {"self": self, "members": members, "superior": superior}
    return Score(points={k: list(v) for k, v in points.items() if v is not None}, **values)


# ---------------------------------------------------------------- what is proposed


@pytest.mark.parametrize(
    ("tenths", "grade"),
    [
        (1000, Grade.GOOD),
        (900, Grade.GOOD),
        (899, Grade.FAIRLY_GOOD),
        (800, Grade.FAIRLY_GOOD),
        (799, Grade.AVERAGE),
        (600, Grade.AVERAGE),
        (599, Grade.POOR),
        (0, Grade.POOR),
    ],
)
def test_a_grade_begins_at_its_lowest_points(tenths, grade):
    same = (tenths, 0)
    found = scoring.propose(sheet_with(), score_with(same, same, same))

    assert (found.grade, found.value) == (grade, Decimal(tenths) / 10)


def test_nothing_is_rounded_up_into_a_grade_nor_shown_as_if_it_were():
    sheet = sheet_with(self_weight=50, members_weight=0, superior_weight=50)

    found = scoring.propose(sheet, score_with((900, 0), None, (899, 0)))

    assert found.value == Decimal("89.95")
    assert found.grade == Grade.FAIRLY_GOOD
    assert found.steps[:2] == [
        "加权得分：自评90×50%＋上级评分89.9×50%＝89.95分",
        "达到80分、不足90分，对应“较好”",
    ]


def test_weights_are_applied_exactly():
    found = scoring.propose(sheet_with(), score_with((333, 0), (667, 1), (999, 2)))

    assert (
        found.value == (Decimal("33.3") * 30 + Decimal("66.8") * 30 + Decimal("100.1") * 40) / 100
    )


def test_thresholds_are_data():
    sheet = sheet_with(good_from=Decimal("89.9"))

    assert scoring.propose(sheet, score_with((899, 0), (899, 0), (899, 0))).grade == Grade.GOOD


def test_what_has_no_weight_is_not_missed():
    sheet = sheet_with(self_weight=0, members_weight=0, superior_weight=100)

    assert scoring.propose(sheet, score_with(None, None, (900, 0))).grade == Grade.GOOD
    assert list(scoring.propose(sheet, None).totals) == [Opinion.SUPERIOR]


def test_without_points_nothing_is_proposed():
    found = scoring.propose(sheet_with(), None)

    assert (found.grade, found.value) == (None, None)
    assert found.missing == ["自评", "党员测评", "上级评分"]


def test_what_is_missing_is_named():
    found = scoring.propose(sheet_with(), score_with((900, None), (900, 0), None))

    assert (found.grade, found.value) == (None, None)
    assert found.missing == ["自评的工作业绩", "上级评分"]


@pytest.mark.parametrize(
    ("red_lines", "grade"),
    [
        ({}, Grade.GOOD),
        ({"0": "一起"}, Grade.AVERAGE),
        ({"1": "缺人"}, Grade.POOR),
        ({"0": "一起", "1": "缺人"}, Grade.POOR),
    ],
)
def test_a_red_line_lowers_the_proposal(red_lines, grade):
    assert scoring.propose(sheet_with(), score_with(red_lines=red_lines)).grade == grade


def test_a_red_line_raises_nothing_and_is_explained():
    low = (500, 0)
    found = scoring.propose(sheet_with(), score_with(low, low, low, red_lines={"0": "一起"}))
    assert found.grade == Grade.POOR
    assert found.steps[-1] == "有红线情形“发生责任事故”（一起），最高为“一般”"

    found = scoring.propose(sheet_with(), score_with(red_lines={"0": "一起"}))
    assert found.steps[-1].endswith("最高为“一般”，由“好”降为“一般”")


@pytest.mark.parametrize(
    ("asked", "satisfied", "is_hint"), [(20, 18, False), (20, 17, True), (10_000, 8_999, True)]
)
def test_satisfaction_below_its_floor_is_a_hint(asked, satisfied, is_hint):
    found = scoring.propose(sheet_with(), score_with(asked_count=asked, satisfied_count=satisfied))

    assert found.grade == Grade.GOOD
    assert any("低于下限90%" in hint for hint in found.hints) == is_hint
    assert any("不低于下限90%" in step for step in found.steps) != is_hint


def test_satisfaction_is_asked_for_only_with_a_floor():
    assert scoring.propose(sheet_with(), score_with()).hints == ["群众满意度还没有填写"]
    assert scoring.propose(sheet_with(satisfaction_floor=None), score_with()).hints == []


# ---------------------------------------------------------------- the sheet of a cycle


def form_data(**changed):
    data = {
        "token": 0,
        "self_weight": 30,
        "members_weight": 30,
        "superior_weight": 40,
        "good_from": "90",
        "fairly_good_from": "80",
        "average_from": "60",
        "satisfaction_floor": "85",
        "quota_good": "30",
        "indicators-TOTAL_FORMS": 3,
        "indicators-INITIAL_FORMS": 2,
        "indicators-0-name": "党组织带头人",
        "indicators-0-points": 60,
        "indicators-1-name": "工作业绩",
        "indicators-1-points": 40,
        "red_lines-TOTAL_FORMS": 1,
        "red_lines-INITIAL_FORMS": 0,
        "red_lines-0-text": "发生责任事故",
        "red_lines-0-grade": "average",
    }
    return {**data, **changed}


def settings_page(line):
    return reverse("ratings:set_score_sheet", args=[line.cycle])


def test_the_sheet_of_the_notice_is_proposed_and_not_stored(client, line):
    client.force_login(line.province.user)

    page = client.get(settings_page(line)).content.decode()

    for name, _ in scoring.INDICATORS:
        assert f'value="{name}"' in page
    assert sum(points for _, points in scoring.INDICATORS) == 100
    assert not ScoreSheet.objects.exists()


def test_the_top_switches_it_on_changes_it_and_off(client, line):
    client.force_login(line.province.user)
    assert client.post(settings_page(line), form_data()).status_code == 302
    sheet = ScoreSheet.objects.get()
    assert sheet.indicators == [["党组织带头人", 60], ["工作业绩", 40]]
    assert (sheet.red_lines, sheet.quotas) == ([["发生责任事故", "average"]], {"good": 30})
    assert (sheet.satisfaction_floor, sheet.token, sheet.is_used) == (85, 1, True)

    client.post(settings_page(line), form_data(token=1))  # the same again
    assert AuditEvent.objects.filter(action="set_score_sheet").count() == 1
    client.post(settings_page(line), form_data(token=1, satisfaction_floor=""))
    sheet.refresh_from_db()
    assert (sheet.satisfaction_floor, sheet.token) == (None, 2)

    page = client.get(reverse("ratings:cycle", args=[line.cycle])).content.decode()
    assert "党组织带头人60分、工作业绩40分" in page
    assert "90分以上为“好”" in page
    client.post(settings_page(line), {"stop": "1", "token": 2})
    sheet.refresh_from_db()
    assert not sheet.is_used
    assert AuditEvent.objects.filter(action="stop_score_sheet").count() == 1
    client.post(settings_page(line), form_data(token=3))  # and on again
    sheet.refresh_from_db()
    assert sheet.is_used


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"self_weight": 31}, "三项权重合计应为100"),
        ({"self_weight": 130, "members_weight": 0, "superior_weight": 0}, "0至100"),
        ({"good_from": "80"}, "依次降低"),
        ({"good_from": "100.1"}, "依次降低"),
        ({"average_from": "0"}, "依次降低"),
        ({"good_from": "90.05"}, "小数"),
        ({"good_from": "NaN"}, "输入"),
        ({"indicators-0-points": 59}, "合计为99，应为100"),
        ({"indicators-0-points": "x" * 50}, "整数"),
        ({"indicators-0-points": ""}, "一行的两项"),
        ({"indicators-1-name": "党组织带头人"}, "不能重复"),
        ({"indicators-TOTAL_FORMS": "9" * 30}, "最多"),
        ({"indicators-TOTAL_FORMS": "x"}, "合计为0，应为100"),
        ({"red_lines-0-grade": "good"}, "选择"),
        ({"red_lines-0-grade": ""}, "一行的两项"),
        ({"quota_good": "101"}, "0至100"),
        ({"quota_good": "-1"}, "0至100"),
        ({"satisfaction_floor": "8.5"}, "整数"),
        ({"token": 7}, "内容已变更"),
    ],
)
def test_a_sheet_that_does_not_hold_is_refused_in_words(client, line, changed, said):
    client.force_login(line.province.user)

    answer = client.post(settings_page(line), form_data(**changed))

    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not ScoreSheet.objects.exists()


@pytest.mark.parametrize("who", ["county", "township", "branch"])
def test_nobody_but_the_top_sets_a_sheet(client, line, who):
    client.force_login(getattr(line, who).user)

    assert client.post(settings_page(line), form_data()).status_code == 404
    with pytest.raises(TransitionRefused, match="最高一级"):
        scoring.set_sheet(line.cycle, SETTINGS, by=getattr(line, who), token=0)
    assert not ScoreSheet.objects.exists()


def test_a_role_is_needed_too(client, line):
    client.force_login(appoint(line.units["province"], Role.FILL, Role.REVIEW).user)

    assert client.get(settings_page(line)).status_code == 404


def test_with_the_first_score_the_sheet_stands(client, line):
    scored(line)
    enter_own("branch", line, by=line.branch)
    client.force_login(line.province.user)

    answer = client.post(settings_page(line), form_data(token=1), follow=True)

    assert "已经有单位填写评分" in answer.content.decode()
    for write in (scoring.stop_sheet, lambda cycle, **k: scoring.set_sheet(cycle, SETTINGS, **k)):
        with pytest.raises(TransitionRefused, match="已经有单位填写评分"):
            write(line.cycle, by=line.province, token=1)


def test_a_closed_cycle_takes_no_sheet(line):
    Cycle.objects.update(state=CycleState.CLOSED)

    with pytest.raises(TransitionRefused, match="已关闭"):
        scored(line)


def test_a_cycle_in_preparation_takes_one_and_the_next_has_it_without_its_scores(line):
    scored(line)
    enter_own("branch", line, by=line.branch)
    following = opening.create_cycle(2013, previous=line.cycle, by=line.province)
    sheet = following.score_sheet
    assert (sheet.indicators, sheet.red_lines) == (SETTINGS["indicators"], SETTINGS["red_lines"])
    assert (sheet.quotas, sheet.good_from, sheet.is_scored) == ({"good": 30}, 90, False)
    assert Score.objects.count() == 1
    event = AuditEvent.objects.filter(action="create_cycle").order_by("-pk")[0]
    assert event.data == {"score_sheet_of": "2012-1"}
    scoring.set_sheet(following, settings_with(quotas={}), by=line.province, token=sheet.token)
    assert ScoreSheet.objects.get(cycle=line.cycle).quotas == {"good": 30}
    scoring.stop_sheet(following, by=line.province, token=sheet.token + 1)
    third = opening.create_cycle(2014, previous=following, by=line.province)
    assert not ScoreSheet.objects.filter(cycle=third).exists()


def test_the_database_holds_the_sums(line):
    for broken in ({"self_weight": 31}, {"good_from": 80}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ScoreSheet.objects.create(cycle=line.cycle, **settings_with(**broken))
    entry = line.of("branch").entry
    for asked, satisfied in ((1, 2), (1, None), (0, 0), (None, 1)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Score.objects.create(entry=entry, asked_count=asked, satisfied_count=satisfied)


# ---------------------------------------------------------------- who enters what


def test_a_score_grows_part_by_part_and_decides_nothing(line):
    scored(line)
    fill(line.of("branch"))
    enter_own("branch", line, by=line.branch)
    assert scoring.seen(line.of("branch"), line.branch).proposal.missing == []
    submit(line.of("branch"))
    before = list(LedgerEntry.objects.order_by("pk").values())
    versions = line.of("branch").versions.get().digest

    enter_superior("branch", line, by=line.township)

    found = scoring.seen(line.of("branch"), line.township).proposal
    assert (found.value, found.grade) == (Decimal("92"), Grade.GOOD)
    assert list(LedgerEntry.objects.order_by("pk").values()) == before
    assert line.of("branch").versions.get().digest == versions
    accept(line.of("branch"))
    assert line.of("branch").entry.reviewed_grade == Grade.FAIRLY_GOOD
    events = AuditEvent.objects.filter(action="score").order_by("pk")
    assert [event.data["mark"] for event in events] == ["", ""]
    assert events[0].data["changes"]["self"] == [None, ["55", "38"]]


@pytest.mark.parametrize(
    ("state", "own", "superior"),
    [
        ("draft", {"branch", "township"}, set()),
        ("submitted", set(), {"township"}),
        ("accepted", set(), set()),
        ("returned", {"branch", "township"}, set()),
        ("excused", set(), set()),
    ],
)
def test_who_enters_which_part_in_which_state(line, state, own, superior):
    scored(line)
    fill(line.of("branch"))
    if state != "draft" and state != "excused":
        submit(line.of("branch"))
    if state == "accepted":
        accept(line.of("branch"))
    if state in ("returned", "excused"):
        action = {"returned": "send_back", "excused": "excuse"}[state]
        workflow.move(action, line.of("branch"), by=line.township, reason="核实")
    posts = {name: getattr(line, name) for name in line.units}
    posts["branch reader"] = appoint(line.units["branch"], Role.READ)
    posts["township reader"] = appoint(line.units["township"], Role.READ)
    allowed = {ScorePart.OWN: own, ScorePart.SUPERIOR: superior}
    writes = {ScorePart.OWN: enter_own, ScorePart.SUPERIOR: enter_superior}

    for part, who in allowed.items():
        for name, post in posts.items():
            assert (scoring.part_open_to(line.of("branch"), post) == part) == (name in who)
            if name not in who:
                with pytest.raises(TransitionRefused):
                    writes[part]("branch", line, by=post)
    assert not Score.objects.exists()
    assert not ScoreSheet.objects.get().is_scored


def test_each_role_has_its_part(line):
    scored(line)
    clerk = appoint(line.units["township"], Role.FILL)
    reviewer = appoint(line.units["township"], Role.REVIEW)
    with pytest.raises(TransitionRefused, match="填报人员"):
        enter_own("branch", line, by=reviewer)
    enter_own("branch", line, by=clerk)
    assert AuditEvent.objects.get(action="score").data["mark"] == "代填"
    hand_in(line)
    with pytest.raises(TransitionRefused, match="审核人员"):
        enter_superior("branch", line, by=clerk)
    both = appoint(line.units["township"], Role.REVIEW, user=line.branch.user)
    with pytest.raises(TransitionRefused, match="任职"):
        enter_superior("branch", line, by=both)
    enter_superior("branch", line, by=reviewer)


def hand_in(line):
    fill(line.of("branch"))
    submit(line.of("branch"))


def test_a_correction_does_not_reach_the_own_part(line):
    scored(line)
    hand_up(line.of("branch"))
    services.open_correction(
        issuer=line.of("township"),
        rows=[line.of("branch")],
        fields=["measures"],
        number="1",
        reason="核实",
        by=line.township,
    )

    with pytest.raises(TransitionRefused, match="不含评分"):
        enter_own("branch", line, by=line.branch)


def test_a_stale_page_is_refused_and_the_same_again_changes_nothing(line):
    scored(line)
    enter_own("branch", line, by=line.branch)
    stale = token_for("branch", line)
    enter_own("branch", line, by=line.township, selfs=(100, 100))
    values = {
        "points": {"self": [1, 1], "members": [1, 1]},
        "asked_count": None,
        "satisfied_count": None,
    }
    with pytest.raises(TransitionRefused, match="内容已变更"):
        scoring.save(line.of("branch"), ScorePart.OWN, values, by=line.branch, token=stale)
    events = AuditEvent.objects.count()
    enter_own("branch", line, by=line.township, selfs=(100, 100))
    assert AuditEvent.objects.count() == events
    assert score_of("branch", line).points["self"] == [100, 100]


def test_a_page_read_before_the_sheet_was_changed_is_refused(line):
    scored(line)
    token = token_for("branch", line)
    changed = settings_with(indicators=[["工作业绩", 40], ["党组织带头人", 60]])
    scoring.set_sheet(line.cycle, changed, by=line.province, token=1)
    values = {"points": {"self": [600, 400]}, "asked_count": None, "satisfied_count": None}
    values["points"]["members"] = [None, None]

    with pytest.raises(TransitionRefused, match="内容已变更"):
        scoring.save(line.of("branch"), ScorePart.OWN, values, by=line.branch, token=token)
    assert not ScoreSheet.objects.get().is_scored


# ---------------------------------------------------------------- pages


def score_page(line, name="branch"):
    return reverse("ratings:score", args=[line.of(name).pk])


OWN = {
    "part": "own",
    "self_0": "55",
    "self_1": "38",
    "members_0": "54.5",
    "members_1": "37",
    "asked_count": "20",
    "satisfied_count": "17",
}


def test_the_branch_scores_on_a_page_and_sees_it_beside_its_form(client, line):
    scored(line)
    client.force_login(line.branch.user)
    assert "填写自评和测评" in client.get(fill_page(line)).content.decode()

    answer = client.post(score_page(line), {**OWN, "token": 1}, follow=True)

    assert "已保存评分" in answer.content.decode()
    score = score_of("branch", line)
    assert score.points == {"self": [550, 380], "members": [545, 370]}
    assert (score.asked_count, score.satisfied_count) == (20, 17)
    page = client.get(fill_page(line)).content.decode()
    assert "已有自评93分、党员测评91.5分" in page
    assert "上级评分在审核通过后显示" in page
    assert "占85.0%，低于下限90%" in page


def fill_page(line):
    return reverse("ratings:fill", args=[line.of("branch").pk])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"self_0": "60.1"}, "60"),
        ({"self_0": "-1"}, "0"),
        ({"self_0": "55.55"}, "小数"),
        ({"self_0": "1e999999"}, "60"),
        ({"self_0": "NaN"}, "输入"),
        ({"self_0": "良好"}, "输入"),
        ({"satisfied_count": ""}, "要一起填写"),
        ({"satisfied_count": "21"}, "不能多于"),
        ({"asked_count": "9" * 40}, "1000000"),
    ],
)
def test_what_is_no_score_is_refused_in_words(client, line, changed, said):
    scored(line)
    client.force_login(line.branch.user)

    answer = client.post(score_page(line), {**OWN, "token": 1, **changed})

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Score.objects.exists()


def test_a_stale_form_keeps_what_was_typed(client, line):
    scored(line)
    client.force_login(line.branch.user)
    client.post(score_page(line), {**OWN, "token": 1})

    answer = client.post(score_page(line), {**OWN, "token": 1, "self_0": "12.3"})

    assert answer.status_code == 409
    assert 'value="12.3"' in answer.content.decode()
    assert "内容已变更" in answer.content.decode()
    assert score_of("branch", line).points["self"] == [550, 380]


def test_the_reviewer_scores_and_decides_otherwise(client, line):
    scored(line)
    enter_own("branch", line, by=line.branch)
    hand_in(line)
    client.force_login(line.township.user)
    review = reverse("ratings:review", args=[line.of("branch").pk])
    assert "填写上级评分" in client.get(review).content.decode()
    data = {"part": "superior", "superior_0": "60", "superior_1": "40", "red_line_0": "一起事故"}

    answer = client.post(score_page(line), {**data, "token": 2})

    assert answer.url == review
    page = client.get(review).content.decode()
    assert "由“好”降为“一般”" in page
    assert score_of("branch", line).red_lines == {"0": "一起事故"}
    accept(line.of("branch"))
    assert line.of("branch").entry.reviewed_grade == Grade.FAIRLY_GOOD
    page = client.get(line.of("branch").get_absolute_url()).content.decode()
    assert "加权得分" in page


def test_a_superiors_page_that_was_overtaken_by_a_recall_writes_nothing(client, line):
    scored(line)
    enter_own("branch", line, by=line.branch)
    hand_in(line)
    workflow.move("recall", line.of("branch"), by=line.branch)
    before = list(Score.objects.values())
    client.force_login(line.township.user)

    answer = client.post(score_page(line), {"part": "superior", "superior_0": "1", "token": 2})

    assert answer.status_code == 302
    assert list(Score.objects.values()) == before


def test_what_the_superior_gives_is_seen_below_after_the_decision(client, line):
    scored(line)
    enter_own("branch", line, by=line.branch)
    hand_in(line)
    enter_superior("branch", line, by=line.township, points=(123, 45), red_lines={"0": "内情"})
    client.force_login(line.branch.user)
    pages = [score_page(line), line.of("branch").get_absolute_url()]
    for page in pages:
        text = client.get(page).content.decode()
        assert "内情" not in text
        assert "12.3" not in text
    accept(line.of("branch"))
    assert "内情" in client.get(pages[1]).content.decode()
    assert "12.3" in client.get(pages[0]).content.decode()
    workflow.move("reopen", line.of("branch"), by=line.township, reason="核实")
    assert "内情" not in client.get(pages[1]).content.decode()


def test_without_a_sheet_there_is_nothing_of_it(client, line):
    hand_in(line)
    client.force_login(line.township.user)
    own = [reverse(f"ratings:{name}", args=[line.cycle]) for name in ("queue", "own_summary")]
    pages = [
        *own,
        line.of("branch").get_absolute_url(),
        reverse("ratings:review", args=[line.of("branch").pk]),
        reverse("ratings:cycle", args=[line.cycle]),
    ]

    for page in pages:
        assert "评分" not in client.get(page).content.decode()
    assert client.get(score_page(line)).status_code == 404
    assert client.get(reverse("ratings:scores", args=[line.cycle])).status_code == 404


@pytest.mark.parametrize("who", ["sibling", "county", "province"])
def test_others_see_no_score(client, line, who):
    scored(line)
    enter_own("branch", line, by=line.branch)
    hand_up(line.of("branch"))
    hand_up(line.of("sibling"))
    submit(line.of("township"))  # the county sees the row now
    client.force_login(getattr(line, who).user)

    assert client.get(score_page(line)).status_code == 404
    assert client.post(score_page(line), {**OWN, "token": 2}).status_code == 404
    if who == "county":
        page = client.get(line.of("branch").get_absolute_url())
        assert page.status_code == 200
        assert "建议等次" not in page.content.decode()


@pytest.mark.parametrize("sent", [{}, {"part": "x"}, {"part": ["own", "x"]}])
def test_a_forged_part_does_not_exist(client, line, sent):
    scored(line)
    client.force_login(line.branch.user)

    assert (
        client.post(score_page(line), {**OWN, "token": 1, **{"part": "x"}, **sent}).status_code
        == 404
    )


def test_a_unit_that_is_not_rated_has_no_score(client, line):
    scored(line)
    client.force_login(line.township.user)

    assert client.get(score_page(line, "township")).status_code == 404


# ---------------------------------------------------------------- of a level


def branches(line, count):
    ground = changes.Ground(timezone.localdate(), "1号")
    return [
        changes.create(
            line.units["township"],
            ground=ground,
            by=line.township,
            code=f"N{n:03}",
            name=f"第{n:03}党支部",
            kind=Kind.BRANCH,
        ).organization
        for n in range(count)
    ]


def test_a_quota_warns_and_hinders_nothing(client, line):
    scored(line, quotas={"good": 50})
    township = line.of("township")
    hand_up(line.of("branch"), grade="good", reason="核实", target="good")
    assert scoring.quota_warnings(township) == []  # 1 of 2 is not more than half
    hand_up(line.of("sibling"), grade="good", reason="核实", target="good")
    warning = "直接下级应定级2个，审核为“好”的2个，占100.0%，超过比例上限50%"
    assert scoring.quota_warnings(township) == [warning]
    client.force_login(line.township.user)
    for name in ("queue", "own_summary"):
        page = client.get(reverse(f"ratings:{name}", args=[line.cycle])).content.decode()
        assert warning in page
    assert submit(township).state == State.SUBMITTED
    client.force_login(line.county.user)
    assert (
        warning not in client.get(reverse("ratings:summary", args=[township.pk])).content.decode()
    )


def test_a_quota_leaves_out_who_is_excused(line):
    scored(line, quotas={"good": 50})
    hand_up(line.of("branch"), grade="good", reason="核实", target="good")
    workflow.move("excuse", line.of("sibling"), by=line.township, reason="撤并")

    assert "应定级1个" in scoring.quota_warnings(line.of("township"))[0]


def test_the_sheet_of_scores_keeps_the_order_of_organizations(client, line):
    scored(line)
    enter_own("sibling", line, by=line.sibling, selfs=(600, 400), members=(600, 400))
    fill(line.of("sibling"))
    submit(line.of("sibling"))
    enter_superior("sibling", line, by=line.township, points=(595, 400))
    client.force_login(line.township.user)

    answer = client.get(reverse("ratings:scores", args=[line.cycle]))

    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    head, first, second = [[c.value for c in row] for row in book["评分情况"].iter_rows(2, 4)]
    assert head[:6] == [
        "序号",
        "党组织名称",
        "自评（30%）",
        "党员测评（30%）",
        "上级评分（40%）",
        "加权得分",
    ]
    assert first[1:6] == [line.units["branch"].name, None, None, None, None]
    assert second[1:9] == [
        line.units["sibling"].name,
        100,
        100,
        99.5,
        99.8,
        "好",
        "较好",
        None,
    ]
    assert first[-1].startswith("缺自评、党员测评、上级评分")
    assert AuditEvent.objects.get(action="export").data["rows"] == 2


@pytest.mark.parametrize("who", ["branch", "sibling"])
def test_who_has_no_subordinates_has_no_such_sheet(client, line, who):
    scored(line)
    client.force_login(getattr(line, who).user)

    assert client.get(reverse("ratings:scores", args=[line.cycle])).status_code == 404


def test_queries_do_not_grow_with_the_rows(client, line, django_assert_max_num_queries):
    scored(line)
    client.force_login(line.township.user)

    def queries(page):
        with django_assert_max_num_queries(40) as found:
            client.get(page)
        return len(found)

    pages = [reverse(f"ratings:{name}", args=[line.cycle]) for name in ("scores", "queue")]
    few = [queries(page) for page in pages]
    branches(line, 5)
    assert [queries(page) for page in pages] == few


def test_a_row_costs_one_query_more_with_a_sheet(client, line, django_assert_max_num_queries):
    client.force_login(line.branch.user)

    def queries():
        with django_assert_max_num_queries(40) as found:
            client.get(line.of("branch").get_absolute_url())
        return len(found)

    queries()  # the session's own
    without = queries()
    scored(line)
    assert queries() <= without + 1


def test_no_score_moves_a_token_of_the_report(line):
    scored(line)
    before = Report.objects.get(pk=line.of("branch").pk).token

    enter_own("branch", line, by=line.branch)

    assert line.of("branch").token == before


def test_a_part_that_the_sheet_does_not_ask_for_is_not_offered(line):
    scored(line, self_weight=60, superior_weight=0, members_weight=40, red_lines=[])
    hand_in(line)

    assert scoring.part_open_to(line.of("branch"), line.township) is None
    with pytest.raises(TransitionRefused, match="没有要填写的上级评分"):
        enter_superior("branch", line, by=line.township)
