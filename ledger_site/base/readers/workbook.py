"""Workbooks: .xlsx, read row by row.

A sheet is read twice: at first only for where its rows begin and end, since merged ranges and
more stand behind them; then the rows, in pieces.
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from .formats import GENERAL, Looks, look_of
from .package import MOST_TREE, Package, local, tree_of
from .table import (
    DAMAGED,
    LONGEST_TEXT,
    MOST_COLUMNS,
    Cell,
    Columns,
    Merges,
    Row,
    Sheet,
    Unreadable,
    row_of,
    unescaped,
)

MOST_SHEETS = 500
MOST_ROWS = 1_048_576
NOT_CALCULATED = "公式没有计算结果，请在 Excel 或 WPS 中打开文件并保存后再导入"
ERROR = "单元格是错误值 {}，请改正后再导入"
_ROWS = re.compile(rb"<(/?)(?:[A-Za-z_][\w.-]*:)?sheetData[\s/>]")
_LONGEST_MARK = 80
_TRUE = {"1", "true"}
_AREA = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})(?::\$?([A-Z]{1,3})\$?([0-9]{1,7}))?")


@dataclass(frozen=True)
class _Frame:
    """A sheet without its rows, and where in the part they are."""

    tree: Element
    start: int
    end: int


class Workbook:
    def __init__(self, package: Package, name: str):
        """`name` is that of the main part."""
        self.package = package
        book = package.tree(name)
        parts = {relation.id: relation for relation in package.relations(name)}
        self.parts: list[tuple[str, str, bool]] = []  # name, part, whether it is hidden
        is_1904 = False
        for element in book.iter():
            if local(element.tag) == "workbookPr":
                is_1904 = element.get("date1904") in _TRUE
            elif local(element.tag) == "sheet":
                ids = [value for key, value in element.items() if key.endswith("}id")]
                part = parts.get(ids[0]) if ids else None
                if part is None:
                    raise Unreadable(DAMAGED)
                if part.kind == "worksheet":  # not a chart, not a sheet of macros
                    state = element.get("state", "visible")
                    title = unescaped(element.get("name", ""))
                    self.parts.append((title, part.target, state != "visible"))
        if len(self.parts) > MOST_SHEETS:
            raise Unreadable(f"工作簿超过{MOST_SHEETS}个工作表，请拆分后再导入")
        kinds = {part.kind: part.target for part in parts.values()}
        self.looks = Looks(is_1904=is_1904)
        self.styles = _styles(package, kinds.get("styles"))
        self.strings_part = kinds.get("sharedStrings")

    def sheets(self) -> list[Sheet]:
        """The sheets without their rows."""
        return [
            Sheet(name, iter(()), is_hidden, _hidden_columns(self._frame(part).tree))
            for name, part, is_hidden in self.parts
        ]

    def rows(self, number: int) -> Iterator[Row]:
        """The rows of a sheet, counted from 0."""
        name, part, _ = self.parts[number]
        frame, root = self._frame(part), self.package.root(part)
        merges = Merges(_merges(frame.tree))
        strings = _Strings(self.package, self.strings_part)
        read = _Cells(root.namespace, strings, self.styles, self.looks)
        tag, last = f"{root.namespace}row", 0
        for element in self.package.items(root, self._between(part, frame), b"row"):
            if element.tag != tag:
                continue
            at = element.attrib
            row_number = int(at["r"]) if "r" in at else last + 1
            if not last < row_number <= MOST_ROWS:
                raise Unreadable(DAMAGED)
            last = row_number
            is_hidden = at.get("hidden") in _TRUE or at.get("ht") == "0"
            row = row_of(row_number, read(element, name), is_hidden, merges, name)
            if row:
                yield row

    def _frame(self, part: str) -> _Frame:
        """The frame of a sheet. Of a part without rows the whole of it."""
        head, rest, tail = bytearray(), b"", bytearray()
        start = end = None
        seen = 0  # bytes before `rest`
        for chunk in self.package.chunks(part):
            rest += chunk
            if start is None:
                if found := _mark(rest, is_end=False):
                    head += rest[: found.start()]
                    opened_to = rest.find(b">", found.end() - 1) + 1
                    if not opened_to:
                        raise Unreadable(DAMAGED)
                    start = seen + opened_to
                    if rest[opened_to - 2 : opened_to] == b"/>":
                        end = start
                        tail += rest[opened_to:]
                    seen, rest = start, rest[opened_to:]
                else:
                    keep = max(len(rest) - _LONGEST_MARK, 0)
                    head += rest[:keep]
                    seen, rest = seen + keep, rest[keep:]
            elif end is not None:
                tail += chunk
            if start is not None and end is None:
                if found := _mark(rest, is_end=True):
                    end = seen + found.start()
                    tail += rest[rest.find(b">", found.start()) + 1 :]
                else:
                    keep = max(len(rest) - _LONGEST_MARK, 0)
                    seen, rest = seen + keep, rest[keep:]
            if len(head) + len(tail) > MOST_TREE:
                raise Unreadable(DAMAGED)
        tree = tree_of(bytes(head + (rest if start is None else tail)))
        has_rows = any(local(child.tag) == "sheetData" for child in tree)
        # Rows that were not found, or not to their end, are never taken for none.
        if has_rows or local(tree.tag) != "worksheet" or (start is not None and end is None):
            raise Unreadable(DAMAGED)
        return _Frame(tree, start or 0, end or 0)

    def _between(self, part: str, frame: _Frame) -> Iterator[bytes]:
        at = 0
        for chunk in self.package.chunks(part):
            if at >= frame.end:
                return
            yield chunk[max(frame.start - at, 0) : frame.end - at]
            at += len(chunk)


def _mark(content: bytes, *, is_end: bool) -> re.Match | None:
    if b"sheetData" not in content:  # much quicker than the pattern
        return None
    return next((mark for mark in _ROWS.finditer(content) if bool(mark[1]) == is_end), None)


# ---------------------------------------------------------------- beside the rows


def _styles(package: Package, part: str | None) -> list[int | str]:
    """The looks of numbers by the number of a style."""
    if part is None or part not in package:
        return []
    tree = package.tree(part)
    if local(tree.tag) != "styleSheet":
        raise Unreadable(DAMAGED)
    codes, looks = {}, []
    for element in tree:
        if local(element.tag) == "numFmts":
            codes = {item.get("numFmtId"): item.get("formatCode", "") for item in element}
        elif local(element.tag) == "cellXfs":
            numbers = [item.get("numFmtId", "0") for item in element]
            looks = [look_of(int(number), codes.get(number)) for number in numbers]
    return looks


def _hidden_columns(frame: Element) -> frozenset[int]:
    hidden = set()
    for group in frame:
        if local(group.tag) == "cols":
            for column in group:
                if column.get("hidden") in _TRUE or column.get("width") == "0":
                    last = min(int(column.get("max", 0)), MOST_COLUMNS)
                    hidden.update(range(max(int(column.get("min", 1)), 1) - 1, last))
    return frozenset(hidden)


def _merges(frame: Element) -> list[tuple[int, int, int, int]]:
    column, merges = Columns(), []
    for group in frame:
        if local(group.tag) == "mergeCells":
            for area in group:
                found = _AREA.fullmatch(area.get("ref", ""))
                if found and found[3]:
                    rows = sorted((int(found[2]), int(found[4])))
                    merges.append((*rows, *sorted((column[found[1]], column[found[3]]))))
    return merges


class _Strings:
    """The shared texts, as bytes one after another: two million of them fit into the memory."""

    def __init__(self, package: Package, part: str | None):
        self.content, self.ends = bytearray(), array("Q", [0])
        if part is None or part not in package:
            return
        root = package.root(part)
        text, tag = _Text(root.namespace), f"{root.namespace}si"
        chunks = package.chunks(part)
        for element in package.items(root, _after(chunks, len(root.opening)), b"si"):
            if element.tag == tag:
                self.content += text(element).encode()
                self.ends.append(len(self.content))

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < len(self.ends) - 1:
            raise Unreadable(DAMAGED)
        return self.content[self.ends[number] : self.ends[number + 1]].decode()


def _after(chunks: Iterator[bytes], start: int) -> Iterator[bytes]:
    """The chunks from a place on, without the closing tag of the root."""
    last = b""
    for chunk in chunks:
        chunk, start = chunk[start:], max(start - len(chunk), 0)
        if last:
            yield last
        last = chunk
    yield last[: max(last.rfind(b"</"), 0)]


class _Text:
    """The text of an element: runs joined, phonetic guides left out."""

    def __init__(self, namespace: str):
        self.t, self.r = f"{namespace}t", f"{namespace}r"

    def __call__(self, element: Element) -> str:
        if len(element) == 1 and element[0].tag == self.t:
            return unescaped(element[0].text or "")
        parts = []
        for child in element:
            if child.tag == self.t:
                parts.append(child.text or "")
            elif child.tag == self.r:
                parts.extend(run.text or "" for run in child if run.tag == self.t)
        return unescaped("".join(parts))


# ---------------------------------------------------------------- cells


class _Cells:
    """Reads the cells of a row."""

    def __init__(self, namespace: str, strings: _Strings, styles: list, looks: Looks):
        self.c, self.v, self.f, self.i = (f"{namespace}{tag}" for tag in ("c", "v", "f", "is"))
        self.text = _Text(namespace)
        self.strings, self.styles, self.looks = strings, styles, looks
        self.columns = Columns()

    def __call__(self, row: Element, sheet: str) -> list[str]:
        cells: list[str] = []
        columns, strings, c, v = self.columns, self.strings, self.c, self.v
        count, far = 0, ""
        for element in row:
            if element.tag != c:
                continue
            place = element.get("r")
            column = columns[place.rstrip("0123456789")] if place else count
            if column < count:
                raise Unreadable(DAMAGED)
            count = column + 1
            kind = element.get("t")
            if kind == "s" and len(element) == 1 and element[0].text and element[0].tag == v:
                cell = strings[int(element[0].text)]  # most cells
            else:
                cell = self._cell(element, kind)
            if column >= MOST_COLUMNS:
                # Not kept: a blank cell in the last corner is common, and no table is so wide.
                if cell.strip():
                    far = place or "XFD"
                continue
            if column > len(cells):
                cells.extend("" for _ in range(column - len(cells)))
            cells.append(cell)
        if far:
            raise Unreadable(
                f"工作表“{sheet}”的 {far} 单元格还有内容，表格超过{MOST_COLUMNS}列，"
                "请把台账部分复制到新的 .xlsx 后再导入"
            )
        return cells

    def _cell(self, element: Element, kind: str | None) -> str:
        value, has_formula = None, False
        for child in element:
            tag = child.tag
            if tag == self.v:
                value = child.text
            elif tag == self.i:
                return self.text(child)
            elif tag == self.f:
                has_formula = True
        if kind == "s":
            return self.strings[int(value)] if value else ""
        if not value:
            # A formula may well give an empty text; its type says so.
            return Cell("", fault=NOT_CALCULATED) if has_formula and kind != "str" else ""
        if len(value) > LONGEST_TEXT:
            return value
        if kind is None or kind == "n":
            return self._number(value, element.get("s"))
        if kind == "b":
            return "TRUE" if value in _TRUE else "FALSE"
        text = unescaped(value)
        if kind == "e":
            return Cell(text, fault=ERROR.format(text))
        if kind == "d":
            return Cell(text.partition("T")[0], "date")
        return text

    def _number(self, value: str, style: str | None) -> str:
        look = GENERAL
        if style:
            number = int(style)
            look = self.styles[number] if number < len(self.styles) else GENERAL
        if look == GENERAL and value.isascii() and value.isdigit() and len(value) < 16:
            return Cell(value, "number")
        return self.looks.show(float(value), look)
