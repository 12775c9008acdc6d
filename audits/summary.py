"""抽查结果: how often the checker agrees with the reviewed grade, and what was found."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from django.utils import timezone

from ledger_site.base import sheets
from ledger_site.base.sheets import Book, Column, Row
from ratings.choices import Grade
from ratings.exports import unit_of
from ratings.models import Report
from ratings.querysets import STEP
from ratings.summary import share

from .choices import Method, Stratum, Verdict
from .models import SampleRow, SpotCheck

BASIS = "一致率＝抽查意见与审核等次相同的个数 ÷ 有抽查意见且已审核的个数"


@dataclass
class Line:
    """Counts of one unit, one grade or all; the rate is that of agreement."""

    name: str
    sampled: int = 0
    examined: int = 0
    agreed: int = 0
    differed: int = 0

    def add(self, row: SampleRow) -> None:
        self.sampled += 1
        self.examined += row.is_examined
        self.agreed += row.is_agreed is True
        self.differed += row.is_agreed is False

    @property
    def compared(self) -> int:
        return self.agreed + self.differed

    @property
    def rate(self) -> str:
        """Percent with one decimal, “—” where nothing could be compared."""
        return share(self.agreed, self.compared)

    @property
    def cells(self) -> list:
        return [
            self.name,
            self.sampled,
            self.examined,
            self.compared,
            self.agreed,
            self.differed,
            self.rate,
        ]


@dataclass
class Item:
    """How the rows stand by one item of the list."""

    name: str
    counts: Counter = field(default_factory=Counter)

    @property
    def cells(self) -> list:
        return [self.name, *(self.counts[verdict] for verdict in Verdict)]


@dataclass
class Result:
    rows: list[SampleRow]
    total: Line
    units: list[Line]
    grades: list[Line]
    items: list[Item]


def result_of(check: SpotCheck) -> Result:
    """The result as it is now, of at most some hundred rows; a fixed number of queries."""
    rows = list(check.rows.select_related("report__parent").prefetch_related("findings", "files"))
    own = check.report
    length = len(own.path) + STEP
    units = Report.objects.filter(
        cycle=own.cycle_id, path__in={row.report.path[:length] for row in rows}
    ).order_by("path")
    by_unit = {unit.path: Line(unit.short_name) for unit in units}
    by_grade = {grade: Line(label) for grade, label in [*Grade.choices, ("", "未审核")]}
    items, total = {item: Item(item) for item in check.items}, Line("合计")
    for row in rows:
        for line in (total, by_unit[row.report.path[:length]]):
            line.add(row)
        if row.is_examined:
            by_grade[row.reviewed_grade].add(row)
        for one in row.findings.all():
            items.setdefault(one.item, Item(one.item)).counts[one.verdict] += 1
    grades = [line for line in by_grade.values() if line.sampled]
    return Result(rows, total, list(by_unit.values()), grades, list(items.values()))


def method_text(check: SpotCheck) -> str:
    """How the sample came about, in a sentence."""
    scope = "，".join(f"{label}：{value}" for label, value in check.scope) or "全部下级"
    text = f"{check.get_method_display()}，范围（{scope}）共{check.frame_count}个"
    if check.method == Method.RANDOM:
        unit = "%" if check.amount == "percent" else "个"
        text += f"，{check.get_amount_display()}{check.size}{unit}"
        if check.stratum != Stratum.NONE:
            text += f"，{check.get_stratum_display()}分层"
    if check.excluded:
        text += f"，不参加抽取{len(check.excluded)}个"
    return text


def file_name(check: SpotCheck) -> str:
    name = f"抽查结果（{check.title}）_{timezone.localdate():%Y%m%d}.xlsx"
    return sheets.file_name(unit_of(check.report), name)


def _counts(first: str) -> tuple[Column, ...]:
    heads = ("抽中", "已检查", "可比较", "一致", "不一致")
    return (
        Column((first,), 40),
        *(Column((head,), 12, number_format="0") for head in heads),
        Column(("一致率（%）",), 14),
    )


LIST = (
    Column(("序号",), 7, number_format="0"),
    Column(("党组织名称",), 32),
    Column(("上级党组织",), 28),
    Column(("审核等次",), 12, choices=tuple(Grade.labels)),
    Column(("抽查意见",), 12, choices=tuple(Grade.labels)),
    Column(("检查结论",), 70, is_left=True),
    Column(("抽查意见说明",), 40, is_left=True),
    Column(("检查人",), 14),
)


def write(check: SpotCheck, post, stream) -> int:
    """Write the result as a workbook; returns the number of rows of the list."""
    result = result_of(check)
    title = f"{unit_of(check.report)}{check.title}"
    foot = (f"抽查单位（盖章）：{check.report.name}", "填报人：", "审核人：", "填报日期：")
    with Book(stream, title, post.unit_name) as book:
        for name, first, lines in (
            ("按单位", "单位", result.units),
            ("按等次", "审核等次", result.grades),
        ):
            form = sheets.Form(name, f"{title}一致率（{name}）", _counts(first), foot)
            data = [Row(line.cells) for line in lines]
            book.add(form, [*data, sheets.total(result.total.cells)] if name == "按单位" else data)
        heads = (Column(("检查内容",), 30), *(Column((v,), 14) for v in Verdict.labels))
        form = sheets.Form("按检查内容", f"{title}检查结论", heads, foot)
        book.add(form, [Row(item.cells) for item in result.items])
        written = book.add(sheets.Form("名单", f"{title}名单", LIST, foot), _list(result.rows))
        notes = [("抽取方式", method_text(check)), ("调阅目的", check.purpose), ("口径", BASIS)]
        notes += [("抽样框校验码", check.frame_digest), ("随机种子", check.seed)]
        notes += [(f"不参加抽取：{name}", reason) for _, name, reason in check.excluded]
        book.add(*sheets.notes("说明", title, notes))
    return written.row_count


def _list(rows: Iterable[SampleRow]) -> Iterator[Row]:
    labels = dict(Grade.choices)
    for row in rows:
        said = [f"{one.item}：{one.said}" for one in row.findings.all()]
        yield Row(
            [
                row.number,
                row.report.short_name,
                row.report.parent.short_name,
                labels.get(row.reviewed_grade, ""),
                labels.get(row.opinion_grade, ""),
                "；".join(said),
                row.opinion,
                row.found_by,
            ]
        )
