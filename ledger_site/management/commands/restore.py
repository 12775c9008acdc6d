from pathlib import Path

from ledger_site import backups, upkeep
from ledger_site.base import trail
from ledger_site.base.commands import LedgerCommand, Result


class Command(LedgerCommand):
    help = "恢复：先核对备份的摘要，再整个写入空的数据库，然后核验"
    refusals = (*LedgerCommand.refusals, backups.BackupError)

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--replace", action="store_true", help="替换数据库里现有的数据")

    def answer(self, *, file, replace, **options):
        found = backups.restore(file, replaces=replace)
        faults = upkeep.faults_of_all()
        upkeep.note_verified(faults)
        act = trail.Act("backup", None, "", file.name, data={"digest": found.digest})
        trail.record("restore", "恢复备份", [act], by=trail.WithoutUnit())
        data = {"digest": found.digest, "files": found.file_count, "faults": faults}
        return Result(f"已恢复 {file}，附件{found.file_count}个，核验通过", data, faults)
