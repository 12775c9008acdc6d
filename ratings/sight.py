"""What of a row is seen from above: a list shows each row as it was handed up to who looks.

`visible_to` says which rows there are; this says with which values. The own unit and its direct
superior see the live row, drafts too, since the superior may fill it in. Deeper rows are seen as
the direct subordinate handed them up: while a correction runs below it, that is what its newest
version holds, not what is being written now. Of what is 免报 name and reason are seen, no more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q

from . import versions
from .choices import State
from .columns import DECISION_NAMES, FIELDS
from .models import Report, ReportVersion
from .querysets import EXCUSED as IS_EXCUSED
from .querysets import STEP, below, line_of
from .summary import Basis, Summary, excused_paths, summarize

DRAFT, RETURNED, WAITING = "填报中（未上报）", "已退回（未重新上报）", "已上报（待审核）"
CORRECTING, EXCUSED = "更正中", "免报"
MARKS = {State.DRAFT: DRAFT, State.RETURNED: RETURNED, State.SUBMITTED: WAITING, State.ACCEPTED: ""}
HANDED_UP = ("submit", "accept", "regrade")  # moves that are seen from further above
NAMES = (*FIELDS, *DECISION_NAMES[1:])  # the reviewed grade is a field already


@dataclass
class Seen:
    """A row as a post sees it; `values` by identifier, None where only the name is seen."""

    report: Report
    values: Mapping[str, Any] | None
    mark: str = ""
    reason: str = ""  # of 免报

    @property
    def target(self):
        """The decided target, before the decision the unit's own proposal."""
        return self.values and (self.values["target_grade"] or self.values["proposed_target"])

    @property
    def is_target_proposed(self) -> bool:
        return bool(self.values and not self.values["target_grade"] and self.target)


def is_near(report: Report, post) -> bool:
    """Whether the report is the post's own or a direct subordinate's."""
    own = post.organization_id
    return report.organization_id == own or bool(
        report.parent_id and report.parent.organization_id == own
    )


def settled(own: Report) -> Q:
    """Rows that may be chosen by their values: what is being corrected deeper down shows those of
    a version, and 免报 shows none. `own` is the report of the unit that looks."""
    return ~out(own) & (_near(own) | Q(order=None, state=State.ACCEPTED))


def in_state(state: State, own: Report) -> Q:
    """Rows that are seen in a state: not in that of a correction deeper down."""
    if state == State.EXCUSED:
        return out(own)
    return Q(state=state) & ~out(own) & (_near(own) | Q(order=None))


def out(own: Report) -> Q:
    """Rows below a report, and its own, that are 免报 or lie under 免报, whatever their state."""
    found = IS_EXCUSED
    for path in excused_paths(own):
        found |= below(path)
    return found


def _near(own: Report) -> Q:
    return Q(pk=own.pk) | Q(parent=own.pk)


def as_seen(reports: Iterable[Report], post) -> list[Seen]:
    """The rows of visible, rated reports of one cycle, each as the post may see it.

    `reports` come with `parent` and `entry`. The number of queries depends on the depth of a
    running correction, not on the number of rows.
    """
    reports = list(reports)
    if not reports or post is None:
        return []
    own = Report.objects.own(post).of(reports[0].cycle_id).values_list("path", flat=True).first()
    excused = _excused_above(reports, own)
    handed_up = _handed_up([r for r in reports if r.order_id and not is_near(r, post)], own)
    return [_seen(report, post, excused, handed_up) for report in reports]


def _seen(report, post, excused, handed_up) -> Seen:
    if report.organization_id != post.organization_id:
        reason = next((excused[path] for path in line_of(report.path) if path in excused), None)
        if reason is None and report.is_row_excused:
            reason = report.excuse_reason
        if reason is not None:
            return Seen(report, None, EXCUSED, reason)
    if not report.order_id or is_near(report, post):
        if report.state == State.EXCUSED or report.is_row_excused:
            return Seen(report, _live(report), EXCUSED, report.excuse_reason)
        mark = CORRECTING if report.order_id else MARKS[State(report.state)]
        return Seen(report, _live(report), mark)
    version, decision = handed_up.get(report.pk, (None, None))
    row = version and versions.read(version)["row"]
    if not row:
        return Seen(report, None, CORRECTING)
    decision = decision or dict.fromkeys(DECISION_NAMES)
    return Seen(report, {name: {**row, **decision}.get(name) for name in NAMES}, CORRECTING)


