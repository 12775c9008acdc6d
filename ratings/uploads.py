"""A ledger sent as a file: received, looked at, corrected by answers, written once, undone whole.

Looking at it and writing it are background jobs; a page never opens the file. What is written is
what was shown: each row is compared once more, in the transaction that writes it.
"""

import hashlib
import json
import logging
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from ledger_site.base import trail
from ledger_site.base.db import analyzed, copy_rows
from ledger_site.base.models import AuditEvent
from ledger_site.base.reading import Limits, Unreadable, read
from ledger_site.base.sheets import file_name
from ledger_site.base.workflow import TransitionRefused
from ledger_site.jobs.services import keeps_house, runs, start
from orgs import changes
from orgs.choices import Kind, Role

from . import loading
from .choices import OPEN_STATES, UploadState
from .exports import NOTES, TEMPLATE, template_mark
from .loading import STAGED_COLUMNS, WRITTEN, Finding, Loading, Topic, import_ledger
from .marking import write_marked
from .models import LedgerEntry, Report, Upload, UploadRow
from .recognizing import CODE

logger = logging.getLogger(__name__)

KEPT = timedelta(days=7)
LONGEST_SHOWN = 500  # characters of a text on the page
PIECE = 2000  # rows read at once
SHOWN = 100  # findings of one kind, and changed rows, on the page
ASKED = 200  # questions on the page
OTHER_TEMPLATE = "这份表格是“{}”的模板，不是“{}”的，请下载本单位本批次的模板填写后再上传"
TOO_DEEP = "只有最高一级的管理人员可以导入各级下级的台账"


# ---------------------------------------------------------------- asking


def may_load_all(post) -> bool:
    """Old ledgers of any depth come in by who keeps accounts at the top of the tree."""
    return post.manages_cycles


def why_not(report: Report, post) -> str:
    """Why this post may not send in ledgers of its own unit's report; "" where it may."""
    if not report.cycle.is_open:
        return f"“{report.cycle}”{report.cycle.get_state_display()}，不能导入"
    if not post.has(Role.FILL) and not may_load_all(post):
        return "只有填报人员可以导入台账"
    return ""


@trail.service("上传台账")
def receive(report: Report, sent, *, is_reviewed: bool, is_deep: bool, by) -> Upload:
    """Keep a file that was sent and have it looked at. Raises `TransitionRefused` where the post
    may not import, decide or reach so deep."""
    if refusal := why_not(report, by):
        raise TransitionRefused(refusal)
    if is_deep and not may_load_all(by):
        raise TransitionRefused(TOO_DEEP)
    if is_deep and is_reviewed:
        raise TransitionRefused("导入各级下级的台账不能同时审核，由各自的上级审核")
    if is_reviewed and not by.has(Role.REVIEW):
        raise TransitionRefused("只有审核人员可以按表中的上级定级审核")
    if not is_deep and not by.has(Role.FILL):
        raise TransitionRefused("只有填报人员可以导入本级和直接下级的台账")
    ending = Path(sent.name).suffix.lower()
    name = secrets.token_hex(16) + (ending if ending.isascii() and len(ending) <= 5 else "")
    settings.UPLOADS_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, digest = settings.UPLOADS_DIR / name, hashlib.sha256()
    with path.open("xb") as file:
        for chunk in sent.chunks():
            digest.update(chunk)
            file.write(chunk)
    try:
        upload = Upload.objects.create(
            report=report,
            person=by.user,
            file=name,
            file_name=file_name("", sent.name),
            size=path.stat().st_size,
            digest=digest.hexdigest(),
            is_reviewed=is_reviewed,
            is_deep=is_deep,
            expires_at=timezone.now() + KEPT,
        )
        data = {"digest": upload.digest, "is_reviewed": is_reviewed, "is_deep": is_deep}
        trail.record("upload", "上传台账", [_act(upload, **data)], by=by)
        _ask(upload, "check_upload", "检查", by)
    except BaseException:
        path.unlink()
        raise
    return upload


# `seen` is the job that the page showed the result of: an old tab answers and confirms nothing.


@trail.service("检查台账")
def check_again(upload: Upload, choices: list, *, seen: int, by) -> None:
    """Look at the file once more, with other answers."""
    if upload.job and upload.job.is_unfinished:
        raise TransitionRefused("正在办理，请稍候")
    _turn(upload, {UploadState.CHECKED, UploadState.CHECKING}, UploadState.CHECKING, seen)
    Upload.objects.filter(pk=upload.pk).update(choices=choices)
    _ask(upload, "check_upload", "检查", by)


def may_create(upload: Upload, post) -> bool:
    """Whether this person may add the branches that a ledger names and the tree does not have."""
    return post.has(Role.MANAGE) and not upload.is_deep and upload.report.has_subordinates


