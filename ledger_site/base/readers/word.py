"""Tables of Word documents (.docx): each is a sheet, its rows counted from its first one."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from .package import Package, local
from .table import DAMAGED, MOST_COLUMNS, Merges, Row, Sheet, Unreadable, plain, row_of

# Not part of what a reader sees: what was moved away, the second form of a drawing.
_UNSEEN = {"moveFrom", "Fallback", "rPr", "pPr"}
_SIGNS = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-"}


class Document:
    def __init__(self, package: Package, name: str):
        """`name` is that of the main part."""
        self.tables = list(_tables(package.tree(name)))
        if not self.tables:
            raise Unreadable("文档中没有表格，请检查文件")

    def sheets(self) -> list[Sheet]:
        """The tables without their rows."""
        return [Sheet(_name(number), iter(())) for number in range(len(self.tables))]

    def rows(self, number: int) -> Iterator[Row]:
        """The rows of a table, counted from 0."""
        lines = [_line(row) for row in _inside(self.tables[number], "tr")]
        merges = Merges(_areas(lines))
        for index, line in enumerate(lines, 1):
            cells: list[str] = []
            for start, _, _, text in line:
                cells.extend("" for _ in range(start - len(cells)))
                cells.append(text)
            if row := row_of(index, cells, False, merges, _name(number)):
                yield row


def _name(number: int) -> str:
    return f"表{number + 1}"


def _tables(element: Element) -> Iterator[Element]:
    """The tables that stand in no other table."""
    for child in element:
        if local(child.tag) == "tbl":
            yield child
        elif local(child.tag) not in _UNSEEN:
            yield from _tables(child)


def _inside(element: Element, name: str) -> Iterator[Element]:
    """Children by name, those in content controls and the like too."""
    for child in element:
        if local(child.tag) == name:
            yield child
        elif local(child.tag) in {"sdt", "sdtContent", "customXml", "smartTag", "ins"}:
            yield from _inside(child, name)


def _value(element: Element | None, name: str, missing: str = "") -> str | None:
    """The value of a property, None if it is not there, `missing` if it says nothing."""
    for child in element if element is not None else ():
        if local(child.tag) == name:
            return next((v for k, v in child.items() if local(k) == "val"), missing)
    return None


def _line(row: Element) -> list[tuple[int, int, bool, str]]:
    """The cells of a row: first column, width, whether it goes on from above, text."""
    line = []
    column = int(_value(_first(row, "trPr"), "gridBefore") or 0)
    for cell in _inside(row, "tc"):
        properties = _first(cell, "tcPr")
        width = max(int(_value(properties, "gridSpan") or 1), 1)
        goes_on = _value(properties, "vMerge", "continue") == "continue"
        if not 0 <= column <= column + width <= MOST_COLUMNS:
            raise Unreadable(DAMAGED)
        line.append((column, width, goes_on, "" if goes_on else plain(_text(cell))))
        column += width
    return line


def _first(element: Element, name: str) -> Element | None:
    return next((child for child in element if local(child.tag) == name), None)


def _areas(lines: list[list[tuple[int, int, bool, str]]]) -> list[tuple[int, int, int, int]]:
    """The merged ranges of a table."""
    areas: list[tuple[int, int, int, int]] = []
    above: dict[tuple[int, int], int] = {}  # by columns: first row of what may go on below
    for number, line in enumerate(lines, 1):
        here = {}
        for start, width, goes_on, _ in line:
            columns = (start, start + width - 1)
            here[columns] = above.get(columns, number) if goes_on else number
        areas += [
            (top, number - 1, *columns)
            for columns, top in above.items()
            if here.get(columns) != top
        ]
        above = here
    areas += [(top, len(lines), *columns) for columns, top in above.items()]
    return [area for area in areas if area[0] < area[1] or area[2] < area[3]]


def _text(element: Element) -> str:
    """The paragraphs of a cell, a line each."""
    return "\n".join("".join(_runs(each)) for each in _paragraphs(element)).strip("\n")


def _paragraphs(element: Element) -> Iterator[Element]:
    for child in element:
        if local(child.tag) == "p":
            yield child
        elif local(child.tag) not in _UNSEEN:
            yield from _paragraphs(child)


def _runs(element: Element) -> Iterator[str]:
    for child in element:
        name = local(child.tag)
        if name == "t":
            yield child.text or ""
        elif name in _SIGNS:
            yield _SIGNS[name]
        elif name not in _UNSEEN:
            yield from _runs(child)
