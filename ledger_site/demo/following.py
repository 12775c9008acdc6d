"""Beside the reports of the story: measures that are followed, a 软弱涣散 mark, 公示 and 通知."""

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from django.core.files.uploadedfile import SimpleUploadedFile
from openpyxl import Workbook

from ratings import publicity
from ratings.parsers import wording_of
from rectification import following as plans
from rectification import services as rectification
from rectification import workflow
from rectification.choices import Topic, WeakReason
from rectification.models import Measure
from rectification.workflow import CLAIM, CLOSE, EXTEND, NOTE, SEND_BACK

PROVINCE, COUNTY, TOWNSHIP, TAFENG = "43", "431127", "431127107", "431127100"
SICUN = "431127107801"
# The same words in three branches of one township: a hint, no obstacle.
SAME = plans.Draft("严格落实“三会一课”制度，每季度上1次党课。", Topic.MECHANISM, owner="支部书记")
NOTICE = (
    "各市委组织部，省直有关单位党组织：\n"
    "2012年基层党组织分类定级、晋位升级工作已经开始。请按照分级负责、下管一级、逐级建立的要求，"
    "如实申报、从严审核，把整改措施落实到人、到月，逐条验收销号。\n"
    "各级收到通知后请在系统内登记阅知，并按本级的截止日逐级上报。"
)


def chapters(story) -> tuple[Iterator, ...]:
    """Chapters of the open cycle, told side by side with the others."""
    return _notice(story), _sicun(story), _alike(story), _tafeng(story), _tushi(story)


def _notice(story) -> Iterator:
    """The notice of the province: the offices have read it, most branches have not yet."""
    yield -21, 10
    notice = publicity.write_notice(
        story.cycle,
        title="关于做好2012年基层党组织分类定级、晋位升级工作的通知",
        document="湘南组发〔2012〕11号",
        text=NOTICE,
        by=story.people.post("admin", PROVINCE),
    )
    sheet = _sheet(
        "进度安排.xlsx", ("阶段", "内容"), ("一", "申报"), ("二", "审核"), ("三", "整改")
    )
    publicity.attach(notice, sheet, by=story.people.post("admin", PROVINCE))
    for day, codes in ((-20, (PROVINCE, "4311", COUNTY)), (-19, (TOWNSHIP, TAFENG, SICUN))):
        yield day, 11
        for code in codes:
            story.clock.tick()
            by = story.people.filling.get(code) or story.people.reviewing[code]
            publicity.read_notice(notice, story.report(code), by=by)


def _sicun(story) -> Iterator:
    """四村: a measure of each kind. One closed, one that waits, one sent back, one overdue."""
    branch, township = story.people.filling[SICUN], story.people.post("xiang2", TOWNSHIP)
    yield -7, 15
    days = (4, 40, -2, 25, 60)
    drafts = [*plans.proposed(story.report(SICUN)), *_more(), SAME]
    topics = (Topic.VENUE, Topic.LIVELIHOOD, Topic.LEADERSHIP, Topic.THINKING, Topic.MECHANISM)
    _lay_down(story, SICUN, drafts, days, topics)
    yield -6, 10
    _act(story, NOTE, SICUN, 1, branch, "主体已经封顶，正在粉刷，附工程进度。", files=[_progress()])
    yield -5, 9
    _act(story, CLAIM, SICUN, 4, branch, "已与县农业局签订技术帮扶协议，种植烤烟60亩。")
    _act(story, CLAIM, SICUN, 5, branch, "二季度党课已上，有签到和照片。")
    yield -4, 15
    _act(story, CLOSE, SICUN, 5, township, "查看了记录，属实。")
    yield -3, 10
    _act(story, CLAIM, SICUN, 2, branch, "规划草案已完成。")
    yield -2, 10
    _act(story, SEND_BACK, SICUN, 2, township, "规划没有经党员大会讨论，请补上后再申请。")
    yield -1, 10
    rectification.remind(story.report(TOWNSHIP), by=township)


def _more() -> tuple[plans.Draft, ...]:
    return (
        plans.Draft("培养入党积极分子2名，发展35岁以下党员1名。", owner="张金运"),
        plans.Draft(
            "扩大烤烟种植60亩，村集体年收入达到3万元。",
            owner="张金运",
            contact_leader="李菊娥",
            helpers=("县检察院", "县农业局"),
        ),
    )