@trail.service("新建党支部")
def create_branch(
    upload: Upload, where: loading.Where, *, seen: int, ground: changes.Ground, by, **values
) -> None:
    """Put a branch below the own unit and into the cycle, take it for a line of the file and look
    at the file again. Raises `StructureError` and `TransitionRefused`; nothing is made then."""
    if not may_create(upload, by):
        raise TransitionRefused("只有本单位的管理人员可以新建党支部")
    change = changes.create(by.organization, by=by, kind=Kind.BRANCH, ground=ground, **values)
    takeover = change.takeovers.filter(cycle=upload.report.cycle_id).first()
    if takeover is None or not takeover.done_at:
        raise TransitionRefused(takeover.refusal if takeover else "本批次未在进行中")
    branch = change.organization
    others = [choice for choice in upload.choices if tuple(choice[:2]) != where]
    check_again(upload, [*others, [*where, {CODE: branch.code}]], seen=seen, by=by)


@trail.service("导入台账")
def confirm(upload: Upload, *, is_partial: bool, seen: int, by) -> None:
    """Have the rows written that were shown as good: all of the file, or these only."""
    if upload.found.get("outcome") == "file_rejected":
        raise TransitionRefused("这个文件不能导入，请修改后重新上传")
    if upload.found.get("outcome") != "accepted" and not is_partial:
        raise TransitionRefused("还有错误没有改正，不能全部导入")
    _turn(upload, {UploadState.CHECKED}, UploadState.APPLYING, seen)
    _ask(upload, "apply_upload", "写入", by, is_partial=is_partial)


@trail.service("撤销导入")
def undo(upload: Upload, *, seen: int, by) -> None:
    """Have all rows of an upload made what they were, if nobody has touched them since."""
    _turn(upload, {UploadState.APPLIED}, UploadState.UNDOING, seen)
    _ask(upload, "undo_upload", "撤销导入", by)


def settle(upload: Upload) -> Upload:
    """Back to where one can go on from, if the job in hand came to nothing."""
    back = {
        UploadState.APPLYING: UploadState.CHECKED,
        UploadState.UNDOING: UploadState.APPLIED,
    }.get(upload.state)
    if back and upload.job and not upload.job.is_unfinished:
        Upload.objects.filter(pk=upload.pk, state=upload.state, job=upload.job).update(state=back)
        upload.refresh_from_db()
    return upload


def _ask(upload: Upload, kind: str, verb: str, by, **params) -> None:
    title = f"{verb}台账：{upload.file_name}"[:200]
    # Each time is another job: the same question may be asked again of other answers.
    params |= {"upload": upload.pk, "number": secrets.token_hex(4)}
    job = start(kind, title, params, by=by)
    Upload.objects.filter(pk=upload.pk).update(job=job)


def _turn(upload: Upload, sources: Iterable[str], target: str, seen: int) -> None:
    """Into another state, once: of two who press a button only the first is the one."""
    mine = Upload.objects.filter(pk=upload.pk, state__in=sources, job=seen).exclude(file="")
    if not mine.update(state=target):
        now = Upload.objects.get(pk=upload.pk)
        if not now.file:
            raise TransitionRefused("文件已过期删除，请重新上传")
        if now.state in sources:
            raise TransitionRefused("页面上的结果已经不是最新的，请按现在的结果办理")
        raise TransitionRefused(f"这次导入{now.get_state_display()}，不能再次办理")


def _act(upload: Upload, **data) -> trail.Act:
    return trail.Act(
        "upload", upload.pk, upload.report.organization.code, upload.file_name, data=data
    )


# ---------------------------------------------------------------- doing


def _of(params, post) -> Upload:
    own = Upload.objects.own(post).select_related("report__cycle", "report__organization")
    upload = own.filter(pk=params["upload"]).first()
    if upload is None or not upload.path or not upload.path.exists():
        raise TransitionRefused("文件已过期删除，请重新上传")
    return upload


def _looked_at(sent: Upload, post, watch, **options) -> Loading:
    reaches_all = sent.is_deep and may_load_all(post)
    if sent.is_deep and not reaches_all:
        raise TransitionRefused(TOO_DEEP)
    choices = {(sheet, row): answers for sheet, row, answers in sent.choices}
    return import_ledger(
        sent.path,
        sent.report,
        by=None if reaches_all else post,
        file_name=sent.file_name,
        limits=_limits(sent),
        is_reviewed=sent.is_reviewed,
        keeps_rows=True,
        choices=choices,
        progress=watch,
        **options,
    )


def _limits(sent: Upload) -> Limits:
    """As many rows as a person has, or as the file has room for where all levels are loaded."""
    limits = settings.UPLOAD_LIMITS
    if sent.is_deep:
        limits = limits | {"most_rows": settings.READING_LIMITS["most_rows"]}
    return Limits(**limits)


