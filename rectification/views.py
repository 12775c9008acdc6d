"""整改: what every unit means to put right, by when and with whose help; who is 软弱涣散."""

import tempfile

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from ledger_site.base import attaching
from ledger_site.base.paging import page_of, whole
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings import sight
from ratings.choices import Occasion
from ratings.filters import unit_choices
from ratings.models import Reminder, Report
from ratings.querysets import from_path
from ratings.views import reminding
from ratings.views.entered import day_of, text_of, token_of
from ratings.views.finding import note_list, visible_cycle, visible_report
from ratings.views.ledger import clean_path, grouped
from ratings.views.sending import sent
from ratings.workflow import act_of

from . import board, counting, following, services, weak, workflow
from .choices import Grouping, Progression
from .filters import (
    FigureFilters,
    MeasureFilters,
    MeasureForm,
    PlanFilters,
    WeakFilters,
    WeakForm,
)
from .models import Measure, ProgressFile, WeakMark
from .querysets import due, helped_by, rows_seen


@require_safe
def rectification(request, cycle):
    cycle, post = visible_cycle(request, cycle), request.post
    visible = Report.objects.visible_in(cycle, post)
    own = get_object_or_404(visible, organization=post.organization)
    note_list(request, own)
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


@require_http_methods(["GET", "HEAD", "POST"])
def measures(request, pk):
    """The measures of a row with their progress; a press lays down, adds, or makes a move."""
    report, post = visible_report(request, pk), request.post
    if not report.is_rated:
        raise Http404
    form = MeasureForm(None)
    if request.method == "POST":
        try:
            action = request.POST.get("action", "")
            if action == "lay_down" and not report.measures.exists():
                following.lay_down(report, following.proposed(report), by=post)
                messages.success(request, "已按上报的措施分解，可以逐条填写进展")
                return redirect("rectification:measures", report.pk)
            if action == "add":
                form = MeasureForm(request.POST)
                if form.is_valid():
                    draft = following.draft_of(**form.cleaned_data, year=report.cycle.year)
                    following.lay_down(report, [draft], by=post)
                    messages.success(request, "已增加")
                    return redirect("rectification:measures", report.pk)
            elif action in workflow.TRANSITIONS:
                _follow(request, report, action)
                return redirect("rectification:measures", report.pk)
        except TransitionRefused as refusal:
            messages.error(request, str(refusal))
            return redirect("rectification:measures", report.pk)
    found = list(
        report.measures.select_related("report__parent").prefetch_related(
            "helpers", "progress__files"
        )
    )
    for one in found:
        one.report = report
    may_lay_down = not following.why_not_lay_down(report, post)
    drafts = following.proposed(report) if may_lay_down and not found else []
    shared = following.shared(report, [one.text for one in found or drafts])
    context = {
        "report": report,
        "cycle": report.cycle,
        "measures": [
            {
                "measure": one,
                "moves": [_move(action) for action in workflow.open_to(one, post)],
                "shared": shared.get(one.text, 0),
            }
            for one in found
        ],
        "hints": following.hints_of(found),
        "alike": following.alike(report) if may_lay_down and not found else 0,
        "reminders": report.reminders.filter(occasion=Occasion.MEASURES),
        # From the row as it is now, which others see as it was handed up.
        "proposed": [{"text": one.text, "shared": shared.get(one.text, 0)} for one in drafts],
        "may_lay_down": may_lay_down,
        "form": form,
        "kinds": attaching.KINDS,
    }
    return render(request, "rectification/measures.html", context)


def _move(action: str) -> dict:
    move = workflow.TRANSITIONS[action]
    return {
        "action": action,
        "label": move.label,
        "needs_reason": move.needs_reason,
        "needs_day": action == workflow.EXTEND,
        "takes_files": action in (workflow.NOTE, workflow.CLAIM),
    }


def _follow(request, report, action: str) -> None:
    if getattr(request, "is_too_large", False):
        raise TransitionRefused(f"附件超过{settings.MOST_UPLOADED >> 20}MB，没有接收")
    measure = get_object_or_404(report.measures, pk=whole(request.POST.get("measure")) or 0)
    workflow.act(
        action,
        measure,
        text=text_of(request, "text"),
        until=day_of(request, "until"),
        files=request.FILES.getlist("files"),
        token=token_of(request),
        by=request.post,
    )
    messages.success(request, f"已{workflow.TRANSITIONS[action].label}")


