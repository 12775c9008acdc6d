from django.core.management.base import CommandError

from ledger_site.base.commands import LedgerCommand, Refused, Result
from orgs.models import Category
from ratings.finding import cycle_of, report_of
from ratings.movement import Movement, lines_of, told
from ratings.movement import as_json as movement_json
from ratings.summary import Basis, as_json, by_category, share, summarize


class Command(LedgerCommand):
    help = "附件一的数字"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--cycle", required=True, metavar="YEAR-ROUND")
        parser.add_argument("--under", required=True, metavar="CODE")
        parser.add_argument("--by", choices=("unit", "category"), default="unit")
        parser.add_argument(
            "--live", action="store_true", help="按当前数据重新清点，不用上报版本的汇总数"
        )

        parser.add_argument(
            "--movement", action="store_true", help="加上与上一批次比较的等次变动和各项比率"
        )

    def answer(self, *, cycle, under, by, live, movement, **options):
        report = report_of(cycle_of(cycle), under)
        if movement and live:
            raise CommandError("--movement 按上报版本统计，不能与 --live 同用")
        if movement and report.cycle.previous is None:
            raise Refused(f"“{report.cycle}”没有上一批次，不能比较等次变动")
        summary = summarize(report, Basis.LIVE if live else None)
        lines = summary.lines
        if by == "category":
            lines = by_category(summary, Category.sheet_rows())
        total = summary.total
        grades = "，".join(
            f"{grade.label}{count}（{share(count, total.total)}%）"
            for grade, count in total.reviewed.items()
        )
        line = (
            f"“{report.name}”{summary.basis.value}：应定级{total.expected}，"
            f"已定级{total.total}，{grades}"
        )
        data = as_json(summary, lines)
        if movement:
            moved = lines_of(report, summary)
            whole = sum((one.movement for one in moved), Movement())
            if by == "category":
                data["movement"] = movement_json(whole, whole.by_category())
            else:
                data["movement"] = movement_json(
                    whole, [(one.report.code, one.report.name, one.movement) for one in moved]
                )
            line += f"；{told(whole)}"
        return Result(line, data)
