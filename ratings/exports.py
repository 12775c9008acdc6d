"""附件一, 附件二 and 附件三 as workbooks, in the form of the notice.

The sheets of one unit agree with one another and with the page: figures come from
`ratings/summary.py`, and the ledger holds just the rows that are counted there, with the values
that were counted. All is read from one snapshot of the database, rows in chunks.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from ledger_site.base import sheets
from ledger_site.base.db import snapshot
from ledger_site.base.progress import Tell, counted, untold
from ledger_site.base.sheets import CONTENT_TYPE, Book, Column, Row, TooLarge, Written
from ledger_site.base.workflow import TransitionRefused
from orgs.models import Category
from orgs.names import short_name_of

from . import behind, sight
from . import movement as moved
from .choices import CycleState, Form, Grade, State
from .columns import COLUMNS, FIELDS, TARGET, Field
from .models import Report
from .movement import FALLEN, MISSED, RISEN, Movement
from .querysets import EXCUSED, STEP, ancestors, from_path, line_of, successor
from .summary import Basis, Figures, Line, Summary, by_category, excused_paths, share

__all__ = ["CONTENT_TYPE", "file_name", "title_of", "write", "write_split"]

SUMMARY, LEDGER = "情况汇总表", "目标管理工作台账"
SHEETS = {  # name of the sheet, kind of table
    Form.ANNEX1: ("附件一", SUMMARY),
    Form.ANNEX1_LIST: ("附件一（逐个党组织）", SUMMARY),
    Form.ANNEX2: ("附件二", LEDGER),
    Form.ANNEX3: ("附件三", LEDGER),
}
NOTES = "说明"  # the name of its sheet
TEMPLATE = "模板标识"  # the line there which says what a template was made for
NUMBER, TENTHS = "0", "0.0"
CHUNK = 2000  # rows read at once
RANGES = 200  # of paths in one query; SQLite allows no more than a thousand terms
LISTED = 100  # names of one kind on the sheet 说明
PIECE = 500  # rows of which the next round is looked up at once
ABOUT = (
    *("path", "organization_id", "parent_id", "name", "short_name", "order_id"),
    "category__name",
)
LISTED_NAMES = (
    "secretary_name",
    "declared_grade",
    "reviewed_grade",
    "target_grade",
    "deadline_text",
    "responsible_name",
)


# ---------------------------------------------------------------- names


def unit_of(report: Report) -> str:
    """蓝山县 for 中共蓝山县委员会, as titles of ledgers have it."""
    return short_name_of(report.name, [])


def _table(form: Form, report: Report) -> str:
    cycle = report.cycle
    period = f"{cycle.year}年度" + (f"第{cycle.round}次" if cycle.round > 1 else "")
    return f"基层党组织分类定级晋位升级{SHEETS[form][1]}（{period}）"


def title_of(form: Form, report: Report) -> str:
    return unit_of(report) + _table(form, report)


def file_name(form: Form, report: Report, day: date) -> str:
    return sheets.file_name(unit_of(report), f"{_table(form, report)}_{day:%Y%m%d}.xlsx")


# ---------------------------------------------------------------- the door


def write(form: Form, report: Report, post, stream, tell: Tell = untold) -> int:
    """Write the workbook of a report into a binary stream; returns the number of rows.

    For 附件一 these are the direct subordinates, else the rated organizations counted there.
    What the post may have is what `sight.figures_of` shows it; raises `TransitionRefused` where
    that is nothing, and writes nothing then, or where it is more than a workbook holds.
    """
    form = Form(form)
    with _source(report, post) as source:
        part = _Part(source.report, _told(form, source, tell))
        return _write_book(form, source, part, stream)


def _told(form: Form, source: "_Source", tell: Tell) -> Iterator[dict[str, Any]]:
    return counted(source.rows(form), "写入表格", source.summary.total.total, tell)


def write_split(form: Form, report: Report, post, stream, tell: Tell = untold) -> dict[str, int]:
    """Write a zip with a workbook for each direct subordinate of which rows are counted; returns
    their names and numbers of rows, in the order of the tree.

    Together they hold the rows that `write` would write, in its order and under the same rules.
    Raises `TransitionRefused` as `write`, and where there is nothing to split.
    """
    form, day, names = Form(form), timezone.localdate(), {}
    if form == Form.ANNEX1:
        raise TransitionRefused("附件一汇总表每个直接下级一行，不需要分开导出")
    with _source(report, post) as source:
        report, depth = source.report, len(source.report.path) + STEP
        if not report.has_subordinates:
            raise TransitionRefused(f"“{report.name}”没有直接下级，不能分开导出")
        if not source.summary.total.total:
            raise TransitionRefused(f"“{report.name}”没有审核通过的台账行，不能分开导出")
        # For their names: what is given of them is what the rows of the whole are.
        units = {unit.path: unit for unit in Report.objects.filter(parent=report)}
        with ZipFile(stream, "w", ZIP_STORED) as archive, tempfile.TemporaryDirectory() as folder:
            for path, rows in groupby(_told(form, source, tell), lambda row: row["path"][:depth]):
                unit = units[path]
                unit.cycle = report.cycle
                file = Path(folder) / "part.xlsx"
                with file.open("wb") as part:
                    count = _write_book(form, source, _Part(unit, rows), part)
                name = _unique(file_name(form, unit, day), unit.code, names)
                archive.write(file, name)
                names[name] = count
    return names


def _unique(name: str, code: str, taken) -> str:
    """Units of one short name are told apart by their codes."""
    return name if name not in taken else sheets.file_name(name[: -len(".xlsx")], f"_{code}.xlsx")


@contextmanager
def _source(report: Report, post) -> Iterator["_Source"]:
    """What the post may have of a report, at one moment of the database."""
    with snapshot(from_replica=True):
        report = (
            Report.objects.visible_to(post)
            .select_related("cycle", "organization", "parent", "category", "order")
            .filter(pk=report.pk)
            .first()
        )
        if report is None:
            raise TransitionRefused("没有这个党组织的报送件")
        summary = sight.figures_of(report, post)
        if summary is None:
            state = report.get_state_display()
            raise TransitionRefused(f"“{report.name}”{state}，没有可以导出的上报数据")
        yield _Source(report, post, summary)


def _write_book(form: Form, source: "_Source", part: "_Part", stream) -> int:
    try:
        with Book(stream, title_of(form, part.unit), source.post.unit_name) as book:
            written = _WRITERS[form](book, form, source, part)
            notes = _notes(form, source, part, written)
            book.add(*sheets.notes(NOTES, "填报说明", notes))
    except TooLarge as error:
        raise TransitionRefused(
            f"“{part.unit.name}”的{error}，一个工作簿放不下，"
            "请按直接下级分开导出（命令 export_ledger 加 --split）"
        ) from None
    return written.row_count


# ---------------------------------------------------------------- what is counted


@dataclass
class _Part:
    """The rows of a workbook and the unit that it is named after: the report itself, or one of
    its direct subordinates where they are split."""

    unit: Report
    rows: Iterable[dict[str, Any]]
    stored_count: int = 0  # rows that were given from versions

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self.rows:
            self.stored_count += row["is_stored"]
            yield row


@dataclass
class _Source:
    """The figures of a report and the rows that they count."""

    report: Report
    post: Any
    summary: Summary
    unlisted: int = 0  # rows of the next round under units that have no line

    @cached_property
    def later(self) -> Summary | None:
        return _later(self.report, self.post)

    @property
    def is_stored(self) -> bool:
        return behind.is_stored(self.summary)

    def rows(self, form: Form) -> Iterator[dict[str, Any]]:
        """The counted rows in the order of the tree, with what the form shows of them.

        They are those of `behind.walk`; what is as it was is read in chunks.
        """
        report, names = self.report, _names_of(form)
        if not report.has_subordinates:
            if any(line.is_counted for line in self.summary.lines):
                place = report.path, successor(report.path)
                yield from self._live([place], frozenset(), names)
            return
        excused, descended, ranges = set(excused_paths(report)), set(), []
        for found in behind.walk(report, behind.listed_in(self.summary), descended):
            if found.report:
                yield from self._live(ranges, excused - descended, names)
                ranges = []
                yield _stored_row(found.report, found.values)
            elif ranges and ranges[-1][1] == found.start:  # the neighbour
                ranges[-1] = (ranges[-1][0], found.end)
            else:
                if len(ranges) == RANGES:
                    yield from self._live(ranges, excused - descended, names)
                    ranges = []
                ranges.append((found.start, found.end))
        yield from self._live(ranges, excused - descended, names)

    def _live(self, ranges, excused, names) -> Iterator[dict[str, Any]]:
        """Rows as they are now, between these paths, without those under `excused` ones."""
        if not ranges:
            return
        places = Q()
        for start, end in ranges:
            places |= Q(path__gte=start, path__lt=end)
        rows = (
            Report.objects.of(self.report.cycle_id)
            .filter(places, is_rated=True, is_row_excused=False)
            .exclude(state=State.EXCUSED)
            .order_by("path")
            .values_list(*ABOUT, *(f"entry__{name}" for name in names))
        )
        keys = (*ABOUT, *names, "is_stored")
        for values in rows.iterator(chunk_size=CHUNK):
            row = dict(zip(keys, (*values, False), strict=True))
            if excused and not excused.isdisjoint(ancestors(row["path"])):
                continue
            yield row

    @cached_property
    def labels(self) -> dict[str, str]:
        """By path: how a group row names an organization with subordinates, the report's own too.

        The short name where it is single here, else with as many superiors before it as make it so
        (蓝山县 / 土市乡), else the official name.
        """
        top = len(self.report.path)
        units = {
            path: (short, name)
            for path, short, name in Report.objects.of(self.report.cycle_id)
            .filter(from_path(self.report.path), has_subordinates=True)
            .values_list("path", "short_name", "name")
        }
        labels = {path: short for path, (short, _) in units.items()}
        for depth in range(2, max(map(len, units), default=0)):
            counts = Counter(labels.values())
            twice = [path for path, label in labels.items() if counts[label] > 1]
            if not twice:
                break
            for path in twice:
                line = [p for p in line_of(path) if len(p) > top][-depth:]
                if len(line) == depth:
                    labels[path] = " / ".join(units[p][0] for p in line)
                else:
                    labels[path] = units[path][1]
        return labels

    @cached_property
    def twice(self) -> set[tuple[int, str]]:
        """(superior, short name) that several rows share: these are written with the full name."""
        found = (
            Report.objects.below(self.report)
            .filter(is_rated=True)
            .order_by()
            .values_list("parent_id", "short_name")
            .annotate(n=Count("pk"))
            .filter(n__gt=1)
        )
        return {(parent, name) for parent, name, _ in found}

    def superior_of(self, row) -> str:
        if self.report.has_subordinates:
            return self.labels[row["path"][:-STEP]]
        return self.report.parent.short_name if self.report.parent_id else ""

    def name_of(self, row) -> str:
        is_single = (row["parent_id"], row["short_name"]) not in self.twice
        return row["short_name"] if is_single else row["name"]


def _stored_row(report: Report, values) -> dict[str, Any]:
    row = {name: getattr(report, name) for name in ABOUT[:-1]}
    row["category__name"] = report.category.name if report.category_id else None
    return row | values | {"is_stored": True}


# ---------------------------------------------------------------- 附件一


def _count(*heads: str, width: float = 7) -> Column:
    return Column(heads, width, number_format=NUMBER)


RESULT = "晋位升级结果"


def _figure_columns(heading: str, *, has_result: bool) -> tuple[Column, ...]:
    grades = (
        column
        for grade in Grade.labels
        for column in (
            _count("分类定级情况", grade, "个数"),
            Column(("分类定级情况", grade, "%"), 7, number_format=TENTHS),
        )
    )
    plans = ("巩固提高", "较好→好", "一般→较好及以上", "较差→一般及以上")
    return (
        Column(("序号",), 6, number_format=NUMBER),
        Column((heading,), 32),
        _count("党支部总数", width=9),
        _count("已定级数", width=9),
        *grades,
        *(_count("晋位升级目标", plan, width=10) for plan in plans),
        *(_result_columns() if has_result else ()),
        Column(("备注",), 28, is_left=True),
    )


def _result_columns() -> Iterator[Column]:
    for grade in Grade.labels:
        yield _count(RESULT, grade)
    yield _count(RESULT, "实现晋位升级数", width=10)
    yield Column((RESULT, "晋位率%"), 9, number_format=TENTHS)
    yield _count(RESULT, "未达目标数", width=9)
    yield _count(RESULT, "降级数")


def _result(of: Movement) -> list[Any]:
    """The result columns, of the rows as the next round rated them."""
    kinds, (risen, *_) = of.kinds(), of.rates()
    return [
        *of.now.values(),
        kinds[RISEN],
        _share(risen.count, risen.whole),
        kinds[MISSED],
        kinds[FALLEN],
    ]


def _later(report: Report, post) -> Summary | None:
    """The figures of the same organization in the next round; None without one that the post may
    see the figures of."""
    later = Report.objects.visible_to(post).filter(
        organization=report.organization_id, cycle__previous=report.cycle_id
    )
    later = later.exclude(cycle__state=CycleState.PREPARING).order_by("cycle")
    later = later.select_related("cycle__previous", "parent", "category").first()
    if later is None or not (later.organization_id == post.organization_id or later.is_standing):
        return None
    return sight.figures_of(later, post)


def _figures(figures: Figures, expected: int | str) -> list[Any]:
    values = [expected, figures.total]
    for count in figures.reviewed.values():
        values += [count, _share(count, figures.total)]
    return values + list(figures.plans.values())


def _share(count: int, whole: int) -> float | str:
    text = share(count, whole)
    return text if whole == 0 else float(text)


def _summary_rows(
    lines: Sequence[Line], whole: Figures, expected, remark, result=lambda line: ()
) -> Iterator[Row]:
    """`result` gives the result columns of a line, None stands for the whole."""
    for number, line in enumerate(lines, 1):
        figures = _figures(line.figures, expected(line.figures))
        yield Row([number, line.name, *figures, *result(line), remark(line)])
    yield sheets.total([None, "合计", *_figures(whole, expected(whole)), *result(None), None])


def _remark(line: Line, is_stored: bool) -> str:
    """备注: 免报 with its reason, what is missing and why, a running correction.

    Beside figures of an older version nothing is said of what became of the line since.
    """
    if line.state == State.EXCUSED:
        return line.note
    said, inside = [], line.figures.excused
    if line.note:  # a rated unit with subordinates, whose own row alone is excused
        said.append(f"本级{line.note}")
        inside -= 1
    if inside > 0:
        said.append(f"下级免报{inside}个")
    if is_stored:
        pass
    elif line.is_counted:
        if line.state != State.ACCEPTED:
            said.append("更正中，按上次审核通过的版本统计")
    else:
        said.append(
            {
                State.DRAFT: "未报",
                State.RETURNED: "已退回，未重新上报",
                State.SUBMITTED: "已上报，待审核",
            }[State(line.state)]
        )
    return "；".join(said)


def _foot(report: Report) -> tuple[str, ...]:
    date_line = "填报日期：　　　年　　月　　日"
    return f"填报单位（盖章）：{report.name}", "填报人：", "审核人：", date_line


def _write_summary(book: Book, form: Form, source: _Source, part: _Part) -> Written:
    report, summary = source.report, source.summary
    name, title, whole = SHEETS[form][0], title_of(form, report), summary.total
    later, results = source.later, {}
    has_result = later is not None
    units = dict(Report.objects.filter(parent=report).values_list("pk", "organization"))
    units[report.pk] = report.organization_id
    if has_result:
        lines = moved.lines_of(later.report, later)
        results = {line.report.organization_id: line.movement for line in lines}
    # Units that came since have no line here, so their rows are in no line and in no total.
    shown = [results.pop(units[line.pk], Movement()) for line in summary.lines]
    results_of = dict(zip((line.pk for line in summary.lines), shown, strict=True))
    all_results = sum(shown, Movement())
    source.unlisted = sum(results.values(), Movement()).total

    def of_unit(line):
        if not has_result:
            return ()
        return _result(all_results if line is None else results_of[line.pk])

    def of_category(line):
        if not has_result:
            return ()
        return _result(all_results if line is None else all_results.of(line.code))

    written = book.add(
        sheets.Form(
            name, title, _figure_columns("基层党组织名称", has_result=has_result), _foot(report)
        ),
        _summary_rows(
            summary.lines,
            whole,
            lambda figures: figures.expected,
            lambda line: _remark(line, source.is_stored),
            of_unit,
        ),
    )
    rows = Category.sheet_rows()
    found = {line.code: line for line in by_category(summary, rows)}
    for row in all_results.categories:  # a branch may have changed its own since
        found.setdefault(row, Line(row, row or "未分领域", Figures()))
    lines = [found.pop(row, None) or Line(row, row, Figures()) for row in rows]
    # What is not decided yet is not known by category.
    is_known = whole.missing == 0
    book.add(
        sheets.Form(
            f"{name}（按领域类别）",
            title,
            _figure_columns("领域类别", has_result=has_result),
            _foot(report),
        ),
        _summary_rows(
            [*lines, *found.values()],
            whole,
            lambda figures: figures.expected if is_known or figures is whole else "—",
            lambda line: None,
            of_category,
        ),
    )
    return written


# ---------------------------------------------------------------- rows


def _list_columns(*, has_result: bool) -> tuple[Column, ...]:
    def grade(*heads):
        return Column(heads, 10, choices=tuple(Grade.labels))

    return (
        Column(("序号",), 7, number_format=NUMBER),
        Column(("上级党组织",), 32),
        Column(("党组织名称",), 32),
        Column(("领域类别",), 12),
        Column(("书记姓名",), 12),
        grade("分类定级情况", "申报"),
        grade("分类定级情况", "审核"),
        grade("晋位升级目标"),
        Column(("整改时限",), 18),
        Column(("整改责任人",), 14),
        *((grade(RESULT, "审核"), Column((RESULT, "结果"), 18)) if has_result else ()),
        Column(("备注",), 44, is_left=True),
    )


def _list_rows(source: _Source, part: _Part) -> Iterator[Row]:
    for number, (row, result) in enumerate(_with_results(source, part), 1):
        said = []
        if row["reviewed_grade"] != row["declared_grade"] and row["review_reason"]:
            said.append(f"审核说明：{row['review_reason']}")
        if row["order_id"]:
            said.append("更正中")
        yield Row(
            [
                number,
                source.superior_of(row),
                source.name_of(row),
                row["category__name"] or "",
                *(_field(name).show(row[name]) for name in LISTED_NAMES),
                *result,
                "；".join(said),
            ]
        )


def _with_results(source: _Source, part: _Part) -> Iterator[tuple[dict, Sequence[str]]]:
    """Each row with its result columns: the grade of the next round and what it is beside this
    one's; blank where it is not decided there yet, or not in sight."""
    later, rows = source.later, iter(part)
    while some := list(islice(rows, PIECE)):
        if later is None:
            yield from ((row, ()) for row in some)
            continue
        counted_there = moved.rows_of(later.report, summary=later)
        found = {
            organization: moved.row_of(*values)
            for organization, *values in counted_there.filter(
                organization__in=[row["organization_id"] for row in some]
            ).values_list("organization", *moved.PARTS)
        }
        for row in some:
            of = found.get(row["organization_id"])
            yield row, (Grade(of.now).label, moved.word(of)) if of else ("", "")


