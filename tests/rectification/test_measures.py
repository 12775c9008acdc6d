"""Measures: laid down from what was reported, followed, verified by another, never by oneself."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from orgs import changes
from orgs.choices import Role
from ratings.choices import CycleState
from ratings.models import Cycle
from rectification import following, workflow
from rectification.models import HelpingUnit, Measure, Progress, ProgressFile
from rectification.workflow import CLAIM, CLOSE, EXTEND, NOTE, SEND_BACK
from tests.factories import accept, appoint, fill, hand_up, submit

pytestmark = pytest.mark.django_db
GROUND = changes.Ground(date(2012, 5, 1), "测发〔2012〕3号")
TEXT = "1、发展青年党员3名；\n2、修缮活动室，2012年8月完工；\n3、坚持三会一课。"


@pytest.fixture
def laid(line, settings, tmp_path):
    """The branch's plan, accepted and laid down in three measures."""
    settings.ATTACHMENTS_DIR = tmp_path / "attachments"
    fill(line.of("branch"), measures=TEXT, support_unit="县卫生局、县水利局")
    submit(line.of("branch"))
    accept(line.of("branch"))
    return following.lay_down(
        line.of("branch"), following.proposed(line.of("branch")), by=line.branch
    )


def act(action, measure, by, **more):
    measure = Measure.objects.select_related("report__parent").get(pk=measure.pk)
    return workflow.act(action, measure, token=measure.token, by=by, **{"text": "做了", **more})


def again(measure):
    return Measure.objects.get(pk=measure.pk)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (TEXT, ["发展青年党员3名", "修缮活动室，2012年8月完工", "坚持三会一课。"]),
        ("发展青年党员3名。", ["发展青年党员3名。"]),
        ("一、甲\n二、乙", ["甲", "乙"]),
        ("（1）甲\n（2）乙", ["甲", "乙"]),
        ("①甲\n②乙", ["甲", "乙"]),
        ("投资1.5万元\n再投2.5万元", ["投资1.5万元\n再投2.5万元"]),
        ("", []),
        (None, []),
    ],
)
def test_a_numbered_text_is_taken_apart(text, pieces):
    assert following.split(text) == pieces


@pytest.mark.django_db(transaction=True)
def test_of_two_who_lay_down_at_once_one_does(line):
    fill(line.of("branch"), measures=TEXT)
    report = line.of("branch")
    drafts = following.proposed(report)

    def press():
        try:
            following.lay_down(report, drafts, by=line.branch)
        except TransitionRefused as refusal:
            return str(refusal)
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: press(), range(4)))
    assert sorted(answers) == ["done", *["这些措施已经有了，请刷新页面查看"] * 3]
    assert Measure.objects.count() == 3


def test_what_is_laid_down_leaves_what_was_reported(line, laid):
    assert [m.text for m in laid] == [
        "发展青年党员3名",
        "修缮活动室，2012年8月完工",
        "坚持三会一课。",
    ]
    assert line.of("branch").entry.measures == TEXT
    assert line.of("branch").state == "accepted"
    names = HelpingUnit.objects.filter(name="县水利局").values_list("measure__report__code")
    assert {code for (code,) in names} == {"B1"}


def test_a_measure_that_names_a_day_has_that_one(line, laid):
    assert [(m.deadline_text, m.due_on) for m in laid] == [
        ("2012年底", date(2012, 12, 31)),
        ("2012年8月完工", date(2012, 8, 31)),
        ("2012年底", date(2012, 12, 31)),
    ]
    fill(line.of("sibling"), measures="1、9月中旬前完成换届；\n2、13月底前修路；\n3、新增3户。")
    drafts = following.proposed(line.of("sibling"))
    assert [d.due_on for d in drafts] == [date(2012, 9, 20), *[date(2012, 12, 31)] * 2]


def test_a_measure_is_followed_claimed_and_closed_by_another(line, laid):
    one = laid[0]
    act(NOTE, one, line.branch, text="发展1名")
    act(CLAIM, one, line.branch, text="已发展3名")
    assert again(one).state == "claimed"
    act(CLOSE, one, line.township, text="")
    closed = again(one)
    assert (closed.state, closed.closed_on) == ("closed", timezone.localdate())
    assert [p.label for p in Progress.objects.filter(measure=one)] == [
        "填写进展",
        "申请销号",
        "验收销号",
    ]
    assert AuditEvent.objects.filter(action__in=[NOTE, CLAIM, CLOSE]).count() == 3
    for action, by in ((NOTE, line.branch), (CLAIM, line.branch), (EXTEND, line.township)):
        with pytest.raises(TransitionRefused, match="已销号"):
            act(action, one, by)


def test_what_is_not_done_is_sent_back_with_a_reason(line, laid):
    act(CLAIM, laid[0], line.branch)
    with pytest.raises(TransitionRefused, match="理由"):
        act(SEND_BACK, laid[0], line.township, text=" ")
    act(SEND_BACK, laid[0], line.township, text="只发展了1名")
    assert again(laid[0]).state == "open"


