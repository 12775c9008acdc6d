"""汇总: the figures of 附件一, their recount, and the official sheets."""

import tempfile
from urllib.parse import quote

from django.contrib import messages
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from ledger_site.base import trail
from ledger_site.base.choices import EXPORT
from ledger_site.base.db import snapshot
from ledger_site.base.workflow import TransitionRefused
from orgs.models import Category

from .. import exports, jobs, pictures, scoring, sight
from .. import summary as figures
from ..choices import STANDING_STATES, Form, State
from ..models import Report
from ..workflow import act_of
from . import showing
from .finding import visible_cycle, visible_report

NOTHING_YET = "尚未上报，没有可以查看的汇总数"
REVIEWING = "本级尚未上报：以下只含已审核通过的直接下级，随审核进度变化，只有本级可以看到。"
UNDECIDED = "本级没有下级，以下是本级自己的一行；上级审核通过后才计入已定级。"
SHORT_DIGEST = 12
MOST_PANELS = 40  # of units beside each other; more are no longer seen at once
EXCUSED = State.EXCUSED.label
NAMED = 3  # units in a sentence, of each kind


@require_safe
def own_summary(request, cycle):
    cycle = visible_cycle(request, cycle)
    own = Report.objects.own(request.post).of(cycle).select_related("cycle__score_sheet", "parent")
    return _page(request, get_object_or_404(own))


@require_safe
def summary(request, pk):
    return _page(request, _with_figures(request, pk))


def _with_figures(request, pk) -> Report:
    """A report whose figures this post may ask for: its own, a direct subordinate's, or one that
    stands below."""
    report = visible_report(request, pk)
    if not (sight.is_near(report, request.post) or sight.figures_of(report, request.post)):
        raise Http404
    return report


def _page(request, report):
    found = sight.figures_of(report, request.post)
    is_own = report.organization_id == request.post.organization_id
    context = {"report": report, "cycle": report.cycle, "is_own": is_own}
    if found is None:
        reason = f"免报：{report.excuse_reason}" if report.state == State.EXCUSED else NOTHING_YET
        return render(request, "ratings/summary.html", context | {"reason": reason})
    names = Category.objects.order_by("order", "pk").values_list("sheet_row", flat=True)
    names = list(dict.fromkeys(names))
    categories = figures.by_category(found, names)
    links = _links(request.post, report)
    earlier = _earlier(request.post, report)
    missing = _missing(found.lines)
    context |= {
        "summary": found,
        "told": figures.told(
            found.total, earlier and earlier.total, earlier and earlier.report.cycle.title
        ),
        "not_in": _not_in(missing),
        "basis": found.basis.value,
        "at": found.version.at if found.version else timezone.now(),
        "digest": found.version and found.version.digest[:SHORT_DIGEST],
        "own_note": REVIEWING if report.has_subordinates else UNDECIDED,
        "is_given_back": bool(found.version) and not is_own and not report.is_standing,
        "compositions": [
            ("申报", pictures.bar(found.total.declared)),
            ("审核定级", pictures.bar(found.total.reviewed)),
            ("晋位升级目标", pictures.bar(found.total.target)),
        ],
        "rows": [_row(line, number, links) for number, line in enumerate(found.lines, 1)],
        "total": _numbers(found.total),
        "categories": [_row(line, number, {}) for number, line in enumerate(categories, 1)],
        **_pictures(found, categories, earlier, names, links),
        "progress": showing.progress_of(report) if is_own else None,
        "missing": missing,
        "forms": Form.choices,
        "split_forms": Form.choices[1:] if report.has_subordinates else (),
        "may_recount": _may_recount(request.post, report),
        "parent": _seen_parent(request.post, report),
        "quota_warnings": scoring.quota_warnings(report) if is_own else (),
    }
    return render(request, "ratings/summary.html", context)


def _earlier(post, report) -> figures.Summary | None:
    """The figures of the same unit in the cycle before, as far as the post may see them."""
    seen = Report.objects.visible_to(post).filter(pk=report.previous_id)
    previous = seen.select_related("cycle", "parent").first() if report.previous_id else None
    return previous and sight.figures_of(previous, post)


