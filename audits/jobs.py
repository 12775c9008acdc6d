"""What of the trail takes long enough to be done in the background."""

from functools import partial

from django.utils import timezone

from ledger_site.base import sealing, sheets
from ledger_site.base import trail as events
from ledger_site.base.choices import EXPORT
from ledger_site.base.workflow import TransitionRefused
from ledger_site.jobs.services import runs, start

from . import trail

LEFT = "已不是审计人员，不再执行"


def start_export(filters, *, by):
    """Ask for the workbook of what the filters choose."""
    return start("export_trail", f"导出{trail.TITLE}", filters.as_params(), by=by)


@runs("export_trail")
def _export(params, by, stream, watch) -> str:
    if not trail.may_read(by):
        raise TransitionRefused(LEFT)
    chosen = trail.filters_of(params).chosen
    found = trail.narrowed(trail.visible_to(by), chosen, by)
    rows = trail.write(found, stream, by, watch)
    unit = by.organization.short_name if by.unit_id else ""
    name = sheets.file_name(unit, f"{trail.TITLE}_{timezone.localdate():%Y%m%d}.xlsx")
    act = events.Act("trail", None, "", name, data={"filters": params, "rows": rows})
    watch.at_end(partial(events.record, EXPORT, "导出", [act], by=by))
    return name


def start_check(*, by):
    """Ask for a check of the whole trail against its seals."""
    return start(sealing.VERIFY, "核验留痕", {}, by=by)


@runs(sealing.VERIFY)
def _check(params, by, stream, watch) -> str:
    if not trail.may_read(by):
        raise TransitionRefused(LEFT)
    watch("核验")
    sealing.check_and_record(by=by)
    return ""
