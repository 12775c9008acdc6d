"""Old ledgers in: every error at once with its place, nothing half-written."""

import csv
import json
import tracemalloc
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ledger_site.base.models import AuditEvent
from ledger_site.base.reading import read
from ratings.choices import State
from ratings.loading import _Import
from ratings.models import LedgerEntry, Report, ReportMove
from ratings.verification import verify

SMALL = settings.BASE_DIR / "tests/data/lanshan_small"
BRANCH = "431127102201"  # 毛俊村党支部, the second line of the file after its township's others


@pytest.fixture
def county(db):
    call_command("import_orgs", str(SMALL / "orgs.csv"), stdout=StringIO())
    call_command("open_cycle", "2012", stdout=StringIO())


def rows():
    with (SMALL / "ledger.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def sheet(tmp_path):
    """Write rows of the small ledger, changed by code, and give the path."""

    def write(changed=None, drop=(), add=(), encoding="utf-8"):
        path = tmp_path / "ledger.csv"
        stored = rows()
        names = [name for name in stored[0] if name not in drop] + list(add)
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            for row in stored:
                writer.writerow(row | (changed or {}).get(row["branch_code"], {}))
        return path

    return write


def load(path, *words, under="431127"):
    out, err = StringIO(), StringIO()
    try:
        call_command(
            "import_ledger",
            str(path),
            *("--cycle", "2012-1", "--under", under, "--json", *words),
            stdout=out,
            stderr=err,
        )
        status = 0
    except SystemExit as ended:
        status = ended.code
    return status, json.loads(out.getvalue() or "{}"), err.getvalue()


def test_rows_are_filled_and_stay_drafts_with_the_given_grade_as_a_hint(county):
    status, said, _ = load(SMALL / "ledger.csv")

    assert (status, said["outcome"]) == (0, "accepted")
    assert {row["action"] for row in said["rows"]} == {"new"}
    report = Report.objects.get(code="431127100011B2")
    assert (report.state, report.token) == (State.DRAFT, 1)
    entry = report.entry
    assert (entry.declared_grade, entry.given_grade, entry.reviewed_grade) == (
        "fairly_good",
        "average",
        None,
    )
    assert (entry.deadline_text, str(entry.due_on)) == ("2012年底", "2012-12-31")


def test_the_same_file_twice_is_same_and_writes_nothing(county):
    load(SMALL / "ledger.csv")
    before = list(LedgerEntry.objects.order_by("pk").values())

    status, said, _ = load(SMALL / "ledger.csv")

    assert (status, {row["action"] for row in said["rows"]}) == (0, {"same"})
    assert list(LedgerEntry.objects.order_by("pk").values()) == before
    assert set(Report.objects.filter(is_rated=True).values_list("token", flat=True)) == {1}


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(county):
    status, said, _ = load(SMALL / "ledger.csv", "--dry-run", "--reviewed")

    assert (status, {row["action"] for row in said["rows"]}) == (0, {"new"})
    assert not LedgerEntry.objects.exclude(secretary_name=None).exists()


@pytest.mark.parametrize(
    ("changed", "cell", "said"),
    [
        ({"self_rating": "良好"}, "R", "等次只能是好、较好、一般、较差"),
        ({"reviewed_rating": "优秀"}, "S", "等次只能是好、较好、一般、较差"),
        ({"reviewed_rating": "一般", "target": "较差"}, "T", "目标应高于“一般”"),
        ({"members_female": "9999"}, "G", "基本情况中写的是"),
        ({"members_total": "999"}, "E", "基本情况中写的是"),
        ({"members_total": "若干"}, "E", "应为整数"),
        ({"branch_name": "蓝山县毛俊镇西岭头村党支部"}, "A", "与名称不一致"),
        ({"branch_name": ""}, "B", "党支部名称未填写"),
        ({"members_total": ""}, "E", "党员总数未填写"),
        ({"basic_situation": ""}, "K", "基本情况未填写"),
        ({"support_unit": "　"}, "W", "帮扶单位未填写"),
        ({"venue_text": "2012年月完工"}, "O", "看不出完工年月"),
        ({"deadline": "2012年13月"}, "V", "没有13月"),
        ({"measures": ""}, "U", "整改措施未填写"),
        ({"secretary": " "}, "C", "请填写书记姓名"),
        ({"venue_text": "2012年13月完工", "venue_status": ""}, "O", "没有13月"),
        ({"branch_code": "000"}, "A", "没有这个代码"),
    ],
)
def test_a_wrong_cell_is_named_with_line_value_and_remedy_and_nothing_is_written(
    county, sheet, changed, cell, said
):
    status, answer, told = load(sheet({BRANCH: changed}))

    assert (status, answer["outcome"]) == (1, "rows_rejected")
    error = answer["errors"][0]
    assert error["cell"].startswith(cell)
    assert int(error["cell"][len(cell) :]) == error["row"]
    assert said in error["message"]
    assert f"第{error['row']}行" in told
    assert not LedgerEntry.objects.exclude(secretary_name=None).exists()


def test_all_errors_of_a_file_are_told_at_once(county, sheet):
    changed = {
        BRANCH: {"self_rating": "A", "measures": ""},
        "431127100202": {"target": "差", "floating_members": "若干"},
    }

    _, answer, _ = load(sheet(changed))

    assert {(error["field"], error["value"]) for error in answer["errors"]} == {
        ("declared_grade", "A"),
        ("measures", ""),
        ("proposed_target", "差"),
        ("floating_member_count", "若干"),
    }
    rejected = {row["branch_code"] for row in answer["rows"] if row["action"] == "rejected"}
    assert rejected == set(changed)


def test_two_lines_for_one_branch_are_an_error_on_both(county, sheet):
    names = {row["branch_code"]: row["branch_name"] for row in rows()}
    other = {"branch_code": "431127100202", "branch_name": names["431127100202"]}

    _, answer, _ = load(sheet({BRANCH: other}))

    assert [error["message"] for error in answer["errors"]] == [
        f"与第{other}行是同一个党组织，请只留一行"
        for other in reversed([error["row"] for error in answer["errors"]])
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"drop": ["measures"]}, "缺少“整改措施”一列"),
        ({"drop": ["branch_code", "branch_name"]}, "缺少“党支部名称（或党支部代码）”一列"),
        ({"add": ["电话"]}, "不认识这一列"),
        ({"add": ["主要特点"]}, "P1、Z1 的列名相同，这一列重复"),
    ],
)
def test_wrong_columns_reject_the_file(county, sheet, options, said):
    status, answer, told = load(sheet(**options))

    assert (status, answer["outcome"], answer["rows"]) == (1, "file_rejected", [])
    assert said in told


