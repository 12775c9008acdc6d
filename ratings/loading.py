"""Old ledgers in: a table of rows, checked as the page checks them, written through the services.

Reads what `ledger_site.base.reading` can read. Everything is looked at first; one wrong row and
nothing is written, and every error of the file is told at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q

from ledger_site.base.db import retried
from ledger_site.base.reading import Row, Sheet, Unreadable, read
from orgs.posts import system_post

from . import workflow
from .checks import check_decision, check_row
from .choices import OPEN_STATES, Grade, Severity, State
from .columns import COLUMNS, COUNTS, FIELDS, VENUE_DUE, VENUE_STATUS, clean_row, derive
from .models import Report
from .querysets import below
from .services import RowChange, changed_names, save_rows
from .versions import plain

CODE, NAME = "branch_code", "branch_name"
IMPORT_REASON = "按原台账导入"
UNKNOWN_UNIT = "在“{under}”范围内没有这个代码的定级党组织，请核对代码"


@dataclass(frozen=True)
class Finding:
    """An error or a warning at a place of the file."""

    sheet: str
    row: int
    cell: str
    field: str
    value: str
    message: str

    def __str__(self):
        place = f"第{self.row}行" if self.row else "文件"
        label = FIELDS[self.field].label if self.field in FIELDS else self.field
        value = f"“{self.value}”" if self.value else ""
        return f"{place} {label}{value}：{self.message}"


@dataclass
class LoadedRow:
    sheet: str
    number: int
    report: Report | None
    values: dict[str, Any] = field(default_factory=dict)
    action: str = "rejected"  # new, changed, same
    texts: dict[str, str] = field(default_factory=dict)  # as typed, by identifier
    letters: dict[str, str] = field(default_factory=dict)  # of the columns, by identifier


@dataclass
class Loading:
    outcome: str = "accepted"  # rows_rejected, file_rejected
    rows: list[LoadedRow] = field(default_factory=list)
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    decided_count: int = 0

    def count(self, action: str) -> int:
        return sum(row.action == action for row in self.rows)

    def as_json(self) -> dict:
        def places(findings):
            return [vars(finding) for finding in findings]

        return {
            "outcome": self.outcome,
            "rows": [
                {
                    "sheet": row.sheet,
                    "row": row.number,
                    "branch_code": row.report and row.report.code,
                    "action": row.action,
                    "values": _shown(row.values),
                }
                for row in self.rows
            ],
            "errors": places(self.errors),
            "warnings": places(self.warnings),
            "groups": [],
        }


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    """Values by identifier: ISO dates, grades as Chinese words, counts as numbers or null."""
    shown = {
        name: FIELDS[name].show(value) if FIELDS[name].choices else plain(value)
        for name, value in values.items()
    }
    if "proposed_target" in shown:
        shown["target_grade"] = shown["proposed_target"]
    return {name: value if value != "" else None for name, value in shown.items()}


class _FileRejected(Exception):
    def __init__(self, *findings: Finding):
        super().__init__()
        self.findings = findings


def import_ledger(
    path: Path,
    under: Report,
    *,
    is_reviewed: bool = False,
    is_dry_run: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Loading:
    """Read a ledger for the rated organizations below `under` and fill their rows (填报中).

    `is_reviewed` also submits and decides them with the grades given, family by family, through
    the same moves, marked 导入. Rows that change nothing are “same” whatever their state. With an
    error anywhere nothing is written; a dry run writes nothing either.
    """
    loading = Loading()
    try:
        sheets = read(path)
        for sheet in sheets:
            _look_at(sheet, under, loading)
    except Unreadable as error:
        loading.outcome = "file_rejected"
        loading.errors.append(Finding("", 0, "", "", "", str(error)))
        return loading
    except _FileRejected as rejected:
        loading.outcome = "file_rejected"
        loading.errors.extend(rejected.findings)
        return loading
    _check_duplicates(loading)
    _check_rows(under, loading, is_reviewed)
    rejected = {(error.sheet, error.row) for error in loading.errors}
    for row in loading.rows:
        if (row.sheet, row.number) in rejected:
            row.action = "rejected"
    if loading.errors:
        loading.outcome = "rows_rejected"
    elif not is_dry_run:
        _write(loading, progress)
        if is_reviewed:
            _decide(loading, progress)
    return loading


# ---------------------------------------------------------------- reading


def _columns_of(head: Row, sheet: Sheet) -> dict[int, str]:
    """Identifier by position of the head's cells; `branch_code` and `branch_name` besides."""
    known = {CODE: CODE, "党支部代码": CODE, "代码": CODE, NAME: NAME}
    for column in COLUMNS:
        if column.field is None:
            names, target = (column.heading, column.heading2, *column.synonyms), NAME
            known |= dict.fromkeys(filter(None, names), target)
            continue
        names = (column.heading, column.heading2, *column.synonyms, *column.field.source_names)
        known |= dict.fromkeys(filter(None, names), column.field.name)
    for spec in (*COUNTS, VENUE_STATUS, VENUE_DUE):
        known |= dict.fromkeys((spec.label, *spec.source_names), spec.name)
    known |= {name: name for name in FIELDS}
    known |= {"党员总数": "member_count", "活动场所状态": "venue_status"}
    known |= {"活动场所完工年月": "venue_due_on"}
    found, errors = {}, []
    for place, heading in enumerate(head.cells):
        heading = "".join(heading.split())
        name = known.get(heading)
        if name is None and heading:
            errors.append(("不认识这一列，请改成表样中的列名或删除", heading))
        elif name in found.values():
            errors.append(("这一列重复，请只留一列", heading))
        elif name:
            found[place] = name
    if CODE not in found.values():
        errors.append(("缺少党支部代码一列（branch_code），请补上", CODE))
    obligatory = [column.field for column in COLUMNS if column.field and not column.is_decision]
    for spec in obligatory:
        if spec.name not in found.values():
            errors.append((f"缺少“{spec.label}”一列，请补上", spec.name))
    if errors:
        raise _FileRejected(
            *(Finding(sheet.name, head.number, "", name, "", why) for why, name in errors)
        )
    return found


