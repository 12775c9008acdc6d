"""For everybody: what axe-core asks of a page, and that none scrolls sideways at 390 px, at 200 %
and in 大字版."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.test import Client
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from orgs.models import Appointment, Organization

from ..factories import PASSWORD
from ..pages import LABEL, upkeep, visits, visits_when_late
from ..test_access import world  # noqa: F401 - an object of every kind

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
ON_SCREEN = [*WCAG, "best-practice"]  # paper has no headings to jump to
LOOK = """async (rules) =>
    (await axe.run({ runOnly: rules, resultTypes: ["violations"] })).violations.flatMap((rule) =>
    rule.nodes.map((node) => `${rule.id}: ${node.target} ${node.failureSummary}`))"""
# What is folded is looked at too; the menus of the head would lie over the page.
UNFOLD = "document.querySelectorAll('main details').forEach((one) => { one.open = true; })"
WIDTH = """(size) => {
    document.documentElement.style.setProperty("--text", size);
    return document.scrollingElement.scrollWidth;
}"""
SEND_EMPTY = """() => {
    const form = document.querySelector("main form[method=post]");
    form.noValidate = true;
    form.requestSubmit();
}"""
# As from a tab in which another version of the row stands.
SEND_STALE = """() => {
    const form = document.querySelector("form[data-autosave]");
    form.elements.token.value = "0";
    form.elements.features.value = "另一页写的特点";
    form.submit();
}"""
OPEN_MENUS = "document.querySelectorAll('details.post').forEach((one) => { one.open = true; })"
SMALL = ((683, "100%"), (390, "125%"), (1366, "125%"))  # 683 px: 1366 at 200 %


class Walk:
    """One window, in which one person after the other opens pages; `faults` is what was found."""

    def __init__(self, browser, live_server):
        self.host, self.faults = live_server.url, []
        self.context = browser.new_context(base_url=self.host, locale="zh-CN")
        self.context.add_init_script(AXE_SCRIPT)
        self.page = self.context.new_page()

    def enter(self, user) -> None:
        self.context.clear_cookies()
        if user is not None:
            client = Client()
            client.force_login(user)
            value = client.cookies["sessionid"].value
            self.context.add_cookies([{"name": "sessionid", "value": value, "url": self.host}])

    def open(self, url, rules=ON_SCREEN) -> None:
        self.page.goto(url)
        self.look(url, rules)

    def look(self, name, rules=ON_SCREEN) -> None:
        page = self.page
        page.evaluate(UNFOLD)
        self.faults += [f"{name} {fault}" for fault in page.evaluate(LOOK, rules)]

    def send_empty(self, url) -> None:
        """The first form of a page, with whatever it lacks."""
        self.page.goto(url)
        with self.page.expect_navigation():
            self.page.evaluate(SEND_EMPTY)
        self.look(f"{url}, sent empty,")

    def send_stale(self, url) -> None:
        self.page.goto(url)
        with self.page.expect_navigation():
            self.page.evaluate(SEND_STALE)
        self.look(f"{url}, two versions,")

    def measure(self, name) -> None:
        for width, size in SMALL:
            self.page.set_viewport_size({"width": width, "height": 768})
            if (found := self.page.evaluate(WIDTH, size)) > width:
                self.faults.append(f"{name} is {found} px wide at {width} px, text {size}")
        self.page.set_viewport_size({"width": 1366, "height": 768})


def test_every_page_is_for_everybody(browser, live_server, world, settings):  # noqa: F811
    settings.DEMO = True  # with the line that says so
    walk = Walk(browser, live_server)

    for url, user in sorted(visits(world), key=lambda one: one[1].pk if one[1] else 0):
        walk.enter(user)
        walk.open(url)
        walk.measure(url)
    walk_through_states(walk, world)
    walk_what_is_seen_once(walk, world)
    for url, user in upkeep(world, (Organization, Appointment)):
        walk.enter(user)
        walk.open(url)

    settings.DEBUG = True  # the page of components is for developers
    walk.open(reverse("gallery"))

    assert "\n".join(walk.faults) == ""


def walk_through_states(walk, world):  # noqa: F811
    """Forms with errors, open menus, paper; then what was given back and is late."""
    branch, township = world.of("branch"), world.users["township"]
    for user, name, arguments in (
        (None, "login", ()),
        (world.county.user, "accounts:new", ()),
        (world.county.user, "audits:new_check", (LABEL,)),
        (world.county.user, "audits:correct_row", (branch.pk,)),
        (world.county.user, "orgs:change", (world.units["branch"].pk, "rename")),
        (world.province.user, "ratings:new_cycle", ()),
        (world.province.user, "ratings:write_notice", (LABEL,)),
        (township, "audits:find_practice", (branch.pk,)),
        (township, "accounts:password", ()),
    ):
        walk.enter(user)
        walk.send_empty(reverse(name, args=arguments))

    walk.page.emulate_media(media="print")
    for name, arguments in (
        ("own_summary", (LABEL,)),
        ("preview", (branch.pk,)),
        ("cover", (branch.pk, 1)),
    ):
        walk.open(reverse(f"ratings:{name}", args=arguments), WCAG)
    walk.page.emulate_media(media="screen")

    for url, user in visits_when_late(world):
        walk.enter(user)
        walk.open(url)
        walk.measure(url)
        if url == reverse("ratings:fill", args=[branch.pk]):
            walk.send_stale(url)
    walk.enter(township)
    walk.page.goto(reverse("ratings:queue", args=[LABEL]))
    walk.page.evaluate(OPEN_MENUS)
    walk.look("open menus")


def walk_what_is_seen_once(walk, world):  # noqa: F811
    """The code of a new account, and the second step of a sign-in."""
    page = walk.page
    walk.enter(world.county.user)
    page.goto(reverse("accounts:new"))
    page.fill("#id_username", "xin.ren")
    page.fill("#id_full_name", "新人")
    page.locator("[name=roles]").first.check()
    with page.expect_navigation():
        page.get_by_role("button", name="开通", exact=True).click()
    assert page.get_by_text("xin.ren").count()
    walk.look("codes")

    TOTPDevice.objects.create(user=world.county.user, name="动态口令")
    walk.enter(None)
    page.goto(reverse("login"))
    page.fill("#id_username", world.county.user.username)
    page.fill("#id_password", PASSWORD)
    page.get_by_role("button", name="登录").click()
    page.wait_for_url(f"**{reverse('accounts:second_step')}")
    walk.look("second step")
