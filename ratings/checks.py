"""Checks of a ledger row, run alike by page, import and command.

错误 stops a submit; 须说明 lets it through with a written explanation that the reviewer sees;
提示 is for whoever fills in the form.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.utils import timezone

from .choices import Grade, Severity, Venue
from .columns import COUNTS, FIELDS, REPORTED, SUPPORT
from .parsers import counts_in

VACANT_MONTHS = 3
JUMP = 0.5  # share by which the number of members may differ from the last cycle
RESIDENT = frozenset({"village", "community"})  # categories to which a 第一书记 is sent


# Which checks may ask for an explanation, and the field each is about.
EXPLAINED = {
    "jump": "member_count",
    "vacant": "secretary_vacant_since",
    "namesake": "secretary_name",
    "far": "deadline_text",
    "venue_status": "venue_status",
    "venue_due": "venue_due_on",
}


@dataclass(frozen=True)
class Finding:
    severity: Severity
    code: str  # which check; the key of an explanation
    field: str
    message: str

    @property
    def label(self) -> str:
        return FIELDS[self.field].label


@dataclass(frozen=True)
class Context:
    """What the checks of one row need to know beyond it."""

    year: int
    category_code: str = ""
    previous: Mapping[str, Any] | None = None  # the row of the last cycle
    namesakes: Collection[str] = field(default_factory=frozenset)  # secretaries of sibling rows


def check_row(row: Mapping[str, Any], context: Context) -> list[Finding]:
    """Every finding of one row, in the order of the form; `row` maps identifiers to values."""
    found = [
        *_blank(row, context),
        *_counts(row, context),
        *_secretary(row, context),
        *_venue(row),
        *_plan(row, context),
    ]
    order = list(FIELDS)
    return sorted(found, key=lambda finding: order.index(finding.field))


def open_explanations(findings, explanations: Mapping[str, str]) -> list[Finding]:
    """Findings that must be explained and are not yet."""
    return [
        finding
        for finding in findings
        if finding.severity == Severity.EXPLAIN and not explanations.get(finding.code, "").strip()
    ]


def _error(code, name, message):
    return Finding(Severity.ERROR, code, name, message)


def _blank(row, context):
    is_resident = context.category_code in RESIDENT
    for spec in REPORTED:
        if not spec.is_required or row.get(spec.name) not in (None, ""):
            continue
        if spec is SUPPORT and context.category_code and not is_resident:
            yield Finding(Severity.HINT, "support_unit", spec.name, "没有帮扶单位的可以留空")
        else:
            yield _error("blank", spec.name, f"{spec.label}未填写")
    if not row.get("first_secretary_name") and is_resident:
        yield Finding(
            Severity.HINT, "first_secretary", "first_secretary_name", "没有派驻第一书记的可以留空"
        )


def _counts(row, context):
    total = row.get("member_count")
    stated = counts_in(row.get("basic_info") or "")
    for spec in COUNTS:
        value = row.get(spec.name)
        if value is not None and spec.name in stated and stated[spec.name] != value:
            yield _error(
                "sentence",
                spec.name,
                f"{spec.label}为{value}人，基本情况中写的是{stated[spec.name]}人，请改为一致",
            )
        if value is not None and total is not None and value > total:
            yield _error("part", spec.name, f"{spec.label}{value}人，多于党员总数{total}人，请核对")
    before = (context.previous or {}).get("member_count")
    if before and total is not None and abs(total - before) > before * JUMP:
        yield Finding(
            Severity.EXPLAIN,
            "jump",
            "member_count",
            f"党员总数由上次的{before}人变为{total}人，相差超过一半，请说明原因",
        )


def _secretary(row, context):
    name, since = row.get("secretary_name"), row.get("secretary_vacant_since")
    if not name and not since:
        yield _error(
            "secretary", "secretary_name", "请填写书记姓名；书记空缺的，请填写空缺起始日期"
        )
    elif name and since:
        yield _error("secretary", "secretary_vacant_since", "已填写书记姓名，请清除空缺起始日期")
    elif since:
        today = timezone.localdate()
        if since > today:
            yield _error("vacant", "secretary_vacant_since", "空缺起始日期不能晚于今天")
        elif _months_between(since, today) >= VACANT_MONTHS:
            yield Finding(
                Severity.EXPLAIN,
                "vacant",
                "secretary_vacant_since",
                f"书记空缺已超过{VACANT_MONTHS}个月，请说明原因和补选安排",
            )
    if name and name in context.namesakes:
        yield namesake(name)


def namesake(name: str) -> Finding:
    """Several rows under one superior name this secretary."""
    return Finding(
        Severity.EXPLAIN,
        "namesake",
        "secretary_name",
        f"同一上级下另有党组织的书记也是“{name}”，请说明是兼任还是同名",
    )


def _months_between(start: date, end: date) -> int:
    """Whole months from one day to another."""
    return (end.year - start.year) * 12 + end.month - start.month - (end.day < start.day)


def _venue(row):
    status, due = row.get("venue_status"), row.get("venue_due_on")
    if row.get("venue_text") and not status:
        yield Finding(
            Severity.EXPLAIN,
            "venue_status",
            "venue_status",
            "看不出是已建、在建还是无，请选择场所状态或说明",
        )
    if status == Venue.BUILDING and not due:
        yield Finding(
            Severity.EXPLAIN,
            "venue_due",
            "venue_due_on",
            "在建的请填写完工年月，如“2012年8月完工”；定不下来的请说明",
        )
    if due and status in (Venue.BUILT, Venue.NONE):
        yield _error("venue_due", "venue_due_on", "只有在建的填写完工日期，请核对场所状态")


def _plan(row, context):
    text, due = row.get("deadline_text"), row.get("due_on")
    if text and not due:
        yield _error(
            "undated", "deadline_text", f"“{text}”看不出日期，请写明年月，如“{context.year}年底”"
        )
    elif due and due.year < context.year:
        yield _error("deadline", "deadline_text", f"整改时限早于{context.year}年度，请核对")
    elif due and due.year > context.year + 2:
        yield Finding(Severity.EXPLAIN, "far", "deadline_text", "整改时限超过两年，请说明原因")
    declared, target = row.get("declared_grade"), row.get("proposed_target")
    if declared and target and not Grade(declared).may_target(Grade(target)):
        yield Finding(
            Severity.HINT,
            "target",
            "proposed_target",
            f"申报“{Grade(declared).label}”，目标一般为“{Grade(declared).next.label}”；"
            "最终目标由上级按审核等次确定",
        )


def check_decision(reviewed: Grade, target: Grade | None) -> str:
    """Why a target does not fit the reviewed grade (rule 2), or "" where it does."""
    if target is None or reviewed.may_target(target):
        return ""
    if reviewed == Grade.GOOD:
        return "审核等次为“好”的，目标应为“好”（巩固提高）"
    return (
        f"审核等次为“{reviewed.label}”的，目标应高于“{reviewed.label}”，如“{reviewed.next.label}”"
    )
