"""表格填报 in a real browser: moving between cells, pasting a block, saving itself."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from ratings.choices import Grade

from .. import factories

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]

# The clipboard of a spreadsheet; a cell with lines or quotes in it stands in quotes.
PASTE = """([element, text, html]) => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  if (html) data.setData("text/html", html);
  const options = { clipboardData: data, bubbles: true, cancelable: true };
  return element.dispatchEvent(new ClipboardEvent("paste", options));
}"""


@pytest.fixture
def grid(sign_in, line):
    """The township's grid."""

    def open_grid(**options):
        page = sign_in(line.township, **options)
        page.goto(reverse("ratings:grid", args=[line.cycle]))
        return page

    return open_grid


def cell(page, line, who, name):
    return page.locator(f"#id_{line.of(who).pk}_{name}")


def saved_in(page, line, who):
    row = page.locator(f"#row-{line.of(who).pk}")
    expect(row.get_by_role("status")).to_contain_text("已自动保存")
    return row


def paste(page, place, text, html=""):
    """Whether the browser is left to paste it itself."""
    return page.evaluate(PASTE, [place.element_handle(), text, html])


def test_cells_are_walked_by_keyboard_and_each_row_saves_itself(grid, line):
    page = grid()
    cell(page, line, "branch", "secretary_name").focus()

    page.keyboard.type("张三")
    page.keyboard.press("Enter")
    expect(cell(page, line, "sibling", "secretary_name")).to_be_focused()
    page.keyboard.type("李四")
    page.keyboard.press("ArrowUp")
    expect(cell(page, line, "branch", "secretary_name")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    expect(cell(page, line, "branch", "basic_info")).to_be_focused()
    page.keyboard.type("支部共有党员75人")
    page.keyboard.press("ArrowLeft")  # within the text that is being written
    expect(cell(page, line, "branch", "basic_info")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Alt+Enter")
    page.keyboard.type("另有积极分子2人")
    page.keyboard.press("Enter")
    expect(cell(page, line, "sibling", "basic_info")).to_be_focused()

    saved_in(page, line, "branch")
    saved_in(page, line, "sibling")
    entry = line.of("branch").entry
    assert entry.secretary_name == "张三"
    assert entry.basic_info == "支部共有党员75人\n另有积极分子2人"
    assert entry.member_count == 75
    assert line.of("sibling").entry.secretary_name == "李四"


def test_the_decision_is_stepped_over_and_escape_undoes_the_cell(grid, line):
    page = grid()
    declared = cell(page, line, "branch", "declared_grade")
    declared.focus()
    page.keyboard.press("ArrowRight")
    expect(cell(page, line, "branch", "proposed_target")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(declared).to_be_focused()

    page.keyboard.type("好")
    page.keyboard.press("Escape")
    expect(declared).to_have_value("")
    page.keyboard.type("较好")
    page.keyboard.press("F2")
    page.keyboard.press("ArrowLeft")  # not out of the cell: its text is being edited
    expect(declared).to_be_focused()
    page.keyboard.press("Enter")

    row = saved_in(page, line, "branch")
    expect(cell(page, line, "branch", "proposed_target")).to_have_value("好")
    expect(row).to_contain_text("系统预填")
    assert line.of("branch").entry.declared_grade == Grade.FAIRLY_GOOD


def test_a_block_from_a_spreadsheet_fills_consecutive_cells_and_can_be_taken_back(grid, line):
    page = grid()
    block = (
        '甲县乙乡丙村党支部\t张三\t\t支部共有党员9人\t1\t已建\t"1、班子团结；\n2、“""四制""”健全。"\t无\t较好\t好\r\n'
        "甲县乙乡丁村党支部\t李四\t\t支部共有党员8人\t约2人\t已建\t一般\t无\t优秀\t\r\n"
    )

    assert not paste(page, cell(page, line, "branch", "secretary_name"), block)

    said = page.get_by_text("已粘贴 2 行")
    expect(said).to_contain_text("上级审核的等次等不能在这里填写的栏目没有写入")
    saved_in(page, line, "branch")
    row = saved_in(page, line, "sibling")
    expect(cell(page, line, "branch", "features")).to_have_value('1、班子团结；\n2、“"四制"”健全。')
    expect(row).to_contain_text("错误 2 处")
    declared = cell(page, line, "sibling", "declared_grade")
    expect(declared).to_have_value("优秀")
    expect(declared).to_have_attribute("aria-invalid", "true")
    expect(declared.locator("xpath=..")).to_contain_text("错误")
    entry = line.of("branch").entry
    assert (entry.secretary_name, entry.member_count) == ("张三", 9)
    assert (entry.declared_grade, entry.reviewed_grade) == (Grade.FAIRLY_GOOD, None)

    cell(page, line, "branch", "problems").fill("粘贴后又改的")
    page.get_by_role("button", name="撤销这次粘贴").click()
    expect(page.get_by_text("粘贴后又改过的 1 格保持不动")).to_be_visible()
    expect(cell(page, line, "branch", "problems")).to_have_value("粘贴后又改的")
    expect(cell(page, line, "branch", "secretary_name")).to_have_value("")
    expect(declared).to_have_value("")
    expect(row).to_contain_text("错误 1 处")  # the name of the secretary, as before
    expect(row.get_by_role("status")).to_contain_text("已自动保存")
    assert line.of("sibling").entry.unread == {}


def test_a_block_in_another_order_writes_nothing_and_names_the_place(grid, line):
    page = grid()

    paste(
        page,
        page.locator(f"#row-{line.of('branch').pk} th a"),
        "甲县乙乡丙村党支部\t张三\r\n戊村党支部\t李四\r\n",
    )

    expect(page.get_by_text("没有写入：粘贴内容中的“戊村党支部”对着表中的")).to_be_visible()
    expect(cell(page, line, "branch", "secretary_name")).to_have_value("")


def test_what_is_locked_or_beyond_the_grid_is_named_and_not_written(grid, line):
    factories.fill(line.of("branch"))
    factories.submit(line.of("branch"))
    page = grid()
    first = cell(page, line, "sibling", "responsible_name")
    head = page.locator(f"#row-{line.of('branch').pk} th a")

    paste(page, head, "甲县乙乡丙村党支部\t甲\r\n甲县乙乡丁村党支部\t乙\r\n")
    expect(page.get_by_text("只读的行没有写入：")).to_be_visible()
    saved_in(page, line, "sibling")
    paste(page, first, "丙\t丁\r\n戊\t己\r\n")
    expect(page.get_by_text("最后 1 行超出本页的表格")).to_contain_text("右边超出表格")

    expect(first).to_have_value("丙")
    assert line.of("branch").entry.secretary_name == "书记B1"
    assert line.of("sibling").entry.secretary_name == "乙"


def test_lines_of_a_letter_stay_in_their_cell_and_a_copied_column_does_not(grid, line):
    page = grid()
    features = cell(page, line, "branch", "features")
    lines = "1、班子团结；\n2、制度健全。"

    assert paste(page, features, lines)  # the browser's own paste
    assert not paste(page, features, lines, "<table><tr><td>1</td></tr></table>")

    expect(features).to_have_value("1、班子团结；")
    expect(cell(page, line, "sibling", "features")).to_have_value("2、制度健全。")


def test_a_row_changed_elsewhere_says_so_in_the_row_and_both_stand_side_by_side(grid, line, watch):
    watch.expect("status of 409")  # the refusal that this is about
    page = grid()
    factories.fill(line.of("branch"), features="别处写的")

    cell(page, line, "branch", "features").fill("这里写的")
    cell(page, line, "sibling", "features").fill("另一行")
    row = page.locator(f"#row-{line.of('branch').pk}")
    expect(row).to_contain_text("内容已在别处被修改")
    saved_in(page, line, "sibling")
    row.get_by_role("button", name="对照两份内容").click()
    page.get_by_role("group", name="主要特点").get_by_text("您填写的").click()
    page.get_by_role("button", name="保存选定的内容").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("表格填报")
    assert line.of("branch").entry.features == "这里写的"
    assert line.of("branch").entry.measures == factories.row()["measures"]


def test_the_grid_works_without_javascript(grid, line):
    page = grid(has_javascript=False)

    cell(page, line, "branch", "secretary_name").fill("张三")
    cell(page, line, "branch", "declared_grade").fill("良好")
    page.get_by_role("button", name=re.compile("保存.*丙村")).click()

    expect(page.locator("#messages")).to_contain_text("已保存")
    row = page.locator(f"#row-{line.of('branch').pk}")
    expect(row).to_contain_text("错误 1 处")
    expect(cell(page, line, "branch", "declared_grade")).to_have_value("良好")
    assert line.of("branch").entry.secretary_name == "张三"


@pytest.mark.parametrize("width", [1366, 390])
def test_the_page_never_scrolls_sideways_and_head_and_names_stay(grid, line, width):
    for name in ("branch", "sibling"):
        factories.fill(line.of(name), features="特点" * 300, deadline_text="尽快", due_on=None)
    page = grid(width=width, height=500)

    assert page.evaluate("document.scrollingElement.scrollWidth") == width
    if width == 1366:
        cell(page, line, "sibling", "responsible_name").focus()
        box = page.locator(".filling-box").bounding_box()
        name = page.locator(f"#row-{line.of('sibling').pk} th").bounding_box()
        head = page.locator("thead .stick").bounding_box()
        assert abs(name["x"] - box["x"]) <= 2
        assert abs(head["y"] - box["y"]) <= 2
        focused = page.locator(":focus").bounding_box()
        assert focused["x"] >= name["x"] + name["width"] - 2
        assert focused["y"] >= head["y"] + head["height"] - 2
