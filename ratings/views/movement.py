"""晋位: how grades moved since the cycle before, and the rows behind each figure."""

from dataclasses import asdict
from urllib.parse import urlencode

from django.db.models import Q
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from ledger_site.base.paging import page_of
from ledger_site.base.paging import whole as whole_number

from .. import movement as figures
from .. import pictures, sight
from ..choices import Grade
from ..models import Report
from ..movement import COLUMNS, FALLEN, KEPT, RISEN, SETS, UNRATED, Asked, Movement
from .finding import own_report, visible_cycle, visible_report
from .ledger import clean_path

SHADES = 5  # of cells, by their share of the rows before


@require_safe
def own_movement(request, cycle):
    own = own_report(request, visible_cycle(request, cycle))
    return redirect("ratings:movement", own.pk)


def _report(request, pk) -> Report:
    """A report of which the figures may be seen: the own one, or one that stands."""
    report = visible_report(request, pk)
    is_own = report.organization_id == request.post.organization_id
    if not is_own and not report.is_standing:
        raise Http404(f"“{report.name}”没有在报的版本")
    return report


@require_safe
def movement(request, pk):
    report = _report(request, pk)
    summary = sight.figures_of(report, request.post)
    lines = figures.lines_of(report, summary) if summary else []
    whole = sum((line.movement for line in lines), Movement())
    category = request.GET.get("category")
    if category is not None and category not in whole.categories:
        raise Http404
    shown = whole if category is None else whole.of(category)
    address = reverse("ratings:movement_rows", args=[report.pk])

    def link(asked: Asked, unit: int | None = None) -> str:
        query = {name: value for name, value in asdict(asked).items() if value}
        if category is not None:
            query["category"] = category
        return f"{address}?{urlencode(query | ({'unit': unit} if unit else {}))}"

    visible = set(
        Report.objects.visible_to(request.post)
        .filter(pk__in=[line.report.pk for line in lines], has_subordinates=True)
        .values_list("pk", flat=True)
    )
    context = {
        "report": report,
        "cycle": report.cycle,
        "previous": report.cycle.previous,
        "basis": summary and summary.basis.value,
        "is_own": report.organization_id == request.post.organization_id,
        "category": category,
        "categories": whole.categories,
        "total": shown,
        "grades": Grade.labels,
        "matrix": _matrix(shown, link),
        "flow": pictures.flow(shown.matrix()),
        "flow_legend": [
            {"fill": kind, "label": SETS[kind][0], "count": shown.count(kind)}
            for kind in (RISEN, KEPT, FALLEN)
        ],
        "rates": _rates(shown, link),
        "kinds": [
            {
                "label": SETS[kind][0],
                "count": count,
                "unit": "个",
                "url": link(Asked(kind)) if count else "",
            }
            for kind, count in shown.kinds().items()
            if count or kind != UNRATED  # only while the cycle before is still open
        ],
        "lines": [
            {
                "report": line.report,
                "has_page": line.report.pk in visible and line.report.pk != report.pk,
                "counts": [
                    {"count": count, "url": link(Asked(kind), line.report.pk) if count else ""}
                    for kind in ("", *COLUMNS)
                    for count in [of.count(kind)]
                ],
                "rates": _rates(of, link, line.report.pk),
            }
            for line in lines
            for of in [line.movement if category is None else line.movement.of(category)]
        ],
        "labels": [SETS[kind][0] for kind in COLUMNS],
    }
    return render(request, "ratings/movement.html", context)


def _rates(of: Movement, link, unit: int | None = None) -> list[dict]:
    return [
        {
            "name": rate.name,
            "meaning": rate.meaning,
            "percent": rate.percent,
            "count": rate.count,
            "whole": rate.whole,
            "count_url": link(rate.part, unit) if rate.count else "",
            "whole_url": link(rate.base, unit) if rate.whole else "",
        }
        for rate in of.rates()
    ]


def _matrix(of: Movement, link) -> list[dict]:
    rows = []
    for before, nows in of.matrix().items():
        whole = sum(nows.values())
        cells = [
            {
                "count": count,
                "url": link(Asked(before=before.value, now=now.value)) if count else "",
                "shade": -(-SHADES * count // whole) if count else 0,
                "kind": kind,
                "word": SETS[kind][0],
            }
            for now, count in nows.items()
            for kind in [figures.kind_of(before.value, now.value)]
        ]
        url = link(Asked(before=before.value)) if whole else ""
        rows.append({"label": before.label, "cells": cells, "total": whole, "url": url})
    return rows


@require_safe
def movement_rows(request, pk):
    """The rows that a figure counts."""
    report = _report(request, pk)
    summary = sight.figures_of(report, request.post)
    if summary is None:
        raise Http404
    asked, unit = _asked(request.GET), None
    if "unit" in request.GET:
        of_report = Q(parent=report.pk) if report.has_subordinates else Q(pk=report.pk)
        units = Report.objects.visible_to(request.post).filter(of_report)
        unit = get_object_or_404(units, pk=whole_number(request.GET["unit"]))
    visible = Report.objects.visible_in(report.cycle, request.post)
    rows = figures.rows_of(
        report, asked, unit=unit.path if unit else "", among=visible, summary=summary
    )
    rows = rows.select_related("parent")
    page = page_of(rows, request.GET, key="path", clean=clean_path)
    told = figures.outcomes(page.rows)
    context = {
        "report": report,
        "cycle": report.cycle,
        "unit": unit,
        "title": asked.label,
        "rows": [
            {"report": row, "of": told[row.pk], "word": figures.word(told[row.pk])}
            for row in page.rows
        ],
        "pages": page.links,
    }
    return render(request, "ratings/movement_rows.html", context)


def _asked(params) -> Asked:
    """What an address asks for; raises `Http404` for what is no figure."""
    asked = Asked(
        params.get("kind", ""),
        params.get("before", ""),
        params.get("now", ""),
        params.get("category"),
    )
    known = ((asked.kind, SETS), (asked.before, Grade.values), (asked.now, Grade.values))
    if any(value and value not in values for value, values in known):
        raise Http404
    return asked