@pytest.mark.parametrize("who", ["branch", "county", "sibling", "province"])
def test_closing_is_the_direct_superiors_alone(line, laid, who):
    act(CLAIM, laid[0], line.branch)
    with pytest.raises(TransitionRefused):
        act(CLOSE, laid[0], getattr(line, who))
    assert again(laid[0]).state == "claimed"


def test_nobody_closes_what_they_claimed(line, laid):
    act(CLAIM, laid[0], line.township)  # 代填
    with pytest.raises(TransitionRefused, match="不能是同一人"):
        act(CLOSE, laid[0], line.township)
    act(CLOSE, laid[0], appoint(line.units["township"]))
    assert again(laid[0]).state == "closed"


def test_who_holds_a_post_in_the_unit_closes_nothing_of_it(line, laid):
    act(CLAIM, laid[0], line.branch)
    both = appoint(line.units["township"], user=appoint(line.units["branch"]).user)
    with pytest.raises(TransitionRefused, match="在本单位任职"):
        act(CLOSE, laid[0], both)


def test_an_extension_goes_forward_and_has_a_reason(line, laid):
    day = timezone.localdate() + timedelta(days=30)
    with pytest.raises(TransitionRefused, match="延期到哪一天"):
        act(EXTEND, laid[0], line.township)
    with pytest.raises(TransitionRefused, match="应晚于"):
        act(EXTEND, laid[0], line.township, until=date(2012, 1, 1))
    assert again(laid[0]).is_overdue
    act(EXTEND, laid[0], line.township, until=day)
    assert again(laid[0]).due_on == day
    assert not again(laid[0]).is_overdue


def test_a_closed_cycle_is_followed_on(line, laid):
    Cycle.objects.update(state=CycleState.CLOSED)
    act(NOTE, laid[0], line.branch)
    assert Progress.objects.count() == 1


def test_a_stale_tab_makes_no_move(line, laid):
    measure = again(laid[0])
    act(NOTE, laid[0], line.branch)
    with pytest.raises(TransitionRefused, match="已被他人办理"):
        workflow.act(CLAIM, measure, text="做了", token=measure.token, by=line.branch)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_two_who_close_at_once_one_does(line, laid):
    act(CLAIM, laid[0], line.branch)
    token = again(laid[0]).token

    def close():
        try:
            workflow.act(CLOSE, laid[0], token=token, by=line.township)
        except TransitionRefused:
            return 0
        finally:
            connection.close()
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(lambda _: close(), range(6))) == 1
    assert Progress.objects.filter(action=CLOSE).count() == 1


def test_measures_of_rows_not_reported_up_are_counted_and_not_read(client, line, laid):
    preview = changes.rehearse(
        lambda: changes.close(line.units["branch"], ground=GROUND, by=line.county), by=line.county
    )
    assert dict(preview.sections)["没有销号的措施"] == ["尚未上报到本级的3条"]
    fill(line.of("sibling"))
    for name in ("sibling", "township"):
        hand_up(line.of(name))
    preview = changes.rehearse(
        lambda: changes.close(line.units["branch"], ground=GROUND, by=line.county), by=line.county
    )
    assert len(dict(preview.sections)["没有销号的措施"]) == 3


def test_what_a_measure_lacks_is_a_hint(laid):
    drafts = [following.Draft("加强学习"), following.Draft("发展3名", due_on=date(2012, 12, 31))]
    assert following.hints_of(drafts) == [
        "第1条没有完成日期、责任人、可以核对的数字",
        "第2条没有责任人",
    ]


def test_the_wording_of_a_day_is_kept_and_read(line):
    draft = following.draft_of(
        "甲", deadline_text="8月底前", helpers="县财政局，县水利局", year=2012, owner="张三"
    )
    assert (draft.due_on, draft.deadline_text) == (date(2012, 8, 31), "8月底前")
    assert draft.helpers == ("县财政局", "县水利局")
    assert following.draft_of("甲", deadline_text="尽快", helpers="", year=2012).due_on is None


# ---------------------------------------------------------------- pages


def page_of(line):
    return reverse("rectification:measures", args=[line.of("branch").pk])


def test_the_page_lays_down_adds_and_moves(client, line, settings, tmp_path):
    settings.ATTACHMENTS_DIR = tmp_path / "attachments"
    fill(line.of("branch"), measures=TEXT)
    client.force_login(line.branch.user)
    assert "发展青年党员3名" in client.get(page_of(line)).content.decode()
    client.post(page_of(line), {"action": "lay_down"})
    client.post(page_of(line), {"action": "lay_down"})
    assert Measure.objects.count() == 3
    client.post(page_of(line), {"action": "add", "text": "新的措施", "deadline_text": "2012.10"})
    one = Measure.objects.get(number=4)
    assert one.due_on == date(2012, 10, 31)
    photo = SimpleUploadedFile("照片.png", b"\x89PNG\r\n\x1a\n")
    data = {"action": "claim", "measure": one.pk, "token": 0, "text": "完成", "files": photo}
    client.post(page_of(line), data)
    assert again(one).state == "claimed"
    page = client.get(page_of(line)).content.decode()
    assert "照片.png" in page
    assert "验收销号" not in page
    client.force_login(line.township.user)
    assert "验收销号" in client.get(page_of(line)).content.decode()


