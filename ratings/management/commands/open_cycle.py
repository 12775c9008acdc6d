from ledger_site.base.commands import LedgerCommand, Refused, Result
from orgs.models import Organization
from orgs.posts import system_post
from ratings import opening
from ratings.finding import cycle_of
from ratings.models import Report


class Command(LedgerCommand):
    help = "新建并开始一个年度批次"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("year", type=int, metavar="YEAR")
        parser.add_argument("--round", type=int, default=1, metavar="N")
        parser.add_argument("--previous", metavar="YEAR-ROUND", help="上一批次")

    def answer(self, *, year, round, previous, **options):
        if not (1921 <= year <= 2999 and 1 <= round <= 99):
            raise Refused("年度应为四位数，轮次应为 1 至 99")
        root = Organization.objects.filter(parent=None, closed_on=None).first()
        if root is None:
            raise Refused("还没有党组织，请先用 import_orgs 导入")
        by = system_post(root)
        before = cycle_of(previous) if previous else None
        cycle = opening.create_and_open(year, round, previous=before, by=by)
        reports = Report.objects.filter(cycle=cycle)
        data = {
            "cycle": cycle.label,
            "reports": reports.count(),
            "rated": reports.filter(is_rated=True).count(),
        }
        line = f"批次 {cycle.label} 已开始：{data['reports']}个党组织，应定级{data['rated']}个"
        return Result(line, data)
