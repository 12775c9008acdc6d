"""What an address names, among what the post may see. Everything else does not exist: 404."""

from django.shortcuts import get_object_or_404

from ledger_site.base import trail
from ledger_site.base.choices import LOOK_LIST

from ..models import Cycle, Report
from ..workflow import act_of

SAFE = ("GET", "HEAD")
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
    note_look(request, report)
    return report


def note_look(request, report: Report) -> None:
    """Leave in the trail that somebody of another unit looks at a report; its unit can see that."""
    if request.method in SAFE and request.post.organization_id != report.organization_id:
        trail.look(act_of(report), by=request.post)


def note_list(request, above: Report) -> None:
    """Leave in the trail that somebody looks at the rows of all units below a report."""
    if above.has_subordinates:
        trail.look(act_of(above), by=request.post, action=LOOK_LIST, label="查看台账列表")


def note_comparison(request, report: Report) -> None:
    """Leave in the trail that somebody compares what was handed up of a report: with it the rows
    below, where there are some."""
    if report.has_subordinates:
        trail.look(act_of(report), by=request.post, action=LOOK_LIST, label="比较版本")
    else:
        note_look(request, report)


def own_report(request, cycle: Cycle) -> Report:
    """What the acting unit itself hands up in a cycle."""
    own = Report.objects.own(request.post).of(cycle).select_related(*RELATED)
    return get_object_or_404(own)