@require_safe
def measure_list(request, cycle):
    """The measures of the rows that are seen, or with ?sheet=1 the same as a workbook."""
    cycle, post = visible_cycle(request, cycle), request.post
    visible = Report.objects.visible_in(cycle, post)
    own = _own(visible, post)
    note_list(request, own)
    filters, unit = _within(MeasureFilters, request, visible, own)
    asked = {name: value for name, value in filters.chosen.items() if name != "unit"}
    found = Measure.objects.seen_by(post, own)
    found = board.chosen(found, own, unit, today=timezone.localdate(), **asked)
    if request.GET.get("sheet") == "1":
        stream = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
        rows = board.write(own, found, post, stream)
        return _sent(request, own, stream, board.file_name(own), rows)
    found = found.select_related("report__parent", "report__cycle").prefetch_related("helpers")
    page = page_of(found, request.GET, key="pk")
    context = {
        "cycle": cycle,
        "own": own,
        "filters": filters,
        "measures": page.rows,
        "pages": page.links,
    }
    return render(request, "rectification/board.html", context)


def _own(visible, post) -> Report:
    return get_object_or_404(visible.select_related("cycle"), organization=post.organization)


def _within(form, request, visible, own: Report):
    """Filters with a choice of units, and the unit they ask for; None for all that is seen."""
    directs = list(visible.filter(parent=own).order_by("path"))
    units = unit_choices(visible, directs, request.GET.get("unit"))
    filters = form(request.GET, unit=units)
    unit = visible.filter(pk=filters.chosen.get("unit") or 0).first()
    return filters, unit


@require_safe
def figures(request, cycle):
    """How far the measures are: by direct subordinate, topic, helping unit or contact leader."""
    cycle, post, today = visible_cycle(request, cycle), request.post, timezone.localdate()
    visible = Report.objects.visible_in(cycle, post)
    own = _own(visible, post)
    filters, unit = _within(FigureFilters, request, visible, own)
    start, grouping = unit or own, Grouping(filters.chosen.get("by") or Grouping.UNIT)

    below = visible.filter(parent=start).exclude(sight.out(own))
    subordinates = list(below)
    kept = counting.kept_below(start, own, subordinates)
    rows = kept.rest(rows_seen(post, own), start, subordinates)
    if grouping == Grouping.UNIT:
        page = page_of(below, request.GET, key="path", clean=clean_path)
        lines = board.by_unit(rows, start, page.rows, kept, today)
    elif grouping == Grouping.TOPIC:
        page, lines = None, board.by_topic(rows, kept, today)
    else:
        found = Measure.objects.seen_by(post, own)
        found = found.under(unit) if unit else found
        names = board.by_name(found, grouping, today, filters.chosen.get("name", ""))
        page = page_of(names, request.GET, key="name", clean=_clean_name)
        lines = board.lines_by_name(page.rows, grouping)
    # What the lines hold all of need not be counted again.
    is_whole = grouping == Grouping.TOPIC or (
        grouping == Grouping.UNIT and not page.links["previous"] and not page.links["next"]
    )
    total = board.sum_of(lines) if is_whole else board.total(rows, kept, today)
    context = {
        "cycle": cycle,
        "own": own,
        "unit": unit,
        "filters": filters,
        "grouping": grouping,
        "states": Progression.choices,
        "lines": [
            {**_line(line, cycle, start, unit), "bar": parts}
            for line, parts in zip(lines, board.bars(lines), strict=True)
        ],
        "legend": board.bars([board.Line("", total, {})])[0],
        "tiles": _tiles(total, cycle, {"unit": unit.pk} if unit else {}),
        "pages": page.links if page else None,
        "today": today,
        "counted_at": kept.at,
    }
    return render(request, "rectification/figures.html", context)


def _clean_name(text: str | None) -> str | None:
    return text[:100] if text and text.isprintable() else None