def _write_list(book: Book, form: Form, source: _Source, part: _Part) -> Written:
    unit = part.unit
    columns = _list_columns(has_result=source.later is not None)
    skeleton = sheets.Form(SHEETS[form][0], title_of(form, unit), columns, _foot(unit))
    return book.add(skeleton, _list_rows(source, part))


def _ledger_columns(form: Form) -> Iterator[tuple[Column, str | None]]:
    """The columns of 附件二 or 附件三: (of the sheet, identifier or None for the name). The target
    is the decided one."""
    for column in COLUMNS:
        heading = column.heading
        if form == Form.ANNEX2:
            if column.heading2 is None:
                continue
            heading = column.heading2 or heading
        spec = column.field
        yield (
            Column(
                (column.group, heading) if column.group else (heading,),
                column.width,
                is_left=bool(spec) and spec.widget == "text",
                number_format=NUMBER if column.is_number else "General",
                choices=tuple(Grade.labels) if spec and spec.choices is Grade else (),
            ),
            "target_grade" if spec is TARGET else spec and spec.name,
        )


def _field(name: str) -> Field:
    return TARGET if name == "target_grade" else FIELDS[name]


def _names_of(form: Form) -> tuple[str, ...]:
    """What of an entry the rows of a form are made of."""
    if form == Form.ANNEX1_LIST:
        return (*LISTED_NAMES, "review_reason")
    return tuple(name for _, name in _ledger_columns(form) if name)


