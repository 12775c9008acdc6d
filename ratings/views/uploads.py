"""导入台账: a file is sent, looked at in the background, corrected, written, and can be undone."""

import tempfile

from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from ledger_site.base.workflow import TransitionRefused
from ledger_site.jobs.services import recover
from orgs.choices import Role
from orgs.names import place_of
from orgs.tree import StructureError

from .. import exports, uploads
from ..choices import UploadState
from ..forms import BranchForm, UploadForm, answers_of
from ..loading import Topic
from ..models import Upload
from ..recognizing import NAME
from .finding import own_report, visible_cycle

LISTED = 20
IN_HAND = {UploadState.CHECKING, UploadState.APPLYING, UploadState.UNDOING}


@require_http_methods(["GET", "HEAD", "POST"])
def uploaded(request, cycle):
    """What was sent in this cycle, and the form to send another."""
    own = own_report(request, visible_cycle(request, cycle))
    refusal = uploads.why_not(own, request.post)
    form = UploadForm(
        *((request.POST, request.FILES) if request.method == "POST" else ()),
        may_review=request.post.has(Role.REVIEW) and request.post.has(Role.FILL),
        may_load_all=uploads.may_load_all(request.post),
        is_too_large=getattr(request, "is_too_large", False),
    )
    if request.method == "POST" and not refusal and form.is_valid():
        chosen = form.cleaned_data
        try:
            upload = uploads.receive(
                own,
                chosen["file"],
                is_reviewed=chosen.get("is_reviewed", False),
                is_deep=chosen.get("is_deep", False),
                by=request.post,
            )
        except TransitionRefused as error:
            messages.error(request, str(error))
        else:
            return redirect(upload)
    found = Upload.objects.own(request.post).filter(report=own).select_related("job")[:LISTED]
    page = {
        "own": own,
        "cycle": own.cycle,
        "form": form,
        "refusal": refusal,
        "row_count": exports.template_rows(own, request.post).count(),
        "uploads": found,
    }
    return render(request, "ratings/uploads.html", page)


@require_safe
def template(request, cycle):
    """附件三 for the own unit's rows, to be filled in and sent back."""
    own = own_report(request, visible_cycle(request, cycle))
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    try:
        exports.write_template(own, request.post, stream)
    except TransitionRefused as refusal:
        stream.close()
        messages.error(request, str(refusal))
        return redirect("ratings:uploads", own.cycle)
    stream.seek(0)
    name = exports.template_name(own)
    return FileResponse(
        stream, as_attachment=True, filename=name, content_type=exports.CONTENT_TYPE
    )


def _upload(request, pk) -> Upload:
    own = Upload.objects.own(request.post)
    found = own.select_related("report__cycle", "report__organization", "job")
    upload = get_object_or_404(found, pk=pk)
    request.cycle = upload.report.cycle
    return uploads.settle(upload)


@require_safe
@vary_on_headers("HX-Request")
def upload(request, pk):
    found = _upload(request, pk)
    is_waiting = found.job is not None and found.job.is_unfinished
    if is_waiting and recover():
        found = _upload(request, pk)
    if request.htmx:
        if is_waiting:
            return render(request, "ratings/_upload_job.html", {"upload": found})
        answer = HttpResponse()
        answer["HX-Refresh"] = "true"
        return answer
    result = found.found
    asked = result.get("questions", [])
    given = {(sheet, row): chosen for sheet, row, chosen in found.choices}
    for one in asked:
        chosen = given.get((one["sheet"], one["row"]), {})
        one["given"] = chosen.get("skip") or chosen.get(one["asks"])
    counts = result.get("counts", {})
    page = {
        "upload": found,
        "cycle": found.report.cycle,
        "is_waiting": is_waiting,
        "failed": not is_waiting and found.state in IN_HAND,
        "found": result,
        "counts": _counts(found),
        "good": counts.get("new", 0) + counts.get("changed", 0),
        "questions": asked,
        "unknown": _unknown(found) if uploads.may_create(found, request.post) else (),
        "may_confirm": found.state == UploadState.CHECKED and bool(found.file),
    }
    return render(request, "ratings/upload.html", page)


def _counts(found: Upload) -> list[dict]:
    counts, result = found.found.get("counts", {}), found.found
    said = [
        ("表中共", sum(counts.values()), ""),
        ("新填", counts.get("new", 0), ""),
        ("有改动", counts.get("changed", 0), ""),
        ("没有变化", counts.get("same", 0), ""),
        ("有错误", counts.get("rejected", 0), "alert" if counts.get("rejected") else ""),
        ("未读取", result.get("skipped_count", 0), ""),
    ]
    if found.applied_at:
        said.append(("写入", result["written"], "ok"))
        if found.is_reviewed:
            said.append(("审核通过", result["decided"], "ok"))
    return [{"label": label, "count": n, "tone": tone, "unit": "行"} for label, n, tone in said]


@require_http_methods(["GET", "HEAD", "POST"])
def new_branch(request, pk):
    """Add a branch that a line of the file names and the tree does not have."""
    found = _upload(request, pk)
    where = request.GET.get("sheet", ""), _number(request.GET.get("row"))
    line = next((one for one in _unknown(found) if (one["sheet"], one["row"]) == where), None)
    if line is None or not uploads.may_create(found, request.post):
        raise Http404
    own = request.post.organization
    name = "".join(line["value"].split())
    place = place_of(own.name)
    form = BranchForm(
        request.POST if request.method == "POST" else None,
        organization=own,
        post=request.post,
        initial={"name": name if name.startswith(place) else f"{place}{name}"},
    )
    if request.method == "POST" and form.is_valid():
        try:
            said = {"seen": found.job_id or 0, "by": request.post, "ground": form.ground}
            uploads.create_branch(found, where, **said, **form.entered)
        except (StructureError, TransitionRefused) as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"已新建“{form.cleaned_data['name']}”并纳入本批次")
            return redirect(found)
    page = {"upload": found, "cycle": found.report.cycle, "form": form, "line": line}
    return render(request, "ratings/new_branch.html", page)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 16 else 0


def _unknown(found: Upload) -> list[dict]:
    """Lines of the file that name no organization there is."""
    lines = [
        one
        for kind in found.found.get("errors", ())
        if kind["kind"] == Topic.UNIT
        for one in kind["items"]
    ]
    return [one for one in lines if one["field"] == NAME and one["value"]]


@require_POST
def act(request, pk, action):
    """One of the steps of an upload; the answer is its page."""
    found = _upload(request, pk)
    seen = _number(request.POST.get("seen"))
    try:
        match action:
            case "check":
                answers = answers_of(request.POST, found.found.get("questions", []))
                choices = _merged(found.choices, answers)
                uploads.check_again(found, choices, seen=seen, by=request.post)
            case "confirm":
                is_partial = request.POST.get("rows") == "good"
                uploads.confirm(found, is_partial=is_partial, seen=seen, by=request.post)
            case "undo":
                uploads.undo(found, seen=seen, by=request.post)
            case _:
                raise Http404
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    return redirect(found)


def _merged(old: list, new: list) -> list:
    """Answers that were given before hold until others are."""
    merged = {(sheet, row): dict(chosen) for sheet, row, chosen in old}
    for sheet, row, chosen in new:
        merged.setdefault((sheet, row), {}).update(chosen)
    return [[sheet, row, chosen] for (sheet, row), chosen in merged.items()]
