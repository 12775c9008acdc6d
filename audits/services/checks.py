"""A check from its drawing to its findings; every look at a row is noted before it is shown."""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.db import retried, snapshot
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from ratings import sight, versions
from ratings.choices import Grade, State
from ratings.columns import DECISION_NAMES
from ratings.models import Report, ReportVersion
from ratings.querysets import STEP, from_path
from ratings.workflow import act_of
from rectification.choices import MeasureState
from rectification.models import Measure

from .. import drawing
from ..choices import Amount, CheckState, Method, Stratum, Verdict
from ..models import Finding, FindingFile, Look, SampleRow, SpotCheck
from ..querysets import BEGUN
from ..workflow import Actor, act_of_check, check_token, kept, locked_check

ITEMS = ("真实", "完整", "规范", "措施落实", "进展")
MOST_ITEMS, LONGEST_ITEM = 20, 40
MOST_SAMPLED = 500
NAMED_PROBLEMS = 10
UNKNOWN_STRATUM = "未审核"
NOT_HANDED_IN = "未报，没有可以调阅的内容"
_EXCLUSION = re.compile(r"(.+?)[：:\s]+(.+)")


@dataclass(frozen=True)
class Asked:
    """What a person asks of a new check; texts as they were typed, a line for each organization."""

    title: str
    purpose: str
    method: str
    stratum: str = Stratum.NONE
    amount: str = Amount.COUNT
    size: int = 0
    unit: str = ""
    category: str = ""
    declared: str = ""
    reviewed: str = ""
    is_overdue: bool = False
    named: str = ""
    excluded: str = ""
    reason: str = ""
    items: tuple[str, ...] = ITEMS


def check_is_checkers(report: Report, by) -> None:
    """Raise `TransitionRefused` unless the post reviews for the unit of a report."""
    if report.organization_id != by.organization_id or not by.has(Role.REVIEW):
        raise TransitionRefused(f"只有{Actor.CHECKER.value}可以办理")


# ---------------------------------------------------------------- drawing


@trail.service("抽取", is_atomic=False)
def create_check(own: Report, asked: Asked, *, by) -> SpotCheck:
    """Draw a sample and keep it with its frame and seed; nothing is opened before the start.

    The frame is read before the transaction, so that nobody waits for that. Raises
    `TransitionRefused` where what is asked can't be drawn.
    """
    check_is_checkers(own, by)
    if not asked.items:
        raise TransitionRefused("请填写检查内容")
    if asked.method == Method.HAND and not asked.reason.strip():
        raise TransitionRefused("逐个指定的，请写明理由")
    with snapshot():
        frame = _Frame(own, asked, by)
    return _store(own, asked, frame, by)


class _Frame:
    """The rows that may be drawn: `places` by code, (key of the report, path)."""

    def __init__(self, own: Report, asked: Asked, by):
        below = Report.objects.below(own)
        unit = ""
        rows = below.filter(is_rated=True).exclude(sight.out(own))
        visible = Report.objects.visible_in(own.cycle_id, by)
        if asked.unit.strip():
            ((_, unit, path),) = _named(below, [asked.unit.strip()]).values()
            rows = rows.filter(from_path(path))
        if asked.category:
            rows = rows.filter(category__sheet_row=asked.category)
        # What a row says counts only where the checking unit may see it already.
        settled = visible.filter(sight.settled(own))
        if asked.declared:
            rows = rows.filter(pk__in=settled.filter(entry__declared_grade=asked.declared))
        if asked.reviewed:
            rows = rows.filter(pk__in=settled.filter(entry__reviewed_grade=asked.reviewed))
        if asked.is_overdue:
            late = Measure.objects.filter(
                report=OuterRef("pk"), state=MeasureState.OPEN, due_on__lt=timezone.localdate()
            )
            rows = rows.filter(Exists(late), pk__in=visible)
        self.scope = list(_scope(asked, unit))
        self.excluded = _excluded(rows, asked.excluded)
        out = {code for code, _, _ in self.excluded}
        found = rows.order_by().values_list("code", "pk", "path", "category__sheet_row")
        stratum_of = _stratum_of(own, asked.stratum, settled)
        self.places, strata = {}, {}
        for code, pk, path, category in found.iterator(10_000):
            if code not in out:
                self.places[code] = (pk, path)
                strata[code] = stratum_of(code, path, category)
        self.text = drawing.frame_of(strata)
        named = _named(rows, _lines(asked.named)).values()
        self.hand = list(dict.fromkeys(code for code, _, _ in named))
        if lost := next((code for code in self.hand if code in out), None):
            raise TransitionRefused(f"“{lost}”既列入指定的，又列入不参加抽取的")

    def sample(self, asked: Asked, seed: str) -> list[tuple[str, str]]:
        """(code, stratum) of the rows of the sample."""
        if asked.method == Method.RANDOM:
            return drawing.draw(self.text, seed, asked.amount, asked.size)
        codes = self.hand if asked.method == Method.HAND else self.places
        return [(code, "") for code in codes]


