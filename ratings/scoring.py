"""评分: what a score proposes and why, who enters which part of it, and its sheet.

People decide. A score proposes a grade in words and numbers that can be followed by hand; it never
writes one, is no part of what is reported, and puts nobody before another: lists keep the order of
the organizations (rules 12 and 14).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Count

from ledger_site.base import sheets, trail
from ledger_site.base.sheets import Book, Column, Row
from ledger_site.base.workflow import TransitionRefused

from . import services, sight, workflow
from .choices import CycleState, Grade, Opinion, ScorePart, State
from .exports import unit_of
from .models import Cycle, Report, Score, ScoreSheet
from .querysets import EXCUSED
from .summary import share

# What is proposed to who switches scoring on; from then on it is data of the cycle.
INDICATORS = (
    ("党组织带头人", 15),
    ("工作思路", 10),
    ("工作制度", 15),
    ("活动阵地", 10),
    ("保障机制", 10),
    ("工作业绩", 20),
    ("群众评价", 20),
)
WHOLE = 100  # points of all indicators, and percent of all weights
STALE = "内容已变更，请核对现在的内容后再保存"
ENTERED = {  # what each part holds beside points
    ScorePart.OWN: ("asked_count", "satisfied_count"),
    ScorePart.SUPERIOR: ("red_lines",),
}


def sheet_of(cycle: Cycle) -> ScoreSheet | None:
    """The score sheet in use in a cycle; None where nothing is scored."""
    sheet = getattr(cycle, "score_sheet", None)
    return sheet if sheet and sheet.is_used else None


def opinions_of(part: ScorePart, sheet: ScoreSheet) -> list[Opinion]:
    """The opinions that are entered with a part, of those that count."""
    is_superior = part == ScorePart.SUPERIOR
    return [one for one in sheet.opinions if (one is Opinion.SUPERIOR) == is_superior]


# ---------------------------------------------------------------- what a score proposes


@dataclass
class Proposal:
    """What a score comes to. `grade` and `value` are None while something is missing."""

    totals: dict[Opinion, Decimal | None]
    value: Decimal | None = None
    grade: Grade | None = None
    steps: list[str] = field(default_factory=list)  # how it came about, in words
    missing: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


def number(value: Decimal) -> str:
    """Points as they are, without noughts behind; nothing is rounded before it is compared, nor
    before it is shown, so that no 90 is printed that is not one."""
    return f"{value.normalize():f}"


def given(sheet: ScoreSheet, score: Score | None, opinion: Opinion) -> list[Decimal | None]:
    """The points of an opinion in the order of the indicators; None where there are none yet."""
    tenths = score.points.get(opinion, ()) if score else ()
    return [
        Decimal(tenths[i]) / 10 if i < len(tenths) and tenths[i] is not None else None
        for i in range(len(sheet.indicators))
    ]


def propose(sheet: ScoreSheet, score: Score | None) -> Proposal:
    """The grade that a score proposes, exactly, and how it came about step by step.

    Thresholds are half-open: from its lowest points on a grade is reached, below them it is not.
    A red line lowers the proposal, never raises it. Satisfaction below its floor is a hint.
    """
    totals, missing = {}, []
    for opinion in sheet.opinions:
        points = given(sheet, score, opinion)
        totals[opinion] = None if None in points else sum(points)
        lacking = [
            name for (name, _), value in zip(sheet.indicators, points, strict=True) if value is None
        ]
        if len(lacking) == len(points):
            missing.append(opinion.label)
        elif lacking:
            missing.append(f"{opinion.label}的{'、'.join(lacking)}")
    found = Proposal(totals, missing=missing)
    if missing:
        known = [
            f"{one.label}{number(total)}分" for one, total in totals.items() if total is not None
        ]
        found.steps += [f"已有{'、'.join(known)}"] if known else []
    else:
        found.value = sum(totals[one] * sheet.weight_of(one) for one in totals) / WHOLE
        parts = [f"{one.label}{number(totals[one])}×{sheet.weight_of(one)}%" for one in totals]
        found.steps.append(f"加权得分：{'＋'.join(parts)}＝{number(found.value)}分")
        found.grade = _graded(sheet, found)
    _cap(sheet, score, found)
    _satisfy(sheet, score, found)
    return found


def _graded(sheet: ScoreSheet, found: Proposal) -> Grade:
    above = ""
    for grade, lowest in sheet.thresholds:
        if found.value >= lowest:
            found.steps.append(f"达到{number(lowest)}分{above}，对应“{grade.label}”")
            return grade
        above = f"、不足{number(lowest)}分"
    found.steps.append(f"{above[1:]}，对应“{Grade.POOR.label}”")
    return Grade.POOR


def _cap(sheet, score, found) -> None:
    for place in sorted(map(int, score.red_lines)) if score else ():
        text, cap = sheet.red_lines[place]
        cap, reason = Grade(cap), score.red_lines[str(place)]
        said = f"有红线情形“{text}”（{reason}），最高为“{cap.label}”"
        if found.grade and found.grade.rank > cap.rank:
            said += f"，由“{found.grade.label}”降为“{cap.label}”"
            found.grade = cap
        found.steps.append(said)


def _satisfy(sheet, score, found) -> None:
    floor = sheet.satisfaction_floor
    if floor is None:
        return
    if score is None or score.asked_count is None:
        found.hints.append("群众满意度还没有填写")
        return
    asked, satisfied = score.asked_count, score.satisfied_count
    rate = f"群众满意度：征求{asked}人，满意{satisfied}人，占{share(satisfied, asked)}%"
    if satisfied * WHOLE < floor * asked:
        found.hints.append(f"{rate}，低于下限{floor}%，请核实后再定等次")
    else:
        found.steps.append(f"{rate}，不低于下限{floor}%")


# ---------------------------------------------------------------- who sees and enters it


@dataclass
class Seen:
    """The score of a row as its unit or the direct superior sees it."""

    sheet: ScoreSheet
    score: Score | None
    proposal: Proposal
    rows: list[dict]  # of the table: indicator, most points, points by opinion as text
    hidden: Opinion | None = None  # what the unit is not shown before it is decided


def token_of(sheet: ScoreSheet, score: Score | None) -> int:
    """The token of a page with the score. The sheet's can't change once there is a score, so that
    the sum grows with every write."""
    return sheet.token + (score.token if score else 0)


def seen(report: Report, post) -> Seen | None:
    """The score for who looks at a row near by; None where the cycle has no score sheet, the row
    does not count, or the post is neither its unit's nor the direct superior's.

    What the superior gives is its own affair until it has decided.
    """
    sheet = sheet_of(report.cycle)
    if sheet is None or not report.counts_row or not sight.is_near(report, post):
        return None
    score, hidden = getattr(report.entry, "score", None), None
    superior = report.parent.organization_id if report.parent_id else report.organization_id
    if superior != post.organization_id and report.state != State.ACCEPTED:
        hidden = Opinion.SUPERIOR if sheet.superior_weight else None
        score = score and Score(
            entry=report.entry,
            points={k: v for k, v in score.points.items() if k != Opinion.SUPERIOR},
            asked_count=score.asked_count,
            satisfied_count=score.satisfied_count,
            token=score.token,
        )
    proposal = propose(sheet, score)
    if hidden:  # it may well be there
        proposal.missing = [text for text in proposal.missing if text != hidden.label]
    points = {opinion: given(sheet, score, opinion) for opinion in sheet.opinions}
    rows = [
        {
            "name": name,
            "most": most,
            "points": [
                "" if points[one][i] is None else number(points[one][i]) for one in sheet.opinions
            ],
        }
        for i, (name, most) in enumerate(sheet.indicators)
    ]
    return Seen(sheet, score, proposal, rows, hidden)


def check(part: ScorePart, report: Report, by) -> None:
    """Raise `TransitionRefused` where this post may not enter this part of the score now.

    The own part follows the rights of the row, but no correction reaches it; the superior's is
    entered while it decides.
    """
    sheet = sheet_of(report.cycle)
    if sheet is None:
        raise TransitionRefused("本批次没有启用评分表")
    others = sheet.red_lines if part == ScorePart.SUPERIOR else sheet.satisfaction_floor is not None
    if not (opinions_of(part, sheet) or others):
        raise TransitionRefused(f"评分表没有要填写的{part.label}")
    if part == ScorePart.SUPERIOR:
        if not report.counts_row:
            raise TransitionRefused("该党组织没有台账行，不需要评分")
        if report.state != State.SUBMITTED:
            raise TransitionRefused(
                f"当前状态为“{report.get_state_display()}”，上级评分在上报以后、审核以前填写"
            )
        workflow.check("accept", report, by)
    else:
        services.check_edit(report, by)
        if report.order_id:
            raise TransitionRefused(f"更正通知（{report.order}）只开放列出的栏目，不含评分")
    workflow.check_not_under_excused(report)


def part_open_to(report: Report, by) -> ScorePart | None:
    """The part of the score that this post may enter now: never more than one."""
    for part in ScorePart:
        try:
            check(part, report, by)
        except TransitionRefused:
            continue
        return part
    return None


# ---------------------------------------------------------------- writes


@trail.service("评分")
def save(report: Report, part: ScorePart, values: Mapping[str, Any], *, by, token: int) -> None:
    """Enter a part of a row's score; the same again changes nothing.

    `values` are `points` by opinion, and what `ENTERED` names. Raises `TransitionRefused`.
    """
    report = workflow.locked([report.pk])[report.pk]
    check(part, report, by)
    sheet = report.cycle.score_sheet
    if not sheet.is_scored:  # from the first score on its sheet stays as it is
        sheet = ScoreSheet.objects.select_for_update(no_key=True).get(pk=sheet.pk)
        report.cycle.score_sheet = sheet
        check(part, report, by)
    score = Score.objects.filter(entry=report.pk).first() or Score(entry=report.entry)
    old = {one: score.points.get(one) for one in opinions_of(part, sheet)}
    old |= {name: getattr(score, name) for name in ENTERED[part]}
    new = {**values["points"], **{name: values[name] for name in ENTERED[part]}}
    changed = [name for name in old if _entered(old[name]) != _entered(new[name])]
    if not changed:
        return
    if token != token_of(sheet, score):
        raise TransitionRefused(STALE)
    score.points = {**score.points, **values["points"]}
    for name in ENTERED[part]:
        setattr(score, name, values[name])
    score.token += 1
    score.save()
    if not sheet.is_scored:
        ScoreSheet.objects.filter(pk=sheet.pk).update(is_scored=True)
    mark = workflow.mark_of("submit", report, by) if part == ScorePart.OWN else ""
    changes = {name: [_said(old[name]), _said(new[name])] for name in changed}
    trail.record("score", "评分", [workflow.act_of(report, mark=mark, changes=changes)], by=by)


def _entered(value):
    """A value of a score to compare; points of which none is given are none."""
    is_blank = value == {} or (isinstance(value, list) and set(value) == {None})
    return None if is_blank else value


def _said(value):
    """A value of a score for the trail: points as people write them."""
    if not isinstance(value, list):
        return value
    return [None if one is None else number(Decimal(one) / 10) for one in value]


def why_not_set(cycle: Cycle, sheet: ScoreSheet | None) -> str:
    """Why the sheet of a cycle can't be changed now; "" where it can."""
    if cycle.state == CycleState.CLOSED:
        return f"“{cycle}”{cycle.get_state_display()}，不能设定评分表"
    if sheet and sheet.is_scored:
        return "已经有单位填写评分，评分表不能再改"
    return ""


