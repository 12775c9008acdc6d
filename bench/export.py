"""How long a ledger of many rows takes as a workbook, ours beside other ways to write one.

    python bench/export.py --rows 200000
    …  --write                            put the table into bench/results.md

All write the same invented rows of 附件三, 16 columns, each in a process of its own. `ours` is
ledger_site/base/sheets.py with the whole form: head, styles, heights, merged group rows, choices.
The floor makes the bare XML of the same cells and compresses it at level 1, and nothing else.
"""

import argparse
import sys
import tempfile
import zlib
from pathlib import Path

import measure
import results

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

HEADS = (
    "党支部名称", "村党支部书记", "第一书记", "基本情况", "流动党员数", "村级活动场所情况",
    "主要特点", "存在问题", "支部申报定级类别", "上级党组织定级类别", "晋位升级目标", "整改措施",
    "整改时限", "帮扶单位", "联系领导", "整改责任人",
)  # fmt: skip
WIDTHS = (13, 8, 8, 22, 7, 10, 28, 28, 7, 8, 7, 34, 9, 11, 8, 8)
LONG = {3, 6, 7, 11}
GRADES = ("好", "较好", "一般", "较差")
SURNAMES, GIVEN = "赵钱孙李周吴郑王冯陈褚卫", "德建国志明华春兰秀英伟强军平"
FEATURES = (
    "班子团结，分工明确", "制度健全，执行较好", "党员作用发挥明显", "集体经济有稳定收入",
    "群众满意度较高", "活动场所设施齐全", "产业发展有特色",
)  # fmt: skip
PROBLEMS = (
    "党员年龄偏大，后备力量不足", "组织生活不够经常", "集体经济薄弱", "支部委员缺额未及时补选",
    "重业务轻党建", "流动党员管理不到位",
)  # fmt: skip
MEASURES = (
    "发展35岁以下青年党员，上半年完成培养考察", "健全三会一课和民主评议党员制度",
    "建立整改台账，实行销号管理", "由帮扶单位派驻工作组，年底前完成换届补选",
    "落实村级集体经济发展项目一个",
)  # fmt: skip
PER_GROUP = 40  # rows below one township
NORMAL_LIMIT = 20_000  # rows up to which openpyxl's workbook in memory is tried unasked


