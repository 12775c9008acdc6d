"""The ways of the people through the ledger, in a real browser."""

import re
from datetime import timedelta

import openpyxl
import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Error, expect

from orgs.choices import Kind, Role
from ratings.choices import Grade, State
from ratings.models import Report

from .. import factories
from .way import Way

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]

FOCUSED = "[document.activeElement.name, document.activeElement.id]"


def address(name, report):
    return reverse(f"ratings:{name}", args=[report.pk])


def tab_to(page, name):
    """Press Tab until the field has the focus: reachable by keyboard, in the order of the page."""
    for _ in range(20):
        page.keyboard.press("Tab")
        if name in page.evaluate(FOCUSED):
            return
    pytest.fail(f"Tab does not reach {name}")


def grade(page, group, label):
    return page.get_by_role("group", name=group).get_by_text(label, exact=True)


def test_what_a_page_must_never_do_is_seen(sign_in, line, watch):
    page = sign_in(line.branch)
    with page.expect_event("console"):
        page.evaluate("document.body.setAttribute('onclick', 'alert(1)')")  # inline: forbidden
    with page.expect_event("pageerror"):
        page.evaluate("void setTimeout(() => nothing())")
    with pytest.raises(Error):
        page.goto("http://elsewhere.invalid/")

    seen = [fault.split(" ")[0] for fault in watch.faults]
    watch.faults.clear()
    assert seen == ["console", "exception:", "request"]


def test_secretary_fills_the_form_by_keyboard_hands_it_in_and_takes_it_back(sign_in, line):
    page = sign_in(line.branch)
    expect(page.locator(".desk__sentence")).to_have_text(
        re.compile(r"请填报2012年度.*本级台账，截止\d+月\d+日24:00")
    )
    way = Way(page)
    way.link("填报")
    saved = page.get_by_role("status")

    tab_to(page, "secretary_name")
    page.keyboard.type("张建国")
    tab_to(page, "first_secretary_name")
    page.keyboard.type("李明")
    tab_to(page, "member_count")
    page.keyboard.type("75")
    tab_to(page, "probationary_count")
    page.keyboard.type("7")
    expect(saved).to_contain_text("已自动保存")
    expect(page.locator("#id_basic_info")).to_have_value("支部共有党员75人，其中预备党员7人。")

    page.get_by_role("link", name="流动党员数").click()  # what is missing leads to its field
    expect(page.locator("#id_floating_member_count")).to_be_focused()
    page.keyboard.type("3")
    tab_to(page, "venue_status")
    page.keyboard.press("Space")  # the first choice: 已建
    tab_to(page, "features")
    page.keyboard.type("班子团结。")
    tab_to(page, "problems")
    page.keyboard.type("党员年龄偏大。")
    grades = page.get_by_role("group", name="申报定级类别")
    page.get_by_role("link", name="申报定级类别").click()
    expect(grades).to_be_focused()
    tab_to(page, "declared_grade")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    expect(grades.get_by_label("较好")).to_be_checked()
    tab_to(page, "measures")
    page.keyboard.type("发展青年党员3名。")
    tab_to(page, "deadline_text")
    page.keyboard.type("2012年10月底前")
    tab_to(page, "support_unit")
    page.keyboard.type("县卫生局")
    tab_to(page, "next")
    expect(page.get_by_text("填写完整，没有错误")).to_be_visible()
    expect(page.locator("#id_due_on")).to_have_value("2012-10-31")
    expect(page.locator("#id_contact_leader")).to_have_value("李明")
    expect(page.locator("#id_responsible_name")).to_have_value("张建国")

    expect(page.get_by_role("region", name="报给谁")).to_contain_text("中共测试省甲县乙乡委员会")
    page.keyboard.press("Tab")  # over 预览
    way.key("Enter")
    expect(page.locator(".page-head")).to_contain_text("已上报")
    expect(page.locator("#messages")).to_contain_text("已上报，由中共测试省甲县乙乡委员会审核")
    way.is_as_documented("党支部：填报并上报")
    assert line.of("branch").state == State.SUBMITTED

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="撤回").click()
    expect(page.locator(".page-head")).to_contain_text("填报中")
    assert line.of("branch").state == State.DRAFT
    assert line.of("branch").entry.measures == "发展青年党员3名。"