@trail.service("设定评分表")
def set_sheet(cycle: Cycle, values: Mapping[str, Any], *, by, token: int) -> ScoreSheet:
    """Set how the rows of a cycle are scored, and use it; the same again changes nothing."""
    cycle, sheet = _locked_sheet(cycle, by)
    sheet = sheet or ScoreSheet(cycle=cycle, token=0)
    is_running = sheet.token and sheet.is_used
    if is_running and all(getattr(sheet, name) == value for name, value in values.items()):
        return sheet
    if token != sheet.token:
        raise TransitionRefused(STALE)
    for name, value in values.items():
        setattr(sheet, name, value)
    sheet.is_used, sheet.token = True, sheet.token + 1
    sheet.save()
    said = {k: str(v) if isinstance(v, Decimal) else v for k, v in values.items()}
    act = trail.Act("cycle", cycle.pk, cycle.label, cycle.title, data=said)
    trail.record("set_score_sheet", "设定评分表", [act], by=by)
    return sheet


@trail.service("停用评分表")
def stop_sheet(cycle: Cycle, *, by, token: int) -> None:
    """Score nothing in a cycle; what was set is kept, to be used again."""
    cycle, sheet = _locked_sheet(cycle, by)
    if sheet is None or not sheet.is_used:
        return
    if token != sheet.token:
        raise TransitionRefused(STALE)
    sheet.is_used, sheet.token = False, sheet.token + 1
    sheet.save()
    act = trail.Act("cycle", cycle.pk, cycle.label, cycle.title)
    trail.record("stop_score_sheet", "停用评分表", [act], by=by)


