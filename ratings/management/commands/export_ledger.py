import errno
import os
import tempfile
from pathlib import Path

from ledger_site.base import trail
from ledger_site.base.choices import EXPORT
from ledger_site.base.commands import LedgerCommand, Refused, Result
from orgs.posts import system_post
from ratings import exports
from ratings.choices import Form
from ratings.finding import cycle_of, report_of
from ratings.workflow import act_of

WHY = {
    errno.ENOENT: "文件夹不存在",
    errno.ENOTDIR: "文件夹不存在",
    errno.EISDIR: "这是一个文件夹",
    errno.EACCES: "没有写入权限",
    errno.EPERM: "没有写入权限",
    errno.EROFS: "磁盘为只读",
    errno.ENOSPC: "磁盘空间不足",
    errno.ENAMETOOLONG: "文件名过长",
}
MANY_ROWS = 65_536  # older programs show no more


class Command(LedgerCommand):
    help = "导出附件一、附件二、附件三"

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--cycle", required=True, metavar="YEAR-ROUND")
        parser.add_argument("--under", required=True, metavar="CODE")
        parser.add_argument("--form", required=True, choices=Form.values)
        parser.add_argument("--out", required=True, type=Path, metavar="FILE.xlsx")
        parser.add_argument(
            "--split",
            action="store_true",
            help="按直接下级分成多个工作簿，写入一个 FILE.zip",
        )

    def answer(self, *, cycle, under, form, out, split, **options):
        report = report_of(cycle_of(cycle), under)
        ending, write = (".zip", exports.write_split) if split else (".xlsx", exports.write)
        if out.suffix.lower() != ending:
            raise Refused(f"“{out}”应以 {ending} 结尾")
        try:
            written = _write(write, Form(form), report, out)
        except OSError as error:
            raise Refused(f"不能写入“{out}”：{WHY.get(error.errno, error)}") from None
        rows = sum(written.values()) if split else written
        said = f"{len(written)}个工作簿，{rows}行" if split else f"{rows}行"
        size = out.stat().st_size
        act = act_of(report, form=form, file=out.name, rows=rows)
        trail.record(EXPORT, "导出", [act], by=system_post(report.organization))
        data = {
            "file": str(out),
            "cycle": report.cycle.label,
            "under": report.code,
            "form": form,
            "rows": rows,
            "bytes": size,
        }
        if split:
            data["parts"] = [{"file": name, "rows": count} for name, count in written.items()]
        return Result(f"已导出“{out}”：{said}，{size}字节{_hint(rows, split)}", data)


def _hint(rows: int, split: bool) -> str:
    if not rows:
        return "，没有审核通过的台账行"
    if rows > MANY_ROWS and not split:
        return f"，超过{MANY_ROWS}行，旧版表格软件不能打开，可加 --split 按直接下级分开"
    return ""


def _write(write, form: Form, report, out: Path):
    """Write beside the file and put it in its place at the end: nothing half-written is left."""
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, str(out))
    number, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name[:40]}-", suffix=".tmp")
    try:
        with open(number, "wb") as stream:
            written = write(form, report, system_post(report.organization), stream)
        os.chmod(name, 0o666 & ~_umask())  # as any other new file, not for its owner alone
        os.replace(name, out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return written


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
