"""The wizard: a ledger is sent, looked at, corrected, written and undone."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from ledger_site.jobs import services as jobs
from ledger_site.jobs.choices import JobState
from ledger_site.jobs.models import Job
from orgs.choices import Role
from orgs.models import Category, Organization
from ratings import exports, loading, services, uploads, verification, workflow
from ratings.choices import CycleState, Form, State, UploadState
from ratings.columns import FIELDS
from ratings.exports import _ledger_columns
from ratings.models import Cycle, LedgerEntry, Report, Upload, UploadRow
from tests.factories import (
    appoint,
    fill,
    report_of,
    row,
    submit,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.JOBS_DIR, settings.UPLOADS_DIR = tmp_path / "jobs", tmp_path / "uploads"


@pytest.fixture
def clerk(client, line):
    client.force_login(line.township.user)
    return client


def address(line):
    return reverse("ratings:uploads", args=[line.cycle])


def work() -> None:
    """What a worker does with all jobs that wait."""
    for job in Job.objects.filter(state=JobState.WAITING).order_by("pk"):
        jobs.run(job.pk, job.attempt)


def sheet(line, **changed) -> dict[str, dict[str, str]]:
    """Rows of a ledger by code, as texts of the columns."""
    values = {n: FIELDS[n].show(v) for n, v in row().items() if n in FIELDS}
    return {
        "B1": values | {"secretary_name": "赵一"} | changed,
        "B2": values | {"secretary_name": "钱二"},
    }


def workbook(line, rows=None, client=None) -> bytes:
    """The template as a clerk fills it in."""
    stream = io.BytesIO()
    exports.write_template(line.of("township"), line.township, stream)
    book = load_workbook(stream)
    table = book["附件三"]
    names = [name for _, name in _ledger_columns(Form.ANNEX3)][1:]
    for code, texts in (rows or sheet(line)).items():
        for cells in table.iter_rows(min_row=4):
            if cells[len(names) + 1].value == code:
                for name, cell in zip(names, cells[1:], strict=False):
                    asked = "proposed_target" if name == "target_grade" else name
                    if asked in texts:
                        cell.value = texts[asked]
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def send(client, line, content: bytes, name="乙乡台账.xlsx", **data) -> Upload:
    answer = client.post(address(line), {"file": SimpleUploadedFile(name, content), **data})
    assert answer.status_code == 302, answer.context["form"].errors
    work()
    return Upload.objects.latest("pk")


def press(client, upload, action, **data):
    upload.refresh_from_db()
    data = {"seen": upload.job_id, **data}
    answer = client.post(reverse("ratings:upload_act", args=[upload.pk, action]), data)
    assert answer.status_code == 302
    work()
    upload.refresh_from_db()
    return upload


def test_the_template_lists_the_own_rows_with_lists_for_grades(clerk, line):
    fill(line.of("branch"))
    answer = clerk.get(reverse("ratings:template", args=[line.cycle]))
    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    codes = [cells[-1].value for cells in book["附件三"].iter_rows(min_row=4)]
    assert [code for code in codes if code in {"B1", "B2"}] == ["B1", "B2"]
    assert book["附件三"].data_validations.dataValidation
    marks = [cells[1].value for cells in book["说明"].iter_rows() if cells[0].value == "模板标识"]
    assert marks == ["T 2012-1 第1版"]


def test_a_template_that_is_sent_back_unfilled_tells_all_that_is_blank(clerk, line):
    upload = send(clerk, line, workbook(line, {"B1": {}}))
    assert upload.found["outcome"] == "rows_rejected"
    assert {kind["kind"] for kind in upload.found["errors"]} == {"未填写"}


def test_a_filled_template_goes_through_and_is_undone_whole(clerk, line):
    upload = send(clerk, line, workbook(line))
    assert upload.state == UploadState.CHECKED, upload.job.message
    assert upload.found["outcome"] == "accepted", upload.found["errors"]
    assert upload.found["counts"]["new"] == 2
    assert not LedgerEntry.objects.exclude(secretary_name=None).exists()
    press(clerk, upload, "confirm", rows="all")
    assert upload.state == UploadState.APPLIED, upload.job.message
    assert line.of("branch").entry.secretary_name == "赵一"
    assert line.of("branch").state == State.DRAFT
    assert clerk.get(upload.get_absolute_url()).status_code == 200
    press(clerk, upload, "undo")
    assert upload.state == UploadState.UNDONE, upload.job.message
    entry = line.of("branch").entry
    assert entry.secretary_name is None
    assert entry.declared_grade is None
    assert AuditEvent.objects.filter(action="undo_upload").count() == 1
    assert AuditEvent.objects.filter(label="撤销导入", object_kind="report").count() == 2


def test_the_same_file_twice_writes_nothing(clerk, line):
    content = workbook(line)
    press(clerk, send(clerk, line, content), "confirm", rows="all")
    tokens = list(Report.objects.order_by("pk").values_list("token", flat=True))
    again = send(clerk, line, content)
    assert again.found["counts"] == {"same": 2, "rejected": 0}
    assert "没有需要写入的行" in clerk.get(again.get_absolute_url()).content.decode()
    assert tokens == list(Report.objects.order_by("pk").values_list("token", flat=True))


def test_confirming_twice_is_one_import(clerk, line):
    upload = send(clerk, line, workbook(line))
    press(clerk, upload, "confirm", rows="all")
    press(clerk, upload, "confirm", rows="all")
    assert AuditEvent.objects.filter(action="apply_upload").count() == 1
    page = clerk.get(upload.get_absolute_url()).content.decode()
    assert "这次导入已导入，不能再次办理" in page


def test_what_changed_since_it_was_shown_is_not_overwritten(clerk, line):
    upload = send(clerk, line, workbook(line))
    services.save_row(line.of("branch"), {"secretary_name": "孙三"}, by=line.branch)
    press(clerk, upload, "confirm", rows="all")
    assert upload.state == UploadState.CHECKED
    assert upload.found["was_refused"]
    assert line.of("branch").entry.secretary_name == "孙三"
    assert line.of("sibling").entry.secretary_name is None


def test_only_the_good_rows_where_these_are_asked_for(clerk, line):
    rows = sheet(line, declared_grade="良好")
    upload = send(clerk, line, workbook(line, rows))
    assert upload.found["counts"] == {"new": 1, "rejected": 1}
    press(clerk, upload, "confirm", rows="all")
    assert upload.state == UploadState.CHECKED
    press(clerk, upload, "confirm", rows="good")
    assert upload.state == UploadState.APPLIED, upload.job.message
    assert line.of("branch").entry.secretary_name is None
    assert line.of("sibling").entry.secretary_name == "钱二"


def test_the_marked_workbook_says_what_is_wrong_and_goes_through_when_mended(clerk, line):
    upload = send(clerk, line, workbook(line, sheet(line, declared_grade="良好")))
    answer = clerk.get(reverse("jobs:file", args=[upload.job.pk]))
    assert "标注错误" in upload.job.file_name
    book = load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    commented = [c for cells in book["附件三"].iter_rows() for c in cells if c.comment]
    assert [cell.value for cell in commented] == ["良好"]
    assert "好、较好、一般、较差" in commented[0].comment.text
    listed = book["错误清单"]
    assert listed["B2"].value == commented[0].coordinate
    assert (listed.print_title_rows, listed.page_setup.orientation) == ("$1:$1", "landscape")
    commented[0].value = "较好"
    out = io.BytesIO()
    book.save(out)
    mended = send(clerk, line, out.getvalue())
    assert mended.found["outcome"] == "accepted", mended.found["errors"]


def test_a_csv_comes_back_as_a_marked_workbook(clerk, line):
    text = "党支部代码,党支部名称,书记姓名\nB1,丙村党支部,\n"
    upload = send(clerk, line, text.encode("gb18030"), name="台账.csv")
    assert upload.found["outcome"] == "file_rejected"
    assert not upload.job.file


def test_an_alias_is_asked_for_and_the_answer_is_used(clerk, line):
    book = load_workbook(io.BytesIO(workbook(line)))
    table = book["附件三"]
    for cells in table.iter_rows(min_row=4):
        if cells[-1].value == "B1":
            cells[-1].value, cells[0].value = None, "丙村支部"
    out = io.BytesIO()
    book.save(out)
    upload = send(clerk, line, out.getvalue())
    (asked,) = upload.found["questions"]
    assert asked["answers"][0]["value"] == "B1"
    page = clerk.get(upload.get_absolute_url()).content.decode()
    assert "不导入这一行" in page
    press(clerk, upload, "check", answer_0="skip")
    assert upload.found["counts"]["new"] == 1
    press(clerk, upload, "check", answer_0="B1")
    assert upload.found["counts"]["new"] == 2
    press(clerk, upload, "check", answer_0="P")  # was not offered
    assert upload.found["counts"]["new"] == 2


def test_a_template_of_another_cycle_is_refused_with_its_name(clerk, line):
    book = load_workbook(io.BytesIO(workbook(line)))
    for cells in book["说明"].iter_rows():
        if cells[0].value == "模板标识":
            cells[1].value = "T 2011-1 第1版"
    out = io.BytesIO()
    book.save(out)
    upload = send(clerk, line, out.getvalue())
    assert upload.found["outcome"] == "file_rejected"
    assert "T 2011-1 第1版" in upload.found["errors"][0]["items"][0]["message"]


def test_reviewed_grades_are_taken_through_the_moves(clerk, line):
    rows = {code: texts | {"reviewed_grade": "较好"} for code, texts in sheet(line).items()}
    upload = send(clerk, line, workbook(line, rows), is_reviewed="on")
    press(clerk, upload, "confirm", rows="all")
    assert upload.state == UploadState.APPLIED, upload.job.message
    assert line.of("branch").state == State.ACCEPTED
    assert upload.found["decided"] == 2
    press(clerk, upload, "undo")
    assert upload.state == UploadState.UNDOING
    page = clerk.get(upload.get_absolute_url()).content.decode()
    assert "不能整批撤销" in page
    upload.refresh_from_db()
    assert upload.state == UploadState.APPLIED
    assert line.of("branch").entry.secretary_name == "赵一"


def test_rows_that_are_handed_in_are_refused_one_by_one(clerk, line):
    fill(line.of("branch"))
    submit(line.of("branch"))
    upload = send(clerk, line, workbook(line))
    assert upload.found["counts"] == {"new": 1, "rejected": 1}
    assert "已上报" in upload.found["errors"][0]["items"][0]["message"]


def test_nobody_else_finds_an_upload(client, line):
    client.force_login(line.township.user)
    upload = send(client, line, workbook(line))
    for other in (line.branch, line.county, appoint(line.units["township"])):
        client.force_login(other.user)
        assert client.get(upload.get_absolute_url()).status_code == 404
        for action in ("check", "confirm", "undo"):
            address = reverse("ratings:upload_act", args=[upload.pk, action])
            assert client.post(address).status_code == 404
    upload.refresh_from_db()
    assert upload.state == UploadState.CHECKED


def test_who_only_reads_can_send_nothing(client, line):
    reader = appoint(line.units["township"], Role.READ)
    client.force_login(reader.user)
    page = client.get(address(line)).content.decode()
    assert "只有填报人员可以导入台账" in page
    client.post(address(line), {"file": SimpleUploadedFile("a.csv", b"a")})
    assert not Upload.objects.exists()


def test_deeper_rows_are_loaded_by_the_top_alone_and_stay_open(client, line):
    client.force_login(line.county.user)
    upload = send(client, line, workbook(line), is_deep="on")
    assert not upload.is_deep  # the field is not offered there
    client.force_login(line.province.user)
    book = load_workbook(io.BytesIO(workbook(line)))
    del book["说明"]
    out = io.BytesIO()
    book.save(out)
    upload = send(client, line, out.getvalue(), is_deep="on")
    press(client, upload, "confirm", rows="all")
    assert upload.state == UploadState.APPLIED, (upload.job.message, upload.found)
    assert line.of("branch").entry.secretary_name == "赵一"
    assert line.of("branch").state == State.DRAFT


def test_a_file_that_is_too_large_is_not_kept(clerk, line, settings, tmp_path):
    settings.MOST_UPLOADED = 1 << 20
    answer = clerk.post(
        address(line), {"file": SimpleUploadedFile("a.xlsx", b"\0" * ((1 << 20) + 1))}
    )
    assert "文件超过1MB，没有接收" in answer.content.decode()
    assert not (tmp_path / "uploads").exists()


def test_more_rows_than_a_person_has_are_refused_while_they_are_read(clerk, line, settings):
    settings.UPLOAD_LIMITS = settings.UPLOAD_LIMITS | {"most_rows": 4}
    upload = send(clerk, line, workbook(line))
    assert "文件超过4行" in upload.found["errors"][0]["items"][0]["message"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Rar!\x1a\x07", "这是压缩包"),
        (b"<html><table>", "这是网页文件"),
        (b"PK\3\4 cut", "损坏"),
    ],
)
def test_what_is_no_table_gets_one_sentence_with_its_name(clerk, line, content, said):
    upload = send(clerk, line, content, name="湘泉县 台账（七月）.xlsx")
    assert upload.found["outcome"] == "file_rejected"
    (kind,) = upload.found["errors"]
    assert said in kind["items"][0]["message"]
    assert upload.file not in str(upload.found)
    page = clerk.get(upload.get_absolute_url()).content.decode()
    assert "这个文件不能导入" in page
    press(clerk, upload, "confirm", rows="good")
    assert upload.state == UploadState.CHECKED


def test_names_of_files_lead_nowhere(clerk, line, tmp_path):
    upload = send(clerk, line, b"a,b\n", name="../../settings.csv")
    assert upload.path.parent == tmp_path / "uploads"
    assert "/" not in upload.file_name


def test_a_job_that_fails_leaves_the_upload_where_it_was(clerk, line, monkeypatch):
    upload = send(clerk, line, workbook(line))

    def fails(*args):
        raise RuntimeError

    monkeypatch.setattr(loading, "write_staged", fails)
    press(clerk, upload, "confirm", rows="all")
    page = clerk.get(upload.get_absolute_url()).content.decode()
    assert "执行时出错" in page
    upload.refresh_from_db()
    assert upload.state == UploadState.CHECKED
    assert not UploadRow.objects.exists()
    monkeypatch.undo()
    press(clerk, upload, "confirm", rows="all")
    assert upload.state == UploadState.APPLIED


def test_files_are_deleted_after_seven_days(clerk, line):
    upload = send(clerk, line, workbook(line))
    press(clerk, upload, "confirm", rows="all")
    path = upload.path
    assert path.exists()
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert uploads.expire() == 1
    assert not path.exists()
    assert not UploadRow.objects.exists()
    upload.refresh_from_db()
    assert clerk.get(upload.get_absolute_url()).status_code == 200
    press(clerk, upload, "undo")
    assert upload.state == UploadState.APPLIED


def test_queries_of_the_check_do_not_grow_with_the_rows(clerk, line, django_assert_max_num_queries):
    upload = send(clerk, line, workbook(line))
    with django_assert_max_num_queries(16):
        clerk.get(upload.get_absolute_url())


def unknown(line) -> bytes:
    """A ledger with a branch that the tree does not have, in the place of the sibling."""
    book = load_workbook(io.BytesIO(workbook(line)))
    for cells in book["附件三"].iter_rows(min_row=4):
        if cells[-1].value == "B2":
            cells[-1].value, cells[0].value = None, "戊己村党支部"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_branch_that_is_missing_is_made_from_the_preview_and_filled_in(clerk, line):
    upload = send(clerk, line, unknown(line))
    page = clerk.get(upload.get_absolute_url()).content.decode()
    assert "新建这个党支部" in page
    (row_,) = [one["row"] for kind in upload.found["errors"] for one in kind["items"]]
    address = reverse("ratings:new_branch", args=[upload.pk])
    where = {"sheet": "附件三", "row": row_}
    form = clerk.get(address, where).context["form"]
    assert form.initial["name"] == "测试省甲县乙乡戊己村党支部"
    village = Category.objects.get(code="village").pk
    url = f"{address}?sheet=附件三&row={row_}"
    data = {"code": "B1", "name": "甲县乙乡戊己村党支部", "category": village}
    data |= {"effective_on": "2012-05-01", "document_number": "乙发〔2012〕1号"}
    assert "已有党组织使用" in clerk.post(url, data).content.decode()
    assert clerk.post(url, data | {"code": "B3"}).status_code == 302
    work()
    upload.refresh_from_db()
    assert upload.found["outcome"] == "accepted", upload.found["errors"]
    press(clerk, upload, "confirm", rows="all")
    made = Organization.objects.get(code="B3")
    assert made.parent_id == line.township.organization_id
    assert report_of(made).entry.secretary_name == "钱二"
    assert report_of(made).path == "0001000100010003"
    assert [line.of(name).rated_count for name in ("province", "county", "township")] == [3, 3, 3]
    assert verification.verify() == []


def test_who_keeps_no_accounts_makes_no_branch(client, line):
    clerk = appoint(line.units["township"], Role.FILL)
    client.force_login(clerk.user)
    upload = send(client, line, unknown(line))
    page = client.get(upload.get_absolute_url()).content.decode()
    assert "新建这个党支部" not in page
    address = reverse("ratings:new_branch", args=[upload.pk])
    (row_,) = [one["row"] for kind in upload.found["errors"] for one in kind["items"]]
    assert client.get(address, {"sheet": "附件三", "row": row_}).status_code == 404


def test_what_another_look_found_is_not_what_is_written(clerk, line):
    """A look that is late ends after the confirmation; its rows were shown to nobody."""
    upload = send(clerk, line, workbook(line))
    params = {"upload": upload.pk, "number": "late"}
    late = jobs.start("check_upload", "检查", params, by=line.township)
    services.save_row(line.of("branch"), {"secretary_name": "孙三"}, by=line.branch)
    jobs.run(late.pk, 1)
    press(clerk, upload, "confirm", rows="all")
    assert upload.state == UploadState.CHECKED
    assert line.of("branch").entry.secretary_name == "孙三"


def test_a_look_is_not_asked_for_twice_at_once(clerk, line):
    upload = send(clerk, line, workbook(line))
    address = reverse("ratings:upload_act", args=[upload.pk, "check"])
    for _ in range(2):
        clerk.post(address, {"seen": upload.job_id})
    assert Job.objects.filter(state=JobState.WAITING).count() == 1


def test_who_is_no_reviewer_any_more_decides_nothing(clerk, line):
    rows = {code: texts | {"reviewed_grade": "较好"} for code, texts in sheet(line).items()}
    upload = send(clerk, line, workbook(line, rows), is_reviewed="on")
    line.township.user.appointments.filter(role=Role.REVIEW).update(
        ended_on=timezone.localdate() - timedelta(days=1)
    )
    press(clerk, upload, "confirm", rows="all")
    assert "只有审核人员" in clerk.get(upload.get_absolute_url()).content.decode()
    assert line.of("branch").entry.secretary_name is None


def test_a_cycle_that_was_closed_meanwhile_takes_nothing(clerk, line):
    upload = send(clerk, line, workbook(line))
    Cycle.objects.update(state=CycleState.CLOSED)
    press(clerk, upload, "confirm", rows="all")
    assert "不能导入" in clerk.get(upload.get_absolute_url()).content.decode()
    assert line.of("branch").entry.secretary_name is None


def test_a_row_that_was_undone_by_hand_is_left_to_whoever_did(clerk, line):
    upload = send(clerk, line, workbook(line))
    press(clerk, upload, "confirm", rows="all")
    services.save_row(line.of("branch"), {"features": "改"}, by=line.branch)
    press(clerk, upload, "undo")
    page = clerk.get(upload.get_absolute_url()).content.decode()
    assert "导入以后已被修改或上报，不能整批撤销：甲县乙乡丙村党支部" in page
    assert line.of("sibling").entry.secretary_name == "钱二"


def test_script_in_a_file_is_text_on_the_page(clerk, line):
    rows = sheet(line, declared_grade="<script>alert(1)</script>")
    upload = send(clerk, line, workbook(line, rows), name="<img src=x>.xlsx")
    page = clerk.get(upload.get_absolute_url()).content.decode()
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_two_confirmations_at_once_one_is_taken(clerk, line):
    upload = send(clerk, line, workbook(line))

    def confirm():
        try:
            one = Upload.objects.get(pk=upload.pk)
            uploads.confirm(one, is_partial=False, seen=upload.job_id, by=line.township)
        except TransitionRefused:
            return 0
        finally:
            connection.close()
        return 1

    with ThreadPoolExecutor(8) as pool:
        taken = sum(pool.map(lambda _: confirm(), range(8)))
    assert taken == 1
    assert Job.objects.filter(kind="apply_upload").count() == 1


def test_a_decision_that_is_refused_leaves_no_row_written(clerk, line, monkeypatch):
    rows = {code: texts | {"reviewed_grade": "较好"} for code, texts in sheet(line).items()}
    upload = send(clerk, line, workbook(line, rows), is_reviewed="on")
    refused = workflow.Outcome(left_out=[(line.of("branch"), "本级已上报")])
    monkeypatch.setattr(
        workflow, "hand_up_imported", lambda pks, **more: (workflow.Outcome(), refused)
    )
    press(clerk, upload, "confirm", rows="all")
    assert upload.state == UploadState.CHECKED, upload.job.message
    assert upload.found["was_refused"]
    assert line.of("branch").entry.secretary_name is None
    assert not UploadRow.objects.exists()


def test_who_may_not_import_any_more_can_undo_nothing(clerk, line):
    upload = send(clerk, line, workbook(line))
    press(clerk, upload, "confirm", rows="all")
    person = line.township.user
    person.appointments.exclude(role=Role.READ).delete()
    press(clerk, upload, "undo")
    assert "只有填报人员" in upload.job.message
    assert line.of("branch").entry.secretary_name == "赵一"


def test_a_file_is_not_deleted_while_a_job_reads_it(clerk, line):
    upload = send(clerk, line, workbook(line))
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    Job.objects.filter(pk=upload.job_id).update(state=JobState.RUNNING, finished_at=None)
    assert uploads.expire() == 0
    assert upload.path.exists()


def test_an_old_tab_confirms_nothing(clerk, line):
    """It shows the result of other answers than those that were given since."""
    upload = send(clerk, line, workbook(line))
    old = upload.job_id
    press(clerk, upload, "check")
    press(clerk, upload, "confirm", rows="all", seen=old)
    assert upload.state == UploadState.CHECKED
    page = clerk.get(upload.get_absolute_url()).content.decode()
    assert "页面上的结果已经不是最新的" in page
    assert line.of("branch").entry.secretary_name is None


def test_what_a_later_import_wrote_is_not_undone_by_an_earlier_one(clerk, line):
    first = send(clerk, line, workbook(line))
    press(clerk, first, "confirm", rows="all")
    UploadRow.objects.create(
        upload=send(clerk, line, workbook(line)),
        report=line.of("branch"),
        token=line.of("branch").token,
        is_changed=False,
        before="{}",
    )
    Upload.objects.exclude(pk=first.pk).update(state=UploadState.APPLIED)
    press(clerk, first, "undo")
    assert first.state == UploadState.UNDOING
    assert "不能整批撤销" in clerk.get(first.get_absolute_url()).content.decode()


def test_a_file_that_cant_be_marked_is_told_of_all_the_same(clerk, line, monkeypatch):
    def fails(*args):
        raise RuntimeError

    monkeypatch.setattr(uploads, "write_marked", fails)
    upload = send(clerk, line, workbook(line, sheet(line, declared_grade="良好")))
    assert upload.found["counts"]["rejected"] == 1
    assert not upload.job.file


def test_what_a_killed_server_left_is_swept_away(clerk, line, settings):
    upload = send(clerk, line, workbook(line))
    left = settings.UPLOADS_DIR / "left.xlsx"
    left.touch()
    long_ago = (timezone.now() - timedelta(days=9)).timestamp()
    os.utime(left, (long_ago, long_ago))
    assert uploads.expire() == 0
    assert not left.exists()
    assert upload.path.exists()
