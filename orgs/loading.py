"""Organizations from a table: every error with its line, or everything loaded."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from django.db import transaction

from ledger_site.base import trail
from ledger_site.base.db import retried, snapshot
from ledger_site.base.importing import Rejected
from ledger_site.base.reading import Row, Unreadable, digest_of, read
from ledger_site.base.trail import WithoutUnit

from . import changes, tree
from .choices import Kind
from .models import Category, Organization

REQUIRED = ("code", "parent_code", "name", "kind", "category")
OPTIONAL = ("short_name", "is_rated", "term_ends_on")
HEADINGS = {  # a table may have these words as its head instead
    "code": "代码",
    "parent_code": "上级代码",
    "name": "名称",
    "kind": "组织类型",
    "category": "领域类别",
    "short_name": "简称",
    "is_rated": "纳入定级",
    "term_ends_on": "届满日期",
}
DAY = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?", re.ASCII)
YES, NO = {"1", "是", "true", "TRUE"}, {"0", "否", "false", "FALSE"}


@dataclass(frozen=True)
class _Line:
    number: int
    values: dict[str, str]
    headings: dict[str, str]  # as the table has them

    def error(self, name: str, message: str) -> str:
        heading = self.headings.get(name, name)
        return f"第{self.number}行 {heading} “{self.values.get(name, '')}”：{message}"


def import_organizations(path: Path, *, by=None) -> tree.Loaded:
    """Load a CSV of organizations; the same file twice changes nothing.

    Columns code, parent_code, name, kind, category and optional short_name, is_rated (default:
    党支部 1, others 0), term_ends_on (blank: as it is). Raises `Rejected` with all errors of the
    file at once.
    """
    try:
        rows = read(path)[0].rows
        file = {"file": path.name, "digest": digest_of(path)}
        return load_rows(rows, by=by or WithoutUnit(), file=file)
    except Unreadable as error:
        raise Rejected([str(error)]) from None


def load_rows(
    rows: Iterable[Row],
    *,
    by,
    within=None,
    records_each: bool = False,
    file: Mapping[str, str] | None = None,
) -> tree.Loaded:
    """Load the rows of a table, its head first. Raises `Rejected` as `import_organizations`.

    `within`: a post beyond whose own unit and subtree nothing is touched or named. `records_each`
    as `tree.load` takes it. `file`: what the trail says of the file they come from.
    """
    lines, errors = _read(iter(rows))
    specs = _parse(lines, errors)
    _check_tree(lines, errors, within)
    if not errors and not lines:
        errors.append("文件中没有党组织，请检查内容")
    if errors:
        raise Rejected(errors)
    try:
        return _load(specs, by, records_each, file)
    except tree.StructureError as error:
        raise Rejected([str(error)]) from None


@retried
@transaction.atomic
def _load(specs: list[tree.Line], by, records_each: bool, file) -> tree.Loaded:
    loaded = tree.load(specs, by=by, records_each=records_each)
    changes.note_loaded(loaded.outcomes, by=by)
    if file:
        act = trail.Act("organization", None, "", file["file"], data=dict(file))
        act.data["rows"] = len(specs)
        trail.record("import", "导入党组织文件", [act], by=by)
    return loaded


def _read(rows) -> tuple[list[_Line], list[str]]:
    written = [cell.strip() for cell in next(rows).cells]
    names = {heading: name for name, heading in HEADINGS.items()}
    head = [names.get(cell, cell) for cell in written]
    is_chinese = any(cell in names for cell in written)
    missing = [name for name in REQUIRED if name not in head]
    unknown = [name for name in head if name not in REQUIRED + OPTIONAL]
    repeated = sorted({name for name in head if head.count(name) > 1})
    errors = []
    if missing:
        said = [HEADINGS[name] if is_chinese else name for name in missing]
        errors.append(f"第1行缺少列 {'、'.join(said)}，请补上表头")
    if unknown:
        errors.append(f"第1行有不认识的列 {'、'.join(unknown)}，请删除或改名")
    if repeated:
        errors.append(f"第1行的列 {'、'.join(repeated)} 重复，请只留一列")
    if errors:
        raise Rejected(errors)
    lines, headings = [], dict(zip(head, written, strict=True))
    for row in rows:
        if not any(cell.strip() for cell in row.cells):
            continue
        if len(row.cells) != len(head):
            errors.append(
                f"第{row.number}行有{len(row.cells)}格，表头有{len(head)}列，请检查逗号和引号"
            )
            continue
        cells = [cell.replace("\x00", "").strip() for cell in row.cells]
        lines.append(_Line(row.number, dict(zip(head, cells, strict=True)), headings))
    return lines, errors


def _parse(lines: list[_Line], errors: list[str]) -> list[tree.Line]:
    kinds = {kind.label: kind for kind in Kind}
    categories = dict(Category.objects.values_list("name", "pk"))
    limits = {name: Organization._meta.get_field(name).max_length for name in ("code", "name")}
    specs = []
    for line in lines:
        values, found = line.values, []
        for name, most in limits.items():
            if not values[name]:
                found.append(line.error(name, "不能为空"))
            elif len(values[name]) > most:
                found.append(line.error(name, f"超过{most}个字，请缩短"))
        for name in ("code", "name", "short_name"):
            if not values.get(name, "").isprintable():
                found.append(line.error(name, "有不能显示的字符，请重新输入"))
        if len(values.get("short_name", "")) > limits["name"]:
            found.append(line.error("short_name", f"超过{limits['name']}个字，请缩短"))
        if values["kind"] not in kinds:
            found.append(line.error("kind", f"只能是{'、'.join(kinds)}"))
        if values["category"] and values["category"] not in categories:
            found.append(line.error("category", f"只能是{'、'.join(categories)}"))
        rated = values.get("is_rated", "")
        if rated and rated not in YES | NO:
            found.append(line.error("is_rated", "只能填 1（是）或 0（否）"))
        term = values.get("term_ends_on", "")
        term_ends_on = _day(term)
        if term and term_ends_on is None:
            found.append(line.error("term_ends_on", "不是日期，请写成 2013-06-30"))
        if not found:
            specs.append(
                tree.Line(
                    values["code"],
                    values["parent_code"],
                    values["name"],
                    kinds[values["kind"]],
                    categories.get(values["category"]),
                    values.get("short_name") or None,
                    None if not rated else rated in YES,
                    term_ends_on,
                )
            )
        errors.extend(found)
    return specs


def _day(text: str) -> date | None:
    found = DAY.fullmatch(text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _check_tree(lines: list[_Line], errors: list[str], within) -> None:
    """Duplicates, unknown superiors and circles within the file, each with its lines."""
    by_code, siblings = {}, defaultdict(list)
    for line in lines:
        code = line.values["code"]
        if code and code in by_code:
            errors.append(line.error("code", f"与第{by_code[code].number}行重复，请只留一行"))
            continue
        by_code[code] = line
    reached = Organization.objects.all()
    if within is not None:
        reached = reached.own_and_below(within)
        _check_codes(lines, errors, reached)
    stored, closed = {}, set()
    for code, parent, closed_on in reached.values_list("code", "parent__code", "closed_on"):
        stored[code] = parent
        if closed_on:
            closed.add(code)
    has_root = within is not None or any(
        parent is None for code, parent in stored.items() if code not in by_code
    )
    for line in lines:
        code, parent = line.values["code"], line.values["parent_code"]
        if parent == code and code:
            errors.append(line.error("parent_code", "上级不能是自己"))
        elif parent and stored.get(code) == parent:
            pass  # where it is; of the own unit of `within`, the superior is not looked at
        elif parent and parent not in by_code and parent not in stored:
            errors.append(line.error("parent_code", "文件和系统中都没有这个上级代码，请核对"))
        elif parent in closed:
            errors.append(line.error("parent_code", "这个上级已撤销，不能再设下级"))
        elif not parent and code:
            if has_root and not (within is not None and code in stored and not stored[code]):
                errors.append(line.error("parent_code", "只能有一个最高级党组织，请填写上级代码"))
            has_root = True
        siblings[parent, line.values["name"]].append(line)
    for (_, name), same in siblings.items():
        if name and len(same) > 1 and len({line.values["code"] for line in same}) > 1:
            numbers = "、".join(str(line.number) for line in same)
            errors.append(f"第{numbers}行：同一上级下都叫“{name}”，请核对名称")
    _check_stored_names(lines, errors)
    for line in lines:
        seen, code = set(), line.values["code"]
        while code and code not in seen:
            seen.add(code)
            code = by_code[code].values["parent_code"] if code in by_code else stored.get(code)
        if code and code == line.values["code"] and len(seen) > 1:
            errors.append(line.error("parent_code", "上级关系成环，请核对上级代码"))


def _check_codes(lines: list[_Line], errors: list[str], reached) -> None:
    """Codes of organizations beyond reach are no more than taken."""
    codes = {line.values["code"] for line in lines}
    taken = Organization.objects.filter(code__in=codes).exclude(pk__in=reached.values("pk"))
    taken = set(taken.values_list("code", flat=True))
    errors.extend(
        line.error("code", "代码已被占用，或不在您管理的范围内")
        for line in lines
        if line.values["code"] in taken
    )


def _check_stored_names(lines: list[_Line], errors: list[str]) -> None:
    """Names that an organization outside the file holds under the same superior."""
    codes = {line.values["code"] for line in lines}
    parents = {line.values["parent_code"] for line in lines}
    taken = {}
    stored = Organization.objects.open().values_list("parent__code", "name", "code")
    with snapshot():  # a cursor between transactions would not survive a pool of connections
        for parent, name, code in stored.iterator(5000):
            if parent in parents and code not in codes:
                taken[parent, name] = code
    for line in lines:
        other = taken.get((line.values["parent_code"], line.values["name"]))
        if other:
            errors.append(line.error("name", f"同一上级下已有同名党组织（{other}），请核对"))
