"""检查资料包: what a post may see of a unit and all below it in a cycle, as one zip.

Each table is made of the visible reports in pieces, so that memory does not grow with the number
of organizations. What other apps know of these reports they add by `contributes`.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from ledger_site.base import sheets
from ledger_site.base.db import snapshot
from ledger_site.base.packing import MANIFEST, MOST_BYTES, Pack, Packed, TooMuch
from ledger_site.base.progress import Tell, untold
from ledger_site.base.workflow import TransitionRefused

from . import exports, scoring, sight
from .choices import Form, Grade, State
from .columns import FIELDS
from .models import Reminder, Report, ReportMove, ReportVersion
from .querysets import from_path

CHUNK = 500  # reports looked at together
SHEETS = (Form.ANNEX1, Form.ANNEX2, Form.ANNEX3)
CONTENTS = "版本原文.txt"
ABOUT = "说明.txt"

Rows = Iterator[Sequence[Any]]


@dataclass(frozen=True)
class Table:
    """A table of the pack: `rows` is given reports of a piece and the post."""

    name: str
    heads: Sequence[str]
    rows: Callable[[list[Report], Any], Rows]


TABLES: list[Table] = []


def contributes(name: str, *heads: str):
    """Register a function (reports, post) → rows as a table of every pack; its rows begin with
    code and name of the organization."""

    def register(function):
        TABLES.append(Table(f"{name}.csv", ("代码", "党组织名称", *heads), function))
        return function

    return register


def pack_name(report: Report) -> str:
    day = timezone.localdate()
    return sheets.file_name(
        exports.unit_of(report), f"检查资料包_{report.cycle.label}_{day:%Y%m%d}.zip"
    )


def title_of(report: Report) -> str:
    return f"{exports.unit_of(report)}检查资料包（{report.cycle.title}）"


def write(report: Report, post, stream, tell: Tell = untold) -> list[Packed]:
    """Write the pack of a visible report into a binary stream; returns its files.

    All of it is of one moment of the database. Raises `TransitionRefused` where the report is not
    visible, or the pack would be too large.
    """
    try:
        with snapshot(), Pack(stream) as pack:
            reports = (
                Report.objects.visible_in(report.cycle_id, post)
                .filter(from_path(report.path))
                .select_related("cycle__score_sheet", "parent", "category", "entry__score")
                .order_by("path")
            )
            total = reports.count()
            if not reports.filter(pk=report.pk).exists():
                raise TransitionRefused("没有这个党组织的报送件，或已不在可见范围内")
            missing = list(_add_sheets(pack, report, post, tell))
            for table in TABLES:
                pieces = _pieces(reports, total, f"写入{table.name}", tell)
                rows = (row for piece in pieces for row in table.rows(piece, post))
                pack.add_table(table.name, table.heads, rows)
            pieces = _pieces(reports, total, f"写入{CONTENTS}", tell)
            stored = (version for piece in pieces for version in _seen_versions(piece, post))
            pack.add_lines(CONTENTS, (version.content for version in stored))
            pack.add_lines(ABOUT, _about(report, post, total, missing))
    except TooMuch:
        raise TransitionRefused(
            f"“{report.name}”的检查资料超过{MOST_BYTES >> 30}GB，请按直接下级分别生成"
        ) from None
    return pack.files


def _pieces(reports, total: int, phase: str, tell: Tell) -> Iterator[list[Report]]:
    found, done = reports.iterator(CHUNK), 0
    while piece := list(islice(found, CHUNK)):
        tell(phase, done, total)
        yield piece
        done += len(piece)
    tell(phase, total, total)


def _add_sheets(pack: Pack, report: Report, post, tell: Tell) -> Iterator[str]:
    """The sheets of the notice; gives what there is none of, and why."""
    for form in SHEETS:
        tell(f"写入{exports.SHEETS[form][0]}", 0, 0)
        with tempfile.TemporaryFile() as file:
            try:
                exports.write(form, report, post, file, tell)
            except TransitionRefused as refusal:
                yield f"{exports.SHEETS[form][0]}：{refusal}"
                continue
            file.seek(0)
            with pack.open(f"{exports.SHEETS[form][0]}.xlsx") as target:
                while data := file.read(1 << 20):
                    target.write(data)


# ---------------------------------------------------------------- tables


@contributes(
    "组织树",
    "简称",
    "上级代码",
    "类型",
    "领域类别",
    "纳入定级",
    "下级应定级数",
    "状态",
    "上报截止日",
    "免报理由",
)
def _tree(reports, post) -> Rows:
    seen = sight.numbers_seen(reports, post)
    for report in reports:
        state = "更正中" if report.order_id else report.get_state_display()
        if report.pk not in seen and not sight.is_near(report, post):
            state = State.EXCUSED.label  # itself, or with what is above it
        yield (
            report.code,
            report.name,
            report.short_name,
            report.parent.code if report.parent_id else "",
            report.get_kind_display(),
            report.category.name if report.category_id else "",
            report.is_rated,
            report.rated_count,
            state,
            report.due_on,
            report.excuse_reason,
        )


@contributes(
    "台账",
    "情况",
    "免报理由",
    *(field.label for field in FIELDS.values()),
    "上级确定的晋位升级目标",
    "审核说明",
    "目标说明",
)
def _ledger(reports, post) -> Rows:
    for seen in sight.as_seen([report for report in reports if report.is_rated], post):
        values = seen.values or {}
        target = values.get("target_grade")
        yield (
            seen.report.code,
            seen.report.name,
            seen.mark,
            seen.reason,
            *(field.show(values.get(name)) for name, field in FIELDS.items()),
            Grade(target).label if target else "",
            values.get("review_reason", ""),
            values.get("target_reason", ""),
        )


def _moves(actions: Iterable[str], reports, post) -> Iterator[tuple[Report, ReportMove]]:
    """Moves as the pages show them: of the own unit and direct subordinates all, from further down
    what was handed up."""
    by_pk = {report.pk: report for report in reports}
    near = {report.pk for report in reports if sight.is_near(report, post)}
    seen = sight.numbers_seen(reports, post)
    far = Q(report__in=seen.keys() - near, action__in=sight.HANDED_UP)
    moves = ReportMove.objects.filter(Q(report__in=near) | far, action__in=actions)
    for move in moves.order_by("report__path", "pk"):
        if move.report_id in near or move.number <= seen[move.report_id]:
            yield by_pk[move.report_id], move


def _said(report: Report, move: ReportMove) -> Iterator[Any]:
    yield from (report.code, report.name, move.label, moment_of(move.at), move.number)
    yield from (move.get_source_display(), move.get_target_display(), move.reason)


def _doer(move: ReportMove) -> Iterator[str]:
    yield from (move.person_name, move.unit_name, move.mark)


def moment_of(at) -> str:
    """A moment as the tables of a pack have it; "" for none."""
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}" if at else ""


MOVE = ("操作", "时间", "版本号", "原状态", "新状态", "理由")
DOER = ("人员", "单位", "标记")


@contributes("上报和审核", *MOVE, "审核等次", "审核说明", "晋位升级目标", "目标说明", *DOER)
def _decisions(reports, post) -> Rows:
    for report, move in _moves(("submit", "recall", "accept", "regrade"), reports, post):
        decision = move.data.get("decision") or {}
        grades = {name: decision.get(name) for name in ("reviewed_grade", "target_grade")}
        labels = {name: Grade(grade).label if grade else "" for name, grade in grades.items()}
        yield (
            *_said(report, move),
            labels["reviewed_grade"],
            decision.get("review_reason", ""),
            labels["target_grade"],
            decision.get("target_reason", ""),
            *_doer(move),
        )


@contributes("退回和更正", *MOVE, "涉及栏目", *DOER)
def _returns(reports, post) -> Rows:
    for report, move in _moves(("send_back", "reopen", "correct"), reports, post):
        named = move.data.get("fields", ())
        fields = "、".join(FIELDS[name].label for name in FIELDS if name in named)
        yield (*_said(report, move), fields, *_doer(move))


@contributes("延期和免报", *MOVE, "延期至", *DOER)
def _extensions(reports, post) -> Rows:
    for report, move in _moves(("extend", "excuse", "include"), reports, post):
        yield (*_said(report, move), move.data.get("until", ""), *_doer(move))


@contributes("催报", "日期", "时间", "内容", "催报人", "催报单位")
def _reminders(reports, post) -> Rows:
    near = {report.pk: report for report in reports if sight.is_near(report, post)}
    for reminder in Reminder.objects.filter(report__in=near).order_by("report__path", "pk"):
        report = near[reminder.report_id]
        yield (
            report.code,
            report.name,
            reminder.on,
            moment_of(reminder.at),
            reminder.text,
            reminder.person_name,
            reminder.unit_name,
        )


@contributes("评分", "加权得分", "对应等次", "征求意见人数", "满意人数", "形成过程", "缺少", "提示")
def _scores(reports, post) -> Rows:
    for report in reports:
        found = scoring.seen(report, post) if report.is_rated else None
        if found is None or found.score is None:
            continue
        proposal = found.proposal
        yield (
            report.code,
            report.name,
            "" if proposal.value is None else scoring.number(proposal.value),
            proposal.grade.label if proposal.grade else "",
            found.score.asked_count,
            found.score.satisfied_count,
            "；".join(proposal.steps),
            "、".join(proposal.missing),
            "；".join(proposal.hints),
        )


@contributes("版本", "版本号", "上报时间", "SHA-256")
def _versions(reports, post) -> Rows:
    by_pk = {report.pk: report for report in reports}
    for version in _seen_versions(reports, post, defer=("content", "totals")):
        report = by_pk[version.report_id]
        yield report.code, report.name, version.number, moment_of(version.at), version.digest


def _seen_versions(reports, post, *, defer=("totals",)) -> Iterator[ReportVersion]:
    """Of the own unit and direct subordinates every version, deeper the one that was handed up."""
    near = {report.pk for report in reports if sight.is_near(report, post)}
    seen = sight.numbers_seen(reports, post)
    stored = ReportVersion.objects.filter(report__in=near | seen.keys()).defer(*defer)
    for version in stored.order_by("report__path", "number"):
        if version.report_id in near or version.number == seen[version.report_id]:
            yield version


def _about(report: Report, post, total: int, missing: list[str]) -> Iterator[str]:
    if settings.DEMO:
        yield "演示环境，数据均为虚构"
    yield title_of(report)
    yield f"单位：{report.name}（代码{report.code}）"
    yield f"批次：{report.cycle}（{report.cycle.label}）"
    made = sheets.moment(timezone.localtime())
    yield f"生成：{made}（北京时间），{post.unit_name}　{post.person_name}"
    yield f"范围：本单位和以下在“{post.unit_name}”查看范围内的党组织{total}个"
    yield (
        f"“{post.unit_name}”和它的直接下级列出全部经过、版本；更深层级只列已经报上来的版本、上报和审核，"
        "其退回、延期、催报由各自的上级掌握"
    )
    yield (
        f"核对：“{MANIFEST}”列出其余各文件的 SHA-256；“{CONTENTS}”每行为一个版本的原文，"
        "该行（不含换行）的 SHA-256 即“版本.csv”同一行次的校验码"
    )
    yield "单元格以 = + - @ 开头的文字，前面加了一个单引号，以免被当作公式"
    yield from (f"未包含：{one}" for one in missing)
