"""What checks add to a 检查资料包: as much as their pages show, and no more."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audits import workflow
from audits.services import checks, outcomes
from audits.workflow import CLOSE, DROP
from ratings import scoring
from ratings.choices import ScorePart
from tests.factories import fill, hand_up, submit
from tests.ratings.test_packs import codes, pack, table

from .test_checks import act, bad, do, draw, find, issue, practise, row_of, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def checked(line):
    """The county has looked at both branches, found something and had it mended."""
    for name in ("branch", "sibling", "township"):
        hand_up(line.of(name))
    line.check = started(line)
    checks.look(row_of(line.check), by=line.county)
    find(line.check, line.county, found=bad(opinion_grade="average", opinion="台账不实"))
    remedy = issue(row_of(line.check), line.county)
    do(workflow.REPLY, remedy, line.township)
    outcomes.request_correction(
        line.check,
        [row_of(line.check)],
        fields=["measures"],
        number="2号",
        reason="核实",
        by=line.county,
    )
    practise(line)
    return line


def test_a_pack_holds_what_was_checked_found_and_mended(checked):
    files = pack(checked, "county", "county")

    assert codes(files, "抽查") == ["B1", "B2"]
    assert table(files, "抽查")[0]["随机种子"] == checked.check.seed
    assert [r["发现情况"] for r in table(files, "检查结论") if r["结论"] == "不符合"] == [
        "流动党员数与名册不符"
    ]
    (opinion,) = table(files, "抽查意见")
    assert (opinion["审核等次"], opinion["抽查意见"], opinion["说明"]) == (
        "较好",
        "一般",
        "台账不实",
    )
    assert [r["版本号"] for r in table(files, "调阅记录")] == ["1"]
    assert [(r["操作"], r["状态"]) for r in table(files, "整改通知")] == [
        ("发出整改通知", "待核实"),
        ("答复", "待核实"),
    ]
    assert [(r["代码"], r["栏目"]) for r in table(files, "更正通知")] == [("B1", "整改措施")]
    assert [r["标题"] for r in table(files, "典型做法")] == ["党员积分管理"]


def test_findings_are_in_the_pack_of_the_checked_once_the_check_is_closed(checked):
    assert codes(pack(checked, "township", "township"), "抽查") == ["B1", "B2"]
    assert codes(pack(checked, "township", "township"), "检查结论") == []
    assert codes(pack(checked, "township", "township"), "抽查意见") == []

    act(CLOSE, checked.check, checked.county)

    assert set(codes(pack(checked, "township", "township"), "检查结论")) == {"B1"}
    assert codes(pack(checked, "sibling", "sibling"), "检查结论") == []


def test_what_no_page_shows_is_in_no_pack(checked):
    """A check not begun or dropped, and one of a unit that does not check the viewer."""
    later = draw(checked, title="没有开始")
    files = pack(checked, "township", "township")
    assert "没有开始".encode() not in files["抽查.csv"]
    act(DROP, later, checked.county)
    assert "没有开始".encode() not in pack(checked, "township", "township")["抽查.csv"]

    files = pack(checked, "province", "province")  # of the county's check nothing

    assert codes(files, "抽查") == codes(files, "整改通知") == codes(files, "更正通知") == []


def test_scores_are_in_the_pack_of_those_whom_they_concern(line):
    scoring.set_sheet(
        line.cycle,
        {"indicators": [["工作业绩", 100]], "self_weight": 0, "members_weight": 0}
        | {"superior_weight": 100},
        by=line.province,
        token=0,
    )
    fill(line.of("branch"))
    submit(line.of("branch"))
    values = {"points": {"superior": [850]}, "red_lines": {}}
    report = line.of("branch")
    token = scoring.token_of(scoring.sheet_of(report.cycle), None)
    scoring.save(report, ScorePart.SUPERIOR, values, by=line.township, token=token)

    (score,) = table(pack(line, "township", "township"), "评分")

    assert (score["代码"], score["加权得分"], score["对应等次"]) == ("B1", "85", "较好")
    assert "85" not in str(table(pack(line, "branch", "branch"), "评分"))  # not decided yet


def test_the_tables_of_checks_cost_the_same_for_one_row_and_two(checked):
    counts = []
    for name in ("branch", "township"):
        with CaptureQueriesContext(connection) as queries:
            pack(checked, name, "township")
        counts.append(len([q for q in queries if "audits_" in q["sql"]]))

    assert counts[0] == counts[1]
