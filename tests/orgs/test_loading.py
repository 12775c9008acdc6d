"""import_orgs: every error with its line, or everything loaded."""

import json
from datetime import date
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command

from ledger_site.base.models import AuditEvent
from orgs import tree
from orgs.models import Organization

SMALL = settings.BASE_DIR / "tests/data/lanshan_small/orgs.csv"
HEAD = "code,parent_code,name,kind,category\n"
ROOT = "R,,中共某县委员会,党委,\n"


def load(path):
    out, err = StringIO(), StringIO()
    try:
        call_command("import_orgs", str(path), "--json", stdout=out, stderr=err)
        status = 0
    except SystemExit as ended:
        status = ended.code
    return status, json.loads(out.getvalue()), err.getvalue()


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "orgs.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_small_county_loads_and_twice_is_no_change(db):
    first, second = load(SMALL), load(SMALL)

    assert first[:2] == (0, {"outcome": "accepted", "new": 31, "changed": 0, "same": 0})
    assert second[:2] == (0, {"outcome": "accepted", "new": 0, "changed": 0, "same": 31})
    assert tree.check() == []
    town = Organization.objects.get(code="431127102")
    branch = Organization.objects.get(code="431127102201")
    assert (town.short_name, branch.short_name) == ("毛俊镇", "毛俊村党支部")
    assert (town.is_rated, branch.is_rated) == (False, True)


def test_optional_columns_are_taken_and_a_changed_line_changes_its_organization(db, file):
    head = "code,parent_code,name,kind,category,short_name,is_rated\n"
    load(file(head + "R,,中共某县委员会,党委,,某县,\nG,R,某总支,党总支,机关,总支,1\n"))

    done = load(file(head + "R,,中共某县委员会,党委,,某县,\nG,R,某总支,党总支,村,新总支,0\n"))

    assert done[1]["changed"] == 1
    general = Organization.objects.get(code="G")
    assert (general.short_name, general.is_rated, general.category.name) == ("新总支", False, "村")


@pytest.mark.parametrize("written", ["2013-06-30", "2013/6/30", "2013.6.30", "2013年6月30日"])
def test_the_end_of_a_term_is_taken_and_a_blank_leaves_it(db, file, written):
    head = HEAD.strip() + ",term_ends_on\n"
    load(file(f"{head}R,,中共某县委员会,党委,,{written}\n"))
    again = load(file(f"{head}R,,中共某县委员会,党委,,\n"))

    assert again[1]["same"] == 1
    assert Organization.objects.get().term_ends_on == date(2013, 6, 30)
    load(file(f"{head}R,,中共某县委员会,党委,,2014-07-01\n"))
    assert Organization.objects.get().term_ends_on == date(2014, 7, 1)
    event = AuditEvent.objects.get(action="change")
    assert event.data["term_ends_on"] == ["2013-06-30", "2014-07-01"]


@pytest.mark.parametrize("day", ["明年", "2013-13-01", "2013-02-30", "13-06-30"])
def test_a_term_that_ends_on_no_day_is_named(db, file, day):
    head = "代码,上级代码,名称,组织类型,领域类别,届满日期\n"
    status, _, said = load(file(f"{head}R,,中共某县委员会,党委,,{day}\n"))

    assert status == 1
    assert f"第2行 届满日期 “{day}”：不是日期" in said
    assert not Organization.objects.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "是空的"),
        ("code,name\n", "第1行缺少列 parent_code、kind、category"),
        ("code,parent_code,name,kind,category,电话\n", "不认识的列 电话"),
        ("code,code,parent_code,name,kind,category\n", "重复"),
        (HEAD, "没有党组织"),
        (HEAD + "R,,某县委\n", "第2行有3格，表头有5列"),
        (HEAD + "R,,某县委,支部,\n", "第2行 kind “支部”：只能是党委、党工委、党总支、党支部"),
        (HEAD + "R,,某县委,党委,鱼\n", "第2行 category “鱼”"),
        (HEAD + ",,某县委,党委,\n", "第2行 code “”：不能为空"),
        (HEAD + f"{'9' * 25},,某县委,党委,\n", "超过24个字"),
        (HEAD + ROOT + "B,Z,支部,党支部,村\n", "第3行 parent_code “Z”"),
        (HEAD + ROOT + "R,,另一县委,党委,\n", "第3行 code “R”：与第2行重复"),
        (
            HEAD + ROOT + "B,R,支部,党支部,村\nD,R,支部,党支部,村\n",
            "第3、4行：同一上级下都叫“支部”",
        ),
        (HEAD + ROOT + "S,,另一县委,党委,\n", "只能有一个最高级党组织"),
        (HEAD + ROOT + "A,B,甲,党委,\nB,A,乙,党委,\n", "第3行 parent_code “B”：上级关系成环"),
        (HEAD + ROOT + "A,A,甲,党委,\n", "上级不能是自己"),
        (HEAD + ROOT + '"A,R,甲,党委,\n', ""),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_loaded(db, file, text, said):
    status, answer, told = load(file(text))

    assert (status, answer["outcome"]) == (1, "rejected")
    assert said in told
    assert not Organization.objects.exists()


def test_all_errors_are_told_at_once(db, file):
    text = HEAD + ROOT + "B,R,,支部,鱼\nC,Z,丙,党支部,村\n"

    _, answer, _ = load(file(text))

    assert [error[:4] for error in answer["errors"]] == ["第3行 ", "第3行 ", "第3行 ", "第4行 "]


def test_a_name_taken_by_an_organization_outside_the_file_is_refused(db, file):
    load(file(HEAD + ROOT + "B,R,支部,党支部,村\n"))

    _, _, told = load(file(HEAD + "N,R,支部,党支部,村\n"))

    assert "同一上级下已有同名党组织（B）" in told


def test_too_deep_a_chain_is_refused(db, file):
    lines = "".join(f"L{n},{f'L{n - 1}' if n else 'R'},第{n}级,党委,\n" for n in range(13))

    _, _, told = load(file(HEAD + ROOT + lines))

    assert "超过12级" in told
