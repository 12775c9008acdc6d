"""留痕: the trail for whoever audits, who saw the own ledger, and what was printed."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ledger_site.base import proof, sealing
from ledger_site.base import trail as events
from ledger_site.base.choices import PRINT
from ledger_site.base.models import AuditEvent, AuditSeal
from ledger_site.base.paging import BEFORE, newest_first
from orgs.posts import acting, doer_of
from ratings.models import Report
from ratings.workflow import act_of

from .. import jobs, trail

READ = "read_trail"
LISTED = 20  # seals and checks on the page of the chain
REPORT_PAGES = ("ratings:", "rectification:")


def _auditor(request):
    by = acting(request)
    if not trail.may_read(by):
        raise Http404
    return by


def _note(label: str, *, by, name: str = trail.TITLE, pk=None, **data) -> None:
    """That somebody reads the trail stands in the trail."""
    events.record(READ, label, [events.Act("trail", pk, "", name, data=data)], by=by)


@require_safe
def search(request):
    by = _auditor(request)
    filters = trail.filters_of(request.GET)
    found = trail.narrowed(trail.visible_to(by), filters.chosen, by)
    page = newest_first(found, request.GET)
    if BEFORE not in request.GET:  # going on in a list is the same reading
        _note("查阅留痕", by=by, filters=filters.as_params())
    context = {"events": page.rows, "pages": page.links, "filters": filters}
    return render(request, "audits/trail.html", context)


@require_safe
def event(request, pk):
    by = _auditor(request)
    found = get_object_or_404(trail.visible_to(by), pk=pk)
    _note("查阅留痕", by=by, pk=found.pk, name=str(found))
    values = [getattr(found, name) for name in proof.EVENT_COLUMNS]
    details = trail.details(found)
    context = {
        "event": found,
        "facts": _facts(found) + [one for one in details if not one["is_change"]],
        "changes": [one for one in details if one["is_change"]],
        "is_keyed": found.format != proof.NOT_KEYED,
        "is_proved": proof.is_proved(found.format, values, found.mac),
        "seal": AuditSeal.objects.filter(last_id__gte=found.pk).order_by("last_id").first(),
    }
    return render(request, "audits/event.html", context)


def _facts(found: AuditEvent) -> list[dict]:
    at = timezone.localtime(found.at).isoformat(sep=" ", timespec="milliseconds")
    code = f"（{found.object_code}）" if found.object_code else ""
    facts = {
        "编号": found.pk,
        "时间": at,
        "人员": found.person_name,
        "任职": found.post or "—",
        "单位": found.unit_name or "—",
        "对象": f"{found.object_name}{code}",
        "理由": found.shown_reason or "—",
        "来源地址": found.address or "本机",
        "请求编号": found.request_number,
    }
    return [{"label": label, "value": value} for label, value in facts.items()]


@require_POST
def export(request):
    by = _auditor(request)
    return redirect(jobs.start_export(trail.filters_of(request.POST), by=by))


@require_http_methods(["GET", "HEAD", "POST"])
def chain(request):
    """The seals and what the last checks found; a press asks for another."""
    by = _auditor(request)
    if request.method == "POST":
        job = jobs.start_check(by=by)
        messages.success(request, "已提交核验，完成后在本页显示结果")
        return redirect(job)
    checks = AuditEvent.objects.filter(action=sealing.VERIFY).done().order_by("-at", "-id")
    last = AuditSeal.objects.first()
    unsealed = AuditEvent.objects.filter(pk__gt=last.last_id if last else 0)
    context = {
        "seals": AuditSeal.objects.all()[:LISTED],
        "checks": checks[:LISTED],
        "unsealed_count": unsealed[: sealing.MOST].count(),
    }
    return render(request, "audits/chain.html", context)


@require_safe
def looks(request, pk):
    """谁看过我的台账: of a report of the own unit."""
    reports = Report.objects.own(request.post).select_related("cycle")
    report = get_object_or_404(reports, pk=pk)
    request.cycle = report.cycle
    page = newest_first(trail.looks_at(report, request.post), request.GET)
    context = {"report": report, "events": page.rows, "pages": page.links}
    return render(request, "audits/looks.html", context)


@require_POST
def printed(request):
    """A page tells that it is being printed."""
    path = request.POST.get("path", "")[:200]
    try:
        match = resolve(path)
    except (Resolver404, ValueError):
        raise Http404 from None
    act = events.Act("page", None, "", path)
    if match.view_name.startswith(REPORT_PAGES) and path.startswith("/report/"):
        reports = Report.objects.visible_to(request.post).select_related("cycle")
        act = act_of(get_object_or_404(reports, pk=match.kwargs["pk"]), page=path)
    events.record(PRINT, "打印", [act], by=doer_of(request))
    return HttpResponse(status=204)
