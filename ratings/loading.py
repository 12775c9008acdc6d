"""Old ledgers in: a table of rows, checked as the page checks them and written in one transaction.

Reads what `ledger_site.base.reading` can read, in the forms that `recognizing` knows. Everything
is looked at first; one wrong row and nothing is written unless only the good rows are asked for,
and every error of the file is told at once. Rows pass in pieces through a temporary table; what
needs more than one row of the file, and the writing, are statements over it, so that neither
memory nor the number of queries grows with the rows.
"""

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from ledger_site.base import trail
from ledger_site.base.db import analyzed, copy_rows, retried
from ledger_site.base.models import AuditEvent
from ledger_site.base.readers.table import letter
from ledger_site.base.reading import Limits, Sheet, Unreadable, digest_of, read
from ledger_site.base.workflow import TransitionRefused
from orgs.choices import Role
from orgs.posts import Post, system_post

from . import parsers, workflow
from .checks import Context, check_decision, check_row, namesake
from .choices import OPEN_STATES, Grade, Severity, State
from .columns import DERIVED, FIELDS, PERSONS, REPORTED_NAMES, changes, clean_row, derive
from .matching import Asked, Candidate, Match, Matcher, Place, is_branch_name
from .models import LedgerEntry, Report, ReportMove, ReportVersion
from .querysets import ancestors
from .recognizing import (
    CODE,
    NAME,
    SUPERIOR,
    Line,
    Table,
    fault_of,
    label_of,
    listed,
    recognize,
)
from .services import check_edit
from .versions import plain

PIECE = 2000  # rows looked at together
MOVED = 500  # reports moved in one transaction
MOST_TOLD = 20_000  # errors, and warnings, of one file
TOO_DEEP = "“{}”不是本级的直接下级，这一行由其上级导入"
SKIP = "skip"  # the choice of a row that is not wanted


class Topic:
    """How errors and warnings are grouped for whoever reads them."""

    FILE = "文件和表头"
    UNIT = "党组织对应"
    TWICE = "重复"
    BLANK = "未填写"
    VALUE = "填写有误"
    LOCKED = "不能修改"
    HIDDEN = "隐藏内容"
    SKIPPED = "未读取"
    UNSURE = "请核对"


@dataclass(frozen=True)
class Finding:
    """An error or a warning at a place of the file; the message says what to do about it.

    `answers` may be chosen from for `asks`, the field that a choice is for.
    """

    sheet: str
    row: int
    cell: str
    field: str
    value: str
    message: str
    kind: str = Topic.VALUE
    heading: str = ""
    asks: str = ""
    answers: tuple[Candidate, ...] = ()

    def __str__(self):
        place = f"第{self.row}行" if self.row else "文件"
        if self.sheet:
            place = f"工作表“{self.sheet}”{place if self.row else ''}"
        cell = f"（{self.cell}）" if self.cell else ""
        value = f"“{self.value[:40]}”" if self.value else ""
        labels = "、".join(answer.label for answer in self.answers)
        answers = f"（可选：{labels}）" if labels else ""
        return f"{place}{cell} {self.heading}{value}：{self.message}{answers}"

    def as_json(self) -> dict:
        said = vars(self) | {"answers": [answer._asdict() for answer in self.answers]}
        return said | {"value": self.value[:200]}


@dataclass
class Loading:
    """What became of a file. `rows` has an item a row, where it was asked for."""

    outcome: str = "accepted"  # rows_rejected, file_rejected
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    skipped: list[Finding] = field(default_factory=list)  # lines, columns, sheets read over
    groups: list[dict] = field(default_factory=list)  # rows that name a superior
    counts: Counter = field(default_factory=Counter)  # rows by action: new, changed, same, rejected
    written_count: int = 0
    decided_count: int = 0
    rows: "Rows | None" = None
    untold_count: int = 0  # errors and warnings beyond `MOST_TOLD`

    def as_json(self) -> dict:
        def places(findings):
            return [finding.as_json() for finding in findings]

        return {
            "outcome": self.outcome,
            "rows": self.rows if self.rows else [],
            "errors": places(self.errors),
            "warnings": places(self.warnings),
            "groups": self.groups,
            "skipped": places(self.skipped),
        }


class Rows(list):
    """The rows of a file for `json`, which takes nothing but lists, kept in a temporary file."""

    def __init__(self):
        super().__init__()
        self.file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - as long as we
        self.rejected = {}  # numbers by sheet, known when all is read

    def append(self, row: Mapping[str, Any]) -> None:
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def __iter__(self) -> Iterator[dict]:
        self.file.seek(0)
        for line in self.file:
            row = json.loads(line)
            if row["row"] in self.rejected.get(row["sheet"], ()):
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