LINE = (  # from the province down
    ("province", "中共测试省委员会"),
    ("city", "中共测试省中市委员会"),
    ("county", "中共中市甲县委员会"),
    ("township", "中共甲县乙乡委员会"),
)


@pytest.fixture
def long_line(db):
    """Two branches below four levels, in an open cycle: by name the persons, `of` the reports."""
    units, above = {}, None
    for name, title in LINE:
        above = units[name] = factories.OrganizationFactory(
            code=name, name=title, kind=Kind.COMMITTEE, parent=above
        )
    for name, title in (("branch", "甲县乙乡丙村党支部"), ("sibling", "甲县乙乡丁村党支部")):
        units[name] = factories.OrganizationFactory(code=name, name=title, parent=above)
    factories.open_cycle()
    return {name: factories.appoint(unit) for name, unit in units.items()}


def hand_up(sign_in, post):
    """Accept what the direct subordinate sent and report upward, from the desk."""
    way = Way(sign_in(post))
    way.link("去审核")
    way.link(re.compile("^审核.+"))
    way.button("审核通过")
    expect(way.page.locator(".page-head")).to_contain_text("已审核")
    way.is_as_documented("县、市、省：审核一个单位的汇总")
    way.home()
    way.link("核对并上报")
    way.button("确认上报")
    expect(way.page.locator(".page-head")).to_contain_text("已上报")
    way.is_as_documented("乡镇、县、市、省：上报本级")


