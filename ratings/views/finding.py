"""What an address names, among what the post may see. Everything else does not exist: 404."""

from django.shortcuts import get_object_or_404

from ..models import Cycle, Report

RELATED = (
    "cycle__score_sheet",
    "category",
    "organization",
    "order",
    "parent__organization",
    "parent__order",
    "entry__score",
    "previous__entry",
    "previous__cycle",
    "submitted_by",
    "submitted_from",
)


def visible_cycle(request, label: tuple[int, int]) -> Cycle:
    year, number = label
    cycle = get_object_or_404(Cycle.objects.visible_to(request.post), year=year, round=number)
    request.cycle = cycle  # the navigation stays in this cycle
    return cycle


def visible_report(request, pk: int) -> Report:
    reports = Report.objects.visible_to(request.post).select_related(*RELATED)
    report = get_object_or_404(reports, pk=pk)
    request.cycle = report.cycle
    return report


def own_report(request, cycle: Cycle) -> Report:
    """What the acting unit itself hands up in a cycle."""
    own = Report.objects.own(request.post).of(cycle).select_related(*RELATED)
    return get_object_or_404(own)
