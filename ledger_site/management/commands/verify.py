from ledger_site.base.commands import LedgerCommand, Result
from orgs import tree
from ratings.verification import verify


class Command(LedgerCommand):
    help = "核验：组织树、状态、上报版本的摘要和汇总数、锁定的台账行"

    def answer(self, **options):
        faults = [*tree.check(), *verify()]
        data = {"outcome": "faulty" if faults else "sound", "faults": faults}
        return Result("" if faults else "核验通过，没有发现问题", data, faults)
