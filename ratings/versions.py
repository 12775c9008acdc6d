"""上报版本: what is handed up, as text whose SHA-256 proves every row under it.

A version holds the own row as declared and, for each direct subordinate, the digest of its
accepted version and the decision on it: like a commit over trees. The digest of the province's
version so proves every row of the province. `content` is text, stored exactly as digested.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Q

from .choices import State
from .columns import DECISION_NAMES, REPORTED_NAMES
from .models import LedgerEntry, Report, ReportVersion
from .querysets import line_of

FORMAT = 1
SEPARATOR = "|"
SHORT_DIGEST = 12  # digits that pages show of a digest, and that are enough to look for it
MOST_FOUND = 20  # versions whose digests begin alike


def digest_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def canonical(content: Mapping[str, Any]) -> str:
    """Sorted keys, UTF-8, no spaces, integers, ISO dates, null for unknown."""
    return json.dumps(
        content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def plain(value):
    return value.isoformat() if isinstance(value, date) else value


def row_content(entry: LedgerEntry) -> dict[str, Any]:
    """The own row as declared; the decisions on it are in the superior's version."""
    row = {name: plain(getattr(entry, name)) for name in REPORTED_NAMES}
    return {**row, "explanations": entry.explanations}


def subordinates_of(reports: Iterable[Report]) -> dict[int, list[dict[str, Any]]]:
    """By report: what its version says of each direct subordinate, in the order of the tree.

    One query for any number of reports, another while a correction runs. `counts` and `expected`
    are what the subordinate adds to the totals above it.
    """
    grouped = defaultdict(list)
    children = (
        Report.objects.filter(parent__in=[report.pk for report in reports])
        .order_by("path")
        .values(
            "pk",
            "parent_id",
            "code",
            "name",
            "state",
            "order_id",
            "is_rated",
            "is_row_excused",
            "excuse_reason",
            "rated_count",
            "category__sheet_row",
            "entry__declared_grade",
            *(f"entry__{name}" for name in DECISION_NAMES),
            "accepted_version",
            "accepted_version__digest",
            "accepted_version__totals",
        )
    )
    children = list(children)
    _restore_declared(children)
    for child in children:
        grouped[child["parent_id"]].append(_subordinate(child))
    return grouped


def _restore_declared(children: list[dict[str, Any]]) -> None:
    """Give rows being corrected the grade they declared in the version accepted last, which goes
    on counting; what is being written now does not."""
    corrected = {
        child["accepted_version"]: child
        for child in children
        if child["is_rated"] and child["order_id"] and child["state"] != State.ACCEPTED
    }
    if not corrected:
        return
    for version in ReportVersion.objects.filter(pk__in=corrected):
        row = json.loads(version.content)["row"]
        if row:
            corrected[version.pk]["entry__declared_grade"] = row["declared_grade"]


def _subordinate(child: Mapping[str, Any]) -> dict[str, Any]:
    """One direct subordinate: its place in the version and its share of the totals."""
    own = int(child["is_rated"])
    is_excused = child["state"] == State.EXCUSED
    row_counts = child["is_rated"] and not child["is_row_excused"] and not is_excused
    totals = child["accepted_version__totals"]
    # Under a correction order the version accepted last goes on counting.
    is_accepted = totals is not None and (
        child["state"] == State.ACCEPTED or child["order_id"] is not None
    )
    counts, excused, decision = Counter(), 0, None
    if is_excused:
        excused = own + child["rated_count"]
    else:
        excused = int(child["is_row_excused"])
        if is_accepted:
            counts.update(totals.get("counts", {}))
            excused += totals.get("excused", 0)
            if row_counts:
                decision = {name: child[f"entry__{name}"] for name in DECISION_NAMES}
                counts[
                    key_of(
                        child["category__sheet_row"],
                        child["entry__declared_grade"],
                        child["entry__reviewed_grade"],
                        child["entry__target_grade"],
                    )
                ] += 1
    return {
        "pk": child["pk"],
        "code": child["code"],
        "name": child["name"],
        "state": child["state"],
        "is_accepted": is_accepted and not is_excused,
        "digest": child["accepted_version__digest"] if is_accepted and not is_excused else None,
        "excused": child["excuse_reason"] if is_excused or child["is_row_excused"] else None,
        "decision": decision,
        "counts": dict(counts),
        "excused_count": excused,
        "rated_count": own + child["rated_count"],
    }


def key_of(category, declared, reviewed, target) -> str:
    """The key of one cell of the totals: 领域|申报|审核|目标; unknown is empty."""
    return SEPARATOR.join(value or "" for value in (category, declared, reviewed, target))


