"""表格填报: the rows a unit fills in, own and direct subordinates', as the paper lists them.

A cell is the text of one column; what it is read into, and what follows from it, is the business
of the form of the row, whose parts have their fields on the row's own page.
"""

from django.db.models import Q
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from ledger_site.base.paging import page_of

from .. import services, sight, workflow
from ..choices import Form, Grade, Severity
from ..columns import COLUMNS, FIELDS
from ..models import Report
from . import rows, showing
from .finding import own_report, visible_cycle
from .ledger import clean_path

RELATED = ("cycle", "category", "order", "parent", "entry", "previous__entry")
CELLS = [column.field.name for column in COLUMNS if column.field and not column.is_decision]
# The column in which each field of a row is found: parts under the text they are read from.
COLUMN_OF = {
    field.name: column.field.name
    for column in COLUMNS
    if column.field
    for field in (column.field, *column.parts)
}


@require_safe
def grid(request, cycle):
    cycle, post = visible_cycle(request, cycle), request.post
    own = own_report(request, cycle)
    filled = Q(pk=own.pk) | Q(parent=own.pk)
    rated = Report.objects.visible_in(cycle, post).filter(filled, is_rated=True)
    page = page_of(rated.select_related(*RELATED), request.GET, key="path", clean=clean_path)
    listed = list(showing.columns_of(_form_of(rated)))
    refusals = services.why_not_edit_each(page.rows, post)
    namesakes = workflow.namesakes_of(page.rows)
    returns = showing.last_returns(page.rows)
    shown = [
        _open_row(one.report, listed, namesakes, returns.get(one.report.pk))
        if not refusals[one.report.pk]
        else _closed_row(one, listed, refusals[one.report.pk])
        for one in sight.as_seen(page.rows, post)
    ]
    reasons = set(refusals.values())
    return render(
        request,
        "ratings/grid.html",
        {
            "cycle": cycle,
            "own": own,
            "head": showing.head_of(listed[1:]),
            "name_heading": listed[0][1],
            "width": len(listed),
            "rows": shown,
            "has_open": "" in reasons,
            "why_not": reasons.pop() if len(reasons) == 1 else "",
            "grades": Grade.labels,
            "pages": page.links,
        },
    )


def _form_of(rated) -> Form:
    """附件三, unless no row is a village's and none has a 第一书记."""
    villages = Q(category__code__in=showing.VILLAGE_CATEGORIES)
    has_first = Q(entry__first_secretary_name__isnull=False)
    return Form.ANNEX3 if rated.filter(villages | has_first).exists() else Form.ANNEX2


def _open_row(report, listed, namesakes, returned) -> dict:
    form = rows.form_for(report)
    found = _findings(report, form, namesakes, returned)
    return {
        "report": report,
        "base": form.base,
        "summary": found["summary"],
        "cells": [_cell(report, form, *one, found["cells"]) for one in listed[1:]],
    }


def _cell(report, form, column, heading, found) -> dict:
    name, spec = column.field.name, column.field
    cell = {"name": name, "id": f"id_{report.pk}_{name}", "heading": heading}
    if column.is_decision or name not in form.open_names:
        return {**cell, "text": _text(column, report), **_kind(column)}
    return {
        **cell,
        "is_open": True,
        "value": spec.as_label(form.initial[name]),
        "findings": found.get(name, ()),
        "has_error": any(one["severity"] == Severity.ERROR for one in found.get(name, ())),
        "prefilled": rows.prefilled(form, name),
        "is_required": spec.is_required,
        "is_grade": bool(spec.choices),
        **_kind(column),
    }


def _closed_row(seen, listed, refusal) -> dict:
    """A row that is shown and not written, with the word that says why."""
    report = seen.report
    return {
        "report": report,
        "refusal": refusal if report.is_open else "",
        "excused": seen.reason if seen.mark == sight.EXCUSED else "",
        "cells": seen.values
        and [
            {"heading": heading, "text": showing.cell(column, seen.values), **_kind(column)}
            for column, heading in listed[1:]
        ],
    }


def _text(column, report) -> str:
    """A closed cell of the live row; its decisions stand in the entry."""
    entry = report.entry
    return showing.cell(column, {name: getattr(entry, name) for name in sight.NAMES})


def _kind(column) -> dict:
    """How wide the cell is: long texts, short words, numbers and grades."""
    if column.field.choices:
        return {"kind": "grade"}
    if column.is_number:
        return {"kind": "number"}
    return {"kind": "long" if column.field.widget == "text" else "short"}


def _findings(report, form, namesakes, returned) -> dict:
    """What is wrong with an open row, by the column it is shown at, and how much that is."""
    found, blanks = rows.checked(report, form, namesakes)
    url, cells = reverse("ratings:fill", args=[report.pk]), {}
    for name, said in rows.said_at(returned).items():
        cells.setdefault(COLUMN_OF[name], []).append(said)
    for one in found:
        name, field = COLUMN_OF[one["field"]], one["field"]
        shown = {**one, "label": "" if name == field else one["label"], "field": ""}
        # What has no cell here, and an explanation, is written on the row's own page.
        if name != field or one["severity"] == Severity.EXPLAIN:
            shown["url"] = f"{url}#id_{field}"
        cells.setdefault(name, []).append(shown)
    unexplained = [f for f in found if f["severity"] == Severity.EXPLAIN and not f["explanation"]]
    return {
        "cells": cells,
        "summary": {
            "errors": sum(one["severity"] == Severity.ERROR for one in found),
            "explains": len(unexplained),
            "blanks": [one["label"] for one in blanks],
        },
    }


@require_POST
def autosave(request, pk):
    """Save the cells of one row as `rows.autosave` does the form."""
    return rows.autosaved(request, pk, _answer)


def _answer(request, report, form, values) -> dict:
    found = _findings(report, form, None, showing.last_return(report))
    replace = {}
    for name in CELLS:
        element = f"id_{report.pk}_{name}"
        replace[f"{element}_findings"] = render_to_string(
            "components/findings.html", {"findings": found["cells"].get(name)}
        )
        replace[f"{element}_mark"] = render_to_string(
            "components/field_prefilled.html", {"prefilled": rows.prefilled(form, name)}
        )
    return {
        "values": {n: FIELDS[n].as_label(text) for n, text in values.items() if n in CELLS},
        "findings_html": render_to_string("ratings/_grid_summary.html", found["summary"]),
        "replace": replace,
    }