def name_of(number: int) -> str:
    return SURNAMES[number % 12] + GIVEN[number // 12 % 14] + GIVEN[number // 168 % 14]


def listed(texts, number: int, count: int) -> str:
    return "\n".join(
        f"{place}、{texts[(number // place + place) % len(texts)]}；"
        for place in range(1, count + 1)
    )


def ledger(count: int):
    """Invented rows of 附件三; the sentences differ from row to row as real ones do."""
    for n in range(count):
        members = 8 + n * 7 % 90
        yield (
            f"石桥镇第{n}村党支部",
            name_of(n),
            name_of(n // 3) if n % 4 == 0 else None,
            f"支部共有党员{members}人，其中预备党员{n % 5}人，女党员{members // 3}人，"
            f"35岁以下党员{n // 5 % 20}人，大专及以上党员{n // 7 % 30}人，班子成员{3 + n % 4}人。",
            n % 11,
            ("已建", "无", "2012年10月完工")[n % 3],
            listed(FEATURES, n, 2 + n % 2),
            listed(PROBLEMS, n, 1 + n % 3),
            GRADES[n % 4],
            GRADES[n // 2 % 4],
            GRADES[n // 3 % 3],
            listed(MEASURES, n, 1 + n % 3),
            "2012年12月底前",
            f"县第{n % 60}帮扶单位",
            name_of(n // 40),
            name_of(n),
        )


# ---------------------------------------------------------------- ours


def ours(level):
    def write(rows, path):
        from django.conf import settings

        settings.configure(XLSX_COMPRESSION=level)
        from ledger_site.base import sheets

        columns = tuple(
            sheets.Column(
                (head,),
                width,
                is_left=place in LONG,
                number_format="0" if place == 4 else "General",
                choices=GRADES if place in (8, 9, 10) else (),
            )
            for place, (head, width) in enumerate(zip(HEADS, WIDTHS, strict=True))
        )

        def grouped():
            for n, row in enumerate(rows):
                if n % PER_GROUP == 0:
                    yield sheets.group(f"第{n // PER_GROUP}镇")
                yield sheets.Row(row)

        with open(path, "wb") as stream, sheets.Book(stream, "台账") as book:
            book.add(sheets.Form("附件三", "台账", columns, ("填报单位：", "填报人：")), grouped())

    return write


# ---------------------------------------------------------------- the others


def floor(rows, path):
    """The bare XML and its compression: less than this no writer of such a file can do."""
    letters, lines = "ABCDEFGHIJKLMNOP", []
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    with open(path, "wb") as stream:
        for number, row in enumerate(rows, 1):
            cells = "".join(
                [
                    f'<c r="{letter}{number}" s="1" t="inlineStr"><is><t>{value}</t></is></c>'
                    for letter, value in zip(letters, row, strict=True)
                ]
            )
            lines.append(f'<row r="{number}" ht="60" customHeight="1">{cells}</row>')
            if len(lines) == 100:
                stream.write(packer.compress("".join(lines).encode()))
                lines.clear()
        stream.write(packer.compress("".join(lines).encode()) + packer.flush())


def openpyxl_plain(rows, path):
    """Write-only, bare values: neither styles nor heights."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("附件三")
    sheet.append(HEADS)
    for row in rows:
        sheet.append(row)
    book.save(path)


def openpyxl_styled(rows, path):
    """Write-only, each cell with its style, each row with its height, as the form needs them."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, NamedStyle

    book = Workbook(write_only=True)
    book.add_named_style(NamedStyle("正文", alignment=Alignment("left", wrap_text=True)))
    sheet = book.create_sheet("附件三")
    sheet.append(HEADS)
    for number, row in enumerate(rows, 2):
        cells = []
        for value in row:
            cell = WriteOnlyCell(sheet, value)
            cell.style = "正文"
            cells.append(cell)
        sheet.row_dimensions[number].height = 60
        sheet.append(cells)
    book.save(path)


def openpyxl_normal(rows, path):
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


def import_export(rows, path):
    """A resource with these columns, exported as XLSX."""
    import django
    from django.conf import settings

    settings.configure(
        USE_I18N=False,
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "import_export"],
        IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT=True,
    )
    django.setup()
    from import_export import fields, resources
    from import_export.formats.base_formats import XLSX

    class Entry:
        def __init__(self, values):
            self.__dict__ = {f"c{place}": value for place, value in enumerate(values)}

    declared = {
        f"c{place}": fields.Field(attribute=f"c{place}", column_name=head)
        for place, head in enumerate(HEADS)
    }
    resource = type("Entries", (resources.Resource,), declared)()
    data = resource.export(queryset=map(Entry, rows))
    path.write_bytes(XLSX().export_data(data, escape=True))


def xlsxwriter(rows, path):
    from xlsxwriter import Workbook

    book = Workbook(path, {"constant_memory": True, "strings_to_formulas": False})
    look = book.add_format({"text_wrap": True, "border": 1})
    sheet = book.add_worksheet("附件三")
    for number, row in enumerate(rows):
        sheet.set_row(number, 60)
        for place, value in enumerate(row):
            sheet.write(number, place, value, look)
    book.close()


def pyexcelerate(rows, path):
    from pyexcelerate import Workbook

    book = Workbook()
    book.new_sheet("附件三", data=rows)
    book.save(str(path))


WAYS = {
    "floor": floor,
    "ours-1": ours(1),
    "ours-6": ours(6),
    "xlsxwriter": xlsxwriter,
    "pyexcelerate": pyexcelerate,
    "openpyxl-plain": openpyxl_plain,
    "openpyxl-styled": openpyxl_styled,
    "import-export": import_export,
    "openpyxl-normal": openpyxl_normal,
}


def run(way: str, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "台账.xlsx"

        def work():
            WAYS[way](ledger(count), path)
            return {"size": measure.megabytes(path)}

        measure.report(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--ways", nargs="+", choices=WAYS, metavar="WAY", help=" ".join(WAYS))
    parser.add_argument("--write", action="store_true", help="into bench/results.md")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run(options.one, options.rows)
        return
    ways = options.ways or [
        way for way in WAYS if way != "openpyxl-normal" or options.rows <= NORMAL_LIMIT
    ]
    found = {
        way: measure.in_child(__file__, "--one", way, "--rows", str(options.rows)) for way in ways
    }
    base = found.get("ours-1")
    rows = [
        (
            way,
            figures.cpu,
            figures.wall,
            figures.cpu / base.cpu if base else "—",
            figures.peak,
            figures.growth,
            figures.more["size"],
        )
        for way, figures in found.items()
    ]
    print(f"{options.rows} rows × {len(HEADS)} columns; ratio: CPU against ours-1")
    print(measure.table(results.HEADS["workbook"], rows))
    if options.write and base:
        results.write(
            [
                results.Section.measured(
                    "workbook", options.rows, rows, peak=base.peak, growth=base.growth
                )
            ]
        )


if __name__ == "__main__":
    main()