def _scope(asked: Asked, unit: str) -> Iterable[list[str]]:
    for label, value in (
        ("单位", unit),
        ("领域", asked.category),
        ("申报等次", asked.declared and Grade(asked.declared).label),
        ("审核等次", asked.reviewed and Grade(asked.reviewed).label),
        ("整改措施", "有逾期未完成的" if asked.is_overdue else ""),
    ):
        if value:
            yield [label, value]


def _stratum_of(own: Report, stratum: str, settled):
    if stratum == Stratum.CATEGORY:
        return lambda code, path, category: category or "其他"
    if stratum == Stratum.UNIT:
        length = len(own.path) + STEP
        directs = Report.objects.filter(parent=own).values_list("path", "name", "code")
        names = {path: f"{name}（{code}）" for path, name, code in directs}
        return lambda code, path, category: names[path[:length]]
    if stratum == Stratum.REVIEWED:
        grades = settled.exclude(entry__reviewed_grade=None).order_by()
        grades = dict(grades.values_list("code", "entry__reviewed_grade").iterator(10_000))
        labels = dict(Grade.choices)
        return lambda code, path, category: labels.get(grades.get(code), UNKNOWN_STRATUM)
    return lambda code, path, category: ""


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _named(rows, texts: list[str]) -> dict[str, tuple[str, str, str]]:
    """By text: (code, name, path) of the row it names by code, name or short name.

    Raises `TransitionRefused` for what is not there or names several.
    """
    if not texts:
        return {}
    asked = Q(code__in=texts) | Q(name__in=texts) | Q(short_name__in=texts)
    candidates = list(rows.filter(asked).values_list("code", "name", "path", "short_name"))
    found, problems = {}, []
    for text in texts:
        hits = [one for one in candidates if one[0] == text]
        hits = hits or [one for one in candidates if text in (one[1], one[3])]
        if len(hits) == 1:
            found[text] = hits[0][:3]
        elif hits:
            problems.append(f"“{text}”有{len(hits)}个，请填写代码")
        else:
            problems.append(f"“{text}”不在抽查范围内")
    if problems:
        rest = f"等{len(problems)}处" if len(problems) > NAMED_PROBLEMS else ""
        raise TransitionRefused("；".join(problems[:NAMED_PROBLEMS]) + rest)
    return found


def _excluded(rows, text: str) -> list[tuple[str, str, str]]:
    """(code, name, reason) of what takes no part."""
    reasons = {}
    for line in _lines(text):
        parts = _EXCLUSION.fullmatch(line)
        if parts is None:
            raise TransitionRefused(f"“{line}”没有写明不参加抽取的原因")
        reasons[parts[1].strip()] = parts[2].strip()
    found = _named(rows, list(reasons))
    return [(code, name, reasons[named]) for named, (code, name, _) in found.items()]


@retried
@transaction.atomic
def _store(own: Report, asked: Asked, frame: _Frame, by) -> SpotCheck:
    seed = drawing.new_seed()
    sample = frame.sample(asked, seed)
    if not sample:
        raise TransitionRefused("范围内没有可以抽取的台账行，请放宽条件或增加数量")
    if len(sample) > MOST_SAMPLED:
        raise TransitionRefused(
            f"这样会抽出{len(sample)}个，一次最多{MOST_SAMPLED}个，请缩小范围或减少数量"
        )
    is_random = asked.method == Method.RANDOM
    check = SpotCheck.objects.create(
        report=own,
        title=asked.title,
        purpose=asked.purpose,
        items=list(asked.items),
        method=asked.method,
        stratum=asked.stratum if is_random else Stratum.NONE,
        amount=asked.amount,
        size=asked.size if is_random else len(sample),
        scope=frame.scope,
        reason=asked.reason.strip(),
        excluded=frame.excluded,
        seed=seed,
        frame=zlib.compress(frame.text.encode(), 9),
        frame_count=len(frame.places),
        frame_digest=drawing.digest_of(frame.text),
        person_name=by.person_name,
    )
    in_order = sorted((frame.places[code][1], code, stratum) for code, stratum in sample)
    SampleRow.objects.bulk_create(
        SampleRow(spot_check=check, report_id=frame.places[code][0], number=number, stratum=stratum)
        for number, (_, code, stratum) in enumerate(in_order, 1)
    )
    about = {
        "method": asked.method,
        "rows": len(sample),
        "frame": check.frame_digest,
        "seed": seed,
    }
    trail.record("draw", "抽取", [act_of_check(check, asked.reason.strip(), **about)], by=by)
    return check


