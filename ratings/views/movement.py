"""晋位: how grades moved since the cycle before, and the rows behind each figure."""

from urllib.parse import urlencode

from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from ledger_site.base.paging import page_of

from .. import movement as figures
from ..choices import Grade
from ..models import Report
from ..movement import KINDS, Movement
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
    lines = figures.lines_of(report)
    whole = sum((line.movement for line in lines), Movement())
    category = request.GET.get("category", "")
    shown = whole.of(category) if category else whole
    address = reverse("ratings:movement_rows", args=[report.pk])

    def link(**asked):
        return f"{address}?{urlencode(asked | ({'category': category} if category else {}))}"

    visible = set(
        Report.objects.visible_to(request.post)
        .filter(pk__in=[line.report.pk for line in lines], has_subordinates=True)
        .values_list("pk", flat=True)
    )
    context = {
        "report": report,
        "cycle": report.cycle,
        "previous": report.cycle.previous,
        "is_own": report.organization_id == request.post.organization_id,
        "category": category,
        "categories": whole.categories,
        "total": shown,
        "grades": Grade.labels,
        "matrix": _matrix(shown, link),
        "rates": shown.rates(),
        "kinds": [
            {"label": label, "count": shown.kinds()[kind], "unit": "个", "url": link(kind=kind)}
            for kind, label in KINDS.items()
        ],
        "lines": [
            {
                "report": line.report,
                "has_page": line.report.pk in visible and line.report.pk != report.pk,
                "movement": of,
                "kinds": list(of.kinds().values()),
                "rates": of.rates(),
            }
            for line in lines
            for of in [line.movement.of(category) if category else line.movement]
        ],
        "kind_labels": list(KINDS.values()),
    }
    return render(request, "ratings/movement.html", context)


def _matrix(of: Movement, link) -> list[dict]:
    rows = []
    for before, nows in of.matrix().items():
        whole = sum(nows.values())
        cells = [
            {
                "count": count,
                "url": link(before=before.value, now=now.value) if count else "",
                "shade": -(-SHADES * count // whole) if count else 0,
                "kind": figures.kind_of(before.value, now.value),
            }
            for now, count in nows.items()
        ]
        rows.append({"label": before.label, "cells": cells, "total": whole})
    return rows


@require_safe
def movement_rows(request, pk):
    """The rows that a figure counts."""
    report = _report(request, pk)
    asked = {name: request.GET.get(name, "") for name in ("before", "now", "kind", "category")}
    for name, known in (("before", Grade.values), ("now", Grade.values), ("kind", KINDS)):
        if asked[name] and asked[name] not in known:
            raise Http404
    visible = Report.objects.visible_in(report.cycle, request.post)
    rows = figures.chosen(figures.rows_of(report, visible), **asked)
    rows = rows.select_related("parent", "entry", "previous__entry")
    page = page_of(rows, request.GET, key="path", clean=clean_path)
    context = {
        "report": report,
        "cycle": report.cycle,
        "title": _title(asked),
        "rows": page.rows,
        "pages": page.links,
    }
    return render(request, "ratings/movement_rows.html", context)


def _title(asked) -> str:
    said = [asked["category"]] if asked["category"] else []
    if asked["kind"]:
        said.append(KINDS[asked["kind"]])
    if asked["before"]:
        said.append(f"上期{Grade(asked['before']).label}")
    if asked["now"]:
        said.append(f"本期{Grade(asked['now']).label}")
    return "、".join(said) or "全部"