Where = tuple[str, int]  # sheet and row of a line


def import_ledger(
    path: Path,
    under: Report,
    *,
    by: Post | None = None,
    is_reviewed: bool = False,
    is_dry_run: bool = False,
    is_partial: bool = False,
    keeps_rows: bool = False,
    choices: Mapping[Where, Mapping[str, str]] | None = None,
    shown: Mapping[Where, tuple[str, int]] | None = None,
    upload: int | None = None,
    file_name: str = "",
    limits: Limits | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Loading:
    """Read a ledger for the rated organizations below `under` and fill their rows (填报中).

    `by` is who acts, the system if nobody; a person reaches the own row and the rows of direct
    subordinates, by the report `under` of the own unit. `is_reviewed` also submits and decides
    rows with the grades given, level by level, through the same moves, marked 导入. Rows that
    change nothing are “same” whatever their state. With an error anywhere nothing is written,
    or with `is_partial` everything but the wrong rows; a dry run writes nothing either.

    `choices` are answers to findings, by sheet and row: a text for the field that was asked for,
    as `branch_code` for a line or a group row, `due_on` for a deadline. `shown` gives the code and
    the token of each good row as somebody saw it; one that is another now is an error. `upload` is
    the key of the upload that keeps what the rows were before, `file_name` what the trail calls it.

    Raises `TransitionRefused` where the person may not fill in, or decide, at all.
    """
    import_ = _Import(path, under, by, is_reviewed, choices or {}, shown, upload, progress)
    import_.file_name, import_.limits = file_name or path.name, limits
    import_.run(keeps_rows=keeps_rows, is_dry_run=is_dry_run, is_partial=is_partial)
    if is_reviewed and not is_dry_run and (is_partial or not import_.loading.errors):
        import_.decide()
    return import_.loading


# ---------------------------------------------------------------- what is written


JSON = {"explanations": {}, "prefilled": [], "unread": {}}
_EMPTY = {name: json.dumps(value) for name, value in JSON.items()}
BLANK = dict.fromkeys((*REPORTED_NAMES, "given_grade")) | JSON
WRITTEN = tuple(BLANK)
DECIDED = ("reviewed_grade", "target_grade")

# A row of the file, and what the entry will be. `token` is that of the report when it was read;
# `is_changed`: it says something else than the entry does, beside the superior's grade;
# `is_wrong`: it has an error and is left out.
STAGED = """
CREATE TEMPORARY TABLE staged AS
SELECT 0 AS number, excuse_reason AS sheet, id AS parent_id, token, is_rated AS is_changed,
       is_rated AS is_written, is_rated AS is_wrong, excuse_reason AS data,
       excuse_reason AS before, e.*
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
    "is_wrong",
    "data",
    "before",
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
 {own}
 WHERE s.is_changed ORDER BY r.path
"""
COUNTED = """
SELECT CASE WHEN NOT is_changed THEN 'same' WHEN token > 0 THEN 'changed' ELSE 'new' END, COUNT(*)
  FROM staged WHERE NOT is_wrong GROUP BY 1
"""
NAMED = """
SELECT s.report_id, LENGTH(r.path) FROM staged s JOIN ratings_report r ON r.id = s.report_id
 ORDER BY r.path
"""


KEEP = """
INSERT INTO ratings_uploadrow (upload_id, report_id, token, is_changed, before)
SELECT %s, report_id, CASE WHEN is_changed THEN token + 1 ELSE token END, is_changed, before
  FROM staged WHERE is_written
"""


def kept(old: Mapping[str, Any]) -> str:
    """What a row holds, as text from which `restored` makes it again."""
    return json.dumps({name: plain(old[name]) for name in WRITTEN}, ensure_ascii=False)


def restored(text: str) -> dict[str, Any]:
    """The columns of a row as they are staged."""
    row = json.loads(text)
    return row | {name: json.dumps(row[name], ensure_ascii=False) for name in JSON}


def stage() -> None:
    """Make the temporary table of the rows that are going to be written."""
    with connection.cursor() as cursor:
        cursor.execute(STAGED)


def write_staged(label: str, by: Post) -> str:
    """Store the staged rows with their trail: by whoever acts, the system for each superior.

    Returns the name of a row that is not what it was when it was staged, "" if all are written.
    """
    lock = "FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""
    columns, own = TRAIL, ""
    if not by.is_system:
        columns = TRAIL | {"unit_id": "own.id", "unit_code": "own.code", "unit_name": "own.name"}
        own = f"JOIN orgs_organization own ON own.id = {by.organization.pk:d}"
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE staged")
        cursor.execute(LOCK.format(lock=lock))
        cursor.execute(OVERTAKEN)
        if overtaken := cursor.fetchone():
            return overtaken[0]
        cursor.execute(WRITE)
        cursor.execute(COUNT_UP)
    trail.record_selected("edit", label, columns, CHANGED.format(own=own), by=by)
    return ""


class _Import:
    """One file on its way into the rows of one cycle."""

    def __init__(
        self, path, under: Report, by: Post | None, is_reviewed, choices, shown, upload, progress
    ):
        self.path, self.under, self.is_reviewed = path, under, is_reviewed
        self.by = by or system_post(under.organization)
        self.choices, self.shown, self.upload = choices, shown, upload
        self.progress = progress
        self.loading = Loading()
        if not self.by.has(Role.FILL):
            raise TransitionRefused("只有填报人员可以导入台账")
        if is_reviewed and not self.by.has(Role.REVIEW):
            raise TransitionRefused("只有审核人员可以按表中的上级定级审核")
        if not self.by.is_system and self.by.organization_id != under.organization_id:
            raise TransitionRefused("只能导入本单位和直接下级的台账")

    @retried
    def run(self, *, keeps_rows: bool, is_dry_run: bool, is_partial: bool) -> None:
        self.loading = loading = Loading(rows=Rows() if keeps_rows else None)
        self.named = []  # (key, length of the path) of the reports in the file, for `decide`
        try:
            with transaction.atomic():
                self._look_through()
                if is_dry_run or (loading.errors and not is_partial):
                    transaction.set_rollback(True)
                else:
                    self._write()
        except Unreadable as error:
            loading.outcome, loading.rows = "file_rejected", None
            loading.errors = [Finding("", 0, "", "", "", str(error), Topic.FILE)]
        except _FileRejected as rejected:
            loading.outcome, loading.rows = "file_rejected", None
            loading.errors = list(rejected.findings)
        else:
            if loading.errors:
                loading.outcome = "rows_rejected"

    # ------------------------------------------------------------ sheets

    def _look_through(self) -> None:
        loading, under = self.loading, self.under
        excused = Report.objects.filter(
            cycle=under.cycle_id, state=State.EXCUSED, has_subordinates=True
        )
        self.excused = dict(excused.values_list("path", "name"))
        self.matcher = Matcher(under)
        self.tables: dict[str, Table] = {}
        self.wrong = defaultdict(set)  # numbers of wrong rows by sheet
        stage()
        count, others = 0, []
        for sheet in read(self.path, self.limits):
            if sheet.is_hidden:
                said = "这个工作表是隐藏的，没有读取；需要导入的请取消隐藏"
                self._warn(sheet.name, said, Topic.HIDDEN)
                continue
            table = recognize(sheet)
            if table is None or not table.is_ledger:
                others.append((sheet, table))
                continue
            self._check_head(table)
            self.tables[sheet.name] = table
            count += self._look_at_sheet(table, count)
        if not self.tables:
            self._refuse_without_ledger(others)
        for sheet, _ in others:
            self._skip(sheet.name, 0, "", "没有台账的表头，这个工作表没有读取")
        if not count:
            said = "表中没有数据行，请检查文件"
            raise _FileRejected(
                *(
                    Finding(name, table.row, "", "", "", said, Topic.FILE)
                    for name, table in self.tables.items()
                )
            )
        self._look_across()
        loading.errors.sort(key=lambda found: (found.sheet, found.row))
        loading.warnings.sort(key=lambda found: (found.sheet, found.row))
        if loading.rows is not None:
            loading.rows.rejected = self.wrong

    def _check_head(self, table: Table) -> None:
        if faults := table.check(self.is_reviewed):
            raise _FileRejected(
                *(
                    Finding(
                        table.sheet.name,
                        fault.row,
                        "" if fault.place is None else f"{letter(fault.place)}{fault.row}",
                        fault.name,
                        "" if fault.place is None else fault.heading,
                        fault.message,
                        Topic.FILE,
                        fault.heading,
                    )
                    for fault in faults
                )
            )

    def _refuse_without_ledger(self, others: list[tuple[Sheet, Table | None]]) -> None:
        """Say what is missing in whatever is most like a ledger, else that there is none."""
        alike = [table for _, table in others if table and table.columns]
        if alike:
            self._check_head(max(alike, key=lambda table: len(table.columns)))
        said = "没有找到台账的表头（党支部名称、书记姓名、基本情况等列），请使用台账表样"
        names = "、".join(sheet.name for sheet, _ in others)
        raise _FileRejected(Finding(names, 0, "", "", "", said, Topic.FILE))

    def _look_at_sheet(self, table: Table, done: int) -> int:
        """Stage the rows of a sheet; returns how many there are."""
        sheet = table.sheet
        order = _Order(self, table)
        lines, count = table.lines(), 0
        while piece := list(islice(lines, PIECE)):
            rows = order.of(piece)
            copy_rows("staged", STAGED_COLUMNS, list(self._look_at(rows)))
            count += len(rows)
            self.progress(f"检查 {done + count}")
        order.end()
        for place, heading in table.ignored.items():
            said = f"“{''.join(heading.split())}”一列不需要，没有读取"
            self._skip(sheet.name, table.row, f"{letter(place)}{table.row}", said)
        for row, text, why in table.skipped:
            self._skip(sheet.name, row, "", f"{why}，没有读取", text)
        for place, row in table.unheaded.items() if sheet.name else ():
            cell, said = f"{letter(place)}{row}", f"{letter(place)}列没有列名，没有读取"
            self._warn(sheet.name, said, Topic.SKIPPED, row, cell)
        if table.hidden:
            said = (
                f"有{len(table.hidden)}行是隐藏的（第{listed(table.hidden)}行），已照常读取，请核对"
            )
            self._warn(sheet.name, said, Topic.HIDDEN, table.hidden[0])
        for place in sorted(sheet.hidden_columns & table.columns.keys()):
            heading = table.headings[table.columns[place]]
            said = f"{letter(place)}列“{heading}”是隐藏的，已照常读取，请核对"
            self._warn(sheet.name, said, Topic.HIDDEN, table.row, f"{letter(place)}{table.row}")
        return count

    def _warn(self, sheet: str, said: str, kind: str, row: int = 0, cell: str = "") -> None:
        self._tell(self.loading.warnings, Finding(sheet, row, cell, "", "", said, kind))

    def _skip(self, sheet: str, row: int, cell: str, said: str, text: str = "") -> None:
        found = Finding(sheet, row, cell, "", text, said, Topic.SKIPPED)
        self._tell(self.loading.skipped, found)

    def _tell(self, told: list[Finding], finding: Finding) -> None:
        if len(told) < MOST_TOLD:
            told.append(finding)
        else:
            self.loading.untold_count += 1

    # ------------------------------------------------------------ rows

    def _look_at(self, rows: list[tuple["_At", Place | Match | None]]) -> Iterator[tuple]:
        """Parse, match and check rows of a sheet; yields those of known units for `staged`."""
        matches = self.matcher.match([self._asked(at, superior) for at, superior in rows])
        filled = [m.place.pk for m in matches if m.place and (m.place.token or m.place.previous_id)]
        entries = LedgerEntry.objects.filter(pk__in=filled).values("report_id", *WRITTEN, *DECIDED)
        entries = {entry.pop("report_id"): entry for entry in entries}
        for (at, superior), match in zip(rows, matches, strict=True):
            if lost := at.fault_of_unit:
                match = Match(error=lost)
            elif isinstance(superior, Match) and not at.texts.get(CODE):
                match = superior
            if match.place and not self._is_reached(match.place):
                match = Match(error=TOO_DEEP.format(match.place.name))
            place = match.place
            if place is None:
                at.error(at.unit_field, match.error, Topic.UNIT, match.candidates, asks=CODE)
            elif match.doubt:
                found = (Candidate(place.code, place.name),)
                at.warning(NAME, match.doubt, Topic.UNIT, found, asks=CODE)
            if at.is_beyond:
                at.error(CODE, "格数多于表头，请检查逗号和引号", Topic.FILE)
            values, wrong = self._values(at)
            if place:
                yield self._compare(at, place, entries.get(place.pk, BLANK), values, wrong)
            else:
                self._tell_blank(at, values, wrong)
                self._keep(at, None, "rejected", values)

    def _asked(self, at: "_At", superior) -> Asked:
        texts = at.texts
        code = parsers.compact(texts.get(CODE, ""))
        if at.fault_of_unit or (isinstance(superior, Match) and not code):
            return Asked("", "")
        name = "" if CODE in at.answers else " ".join(texts.get(NAME, "").split())
        return Asked(code, name, superior if isinstance(superior, Place) else None)

    def _is_reached(self, place: Place) -> bool:
        """A person reaches the own row and those of direct subordinates; the system all."""
        return self.by.is_system or self.under.pk in (place.pk, place.parent_id)

    def _values(self, at: "_At") -> tuple[dict[str, Any], set[str]]:
        """Values of a row by identifier, and the fields that are wrong, of which it is told."""
        errors, texts, year = {}, {}, self.under.cycle.year
        for name, text in at.texts.items():
            if name not in FIELDS:
                continue
            if text.__class__ is str:
                texts[name] = text
            elif text.fault:
                errors[name] = text.fault
            else:
                texts[name] = self._shown_in(at, name, text)
        deadline = texts.get("deadline_text")
        if deadline and deadline.isascii():
            texts["deadline_text"] = self._deadline(at, deadline)
        values, wrong = clean_row(texts)
        errors |= wrong
        at.blank = [n for n in at.obligatory if n not in errors and values.get(n, 0) is None]
        at.given = {name for name, value in values.items() if value is not None}
        derive(values, errors, year)
        for name, why in errors.items():
            at.error(name, why)
        self._doubt(at, values, year)
        return values, set(errors)

    def _shown_in(self, at: "_At", name: str, cell) -> str:
        """The text of a cell with a format: 600 % of members is 6, and looked at again."""
        if cell.kind != "percent" or FIELDS[name].widget != "number":
            return str(cell)
        number = parsers.number_of_percent(cell)
        if number.isdigit():
            at.warning(name, f"表中是百分数，读作{number}，请核对")
            return number
        return str(cell)

    def _deadline(self, at: "_At", text: str) -> str:
        """A deadline that the sheet holds as a number, in words."""
        said = parsers.deadline_of_number(text)
        typed = at.texts["deadline_text"]
        is_number = typed.__class__ is not str and typed.kind == "number"
        if said == text or ("." in text and not is_number):
            return text
        at.warning("deadline_text", f"表中是数字，读作{said}，请核对")
        return said

    def _doubt(self, at: "_At", values, year: int) -> None:
        """Warn of what is taken as it is and not sure."""
        if parsers.doubt_of_characters("".join(at.texts.values())):
            for name, text in at.texts.items():
                if doubt := parsers.doubt_of_characters(text):
                    at.warning(name, doubt)
        for name in PERSONS:
            value = values.get(name)
            if value and not value.isalpha() and (doubt := parsers.doubt_of_person(value)):
                at.warning(name, doubt)
        text = values.get("deadline_text")
        if text and "due_on" not in at.given and (doubt := _doubt_of_deadline(text, year)):
            days = tuple(Candidate(d.isoformat(), parsers.wording_of(d)) for d in doubt.days)
            at.warning("deadline_text", doubt.message, answers=days, asks="due_on" if days else "")

    def _tell_blank(self, at: "_At", values, wrong: set[str]) -> None:
        wrong |= set(at.blank)
        for name in at.blank:
            at.error(name, f"{FIELDS[name].label}未填写", Topic.BLANK)

    def _compare(self, at: "_At", place: Place, old, values, wrong: set[str]) -> tuple:
        """Check a row beside what is there; gives its line in `staged`."""
        given = values.pop("reviewed_grade", None)
        decided = old.get("reviewed_grade")
        if decided and values.get("proposed_target") == old["target_grade"]:
            del values["proposed_target"]  # our own sheets hold the target that was decided
        _settle(at, old, values)
        new = old | values
        changed = [name for name, value in values.items() if old[name] != value]
        is_open = place.state in OPEN_STATES and self.under.cycle.is_open
        action = "same"
        if changed:
            action = "changed" if place.token else "new"
            self._check_edit(at, place, changed, is_open)
        if changed or not place.token:
            if NAME in at.texts and not at.texts[NAME].strip() and CODE not in at.answers:
                at.error(NAME, "党支部名称未填写", Topic.BLANK)
            self._tell_blank(at, values, wrong)
            self._check_row(at, place, new, wrong)
        if changed or not decided:
            self._check_grades(at, given, new["proposed_target"], wrong)
        elif given and given != decided and self.is_reviewed:
            label = Grade(decided).label
            at.warning("reviewed_grade", f"已审核为“{label}”，表中的等次没有采用，改定请到审核页")
        seen = (place.code, place.token)
        if changed and self.shown is not None and self.shown.get(at.where) != seen:
            said = "与您查看时已有不同，这一行没有写入，请重新检查"
            at.error(at.unit_field, said, Topic.LOCKED)
        self._keep(at, place, action, values | {"reviewed_grade": given}, old, changed)
        is_given = is_open and given not in (None, old["given_grade"]) and self._is_above(place)
        line = new | {"given_grade": given if is_given else old["given_grade"]}
        if changed:
            line["prefilled"] = [name for name in old["prefilled"] if name not in changed]
            line["unread"] = {k: text for k, text in old["unread"].items() if k not in values}
        for name in JSON:
            line[name] = json.dumps(line[name], ensure_ascii=False) if line[name] else _EMPTY[name]
        data = self._trail_of(at, place, old, values, changed) if changed else ""
        before = kept(old) if self.upload and (changed or is_given) else ""
        return (
            at.number,
            at.sheet,
            place.pk,
            place.parent_id,
            place.token,
            bool(changed),
            bool(changed) or is_given,
            at.is_wrong,
            data,
            before,
            *map(line.__getitem__, WRITTEN),
        )

    def _is_above(self, place: Place) -> bool:
        """Whether the superior's grade can come from whoever imports: not for the own row."""
        return self.by.is_system or place.pk != self.under.pk

    def _trail_of(self, at, place, old, values, changed) -> str:
        """What the trail says of the row: where it came from, and what had been there."""
        data = {"mark": workflow.IMPORTED, "file": self.file_name, "row": at.number}
        if old is not BLANK:
            data["changes"] = {name: [plain(old[name]), plain(values[name])] for name in changed}
        return json.dumps(data, ensure_ascii=False)

    def _check_edit(self, at: "_At", place: Place, changed: list[str], is_open: bool) -> None:
        if not is_open:
            label = State(place.state).label
            at.error(at.unit_field, f"当前状态为“{label}”，内容已锁定，不能导入", Topic.LOCKED)
            return
        excused = next((self.excused[p] for p in ancestors(place.path) if p in self.excused), None)
        if excused:
            at.error(at.unit_field, workflow.UNDER_EXCUSED.format(excused), Topic.LOCKED)
        elif place.order_id or place.is_row_excused:
            report = Report.objects.select_related("cycle", "order", "parent__organization").get(
                pk=place.pk
            )
            above = system_post((report.parent or report).organization)
            try:
                check_edit(report, above if self.by.is_system else self.by, names=changed)
            except TransitionRefused as refusal:
                at.error(at.unit_field, str(refusal), Topic.LOCKED)

    def _check_row(self, at: "_At", place: Place, new, wrong: set[str]) -> None:
        """The checks of the page. What the text says is kept where only what is read from it is
        not known; it is asked for before the row can be handed up."""
        context = Context(
            year=self.under.cycle.year,
            category_code=place.category_code or "",
            previous={"member_count": place.member_count_before},
        )
        for found in check_row(new, context):
            if found.field in wrong or found.code == "undated":
                continue
            is_open = found.code == "blank" and found.field not in at.obligatory
            if found.severity == Severity.ERROR and not is_open:
                kind = Topic.BLANK if found.code in ("blank", "secretary") else Topic.VALUE
                at.error(found.field, found.message, kind)
            elif found.severity == Severity.ERROR:
                at.warning(found.field, f"{found.message}，上报前请补填", Topic.BLANK)
            elif found.severity == Severity.EXPLAIN:
                at.warning(found.field, found.message)

    def _check_grades(self, at: "_At", given, target, wrong: set[str]) -> None:
        """The target of a sheet is checked against the reviewed grade; a jump is a warning."""
        if given is None:
            if self.is_reviewed and "reviewed_grade" not in wrong:
                at.error("reviewed_grade", "没有上级定级类别，请补填", Topic.BLANK)
            return
        if target is None or "proposed_target" in wrong:
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
                "UPDATE staged SET is_wrong = TRUE WHERE report_id IN "
                "(SELECT report_id FROM staged GROUP BY report_id HAVING COUNT(*) > 1)"
            )
            cursor.execute(
                "SELECT s.sheet, s.number, s.secretary_name FROM staged s JOIN (SELECT parent_id, "
                "secretary_name FROM staged WHERE secretary_name IS NOT NULL "
                "GROUP BY parent_id, secretary_name HAVING COUNT(*) > 1) t "
                "ON t.parent_id = s.parent_id AND t.secretary_name = s.secretary_name"
            )
            while found := cursor.fetchmany(PIECE):
                for sheet, number, name in found:
                    finding = namesake(name)
                    at = _At(self, self.tables[sheet], Line(number, {finding.field: name}))
                    at.warning(finding.field, finding.message)
        for _, lines in groupby(twice, key=itemgetter(3)):
            lines = list(lines)
            for sheet, number, code, _ in lines:
                others = [
                    f"第{n}行" if other == sheet else f"工作表“{other}”第{n}行"
                    for other, n, _, _ in lines
                    if (other, n) != (sheet, number)
                ]
                at = _At(self, self.tables[sheet], Line(number, {CODE: code}))
                said = f"与{listed(others)}是同一个党组织，请只留一行"
                at.error(at.unit_field, said, Topic.TWICE)
        with connection.cursor() as cursor:
            cursor.execute(COUNTED)
            self.loading.counts.update(dict(cursor.fetchall()))
        self.loading.counts["rejected"] = sum(map(len, self.wrong.values()))

    def _keep(self, at: "_At", place: Place | None, action: str, values, old=None, changed=()):
        if self.loading.rows is None:
            return
        replaced = {name for name in changed if old[name] not in (None, "")}
        row = {
            "sheet": at.sheet,
            "row": at.number,
            "branch_code": place and place.code,
            "action": action,
            "values": _shown(values),
        }
        if place:
            row |= {"branch_name": place.name, "token": place.token}
        if replaced:
            told = {name: values[name] for name in replaced}
            row["changes"] = changes(old, told)
        if at.line.is_hidden:
            row["is_hidden"] = True
        self.loading.rows.append(row)

    # ------------------------------------------------------------ writing

    def _write(self) -> None:
        self.progress("写入")
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM staged WHERE is_wrong")
            if self.upload:
                cursor.execute(KEEP, [self.upload])
            if overtaken := write_staged("填报", self.by):
                raise TransitionRefused(f"“{overtaken}”在导入时被他人修改，请重新导入")
            cursor.execute("SELECT COUNT(*) FROM staged WHERE is_changed")
            (self.loading.written_count,) = cursor.fetchone()
            if self.is_reviewed:
                cursor.execute(NAMED)
                self.named = cursor.fetchall()
            cursor.execute("DROP TABLE staged")
        written = sum(self.loading.counts.values())
        if not self.upload:  # an upload tells of its file itself
            said = {"file": self.file_name, "digest": digest_of(self.path), "rows": written}
            act = workflow.act_of(self.under, **said)
            trail.record("import", "导入台账文件", [act], by=self.by)
        analyzed(LedgerEntry, Report, AuditEvent, rows=written)

    def decide(self) -> None:
        """Submit and accept the rows with the grades given, the deepest first."""
        done, total = 0, len(self.named)
        if not self.by.is_system:  # the own row is decided one level up
            self.named = [(pk, depth) for pk, depth in self.named if pk != self.under.pk]
        for depth in sorted({depth for _, depth in self.named}, reverse=True):
            level = (pk for pk, at in self.named if at == depth)
            while chunk := list(islice(level, MOVED)):
                self._decide(chunk)
                done += len(chunk)
                self.progress(f"审核 {done}/{total}")
            analyzed(Report, ReportVersion, ReportMove, LedgerEntry, rows=done)

    def _decide(self, pks: list[int]) -> None:
        loading = self.loading
        by = None if self.by.is_system else self.by
        submitted, accepted = workflow.hand_up_imported(pks, by=by)
        loading.decided_count += len(accepted.moved)
        for report, why in (*submitted.left_out, *accepted.left_out):
            loading.outcome = "rows_rejected"
            said = f"“{report.name}”没有上报和审核：{why}"
            self._tell(
                loading.errors,
                Finding("", 0, "", CODE, report.code, said, Topic.LOCKED, "党支部代码"),
            )


