"""What monitoring asks: is the process there, can the node serve, how is the whole doing."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from ipaddress import ip_address

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from django.http import Http404, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from ledger_site.jobs.choices import UNFINISHED
from ledger_site.jobs.models import Job, Routine
from ledger_site.jobs.routines import WORKER

OK = "ok"
WORKER_SILENCE = timedelta(minutes=2)
NIGHTLY = timedelta(hours=26)  # a nightly routine that has not ended since is missed


def _for_monitoring(view: Callable) -> Callable:
    """Whoever is in none of `MONITOR_CIDRS` finds no such page."""

    @wraps(view)
    def guarded(request):
        try:
            address = ip_address(request.META.get("REMOTE_ADDR", ""))
        except ValueError:
            raise Http404 from None
        if not any(address in network for network in settings.MONITOR_CIDRS):
            raise Http404
        return view(request)

    return login_not_required(never_cache(require_safe(guarded)))


@login_not_required
@never_cache
@require_safe
def healthz(request):
    """The process answers; nothing else is asked."""
    return HttpResponse("ok\n", content_type="text/plain")


@_for_monitoring
def readyz(request):
    """200 while this node can serve, 503 while it can't; `warnings` are for people to look into:
    the others of the system may still be well served."""
    needs = {"database": _database(), "disk": _disk()}
    warnings = {}
    if needs["database"] == OK:
        needs["migrations"] = _migrations()
    if needs.get("migrations") == OK:
        warnings = _routines()
    is_ready = all(said == OK for said in needs.values())
    body = {"ready": is_ready, "checks": needs, "warnings": warnings}
    return JsonResponse(body, status=200 if is_ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return "unreachable"
    return OK


def _disk() -> str:
    free = shutil.disk_usage(settings.DATA_DIR).free
    return OK if free >= settings.LEAST_FREE else f"{free} bytes free"


def _migrations() -> str:
    return OK if _is_migrated() else "unapplied migrations"


_migrated: list[bool] = []


def _is_migrated() -> bool:
    """Asked until it is so: while this process lives its migrations stay the same."""
    if not _migrated:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        _migrated.append(True)
    return True


def _routines() -> dict[str, str]:
    """What is late or went wrong of the work in the background."""
    rows, now, found = Routine.objects.in_bulk(), timezone.now(), {}
    worker = rows.get(WORKER)
    if worker is None or worker.done_at < now - WORKER_SILENCE:
        found["worker"] = "no sign of life"
    for name in ("verify", *(["backup"] if settings.BACKUP_DIR else [])):
        row = rows.get(name)
        if row is None or row.done_at is None or row.done_at < now - NIGHTLY:
            found[name] = "not done for more than a day"
        elif not row.is_good:
            found[name] = "failed"
    return found


@_for_monitoring
def metrics(request):
    """Prometheus: what the process measured of its requests, and the state of the whole."""
    registry = REGISTRY
    if settings.METRICS_DIR:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=settings.METRICS_DIR)
    whole = CollectorRegistry()
    whole.register(_Whole())
    text = generate_latest(registry) + generate_latest(whole)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


class _Whole:
    """Figures of the database, the same whichever node is asked."""

    def collect(self):
        jobs = GaugeMetricFamily("ledger_jobs", "Background jobs not finished", labels=["state"])
        unfinished = Job.objects.unfinished().order_by().values_list("state")
        counts = dict(unfinished.annotate(n=Count("pk")))
        for state in sorted(UNFINISHED):
            jobs.add_metric([state], counts.get(state, 0))
        yield jobs
        ended = GaugeMetricFamily(
            "ledger_routine_age_seconds", "Since the last end of a routine", labels=["name"]
        )
        good = GaugeMetricFamily(
            "ledger_routine_good", "Whether its last run was well", labels=["name"]
        )
        for row in Routine.objects.exclude(done_at=None):
            ended.add_metric([row.name], (timezone.now() - row.done_at).total_seconds())
            good.add_metric([row.name], float(row.is_good))
        yield ended
        yield good
