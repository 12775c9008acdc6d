from ledger_site.base import sealing
from ledger_site.base.commands import LedgerCommand, Result
from ledger_site.base.trail import WithoutUnit
from orgs import tree
from ratings.verification import verify


class Command(LedgerCommand):
    help = "核验：组织树、状态、上报版本的摘要和汇总数、锁定的台账行、操作留痕"

    def answer(self, **options):
        trail, found = sealing.check_and_record(by=WithoutUnit())
        faults = [*tree.check(), *verify(), *found]
        data = {
            "outcome": "faulty" if faults else "sound",
            "faults": faults,
            "trail": {"events": trail.events, "seals": trail.seals},
        }
        return Result("" if faults else "核验通过，没有发现问题", data, faults)
