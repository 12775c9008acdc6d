"""Where the ledger stands on a sheet that people made, and what each of its rows is.

The head is found by its words wherever it stands: below titles, of one to three rows, merged or
not, its columns in any order. Rows below it are data, a lone text (the superior of those that
follow), or what belongs to the paper: totals, signatures, notes, the head again on the next page.
Rows pass one by one; nothing of a sheet is kept but its head.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from ledger_site.base.readers.table import letter
from ledger_site.base.reading import Row, Sheet

from .columns import (
    COLUMNS,
    COUNTS,
    FACTS,
    FIELDS,
    FIRST_SECRETARY,
    FLOATING,
    PLAN,
    REVIEWED,
    SUPPORT,
)
from .parsers import compact

CODE, NAME, SUPERIOR = "branch_code", "branch_name", "superior"
LABELS = {CODE: "党支部代码", NAME: "党支部名称", SUPERIOR: "上级党组织"}
HEAD_ROWS = 3
LOOKED_AT = 60  # rows above which the head must begin
FEWEST = 8  # columns by which a table is taken for a ledger that lacks some
LISTED = 20  # row numbers told in one sentence


def _key(heading: str) -> str:
    return compact(heading).strip("*:").replace("台帐", "台账")


def _known() -> dict[str, str]:
    """Identifier by heading, in every form we know of."""
    known = {
        CODE: (CODE, "党支部代码", "党组织代码", "组织代码", "代码"),
        SUPERIOR: (
            *("上级党组织", "上级党组织名称", "所属党组织", "所属党委", "直接上级"),
            *("乡镇", "乡镇（街道）", "乡镇街道", "所属乡镇", "所在乡镇", "乡镇名称"),
        ),
    }
    for spec in COUNTS:
        known[spec.name] = (spec.label, *spec.source_names)
    for column in COLUMNS:
        spec = column.field
        names = (column.heading, column.heading2, *column.synonyms)
        known[spec.name if spec else NAME] = (*names, *(spec.source_names if spec else ()))
        for part in column.parts:
            known[part.name] = (part.label, *part.source_names)
    found = {_key(word): name for name, words in known.items() for word in words if word}
    return {name: name for name in FIELDS} | found


KNOWN = _known()
HEADS = frozenset((FACTS, PLAN))  # above several columns
IGNORED = frozenset(("序号", "编号", "行号", "备注", "附注"))
# What a ledger can't do without. 第一书记 is only in 附件三; the superior's grade where asked for.
OBLIGATORY = tuple(
    (column.field.name, column.heading)
    for column in COLUMNS
    if column.field and not column.is_decision and column.heading2 is not None
)

_TOTAL = re.compile(r".{0,12}(?:合计|总计|小计|共计|累计)(?:\(.*\))?:?")
_SIGNED = re.compile(
    r"(?:填报|填表|制表|审核|审批|报送|主管|单位|分管|经办)(?:单位|人|日期|时间|领导|负责人)*"
    r"(?:\((?:盖章|公章|签字|签名|签章)\))?:.*"
)
_NOTE = re.compile(r"(?:注|备注|说明|填表说明|填报说明|附注)\d?:.*|附件.{0,3}:?|[※*].*")
_NUMBERING = re.compile(r"\(?(?:\d{1,2}|[甲乙丙丁一二三四五六七八九十]{1,2}|[A-Za-z])\)?")
_COUNTED = re.compile(r"(?:共)?\d+个?(?:党?支部)?")


class Line(NamedTuple):
    """A row below the head: texts by identifier; `alone` where there is but one text in it, at
    the column `place`."""

    number: int
    texts: dict[str, str]
    alone: str = ""
    place: int = 0
    is_hidden: bool = False
    is_beyond: bool = False  # there is a text in a column without a heading


class Skipped(NamedTuple):
    """What was read over, and why."""

    row: int
    text: str
    why: str


class Fault(NamedTuple):
    """What is wrong with the head: at which cell, which column, and what to do."""

    row: int
    place: int | None
    name: str
    heading: str
    message: str


@dataclass
class Table:
    """The ledger of one sheet. `rows` are those below the head."""

    sheet: Sheet
    row: int  # of the head's last row
    columns: dict[int, str]  # identifier by place
    headings: dict[str, str]  # as they stand there, by identifier
    ignored: dict[int, str]
    faults: list[Fault]
    rows: Iterator[Row]
    skipped: list[Skipped] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)
    unheaded: dict[int, int] = field(default_factory=dict)  # first row with a text, by place

    @property
    def is_ledger(self) -> bool:
        """Whether the table is a ledger, if with faults, and not something else."""
        found = set(self.columns.values())
        return bool(found & {CODE, NAME}) and (not self.faults or len(found) >= FEWEST)

    @cached_property
    def obligatory(self) -> frozenset[str]:
        """The fields that no row may leave blank: of the columns that are there, but members on
        the move, who may be unknown, and 帮扶单位 where the form is not that of villages."""
        free = {FLOATING.name}
        if FIRST_SECRETARY.name not in self.headings:
            free.add(SUPPORT.name)
        names = {name for name in self.headings if name in FIELDS and FIELDS[name].is_required}
        return frozenset(names - free)

    def check(self, is_reviewed: bool) -> list[Fault]:
        """Every fault of the head, the superior's grade counted where it is asked for."""
        faults = list(self.faults)
        if is_reviewed and REVIEWED.name not in self.headings:
            heading = next(c.heading for c in COLUMNS if c.field is REVIEWED)
            faults.append(_missing(REVIEWED.name, heading, self.row))
        return faults

    def place_of(self, name: str) -> int | None:
        """Where a field stands; a part that has no column of its own in the column it is of."""
        places = {n: place for place, n in self.columns.items()}
        whole = next(
            (c.field.name for c in COLUMNS if c.field and name in (p.name for p in c.parts)), name
        )
        if name in (CODE, NAME):
            return places.get(name, places.get(NAME, places.get(CODE)))
        return places.get(name, places.get(whole))

    def lines(self) -> Iterator[Line]:
        """Data rows and lone texts in their order; the rest is noted in `skipped`."""
        columns, ignored = self.columns, self.ignored
        name_place = next((p for p, n in columns.items() if n == NAME), None)
        code_place = next((p for p, n in columns.items() if n == CODE), None)
        is_first, is_head = True, False
        for row in self.rows:
            cells = row.cells
            filled = [
                (place, cell)
                for place, cell in enumerate(cells)
                if ((cell and not cell.isspace()) or fault_of(cell)) and place not in ignored
            ]
            if not filled:
                continue
            place, text = filled[0]
            name = cells[name_place] if name_place is not None and name_place < len(cells) else ""
            if (not name and (code_place is None or len(cells) <= code_place)) or (
                _key(name) in KNOWN or is_head
            ):
                is_head = _is_head(row)
                if is_head:
                    self.skipped.append(Skipped(row.number, text, "重复的表头"))
                    continue
            if is_first and len(filled) >= 5 and all(_is_numbering(cell) for _, cell in filled):
                self.skipped.append(Skipped(row.number, text, "栏次编号"))
                continue
            if not text.isascii() and (why := _why_skipped(text)):
                self.skipped.append(Skipped(row.number, text, why))
                continue
            is_first = False
            if row.is_hidden:
                self.hidden.append(row.number)
            texts = {n: cells[p] if p < len(cells) else "" for p, n in columns.items()}
            alone = text if _is_alone(filled) else ""
            if alone and _is_prose(alone):
                self.skipped.append(Skipped(row.number, text, "说明文字"))
                continue
            beyond = [] if alone else [other for other, _ in filled if other not in columns]
            for other in beyond:
                self.unheaded.setdefault(other, row.number)
            yield Line(row.number, texts, alone, place, row.is_hidden, bool(beyond))