def test_a_row_goes_from_branch_to_province_and_into_the_workbook(
    sign_in, long_line, watch, tmp_path
):
    watch.expect("status of 422")  # a refusal that the way leads over
    of = lambda name: factories.report_of(long_line[name].organization)  # noqa: E731
    for name in ("branch", "sibling"):
        factories.fill(of(name))
    factories.submit(of("sibling"))

    # The secretary, on a phone: what is filled in already is handed in as it is.
    branch = Way(sign_in(long_line["branch"], width=390, height=844))
    expect(branch.page.locator(".desk__sentence")).to_contain_text("可以上报了，截止")
    branch.link("核对并上报")
    branch.button("确认上报")
    expect(branch.page.locator(".page-head")).to_contain_text("已上报")

    # The township, by the keyboard alone: the first row goes back, the second is accepted.
    page = sign_in(long_line["township"])
    heading, township = page.get_by_role("heading", level=1), Way(page)
    township.key("o")
    expect(heading).to_have_text("下级审核")
    page.keyboard.press("?")
    expect(page.locator(".keys dl")).to_be_visible()
    page.keyboard.press("?")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_text("已选 1 个")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^审核.*丙村"))).to_be_focused()
    township.key("Enter")
    expect(heading).to_have_text("甲县乙乡丙村党支部")
    page.keyboard.press("j")
    expect(heading).to_have_text("甲县乙乡丁村党支部")
    page.keyboard.press("k")
    expect(heading).to_have_text("甲县乙乡丙村党支部")
    township.key("r")
    page.keyboard.type("j 措施太笼统")  # here j is a letter
    tab_to(page, "reason_measures")
    page.keyboard.type("请写明人数和时间")
    township.key("Escape")
    township.key("b")
    expect(heading).to_have_text("甲县乙乡丁村党支部")
    township.is_as_documented("审核单位：用键盘退回第一份")
    expect(page.get_by_text("已上报，申报等次 1 个", exact=True)).to_be_visible()  # of the siblings
    township.presses = 0
    township.key("a")
    expect(page.locator("#messages")).to_contain_text("审核等次“较好”，晋位升级目标“好”")
    township.is_as_documented("审核单位：照申报等次审核，其后每一份")

    # Returned: the desk says why and leads to the field; the form says what changed.
    branch.home()
    page = branch.page
    expect(page.locator(".desk__sentence")).to_contain_text("材料被退回")
    expect(page.locator(".desk__now")).to_contain_text("j 措施太笼统")
    branch.link("修改")
    branch.click(page.locator("#returned ~ ul").get_by_role("link", name="整改措施"))
    expect(page.locator("#id_measures")).to_be_focused()
    expect(page.locator("#id_measures_findings")).to_contain_text("请写明人数和时间")
    page.keyboard.press("Control+A")
    page.keyboard.type("2012年10月前发展青年党员3名。")
    expect(page.locator("#since-last")).to_contain_text("2012年10月前")
    branch.button("保存并上报")
    expect(page.locator(".page-head")).to_contain_text("已上报")
    branch.is_as_documented("党支部：按退回理由修改后重新上报")

    # The new version beside the return; a lowered grade needs its reason.
    township.home()
    page = township.page
    township.link("去审核")
    township.click(page.get_by_role("link", name=re.compile("^审核.*丙村")))
    expect(page.get_by_role("region", name="与上一版的差异").locator("ins").first).to_have_text(
        "2012年10月前"
    )
    expect(page.get_by_text("整改措施（请写明人数和时间）：已修改")).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_role("radio", name="一般", exact=True).first).to_be_checked()
    page.keyboard.press("s")
    expect(page.get_by_role("alert")).to_contain_text("理由")
    township.key("w")
    page.keyboard.type("制度不落实")
    township.key("Escape")
    township.key("s")
    expect(page.locator("#messages")).to_contain_text("审核等次“一般”，晋位升级目标“较好”")
    township.is_as_documented("审核单位：另定等次并写理由，用键盘")
    township.home()
    township.link("核对并上报")
    township.button("确认上报")
    expect(page.locator(".page-head")).to_contain_text("已上报")
    township.is_as_documented("乡镇、县、市、省：上报本级")

    for name in ("county", "city", "province"):
        hand_up(sign_in, long_line[name])
    second = factories.appoint(long_line["province"].organization, Role.REVIEW)
    final = Way(sign_in(second))
    final.link("查看")
    final.button("定稿")
    expect(final.page.locator(".page-head")).to_contain_text("已审核")
    final.is_as_documented("省：另一人定稿")

    final.home()
    final.link("汇总")
    expect(final.page.locator(".told")).to_contain_text("应定级 2 个，已定级 2 个")
    with final.page.expect_download() as download:
        final.link("附件三（村、社区台账）")
    final.is_as_documented("省：下载附件三")
    path = tmp_path / "annex3.xlsx"
    download.value.save_as(path)
    cells = [
        [cell for cell in row if cell is not None]
        for row in openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    ]
    (written,) = (row for row in cells if "丙村党支部" in row)
    assert written[8:10] == ["较好", "一般"]
    assert "2012年10月前发展青年党员3名。" in written


def test_who_is_late_is_reminded_and_a_unit_is_found_by_its_initials(sign_in, line):
    day = timezone.localdate() - timedelta(days=1)
    Report.objects.filter(pk=line.of("township").pk).update(below_due_on=day)
    way = Way(sign_in(line.township))
    expect(way.page.locator(".desk__sentence")).to_contain_text("有 2 个下级逾期未报，请提醒")
    way.link("查看并催报")
    expect(way.page.get_by_label("催报文字")).to_have_value(re.compile("丙村党支部.*请尽快上报"))
    way.button("发出催报")
    expect(way.page.locator("#messages")).to_contain_text("已向 2 个逾期单位发出催报")
    way.is_as_documented("审核单位：催报")

    way.home()
    way.link("组织")
    way.page.get_by_label("查找").fill("bc")
    way.key("Enter")
    found = way.page.get_by_role("row", name=re.compile("丙村党支部"))
    expect(found).to_contain_text("1 人任职")
    way.is_as_documented("管理人员：按拼音首字母找一个单位")


