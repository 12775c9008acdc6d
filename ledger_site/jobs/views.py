"""我的下载: what somebody asked for, how far it is, and what came of it. Nobody else sees it."""

from django.contrib import messages
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from ledger_site.base import trail
from ledger_site.base.workflow import TransitionRefused
from orgs.posts import acting

from . import services
from .models import Job

LISTED = 100


@require_safe
def jobs(request):
    found = Job.objects.own(acting(request))[:LISTED]
    return render(request, "jobs/list.html", {"jobs": found})


@require_safe
@vary_on_headers("HX-Request")
def job(request, pk):
    found = get_object_or_404(Job.objects.own(acting(request)), pk=pk)
    if found.is_unfinished and services.recover():
        found.refresh_from_db()
    page = "jobs/_job.html" if request.htmx else "jobs/job.html"
    return render(request, page, {"job": found})


@require_POST
def cancel(request, pk):
    found = get_object_or_404(Job.objects.own(acting(request)), pk=pk)
    try:
        is_over = services.cancel(found, by=acting(request))
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "已取消" if is_over else "已请求取消，作业停下后不留结果")
    return redirect(found)


@require_safe
def file(request, pk):
    found = get_object_or_404(Job.objects.own(acting(request)), pk=pk)
    if not found.path or not found.path.exists():
        raise Http404("文件已过期删除，请重新生成")
    act = trail.Act("job", found.pk, found.kind, found.file_name, data={"digest": found.digest})
    trail.record("download", "下载", [act], by=acting(request))
    return FileResponse(found.path.open("rb"), as_attachment=True, filename=found.file_name)
