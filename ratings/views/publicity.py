"""通知 of a cycle with who has read it, 公示 of a level with what was said against it."""

import tempfile

from django.conf import settings
from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ledger_site.base import attaching
from ledger_site.base.paging import page_of, whole
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role

from .. import publicity as services
from ..forms import NoticeForm, ObjectionForm, PublicityForm
from ..models import Notice, NoticeFile, Publicity, Report
from ..querysets import line_of
from ..workflow import act_of
from .finding import own_report, visible_cycle
from .ledger import clean_path
from .sending import sent


@require_http_methods(["GET", "HEAD", "POST"])
def notice(request, cycle):
    """The notice; a press says that the unit has read it."""
    cycle = visible_cycle(request, cycle)
    own = own_report(request, cycle)
    found = get_object_or_404(Notice.objects.filter(cycle=cycle))
    if request.method == "POST":
        services.read_notice(found, own, by=request.post)
        messages.success(request, "已登记阅知")
        return redirect(found)
    directs = Report.objects.direct(request.post).of(cycle)
    page = page_of(directs, request.GET, key="path", clean=clean_path)
    readings = services.readings_of(found, page.rows)
    read_count = found.readings.filter(number=found.number, report__in=directs.order_by()).count()
    context = {
        "notice": found,
        "cycle": cycle,
        "own": own,
        "reading": services.readings_of(found, [own]).get(own.pk),
        "rows": [{"report": report, "reading": readings.get(report.pk)} for report in page.rows],
        "pages": page.links,
        "read_count": read_count,
        "direct_count": directs.order_by().count(),
        "may_write": request.post.manages_cycles,
        "files": found.files.filter(removed_at=None),
        "kinds": attaching.KINDS,
    }
    return render(request, "ratings/notice.html", context)


@require_POST
def attach(request, cycle):
    """Add a file to the notice, or take one off."""
    cycle = visible_cycle(request, cycle)
    if not request.post.manages_cycles:
        raise Http404
    found = get_object_or_404(Notice.objects.select_related("cycle"), cycle=cycle)
    try:
        if "remove" in request.POST:
            files = found.files.filter(removed_at=None)
            file = get_object_or_404(files, pk=whole(request.POST["remove"]) or 0)
            services.remove_file(file, by=request.post)
            messages.success(request, "已撤下附件")
        elif sent := request.FILES.get("file"):
            services.attach(found, sent, by=request.post)
            messages.success(request, "已添加附件")
        else:
            is_large = getattr(request, "is_too_large", False)
            most = settings.MOST_UPLOADED >> 20
            messages.error(request, f"文件超过{most}MB，没有接收" if is_large else "请选择文件")
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    return redirect(found)


@require_safe
def notice_file(request, cycle, pk):
    cycle = visible_cycle(request, cycle)
    files = NoticeFile.objects.filter(notice__cycle=cycle, removed_at=None)
    return attaching.served(get_object_or_404(files, pk=pk))


@require_http_methods(["GET", "HEAD", "POST"])
def write_notice(request, cycle):
    cycle = visible_cycle(request, cycle)
    if not request.post.manages_cycles:
        raise Http404
    found = Notice.objects.filter(cycle=cycle).first()
    form = NoticeForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        written = services.write_notice(cycle, **form.cleaned_data, by=request.post)
        messages.success(request, "已发布，各单位可以在批次页看到")
        return redirect(written)
    return render(request, "ratings/notice_form.html", {"cycle": cycle, "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
def publicities(request, cycle):
    """What the own unit and its superiors have made public; the own rows can be."""
    own = own_report(request, visible_cycle(request, cycle))
    may_publish = request.post.has(Role.REVIEW) and own.has_subordinates
    form = PublicityForm(
        request.POST if request.method == "POST" else None,
        initial={"started_on": timezone.localdate()},
    )
    if request.method == "POST":
        if not may_publish:
            raise Http404
        if form.is_valid():
            try:
                made = services.publish(own, **form.cleaned_data, by=request.post)
            except TransitionRefused as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, "已公示")
                return redirect(made)
    found = Publicity.objects.visible_to(own).select_related("report")
    context = {
        "cycle": own.cycle,
        "own": own,
        "publicities": found[:100],
        "form": form if may_publish else None,
        "row_count": services.accepted_rows(own).count() if may_publish else 0,
    }
    return render(request, "ratings/publicities.html", context)


def _publicity(request, pk) -> tuple[Publicity, bool]:
    """A list that the post's unit or a superior has made public, and whether it is the own one."""
    found = get_object_or_404(
        Publicity.objects.select_related("report__cycle", "report__organization"), pk=pk
    )
    own = Report.objects.own(request.post).of(found.report.cycle_id).first()
    line = line_of(own.path) if own else ()
    if found.report.path not in line:
        raise Http404
    request.cycle = found.report.cycle
    return found, own.pk == found.report_id


@require_http_methods(["GET", "HEAD", "POST"])
def publicity(request, pk):
    """The list; on the own one objections are recorded."""
    found, is_own = _publicity(request, pk)
    may_record = is_own and request.post.has(Role.REVIEW)
    rows = found.rows.select_related("report__entry")
    page = page_of(rows, request.GET, key="path", clean=clean_path)
    form = ObjectionForm(
        request.POST if request.method == "POST" else None,
        rows=page.rows,
        initial={"received_on": timezone.localdate()},
    )
    if request.method == "POST":
        if not may_record:
            raise Http404
        if form.is_valid():
            values = form.cleaned_data
            path = values.pop("path")
            row = next((row for row in page.rows if row.path == path), None)
            try:
                services.object_to(found, row=row, **values, by=request.post)
            except TransitionRefused as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, "已登记")
                return redirect(found)
    context = {
        "publicity": found,
        "cycle": found.report.cycle,
        "title": services.title_of(found),
        "rows": page.rows,
        "pages": page.links,
        "is_own": is_own,
        "may_record": may_record,
        "form": form if may_record else None,
        "objections": found.objections.select_related("row") if is_own else (),
    }
    return render(request, "ratings/publicity.html", context)


@require_POST
def answer(request, pk, objection):
    found, is_own = _publicity(request, pk)
    if not is_own:
        raise Http404
    one = get_object_or_404(found.objections, pk=objection)
    one.publicity = found
    text = request.POST.get("answer", "").replace("\0", "")[:2000]
    try:
        services.answer(one, text=text, by=request.post)
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "已答复")
    return redirect(found)


@require_safe
def sheet(request, pk):
    found, _ = _publicity(request, pk)
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    rows = services.write(found, stream, by=request.post)
    name = services.sheet_name(found)
    return sent(request, stream, name, act_of(found.report, file=name, rows=rows))