def _ledger_rows(form: Form, source: _Source, part: _Part) -> Iterator[Row]:
    """Data rows; where there is more than one direct superior, a group row with its name before
    those that follow it."""
    names = [name for _, name in _ledger_columns(form)][1:]  # the first one is the organization's
    values_of = itemgetter(*names)
    # What is chosen is stored as a code; the rest is text and numbers, shown as it is stored.
    chosen = [
        (place, {None: None} | _field(name).labels)
        for place, name in enumerate(names, 1)
        if _field(name).choices
    ]
    labels = source.labels
    is_grouped, superior = len(labels) > 1, None
    for row in part:
        above = row["path"][:-STEP]
        if is_grouped and above != superior:
            superior = above
            yield sheets.group(labels[above])
        values = [source.name_of(row), *values_of(row)]
        for place, words in chosen:
            values[place] = words[values[place]]
        yield Row(values)


def _write_ledger(book: Book, form: Form, source: _Source, part: _Part) -> Written:
    unit = part.unit
    skeleton = sheets.Form(
        SHEETS[form][0],
        title_of(form, unit),
        [column for column, _ in _ledger_columns(form)],
        _foot(unit),
    )
    return book.add(skeleton, _ledger_rows(form, source, part))


_WRITERS = {
    Form.ANNEX1: _write_summary,
    Form.ANNEX1_LIST: _write_list,
    Form.ANNEX2: _write_ledger,
    Form.ANNEX3: _write_ledger,
}