def _alike(story) -> Iterator:
    """Two branches of the same township lay down the same words beside their own."""
    yield -4, 11
    for code in ("431127107J1", "431127107Q1"):
        drafts = [*plans.proposed(story.report(code)), SAME]
        _lay_down(story, code, drafts, [30, 50, 5, 6][: len(drafts)], [Topic.MECHANISM] * 9)


def _tafeng(story) -> Iterator:
    """塔峰镇 has made its grades public, answered what was said, and extended a measure."""
    reviewer = story.people.reviewing[TAFENG]
    association, village = "431127100H1", "431127100202"
    yield -12, 15
    listed = publicity.publish(
        story.report(TAFENG),
        started_on=story.clock.today - timedelta(days=12),
        days=5,
        contact="塔峰镇党建办，电话0746-0000000",
        by=reviewer,
    )
    yield -10, 9
    objection = publicity.object_to(
        listed,
        row=listed.rows.order_by("path").first(),
        received_on=story.clock.today - timedelta(days=10),
        source="群众来电",
        text="支部活动场所常常锁门，定级偏高。",
        by=reviewer,
    )
    yield -8, 10
    text = "经核实，活动场所六月份因维修停用两周，现已按时开放，维持原定级。"
    publicity.answer(objection, text=text, by=reviewer)
    yield -7, 10
    drafts = plans.proposed(story.report(association))
    topics = (Topic.VENUE, Topic.LEADERSHIP, Topic.MECHANISM, Topic.MECHANISM)
    _lay_down(story, association, drafts, (-3, 6, 45, 90), topics)
    drafts = plans.proposed(story.report(village))
    _lay_down(story, village, drafts, (-5, 70), (Topic.LEADERSHIP, Topic.MECHANISM))
    yield -6, 14
    until = story.clock.today + timedelta(days=20)
    text = "发展对象正在培训，同意延期。"
    _act(story, EXTEND, village, 1, reviewer, text, until=until)


def _tushi(story) -> Iterator:
    """土市乡: a branch held to be 软弱涣散, the first grades public, an objection unanswered."""
    reviewer = story.people.post("xiang2", TOWNSHIP)
    yield -5, 16
    rectification.mark_weak(
        story.report("431127107802"),
        reasons=[WeakReason.MEETINGS, WeakReason.SECRETARY],
        note="今年以来只开过1次党员大会，发展集体经济没有思路。",
        by=reviewer,
    )
    yield -4, 16
    listed = publicity.publish(
        story.report(TOWNSHIP),
        started_on=story.clock.today - timedelta(days=4),
        days=7,
        contact="土市乡党政办，电话0746-0000001",
        by=reviewer,
    )
    yield -2, 16
    publicity.object_to(
        listed,
        row=listed.rows.order_by("path").first(),
        received_on=story.clock.today - timedelta(days=2),
        source="",
        text="今年村里修通了两条组级公路，希望定级时考虑。",
        by=reviewer,
    )


# ---------------------------------------------------------------- acts


def _lay_down(story, code: str, drafts, days, topics) -> None:
    """Measures with days around today, so that some are due and some are late."""
    story.clock.tick()
    told = [
        replace(draft, due_on=day, deadline_text=f"{wording_of(day)}前", topic=topic)
        for draft, day, topic in zip(
            drafts, [story.clock.today + timedelta(days=n) for n in days], topics, strict=False
        )
    ]
    plans.lay_down(story.report(code), told, by=story.people.filling[code])


def _act(story, action: str, code: str, number: int, by, text: str, **more) -> None:
    story.clock.tick()
    measure = Measure.objects.get(report=story.report(code), number=number)
    workflow.act(action, measure, text=text, token=measure.token, by=by, **more)


def _progress() -> SimpleUploadedFile:
    return _sheet("工程进度.xlsx", ("项目", "进度"), ("主体", "完成"), ("粉刷", "进行中"))


def _sheet(name: str, *rows) -> SimpleUploadedFile:
    book, stream = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(stream)
    return SimpleUploadedFile(name, stream.getvalue())