def totals_of(subordinates: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """汇总数 of everything below a report: sparse counts, and how many rows are excused."""
    counts, excused = Counter(), 0
    for child in subordinates:
        counts.update(child["counts"])
        excused += child["excused_count"]
    return {"counts": dict(sorted(counts.items())), "excused": excused}


def content_of(report: Report, number: int, entry, subordinates) -> dict[str, Any]:
    """The content of a version; no ids, persons or times, so equal reports have equal digests."""
    return {
        "format": FORMAT,
        "cycle": report.cycle.label,
        "code": report.code,
        "number": number,
        "row": row_content(entry) if entry and report.counts_row else None,
        "row_excused": report.excuse_reason if report.is_row_excused else None,
        "subordinates": [
            {key: child[key] for key in ("code", "digest", "excused", "decision")}
            for child in subordinates
        ],
        "totals": totals_of(subordinates),
    }


def make_versions(reports: list[Report]) -> list[ReportVersion]:
    """Store the next version of each report; two queries for any number of them."""
    below = subordinates_of([report for report in reports if report.has_subordinates])
    made = []
    for report in reports:
        entry = getattr(report, "entry", None) if report.is_rated else None
        content = content_of(report, report.number + 1, entry, below.get(report.pk, []))
        text = canonical(content)
        made.append(
            ReportVersion(
                report=report,
                number=report.number + 1,
                digest=digest_of(text),
                content=text,
                totals=content["totals"],
            )
        )
    return ReportVersion.objects.bulk_create(made, batch_size=1000)


def read(version: ReportVersion) -> dict[str, Any]:
    """The content of a version; the row's values as the ledger entry has them."""
    content = json.loads(version.content)
    if content["row"]:
        for name in ("secretary_vacant_since", "venue_due_on", "due_on"):
            day = content["row"].get(name)
            content["row"][name] = date.fromisoformat(day) if day else None
    return content


@dataclass(frozen=True)
class Step:
    """One step down by the digests: what the version above says of a direct subordinate (None
    where it does not list it), and its version with that digest (None where there is none)."""

    report: Report
    said: Mapping[str, Any] | None
    version: ReportVersion | None


def is_sound(version: ReportVersion) -> bool:
    return digest_of(version.content) == version.digest


def way_down(version: ReportVersion, reports: Iterable[Report]) -> Iterator[Step]:
    """From a version down a line of reports by the digests; ends where a version does not hold the
    next one, or is not what was digested."""
    for report in reports:
        if not is_sound(version):
            return
        listed = json.loads(version.content)["subordinates"]
        said = next((said for said in listed if said["code"] == report.code), None)
        digest = said and said["digest"]
        version = report.versions.filter(digest=digest).first() if digest else None
        yield Step(report, said, version)
        if version is None:
            return


def line_to(report: Report, top: str = "") -> list[Report]:
    """The report with the superiors above it, the highest first; those from the path `top` on."""
    paths = [path for path in line_of(report.path) if path >= top]
    line = Report.objects.filter(cycle=report.cycle_id, path__in=paths)
    return list(line.order_by("path").select_related("parent", "cycle"))


def may_read(version: ReportVersion, post) -> bool:
    """Whether the version was handed up to the post's unit: its own, a direct subordinate's, or
    reached by the digests from a direct subordinate's version that was taken over."""
    if post is None:
        return False
    line = line_to(version.report)
    place = next((i for i, r in enumerate(line) if r.organization_id == post.organization_id), None)
    if place is None:
        return False
    _, *rest = line[place:]
    if len(rest) <= 1:
        return True
    direct, *below = rest
    return any(
        step.version is not None and step.version.pk == version.pk
        for start in _taken_over(direct)
        for step in way_down(start, below)
    )


def _taken_over(report: Report):
    """The versions that prove to the superior what is below the report: the newest one, and those
    that it has accepted, which its own versions hold. One that was given back proves nothing."""
    accepted = report.moves.filter(action="accept").order_by().values("number")
    return report.versions.filter(Q(number=report.number) | Q(number__in=accepted))


def proves_below(version: ReportVersion, post) -> bool:
    """Whether the versions that a readable one lists may be read as well (`may_read`)."""
    report = version.report
    if not report.parent_id or report.parent.organization_id != post.organization_id:
        return True
    return _taken_over(report).filter(pk=version.pk).exists()


def by_digest(text: str, post) -> list[ReportVersion]:
    """The versions whose digest begins so, among those that the post may read.

    Takes a digest as it is printed or pasted: whole, or its first digits, with spaces or capitals.
    Raises `ValueError` in Chinese for what is none.
    """
    digits = "".join(text.split()).lower()
    if not re.fullmatch(f"[0-9a-f]{{{SHORT_DIGEST},64}}", digits):
        raise ValueError(f"校验码为数字和字母 a 至 f，请输入全部64位，或者至少前{SHORT_DIGEST}位")
    # As a range of the index; no digest goes on with a "g".
    found = ReportVersion.objects.filter(digest__gte=digits, digest__lt=f"{digits}g")
    found = found.select_related("report__cycle", "report__parent").order_by("pk")[:MOST_FOUND]
    return [version for version in found if may_read(version, post)]


def names_below(report: Report) -> dict[str, str]:
    """Short names of the direct subordinates by code, as a version lists them."""
    return dict(Report.objects.filter(parent=report).values_list("code", "short_name"))


def stored_below(report: Report, digests: Iterable[str]) -> dict[str, ReportVersion]:
    """By digest the versions of direct subordinates, as a version lists them."""
    found = ReportVersion.objects.filter(report__parent=report, digest__in=list(digests))
    return {version.digest: version for version in found}


def below_by_code(report: Report, code: str) -> Report | None:
    return Report.objects.below(report).filter(code=code).select_related("category").first()


def places_of(report: Report, digests: Iterable[str]) -> dict[str, tuple[int, int]]:
    """By digest, where a direct subordinate's version is found: (key of the report, number)."""
    found = ReportVersion.objects.filter(report__parent=report, digest__in=list(digests))
    return {digest: (pk, n) for digest, pk, n in found.values_list("digest", "report", "number")}
