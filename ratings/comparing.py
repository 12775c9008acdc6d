"""Two versions of a report side by side, down to the rows: followed only where digests differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from . import versions
from .choices import Grade
from .columns import changes
from .models import Report, ReportVersion
from .querysets import STEP
from .versions import SHORT_DIGEST, is_sound

MOST_SHOWN = 50  # organizations on a page
MOST_OPENED = 30  # pairs of versions with subordinates looked into for a page
AT_ONCE = 50  # direct subordinates whose versions are read together
DECIDED = {
    "target_grade": "上级确定的晋位升级目标",
    "review_reason": "审核说明",
    "target_reason": "目标说明",
}


class Kind(Enum):
    ADDED = "新增"
    REMOVED = "减少"
    CHANGED = "改变"


@dataclass
class Difference:
    """What two versions say otherwise of one organization."""

    place: str  # where it stands in the comparison: places sort as the tree does
    code: str
    name: str
    superior: str
    kind: Kind
    changes: list[dict[str, str]]


@dataclass
class Comparison:
    """A page of differences; `after` is the place behind which to go on, "" at the end."""

    found: list[Difference] = field(default_factory=list)
    after: str = ""


class _Enough(Exception):
    """So many versions were opened that the next page goes on from here."""


def compare(
    old: ReportVersion, new: ReportVersion, *, is_deep: bool = True, after: str = ""
) -> Comparison:
    """What a report's version `new` says otherwise than `old`, from behind the place `after`.

    Without `is_deep` the direct subordinates alone are told of. The queries depend on the number
    of units that differ, at most `MOST_OPENED` of them, not on the number of organizations.
    """
    walk = _Walk(after, is_deep)
    page = Comparison()
    try:
        for difference in walk.all(old, new):
            if len(page.found) == MOST_SHOWN:
                page.after = page.found[-1].place
                break
            page.found.append(difference)
    except _Enough:
        page.after = walk.place
    return page


def row_count(version: ReportVersion) -> int:
    """Rows that a version counts below its report."""
    return sum(version.totals["counts"].values())


class _Walk:
    """Through the differing subordinates in the order of the tree."""

    def __init__(self, after: str, is_deep: bool):
        self.after, self.is_deep = after, is_deep
        self.opened, self.place = 0, after

    def all(self, old: ReportVersion, new: ReportVersion) -> Iterator[Difference]:
        report, was, now = new.report, versions.read(old), versions.read(new)
        if not self.after:
            found = _changes(was["row"], now["row"])
            found += _reason(was["row_excused"], now["row_excused"])
            if found:
                kind = _kind(was["row"], now["row"])
                yield Difference(report.path, report.code, report.short_name, "", kind, found)
        yield from self._below(report, report.path, was, now)

    def _below(self, report: Report, place: str, old, new) -> Iterator[Difference]:
        was, now = ({said["code"]: said for said in v["subordinates"]} for v in (old, new))
        codes = {code for code in {*was, *now} if was.get(code) != now.get(code)}
        pairs = [
            (spot, child, was.get(child.code), now.get(child.code))
            for spot, child in _children(report, place, codes)
            if spot > self.after or self.after.startswith(spot)
        ]
        for first in range(0, len(pairs), AT_ONCE):
            some = pairs[first : first + AT_ONCE]
            stored = self._stored(some)
            for spot, child, said, says in some:
                before, then = (stored.get(_digest(one)) for one in (said, says))
                if spot > self.after:
                    yield from self._told(spot, child, report, said, says, before, then)
                if any(content and content["subordinates"] for content in (before, then)):
                    self._open(spot)
                    nothing = {"subordinates": []}
                    yield from self._below(child, spot, before or nothing, then or nothing)

    def _open(self, spot: str) -> None:
        if self.opened == MOST_OPENED:
            self.place = spot
            raise _Enough
        self.opened += 1

    def _stored(self, some) -> dict[str, dict[str, Any]]:
        """By digest the contents that differ; a digest that stayed needs no look."""
        if not self.is_deep:
            return {}
        digests = {
            digest
            for _, _, said, says in some
            if _digest(said) != _digest(says)
            for digest in (_digest(said), _digest(says))
            if digest
        }
        if not digests:
            return {}
        found = ReportVersion.objects.filter(
            report__in=[child.pk for _, child, _, _ in some], digest__in=digests
        )
        return {version.digest: versions.read(version) for version in found if is_sound(version)}

    def _told(self, spot, child, superior, said, says, before, then) -> Iterator[Difference]:
        row, new_row = (_row(one, content) for one, content in ((said, before), (says, then)))
        found = _changes(row, new_row)
        found += _reason(_excused(said), _excused(says))
        was_in, is_in = bool(_digest(said)), bool(_digest(says))
        if _digest(said) != _digest(says):
            if self.is_deep and (was_in, is_in) != (bool(before), bool(then)):
                found.append(_change("上报内容", "", "原文缺失，或与校验码不符"))
            elif not self.is_deep and was_in and is_in:
                found.append(_change("上报内容（校验码）", *map(_short, (said, says))))
        if not found and was_in != is_in:
            found = [_change("本级和以下", *("已汇入" if one else "" for one in (was_in, is_in)))]
        if found:
            kind = _kind(was_in or None, is_in or None)
            yield Difference(spot, child.code, child.short_name, superior.short_name, kind, found)


def _children(report: Report, place: str, codes: set[str]) -> Iterator[tuple[str, Report]]:
    """The direct subordinates of these codes, each with its place; what has since been moved away
    behind those that are still there."""
    left = set(codes)
    for child in Report.objects.filter(parent=report).order_by("path") if codes else ():
        if child.code in codes:
            left.discard(child.code)
            yield place + child.path[-STEP:], child
    if left:
        moved = Report.objects.of(report.cycle_id).filter(code__in=left)
        for child in moved.order_by("code"):
            yield f"{place}~{child.code}", child


def _digest(said: Mapping[str, Any] | None) -> str | None:
    return said["digest"] if said else None


def _short(said: Mapping[str, Any]) -> str:
    return said["digest"][:SHORT_DIGEST]


def _excused(said: Mapping[str, Any] | None) -> str | None:
    return said["excused"] if said else None


def _row(said, content) -> dict[str, Any] | None:
    """What a version above says of a row: as declared where it was looked at, and the decision."""
    decision = said and said["decision"]
    if not decision:
        return None
    return ((content and content["row"]) or {}) | decision


def _kind(was, now) -> Kind:
    if was is None:
        return Kind.ADDED
    return Kind.REMOVED if now is None else Kind.CHANGED


def _changes(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Cells that differ; of a row that stands in one version alone its grades."""
    if old is None or new is None:
        grades = ("declared_grade", "reviewed_grade")
        old, new = (
            {name: (row or {}).get(name) for name in (*grades, "target_grade")}
            for row in (old, new)
        )
    names = old.keys() | new.keys()
    found = changes(old, {name: new.get(name) for name in names})
    for name, label in DECIDED.items():
        if old.get(name) != new.get(name):
            found.append(_change(label, *(_shown(name, row.get(name)) for row in (old, new))))
    if old.get("explanations") != new.get("explanations"):
        texts = ("\n".join((row.get("explanations") or {}).values()) for row in (old, new))
        found.append(_change("情况说明", *texts))
    return found


def _shown(name: str, value) -> str:
    return Grade(value).label if value and name == "target_grade" else value or ""


def _reason(old: str | None, new: str | None) -> list[dict[str, str]]:
    if old == new:
        return []
    return [_change("免报", *("" if one is None else one or "免报" for one in (old, new)))]


def _change(label: str, old: str, new: str) -> dict[str, str]:
    return {"label": label, "old": old, "new": new}