def _locked_sheet(cycle: Cycle, by) -> tuple[Cycle, ScoreSheet | None]:
    if not by.manages_cycles:
        raise TransitionRefused("只有最高一级的管理人员可以设定评分表")
    cycle = Cycle.objects.select_for_update().get(pk=cycle.pk)
    sheet = ScoreSheet.objects.select_for_update().filter(cycle=cycle).first()
    if refusal := why_not_set(cycle, sheet):
        raise TransitionRefused(refusal)
    return cycle, sheet


# ---------------------------------------------------------------- of a level's subordinates


def _rows_below(report: Report):
    return Report.objects.filter(parent=report, is_rated=True).exclude(EXCUSED)


def quota_warnings(report: Report) -> list[str]:
    """Grades given to more of a unit's direct subordinates than their quota: a warning, no more.

    Of all that are to be rated, so that the first ones accepted are not too many already.
    """
    sheet = sheet_of(report.cycle)
    if sheet is None or not sheet.quotas or not report.has_subordinates:
        return []
    counted = _rows_below(report).order_by().values_list("entry__reviewed_grade")
    found = dict(counted.annotate(n=Count("pk")))
    whole = sum(found.values())
    return [
        f"直接下级应定级{whole}个，审核为“{grade.label}”的{found[grade]}个，"
        f"占{share(found[grade], whole)}%，超过比例上限{sheet.quotas[grade]}%"
        for grade in Grade
        if grade in sheet.quotas and found.get(grade, 0) * WHOLE > sheet.quotas[grade] * whole
    ]