@lru_cache(maxsize=1000)
def _doubt_of_deadline(text: str, year: int) -> parsers.Doubt | None:
    return parsers.doubt_of_deadline(text, year)


def _settle(at: "_At", old, values: dict[str, Any]) -> None:
    """What is read from a text goes with it: kept where the text is what it was, else replaced,
    unknown parts too. A secretary that is named ends a vacancy."""
    for source, parts in DERIVED.items():
        if source not in values:
            continue
        for part in parts:
            if part in at.given:
                continue
            if values[source] == old[source]:
                values.pop(part, None)
            else:
                values.setdefault(part, None)
    if values.get("secretary_name") and old["secretary_vacant_since"]:
        values.setdefault("secretary_vacant_since", None)


class _Order:
    """Which superior the rows of a sheet stand under, as they come."""

    def __init__(self, import_: _Import, table: Table):
        self.import_, self.table, self.matcher = import_, table, import_.matcher
        self.outer: list[Place] = []  # those whose headings the following rows stand under
        self.unknown: tuple[Line, Match] | None = None  # a heading that names no superior
        self.lost: Match | None = None  # why the superior of the following rows is not known
        name = table.sheet.name
        if name:  # a sheet may have the name of the superior of its rows
            self.matcher.learn_superiors([name])
            if found := self.matcher.superior_exactly(name):
                self.outer.append(found)

    def of(self, piece: list[Line]) -> list[tuple["_At", Place | Match | None]]:
        """Data rows with their superior or why it is not known."""
        headings = {line.alone for line in piece if line.alone}
        if has_column := SUPERIOR in self.table.headings:
            headings |= {line.texts[SUPERIOR] for line in piece}
        self.matcher.learn_superiors(headings)
        rows = []
        for line in piece:
            at = _At(self.import_, self.table, line)
            if at.answers.get(SKIP):
                self.import_._skip(at.sheet, at.number, "", "按您的选择没有读取")
                continue
            if line.alone and self._is_group(at, line):
                continue
            if self.unknown:
                self._tell_unknown()
            superior = self.lost or (self.outer[-1] if self.outer else None)
            text = line.texts[SUPERIOR].strip() if has_column else ""
            if text:
                match = self.matcher.superior(text, self.outer[:1])
                superior = match if match.error else match.place
            rows.append((at, superior))
        return rows

    def _is_group(self, at: "_At", line: Line) -> bool:
        """Take a lone text as the superior of the rows that follow, unless it is a row itself in
        which only the name is filled in."""
        answer = at.answers.get(CODE)
        match = self.matcher.superior(line.alone, self.outer)
        if answer:
            match = self.matcher.superior_by_code(answer)
        elif not match.place and is_branch_name(line.alone):
            return False
        self.end()
        self.lost = None
        code = match.place and match.place.code
        self.import_.loading.groups.append(
            {
                "sheet": at.sheet,
                "row": line.number,
                "name": line.alone.strip(),
                "organization_code": code,
            }
        )
        if match.place:
            while self.outer and not match.place.path.startswith(self.outer[-1].path):
                self.outer.pop()
            self.outer.append(match.place)
        elif match.error:
            self.unknown = line, match
            self.lost = Match(
                error=f"上级“{line.alone.strip()}”没有对应上，请先改正第{line.number}行"
            )
        else:
            self.outer.clear()
        return True

    def _tell_unknown(self) -> None:
        line, match = self.unknown
        self.unknown = None
        at = _At(self.import_, self.table, line)
        at.error(SUPERIOR, match.error, Topic.UNIT, match.candidates, asks=CODE)

    def end(self) -> None:
        """A heading without rows is only a line of text."""
        if self.unknown:
            line, _ = self.unknown
            self.import_._skip(
                self.table.sheet.name, line.number, "", "下面没有数据行，没有读取", line.alone
            )
            self.unknown = None


