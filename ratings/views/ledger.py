"""台账: every rated organization's row that the post may see, searched and filtered."""

from itertools import groupby

from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from ledger_site.base.paging import page_of
from orgs.models import Category

from .. import sight
from ..choices import Form
from ..columns import COLUMNS, FIELDS
from ..filters import LedgerFilters, unit_choices
from ..models import Report
from ..querysets import STEP, from_path
from . import showing
from .finding import note_list, visible_cycle

DIRECT = "直接下级"
COMPACT = (
    ("secretary_name", "书记"),
    ("member_count", "党员总数"),
    ("declared_grade", "申报"),
    ("reviewed_grade", "审核"),
    ("target", "晋位目标"),
    ("deadline_text", "整改时限"),
    ("support_unit", "帮扶单位"),
    ("responsible_name", "责任人"),
)
GRADES = frozenset({"declared_grade", "reviewed_grade", "target"})
NUMBERS = frozenset({"member_count", "floating_member_count"})
LONG = frozenset({"basic_info", "features", "problems", "measures"})
PERSONS = frozenset(
    {"secretary_name", "first_secretary_name", "contact_leader", "responsible_name"}
)
FULL = list(showing.columns_of(Form.ANNEX3))[1:]  # the name of the organization left out
TARGET = "proposed_target"  # the column shows what was decided, before that what is proposed


def clean_path(text: str | None) -> str | None:
    """A path out of an address, or None."""
    is_path = bool(text) and text.isascii() and text.isdigit() and len(text) <= 64
    return text if is_path and len(text) % STEP == 0 else None


@require_safe
def ledger(request, cycle):
    cycle, post = visible_cycle(request, cycle), request.post
    visible = Report.objects.visible_in(cycle, post)
    own = get_object_or_404(visible, organization=post.organization)
    note_list(request, own)
    directs = list(visible.filter(parent=own).order_by("path"))
    categories = Category.objects.order_by("order", "pk").values_list("sheet_row", flat=True)
    filters = LedgerFilters(
        request.GET,
        unit=unit_choices(visible, directs, request.GET.get("unit")),
        category=[(name, name) for name in dict.fromkeys(categories)],
    )
    rows = _narrowed(visible.filter(is_rated=True), own, filters.chosen, post)
    rows = rows.select_related("cycle", "parent", "entry", "category", "order")
    page = page_of(rows, request.GET, key="path", clean=clean_path)
    is_full = request.GET.get("view") == "full"
    seen = sight.as_seen(page.rows, post)
    return render(
        request,
        "ratings/ledger.html",
        {
            "cycle": cycle,
            "own": own,
            "filters": filters,
            "is_full": is_full,
            "full_hidden": [{"name": "view", "value": "full"}],
            "head": showing.head_of(FULL) if is_full else [label for _, label in COMPACT],
            "name_heading": COLUMNS[0].heading,
            "width": len(COLUMNS) if is_full else len(COMPACT) + 1,
            "groups": [
                {"name": name, "rows": [_row(one, is_full, post, own) for one in members]}
                for name, members in grouped(seen, own, directs)
            ],
            "count": len(seen),
            "pages": page.links,
        },
    )


def _narrowed(rows, own, chosen, post):
    if own.has_subordinates:
        # Under X is everything below X: the same rows as in the sheets and the figures.
        rows = rows.exclude(pk=own.pk)
    if "unit" in chosen:
        unit = Report.objects.visible_to(post).filter(pk=chosen["unit"]).first()
        rows = rows.filter(from_path(unit.path)) if unit else rows.none()
    if "category" in chosen:
        rows = rows.filter(category__sheet_row=chosen["category"])
    if "declared" in chosen or "reviewed" in chosen:
        rows = rows.filter(sight.settled(own))
    if "declared" in chosen:
        rows = rows.filter(entry__declared_grade=chosen["declared"])
    if "reviewed" in chosen:
        rows = rows.filter(entry__reviewed_grade=chosen["reviewed"])
    if "state" in chosen:
        rows = rows.filter(sight.in_state(chosen["state"], own))
    if "overdue" in chosen:
        rows = rows.overdue().exclude(sight.out(own))
    if "q" in chosen:
        rows = rows.named(chosen["q"])
    return rows


def grouped(seen, own, directs) -> list[tuple[str, list[sight.Seen]]]:
    """Rows under the name of the direct subordinate they belong to, as the sheets have them.

    Without headings where no direct subordinate has anything below it.
    """
    by_path = {report.path: report for report in directs}
    has_groups = any(report.has_subordinates for report in directs)
    length = len(own.path) + STEP

    def heading(one):
        """Neighbours may have one short name: the path tells them apart."""
        direct = by_path.get(one.report.path[:length])
        if not has_groups or direct is None:
            return "", ""
        return (direct.path, direct.short_name) if direct.has_subordinates else ("", DIRECT)

    return [(name, list(members)) for (_, name), members in groupby(seen, key=heading)]


def _row(one: sight.Seen, is_full: bool, post, own) -> dict:
    report = one.report
    names = [c.field.name for c in COLUMNS[1:]] if is_full else [name for name, _ in COMPACT]
    is_deep = len(report.path) > len(own.path) + 2 * STEP  # below what the heading names
    return {
        "report": report,
        "superior": report.parent.short_name if is_deep else "",
        "cells": None if one.values is None else [_cell(one, name) for name in names],
        "mark": one.mark,
        "reason": one.reason,
        "shows_state": one.mark != sight.CORRECTING and one.mark != sight.EXCUSED,
        "is_overdue": sight.is_near(report, post) and report.is_overdue,
    }


def _cell(one: sight.Seen, name: str) -> dict:
    if name in ("target", TARGET):
        return {"grade": one.target or "none", "note": "自提" if one.is_target_proposed else ""}
    value = one.values[name]
    if name in GRADES:
        return {"grade": value or "none", "note": ""}
    kind = "num" if name in NUMBERS else "text typed" if name in LONG else ""
    if name in PERSONS:
        kind = "person"
    return {"grade": "", "text": FIELDS[name].show(value), "kind": kind}