def fault_of(cell: str) -> str:
    """Why a cell can't be used; plain texts can."""
    return "" if cell.__class__ is str else cell.fault


def _why_skipped(text: str) -> str:
    word = compact(text[:80])
    if _TOTAL.fullmatch(word):
        return "合计行"
    if _SIGNED.fullmatch(word):
        return "落款"
    if _NOTE.fullmatch(word):
        return "说明文字"
    return ""


def _is_alone(filled: list[tuple[int, str]]) -> bool:
    """One text, over merged columns perhaps, or with a count of what follows beside it."""
    if any(fault_of(cell) for _, cell in filled):
        return False
    others = {cell for _, cell in filled} - {filled[0][1]}
    return not others or (
        len(filled) <= 3 and all(_COUNTED.fullmatch(compact(cell)) for cell in others)
    )


def _is_prose(text: str) -> bool:
    """A sentence, or the title of the table on its next page, is no name of a unit."""
    word = compact(text)
    return (
        len(word) > 60 or "台账" in word or "台帐" in word or bool(re.search("[。；;!！?？]", word))
    )


def _is_numbering(cell: str) -> bool:
    return bool(_NUMBERING.fullmatch(compact(cell)))


# ---------------------------------------------------------------- the head


def _identifier(heading: str) -> str | None:
    """What a heading means, without a remark in brackets behind it if need be."""
    key = _key(heading)
    return KNOWN.get(key) or KNOWN.get(re.sub(r"\([^()]*\)$", "", key))