# ---------------------------------------------------------------- template


def template_mark(report: Report) -> str:
    """What a template says of itself: the unit, the cycle and the version of the form."""
    return f"{report.code} {report.cycle.label} 第1版"


def template_rows(report: Report, post):
    """The rows that a template of this unit's is for: direct subordinates' and the own."""
    mine = Q(pk=report.pk) | Q(parent=report)
    return (
        Report.objects.visible_to(post)
        .of(report.cycle_id)
        .filter(mine, is_rated=True, is_row_excused=False)
        .exclude(state=State.EXCUSED)
        .order_by("path")
    )


def template_name(report: Report) -> str:
    return sheets.file_name(unit_of(report), f"台账导入模板（{report.cycle.title}）.xlsx")


def write_template(report: Report, post, stream) -> int:
    """Write 附件三 with the unit's own organizations, what is known of them and their codes, to be
    filled in and sent back; returns the number of rows. Raises `TransitionRefused` without any."""
    columns = list(_ledger_columns(Form.ANNEX3))
    names = ["proposed_target" if n == "target_grade" else n for _, n in columns[1:]]
    rows = template_rows(report, post).select_related("entry")
    skeleton = sheets.Form(
        SHEETS[Form.ANNEX3][0],
        title_of(Form.ANNEX3, report),
        [*(column for column, _ in columns), Column(("党支部代码",), 14)],
        _foot(report),
    )

    def made() -> Iterator[Row]:
        for row in rows.iterator(CHUNK):
            values = [FIELDS[name].show(getattr(row.entry, name)) for name in names]
            values = [
                int(v) if FIELDS[n].widget == "number" and v else v
                for n, v in zip(names, values, strict=True)
            ]
            yield Row([row.short_name, *values, row.code])

    with Book(stream, title_of(Form.ANNEX3, report), post.unit_name) as book:
        written = book.add(skeleton, made())
        if not written.row_count:
            raise TransitionRefused(f"“{report.name}”没有可以填报的直接下级台账行")
        book.add(*sheets.notes(NOTES, "填报说明", _template_notes(report)))
    return written.row_count


