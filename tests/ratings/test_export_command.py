"""`manage.py export_ledger`: what it writes, and how it refuses."""

import json
import os
import subprocess
import sys
from io import StringIO
from zipfile import ZipFile

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from openpyxl import load_workbook

from ratings import exports
from ratings.choices import Form
from ratings.management.commands import export_ledger
from tests.factories import hand_up, submit


def export(out, *more, under="T", form="annex3", cycle="2012-1"):
    stdout = StringIO()
    call_command(
        "export_ledger",
        *("--cycle", cycle, "--under", under, "--form", form, "--out", str(out)),
        *more,
        stdout=stdout,
    )
    return stdout.getvalue()


def refused(out, capsys, more=(), **wanted):
    """The reason on stderr of a command that ends with status 1."""
    with pytest.raises(SystemExit) as ended:
        export(out, *more, **wanted)
    assert ended.value.code == 1
    return capsys.readouterr().err.strip()


@pytest.fixture
def reported(line):
    for name in ("branch", "sibling"):
        hand_up(line.of(name))
    submit(line.of("township"))
    return line


@pytest.mark.parametrize(
    ("form", "rows", "sheets"),
    [
        ("annex1", 2, ["附件一", "附件一（按领域类别）", "说明"]),
        ("annex1-list", 2, ["附件一（逐个党组织）", "说明"]),
        ("annex2", 2, ["附件二", "说明"]),
        ("annex3", 2, ["附件三", "说明"]),
    ],
)
def test_every_form_is_written_and_counted(reported, tmp_path, form, rows, sheets):
    out = tmp_path / "台账.xlsx"

    said = json.loads(export(out, "--json", form=form))

    assert said == {
        "file": str(out),
        "cycle": "2012-1",
        "under": "T",
        "form": form,
        "rows": rows,
        "bytes": out.stat().st_size,
    }
    assert load_workbook(out).sheetnames == sheets


def test_answer_is_one_line(reported, tmp_path):
    out = tmp_path / "台账.xlsx"

    line = export(out)

    assert line == f"已导出“{out}”：2行，{out.stat().st_size}字节\n"


def test_ledger_without_rows_is_written_and_said(line, tmp_path):
    out = tmp_path / "空.xlsx"

    assert export(out).endswith("字节，没有审核通过的台账行\n")
    assert load_workbook(out).sheetnames == ["附件三", "说明"]


def test_the_workbook_of_old_programs_with_its_65_536_rows_is_not_offered(
    reported, tmp_path, capsys
):
    assert "应以 .xlsx 结尾" in refused(tmp_path / "台账.xls", capsys)


def test_split_writes_a_workbook_for_each_subordinate_into_a_zip(reported, tmp_path):
    out = tmp_path / "台账.zip"

    said = json.loads(export(out, "--json", "--split"))

    with ZipFile(out) as archive:
        names = archive.namelist()
    assert said["parts"] == [{"file": name, "rows": 1} for name in names]
    assert (said["rows"], said["bytes"], len(names)) == (2, out.stat().st_size, 2)
    assert export(out, "--split") == f"已导出“{out}”：2个工作簿，2行，{out.stat().st_size}字节\n"
    assert [path.name for path in tmp_path.iterdir()] == ["台账.zip"]


def test_split_refuses_a_workbooks_name_and_the_other_way_round(reported, tmp_path, capsys):
    assert "应以 .zip 结尾" in refused(tmp_path / "台账.xlsx", capsys, more=("--split",))
    assert "应以 .xlsx 结尾" in refused(tmp_path / "台账.zip", capsys)


def test_split_of_what_cannot_be_split_leaves_nothing(reported, tmp_path, capsys):
    said = refused(tmp_path / "台账.zip", capsys, more=("--split",), under="B1")

    assert "没有直接下级，不能分开导出" in said
    assert list(tmp_path.iterdir()) == []


def test_many_rows_in_one_workbook_are_said_with_what_to_do(reported, tmp_path, monkeypatch):
    monkeypatch.setattr(export_ledger, "MANY_ROWS", 1)

    assert "旧版表格软件不能打开，可加 --split" in export(tmp_path / "台账.xlsx")
    assert "--split" not in export(tmp_path / "台账.zip", "--split")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"cycle": "2019-1"}, "没有批次“2019-1”"),
        ({"cycle": "nonsense"}, "没有批次“nonsense”"),
        ({"under": "NOBODY"}, "没有代码为“NOBODY”的党组织"),
    ],
)
def test_unknown_cycle_and_code_are_refused(reported, tmp_path, capsys, wanted, reason):
    out = tmp_path / "台账.xlsx"

    assert reason in refused(out, capsys, **wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere/台账.xlsx", "文件夹不存在"),
        ("folder.xlsx", "这是一个文件夹"),
        ("file/台账.xlsx", "文件夹不存在"),
        ("台账.csv", "应以 .xlsx 结尾"),
        ("长" * 100 + ".xlsx", "文件名过长"),
    ],
)
def test_place_that_cannot_be_written_is_refused(reported, tmp_path, capsys, name, reason):
    (tmp_path / "folder.xlsx").mkdir()
    (tmp_path / "file").touch()

    assert reason in refused(tmp_path / name, capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"folder.xlsx", "file"}


def test_file_that_is_there_is_replaced_only_by_a_whole_one(reported, tmp_path, monkeypatch):
    out = tmp_path / "台账.xlsx"
    out.write_bytes(b"old")

    def half(form, report, post, stream):
        stream.write(b"half")
        raise RuntimeError

    monkeypatch.setattr(exports, "write", half)
    with pytest.raises(RuntimeError):
        export(out)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]

    monkeypatch.undo()
    export(out)
    assert load_workbook(out)["附件三"].max_column == 16
    assert [path.name for path in tmp_path.iterdir()] == ["台账.xlsx"]


def test_file_has_the_rights_of_any_other_new_file(reported, tmp_path):
    out = tmp_path / "台账.xlsx"
    export(out)
    other = tmp_path / "other"
    other.touch()

    assert out.stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize(
    "missing_or_wrong", [("--form", "annex9"), ("--form",), ("--nonsense",), ()]
)
def test_wrong_usage_ends_with_two_and_no_traceback(missing_or_wrong):
    done = subprocess.run(
        [sys.executable, "manage.py", "export_ledger", "--skip-checks", *missing_or_wrong],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": "sqlite://:memory:"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_forms_are_those_of_the_notice():
    assert Form.values == ["annex1", "annex1-list", "annex2", "annex3"]
    with pytest.raises(CommandError):
        export("x.xlsx", form="annex9")
