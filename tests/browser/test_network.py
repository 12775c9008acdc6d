"""Nothing that was typed is lost: without a network, after the session has ended, on leaving the
page, and with a second press."""

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from playwright.sync_api import expect

from ratings.choices import State
from ratings.models import ReportMove

from .. import factories

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]


def refuse(page, act) -> str:
    """What is asked when something is done, to which the answer is no."""
    asked = []

    def answer(dialog):
        asked.append(f"{dialog.type} {dialog.message}".strip())
        dialog.dismiss()

    page.once("dialog", answer)
    act()
    page.wait_for_timeout(200)
    return "".join(asked)


def test_autosave_outlasts_a_lost_network_and_an_ended_session(sign_in, line, watch):
    watch.expect("ERR_INTERNET_DISCONNECTED")
    page, address = sign_in(line.branch), reverse("ratings:fill", args=[line.of("branch").pk])
    page.goto(address)
    saved, field = page.get_by_role("status"), page.locator("#id_features")

    page.context.set_offline(True)
    field.fill("断网时写的特点")
    expect(saved).to_have_text("网络中断，已保存在本页，恢复后自动重试")
    leaves = refuse(page, lambda: page.evaluate("void (location.href = '/')"))
    sends = refuse(page, page.get_by_role("button", name="保存", exact=True).click)
    assert leaves == "beforeunload"
    assert sends.startswith("confirm 网络可能已经中断")
    expect(field).to_have_value("断网时写的特点")
    page.context.set_offline(False)
    expect(saved).to_contain_text("已自动保存")
    assert line.of("branch").entry.features == "断网时写的特点"

    Session.objects.all().delete()
    field.fill("登录过期以后写的特点")
    expect(saved).to_contain_text("登录已过期")
    page.get_by_role("button", name="保存", exact=True).click()
    expect(field).to_have_value("登录过期以后写的特点")
    other = page.context.new_page()
    other.goto("/")
    other.get_by_label("账号").fill(line.branch.user.username)
    other.get_by_label("密码").fill(factories.PASSWORD)
    other.get_by_role("button", name="登录").click()
    expect(saved).to_contain_text("已自动保存")
    assert line.of("branch").entry.features == "登录过期以后写的特点"


def test_a_reason_is_not_left_behind_and_a_second_press_is_none(sign_in, line):
    report = factories.fill(line.of("branch"))
    factories.submit(report)
    page = sign_in(line.township)
    page.goto(reverse("ratings:review", args=[report.pk]))

    page.get_by_label("退回理由").press_sequentially("措施太笼统")
    assert refuse(page, lambda: page.evaluate("void (location.href = '/')")) == "beforeunload"
    page.get_by_role("button", name="退回", exact=True).dblclick()

    expect(page.locator(".page-head")).to_contain_text("已退回")
    expect(page.locator("#messages")).not_to_contain_text("不能")
    assert line.of("branch").state == State.RETURNED
    assert ReportMove.objects.filter(report=report, action="send_back").count() == 1
