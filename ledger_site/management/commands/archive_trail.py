from datetime import datetime, time
from pathlib import Path

from django.utils import timezone
from django.utils.dateparse import parse_date

from ledger_site.base import sealing
from ledger_site.base.commands import LedgerCommand, Refused, Result
from ledger_site.base.trail import WithoutUnit


class Command(LedgerCommand):
    help = "把保存期满的操作留痕归档到签名的文件，或者核验归档文件"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE.jsonl.gz")
        parser.add_argument(
            "--before", metavar="YYYY-MM-DD", help="归档这一天以前的，默认为保存期满的全部"
        )
        parser.add_argument("--check", action="store_true", help="核验已有的归档文件，不归档")

    def answer(self, *, file, before, check, **options):
        if check:
            faults = sealing.check_archive(file)
            data = {"outcome": "faulty" if faults else "sound", "faults": faults}
            return Result("" if faults else "归档文件完好", data, faults)
        done = sealing.archive(file, before=_moment_of(before), by=WithoutUnit())
        line = f"已归档第{done['first']}批至第{done['last']}批，{done['events']}条，写入“{file}”"
        return Result(line, done)


def _moment_of(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None:
        raise Refused(f"日期要写成 2012-07-09 的样子，现在是“{text}”")
    return timezone.make_aware(datetime.combine(day, time()))
