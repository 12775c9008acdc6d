"""评分: the sheet of a cycle, the score of one row, those of a level's subordinates as a sheet."""

import tempfile

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from ledger_site.base.workflow import TransitionRefused

from .. import scoring
from ..choices import ScorePart
from ..models import Cycle, ScoreSheet
from ..score_forms import (
    THRESHOLDS,
    WEIGHTS,
    IndicatorFormSet,
    RedLineFormSet,
    ScoreForm,
    ScoreSheetForm,
)
from ..workflow import act_of
from .entered import token_of
from .finding import own_report, visible_cycle, visible_report
from .sending import sent

STOP = "stop"


@require_http_methods(["GET", "HEAD", "POST"])
def set_sheet(request, cycle):
    """How the rows of a cycle are scored, set by who keeps the cycles; what is proposed at first
    is the sheet of the notice."""
    year, number = cycle
    cycle = get_object_or_404(Cycle.objects.managed_by(request.post), year=year, round=number)
    request.cycle = cycle
    sheet = ScoreSheet.objects.filter(cycle=cycle).first()
    if refusal := scoring.why_not_set(cycle, sheet):
        messages.error(request, refusal)
        return redirect("ratings:cycle", cycle)
    data = request.POST if request.method == "POST" else None
    token = token_of(request) if data is not None else 0
    if data is not None and STOP in data:
        try:
            scoring.stop_sheet(cycle, by=request.post, token=token)
        except TransitionRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, "已停用评分表")
        return redirect("ratings:cycle", cycle)
    start = sheet or ScoreSheet(cycle=cycle, indicators=scoring.INDICATORS)
    form = ScoreSheetForm(data, instance=start)
    indicators = IndicatorFormSet(data, prefix="indicators", stored=start.indicators)
    red_lines = RedLineFormSet(data, prefix="red_lines", stored=start.red_lines)
    if data is not None and all([form.is_valid(), indicators.is_valid(), red_lines.is_valid()]):
        lists = {"indicators": indicators.lines(), "red_lines": red_lines.lines()}
        values = {**form.values(), **lists}
        try:
            scoring.set_sheet(cycle, values, by=request.post, token=token)
        except TransitionRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "已启用评分表，各单位可以在填报和审核时评分")
            return redirect("ratings:cycle", cycle)
    context = {
        "cycle": cycle,
        "sheet": sheet,
        "token": sheet.token if sheet else 0,
        "form": form,
        "weights": [form[name] for name in WEIGHTS],
        "thresholds": [form[name] for name in THRESHOLDS],
        "quotas": [form[name] for name in form.quota_names],
        "indicators": indicators,
        "red_lines": red_lines,
    }
    return render(request, "ratings/score_sheet.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def score(request, pk):
    """The score of a row; whoever may enter a part of it now has that as a form."""
    report = visible_report(request, pk)
    seen = scoring.seen(report, request.post)
    if seen is None:
        raise Http404
    part, form, status = scoring.part_open_to(report, request.post), None, 200
    if request.method == "POST":
        # As the page said: since then the report may have moved, and the other part be open.
        sent = request.POST.get("part")
        if sent not in ScorePart.values:
            raise Http404
        form = ScoreForm(request.POST, sheet=seen.sheet, score=None, part=ScorePart(sent))
        token = token_of(request)
        if not form.is_valid():
            status = 422
        else:
            try:
                scoring.save(report, form.part, form.values(), by=request.post, token=token)
            except TransitionRefused as refusal:
                if part != form.part:
                    messages.error(request, str(refusal))
                    return redirect("ratings:score", report.pk)
                form.add_error(None, str(refusal))
                status = 409
            else:
                messages.success(request, "已保存评分")
                page = "review" if form.part == ScorePart.SUPERIOR else "score"
                return redirect(f"ratings:{page}", report.pk)
        if part != form.part:
            form = None
    elif part:
        form = ScoreForm(sheet=seen.sheet, score=seen.score, part=part)
    context = {
        "report": report,
        "seen": seen,
        "part": part,
        "form": form,
        "table": _table(seen, form),
        "token": scoring.token_of(seen.sheet, seen.score),
        "is_superior": part == ScorePart.SUPERIOR,
    }
    return render(request, "ratings/score.html", context, status=status)


def _table(seen, form) -> dict:
    """The table of points: for each indicator a cell an opinion, a field where it is entered."""
    open_ones = form.opinions if form else ()
    fields = form.rows() if form else [[]] * len(seen.rows)
    rows = []
    for row, entered in zip(seen.rows, fields, strict=True):
        entered = iter(entered)
        cells = [
            {"label": one.label, "text": text, "field": next(entered) if one in open_ones else None}
            for one, text in zip(seen.sheet.opinions, row["points"], strict=True)
        ]
        rows.append({"name": row["name"], "most": row["most"], "cells": cells})
    heads = [(one.label, seen.sheet.weight_of(one)) for one in seen.sheet.opinions]
    totals = [
        (one.label, "" if total is None else scoring.number(total))
        for one, total in seen.proposal.totals.items()
    ]
    return {"heads": heads, "rows": rows, "totals": totals}


@require_safe
def sheet(request, cycle):
    """The scores of the own direct subordinates as a workbook; the act is kept in the trail."""
    own = own_report(request, visible_cycle(request, cycle))
    if scoring.sheet_of(own.cycle) is None or not own.has_subordinates:
        raise Http404
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    rows = scoring.write(own, stream, by=request.post)
    name = scoring.sheet_name(own)
    return sent(request, stream, name, act_of(own, file=name, rows=rows))
