"""Which rows the figures of a report count: what was handed up, followed down by its digests.

附件一 counts by versions; whoever shows or counts its rows asks here, so that both are the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import versions
from .choices import STANDING_STATES, State
from .models import Report, ReportVersion
from .querysets import successor
from .summary import Summary


@dataclass(frozen=True)
class Counted:
    """The rows between two paths as they are now, or one row as an older version has it."""

    start: str
    end: str
    report: Report | None = None
    values: Mapping[str, Any] | None = None  # of the row and the decision on it


def is_stored(summary: Summary) -> bool:
    """Whether the figures are those of a version that is not what stands there now."""
    version, report = summary.version, summary.report
    return bool(version) and (
        version.number != report.number or report.state not in STANDING_STATES
    )


def listed_in(summary: Summary) -> list[Mapping[str, Any]]:
    """The direct subordinates that the figures count, each with code, digest and decision."""
    if is_stored(summary):
        listed = versions.read(summary.version)["subordinates"]
    else:
        listed = versions.subordinates_of([summary.report])[summary.report.pk]
    return [said for said in listed if said["digest"]]


def walk(parent: Report, listed: Iterable[Mapping], descended: set[str]) -> Iterator[Counted]:
    """What a version counts below a report, in the order of the tree.

    Where an accepted version is still the one that was counted, all below it is as it was (what is
    accepted is frozen) and is one range. Where it is not, under a correction or after a return, the
    row is that of the version and its subordinates are looked at in turn; the paths of these are
    put into `descended`.
    """
    said_of = {said["code"]: said for said in listed if said["digest"]}
    children = list(
        Report.objects.filter(parent=parent)
        .order_by("path")
        .select_related("accepted_version", "entry", "category")
        .defer("accepted_version__content", "accepted_version__totals")
    )
    changed = {
        said_of[child.code]["digest"]
        for child in children
        if child.code in said_of and not _is_as_said(child, said_of[child.code])
    }
    stored = ReportVersion.objects.filter(report__parent=parent, digest__in=changed)
    stored = {version.digest: version for version in stored}
    for child in children:
        said, end = said_of.get(child.code), successor(child.path)
        if said is None:
            continue
        if said["digest"] not in stored:
            yield Counted(child.path, end)
            continue
        content = versions.read(stored[said["digest"]])
        if content["row"] and said["decision"]:
            yield Counted(child.path, end, child, content["row"] | said["decision"])
        descended.add(child.path)
        if content["subordinates"]:
            yield from walk(child, content["subordinates"], descended)


def _is_as_said(child: Report, said) -> bool:
    """Whether a version's words of a direct subordinate hold now, of its row and all below it."""
    if child.state != State.ACCEPTED or child.order_id or not child.accepted_version_id:
        return False
    if child.accepted_version.digest != said["digest"]:
        return False
    return all(
        getattr(child.entry, name) == value for name, value in (said["decision"] or {}).items()
    )