def _template_notes(report: Report) -> Iterator[tuple[str, str]]:
    if settings.DEMO:
        yield "提示", "演示环境，数据均为虚构"
    yield TEMPLATE, template_mark(report)
    yield "单位", f"{report.name}（代码{report.code}）"
    yield "批次", f"{report.cycle}（{report.cycle.label}）"
    yield "填写", "等次、目标从下拉列表中选择；书记空缺的留空；流动党员没有的填 0"
    yield "对应", "按“党支部代码”对应到党组织，请不要改动这一列；不填的行请整行删除"
    yield "上传", "填好后在“导入台账”页上传，核对无误再确认写入；上传不会自动上报"


# ---------------------------------------------------------------- 说明


def _notes(form: Form, source: _Source, part: _Part, written: Written) -> Iterator[tuple[str, str]]:
    report, post, summary = source.report, source.post, source.summary
    total = summary.total
    if settings.DEMO:
        yield "提示", "演示环境，数据均为虚构"
    yield "表名", title_of(form, report)
    yield "数据来源", "基层党组织分类定级晋位升级目标管理工作台账系统"
    yield "单位", f"{report.name}（代码{report.code}）"
    yield "批次", f"{report.cycle}（{report.cycle.label}）"
    yield "统计范围", _scope(report)
    if part.unit is not report:
        yield (
            "分册",
            f"按直接下级分开导出，本册为“{part.unit.name}”（代码{part.unit.code}）及其以下，"
            f"共{written.row_count}行；合计等其余各项为“{report.name}”全部",
        )
    yield "数据依据", _basis(source)
    if summary.version:
        version = summary.version
        at = sheets.moment(timezone.localtime(version.at))
        yield "上报版本", f"第{version.number}版，{at}上报"
        yield "版本摘要", f"SHA-256 {version.digest}"
    else:
        yield "上报版本", "本级尚未上报，没有版本"
    yield "生成时间", f"{sheets.moment(timezone.localtime())}（北京时间）"
    yield "生成人", f"{post.unit_name}　{post.person_name}"
    yield (
        "合计",
        f"党支部总数{total.expected}，已定级{total.total}，未报（未审核通过）{total.missing}，"
        f"免报{total.excused}",
    )
    yield (
        "数字口径",
        "党支部总数为纳入定级的党组织，不含免报；已定级数为上级已审核通过的；"
        "定级情况按上级审核的等次统计，不是申报的等次",
    )
    yield from _form_notes(form, source, written)
    yield from _lists(source)
    if part.stored_count:
        yield (
            "更正或退回",
            f"有{part.stored_count}行正在更正或已退回重填，本表为上次上报、审核通过的内容",
        )
    if written.cut:
        names = "、".join(written.cut[:LISTED])
        yield "打印不全", f"以下各行文字过长，行高已到上限，打印会显示不全，全文见单元格：{names}"


