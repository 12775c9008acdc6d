from ledger_site.base.commands import LedgerCommand, Result
from ledger_site.upkeep import faults_of_all, note_verified


class Command(LedgerCommand):
    help = "核验：组织树、状态、上报版本的摘要和汇总数、锁定的台账行"

    def answer(self, **options):
        faults = faults_of_all()
        note_verified(faults)
        data = {"outcome": "faulty" if faults else "sound", "faults": faults}
        return Result("" if faults else "核验通过，没有发现问题", data, faults)