def test_columns_in_another_order_with_the_notices_headings_are_read(county, tmp_path):
    path = tmp_path / "zh.csv"
    headings = {
        "branch_code": "党支部代码",
        "secretary": "村党支部书记",
        "first_secretary": "第一书记",
        "basic_situation": "基本情况",
        "floating_members": "流动党员数",
        "venue_text": "村级活动场所情况",
        "features": "主要特点",
        "problems": "存在问题",
        "self_rating": "支部申报定级类别",
        "target": "晋位升级目标",
        "measures": "整改措施",
        "deadline": "整改时限",
        "support_unit": "帮扶单位",
        "contact_leader": "联系领导",
        "responsible_person": "整改责任人",
    }
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(reversed(headings.values()))
        for row in rows():
            writer.writerow([row[name] for name in reversed(headings)])

    status, answer, _ = load(path)

    assert (status, answer["outcome"]) == (0, "accepted")
    first = LedgerEntry.objects.get(report__code=rows()[0]["branch_code"])
    assert (first.member_count, first.venue_status) == (37, "built")


@pytest.mark.parametrize(
    ("name", "stored", "said"),
    [
        ("empty.csv", b"", "是空的"),
        ("head.csv", b"branch_code\n", "缺少"),
        ("note.txt", b"x", "另存为"),
        ("bytes.csv", b"\xff\xff\x00\x80", "UTF-8"),
        ("quote.csv", b'branch_code\n"' + b"x" * 200_000, ""),
        ("nul.csv", b"branch_code,\x00\n1,2\n", ""),
    ],
)
def test_what_is_no_ledger_gets_a_plain_sentence(county, tmp_path, name, stored, said):
    path = tmp_path / name
    path.write_bytes(stored)

    status, answer, told = load(path)

    assert (status, answer["outcome"]) == (1, "file_rejected")
    assert said in told
    assert "Traceback" not in told


def test_a_missing_file_a_foreign_unit_and_an_unknown_cycle_are_refused(county, tmp_path):
    assert "找不到文件" in load(tmp_path / "nowhere.csv")[2]
    status, _, told = load(SMALL / "ledger.csv", under="nowhere")
    assert (status, "没有代码为“nowhere”" in told) == (1, True)
    status, answer, _ = load(SMALL / "ledger.csv", under="431127102")
    assert (status, answer["outcome"]) == (1, "rows_rejected")
    assert {error["message"] for error in answer["errors"]} == {
        "在“中共蓝山县毛俊镇委员会”范围内没有这个代码的定级党组织，请核对代码"
    }


def test_locked_rows_refuse_changes_and_take_the_same(county, sheet):
    load(SMALL / "ledger.csv", "--reviewed")

    same = load(SMALL / "ledger.csv")
    changed = load(sheet({BRANCH: {"features": "改了"}}))

    assert (same[0], {row["action"] for row in same[1]["rows"]}) == (0, {"same"})
    assert (changed[0], len(changed[1]["errors"])) == (1, 1)
    assert "当前状态为“已审核”，内容已锁定" in changed[2]