def _scope(report: Report) -> str:
    if not report.has_subordinates:
        return "本级台账行"
    own = "本级自己的台账行由上级汇总，不计入本表" if report.is_rated else "不含本级"
    return f"“{report.name}”以下纳入定级的全部党组织（{own}）"


def _basis(source: _Source) -> str:
    summary, report = source.summary, source.report
    if summary.basis is Basis.REVIEWING:
        said = "生成时本级已审核通过的直接下级，其余尚未计入，数字还会变化"
    elif report.order_id:
        said = f"正在更正（{report.order}），办结前为更正前上报的版本"
    elif source.is_stored:
        said = f"上次上报的版本；目前{report.get_state_display()}，尚未重新上报"
    else:
        said = "本级上报的版本"
    return f"{summary.basis.value}：{said}"


def _form_notes(form: Form, source: _Source, written: Written) -> Iterator[tuple[str, str]]:
    if form == Form.ANNEX1 and source.later:
        unlisted = f"；下一批次新增单位的{source.unlisted}个未列入" if source.unlisted else ""
        yield (
            RESULT,
            "下一批次已审核通过的，按其组织关系统计；晋位率为晋位数除以两批次可比、本批次不是“好”的"
            + unlisted,
        )
    if form == Form.ANNEX1_LIST and source.later:
        yield (
            RESULT,
            "下一批次的审核等次和结果；空白的是下一批次还没有审核通过，或者已不在本单位之下",
        )
    if form == Form.ANNEX1:
        yield (
            "占比",
            "以已定级数为分母，逐项四舍五入，保留一位小数；各项分别取舍，相加不一定等于100；"
            "分母为0的记“—”",
        )
        yield (
            "晋位升级目标",
            "按审核等次统计已确定目标的党组织：巩固提高为定“好”的；其余为目标高于现等次的",
        )
        yield "按领域类别", "尚有未报的党组织时，按领域类别的党支部总数不列，只列已定级数"
        return
    if not written.row_count:
        yield "台账行", "目前没有审核通过的台账行，本表为空"
    yield "台账行", "与附件一汇总表统计的党组织相同；“晋位升级目标”为上级确定的目标"
    if form != Form.ANNEX1_LIST:
        yield "分组行", "只写党组织名称的行，表示以下各行的上级；再次导入时请保留"