def _pictures(found: figures.Summary, categories, earlier, names, links) -> dict:
    """What is drawn beside the tables: units and categories by the shares of their grades, with
    those of the whole and of the cycle before. One row alone has no shares."""
    units = [line for line in found.lines if line.figures.expected > 1]
    units = units if len(units) > 1 else []
    before, whole_before, categories_before = (), (), ()
    if earlier:
        before, whole_before = earlier.lines, [_whole(earlier)]
        categories_before = figures.by_category(earlier, names)
    whole = pictures.compared([_whole(found)], whole_before)
    by_unit = pictures.compared(units, before)
    for row, line in zip(by_unit, units, strict=True):
        row["url"], _ = links.get(line.pk, ("", False))
    by_category = pictures.compared(categories, categories_before)
    paneled = by_unit if len(by_unit) <= MOST_PANELS else []
    panels = pictures.multiples([(row["now"], row["then"]) for row in paneled], whole[0]["now"])
    return {
        "unit_bars": by_unit and whole + by_unit,
        "category_bars": whole + by_category if found.total.total > 1 else [],
        "marks": pictures.limits(whole[0]["shares"]),
        "panels": [{**row, "columns": of} for row, of in zip(paneled, panels, strict=True)],
        "earlier": earlier.report.cycle.title if earlier else "",
    }


def _whole(of: figures.Summary) -> figures.Line:
    return figures.Line("", "合计", of.total)


def _not_in(missing: list[dict]) -> str:
    """Whose figures are still to come, in a sentence; "" where all are in."""
    waiting = [group for group in missing if group["label"] != EXCUSED]
    if not waiting:
        return ""
    listed = [f"{showing.some_of(one['names'], NAMED)}（{one['label']}）" for one in waiting]
    return f"还没有计入的：{'，'.join(listed)}。"


def _links(post, report) -> dict[int, tuple[str, bool]]:
    """By direct subordinate: the page that its line leads to, and whether it is being corrected."""
    found = {}
    for child in Report.objects.visible_to(post).filter(parent=report).select_related("parent"):
        is_up = child.is_standing or (child.number and sight.is_near(child, post))
        page = "ratings:summary" if child.has_subordinates and is_up else "ratings:report"
        found[child.pk] = reverse(page, args=[child.pk]), child.order_id is not None
    return found


def _seen_parent(post, report) -> Report | None:
    """The superior's report, where its summary can be seen too."""
    if report.parent_id is None or report.organization_id == post.organization_id:
        return None
    return Report.objects.visible_to(post).filter(pk=report.parent_id).first()


def _numbers(of: figures.Figures) -> dict:
    return {
        "expected": of.expected,
        "total": of.total,
        "excused": of.excused,
        "grades": [(count, figures.share(count, of.total)) for count in of.reviewed.values()],
        "plans": list(of.plans.values()),
    }


def _row(line: figures.Line, number: int, links) -> dict:
    url, is_correcting = links.get(line.pk, ("", False))
    if line.note:
        note = line.note
    elif is_correcting:
        note = sight.CORRECTING
    elif line.is_counted or line.pk is None:
        note = ""
    else:
        note = dict(MISSING)[line.state]
    if line.figures.excused and not line.note:
        note = f"{note}；" * bool(note) + f"其中免报 {line.figures.excused}"
    return {"number": number, "name": line.name, "url": url, "note": note} | _numbers(line.figures)


MISSING = (
    (State.DRAFT, "未报"),
    (State.RETURNED, "已退回"),
    (State.SUBMITTED, "已上报待审核"),
)


def _missing(lines) -> list[dict]:
    """Whose figures are not in, told apart and by name (rule 9)."""
    groups = [
        {"label": label, "names": [li.name for li in lines if not li.note and _waits(li, state)]}
        for state, label in MISSING
    ]
    excused = [
        f"{line.name}（{line.note.partition('：')[2] or line.note}）" for line in lines if line.note
    ]
    groups.append({"label": EXCUSED, "names": excused})
    return [group for group in groups if group["names"]]


def _waits(line, state) -> bool:
    return not line.is_counted and line.state == state


def _may_recount(post, report) -> bool:
    """Where the rows as they are now may be seen: not those that a correction writes deeper down,
    before it has come up."""
    if report.organization_id == post.organization_id:
        return True
    is_settled = report.order_id is None or sight.is_near(report, post)
    return report.state in STANDING_STATES and is_settled


