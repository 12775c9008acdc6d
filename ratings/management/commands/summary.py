from ledger_site.base.commands import LedgerCommand, Result
from orgs.models import Category
from ratings.finding import cycle_of, report_of
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

    def answer(self, *, cycle, under, by, live, **options):
        report = report_of(cycle_of(cycle), under)
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
        return Result(line, as_json(summary, lines))
