"""Old ledgers in: a table of rows, checked as the page checks them and written in one transaction.

Reads what `ledger_site.base.reading` can read. Everything is looked at first; one wrong row and
nothing is written, and every error of the file is told at once. Rows pass in pieces through a
temporary table; what needs more than one row of the file, and the writing, are statements over it,
so that neither memory nor the number of queries grows with the rows.
"""

import json
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Q

from ledger_site.base import trail
from ledger_site.base.db import analyzed, copy_rows, retried
from ledger_site.base.models import AuditEvent
from ledger_site.base.reading import Row, Sheet, Unreadable, read
from ledger_site.base.workflow import TransitionRefused
from orgs.posts import system_post

from . import workflow
from .checks import Context, check_decision, check_row, namesake
from .choices import OPEN_STATES, Grade, Severity, State
from .columns import (
    COLUMNS,
    COUNTS,
    FIELDS,
    REPORTED_NAMES,
    VENUE_DUE,
    VENUE_STATUS,
    clean_row,
    derive,
)
from .models import LedgerEntry, Report, ReportMove, ReportVersion
from .querysets import ancestors, below
from .services import check_edit
from .versions import plain

CODE, NAME = "branch_code", "branch_name"
UNKNOWN_UNIT = "在“{under}”范围内没有这个代码的定级党组织，请核对代码"
PIECE = 2000  # rows looked at together
MOVED = 500  # reports moved in one transaction
MOST_TOLD = 20_000  # errors, and warnings, of one file


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
class Loading:
    """What became of a file. `rows` has an item a row, where it was asked for."""

    outcome: str = "accepted"  # rows_rejected, file_rejected
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)  # rows by action: new, changed, same
    decided_count: int = 0
    rows: "Rows | None" = None
    untold_count: int = 0  # errors and warnings beyond `MOST_TOLD`

    def as_json(self) -> dict:
        def places(findings):
            return [vars(finding) for finding in findings]

        return {
            "outcome": self.outcome,
            "rows": self.rows if self.rows else [],
            "errors": places(self.errors),
            "warnings": places(self.warnings),
            "groups": [],
        }


class Rows(list):
    """The rows of a file for `json`, which takes nothing but lists, kept in a temporary file."""

    def __init__(self):
        super().__init__()
        self.file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - as long as we
        self.rejected = set()  # (sheet, number), known when all is read

    def append(self, row: Mapping[str, Any]) -> None:
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def __iter__(self) -> Iterator[dict]:
        self.file.seek(0)
        for line in self.file:
            row = json.loads(line)
            if (row["sheet"], row["row"]) in self.rejected:
                row["action"] = "rejected"
            yield row

    def __bool__(self) -> bool:
        return self.file.tell() > 0


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
    keeps_rows: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Loading:
    """Read a ledger for the rated organizations below `under` and fill their rows (填报中).

    `is_reviewed` also submits and decides them with the grades given, level by level, through
    the same moves, marked 导入. Rows that change nothing are “same” whatever their state. With an
    error anywhere nothing is written; a dry run writes nothing either.
    """
    import_ = _Import(path, under, is_reviewed, progress)
    import_.run(keeps_rows=keeps_rows, is_dry_run=is_dry_run)
    if is_reviewed and not is_dry_run and not import_.loading.errors:
        import_.decide()
    return import_.loading


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


def _letter(place: int) -> str:
    """The letter of a column, A for 0."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


class _Place(NamedTuple):
    """What is asked of the report that a row of the file belongs to."""

    pk: int
    code: str
    path: str
    parent_id: int | None
    state: str
    token: int
    previous_id: int | None
    order_id: int | None
    is_row_excused: bool
    category_code: str | None
    member_count_before: int | None


PLACE = (
    "pk",
    "organization__code",
    "path",
    "parent_id",
    "state",
    "token",
    "previous_id",
    "order_id",
    "is_row_excused",
    "category__code",
    "previous__entry__member_count",
)
JSON = {"explanations": {}, "prefilled": [], "unread": {}}
_EMPTY = {name: json.dumps(value) for name, value in JSON.items()}
BLANK = dict.fromkeys((*REPORTED_NAMES, "given_grade")) | JSON
WRITTEN = tuple(BLANK)

# A row of the file, and what the entry will be. `token` is that of the report when it was read;
# `is_changed`: it says something else than the entry does, beside the superior's grade.
STAGED = """
CREATE TEMPORARY TABLE staged AS
SELECT 0 AS number, excuse_reason AS sheet, id AS parent_id, token, is_rated AS is_changed,
       is_rated AS is_written, excuse_reason AS data, e.*
  FROM ratings_report JOIN ratings_ledgerentry e ON e.report_id = id WHERE 1 = 0
