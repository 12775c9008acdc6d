"""Pictures of the demo's pages, taken with the system's Chromium.

Without options the pictures of the README and of docs/help go to docs/images. `--all FOLDER` takes
every page of every kind of user, whole, on a wide and on a narrow screen, and names the pages that
scroll sideways or answer with an error. A demo of its own is started and ended; no data is touched.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs/images"
LARGEST_IMAGE = 200_000  # bytes
WIDE, NARROW = (1366, 768), (390, 844)

CYCLE, CLOSED = "2012-1", "2011-1"

# For README and help: file, user, page, its argument (code of a unit, cycle, key), screen.
DOCUMENTS = (
    ("branch", "zhibu", "ratings:fill", "431127107242", WIDE),
    ("branch-phone", "zhibu2", "desk", None, NARROW),
    ("township", "xiang2", "ratings:review", "431127107223", WIDE),
    ("county", "xian", "desk", None, WIDE),
    ("province", "sheng", "ratings:own_summary", CYCLE, WIDE),
    ("township-grid", "xiang", "ratings:grid", CYCLE, WIDE),
    ("county-queue", "xian", "ratings:queue", CYCLE, WIDE),
    ("province-movement", "sheng", "ratings:own_movement", CYCLE, WIDE),
    ("inspection", "xian", "audits:check", "1", WIDE),
    ("accounts", "admin", "accounts:list", None, WIDE),
    ("organizations", "admin", "orgs:tree", None, WIDE),
    ("trail", "shenji", "audits:trail", None, WIDE),
)

# Every kind of page: user, page, argument.
PAGES = (
    (None, "login", None),
    ("zhibu", "desk", None),
    ("zhibu", "ratings:mine", CYCLE),
    ("zhibu", "ratings:fill", "431127107242"),
    ("zhibu", "ratings:preview", "431127107242"),
    ("zhibu2", "desk", None),
    ("zhibu2", "ratings:fill", "431127107802"),
    ("zhibu2", "ratings:history", "431127107802"),
    ("zhibu3", "ratings:report", "431127107801"),
    ("xiang", "desk", None),
    ("xiang", "ratings:mine", CYCLE),
    ("xiang", "ratings:hand_in", "431127107"),
    ("xiang", "ratings:fill", "431127107225"),
    ("xiang", "ratings:grid", CYCLE),
    ("xiang", "ratings:uploads", CYCLE),
    ("xiang2", "desk", None),
    ("xiang2", "ratings:queue", CYCLE),
    ("xiang2", "ratings:review", "431127107223"),
    ("xiang2", "ratings:review", "431127107Q1"),
    ("xiang2", "ratings:review", "431127107801"),
    ("xiang2", "ratings:ledger", CYCLE),
    ("xiang2", "rectification:list", CYCLE),
    ("xian", "desk", None),
    ("xian", "ratings:publicities", CYCLE),
    ("xian", "ratings:queue", CYCLE),
    ("xian", "ratings:review", "431127102"),
    ("xian", "ratings:own_summary", CYCLE),
    ("xian", "ratings:recount", "431127"),
    ("xian", "ratings:own_summary", CLOSED),
    ("xian", "ratings:ledger", CYCLE),
    ("xian", "ratings:report", "431127100"),
    ("xian", "ratings:history", "431127100"),
    ("xian", "rectification:list", CYCLE),
    ("xian", "rectification:weak", CYCLE),
    ("chayue", "desk", None),
    ("jianzhi", "desk", None),
    ("shi", "desk", None),
    ("shi", "ratings:queue", CYCLE),
    ("shi", "ratings:review", "431103"),
    ("shi", "ratings:own_summary", CYCLE),
    ("shi", "ratings:ledger", CYCLE),
    ("sheng", "desk", None),
    ("sheng", "ratings:queue", CYCLE),
    ("sheng", "ratings:own_summary", CYCLE),
    ("sheng", "ratings:own_summary", CLOSED),
    ("sheng", "ratings:own_movement", CYCLE),
    ("sheng", "ratings:ledger", CLOSED),
    ("sheng", "orgs:tree", None),
    ("admin", "desk", None),
    ("admin", "ratings:cycles", None),
    ("admin", "ratings:cycle", CYCLE),
    ("admin", "ratings:new_cycle", None),
    ("admin", "orgs:tree", None),
    ("admin", "admin:index", None),
    (None, "help_page", "questions"),
    ("zhibu", "help_page", "secretary"),
    ("zhibu", "help_page", "sample"),
    ("xiang", "help_page", "states"),
)


def main(arguments):
    parser = argparse.ArgumentParser(description="演示页面截图")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="全部页面、两种宽度")
    folder = parser.parse_args(arguments).all
    chromium = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if not chromium:
        sys.exit("没有找到 Chromium。安装命令：apt-get install chromium fonts-noto-cjk")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="ledger-screenshots-") as data, demo(data) as base:
        addresses = addresses_of(data)
        if folder:
            return take_all(chromium, base, addresses, folder)
        return take_for_documents(chromium, base, addresses)


@contextmanager
def demo(data):
    """The address of a demo on data of its own; its processes are gone afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {k: os.environ[k] for k in ("PATH", "HOME", "LANG") if k in os.environ}
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "manage.py", "quickstart", "--port", str(port)],
        cwd=ROOT,
        env=environment | {"DATA_DIR": data, "LOG_LEVEL": "ERROR"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        while base not in (line := process.stdout.readline()):
            if not line:
                sys.exit("演示环境没有启动")
        yield base
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


def addresses_of(data):
    """By page and argument: the path, from the project's own list of addresses."""
    os.environ["DATA_DIR"] = data
    os.environ["DJANGO_SETTINGS_MODULE"] = "ledger_site.settings"
    os.environ.pop("DATABASE_URL", None)
    sys.path.insert(0, str(ROOT))
    from ledger_site import env

    env.local()
    import django

    django.setup()
    from django.urls import NoReverseMatch, reverse

    from ratings.models import Report

    year, number = CYCLE.split("-")
    reports = dict(
        Report.objects.filter(cycle__year=year, cycle__round=number).values_list("code", "pk")
    )
    found = {}
    for _, page, argument in (*PAGES, *(shot[1:4] for shot in DOCUMENTS)):
        arguments = [] if argument is None else [reports.get(argument, argument)]
        try:
            found[page, argument] = reverse(page, args=arguments)
        except NoReverseMatch:
            print(f"没有这个页面：{page}", file=sys.stderr)
    return found


@contextmanager
def browser(chromium, base):
    """A function that gives the page of a user, signed in, on a screen. One page for each user: a
    second sign-in would end the first."""
    from playwright.sync_api import sync_playwright

    from ledger_site.demo import PASSWORD

    with sync_playwright() as playwright:
        program = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        pages = {}

        def page_of(user, screen):
            if user not in pages:
                context = program.new_context(locale="zh-CN", reduced_motion="reduce")
                page = pages[user] = context.new_page()
                page.goto(f"{base}/login/")
                if user:
                    page.fill("[name=username]", user)
                    page.fill("[name=password]", PASSWORD)
                    page.click("main button.button--primary")
                    page.wait_for_load_state()
            pages[user].set_viewport_size({"width": screen[0], "height": screen[1]})
            return pages[user]

        try:
            yield page_of
        finally:
            program.close()


def take_for_documents(chromium, base, addresses):
    IMAGES.mkdir(parents=True, exist_ok=True)
    status = 0
    with browser(chromium, base) as page_of:
        for name, user, view, argument, screen in DOCUMENTS:
            page = page_of(user, screen)
            answer = page.goto(base + addresses[view, argument])
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            size = file.stat().st_size
            print(f"{file.relative_to(ROOT)}  {size // 1000} KB")
            if answer.status != 200 or size > LARGEST_IMAGE:
                print(f"{name}: {answer.status}, {size} 字节", file=sys.stderr)
                status = 1
    return status


def take_all(chromium, base, addresses, folder):
    folder.mkdir(parents=True, exist_ok=True)
    status = 0
    with browser(chromium, base) as page_of:
        for number, (user, view, argument) in enumerate(PAGES, 1):
            address = addresses.get((view, argument))
            if address is None:
                status = 1
                continue
            for screen in (WIDE, NARROW):
                page = page_of(user, screen)
                answer = page.goto(base + address)
                parts = (f"{number:02}", user or "anybody", view.replace(":", "-"), argument)
                name = "-".join(filter(None, parts))
                faults = [] if answer.status == 200 else [str(answer.status)]
                if user and "/login/" in page.url:
                    faults.append("已退出登录")
                width, height = page.evaluate(
                    "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
                )
                # As high as the page: what sticks to an edge of the screen would lie over it.
                page.set_viewport_size({"width": screen[0], "height": height})
                page.screenshot(path=folder / f"{name}-{screen[0]}.png", full_page=True)
                if width > screen[0]:
                    faults.append(f"宽 {width}，超过 {screen[0]}")
                if faults:
                    print(f"{name} {screen[0]}: {'；'.join(faults)}", file=sys.stderr)
                    status = 1
    print(f"{folder}")
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