def _live(report: Report) -> dict[str, Any]:
    return {name: getattr(report.entry, name) for name in NAMES}


def _excused_above(reports: list[Report], own: str) -> dict[str, str]:
    """Paths and reasons of 免报 at or above these reports, below the own unit."""
    paths = {p for report in reports for p in line_of(report.path) if len(p) > len(own)}
    excused = Report.objects.of(reports[0].cycle_id).filter(path__in=paths, state=State.EXCUSED)
    return dict(excused.values_list("path", "excuse_reason"))


def version_seen(report: Report, post) -> ReportVersion | None:
    """The version of a report that the post was handed: of its own and a direct subordinate's the
    newest, deeper the one that the direct subordinate's newest version holds."""
    if is_near(report, post):
        return report.versions.filter(number=report.number).first()
    own = Report.objects.own(post).of(report.cycle_id).values_list("path", flat=True).first()
    return _handed_up([report], own).get(report.pk, (None, None))[0]


def numbers_seen(reports: Iterable[Report], post) -> dict[int, int]:
    """By visible report of one cycle the number of the newest version that the post was handed;
    without those that have none, or that are 免报 to it. `reports` come with `parent`."""
    reports = [report for report in reports if report.number]
    if not reports or post is None:
        return {}
    near = {report.pk: report.number for report in reports if is_near(report, post)}
    far = [report for report in reports if report.pk not in near]
    if not far:
        return near
    own = Report.objects.own(post).of(reports[0].cycle_id).values_list("path", flat=True).first()
    excused = _excused_above(far, own)
    far = [report for report in far if excused.keys().isdisjoint(line_of(report.path))]
    settled = {report.pk: report.number for report in far if not report.order_id}
    corrected = _handed_up([report for report in far if report.order_id], own)
    return near | settled | {pk: version.number for pk, (version, _) in corrected.items()}


def _handed_up(reports: list[Report], own: str) -> dict[int, tuple[ReportVersion, dict | None]]:
    """By report below the unit at `own`: the version reached from the direct subordinate's newest
    one by the digests in it, and the superior's decision on it. A query a level."""
    if not reports:
        return {}
    paths = {p for report in reports for p in line_of(report.path) if len(p) > len(own)}
    chain = {
        path: (pk, code)
        for path, pk, code in Report.objects.of(reports[0].cycle_id)
        .filter(path__in=paths)
        .values_list("path", "pk", "code")
    }
    first = len(own) + STEP
    newest = ReportVersion.objects.filter(
        report__in=[pk for path, (pk, _) in chain.items() if len(path) == first],
        number=F("report__number"),
    )
    reached = {version.report_id: (version, None) for version in newest}
    for length in range(first + STEP, max(map(len, paths)) + 1, STEP):
        level = {path: place for path, place in chain.items() if len(path) == length}
        codes = {code for _, code in level.values()}
        wanted = {}  # digest → decision, of this level
        for above in {path[:-STEP] for path in level}:
            version, _ = reached.get(chain[above][0], (None, None))
            for said in versions.read(version)["subordinates"] if version else ():
                if said["code"] in codes and said["digest"]:
                    wanted[said["digest"]] = said["decision"]
        found = ReportVersion.objects.filter(
            digest__in=wanted, report__in=[pk for pk, _ in level.values()]
        )
        reached |= {version.report_id: (version, wanted[version.digest]) for version in found}
    return reached


def figures_of(report: Report, post) -> Summary | None:
    """The figures of a visible report that the post may see; None where nothing was handed up.

    The own unit sees what is accepted so far (审核中); a superior sees what was reported, even if
    it was given back since, and nothing else. Under 免报 there are no figures.
    """
    if post is None:
        return None
    if report.organization_id == post.organization_id:
        return summarize(report)
    if report.state == State.EXCUSED:
        return None
    if is_near(report, post):
        return summarize(report, Basis.REPORTED) if report.number else None
    own = Report.objects.own(post).of(report.cycle_id).values_list("path", flat=True).first()
    if not report.is_standing or _excused_above([report], own):
        return None
    if not report.order_id:
        return summarize(report)
    version = version_seen(report, post) if report.has_subordinates else None
    return version and summarize(report, Basis.REPORTED, version=version)