def _is_head(row: Row) -> bool:
    """Whether at least half of the words of a row, and two of them, are those of a head."""
    words = {_key(cell) for cell in row.cells if cell and len(cell) < 60} - {""}
    if not words or any(len(cell) >= 60 for cell in row.cells):
        return False
    known = [w for w in words if w in HEADS or w in IGNORED or _identifier(w)]
    return len(known) * 2 >= len(words) and (len(known) > 1 or len(words) == 1 == len(row.cells))


def recognize(sheet: Sheet) -> Table | None:
    """Find the ledger of a sheet; `None` where no row is like a head.

    A table that has some of the columns comes with its faults; whether it is one is asked of it.
    """
    rows, best, seen = iter(sheet.rows), None, 0
    row = next(rows, None)
    while row is not None and seen < LOOKED_AT:
        seen += 1
        if not _is_head(row):
            row = next(rows, None)
            continue
        head = [row]
        while (row := next(rows, None)) is not None and len(head) < HEAD_ROWS and _is_head(row):
            head.append(row)
        below = chain(() if row is None else (row,), rows)
        table = _table_of(sheet, head, below)
        if table.columns and table.is_ledger:
            return table
        if best is None or len(table.columns) > len(best.columns):
            best = table
        rows, row = below, None
        row = next(rows, None)
    return best


def _table_of(sheet: Sheet, head: list[Row], below: Iterator[Row]) -> Table:
    number = head[-1].number
    columns, headings, ignored, faults, places = {}, {}, {}, [], {}
    for place in range(max(len(row.cells) for row in head)):
        above = [(r.number, r.cells[place]) for r in head if place < len(r.cells)]
        above = [(at, cell) for at, cell in above if _key(cell)]
        if not above:
            continue
        at, heading = above[-1]
        name = _identifier(heading) or _identifier("".join(dict.fromkeys(c for _, c in above)))
        key = _key(heading)
        if name:
            places.setdefault(name, []).append((at, place, heading))
        elif key in IGNORED:
            ignored[place] = heading
        elif key not in HEADS:
            faults.append(
                Fault(at, place, heading, heading, "不认识这一列，请改成表样中的列名或删除")
            )
    for name, found in places.items():
        at, place, heading = found[0]
        columns[place], headings[name] = name, "".join(heading.split())
        if len(found) > 1:
            cells = "、".join(f"{letter(p)}{n}" for n, p, _ in found)
            faults += [
                Fault(n, p, name, text, f"{cells} 的列名相同，这一列重复，请只留一列")
                for n, p, text in found
            ]
    if not {CODE, NAME} & set(headings):
        faults.append(_missing(NAME, f"{LABELS[NAME]}（或{LABELS[CODE]}）", number))
    faults += [_missing(n, heading, number) for n, heading in OBLIGATORY if n not in headings]
    columns = dict(sorted(columns.items()))
    return Table(sheet, number, columns, headings, ignored, faults, below)


def _missing(name: str, heading: str, row: int) -> Fault:
    return Fault(row, None, name, heading, f"缺少“{heading}”一列（表头在第{row}行），请补上")


def listed(numbers: Iterable[int | str]) -> str:
    """5、7、9 for a sentence, many of them cut."""
    numbers = list(map(str, numbers))
    more = f"等{len(numbers)}个" if len(numbers) > LISTED else ""
    return "、".join(numbers[:LISTED]) + more


def label_of(name: str, headings: Mapping[str, str]) -> str:
    """How a column is called in the file, else by us."""
    return (
        headings.get(name) or LABELS.get(name) or (FIELDS[name].label if name in FIELDS else name)
    )