@dataclass
class Redrawn:
    """A sample drawn again from what is stored; `is_same`: as it was, from a frame untouched."""

    codes: list[tuple[str, str]]
    is_frame_sound: bool
    is_same: bool


def redraw(check: SpotCheck) -> Redrawn:
    """Draw again from the stored frame and seed; only random samples can be."""
    frame = check.frame_text
    codes = drawing.draw(frame, check.seed, check.amount, check.size)
    stored = set(check.rows.values_list("report__code", "stratum"))
    return Redrawn(codes, drawing.digest_of(frame) == check.frame_digest, set(codes) == stored)


# ---------------------------------------------------------------- looking


@dataclass
class Opened:
    """A row as it was handed in last; `values` None where nothing was."""

    number: int = 0
    values: Mapping[str, Any] | None = None
    mark: str = NOT_HANDED_IN
    reviewed_grade: str = ""


def opened(report: Report) -> Opened:
    """The newest version of a row with the decision on it. What is being written since, nobody
    but its own unit and its superior sees: a check asks for no material that was not reported."""
    if report.state == State.EXCUSED or report.is_row_excused:
        return Opened(mark=f"免报：{report.excuse_reason}")
    version = ReportVersion.objects.filter(report=report, number=report.number).first()
    row = version and versions.read(version)["row"]
    if not row:
        return Opened()
    decision = dict.fromkeys(DECISION_NAMES)
    if report.accepted_version_id:
        decision = {name: getattr(report.entry, name) for name in DECISION_NAMES}
    mark = sight.CORRECTING if report.order_id else sight.MARKS[State(report.state)]
    grade = decision["reviewed_grade"] or ""
    return Opened(version.number, {**row, **decision}, mark, grade)


def why_not_look(check: SpotCheck, by) -> str:
    """Why a post may not open rows of a check now; "" where it may."""
    if check.report.organization_id != by.organization_id:
        return "只有抽查单位可以调阅"
    if not (by.has(Role.REVIEW) or by.has(Role.READ)):
        return "只有审核和查阅人员可以调阅"
    if not check.is_running:
        return f"抽查{check.get_state_display()}，不能调阅"
    return ""


@trail.service("调阅")
def look(row: SampleRow, *, by) -> Opened:
    """Open a row of a running check: noted with its purpose, then shown."""
    check = locked_check(row.spot_check)
    if refusal := why_not_look(check, by):
        raise TransitionRefused(refusal)
    found = opened(row.report)
    Look.objects.create(
        row=row,
        number=found.number,
        purpose=check.purpose,
        person=by.user,
        person_name=by.person_name,
        unit_name=by.unit_name,
    )
    about = {"check": check.pk, "title": check.title, "number": found.number}
    trail.record("look", "调阅", [act_of(row.report, check.purpose, **about)], by=by)
    return found


# ---------------------------------------------------------------- findings


def why_not_find(row: SampleRow, by) -> str:
    """Why a post may not write findings on a row; "" where it may."""
    check = row.spot_check
    if not Actor.CHECKER.is_played_by(by, check):
        return f"只有{Actor.CHECKER.value}可以记录检查结论"
    if not check.is_running:
        return f"抽查{check.get_state_display()}，不能记录检查结论"
    if by.is_held_at(row.report.organization_id):
        return f"您在“{row.report.name}”任职，不能检查本单位"
    return ""


@dataclass(frozen=True)
class Found:
    """What a checker says of a row: by item (verdict, text), and the grade it deserves."""

    verdicts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    opinion_grade: str = ""
    opinion: str = ""


