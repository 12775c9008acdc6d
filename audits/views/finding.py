"""What an address of the audits names, among what the post's unit may see: else 404."""

from django.conf import settings
from django.shortcuts import get_object_or_404

from ledger_site.base.workflow import TransitionRefused
from ratings.models import Report

from ..models import SampleRow, SpotCheck


def own_in(request, cycle_id: int) -> Report:
    """What the acting unit itself hands up in a cycle, or 404."""
    reports = Report.objects.own(request.post).of(cycle_id).select_related("cycle")
    own = get_object_or_404(reports)
    request.cycle = own.cycle
    return own


def visible_check(request, pk: int) -> tuple[SpotCheck, Report]:
    """A check and the own report in its cycle."""
    checks = SpotCheck.objects.select_related("report__cycle", "report__organization")
    check = get_object_or_404(checks.defer("frame"), pk=pk)
    own = own_in(request, check.report.cycle_id)
    get_object_or_404(SpotCheck.objects.visible_to(own).defer("frame"), pk=pk)
    return check, own


def visible_row(request, pk: int, row: int) -> tuple[SampleRow, Report]:
    """A row of a check's sample: any of an own one, those of the own subtree of another."""
    check, own = visible_check(request, pk)
    related = ("report__cycle", "report__category", "report__parent", "report__entry")
    rows = SampleRow.objects.visible_to(own, check).select_related(*related)
    found = get_object_or_404(rows, pk=row)
    found.spot_check = check
    return found, own


def files_of(request) -> list:
    """The files of a form; raises `TransitionRefused` for more than is taken in."""
    if getattr(request, "is_too_large", False):
        raise TransitionRefused(f"附件超过{settings.MOST_UPLOADED >> 20}MB，没有接收")
    return request.FILES.getlist("files")