@require_safe
def recount(request, pk):
    """核对: the totals beside a count of the rows that are decided now, line by line."""
    report = _with_figures(request, pk)
    is_own = report.organization_id == request.post.organization_id
    if not _may_recount(request.post, report):
        raise Http404(f"“{report.name}”没有在报的版本，不能核对")
    with snapshot(from_replica=True):  # both from one moment: moves go on meanwhile
        found = sight.figures_of(report, request.post)
        recounted = {line.pk: line.figures for line in figures.recount(report)}
    if not report.has_subordinates:
        recounted = {line.pk: line.figures for line in found.lines}
    links = _links(request.post, report)
    rows, sums = [], (figures.Figures(), figures.Figures())
    for line in found.lines:
        again = recounted.get(line.pk, figures.Figures())
        sums = sums[0] + line.figures, sums[1] + again
        rows.append(
            {
                "name": line.name,
                "url": _ledger_of(report, line.pk),
                "is_correcting": links.get(line.pk, ("", False))[1],
                **_compared(line.figures, again),
            }
        )
    return render(
        request,
        "ratings/recount.html",
        {
            "report": report,
            "cycle": report.cycle,
            "is_own": is_own,
            "rows": rows,
            "total": _compared(*sums),
            "is_equal": all(row["is_equal"] for row in rows),
            "basis": found.basis.value,
            "at": timezone.now(),
            "version": found.version,
            "digest": found.version and found.version.digest[:SHORT_DIGEST],
        },
    )


def _compared(ours: figures.Figures, again: figures.Figures) -> dict:
    pairs = [
        (ours.total, again.total),
        *zip(ours.reviewed.values(), again.reviewed.values(), strict=True),
    ]
    return {
        "pairs": [(one, other, other - one) for one, other in pairs],
        # Also what the columns do not show: declared grades, targets, categories.
        "is_equal": +ours.counts == +again.counts,
    }


def _ledger_of(report, pk) -> str:
    return f"{reverse('ratings:ledger', args=[report.cycle])}?unit={pk}"


@require_http_methods(["GET", "HEAD", "POST"])
def download(request, pk, form):
    """An official sheet of what the post may see of a report; the act is kept in the trail.

    What takes long is a background job, which a press on a button asks for and an address does not.
    """
    report = _with_figures(request, pk)
    if form not in Form.values:
        raise Http404
    form, is_split = Form(form), request.GET.get("split") == "1"
    if form != Form.ANNEX1 and (is_split or report.rated_count > jobs.LARGE):
        if request.method == "POST":
            return redirect(jobs.start_export(form, report, is_split=is_split, by=request.post))
        return _ask_for_job(request, report, jobs.title_of(form, report, is_split=is_split))
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        rows = exports.write(form, report, request.post, stream)
    except TransitionRefused as refusal:
        stream.close()
        messages.error(request, str(refusal))
        return redirect(_page_of(request.post, report))
    name = exports.file_name(form, report, timezone.localdate())
    act = act_of(report, form=form.value, file=name, rows=rows)
    trail.record(EXPORT, "导出", [act], by=request.post)
    stream.seek(0)
    response = FileResponse(stream, content_type=exports.CONTENT_TYPE)
    plain = f"{form.value}-{report.cycle.label}-{report.code}.xlsx"
    response["Content-Disposition"] = (
        f"attachment; filename=\"{_ascii(plain)}\"; filename*=UTF-8''{quote(name, safe='')}"
    )
    return response


def _ask_for_job(request, report, title: str):
    details = [
        f"“{report.name}”以下纳入定级的党组织有{report.rated_count}个，在后台生成，可以离开页面",
        "完成后在“我的下载”中领取，文件保存七天；生成会留痕",
    ]
    context = {
        "question": f"生成“{title}”？",
        "details": details,
        "back": _page_of(request.post, report),
    }
    return render(request, "ratings/download.html", context)


def _page_of(post, report) -> str:
    if report.organization_id == post.organization_id:
        return reverse("ratings:own_summary", args=[report.cycle])
    return reverse("ratings:summary", args=[report.pk])


def _ascii(name: str) -> str:
    """For browsers that do not read filename*: nothing that ends the quoted text or the line."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
