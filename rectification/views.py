"""整改: what every unit means to put right, by when and with whose help."""

from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from ledger_site.base.paging import page_of
from ratings import sight
from ratings.filters import unit_choices
from ratings.models import Report
from ratings.querysets import from_path
from ratings.views.finding import visible_cycle
from ratings.views.ledger import clean_path, grouped

from .filters import PlanFilters
from .querysets import due, helped_by


@require_safe
def rectification(request, cycle):
    cycle, post = visible_cycle(request, cycle), request.post
    visible = Report.objects.visible_in(cycle, post)
    own = get_object_or_404(visible, organization=post.organization)
    directs = list(visible.filter(parent=own).order_by("path"))
    units = unit_choices(visible, directs, request.GET.get("unit"))
    filters = PlanFilters(request.GET, unit=units)
    today = timezone.localdate()
    rows = visible.filter(is_rated=True).exclude(sight.out(own))
    rows = _narrowed(rows, visible, own, filters.chosen, today)
    rows = rows.select_related("cycle", "parent", "entry", "order")
    page = page_of(rows, request.GET, key="path", clean=clean_path)
    seen = [one for one in sight.as_seen(page.rows, post) if one.values]
    groups = [
        {"name": name, "plans": [_plan(one, today) for one in members]}
        for name, members in grouped(seen, own, directs)
    ]
    context = {
        "cycle": cycle,
        "own": own,
        "filters": filters,
        "groups": groups,
        "count": len(seen),
        "pages": page.links,
        "today": today,
    }
    return render(request, "rectification/list.html", context)


def _narrowed(rows, visible, own, chosen, today):
    if "unit" in chosen:
        unit = visible.filter(pk=chosen["unit"]).first()
        rows = rows.filter(from_path(unit.path)) if unit else rows.none()
    if "due" in chosen:
        rows = rows.filter(sight.settled(own), due(chosen["due"], today))
    if "helper" in chosen:
        rows = rows.filter(sight.settled(own), helped_by(chosen["helper"]))
    return rows


def _plan(one: sight.Seen, today) -> dict:
    """One line of the list. Whether the plan is done is not followed yet: only its day is known."""
    values, day = one.values, one.values["due_on"]
    return {
        "report": one.report,
        "grade": values["reviewed_grade"] or values["declared_grade"] or "none",
        "is_declared": not values["reviewed_grade"] and bool(values["declared_grade"]),
        "target": one.target or "none",
        "is_proposed": one.is_target_proposed,
        "values": values,
        "is_past": bool(day) and day < today,
        "is_this_month": bool(day)
        and day >= today
        and (day.year, day.month) == (today.year, today.month),
        "mark": one.mark,
    }
