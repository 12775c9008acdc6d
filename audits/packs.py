"""What checks know of the rows of a 检查资料包, as far as the pages of the checks show it."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Q

from ratings.columns import FIELDS
from ratings.models import CorrectionOrder, Report
from ratings.packs import contributes, moment_of

from .choices import CheckState
from .models import Finding, Look, Practice, Remedy, RemedyEntry, SampleRow, SpotCheck
from .querysets import correction_seen

Rows = Iterator[Sequence[Any]]


def _own(reports, post) -> Report:
    """What the unit of the post hands up itself: the pages of checks ask by it."""
    return Report.objects.own(post).of(reports[0].cycle_id).get()


def _drawn(reports, post, *, found: bool) -> list[SampleRow]:
    """Rows of checks that the post sees; `found`: only those whose findings are shown to it."""
    own = _own(reports, post)
    rows = SampleRow.objects.filter(
        report__in=reports, spot_check__in=SpotCheck.objects.visible_to(own)
    )
    if found:
        is_shown = Q(spot_check__report=own) | Q(spot_check__state=CheckState.CLOSED)
        rows = rows.filter(is_shown, found_at__isnull=False)
    rows = rows.select_related("spot_check__report").defer("spot_check__frame")
    return list(rows.order_by("report__path", "spot_check"))


def _named(reports) -> dict[int, tuple[str, str]]:
    return {report.pk: (report.code, report.name) for report in reports}


@contributes(
    "抽查",
    "抽查单位",
    "抽查名称",
    "调阅目的",
    "抽取方式",
    "状态",
    "开始时间",
    "结束时间",
    "抽样框校验码",
    "随机种子",
)
def _checks(reports, post) -> Rows:
    named = _named(reports)
    for row in _drawn(reports, post, found=False):
        check = row.spot_check
        yield (
            *named[row.report_id],
            check.report.name,
            check.title,
            check.purpose,
            check.get_method_display(),
            check.get_state_display(),
            moment_of(check.started_at),
            moment_of(check.closed_at),
            check.frame_digest,
            check.seed,
        )


@contributes(
    "检查结论", "抽查单位", "抽查名称", "检查内容", "结论", "发现情况", "检查人", "检查时间"
)
def _findings(reports, post) -> Rows:
    named = _named(reports)
    rows = {row.pk: row for row in _drawn(reports, post, found=True)}
    for one in Finding.objects.filter(row__in=rows).order_by("row__report__path", "row", "pk"):
        row = rows[one.row_id]
        check = row.spot_check
        yield (
            *named[row.report_id],
            check.report.name,
            check.title,
            one.item,
            one.get_verdict_display(),
            one.text,
            row.found_by,
            moment_of(row.found_at),
        )


@contributes(
    "抽查意见", "抽查单位", "抽查名称", "审核等次", "抽查意见", "说明", "检查人", "检查时间"
)
def _opinions(reports, post) -> Rows:
    named = _named(reports)
    for row in _drawn(reports, post, found=True):
        yield (
            *named[row.report_id],
            row.spot_check.report.name,
            row.spot_check.title,
            row.get_reviewed_grade_display(),
            row.get_opinion_grade_display(),
            row.opinion,
            row.found_by,
            moment_of(row.found_at),
        )


@contributes("调阅记录", "抽查名称", "版本号", "目的", "时间", "人员", "单位")
def _looks(reports, post) -> Rows:
    named = _named(reports)
    rows = {row.pk: row for row in _drawn(reports, post, found=False)}
    for look in Look.objects.filter(row__in=rows).order_by("row__report__path", "pk"):
        row = rows[look.row_id]
        yield (
            *named[row.report_id],
            row.spot_check.title,
            look.number or "",
            look.purpose,
            moment_of(look.at),
            look.person_name,
            look.unit_name,
        )


@contributes(
    "整改通知",
    "文号",
    "收件单位",
    "问题和整改要求",
    "答复期限",
    "状态",
    "操作",
    "内容",
    "时间",
    "人员",
    "单位",
)
def _remedies(reports, post) -> Rows:
    named = _named(reports)
    seen = Remedy.objects.visible_to(_own(reports, post)).filter(row__report__in=reports)
    entries = RemedyEntry.objects.filter(remedy__in=seen)
    entries = entries.select_related("remedy__addressee", "remedy__row")
    for entry in entries.order_by("remedy__row__report__path", "remedy", "pk"):
        remedy = entry.remedy
        yield (
            *named[remedy.row.report_id],
            remedy.number,
            remedy.addressee.name,
            remedy.text,
            remedy.due_on,
            "逾期" if remedy.is_overdue else remedy.get_state_display(),
            entry.label,
            entry.text,
            moment_of(entry.at),
            entry.person_name,
            entry.unit_name,
        )


@contributes("更正通知", "文号", "发起单位", "理由", "栏目", "发出时间", "办结时间")
def _corrections(reports, post) -> Rows:
    named = _named(reports)
    through = CorrectionOrder.rows.through
    seen = CorrectionOrder.objects.filter(correction_seen(_own(reports, post), through))
    links = through.objects.filter(report__in=reports, correctionorder__in=seen)
    links = links.select_related("correctionorder__issuer")
    for link in links.order_by("report__path", "correctionorder"):
        order = link.correctionorder
        yield (
            *named[link.report_id],
            order.number,
            order.issuer.name,
            order.reason,
            "、".join(FIELDS[name].label for name in order.fields),
            moment_of(order.issued_at),
            moment_of(order.closed_at),
        )


@contributes("典型做法", "标题", "主要做法", "办理", "办理单位", "意见", "时间", "人员")
def _practices(reports, post) -> Rows:
    named = _named(reports)
    seen = Practice.objects.visible_to(_own(reports, post)).filter(report__in=reports)
    for practice in seen.prefetch_related("acts__report").order_by("report__path", "pk"):
        for act in practice.acts.all():
            yield (
                *named[practice.report_id],
                practice.title,
                practice.text,
                act.get_action_display(),
                act.report.name,
                act.reason,
                moment_of(act.at),
                act.person_name,
            )
