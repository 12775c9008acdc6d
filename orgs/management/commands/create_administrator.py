from ledger_site.base.commands import LedgerCommand, Result
from ledger_site.base.trail import WithoutUnit
from orgs import accounts
from orgs.choices import Duty


class Command(LedgerCommand):
    help = "设立系统、安全或审计管理员，或给已有的重新发放激活码；激活码只显示这一次"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("username", metavar="账号")
        parser.add_argument("full_name", metavar="姓名")
        parser.add_argument(
            "--duty", required=True, choices=Duty.values, help="system、security 或 audit"
        )

    def answer(self, *, username, full_name, duty, **options):
        issued = accounts.make_administrator(username, full_name, Duty(duty), by=WithoutUnit())
        data = {"username": issued.user.username, "duty": duty, "code": issued.code}
        line = f"{issued.places} {issued.user.username} 的激活码：{issued.code}（30 天内有效）"
        return Result(line, data)
