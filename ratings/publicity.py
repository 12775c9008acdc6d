"""公示 and 通知: what a level makes known, who has read it, what was said against it."""

from datetime import date, timedelta

from django.utils import timezone

from ledger_site.base import attaching, sheets, trail
from ledger_site.base.sheets import Book, Column, Row
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role

from .choices import Grade, State
from .exports import unit_of
from .models import (
    Cycle,
    Notice,
    NoticeFile,
    NoticeReading,
    Objection,
    Publicity,
    PublicRow,
    Report,
)
from .workflow import act_of

SHORTEST, LONGEST = 3, 60  # days of a publicity
ANONYMOUS = "匿名"
MOST_FILES = 20  # of a notice


# ---------------------------------------------------------------- 通知


@trail.service("发布通知")
def write_notice(cycle: Cycle, *, title: str, document: str, text: str, by) -> Notice:
    """Write the notice of a cycle, or write it anew: then every unit has it to read again.

    By who keeps accounts at the top; the same words again change nothing.
    """
    if not by.manages_cycles:
        raise TransitionRefused("只有最高一级的管理人员可以发布通知")
    cycle = Cycle.objects.select_for_update().get(pk=cycle.pk)
    values = {"title": title, "document": document, "text": text}
    notice = Notice.objects.filter(cycle=cycle).first()
    if notice and all(getattr(notice, name) == value for name, value in values.items()):
        return notice
    number = notice.number + 1 if notice else 1
    written = {
        **values,
        "number": number,
        "at": timezone.now(),
        "person_name": by.person_name,
        "unit_name": by.unit_name,
    }
    notice, _ = Notice.objects.update_or_create(cycle=cycle, defaults=written)
    act = trail.Act("cycle", cycle.pk, cycle.label, cycle.title, data={"number": number} | values)
    trail.record("write_notice", "发布通知", [act], by=by)
    return notice


@trail.service("添加通知附件")
def attach(notice: Notice, sent, *, by) -> NoticeFile:
    """Add a file to a notice; what was read before holds, since its words are the same."""
    if not by.manages_cycles:
        raise TransitionRefused("只有最高一级的管理人员可以添加附件")
    if notice.files.filter(removed_at=None).count() >= MOST_FILES:
        raise TransitionRefused(f"附件最多{MOST_FILES}个")
    file = NoticeFile.objects.create(notice=notice, **attaching.keep(sent, by=by))
    about = {"file": file.file_name, "digest": file.digest}
    cycle = notice.cycle
    act = trail.Act("cycle", cycle.pk, cycle.label, cycle.title, data=about)
    trail.record("attach", "添加通知附件", [act], by=by)
    return file


@trail.service("撤下通知附件")
def remove_file(file: NoticeFile, *, by) -> None:
    """Take a file off the notice; it is kept, as everything with history."""
    if not by.manages_cycles:
        raise TransitionRefused("只有最高一级的管理人员可以撤下附件")
    there = NoticeFile.objects.filter(pk=file.pk, removed_at=None)
    if not there.update(removed_at=timezone.now()):
        raise TransitionRefused("这个附件已经撤下")
    cycle = file.notice.cycle
    act = trail.Act("cycle", cycle.pk, cycle.label, cycle.title, data={"file": file.file_name})
    trail.record("detach", "撤下通知附件", [act], by=by)


@trail.service("阅知")
def read_notice(notice: Notice, report: Report, *, by) -> None:
    """Note that a person of the unit has read the notice as it is now; once is enough."""
    if by.organization_id != report.organization_id:
        raise TransitionRefused("只能为本单位登记阅知")
    _, is_new = NoticeReading.objects.get_or_create(
        report=report,
        notice=notice,
        number=notice.number,
        defaults={"person": by.user, "person_name": by.person_name},
    )
    if is_new:
        trail.record("read_notice", "阅知", [act_of(report, number=notice.number)], by=by)


def readings_of(notice: Notice, reports) -> dict[int, NoticeReading]:
    """By report: who read the notice as it is now."""
    found = NoticeReading.objects.filter(notice=notice, number=notice.number, report__in=reports)
    return {reading.report_id: reading for reading in found}


# ---------------------------------------------------------------- 公示


def accepted_rows(report: Report):
    """The rows that the unit of a report has accepted: its direct subordinates' own."""
    return Report.objects.filter(
        parent=report, is_rated=True, is_row_excused=False, state=State.ACCEPTED
    ).exclude(entry__reviewed_grade=None)