def _look_at(sheet: Sheet, under: Report, loading: Loading) -> None:
    """Parse the rows of a sheet and match them to the reports below `under`."""
    head = next(sheet.rows, None)
    if head is None:
        raise _FileRejected(Finding(sheet.name, 0, "", "", "", "表中没有内容，请检查文件"))
    columns = _columns_of(head, sheet)
    reports = {
        report.code: report
        for report in Report.objects.filter(cycle=under.cycle_id, is_rated=True)
        .filter(below(under.path) | Q(pk=under.pk))
        .select_related("cycle", "category", "entry", "previous__entry", "parent")
    }
    count = 0
    for row in sheet.rows:
        if not any(cell.strip() for cell in row.cells):
            continue
        count += 1
        texts = {name: row.cells[i] if i < len(row.cells) else "" for i, name in columns.items()}
        code = texts.pop(CODE).strip()
        texts.pop(NAME, None)
        report = reports.get(code)
        row_letters = {name: _letter(place) for place, name in columns.items()}
        loaded = LoadedRow(
            sheet.name, row.number, report, texts=texts | {CODE: code}, letters=row_letters
        )
        loading.rows.append(loaded)
        if report is None:
            loading.errors.append(_error(loaded, CODE, UNKNOWN_UNIT.format(under=under.name)))
            continue
        if any(row.cells[len(head.cells) :]):
            loading.errors.append(_error(loaded, CODE, "格数多于表头，请检查逗号和引号"))
        loaded.action = "changed"
        loaded.values, errors = clean_row(texts)
        derive(loaded.values, errors, under.cycle.year)
        loading.errors.extend(_error(loaded, name, why) for name, why in errors.items())
    if not count:
        raise _FileRejected(Finding(sheet.name, 0, "", "", "", "表中没有数据行，请检查文件"))


