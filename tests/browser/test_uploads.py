"""导入台账 in a browser: the template, an error that is mended in the marked workbook, undo."""

import threading
import time

import pytest
from django.db import connection
from django.urls import reverse
from openpyxl import load_workbook
from playwright.sync_api import expect

from ledger_site.jobs import services
from ledger_site.jobs.choices import JobState
from ledger_site.jobs.models import Job
from ratings.columns import COLUMNS, FIELDS

from .. import factories
from .way import Way

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]


@pytest.fixture
def worker(settings, tmp_path):
    """A thread that does what a worker would."""
    settings.JOBS_DIR, settings.UPLOADS_DIR = tmp_path / "jobs", tmp_path / "uploads"
    stop = threading.Event()

    def work():
        while not stop.is_set():
            for job in Job.objects.filter(state=JobState.WAITING):
                services.run(job.pk, job.attempt)
            time.sleep(0.2)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def fill_in(path, declared):
    """The template as a clerk fills it in, the grade of the first row as given."""
    book = load_workbook(path)
    sheet = book["附件三"]
    values = {name: FIELDS[name].show(v) for name, v in factories.row().items() if name in FIELDS}
    rows = [cells for cells in sheet.iter_rows(min_row=4) if str(cells[-1].value).startswith("B")]
    for number, cells in enumerate(rows):
        for column, cell in zip(COLUMNS[1:], cells[1:], strict=False):
            if column.field.name in values:
                cell.value = values[column.field.name]
        cells[1].value = f"书记{number}"
    place = [column.heading for column in COLUMNS].index("支部申报定级类别")
    rows[0][place].value = declared
    book.save(path)
    return rows[0][place].coordinate


def send(page, path):
    page.get_by_label("台账文件").set_input_files(path)
    page.get_by_role("button", name="上传并检查").click()
    expect(page.get_by_role("heading", name="检查结果")).to_be_visible()


def test_a_template_is_filled_in_sent_mended_written_and_undone(sign_in, line, worker, tmp_path):
    page = sign_in(line.township)
    way, address = Way(page), reverse("ratings:uploads", args=[line.cycle])
    way.link("下级审核")
    way.link("导入台账")
    with page.expect_download() as download:
        way.link("下载模板", exact=False)
    path = tmp_path / "台账.xlsx"
    download.value.save_as(path)
    cell = fill_in(path, "良好")

    send(page, path)
    expect(page.get_by_text(f"附件三 {cell}")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="下载标注错误的工作簿").click()
    download.value.save_as(path)
    book = load_workbook(path)
    assert "好、较好、一般、较差" in book["附件三"][cell].comment.text
    book["附件三"][cell].value = "较好"
    book.save(path)

    page.goto(address)
    send(page, path)
    confirm = page.get_by_role("button", name="确认写入 2 行")
    confirm.focus()
    way.key("Enter")
    expect(page.get_by_role("heading", name="导入结果")).to_be_visible()
    way.presses += 1  # 上传并检查, of the mended workbook
    way.is_as_documented("审核单位：导入一张台账")
    assert line.of("branch").entry.declared_grade == "fairly_good"

    page.get_by_role("button", name="撤销导入").click()
    expect(page.get_by_role("heading", name="已撤销")).to_be_visible()
    assert line.of("branch").entry.declared_grade is None