@trail.service("记录检查结论")
def save_findings(row: SampleRow, found: Found, *, files=(), token: int, by) -> SampleRow:
    """Write what was found of a row; its report stays as it is."""
    check = locked_check(row.spot_check)  # closing it waits, and so does who writes the same row
    row = SampleRow.objects.select_related("report__cycle", "report__entry").get(pk=row.pk)
    row.spot_check = check
    if refusal := why_not_find(row, by):
        raise TransitionRefused(refusal)
    check_token(row, token)
    before = {one.item: one for one in row.findings.all()}
    written = _verdicts(check, found, before)
    if not (written or before or found.opinion_grade):
        raise TransitionRefused("请至少对一项作出结论，或者填写抽查意见定级类别")
    grade = opened(row.report).reviewed_grade
    opinion = found.opinion.strip()
    if found.opinion_grade and grade and found.opinion_grade != grade and not opinion:
        raise TransitionRefused("抽查意见与审核等次不同，请写明理由")
    stored = kept(files, by)
    old = {one.item: one.said for one in before.values()}
    for one in written:
        one.row = row
    Finding.objects.bulk_create(
        written,
        update_conflicts=True,
        unique_fields=["row", "item"],
        update_fields=["verdict", "text"],
    )
    SampleRow.objects.filter(pk=row.pk).update(
        reviewed_grade=grade,
        opinion_grade=found.opinion_grade,
        opinion=opinion,
        found_at=timezone.now(),
        found_by=by.person_name,
        token=F("token") + 1,
    )
    FindingFile.objects.bulk_create(FindingFile(row=row, **one) for one in stored)
    changes = {
        one.item: [old.get(one.item), one.said] for one in written if old.get(one.item) != one.said
    }
    if row.opinion_grade != found.opinion_grade:
        changes["opinion_grade"] = [row.opinion_grade, found.opinion_grade]
    about = {"check": check.pk, "changes": changes, "files": [one["digest"] for one in stored]}
    trail.record("find", "记录检查结论", [act_of(row.report, opinion, **about)], by=by)
    row.refresh_from_db()
    return row


def _verdicts(check: SpotCheck, found: Found, before: Mapping[str, Finding]) -> list[Finding]:
    written = []
    for item in check.items:
        verdict, text = found.verdicts.get(item, ("", ""))
        text = text.strip()
        if not verdict:
            if item in before:
                raise TransitionRefused(f"“{item}”已有结论，可以更改，不能清空")
            if text:
                raise TransitionRefused(f"“{item}”写了发现情况，请同时选择结论")
            continue
        if verdict not in Verdict.values:
            raise TransitionRefused(f"“{item}”的结论应为{'、'.join(Verdict.labels)}之一")
        if verdict != Verdict.GOOD and not text:
            raise TransitionRefused(f"“{item}”{Verdict(verdict).label}，请写明发现的情况")
        written.append(Finding(item=item, verdict=verdict, text=text))
    return written


def items_of(text: str) -> tuple[str, ...]:
    """The check items of a form, a line for each; raises `TransitionRefused`."""
    items = tuple(_lines(text))
    if not items:
        raise TransitionRefused("请填写检查内容，每行一项")
    if len(items) > MOST_ITEMS or any(len(item) > LONGEST_ITEM for item in items):
        raise TransitionRefused(f"检查内容最多{MOST_ITEMS}项，每项不超过{LONGEST_ITEM}字")
    return items


@trail.service("更改检查内容")
def set_items(check: SpotCheck, items: tuple[str, ...], *, token: int, by) -> None:
    """Change the list of what is looked at, as long as nothing was found by it."""
    check = locked_check(check)
    check_is_checkers(check.report, by)
    check_token(check, token)
    if check.state not in (CheckState.DRAFTED, CheckState.RUNNING):
        raise TransitionRefused(f"抽查{check.get_state_display()}，不能更改检查内容")
    if Finding.objects.filter(row__spot_check=check).exists():
        raise TransitionRefused("已经记录了检查结论，不能再更改检查内容")
    SpotCheck.objects.filter(pk=check.pk).update(items=list(items), token=F("token") + 1)
    about = {"items": [check.items, list(items)]}
    trail.record("set_items", "更改检查内容", [act_of_check(check, **about)], by=by)


def check_has_begun(check: SpotCheck) -> None:
    if check.state not in BEGUN:
        raise TransitionRefused(f"抽查{check.get_state_display()}，不能办理")


def looks_count(rows: Iterable[SampleRow]) -> Counter:
    """By row how often it was opened; one query."""
    return Counter(Look.objects.filter(row__in=rows).values_list("row", flat=True))