class _At:
    """A line of the file, to which errors and warnings belong."""

    __slots__ = ("answers", "blank", "given", "import_", "is_wrong", "line", "table", "texts")

    def __init__(self, import_: _Import, table: Table, line: Line):
        self.import_, self.table, self.line = import_, table, line
        self.is_wrong = False
        self.answers = import_.choices.get((table.sheet.name, line.number), {})
        self.texts = {**line.texts, **self.answers} if self.answers else line.texts
        self.blank, self.given = [], set()

    @property
    def sheet(self) -> str:
        return self.table.sheet.name

    @property
    def number(self) -> int:
        return self.line.number

    @property
    def where(self) -> Where:
        return self.sheet, self.number

    @property
    def obligatory(self) -> frozenset[str]:
        return self.table.obligatory

    @property
    def is_beyond(self) -> bool:
        """A text beyond the head shifts the columns of a file without cells."""
        return self.line.is_beyond and not self.sheet

    @property
    def fault_of_unit(self) -> str:
        return fault_of(self.texts.get(CODE, "")) or fault_of(self.texts.get(NAME, ""))

    @property
    def unit_field(self) -> str:
        """By what the line says which organization it is about."""
        return CODE if self.texts.get(CODE) or NAME not in self.table.headings else NAME

    def error(self, name: str, message: str, kind: str = Topic.VALUE, answers=(), asks="") -> None:
        self.is_wrong = True
        self.import_.wrong[self.sheet].add(self.number)
        self._tell(self.import_.loading.errors, name, message, kind, answers, asks)

    def warning(
        self, name: str, message: str, kind: str = Topic.UNSURE, answers=(), asks=""
    ) -> None:
        self._tell(self.import_.loading.warnings, name, message, kind, answers, asks)

    def _tell(self, told, name, message, kind, answers, asks) -> None:
        if len(told) >= MOST_TOLD:
            self.import_.loading.untold_count += 1
            return
        is_group = name == SUPERIOR and self.line.alone
        place = self.line.place if is_group else self.table.place_of(name)
        cell = f"{letter(place)}{self.number}" if place is not None else ""
        value = self.line.alone if is_group else self.texts.get(name, "")
        heading = label_of(name, self.table.headings)
        told.append(
            Finding(
                *(self.sheet, self.number, cell, name, str(value), message),
                *(kind, heading, asks if answers else "", tuple(answers)),
            )
        )
