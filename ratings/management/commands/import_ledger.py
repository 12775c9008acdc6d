from pathlib import Path

from ledger_site.base.commands import LedgerCommand, Refused, Result
from ratings.finding import cycle_of, report_of
from ratings.loading import import_ledger

WARNINGS = 50  # told one by one


class Command(LedgerCommand):
    help = "把已有台账导入一个批次"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--cycle", required=True, metavar="YEAR-ROUND")
        parser.add_argument("--under", required=True, metavar="CODE", help="导入到哪个党组织之下")
        parser.add_argument("--dry-run", action="store_true", help="只检查，不写入")
        parser.add_argument(
            "--reviewed", action="store_true", help="同时按台账中的上级定级上报并审核"
        )

    def answer(self, *, file, cycle, under, dry_run, reviewed, json, **options):
        report = report_of(cycle_of(cycle), under)
        if not report.cycle.is_open:
            raise Refused(f"批次 {cycle} {report.cycle.get_state_display()}，不能导入")
        done = import_ledger(
            file,
            report,
            is_reviewed=reviewed,
            is_dry_run=dry_run,
            keeps_rows=json,
            progress=self.progress,
        )
        if not json and done.warnings:
            told = [f"提示：{warning}" for warning in done.warnings[:WARNINGS]]
            if len(done.warnings) > WARNINGS:
                told.append(f"另有{len(done.warnings) - WARNINGS}处提示，全部见 --json")
            self.stderr.write("\n".join(told))
        refusals = [str(error) for error in done.errors]
        if refusals and done.untold_count:
            refusals.append(f"另有{done.untold_count}处没有列出，请先改正以上各处")
        line = (
            f"{'检查完毕，未写入：' if dry_run else ''}"
            f"新填{done.counts['new']}行，修改{done.counts['changed']}行，"
            f"未变{done.counts['same']}行，提示{len(done.warnings)}处"
            + (f"，审核通过{done.decided_count}行" if reviewed and not dry_run else "")
        )
        return Result("" if refusals else line, done.as_json(), refusals)
