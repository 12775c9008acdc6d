"""抽查 in a browser: drawn, found, a correction asked for, and the difference accepted upward."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from ratings.choices import State

from .. import factories
from .way import Way

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]


def test_a_check_finds_a_fault_and_its_correction_comes_up_to_the_province(sign_in, line):
    for name in ("branch", "sibling", "township", "county"):
        factories.hand_up(line.of(name))

    # The province draws every row below it, looks into one and finds a fault.
    province = Way(sign_in(line.province))
    page = province.page
    province.link("抽查")
    province.link("新的抽查")
    page.get_by_label("抽查名称").fill("定级抽查")
    page.get_by_label("调阅目的").fill("核实定级")
    page.get_by_label("数量", exact=True).fill("2")
    province.button("抽取")
    expect(page.locator("#messages")).to_contain_text("核对后开始抽查")
    province.button("开始抽查")
    province.is_as_documented("抽查单位：抽取并开始")
    province.presses = 0
    province.link(re.compile("丙村党支部$"))
    expect(page.get_by_role("region", name="台账行")).to_contain_text("书记B1")
    fault = page.get_by_role("group").filter(has_text="发现的情况").first
    fault.get_by_text("不符合", exact=True).click()
    fault.get_by_role("textbox").fill("流动党员数与名册不符")
    province.button("保存")
    province.link("要求更正")
    page.get_by_label("文号").fill("更正1号")
    page.get_by_label("理由").fill("与名册不符")
    page.get_by_role("group", name="台账行").get_by_role("checkbox").check()
    page.get_by_role("group", name="栏目").get_by_label("流动党员数").check()
    province.button("发出更正通知")
    expect(page.locator(".page-head")).to_contain_text("更正中")
    province.is_as_documented("抽查单位：记录一处问题并要求更正")

    # Its branch reads who looked and why, and may write in the named field alone.
    branch = Way(sign_in(line.branch))
    expect(branch.page.locator(".desk__sentence")).to_contain_text("需要更正（更正1号")
    branch.link("修改")
    expect(branch.page.locator("#id_features")).to_be_disabled()
    branch.page.locator("#id_floating_member_count").fill("9")
    branch.button("保存并上报")
    expect(branch.page.locator(".page-head")).to_contain_text("已上报")
    branch.is_as_documented("党支部：按更正通知更正并上报")
    assert line.of("sibling").state == State.ACCEPTED

    # Each level sees the difference, accepts it and hands it up.
    for name in ("township", "county"):
        way = Way(sign_in(getattr(line, name)))
        page = way.page
        way.link("去审核")
        way.link(re.compile("^审核.+"))
        changed = page.get_by_role("region", name="与上一版的差异")
        expect(changed).to_contain_text("流动党员数" if name == "township" else "内容有变")
        if name == "township":
            expect(changed.locator("ins")).to_have_text("9")
            way.key("a")
            way.is_as_documented("审核单位：照申报等次审核，第一份")
        else:
            way.button("审核通过")
        expect(page.locator("#messages")).to_contain_text("已审核通过")
        way.home()
        way.link("核对并上报")
        expect(page.get_by_role("region", name="与上次上报")).to_contain_text("内容有变")
        way.button("确认上报")
        expect(page.locator(".page-head")).to_contain_text("已上报")
    province.page.goto(reverse("ratings:review", args=[line.of("county").pk]))
    expect(province.page.get_by_role("region", name="差异对照")).to_contain_text("内容有变")
    province.button("审核通过")
    expect(province.page.locator(".page-head")).to_contain_text("已审核")
    province.page.goto(reverse("audits:corrections", args=[line.cycle]))
    province.link(re.compile("更正1号"))
    expect(province.page.locator(".page-head")).to_contain_text("已办结")
    expect(province.page.locator("ins")).to_have_text("9")
    assert line.of("branch").entry.floating_member_count == 9