def _address(cycle, asked: dict) -> str:
    return f"{reverse('rectification:board', args=[cycle])}?{urlencode(asked)}"


def _line(line: board.Line, cycle, start: Report, unit: Report | None) -> dict:
    asked = {**({"unit": unit.pk} if unit else {}), **line.asked}
    cells = [(p, line.counts[p], _address(cycle, {**asked, "state": p})) for p in Progression]
    return {
        "name": line.name,
        "cells": [{"label": p.label, "count": n, "url": url} for p, n, url in cells],
        "all": line.counts["all"],
        "url": _address(cycle, asked),
        "deeper": line.report.pk if line.report and line.report.has_subordinates else None,
    }


def _tiles(counts: dict[str, int], cycle, asked: dict) -> list[dict]:
    tones = {Progression.OVERDUE: "alert", Progression.CLAIMED: "wait", Progression.CLOSED: "ok"}
    tiles = [
        {
            "label": p.label,
            "count": counts[p],
            "url": _address(cycle, {**asked, "state": p.value}),
            "tone": tones.get(p, "") if counts[p] else "",
            "unit": "条",
        }
        for p in Progression
    ]
    everything = {"label": "全部", "count": counts["all"], "url": _address(cycle, asked)}
    return [*tiles, {**everything, "unit": "条"}]


@require_http_methods(["GET", "HEAD", "POST"])
def remind(request, cycle):
    """催报: direct subordinates with overdue measures, the words to copy, and what was sent."""
    cycle, post, today = visible_cycle(request, cycle), request.post, timezone.localdate()
    visible = Report.objects.visible_in(cycle, post)
    own = _own(visible, post)
    if request.method == "POST":
        reminding.press(request, lambda: services.remind(own, by=post))
        return redirect("rectification:remind", cycle)
    subordinates = list(visible.filter(parent=own))
    late = board.late_below(rows_seen(post, own), own, subordinates, today)
    reports = Report.objects.direct(post).filter(parent=own, path__in=late).order_by("path")
    reminded = Reminder.objects.filter(report__parent=own, occasion=Occasion.MEASURES)
    last = dict(reminded.order_by("pk").values_list("report", "on"))
    reminded_today = [pk for pk, on in last.items() if on == today]
    page = page_of(reports.select_related("cycle"), request.GET, key="path", clean=clean_path)
    first = reports.select_related("cycle")[: reminding.MOST_IN_TEXT]
    texts = [board.late_text(report, late[report.path]) for report in first]
    context = {
        "cycle": cycle,
        "own": own,
        "rows": [
            {
                "report": report,
                "late": late[report.path],
                "last": last.get(report.pk),
                "url": _address(cycle, {"unit": report.pk, "state": Progression.OVERDUE.value}),
            }
            for report in page.rows
        ],
        "pages": page.links,
        "text": reminding.text_to_copy(texts, len(late)),
        "count": len(late),
        "reminded_count": reports.filter(pk__in=reminded_today).count(),
        "may_remind": post.has(Role.REVIEW),
        "history": reminding.history(own, Occasion.MEASURES),
        "counted_at": min((one.at for one in late.values() if one.at), default=None),
    }
    return render(request, "rectification/remind.html", context)


@require_safe
def progress_file(request, pk):
    """A file of an entry of progress, to whoever sees the row."""
    files = ProgressFile.objects.select_related("progress__measure")
    file = get_object_or_404(files, pk=pk)
    visible_report(request, file.progress.measure.report_id)
    return attaching.served(file)


@require_safe
def weak_list(request, cycle):
    """软弱涣散: the list, or with ?sheet=1 the same as a workbook."""
    cycle, post = visible_cycle(request, cycle), request.post
    visible = Report.objects.visible_in(cycle, post)
    own = get_object_or_404(visible, organization=post.organization)
    note_list(request, own)
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
    count = weak.write(own, rows, request.post, stream)
    return _sent(request, own, stream, weak.file_name(own), count)


def _sent(request, own, stream, name: str, rows: int) -> FileResponse:
    chosen = {key: value for key, value in request.GET.items() if value and key != "sheet"}
    return sent(request, stream, name, act_of(own, file=name, filters=chosen, rows=rows))


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