def _letter(place: int) -> str:
    """The letter of a column, A for 0."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


# ---------------------------------------------------------------- checking


def _error(row: LoadedRow, name: str, message: str) -> Finding:
    cell = f"{row.letters[name]}{row.number}" if name in row.letters else ""
    return Finding(row.sheet, row.number, cell, name, row.texts.get(name, ""), message)


def _check_duplicates(loading: Loading) -> None:
    """Two rows for one organization are an error on both."""
    by_report = defaultdict(list)
    for row in loading.rows:
        if row.report:
            by_report[row.report.pk].append(row)
    for rows in by_report.values():
        for row in rows if len(rows) > 1 else ():
            others = "、".join(str(other.number) for other in rows if other is not row)
            loading.errors.append(_error(row, CODE, f"与第{others}行是同一个党组织，请只留一行"))


def _check_rows(under: Report, loading: Loading, is_reviewed: bool) -> None:
    namesakes = defaultdict(lambda: defaultdict(int))
    for row in loading.rows:
        if row.report and row.values.get("secretary_name"):
            namesakes[row.report.parent_id][row.values["secretary_name"]] += 1
    broken = {(error.sheet, error.row, error.field) for error in loading.errors}
    for row in loading.rows:
        if row.report is None:
            continue
        _check_state(row, loading)
        entry = row.report.entry
        whole = workflow.row_of(entry) | row.values
        twice = {n for n, count in namesakes[row.report.parent_id].items() if count > 1}
        for finding in check_row(whole, workflow.context_of(row.report, twice)):
            if (row.sheet, row.number, finding.field) in broken:
                continue
            found = _error(row, finding.field, finding.message)
            if finding.severity == Severity.ERROR:
                loading.errors.append(found)
            elif finding.severity == Severity.EXPLAIN:
                loading.warnings.append(found)
        _check_grades(row, loading, is_reviewed)


def _check_state(row: LoadedRow, loading: Loading) -> None:
    report = row.report
    changes = changed_names(report.entry, _facts(row.values))
    if not changes:
        row.action = "same"
    elif not report.is_open or not report.cycle.is_open:
        loading.errors.append(
            _error(row, CODE, f"当前状态为“{report.get_state_display()}”，内容已锁定，不能导入")
        )
    elif report.token == 0:
        row.action = "new"


def _facts(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "reviewed_grade"}


def _check_grades(row: LoadedRow, loading: Loading, is_reviewed: bool) -> None:
    """The target of a sheet is checked against the reviewed grade; a jump is a warning."""
    reviewed, target = row.values.get("reviewed_grade"), row.values.get("proposed_target")
    if reviewed is None:
        if is_reviewed and "reviewed_grade" in row.values:
            loading.errors.append(_error(row, "reviewed_grade", "没有上级定级类别，请补填"))
        return
    if target is None:
        return
    refusal = check_decision(Grade(reviewed), Grade(target))
    if refusal:
        loading.errors.append(_error(row, "proposed_target", refusal))
    elif Grade(target).rank > Grade(reviewed).next.rank:
        loading.warnings.append(_error(row, "proposed_target", "目标越级，请确认"))


# ---------------------------------------------------------------- writing


def _families(rows: Iterable[LoadedRow]) -> list[tuple[Report, list[LoadedRow]]]:
    """Rows by superior, in the order in which every writer locks: superiors first, by path."""
    families = defaultdict(list)
    for row in rows:
        families[row.report.parent_id].append(row)
    found = [(rows[0].report.parent or rows[0].report, rows) for rows in families.values()]
    return sorted(found, key=lambda family: family[0].path)


@retried
@transaction.atomic
def _write(loading: Loading, progress) -> None:
    families = _families(row for row in loading.rows)
    for done, (superior, rows) in enumerate(families, 1):
        progress(f"写入 {done}/{len(families)}")
        saved = save_rows(
            [RowChange(row.report.pk, _facts(row.values)) for row in rows if row.action != "same"],
            by=system_post(superior.organization),
            is_import=True,
            given={row.report.pk: row.values.get("reviewed_grade") for row in rows},
        )
        for report, refusal in saved.refused:
            raise workflow.TransitionRefused(f"“{report.name}”：{refusal}")


def _decide(loading: Loading, progress) -> None:
    """Submit and accept the rows with the grades given, deepest families first."""
    families = sorted(_families(loading.rows), key=lambda family: -len(family[0].path))
    for done, (superior, rows) in enumerate(families, 1):
        progress(f"审核 {done}/{len(families)}")
        by = system_post(superior.organization)
        grades = {row.report.pk: row.values.get("reviewed_grade") for row in rows}
        _decide_family(loading, [row.report for row in rows], grades, by)


@retried
@transaction.atomic
def _decide_family(loading, reports, grades, by) -> None:
    now = Report.objects.in_bulk([report.pk for report in reports])
    waiting = [pk for pk, report in now.items() if report.state in OPEN_STATES]
    submitted = workflow.move_many(
        "submit", [workflow.Item(pk) for pk in waiting], by=by, is_import=True
    )
    handed = [pk for pk, report in now.items() if report.state == State.SUBMITTED]
    handed += [report.pk for report in submitted.moved]
    accepted = accept_imported(handed, grades, by=by)
    loading.decided_count += len(accepted.moved)
    for report, why in (*submitted.left_out, *accepted.left_out):
        loading.outcome = "rows_rejected"
        loading.errors.append(Finding("", 0, "", CODE, report.code, f"“{report.name}”：{why}"))


def accept_imported(pks: list[int], grades: dict[int, str], *, by) -> workflow.Outcome:
    """Accept reports of one superior with the grade of an old ledger, else the declared one."""
    items = []
    for report in Report.objects.filter(pk__in=pks).select_related("entry").order_by("path"):
        decision = None
        if report.counts_row:
            entry = report.entry
            grade = Grade(grades.get(report.pk) or entry.given_grade or entry.declared_grade)
            target = Grade(entry.proposed_target)
            if not grade.may_target(target):
                target = grade.next
            decision = workflow.Decision(grade, IMPORT_REASON, target, IMPORT_REASON)
        items.append(workflow.Item(report.pk, decision=decision))
    return workflow.move_many("accept", items, by=by, is_import=True)