@trail.service("公示")
def publish(report: Report, *, started_on: date, days: int, contact: str, by) -> Publicity:
    """Make the accepted rows public for so many days, the first one counted."""
    if by.organization_id != report.organization_id or not by.has(Role.REVIEW):
        raise TransitionRefused("只有本级审核人员可以办理公示")
    if not SHORTEST <= days <= LONGEST:
        raise TransitionRefused(f"公示期为{SHORTEST}至{LONGEST}天")
    if started_on < timezone.localdate():
        raise TransitionRefused("公示开始日期不能早于今天")
    report = Report.objects.select_for_update(no_key=True).get(pk=report.pk)
    ended_on = started_on + timedelta(days=days - 1)
    same = Publicity.objects.filter(report=report, ended_on__gte=started_on)
    if running := same.first():
        raise TransitionRefused(f"“{running}”还没有结束，不能重复公示")
    rows = accepted_rows(report).order_by("path")
    rows = list(rows.values_list("pk", "path", "name", "entry__reviewed_grade"))
    if not rows:
        raise TransitionRefused("还没有审核通过的台账行，没有可以公示的内容")
    publicity = Publicity.objects.create(
        report=report,
        started_on=started_on,
        ended_on=ended_on,
        contact=contact,
        person_name=by.person_name,
    )
    PublicRow.objects.bulk_create(
        [
            PublicRow(publicity=publicity, report_id=pk, path=path, name=name, grade=grade)
            for pk, path, name, grade in rows
        ],
        batch_size=500,
    )
    said = {"days": days, "started_on": started_on.isoformat(), "rows": len(rows)}
    trail.record("publish", "公示", [act_of(report, **said)], by=by)
    return publicity


def _check_own(publicity: Publicity, by) -> None:
    if publicity.report.organization_id != by.organization_id or not by.has(Role.REVIEW):
        raise TransitionRefused("只有公示单位的审核人员可以登记和答复意见")


@trail.service("登记公示意见")
def object_to(publicity: Publicity, *, row: PublicRow | None, received_on, source, text, by):
    """Record what somebody said against the list or a row of it. Raises `TransitionRefused` for
    whom it is not up to, and before the first day."""
    _check_own(publicity, by)
    if not publicity.started_on <= received_on <= timezone.localdate():
        raise TransitionRefused("收到日期应在公示开始之后、今天之前")
    objection = Objection.objects.create(
        publicity=publicity,
        row=row,
        received_on=received_on,
        source=source or ANONYMOUS,
        text=text,
        person_name=by.person_name,
    )
    about = {"publicity": publicity.pk, "row": row and row.name}
    trail.record("object", "登记公示意见", [act_of(publicity.report, **about)], by=by)
    return objection


@trail.service("答复公示意见")
def answer(objection: Objection, *, text: str, by) -> None:
    """Answer an objection; an answer stands."""
    _check_own(objection.publicity, by)
    if not text.strip():
        raise TransitionRefused("请写明核实处理情况")
    open_ones = Objection.objects.filter(pk=objection.pk, answered_at=None)
    if not open_ones.update(
        answer=text.strip(), answered_by=by.person_name, answered_at=timezone.now()
    ):
        raise TransitionRefused("这条意见已经答复")
    about = {"publicity": objection.publicity_id, "objection": objection.pk}
    trail.record("answer", "答复公示意见", [act_of(objection.publicity.report, **about)], by=by)


def title_of(publicity: Publicity) -> str:
    cycle = publicity.report.cycle
    return f"{unit_of(publicity.report)}{cycle.title}基层党组织分类定级公示"


def sheet_name(publicity: Publicity) -> str:
    name = f"基层党组织分类定级公示（{publicity.started_on:%Y%m%d}）.xlsx"
    return sheets.file_name(unit_of(publicity.report), name)


def write(publicity: Publicity, stream, *, by) -> int:
    """Write the list as a workbook: names and grades, nothing else; returns the number of rows."""
    columns = (
        Column(("序号",), 8, number_format="0"),
        Column(("党组织名称",), 70),
        Column(("定级类别",), 20, choices=tuple(Grade.labels)),
    )
    period = f"{publicity.started_on:%Y年%-m月%-d日}至{publicity.ended_on:%Y年%-m月%-d日}"
    foot = (f"公示期：{period}\n意见反映方式：{publicity.contact}",)
    form = sheets.Form("公示", title_of(publicity), columns, foot)
    rows = publicity.rows.order_by("path").values_list("name", "grade")
    with Book(stream, title_of(publicity), by.unit_name) as book:
        numbered = enumerate(rows.iterator(2000), 1)
        written = book.add(form, (Row([n, name, Grade(g).label]) for n, (name, g) in numbered))
    return written.row_count