def test_a_file_is_fetched_by_who_sees_the_row(client, line, laid):
    photo = SimpleUploadedFile("照片.png", b"\x89PNG\r\n\x1a\n")
    act(NOTE, laid[0], line.branch, files=[photo])
    address = reverse("rectification:progress_file", args=[ProgressFile.objects.get().pk])
    for who, status in (("branch", 200), ("township", 200), ("sibling", 404), ("county", 404)):
        client.force_login(getattr(line, who).user)
        assert client.get(address).status_code == status


def test_a_program_named_as_a_document_is_refused_and_nothing_stored(line, laid):
    program = SimpleUploadedFile("证明.pdf", b"MZ\x90\x00")
    with pytest.raises(TransitionRefused, match="与扩展名不符"):
        act(CLAIM, laid[0], line.branch, files=[program])
    assert again(laid[0]).state == "open"
    assert not Progress.objects.exists()


@pytest.mark.parametrize(
    ("action", "sent", "said"),
    [
        ("close", None, "只有直接上级的审核人员可以验收销号"),
        ("extend", None, "只有直接上级的审核人员可以延期"),
        ("claim", ("证明.pdf", b"MZ\x90\x00"), "与扩展名不符"),
    ],
)
def test_what_the_page_does_not_offer_is_refused_in_chinese(client, line, laid, action, sent, said):
    if action == "close":
        act(CLAIM, laid[0], line.branch)
    before = again(laid[0])
    client.force_login(line.branch.user)
    data = {"action": action, "measure": before.pk, "token": before.token, "text": "伪造"}
    if sent:
        data["files"] = SimpleUploadedFile(*sent)

    page = client.post(page_of(line), {**data, "until": "2099-01-01"}, follow=True)

    assert said in page.content.decode()
    assert again(laid[0]).state == before.state


def test_a_reader_and_a_neighbour_change_nothing(client, line, laid):
    reader = appoint(line.units["branch"], Role.READ)
    for user, status in ((reader.user, 302), (line.sibling.user, 404)):
        client.force_login(user)
        data = {"action": "note", "measure": laid[0].pk, "token": 0, "text": "伪造"}
        assert client.post(page_of(line), data).status_code == status
    assert not Progress.objects.exists()


def test_a_measure_of_another_row_is_not_there(client, line, laid):
    fill(line.of("sibling"))
    client.force_login(line.sibling.user)
    address = reverse("rectification:measures", args=[line.of("sibling").pk])
    data = {"action": "note", "measure": laid[0].pk, "token": 0, "text": "伪造"}
    assert client.post(address, data).status_code == 404


def test_queries_do_not_grow_with_measures(client, line, laid, django_assert_max_num_queries):
    client.force_login(line.branch.user)
    with django_assert_max_num_queries(20):
        client.get(page_of(line))


# ---------------------------------------------------------------- the board


def listed(client, line, **asked):
    page = client.get(reverse("rectification:board", args=[line.cycle]), asked)
    return [measure.number for measure in page.context["measures"]]


def test_the_board_finds_measures_by_progress_topic_helper_and_leader(client, line, laid):
    soon = timezone.localdate() + timedelta(days=3)
    Measure.objects.filter(number=2).update(due_on=soon, topic="venue")
    act(CLAIM, laid[2], line.branch)
    client.force_login(line.township.user)
    assert listed(client, line) == [1, 2, 3]
    assert listed(client, line, state="overdue") == [1]
    assert listed(client, line, state="week") == [2]
    assert listed(client, line, state="claimed") == [3]
    assert listed(client, line, state="closed") == []
    assert listed(client, line, topic="venue") == [2]
    assert listed(client, line, helper="水利") == [1, 2, 3]
    assert listed(client, line, helper="县委") == []
    assert listed(client, line, leader="李明") == [1, 2, 3]


def test_the_board_ends_where_sight_ends(client, line, laid):
    for who, found in (("branch", [1, 2, 3]), ("sibling", []), ("county", []), ("province", [])):
        client.force_login(getattr(line, who).user)
        assert listed(client, line) == found


def test_the_board_as_a_sheet(client, line, laid):
    client.force_login(line.township.user)
    answer = client.get(reverse("rectification:board", args=[line.cycle]), {"sheet": "1"})
    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    rows = [row for row in book["整改措施"].iter_rows(values_only=True) if isinstance(row[2], int)]
    assert [(row[2], row[9], row[10]) for row in rows] == [
        (number, "县卫生局、县水利局", "逾期") for number in (1, 2, 3)
    ]
