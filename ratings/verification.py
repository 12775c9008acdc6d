"""Proof of what is stored: states, versions, digests, totals and live rows, from one snapshot."""

import json
from collections.abc import Iterator

from django.db.models import Case, Count, Exists, F, OuterRef, Q, Sum, When
from django.db.models.functions import Coalesce, Length, Substr

from ledger_site.base.db import snapshot

from . import versions
from .choices import STANDING_STATES, State
from .models import Report, ReportMove, ReportVersion
from .querysets import STEP, ancestors

CHUNK = 2000


def verify() -> list[str]:
    """Every place where the ledger is not as its versions say, as Chinese sentences; [] if sound.

    Memory grows with the widest family of organizations, not with the province.
    """
    with snapshot():
        return [*_copy(), *_states(), *_digests(), *_standing()]


def _place(report: Report) -> str:
    return f"{report.cycle.label} {report.name}（{report.code}）"


def _copy() -> Iterator[str]:
    """Paths, and the counts that rest on them, are those of the superiors and subordinates."""
    own = Case(When(children__is_rated=True, then=1), default=0)
    reports = Report.objects.select_related("cycle").order_by("cycle", "path")
    wrong = (
        reports.exclude(parent=None)
        .annotate(above=Substr("path", 1, Length("path") - STEP))
        .exclude(above=F("parent__path"))
    )
    for report in wrong.iterator(CHUNK):
        yield f"{_place(report)}：层级码与上级不符"
    counted = reports.annotate(
        below=Coalesce(Sum(own + F("children__rated_count")), 0), children_count=Count("children")
    )
    for report in counted.exclude(below=F("rated_count")).iterator(CHUNK):
        yield f"{_place(report)}：应定级数为{report.rated_count}，下级相加为{report.below}"
    is_leaf = Q(children_count=0, has_subordinates=True)
    for report in counted.filter(is_leaf | Q(children_count__gt=0, has_subordinates=False)):
        yield f"{_place(report)}：有无下级的标记与下级不符"


def _states() -> Iterator[str]:
    """Below a report 已上报 or 已审核 every report is 已审核, 免报 or under a 免报 one."""
    open_ones = (
        Report.objects.filter(parent__state__in=STANDING_STATES)
        .exclude(state__in=(State.ACCEPTED, State.EXCUSED))
        .select_related("cycle", "parent")
    )
    for report in open_ones.iterator(CHUNK):
        excused = Report.objects.filter(
            cycle=report.cycle_id, path__in=ancestors(report.path), state=State.EXCUSED
        )
        if not excused.exists():
            yield (
                f"{_place(report)}：状态为{report.get_state_display()}，"
                f"而上级“{report.parent.name}”{report.parent.get_state_display()}"
            )
    lost = Report.objects.filter(
        Q(state__in=STANDING_STATES, number=0)
        | Q(state=State.ACCEPTED, accepted_version=None)
        | Q(is_rated=True, entry=None)
    ).select_related("cycle")
    for report in lost.iterator(CHUNK):
        yield f"{_place(report)}：缺少上报版本或台账行"


def _digests() -> Iterator[str]:
    """Every stored version is the text that was digested, and its totals are those in it."""
    stored = ReportVersion.objects.select_related("report__cycle").order_by("pk")
    for version in stored.iterator(CHUNK):
        report = version.report
        place = f"{_place(report)}第{version.number}版"
        if versions.digest_of(version.content) != version.digest:
            yield f"{place}：内容与摘要不符"
            continue
        content = json.loads(version.content)
        said = (content["cycle"], content["code"], content["number"])
        if said != (report.cycle.label, report.code, version.number):
            yield f"{place}：内容属于另一个报送件或版本"
        if content["totals"] != version.totals:
            yield f"{place}：汇总数与内容不符"


def _standing() -> Iterator[str]:
    """The live rows, decisions and totals below each standing report are those of its version.

    Reports come subordinates first, so that each finds what its subordinates add already there.
    """
    newest = ReportVersion.objects.filter(report=OuterRef("pk"), number=OuterRef("number"))
    for report in (
        Report.objects.filter(~Exists(newest), state__in=STANDING_STATES)
        .select_related("cycle")
        .iterator(CHUNK)
    ):
        yield f"{_place(report)}：找不到第{report.number}版"
    reports = (
        Report.objects.filter(state__in=STANDING_STATES)
        .order_by("cycle", "-path")
        .select_related("cycle", "category", "entry", "accepted_version")
    )
    for chunk in _chunks(reports.iterator(CHUNK)):
        by_key, decided = _newest(chunk), _decided(chunk)
        below = versions.subordinates_of([report for report in chunk if report.has_subordinates])
        for report in chunk:
            version = by_key.get(report.pk)
            if version is None or versions.digest_of(version.content) != version.digest:
                continue  # told above
            content = json.loads(version.content)
            yield from _differences(report, version, content, below.get(report.pk, []))
            entry = getattr(report, "entry", None)
            said = decided.get(report.pk)
            if entry and said and said != {name: getattr(entry, name) for name in said}:
                yield f"{_place(report)}：审核结果与报送经过中的决定不符"


def _chunks(reports) -> Iterator[list[Report]]:
    chunk = []
    for report in reports:
        chunk.append(report)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _newest(reports) -> dict[int, ReportVersion]:
    wanted = {report.pk: report.number for report in reports}
    stored = ReportVersion.objects.filter(report__in=wanted)
    return {v.report_id: v for v in stored if v.number == wanted[v.report_id]}


def _decided(reports) -> dict[int, dict]:
    """The newest decision on each accepted report, as its history has it."""
    accepted = [report.pk for report in reports if report.state == State.ACCEPTED]
    moves = ReportMove.objects.filter(report__in=accepted, action__in=("accept", "regrade"))
    found = moves.order_by("pk").values_list("report", "data")
    return {report: data["decision"] for report, data in found if data.get("decision")}


def _differences(report, version, content, subordinates) -> Iterator[str]:
    place = _place(report)
    if report.state == State.ACCEPTED and report.accepted_version_id != version.pk:
        yield f"{place}：审核通过的不是最新的第{version.number}版"
    entry = getattr(report, "entry", None)
    row = versions.row_content(entry) if entry and report.counts_row else None
    if content["row"] != row:
        names = [
            name
            for name in (row or {})
            if content["row"] is None or content["row"].get(name) != row[name]
        ]
        yield f"{place}：台账行与第{version.number}版不符（{'、'.join(names) or '有无台账行'}）"
    now = [{k: s[k] for k in ("code", "digest", "excused", "decision")} for s in subordinates]
    said, is_now = _by_code(content["subordinates"]), _by_code(now)
    for code in sorted({*said, *is_now}):
        if said.get(code) != is_now.get(code):
            yield f"{place}：下级 {code} 的版本或审核结果与第{version.number}版不符"
    if versions.totals_of(subordinates) != content["totals"]:
        yield f"{place}：汇总数与下级重算结果不符"


def _by_code(subordinates) -> dict[str, dict]:
    return {said["code"]: said for said in subordinates}
