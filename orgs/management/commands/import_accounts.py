from pathlib import Path

from ledger_site.base.commands import LedgerCommand, Result
from orgs.account_loading import import_accounts


class Command(LedgerCommand):
    help = (
        "从表格开通账号、办理任职：账号、姓名、党组织代码、角色，可加台账专人；激活码写入一个新文件"
    )

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE.csv")
        parser.add_argument(
            "--codes", type=Path, metavar="OUT.csv", help="激活码的文件，默认为 FILE-codes.csv"
        )

    def answer(self, *, file, codes, **options):
        codes = codes or file.with_name(f"{file.stem}-codes.csv")
        done = import_accounts(file, codes, tell=self._tell)
        data = {
            "outcome": "accepted",
            "new": done.new_count,
            "appointments": done.appointment_count,
            "same": done.same_count,
            "codes": str(codes) if done.new_count else None,
        }
        line = (
            f"开通{done.new_count}个账号，办理{done.appointment_count}项任职，"
            f"未变{done.same_count}行"
        )
        if done.new_count:
            line += f"；激活码在 {codes}，只写这一次"
        return Result(line, data)

    def _tell(self, phase: str, done: int, total: int) -> None:
        self.progress(f"{phase} {done or ''}")