"""
STAGED_COLUMNS = (
    "number",
    "sheet",
    "report_id",
    "parent_id",
    "token",
    "is_changed",
    "is_written",
    "data",
    *WRITTEN,
)
LOCK = """
WITH locked AS (
  SELECT id FROM ratings_report WHERE id IN (SELECT report_id FROM staged WHERE is_written)
   ORDER BY path {lock})
SELECT COUNT(*) FROM locked
"""
OVERTAKEN = """
SELECT r.name FROM ratings_report r JOIN staged s ON s.report_id = r.id
 WHERE s.is_written AND (r.token <> s.token OR r.state NOT IN ('draft', 'returned'))
 ORDER BY r.path LIMIT 1
"""
WRITE = f"""
UPDATE ratings_ledgerentry SET {", ".join(f"{name} = s.{name}" for name in WRITTEN)}
  FROM staged s WHERE ratings_ledgerentry.report_id = s.report_id AND s.is_written
"""  # noqa: S608 - names of our own columns
COUNT_UP = """
UPDATE ratings_report SET token = token + 1
 WHERE id IN (SELECT report_id FROM staged WHERE is_changed)
"""
TRAIL = {  # columns of the trail from what is staged
    "unit_id": "u.id",
    "unit_code": "u.code",
    "unit_name": "u.name",
    "object_kind": "'report'",
    "object_id": "r.id",
    "object_code": "r.code",
    "object_name": "SUBSTR(r.name || '（' || c.title || '）', 1, 200)",
    "data": "s.data",
}
CHANGED = """
  FROM staged s
  JOIN ratings_report r ON r.id = s.report_id
  JOIN ratings_cycle c ON c.id = r.cycle_id
  LEFT JOIN ratings_report above ON above.id = r.parent_id
  JOIN orgs_organization u ON u.id = COALESCE(above.organization_id, r.organization_id)
 WHERE s.is_changed ORDER BY r.path