def test_reviewed_rows_go_through_the_moves_marked_as_import(county):
    load(SMALL / "ledger.csv", "--reviewed")

    moves = set(ReportMove.objects.values_list("action", "mark", "person_name"))
    assert moves == {("submit", "导入", "系统"), ("accept", "导入", "系统")}
    entry = LedgerEntry.objects.get(report__code="431127100011B2")
    assert (entry.reviewed_grade, entry.target_grade) == ("average", "fairly_good")
    assert verify() == []


def test_reviewed_without_a_grade_is_an_error(county, sheet):
    _, answer, _ = load(sheet({BRANCH: {"reviewed_rating": ""}}), "--reviewed")

    assert [error["message"] for error in answer["errors"]] == ["没有上级定级类别，请补填"]


def test_a_jump_is_a_warning(county, sheet):
    jump = {"self_rating": "较差", "reviewed_rating": "较差", "target": "好"}

    status, answer, _ = load(sheet({BRANCH: jump}))

    assert (status, [w["message"] for w in answer["warnings"]]) == (0, ["目标越级，请确认"])


def test_a_person_who_acted_ends_playing(county):
    from tests.factories import appoint, fill, submit

    report = Report.objects.select_related("organization", "cycle").get(code=BRANCH)
    fill(report)
    submit(report, by=appoint(report.organization))
    err = StringIO()

    with pytest.raises(SystemExit):
        call_command("play_cycle", "--cycle", "2012-1", "--under", "431127", stderr=err)

    assert "已有人员办理过" in err.getvalue()


def test_the_queries_of_an_import_do_not_grow_with_its_rows(county, sheet):
    load(SMALL / "ledger.csv")
    counts = []
    for count in (3, 20):
        keep = {row["branch_code"] for row in rows()[:count]}
        path = sheet()
        with path.open(encoding="utf-8", newline="") as file:
            kept = [row for row in csv.DictReader(file) if row["branch_code"] in keep]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, kept[0])
            writer.writeheader()
            writer.writerows(row | {"features": f"特点{count}"} for row in kept)
        with CaptureQueriesContext(connection) as queries:
            status, *_ = load(path)
        counts.append(len(queries))
        assert status == 0

    assert counts[0] == counts[1]


def test_matching_by_name_costs_the_same_queries_for_few_rows_as_for_many(county, sheet):
    """Names under group rows, unknown ones, other styles and former names among them."""
    stored = [row for row in rows() if row["branch_code"].startswith("431127102")]
    counts = []
    for count in (2, 6):
        path = sheet()
        names = [name for name in stored[0] if name != "branch_code"]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerow({"branch_name": "毛俊镇"})
            for row in stored[:count]:
                writer.writerow(row | {"branch_name": row["branch_name"].removesuffix("党支部")})
                writer.writerow(row | {"branch_name": f"没有的{len(counts)}村党支部"})
        with CaptureQueriesContext(connection) as queries:
            _, answer, _ = load(path, "--dry-run")
        counts.append(len(queries))
        assert len(answer["errors"]) == count
        assert len(answer["rows"]) == 2 * count

    assert counts[0] == counts[1]


def test_what_an_import_replaced_stands_in_the_trail_with_file_and_line(county, sheet):
    load(SMALL / "ledger.csv")
    load(sheet({BRANCH: {"features": "改了"}}))

    first, second = AuditEvent.objects.filter(action="edit", object_code=BRANCH).order_by("pk")
    assert (first.data["mark"], first.data["file"]) == ("导入", "ledger.csv")
    assert first.data["row"] == second.data["row"]
    assert "changes" not in first.data
    assert second.data["changes"]["features"][1] == "改了"
    assert (first.unit_code, first.person_name) == ("431127102", "系统")


def test_who_was_quicker_than_an_import_is_not_overwritten(county, monkeypatch):
    """The rows are read, then locked: what was written between the two ends the import."""
    look = _Import._look_across

    def disturbed(self):
        look(self)
        Report.objects.filter(code=BRANCH).update(token=7)

    monkeypatch.setattr(_Import, "_look_across", disturbed)

    status, _, told = load(SMALL / "ledger.csv")

    assert status == 1
    assert "在导入时被他人修改，请重新导入" in told
    assert not LedgerEntry.objects.exclude(secretary_name=None).exists()


def test_a_long_file_is_read_in_little_memory(tmp_path):
    path = tmp_path / "long.csv"
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([n, "工作任务能够完成" * 30] for n in range(20_000))
    tracemalloc.start()
    count = sum(1 for _ in read(path)[0].rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 20_000
    assert peak < path.stat().st_size / 2
