"""Measures of a plan, laid down from the reported text, which stays as it was typed."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from django.db.models import Count

from ledger_site.base import trail
from ledger_site.base.workflow import TransitionRefused
from ratings import parsers
from ratings.models import LedgerEntry, Report
from ratings.workflow import Actor, act_of

from .models import HelpingUnit, Measure

MOST = 50  # measures of a plan
MANY = 2  # other rows with the same words, from which it is said


@dataclass(frozen=True)
class Draft:
    """A measure before it is laid down."""

    text: str
    topic: str = ""
    deadline_text: str = ""
    due_on: date | None = None
    owner: str = ""
    contact_leader: str = ""
    helpers: tuple[str, ...] = ()


# ---------------------------------------------------------------- laying down

_NUMBER = re.compile(
    r"(?:^|\n)\s*(?:[(（]?\d{1,2}[)）]|\d{1,2}[、.．]|[一二三四五六七八九十]{1,3}、|[①-⑳])\s*"
)
# A day that a measure names for itself: 8月底前, 2012年9月中旬前, 8月完工.
_OWN_DAY = re.compile(
    r"(?:20\d\d年)?\d{1,2}月(?:\d{1,2}[日号]|[上中下]旬|底|末)?(?:[之以]?前|完成|完工|建成|竣工)"
)
_BETWEEN = re.compile(r"[、，,；;\n]+")


def split(text: str) -> list[str]:
    """The measures of a numbered text, without their numbers; a text without any is one."""
    pieces = [piece.strip().rstrip("；;") for piece in _NUMBER.split(text or "")]
    return [piece for piece in pieces if piece]


def proposed(report: Report) -> list[Draft]:
    """What the reported row proposes: nothing is stored, and the typed text stays as it is.

    A measure that names a day has that one, the others that of the row.
    """
    entry = report.entry
    helpers = tuple(name.strip() for name in _BETWEEN.split(entry.support_unit or "") if name)
    of_row = {"deadline_text": entry.deadline_text or "", "due_on": entry.due_on}
    return [
        Draft(
            text=text,
            **_day_in(text, report.cycle.year) or of_row,
            owner=entry.responsible_name or "",
            contact_leader=entry.contact_leader or "",
            helpers=helpers,
        )
        for text in split(entry.measures)[:MOST]
    ]


def _day_in(text: str, year: int) -> dict | None:
    """Wording and day that the text of a measure names; None where it names none that is sure."""
    found = _OWN_DAY.search(text)
    day = found and _read_day(found[0], year)
    return {"deadline_text": found[0], "due_on": day} if day else None


def _read_day(wording: str, year: int) -> date | None:
    try:
        return parsers.day_of(wording, year)
    except ValueError:
        return None


def hints_of(measures: Iterable[Draft | Measure]) -> list[str]:
    """What a measure lacks, as hints; nothing of it is an obstacle."""
    said = []
    for number, measure in enumerate(measures, 1):
        lacks = [
            what
            for what, is_there in (
                ("完成日期", measure.due_on),
                ("责任人", measure.owner),
                ("可以核对的数字", re.search(r"[\d一二三四五六七八九十百两]", measure.text)),
            )
            if not is_there
        ]
        if lacks:
            said.append(f"第{number}条没有{'、'.join(lacks)}")
    return said


def shared(report: Report, texts: Iterable[str]) -> dict[str, int]:
    """By text: how many other rows of the same superior have a measure of these very words, where
    they are many. A hint, asked for among the siblings only."""
    if report.parent_id is None:  # would match the roots of other cycles
        return {}
    same = Measure.objects.filter(report__parent=report.parent_id, text__in=set(texts))
    same = same.exclude(report=report).order_by().values_list("text")
    counts = same.annotate(n=Count("report", distinct=True))
    return {text: n for text, n in counts if n >= MANY}


def alike(report: Report) -> int:
    """How many other rows of the same superior report the very same text of measures; 0 if few."""
    rows = LedgerEntry.objects.filter(report__parent=report.parent_id).exclude(report=report)
    text = report.entry.measures
    found = rows.filter(measures=text).count() if text and report.parent_id else 0
    return found if found >= MANY else 0


def why_not_lay_down(report: Report, by) -> str:
    """Why this post may not lay down the measures of a row; "" where it may."""
    if not report.is_rated or report.is_row_excused or report.state == "excused":
        return "没有台账行，不用分解措施"
    if not Actor.FILLER.is_played_by(by, report):
        return f"只有{Actor.FILLER.value}可以分解措施"
    return ""


@trail.service("分解措施")
def lay_down(report: Report, drafts: Sequence[Draft], *, by) -> list[Measure]:
    """Store the measures of a row; later ones are added behind them. The words that the row has
    already are not stored again: somebody pressed twice, or two did."""
    report = Report.objects.select_for_update(no_key=True).get(pk=report.pk)
    if refusal := why_not_lay_down(report, by):
        raise TransitionRefused(refusal)
    drafts = [draft for draft in drafts if draft.text.strip()]
    if not drafts:
        raise TransitionRefused("请至少写一条措施")
    known = set(Measure.objects.filter(report=report).values_list("text", flat=True))
    drafts = [draft for draft in drafts if draft.text.strip() not in known]
    if not drafts:
        raise TransitionRefused("这些措施已经有了，请刷新页面查看")
    last = Measure.objects.filter(report=report).order_by("-number").first()
    first = last.number + 1 if last else 1
    if first + len(drafts) - 1 > MOST:
        raise TransitionRefused(f"措施最多{MOST}条")
    made = Measure.objects.bulk_create(
        [
            Measure(
                report=report,
                number=number,
                text=draft.text.strip(),
                topic=draft.topic,
                deadline_text=draft.deadline_text,
                due_on=draft.due_on,
                owner=draft.owner,
                contact_leader=draft.contact_leader,
            )
            for number, draft in enumerate(drafts, first)
        ]
    )
    HelpingUnit.objects.bulk_create(
        HelpingUnit(measure=measure, name=name)
        for measure, draft in zip(made, drafts, strict=True)
        for name in dict.fromkeys(draft.helpers)
    )
    trail.record("lay_down", "分解措施", [act_of(report, measures=len(made))], by=by)
    return made


def draft_of(text: str, *, deadline_text: str, helpers: str, year: int, **values) -> Draft:
    """A measure as it is typed: the wording of its day is kept, and read where it is sure."""
    due_on = _read_day(deadline_text, year)
    names = tuple(name.strip() for name in _BETWEEN.split(helpers) if name.strip())
    return Draft(text, deadline_text=deadline_text, due_on=due_on, helpers=names, **values)
