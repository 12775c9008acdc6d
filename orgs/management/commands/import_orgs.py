from pathlib import Path

from ledger_site.base.commands import LedgerCommand, Result
from orgs.loading import import_organizations


class Command(LedgerCommand):
    help = (
        "从 CSV 导入党组织：code,parent_code,name,kind,category[,short_name,is_rated,term_ends_on]"
    )

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE.csv")

    def answer(self, *, file, **options):
        done = import_organizations(file)
        data = {
            "outcome": "accepted",
            "new": done.new_count,
            "changed": done.changed_count,
            "same": done.same_count,
        }
        line = f"新增{done.new_count}个，修改{done.changed_count}个，未变{done.same_count}个"
        return Result(line, data)