@runs("check_upload")
def _check(params, post, stream, watch) -> str:
    """Look at the file; the result of the job is the file again with its errors marked."""
    upload = _of(params, post)
    watch("打开文件")
    if refused := _other_template(upload):
        found = Loading("file_rejected", [refused])
    else:
        found = _looked_at(upload, post, watch, is_dry_run=True)
    _keep_rows(upload, found, params["number"])
    name = ""
    if found.errors and found.outcome == "rows_rejected":
        watch("标注错误")
        stem = Path(upload.file_name).stem
        name = file_name(stem, "（标注错误）.xlsx")
        try:
            write_marked(upload.path, found, stream, _limits(upload))
        except Exception:  # the page tells of the errors all the same
            logger.exception("upload %s can't be marked", upload.pk)
            stream.seek(0)
            stream.truncate()
            name = ""
    turn = UploadState.CHECKING, UploadState.CHECKED
    watch.at_end(lambda: _found(upload, found, *turn, number=params["number"]))
    return name


@runs("apply_upload", writes=True)
def _apply(params, post, stream, watch) -> str:
    upload = _of(params, post)
    if refusal := why_not(upload.report, post):
        raise TransitionRefused(refusal)
    is_partial = params["is_partial"]
    with transaction.atomic():
        found = _looked_at(
            upload,
            post,
            watch,
            is_partial=is_partial,
            shown=_shown_rows(upload),
            upload=upload.pk,
        )
        is_written = found.written_count or found.decided_count
        is_refused = (found.errors and not is_partial) or not is_written
        if is_refused:  # what was written before a decision was refused goes too
            transaction.set_rollback(True)
    if is_refused:
        _keep_rows(upload, found, params["number"])
        turn = UploadState.APPLYING, UploadState.CHECKED
        _found(upload, found, *turn, number=params["number"], was_refused=True)
        return ""
    _found(upload, found, UploadState.APPLYING, UploadState.APPLIED)
    Upload.objects.filter(pk=upload.pk).update(applied_at=timezone.now())
    data = {"written": found.written_count, "decided": found.decided_count}
    data["digest"] = upload.digest
    trail.record("apply_upload", "导入台账", [_act(upload, **data)], by=post)
    return ""


@runs("undo_upload", writes=True)
def _undo(params, post, stream, watch) -> str:
    upload = _of(params, post)
    if refusal := why_not(upload.report, post):
        raise TransitionRefused(refusal)
    if upload.is_deep and not may_load_all(post):
        raise TransitionRefused(TOO_DEEP)
    watch("核对")
    rows = UploadRow.objects.filter(upload=upload)
    untouched = rows.filter(report__token=F("token"), report__state__in=OPEN_STATES)
    later = UploadRow.objects.filter(
        report=OuterRef("report"), upload__gt=upload, upload__state=UploadState.APPLIED
    )
    untouched = untouched.exclude(Exists(later))
    touched = rows.exclude(pk__in=untouched.values("pk")).order_by("report__path")
    if names := list(touched.values_list("report__name", flat=True)[:6]):
        listed = "、".join(names[:5]) + ("等" if len(names) > 5 else "")
        raise TransitionRefused(f"导入以后已被修改或上报，不能整批撤销：{listed}")
    watch("恢复")
    loading.stage()
    for piece in _pieces(rows):  # read before they are copied: one connection does one thing
        copy_rows("staged", STAGED_COLUMNS, _staged(upload, piece))
    if overtaken := loading.write_staged("撤销导入", post):
        raise TransitionRefused(f"“{overtaken}”刚刚被他人修改，不能整批撤销")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE staged")
    count = rows.count()
    analyzed(LedgerEntry, Report, AuditEvent, rows=count)
    Upload.objects.filter(pk=upload.pk).update(state=UploadState.UNDONE)
    trail.record("undo_upload", "撤销导入", [_act(upload, rows=count)], by=post)
    return ""


def _pieces(rows) -> Iterator[list[tuple]]:
    kept = rows.order_by("pk").values_list(
        "pk", "report", "report__parent", "token", "is_changed", "before"
    )
    last = 0
    while piece := list(kept.filter(pk__gt=last)[:PIECE]):
        yield piece
        last = piece[-1][0]


def _staged(upload: Upload, piece: list[tuple]) -> Iterator[tuple]:
    data = json.dumps({"mark": "撤销导入", "file": upload.file_name}, ensure_ascii=False)
    for number, report, parent, token, is_changed, before in piece:
        row = loading.restored(before)
        place = number, "", report, parent, token, is_changed, True, False, data, ""
        yield (*place, *map(row.__getitem__, WRITTEN))


