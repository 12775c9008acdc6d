"""整改: what every unit means to put right, by when and with whose help; who is 软弱涣散."""

import tempfile

from django.contrib import messages
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from ledger_site.base import trail
from ledger_site.base.paging import page_of
from ledger_site.base.workflow import TransitionRefused
from ratings import sight
from ratings.exports import CONTENT_TYPE
from ratings.filters import unit_choices
from ratings.models import Report
from ratings.querysets import from_path
from ratings.views.entered import text_of
from ratings.views.finding import visible_cycle, visible_report
from ratings.views.ledger import clean_path, grouped
from ratings.workflow import act_of

from . import services, weak
from .filters import PlanFilters, WeakFilters, WeakForm
from .models import WeakMark
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


@require_safe
def weak_list(request, cycle):
    """软弱涣散: the list, or with ?sheet=1 the same as a workbook."""
    cycle, post = visible_cycle(request, cycle), request.post
    visible = Report.objects.visible_in(cycle, post)
    own = get_object_or_404(visible, organization=post.organization)
    directs = list(visible.filter(parent=own).order_by("path"))
    units = unit_choices(visible, directs, request.GET.get("unit"))
    filters = WeakFilters(request.GET, unit=units)
    rows = weak.rows_of(visible, own, filters.chosen.get("kind", ""))
    if "unit" in filters.chosen:
        unit = visible.filter(pk=filters.chosen["unit"]).first()
        rows = rows.filter(from_path(unit.path)) if unit else rows.none()
    rows = rows.select_related("cycle", "parent", "entry", "order", "previous__entry")
    if request.GET.get("sheet") == "1":
        return _sheet(request, own, rows)
    page = page_of(rows, request.GET, key="path", clean=clean_path)
    context = {
        "cycle": cycle,
        "own": own,
        "filters": filters,
        "rows": list(weak.described(page.rows, post)),
        "pages": page.links,
        "today": timezone.localdate(),
    }
    return render(request, "rectification/weak.html", context)


def _sheet(request, own, rows):
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    weak.write(own, rows, request.post, stream)
    name = weak.file_name(own)
    trail.record("export", "导出", [act_of(own, file=name)], by=request.post)
    stream.seek(0)
    return FileResponse(stream, as_attachment=True, filename=name, content_type=CONTENT_TYPE)


@require_http_methods(["GET", "HEAD", "POST"])
def mark(request, pk):
    """The superior's word on a direct subordinate: given with reasons, taken back with one."""
    report, post = visible_report(request, pk), request.post
    if report.parent_id is None or report.parent.organization_id != post.organization_id:
        raise Http404
    refusal = services.why_not_mark(report, post)
    marks = WeakMark.objects.filter(report=report).order_by("-pk")
    current = next((one for one in marks if one.lifted_on is None), None)
    form = WeakForm(request.POST if request.method == "POST" and current is None else None)
    if request.method == "POST":
        try:
            if current:
                services.lift_mark(report, reason=text_of(request), by=post)
                messages.success(request, "已取消认定")
                return redirect("rectification:weak", report.cycle)
            if form.is_valid():
                services.mark_weak(report, **form.cleaned_data, by=post)
                messages.success(request, "已认定，列入软弱涣散党组织名单")
                return redirect("rectification:weak", report.cycle)
        except TransitionRefused as error:
            messages.error(request, str(error))
            return redirect("rectification:mark", report.pk)
    context = {
        "report": report,
        "cycle": report.cycle,
        "refusal": refusal,
        "current": current,
        "earlier": [one for one in marks if one.lifted_on],
        "form": form,
    }
    return render(request, "rectification/mark.html", context)
