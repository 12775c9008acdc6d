"""What of the ledger takes long enough to be done in the background."""

from functools import partial

from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.choices import EXPORT, EXPORT_PACK
from ledger_site.base.workflow import TransitionRefused
from ledger_site.jobs.services import keeps_house, runs, start
from orgs.models import Organization

from . import exports, opening, packs, taking_over
from .choices import Form
from .models import Cycle, Report
from .workflow import act_of

keeps_house(taking_over.attempt_waiting)

LARGE = 5000  # rows that take about two seconds


def start_export(form: Form, report: Report, *, is_split: bool, by):
    """Ask for a workbook of a report, or a zip with one for each direct subordinate."""
    params = {"report": report.pk, "form": form.value, "is_split": is_split}
    return start("export", title_of(form, report, is_split=is_split)[:200], params, by=by)


def title_of(form: Form, report: Report, *, is_split: bool) -> str:
    return f"{exports.title_of(form, report)}{'（按直接下级分册）' if is_split else ''}"


@runs("export")
def _export(params, post, stream, watch) -> str:
    """The rights are those of the moment at which it is written."""
    form, is_split = Form(params["form"]), params["is_split"]
    report = _visible(params, post)
    watch("读取汇总数据")
    name = exports.file_name(form, report, timezone.localdate())
    if is_split:
        rows = sum(exports.write_split(form, report, post, stream, watch).values())
        name = f"{name.removesuffix('.xlsx')}.zip"
    else:
        rows = exports.write(form, report, post, stream, watch)
    act = act_of(report, form=form.value, file=name, rows=rows)
    watch.at_end(partial(trail.record, EXPORT, "导出", [act], by=post))
    return name


def _visible(params, post) -> Report:
    visible = Report.objects.visible_to(post).select_related("cycle")
    report = visible.filter(pk=params["report"]).first()
    if report is None:
        raise TransitionRefused("没有这个党组织的报送件，或已不在可见范围内")
    return report


def start_pack(report: Report, *, by):
    """Ask for the 检查资料包 of a report and what is below it."""
    return start("pack", packs.title_of(report)[:200], {"report": report.pk}, by=by)


@runs("pack")
def _pack(params, post, stream, watch) -> str:
    report = _visible(params, post)
    files = packs.write(report, post, stream, watch)
    name = packs.pack_name(report)
    digests = {file.name: file.digest for file in files}
    rows = sum(file.row_count or 0 for file in files)
    act = act_of(report, file=name, files=digests, rows=rows)
    watch.at_end(partial(trail.record, EXPORT_PACK, "生成检查资料包", [act], by=post))
    return name


def is_large_opening() -> bool:
    """Whether opening a cycle is for the background: it copies the organizations there are."""
    return Organization.objects.order_by()[LARGE : LARGE + 1].exists()


def start_opening(cycle: Cycle, *, by):
    """Ask for the opening of a prepared cycle."""
    return start("open_cycle", f"开始批次“{cycle}”", {"cycle": cycle.pk}, by=by)


@runs("open_cycle", writes=True)
def _open_cycle(params, post, stream, watch) -> str:
    cycle = Cycle.objects.managed_by(post).filter(pk=params["cycle"]).first()
    if cycle is None:
        raise TransitionRefused("只有最高一级的管理人员和系统管理员可以开始批次")
    opening.open_cycle(cycle, by=post, tell=watch)
    return ""