def sheet_name(report: Report) -> str:
    return sheets.file_name(unit_of(report), f"直接下级评分情况（{report.cycle.title}）.xlsx")


def write(report: Report, stream, *, by) -> int:
    """Write the scores of a unit's direct subordinates in the order of the organizations; returns
    how many rows."""
    sheet = sheet_of(report.cycle)
    columns = (
        Column(("序号",), 7),
        Column(("党组织名称",), 44, is_left=True),
        *(Column((f"{one.label}（{sheet.weight_of(one)}%）",), 13) for one in sheet.opinions),
        Column(("加权得分",), 11),
        Column(("建议等次",), 11),
        Column(("申报等次",), 11),
        Column(("审核等次",), 11),
        Column(("说明",), 80, is_left=True),
    )
    title = f"{unit_of(report)}{report.cycle.title}直接下级评分情况"
    foot = ("评分和建议等次只作参考，等次由上级党组织审核确定。",)
    form = sheets.Form("评分情况", title, columns, foot)
    with Book(stream, title, by.unit_name) as book:
        return book.add(form, _sheet_rows(report, sheet)).row_count


def _sheet_rows(report: Report, sheet: ScoreSheet) -> Iterator[Row]:
    rows = _rows_below(report).select_related("entry__score").order_by("path")
    for place, one in enumerate(rows.iterator(2000), 1):
        found = propose(sheet, getattr(one.entry, "score", None))
        lacking = [f"缺{'、'.join(found.missing)}"] if found.missing else []
        grades = (found.grade, one.entry.declared_grade, one.entry.reviewed_grade)
        yield Row(
            [
                place,
                one.name,
                *found.totals.values(),
                found.value,
                *(Grade(grade).label if grade else None for grade in grades),
                "；".join([*lacking, *found.steps, *found.hints]),
            ]
        )