"""


class _Import:
    """One file on its way into the rows of one cycle."""

    def __init__(self, path: Path, under: Report, is_reviewed: bool, progress):
        self.path, self.under, self.is_reviewed = path, under, is_reviewed
        self.progress = progress
        self.loading = Loading()
        # Of the reports named in the file: keys, and how deep they lie.
        self.pks, self.depths = array("q"), array("B")

    @retried
    def run(self, *, keeps_rows: bool, is_dry_run: bool) -> None:
        self.loading = loading = Loading(rows=Rows() if keeps_rows else None)
        self.pks, self.depths = array("q"), array("B")
        try:
            with transaction.atomic():
                self._look_through()
                if loading.errors or is_dry_run:
                    transaction.set_rollback(True)
                else:
                    self._write()
        except Unreadable as error:
            loading.outcome, loading.rows = "file_rejected", None
            loading.errors = [Finding("", 0, "", "", "", str(error))]
        except _FileRejected as rejected:
            loading.outcome, loading.rows = "file_rejected", None
            loading.errors = list(rejected.findings)
        else:
            if loading.errors:
                loading.outcome = "rows_rejected"

    # ------------------------------------------------------------ looking

    def _look_through(self) -> None:
        loading, under = self.loading, self.under
        excused = Report.objects.filter(
            cycle=under.cycle_id, state=State.EXCUSED, has_subordinates=True
        )
        self.excused = dict(excused.values_list("path", "name"))
        self.letters = {}  # by sheet: letters of the columns by identifier
        with connection.cursor() as cursor:
            cursor.execute(STAGED)
        done = 0
        for sheet in read(self.path):
            head = next(sheet.rows, None)
            if head is None:
                raise _FileRejected(Finding(sheet.name, 0, "", "", "", "表中没有内容，请检查文件"))
            columns = _columns_of(head, sheet)
            self.letters[sheet.name] = {n: _letter(place) for place, n in columns.items()}
            rows = (row for row in sheet.rows if any(map(str.strip, row.cells)))
            count = 0
            while piece := list(islice(rows, PIECE)):
                staged = list(self._look_at(sheet, len(head.cells), columns, piece))
                copy_rows("staged", STAGED_COLUMNS, staged)
                count += len(piece)
                self.progress(f"检查 {done + count}")
            if not count:
                raise _FileRejected(
                    Finding(sheet.name, 0, "", "", "", "表中没有数据行，请检查文件")
                )
            done += count
        self._look_across()
        loading.errors.sort(key=lambda found: (found.sheet, found.row))
        loading.warnings.sort(key=lambda found: (found.sheet, found.row))
        if loading.rows is not None:
            loading.rows.rejected = {(found.sheet, found.row) for found in loading.errors}

    def _look_at(self, sheet: Sheet, width: int, columns, piece: list[Row]) -> Iterator[tuple]:
        """Parse, match and check rows of a sheet; yields those of known units for `staged`."""
        read_rows = []
        for row in piece:
            cells = row.cells
            texts = {n: cells[i] if i < len(cells) else "" for i, n in columns.items()}
            code = texts.pop(CODE).strip()
            texts.pop(NAME, None)
            read_rows.append((row, code, texts))
        places = self._places({code for _, code, _ in read_rows})
        filled = [p.pk for p in places.values() if p.token or p.previous_id]
        entries = LedgerEntry.objects.filter(pk__in=filled).values("report_id", *WRITTEN)
        entries = {entry.pop("report_id"): entry for entry in entries}
        for row, code, texts in read_rows:
            place = places.get(code)
            at = _At(self, sheet.name, row.number, texts | {CODE: code})
            if place is None:
                at.error(CODE, UNKNOWN_UNIT.format(under=self.under.name))
                self._keep(at, None, "rejected", {})
                continue
            if any(row.cells[width:]):
                at.error(CODE, "格数多于表头，请检查逗号和引号")
            values, errors = clean_row(texts)
            derive(values, errors, self.under.cycle.year)
            for name, why in errors.items():
                at.error(name, why)
            yield self._compare(at, place, entries.get(place.pk, BLANK), values, errors)

    def _places(self, codes: set[str]) -> dict[str, _Place]:
        scope = below(self.under.path) | Q(pk=self.under.pk)
        found = Report.objects.filter(
            scope, cycle=self.under.cycle_id, is_rated=True, organization__code__in=codes
        )
        return {place[1]: _Place._make(place) for place in found.values_list(*PLACE)}

    def _compare(self, at: "_At", place: _Place, old, values, errors) -> tuple:
        """Check a row beside what is there; gives its line in `staged`."""
        given = values.pop("reviewed_grade", None)
        new = old | values
        changed = [name for name, value in values.items() if old[name] != value]
        is_open = place.state in OPEN_STATES and self.under.cycle.is_open
        action = "same"
        if changed:
            action = "changed" if place.token else "new"
            self._check_edit(at, place, changed, is_open)
        context = Context(
            year=self.under.cycle.year,
            category_code=place.category_code or "",
            previous={"member_count": place.member_count_before},
        )
        for finding in check_row(new, context):
            if finding.field in errors:
                continue
            if finding.severity == Severity.ERROR:
                at.error(finding.field, finding.message)
            elif finding.severity == Severity.EXPLAIN:
                at.warning(finding.field, finding.message)
        self._check_grades(at, given, new["proposed_target"], errors)
        self._keep(at, place, action, values | {"reviewed_grade": given})
        self.pks.append(place.pk)
        self.depths.append(len(place.path))
        is_given = is_open and given not in (None, old["given_grade"])
        line = new | {"given_grade": given if is_given else old["given_grade"]}
        if changed:
            line["prefilled"] = [name for name in old["prefilled"] if name not in changed]
            line["unread"] = {k: text for k, text in old["unread"].items() if k not in values}
        for name in JSON:
            line[name] = json.dumps(line[name], ensure_ascii=False) if line[name] else _EMPTY[name]
        data = self._trail_of(at, place, old, values, changed) if changed else ""
        return (
            at.number,
            at.sheet,
            place.pk,
            place.parent_id,
            place.token,
            bool(changed),
            bool(changed) or is_given,
            data,
            *map(line.__getitem__, WRITTEN),
        )

    def _trail_of(self, at, place, old, values, changed) -> str:
        """What the trail says of the row: where it came from, and what had been there."""
        data = {"mark": workflow.IMPORTED, "file": self.path.name, "row": at.number}
        if old is not BLANK:
            data["changes"] = {name: [plain(old[name]), plain(values[name])] for name in changed}
        return json.dumps(data, ensure_ascii=False)

    def _check_edit(self, at: "_At", place: _Place, changed: list[str], is_open: bool) -> None:
        if not is_open:
            label = State(place.state).label
            at.error(CODE, f"当前状态为“{label}”，内容已锁定，不能导入")
            return
        excused = next((self.excused[p] for p in ancestors(place.path) if p in self.excused), None)
        if excused:
            at.error(CODE, workflow.UNDER_EXCUSED.format(excused))
        elif place.order_id or place.is_row_excused:
            report = Report.objects.select_related("cycle", "order", "parent__organization").get(
                pk=place.pk
            )
            try:
                check_edit(
                    report, system_post((report.parent or report).organization), names=changed
                )
            except TransitionRefused as refusal:
                at.error(CODE, str(refusal))

    def _check_grades(self, at: "_At", given, target, errors) -> None:
        """The target of a sheet is checked against the reviewed grade; a jump is a warning."""
        if given is None:
            is_asked = self.is_reviewed and "reviewed_grade" in at.texts
            if is_asked and "reviewed_grade" not in errors:
                at.error("reviewed_grade", "没有上级定级类别，请补填")
            return
        if target is None or "proposed_target" in errors:
            return
        refusal = check_decision(Grade(given), Grade(target))
        if refusal:
            at.error("proposed_target", refusal)
        elif Grade(target).rank > Grade(given).next.rank:
            at.warning("proposed_target", "目标越级，请确认")

    def _look_across(self) -> None:
        """What is only seen in the file as a whole: lines of one unit, secretaries of one name."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT s.sheet, s.number, r.code, s.report_id FROM staged s "
                "JOIN ratings_report r ON r.id = s.report_id WHERE s.report_id IN "
                "(SELECT report_id FROM staged GROUP BY report_id HAVING COUNT(*) > 1) "
                "ORDER BY s.report_id, s.sheet, s.number"
            )
            twice = cursor.fetchall()
            cursor.execute(
                "SELECT s.sheet, s.number, s.secretary_name FROM staged s JOIN (SELECT parent_id, "
                "secretary_name FROM staged WHERE secretary_name IS NOT NULL "
                "GROUP BY parent_id, secretary_name HAVING COUNT(*) > 1) t "
                "ON t.parent_id = s.parent_id AND t.secretary_name = s.secretary_name"
            )
            while found := cursor.fetchmany(PIECE):
                for sheet, number, name in found:
                    finding = namesake(name)
                    _At(self, sheet, number, {finding.field: name}).warning(
                        finding.field, finding.message
                    )
        for _, lines in groupby(twice, key=itemgetter(3)):
            lines = list(lines)
            for sheet, number, code, _ in lines:
                others = "、".join(str(n) for _, n, _, _ in lines if n != number)
                _At(self, sheet, number, {CODE: code}).error(
                    CODE, f"与第{others}行是同一个党组织，请只留一行"
                )

    def _keep(self, at: "_At", place: _Place | None, action: str, values) -> None:
        self.loading.counts[action] += 1
        if self.loading.rows is not None:
            self.loading.rows.append(
                {
                    "sheet": at.sheet,
                    "row": at.number,
                    "branch_code": place and place.code,
                    "action": action,
                    "values": _shown(values),
                }
            )

    # ------------------------------------------------------------ writing

    def _write(self) -> None:
        """Store the staged rows with their trail; whoever was quicker since is told of."""
        self.progress("写入")
        lock = "FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE staged")
            cursor.execute(LOCK.format(lock=lock))
            cursor.execute(OVERTAKEN)
            if overtaken := cursor.fetchone():
                raise TransitionRefused(f"“{overtaken[0]}”在导入时被他人修改，请重新导入")
            cursor.execute(WRITE)
            cursor.execute(COUNT_UP)
            by = system_post(self.under.organization)
            trail.record_selected("edit", "填报", TRAIL, CHANGED, by=by)
            cursor.execute("DROP TABLE staged")
        written = sum(self.loading.counts.values())
        analyzed(LedgerEntry, Report, AuditEvent, rows=written)

    def decide(self) -> None:
        """Submit and accept the rows with the grades given, the deepest first."""
        done = 0
        for depth in sorted(set(self.depths), reverse=True):
            level = (pk for pk, at in zip(self.pks, self.depths, strict=True) if at == depth)
            while chunk := list(islice(level, MOVED)):
                self._decide(chunk)
                done += len(chunk)
                self.progress(f"审核 {done}/{len(self.pks)}")
            analyzed(Report, ReportVersion, ReportMove, LedgerEntry, rows=done)

    def _decide(self, pks: list[int]) -> None:
        loading = self.loading
        submitted, accepted = workflow.hand_up_imported(pks)
        loading.decided_count += len(accepted.moved)
        for report, why in (*submitted.left_out, *accepted.left_out):
            loading.outcome = "rows_rejected"
            loading.errors.append(Finding("", 0, "", CODE, report.code, f"“{report.name}”：{why}"))


class _At:
    """A line of the file, to which errors and warnings belong."""

    __slots__ = ("import_", "number", "sheet", "texts")

    def __init__(self, import_: _Import, sheet: str, number: int, texts: Mapping[str, str]):
        self.import_, self.sheet, self.number, self.texts = import_, sheet, number, texts

    def error(self, name: str, message: str) -> None:
        self._tell(self.import_.loading.errors, name, message)

    def warning(self, name: str, message: str) -> None:
        self._tell(self.import_.loading.warnings, name, message)

    def _tell(self, told: list[Finding], name: str, message: str) -> None:
        if len(told) >= MOST_TOLD:
            self.import_.loading.untold_count += 1
            return
        letter = self.import_.letters[self.sheet].get(name, "")
        cell = f"{letter}{self.number}" if letter else ""
        told.append(Finding(self.sheet, self.number, cell, name, self.texts.get(name, ""), message))