def _lists(source: _Source) -> Iterator[tuple[str, str]]:
    """Names of what is not in the sheet, 未报 and 免报 told apart (rule 9)."""
    report, lines = source.report, source.summary.lines
    missing = [
        f"{line.name}（{_remark(line, is_stored=False)}）"
        for line in lines
        if not line.is_counted and line.state != State.EXCUSED and not source.is_stored
    ]
    yield from _listed("未报的直接下级", missing, len(missing))
    direct = [f"{line.name}（{line.note}）" for line in lines if line.note]
    deeper = (
        Report.objects.visible_to(source.post)
        .below(report)
        .filter(EXCUSED)
        .exclude(parent=report)
        .order_by("path")
    )
    names = [
        f"{name}（免报：{reason}）"
        for name, reason in deeper.values_list("name", "excuse_reason")[:LISTED]
    ]
    count = deeper.count() if len(names) == LISTED else len(names)
    yield from _listed("免报", direct + names, len(direct) + count)


def _listed(item: str, names: list[str], count: int) -> Iterator[tuple[str, str]]:
    """Ten names a line, so that no cell grows too high."""
    shown = names[:LISTED]
    for first in range(0, len(shown), 10):
        text = "；".join(shown[first : first + 10])
        if first + 10 >= len(shown) and count > len(shown):
            text += f"；等{count}个"
        yield (item if first == 0 else "", text)
