"""What following knows of the rows of a 检查资料包: measures, their progress, weak marks."""

from collections.abc import Iterator, Sequence
from typing import Any

from ratings import sight
from ratings.packs import contributes, moment_of

from .models import Measure, Progress, WeakMark


def _shown(reports, post) -> dict:
    """Reports whose rows are seen, by key: of what is 免报 no more than the name."""
    rated = [report for report in reports if report.is_rated]
    return {
        seen.report.pk: seen.report
        for seen in sight.as_seen(rated, post)
        if seen.values is not None
    }


@contributes(
    "整改措施",
    "序号",
    "措施",
    "类别",
    "整改时限",
    "完成日期",
    "责任人",
    "联系领导",
    "帮扶单位",
    "状态",
    "销号日期",
)
def _measures(reports, post) -> Iterator[Sequence[Any]]:
    shown = _shown(reports, post)
    measures = Measure.objects.filter(report__in=shown).prefetch_related("helpers")
    for measure in measures.order_by("report__path", "number"):
        report = shown[measure.report_id]
        yield (
            report.code,
            report.name,
            measure.number,
            measure.text,
            measure.get_topic_display(),
            measure.deadline_text,
            measure.due_on,
            measure.owner,
            measure.contact_leader,
            "、".join(helper.name for helper in measure.helpers.all()),
            "逾期" if measure.is_overdue else measure.get_state_display(),
            measure.closed_on,
        )


@contributes("整改进展", "序号", "操作", "内容", "延期至", "时间", "人员", "单位")
def _progress(reports, post) -> Iterator[Sequence[Any]]:
    shown = _shown(reports, post)
    entries = Progress.objects.filter(measure__report__in=shown).select_related("measure")
    for entry in entries.order_by("measure__report__path", "measure__number", "pk"):
        report = shown[entry.measure.report_id]
        yield (
            report.code,
            report.name,
            entry.measure.number,
            entry.label,
            entry.text,
            entry.due_on,
            moment_of(entry.at),
            entry.person_name,
            entry.unit_name,
        )


@contributes("软弱涣散认定", "原因", "说明", "认定日期", "认定人", "取消日期", "取消理由")
def _weak(reports, post) -> Iterator[Sequence[Any]]:
    shown = _shown(reports, post)
    for mark in WeakMark.objects.filter(report__in=shown).order_by("report__path", "pk"):
        report = shown[mark.report_id]
        yield (
            report.code,
            report.name,
            mark.reasons_text,
            mark.note,
            mark.marked_on,
            mark.person_name,
            mark.lifted_on,
            mark.lift_reason,
        )
