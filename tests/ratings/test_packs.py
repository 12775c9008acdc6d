"""检查资料包: just what its owner may see, proved by its manifest."""

import csv
import hashlib
from io import BytesIO, StringIO
from zipfile import ZipFile

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from ledger_site.base import packing
from ledger_site.base.models import AuditEvent
from ledger_site.base.workflow import TransitionRefused
from ledger_site.jobs import services
from ledger_site.jobs.choices import JobState
from ledger_site.jobs.models import Job
from ratings import packs, workflow
from ratings import services as ledger
from rectification import following
from tests.factories import accept, fill, hand_up, submit


@pytest.fixture
def handed(line):
    """The whole line handed up; the township was sent back once."""
    fill(line.of("branch"), measures="=HYPERLINK(1)")
    submit(line.of("branch"))
    accept(line.of("branch"))
    hand_up(line.of("sibling"))
    submit(line.of("township"))
    workflow.move("send_back", line.of("township"), by=line.county, reason="请核实党员数")
    for name in ("township", "county"):
        submit(line.of(name))
        accept(line.of(name))
    return line


def pack(line, name, who) -> dict[str, bytes]:
    stream = BytesIO()
    packs.write(line.of(name), getattr(line, who), stream)
    with ZipFile(stream) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def table(files, name) -> list[dict]:
    return list(csv.DictReader(StringIO(files[f"{name}.csv"].decode("utf-8-sig"))))


def codes(files, name) -> list[str]:
    return [row["代码"] for row in table(files, name)]


def test_a_pack_holds_the_unit_and_all_below_it(handed):
    files = pack(handed, "county", "county")

    assert codes(files, "组织树") == ["C", "T", "B1", "B2"]
    assert codes(files, "台账") == ["B1", "B2"]
    assert [(r["代码"], r["操作"]) for r in table(files, "退回和更正")] == [("T", "退回")]
    assert table(files, "上报和审核")[-1]["审核等次"] == "较好"
    assert {"附件一.xlsx", "附件二.xlsx", "附件三.xlsx", "说明.txt"} <= files.keys()
    assert load_rows(files["附件三.xlsx"]) >= 2


def load_rows(data: bytes) -> int:
    return load_workbook(BytesIO(data)).worksheets[0].max_row


def test_the_manifest_proves_every_other_file(handed):
    files = pack(handed, "county", "county")

    said = list(csv.DictReader(StringIO(files.pop("清单.csv").decode("utf-8-sig"))))

    assert {row["文件"]: row["SHA-256"] for row in said} == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items()
    }
    assert {r["文件"]: r["行数"] for r in said}["台账.csv"] == "2"
    assert {r["文件"]: int(r["字节"]) for r in said}["台账.csv"] == len(files["台账.csv"])


def test_the_text_of_each_version_gives_the_digest_beside_it(handed):
    files = pack(handed, "county", "county")

    lines = files["版本原文.txt"].decode().splitlines()
    digests = [row["SHA-256"] for row in table(files, "版本")]

    assert [hashlib.sha256(line.encode()).hexdigest() for line in lines] == digests
    assert codes(files, "版本") == ["C", "T", "T", "B1", "B2"]


def test_no_text_becomes_a_formula(handed):
    files = pack(handed, "township", "township")

    assert table(files, "台账")[0]["整改措施"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_a_cell_that_would_be_calculated_is_quoted(text):
    assert packing.cell(text) == f"'{text}"
    assert packing.cell(-1) == -1
    assert packing.cell(None) == ""


def test_from_further_above_only_what_was_handed_up_is_given(handed):
    files = pack(handed, "county", "province")

    assert codes(files, "退回和更正") == []  # of the township: between it and the county
    assert [(r["代码"], r["版本号"]) for r in table(files, "版本")] == [
        ("C", "1"),
        ("T", "2"),
        ("B1", "1"),
        ("B2", "1"),
    ]


def test_what_has_not_been_handed_up_is_in_no_pack(line):
    fill(line.of("branch"), measures="还没有上报")
    hand_up(line.of("sibling"))

    files = pack(line, "county", "county")

    assert codes(files, "组织树") == ["C", "T"]
    assert codes(files, "台账") == []
    assert "还没有上报".encode() not in b"".join(files.values())
    assert "未包含" in files["说明.txt"].decode() or "附件一.xlsx" in files
    with pytest.raises(TransitionRefused, match="可见范围"):
        pack(line, "branch", "county")


def test_a_row_under_correction_is_given_as_it_was_handed_up(handed):
    submit(handed.of("province"))
    accept(handed.of("province"))
    workflow.move("reopen", handed.of("province"), by=handed.province, reason="更正")
    ledger.open_correction(
        issuer=handed.of("province"),
        rows=[handed.of("branch")],
        fields=["measures"],
        number="1号",
        reason="措施不具体",
        by=handed.province,
    )
    ledger.save_row(handed.of("branch"), {"measures": "正在改的"}, by=handed.branch)

    files = pack(handed, "province", "province")

    assert "正在改的".encode() not in b"".join(files.values())
    assert "更正中" in [row["情况"] for row in table(files, "台账")]


def test_other_apps_add_what_they_know(handed):
    branch = handed.of("branch")
    following.lay_down(branch, following.proposed(branch), by=handed.branch)

    files = pack(handed, "county", "county")

    assert codes(files, "整改措施") == ["B1"]
    assert table(files, "整改措施")[0]["措施"].startswith("'=")


@pytest.mark.django_db(transaction=True)
def test_a_pack_is_made_in_the_background_and_leaves_an_event(client, handed, settings, tmp_path):
    settings.JOBS_DIR = tmp_path / "jobs"
    client.force_login(handed.county.user)
    address = reverse("ratings:pack", args=[handed.of("county").pk])
    assert client.get(address).status_code == 200
    assert not Job.objects.exists()

    client.post(address)
    client.post(address)
    job = Job.objects.get()
    services.run(job.pk, job.attempt)

    job.refresh_from_db()
    assert job.state == JobState.DONE, job.message
    assert job.file_name.endswith(".zip")
    event = AuditEvent.objects.get(action="export_pack")
    assert event.object_code == "C"
    assert "台账.csv" in event.data["files"]
    assert event.data["rows"] > 0
    download = client.get(reverse("jobs:file", args=[job.pk]))
    assert hashlib.sha256(b"".join(download.streaming_content)).hexdigest() == job.digest


def test_a_pack_that_grows_too_large_is_refused_in_words(handed, monkeypatch):
    monkeypatch.setattr(packing, "MOST_BYTES", 1000)

    with pytest.raises(TransitionRefused, match="按直接下级分别生成"):
        pack(handed, "county", "county")


def test_the_queries_of_a_pack_grow_with_its_pieces_and_not_with_its_rows(
    line,
):
    counts = []
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    for post in (line.township, line.county):
        with CaptureQueriesContext(connection) as queries:
            packs.write(line.of("township"), post, BytesIO())
        counts.append(len(queries))

    assert max(counts) < 120
