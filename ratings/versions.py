"""上报版本: what is handed up, as text whose SHA-256 proves every row under it.

A version holds the own row as declared and, for each direct subordinate, the digest of its
accepted version and the decision on it: like a commit over trees. The digest of the province's
version so proves every row of the province. `content` is text, stored exactly as digested.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from .choices import State
from .columns import DECISION_NAMES, REPORTED_NAMES
from .models import LedgerEntry, Report, ReportVersion
from .querysets import ancestors

FORMAT = 1
SEPARATOR = "|"


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


def may_read(version: ReportVersion, post) -> bool:
    """Whether the version was handed up to the post's unit: its own, a direct subordinate's, or
    reached from a direct subordinate's newest version by the digests in it."""
    if post is None:
        return False
    report = version.report
    line = list(
        Report.objects.filter(
            cycle=report.cycle_id, path__in=[*ancestors(report.path), report.path]
        )
        .order_by("path")
        .select_related("parent")
    )
    place = next((i for i, r in enumerate(line) if r.organization_id == post.organization_id), None)
    if place is None:
        return False
    if len(line) - place <= 2:
        return True
    direct = line[place + 1]
    reached = direct.versions.filter(number=direct.number).first()
    for below in line[place + 2 :]:
        if reached is None:
            return False
        digest = next(
            (
                s["digest"]
                for s in json.loads(reached.content)["subordinates"]
                if s["code"] == below.code
            ),
            None,
        )
        reached = digest and below.versions.filter(digest=digest).first()
    return bool(reached) and reached.pk == version.pk


def names_below(report: Report) -> dict[str, str]:
    """Short names of the direct subordinates by code, as a version lists them."""
    return dict(Report.objects.filter(parent=report).values_list("code", "short_name"))


def places_of(report: Report, digests: Iterable[str]) -> dict[str, tuple[int, int]]:
    """By digest, where a direct subordinate's version is found: (key of the report, number)."""
    found = ReportVersion.objects.filter(report__parent=report, digest__in=list(digests))
    return {digest: (pk, n) for digest, pk, n in found.values_list("digest", "report", "number")}
