from pathlib import Path

from ledger_site import backups
from ledger_site.base import trail
from ledger_site.base.commands import LedgerCommand, Result
from ledger_site.jobs import routines


class Command(LedgerCommand):
    help = "备份：数据库和附件写成一个文件，并在空的数据库里试恢复、核验"
    refusals = (*LedgerCommand.refusals, backups.BackupError)

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--no-check", action="store_true", help="不试恢复")

    def answer(self, *, file, no_check, **options):
        made = backups.back_up(file, is_checked=not no_check)
        line = f"已备份到 {file}，{made.size}字节，附件{made.file_count}个，SHA-256 {made.digest}"
        routines.note("backup", True, line)
        act = trail.Act("backup", None, "", file.name, data={"digest": made.digest})
        trail.record("backup", "备份", [act], by=trail.WithoutUnit())
        data = {"file": str(file), "size": made.size, "digest": made.digest}
        return Result(line, data | {"files": made.file_count, "checked": not no_check})