def _other_template(upload: Upload) -> Finding | None:
    """What is wrong with a template that was made for another unit or cycle."""
    mine = template_mark(upload.report)
    try:
        for sheet in read(upload.path, _limits(upload)):
            if sheet.name != NOTES:
                continue
            for row in islice(sheet.rows, 50):
                name, *rest = [*row.cells, ""]
                if name == TEMPLATE and rest[0] != mine:
                    said = OTHER_TEMPLATE.format(rest[0][:60], mine)
                    return Finding(sheet.name, row.number, "", "", "", said, Topic.FILE)
    except Unreadable:
        pass  # told by whoever reads the rows
    return None


# ---------------------------------------------------------------- what was found


def _found(upload: Upload, found: Loading, source: str, target: str, **more) -> None:
    """Keep what the page shows of a result, if the upload is still where it was."""
    said = {
        "outcome": found.outcome,
        "counts": dict(found.counts),
        "written": found.written_count,
        "decided": found.decided_count,
        "untold": found.untold_count,
        "errors": _by_kind(upload, found.errors),
        "warnings": _by_kind(upload, found.warnings),
        "skipped": [_shown(one) for one in found.skipped[:SHOWN]],
        "skipped_count": len(found.skipped),
        "questions": _questions(upload, found),
        "changes": list(islice(_changes(found), SHOWN)),
        **more,
    }
    here = Upload.objects.filter(pk=upload.pk, state=source, job=upload.job_id)
    here.update(state=target, found=said)


def _by_kind(upload: Upload, findings: list[Finding]) -> list[dict]:
    kinds = defaultdict(list)
    for finding in findings:
        kinds[finding.kind].append(finding)
    return [
        {
            "kind": kind,
            "count": len(same),
            "items": [
                _shown(one) | {"message": _plain(upload, one.message)} for one in same[:SHOWN]
            ],
        }
        for kind, same in kinds.items()
    ]


def _shown(one: Finding) -> dict:
    said = one.as_json()
    return said | {name: said[name][:LONGEST_SHOWN] for name in ("heading", "message")}


def _plain(upload: Upload, message: str) -> str:
    """With the file's own name, not the one it is kept under."""
    for name in (str(upload.path), upload.file):
        message = message.replace(name, upload.file_name)
    return message[:LONGEST_SHOWN]


def _questions(upload: Upload, found: Loading) -> list[dict]:
    """What can be answered by a choice; what was answered before stays, to be answered anew."""
    asked = [_shown(one) for one in (*found.errors, *found.warnings) if one.asks][:ASKED]
    places = {(one["sheet"], one["row"], one["asks"]) for one in asked}
    chosen = {(sheet, row) for sheet, row, _ in upload.choices}
    return asked + [
        one
        for one in upload.found.get("questions", ())
        if (one["sheet"], one["row"]) in chosen
        and (one["sheet"], one["row"], one["asks"]) not in places
    ]


def _changes(found: Loading) -> Iterator[dict]:
    for row in found.rows or ():
        if row.get("changes") and row["action"] != "rejected":
            names = ("sheet", "row", "branch_name", "branch_code")
            changes = [
                {key: text[:LONGEST_SHOWN] for key, text in change.items()}
                for change in row["changes"]
            ]
            yield {name: row[name] for name in names} | {"changes": changes}


def _keep_rows(upload: Upload, found: Loading, number: str) -> None:
    """Keep what the good rows were found to be, a line each, beside the file: by the number of the
    look at it, so that what is written is what somebody was shown, whoever looks meanwhile."""
    with upload.rows_path(number).open("w", encoding="utf-8") as file:
        for row in found.rows or ():
            if row["action"] != "rejected":
                line = row["sheet"], row["row"], row["branch_code"], row["token"]
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _shown_rows(upload: Upload) -> dict[loading.Where, tuple[str, int]]:
    with upload.rows_path(upload.found["number"]).open(encoding="utf-8") as file:
        rows = map(json.loads, file)
        return {(sheet, row): (code, token) for sheet, row, code, token in rows}


# ---------------------------------------------------------------- keeping house


@keeps_house
def expire() -> int:
    """Delete the files that have been kept long enough, and what would undo them; how many.

    Also what no upload knows of, as a server leaves it that was killed while a file arrived.
    """
    count = 0
    for upload in Upload.objects.expired():
        if not Upload.objects.expired().filter(pk=upload.pk).update(file=""):
            continue  # it was taken up meanwhile
        for path in settings.UPLOADS_DIR.glob(f"{upload.path.stem}.*"):
            path.unlink(missing_ok=True)
        UploadRow.objects.filter(upload=upload).delete()
        count += 1
    oldest = (timezone.now() - KEPT - timedelta(days=1)).timestamp()
    for path in settings.UPLOADS_DIR.glob("*"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
    return count
