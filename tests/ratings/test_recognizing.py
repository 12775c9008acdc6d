"""Where the head of a sheet stands, and what its rows are, on sheets made by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_site.base.reading import Cell, Row, Sheet
from ratings.columns import COLUMNS, FACTS, PLAN
from ratings.recognizing import NAME, recognize

pytestmark = pytest.mark.once


HEAD = [column.heading for column in COLUMNS]
ABOVE = ["" if not column.group else column.group for column in COLUMNS]
DATA = ["某村党支部", "张三", "李四", "支部共有党员8人", "2", "已建", "好", "差", "好", "好", "好"]
DATA += ["做", "2012年底", "县委", "王五", "张三"]


def table_of(*rows, name="台账"):
    sheet = Sheet(name, iter([Row(n, tuple(cells)) for n, cells in enumerate(rows, 1)]))
    return recognize(sheet)


def names_of(table):
    return [line.alone or line.texts[NAME] for line in table.lines()]


def spread(text, count):
    return [text, *(Cell(text, is_spread=True) for _ in range(count - 1))]


LOST = ["党支部名称", "村党支部书记", "第一书记", FACTS, *[""] * 4, *HEAD[8:10], PLAN, *[""] * 5]
BELOW = ["", "", "", *HEAD[3:8], "", "", *HEAD[10:]]
MERGED = [*HEAD[:3], *spread(FACTS, 5), *HEAD[8:10], *spread(PLAN, 6)]
CAUGHT = [Cell(text, is_spread=True) for text in HEAD[:3]]


@pytest.mark.parametrize(
    "head",
    [
        [HEAD],
        [LOST, BELOW],
        [MERGED, [*CAUGHT, *HEAD[3:]]],
        [BELOW[:3] + LOST[3:8] + [""] * 2 + LOST[10:], HEAD],  # names only in the second row
        [LOST, BELOW, HEAD],
        [
            ["附件三："],
            ["某县基层党组织台帐"],
            ["填报单位（盖章）：某乡", "", "2012年7月"],
            [],
            HEAD,
        ],
        [HEAD, [str(n) for n in range(1, 17)]],  # the numbers of the columns
        [[" ".join(heading) for heading in HEAD]],
        [[f"{heading}\u200b" for heading in HEAD]],
        [[*HEAD[:4], "流动党员数（人）", *HEAD[5:8], "支部申报定级类别(好、较好)", *HEAD[9:]]],
    ],
)
def test_the_head_is_found_in_every_shape(head):
    table = table_of(*head, DATA)

    assert table.faults == []
    assert list(table.columns.values()) == [NAME, *(c.field.name for c in COLUMNS[1:])]
    assert [(line.number, line.texts[NAME]) for line in table.lines()] == [
        (len(head) + 1, "某村党支部")
    ]


@given(st.permutations(range(len(HEAD))), st.integers(0, 3))
def test_columns_are_found_by_their_headings_in_any_order(order, blank):
    shift = [""] * blank
    table = table_of([*shift, *(HEAD[n] for n in order)], [*shift, *(DATA[n] for n in order)])

    (line,) = table.lines()

    assert table.faults == []
    texts = dict(zip([NAME, *(c.field.name for c in COLUMNS[1:])], DATA, strict=True))
    assert line.texts == texts


@pytest.mark.parametrize(
    ("rows", "names", "skipped"),
    [
        ([["甲乡"], DATA], ["甲乡", "某村党支部"], []),
        ([spread("甲乡", 16), DATA], ["甲乡", "某村党支部"], []),
        ([["", "", "甲乡（2个）"], DATA], ["甲乡（2个）", "某村党支部"], []),
        ([["甲乡", "2个"], DATA], ["甲乡", "某村党支部"], []),
        ([DATA, ["合计", "2个", "", "", "18"]], ["某村党支部"], ["合计行"]),
        ([DATA, ["全乡小计（2个）"]], ["某村党支部"], ["合计行"]),
        ([DATA, ["注：一式两份"], ["说明: 略"]], ["某村党支部"], ["说明文字", "说明文字"]),
        ([DATA, ["填表人：甲", "", "审核人：乙"]], ["某村党支部"], ["落款"]),
        ([DATA, ["填报单位（盖章）：甲", "填报日期：　年　月　日"]], ["某村党支部"], ["落款"]),
        ([DATA, HEAD, DATA], ["某村党支部"] * 2, ["重复的表头"]),
        ([DATA, LOST, BELOW, DATA], ["某村党支部"] * 2, ["重复的表头"] * 2),
        ([DATA, ["某县基层党组织目标管理工作台账"], DATA], ["某村党支部"] * 2, ["说明文字"]),
        ([[], ["　"], DATA, [""] * 16], ["某村党支部"], []),
        ([["某村党支部"]], ["某村党支部"], []),
    ],
)
def test_rows_are_told_from_what_belongs_to_the_paper(rows, names, skipped):
    table = table_of(HEAD, *rows)

    assert names_of(table) == names
    assert [why for _, _, why in table.skipped] == skipped


def test_a_cell_that_can_not_be_used_is_no_blank_one():
    fault = Cell("", fault="公式没有结果")
    table = table_of(HEAD, [fault, *[""] * 15])

    (line,) = table.lines()

    assert (line.alone, line.texts[NAME].fault) == ("", "公式没有结果")


def test_a_column_without_a_heading_is_told_with_its_first_row():
    table = table_of(HEAD, DATA, [*DATA, "另注"])

    assert [line.is_beyond for line in table.lines()] == [False, True]
    assert table.unheaded == {16: 3}


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ([*HEAD, "电话"], {"不认识这一列，请改成表样中的列名或删除"}),
        (HEAD[:11] + HEAD[12:], {"缺少“整改措施”一列（表头在第1行），请补上"}),
        ([*HEAD, "整改 措施"], {"L1、Q1 的列名相同，这一列重复，请只留一列"}),
        (HEAD[1:], {"缺少“党支部名称（或党支部代码）”一列（表头在第1行），请补上"}),
    ],
)
def test_what_is_wrong_with_a_head_is_named(head, said):
    assert {fault.message for fault in table_of(head, DATA).faults} == said


def test_a_sheet_without_a_ledger_has_none():
    assert table_of(["一、本表由各乡镇党委填写。"], ["二、类别分为好、较好、一般、较差。"]) is None
    summary = table_of(["序号", "基层党组织名称", "党支部总数", "备注"], ["1", "甲乡", "3", ""])
    assert summary is None or not summary.is_ledger
