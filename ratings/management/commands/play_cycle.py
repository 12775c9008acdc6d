from ledger_site.base.commands import LedgerCommand, Result
from ratings.finding import cycle_of, report_of
from ratings.playing import play_cycle


class Command(LedgerCommand):
    help = "演练一个批次：从支部起逐级上报、审核、汇总（用于演示、测试和性能测量）"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--cycle", required=True, metavar="YEAR-ROUND")
        parser.add_argument("--under", required=True, metavar="CODE")

    def answer(self, *, cycle, under, **options):
        report = report_of(cycle_of(cycle), under)
        played = play_cycle(report, progress=self.progress)
        report.refresh_from_db()
        data = {
            "cycle": cycle,
            "under": under,
            "state": report.get_state_display(),
            "submitted": played.submitted_count,
            "accepted": played.accepted_count,
        }
        line = (
            f"“{report.name}”{data['state']}：上报{data['submitted']}件，"
            f"审核通过{data['accepted']}件"
        )
        return Result(line, data)
