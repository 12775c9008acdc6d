"""A browser on the running site. What a page must never do fails the test it happens in: a request
that leaves the host, an error in the console, an exception, a breach of the content policy."""

import os
import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from ..factories import PASSWORD

WAIT = 15_000  # ms for anything a page is expected to do; a busy machine is no failure


@pytest.fixture(scope="package")
def browser(chromium, django_db_setup):
    # Playwright keeps an event loop in this thread, in which Django would refuse the database.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
    if before is not None:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


class Watch:
    """Collects what no page may do; `expect` names a console error that a test is about."""

    def __init__(self, host: str):
        self.host, self.faults, self.expected = host, [], []

    def expect(self, pattern: str) -> None:
        self.expected.append(pattern)

    def follow(self, context) -> None:
        context.on("request", self._request)
        context.on("response", self._response)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"exception: {error.error}"))

    def _request(self, request) -> None:
        if urlsplit(request.url).netloc != self.host:
            self.faults.append(f"request to {request.url}")

    def _response(self, response) -> None:
        policy = response.headers.get("content-security-policy", "")
        if response.request.resource_type == "document" and (
            "default-src" not in policy or "unsafe" in policy
        ):
            self.faults.append(f"content policy of {response.url}: {policy or 'none'}")

    def _console(self, message) -> None:  # a breach of the policy is reported here as well
        if message.type == "error" and not any(re.search(p, message.text) for p in self.expected):
            self.faults.append(f"console on {message.page.url}: {message.text}")


@pytest.fixture
def watch(live_server):
    watch = Watch(urlsplit(live_server.url).netloc)
    yield watch
    assert watch.faults == []


@pytest.fixture
def sign_in(browser, live_server, watch):
    """`sign_in(line.branch)`: that person at a browser of their own, on the desk."""
    contexts = []

    def open_desk(post, *, width=1366, height=768, has_javascript=True):
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": height},
            java_script_enabled=has_javascript,
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
        )
        context.set_default_timeout(WAIT)
        contexts.append(context)
        watch.follow(context)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("账号").fill(post.user.username)
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_role("button", name="登录").click()
        expect(page.locator(".desk__sentence")).to_be_visible()
        return page

    yield open_desk
    for context in contexts:
        context.close()