def test_two_tabs_lose_nothing(sign_in, line, watch):
    watch.expect("status of 409")  # the refusal that this is about
    factories.fill(line.of("branch"), features="原来的特点", problems="原来的问题")
    first = sign_in(line.branch)
    first.goto(address("fill", line.of("branch")))
    second = first.context.new_page()
    second.goto(address("fill", line.of("branch")))

    second.locator("#id_problems").fill("第二页写的问题")
    second.locator("#id_measures").fill("第二页写的措施")
    second.get_by_role("button", name="保存", exact=True).click()
    expect(second.locator("#messages")).to_contain_text("已保存")
    first.locator("#id_features").fill("第一页写的特点")
    first.locator("#id_problems").fill("第一页写的问题")
    first.get_by_role("button", name="对照两份内容").click()

    both = first.locator("fieldset")
    expect(both).to_have_count(3)
    kept = {"主要特点": "您填写的", "存在问题": "您填写的", "整改措施": "已保存的"}
    for label, side in kept.items():
        fieldset = first.get_by_role("group", name=label)
        expect(fieldset.get_by_role("radio", checked=True)).to_have_count(1)
        expect(fieldset.get_by_role("radio", name=side)).to_be_checked()
    expect(both.nth(1)).to_contain_text("第一页写的问题")
    expect(both.nth(1)).to_contain_text("第二页写的问题")
    assert line.of("branch").entry.problems == "第二页写的问题"
    first.get_by_role("group", name="存在问题").get_by_text("已保存的").click()
    first.get_by_role("button", name="保存选定的内容").click()
    expect(first.locator("#messages")).to_contain_text("已保存")
    entry = line.of("branch").entry
    assert (entry.features, entry.problems, entry.measures) == (
        "第一页写的特点",
        "第二页写的问题",
        "第二页写的措施",
    )


def test_everything_works_without_javascript(sign_in, line):
    branch = sign_in(line.branch, has_javascript=False)
    branch.get_by_role("link", name="填报", exact=True).click()
    texts = {
        "secretary_name": "张建国",
        "member_count": "75",
        "floating_member_count": "3",
        "features": "班子团结。",
        "problems": "党员年龄偏大。",
        "measures": "发展青年党员3名。",
        "deadline_text": "2012年底",
        "support_unit": "县卫生局",
        "contact_leader": "李明",
    }
    for name, text in texts.items():
        branch.locator(f"#id_{name}").fill(text)
    branch.get_by_role("group", name="场所状态").get_by_text("已建", exact=True).click()
    grade(branch, "申报定级类别", "较好").click()
    branch.get_by_role("button", name="保存", exact=True).click()
    expect(branch.locator("#id_basic_info")).to_have_value("支部共有党员75人。")
    branch.get_by_role("button", name="保存并上报").click()
    expect(branch.locator(".page-head")).to_contain_text("已上报")

    township = sign_in(line.township, has_javascript=False)
    township.get_by_role("link", name="去审核").click()
    township.get_by_role("link", name=re.compile("^审核.*丙村")).click()
    grade(township, "审核定级类别", "较好").click()
    township.get_by_role("button", name="审核通过", exact=True).click()

    expect(township.locator(".page-head")).to_contain_text("已审核")
    assert line.of("branch").entry.target_grade == Grade.GOOD


@pytest.mark.parametrize(
    ("width", "who", "names"),
    [
        (390, "sibling", ["desk", "report", "fill", "preview"]),
        (390, "township", ["desk", "queue", "review"]),
        (1366, "sibling", ["desk", "fill", "preview"]),
        (1366, "township", ["desk", "queue", "review", "own_summary", "ledger"]),
    ],
)
def test_no_page_scrolls_sideways(sign_in, line, width, who, names):
    factories.fill(line.of("branch"), features="特点" * 150, support_unit="县委组织部、" * 12)
    factories.submit(line.of("branch"))
    factories.fill(line.of("sibling"), measures="整改措施，" * 100)
    places = {
        "desk": "/",
        **{name: address(name, line.of("sibling")) for name in ("report", "fill", "preview")},
        "review": address("review", line.of("branch")),
        **{
            name: reverse(f"ratings:{name}", args=[line.cycle])
            for name in ("queue", "own_summary", "ledger")
        },
    }
    page = sign_in(getattr(line, who), width=width)

    found = {}
    for name in names:
        page.goto(places[name])
        found[name] = page.evaluate("document.scrollingElement.scrollWidth")

    assert found == dict.fromkeys(names, width)
