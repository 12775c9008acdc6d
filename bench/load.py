#!/usr/bin/env python3
"""The last hour before a deadline: people of every level at work, and what became of it.

Branch secretaries fill in, save and submit; their superiors accept in batches, review single rows,
send some back and report up; counties and above look at figures, ledgers and sheets. Whoever gets
no answer looks at the page and presses again. In the end every decision that was acknowledged to
somebody must be stored once.

    script/with-postgresql .venv/bin/python bench/load.py --branches 20000 --users 200 --seconds 60

makes the province, starts gunicorn as deploy/gunicorn.conf.py says, and prints a table. With --url
the servers are there already and share DATABASE_URL and SECRET_KEY. Loopback only. Status 1 if
anything was lost or doubled.
"""

import argparse
import json
import os
import random
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.browser import Browser, Clock, Over, Request  # noqa: E402 - the path comes first
from bench.counting import Decision, broken, compared  # noqa: E402

SHARE_OF_REVIEWERS, SHARE_OF_READERS = 0.20, 0.05  # of the users; the rest are secretaries
BATCH = 20  # reports a reviewer ticks at once
LABELS = {"submit": "上报", "accept": "审核通过", "send_back": "退回"}
CYCLE = "2012-1"
dice = random.Random(2012)  # noqa: S311 - people, not secrets


class Journal:
    """What people were told: decisions acknowledged, and those whose outcome nobody learned."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged, self.unresolved = Counter(), Counter()

    @contextmanager
    def pressing(self, decisions):
        """While a button is pressed the outcome is open; it stays so if the run ends first."""
        with self.lock:
            self.unresolved.update(decisions)
        yield
        with self.lock:
            self.unresolved.subtract(decisions)

    def acknowledge(self, decisions):
        with self.lock:
            self.acknowledged.update(decisions)


class Province:
    """Who has something to do: branches that have not reported, offices where reports wait."""

    def __init__(self, people):
        self.lock = threading.Lock()
        self.branches = [person for person in people if person.is_branch]
        dice.shuffle(self.branches)
        self.open_branches = deque(self.branches)
        self.secretaries = {person.report: person for person in self.branches}
        self.parents = {person.report: person.parent for person in people}
        self.readers = [person for person in people if person.level <= 2 and not person.is_branch]
        self.free = defaultdict(list)
        for person in people:
            if not person.is_branch:
                self.free[person.report].append(person)
        self.waiting = deque()

    def handed_in(self, report):
        parent = self.parents[report]
        with self.lock:
            if parent in self.free and self.waiting.count(parent) < len(self.free[parent]):
                self.waiting.append(parent)

    def next_reviewer(self):
        """A person at an office where reports wait, who is at nobody else's screen; else None."""
        with self.lock:
            for _ in range(len(self.waiting)):
                office = self.waiting.popleft()
                if self.free[office]:
                    return self.free[office].pop()
        return None

    def release(self, person):
        with self.lock:
            self.free[person.report].append(person)


@dataclass
class Load:
    url: str
    clock: Clock
    province: Province
    journal: Journal = field(default_factory=Journal)
    log: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # of the load itself

    def browser(self, person) -> Browser:
        return Browser(self.url, person.session, self.clock, self.log)

    def run(self, users: int) -> None:
        reviewers, readers = round(users * SHARE_OF_REVIEWERS), round(users * SHARE_OF_READERS)
        kinds = [self.secretary] * (users - reviewers - readers)
        kinds += [self.reviewer] * reviewers + [self.reader] * readers
        threads = [threading.Thread(target=self._work, args=[kind], daemon=True) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, kind) -> None:
        self.clock.pause()  # nobody comes at the same moment
        while self.clock.is_running:
            try:
                kind()
            except Over:
                return
            except Exception as error:  # one screen fails, the others go on; it is counted
                self.faults.append(f"{kind.__name__}: {error!r}")
                self.clock.pause(1)

    # ------------------------------------------------------------ at the branch

    def secretary(self) -> None:
        try:
            person = self.province.open_branches.popleft()
        except IndexError:
            self._look_at_own(dice.choice(self.province.branches))
            return
        browser, pk = self.browser(person), person.report
        browser.get("工作台", "/")
        self.clock.pause()
        address = f"/report/{pk}/fill/"
        fields = browser.get("填报页", address).form(address)
        if not fields:
            return  # it stands already
        for text in dice.sample(
            ("村务公开每月一次。", "党员活动日正常。", "换届后分工明确。"), k=2
        ):
            self.clock.pause()
            fields["features"] = f"{fields.get('features', '')}{text}"
            answer, _ = browser.press_until_answered("自动保存", f"/report/{pk}/autosave/", fields)
            if answer.status == 409:  # it was stored by a press that got no answer
                fields["token"] = browser.get("填报页", address).form(address)["token"]
            else:
                fields["token"] = json.loads(answer.text)["token"]
        self.clock.pause()
        page, _ = browser.press_until_answered("保存", address, {**fields, "next": "hand_in"})
        self.clock.pause()
        if self._hand_in(browser, person, page):
            self.province.handed_in(pk)

    def _look_at_own(self, person) -> None:
        browser = self.browser(person)
        for label, path in (
            ("工作台", "/"),
            ("报送件", f"/report/{person.report}/"),
            ("预览", f"/report/{person.report}/preview/"),
        ):
            browser.get(label, path)
            self.clock.pause()

    def _hand_in(self, browser, person, page) -> bool:
        address = f"/report/{person.report}/hand-in/"
        fields = page.form(address) or browser.get("确认上报页", address).form(address)
        if not fields:
            return False
        decision = Decision(person.report, "submit", person.pk)
        with self.journal.pressing([decision]):
            answer, was_unknown = browser.press_until_answered("上报", address, fields)
            is_done = any(text.startswith("已上报") for text in answer.messages("success"))
            if is_done or (was_unknown and self._is_in_history(browser, person, decision)):
                self.journal.acknowledge([decision])
                return True
        return False

    def _is_in_history(self, browser, person, decision) -> bool:
        """What somebody does who got no answer: look whether it stands there."""
        page = browser.get("报送经过", f"/report/{decision.report}/history/").text
        own = re.findall(
            rf'history__label">{LABELS[decision.action]}</span>'
            rf'(?:(?!</li>).)*?history__meta">{re.escape(person.name)}（',
            page,
            re.DOTALL,
        )
        return len(own) > self.journal.acknowledged[decision]

    # ------------------------------------------------------------ at the superior

    def reviewer(self) -> None:
        person = self.province.next_reviewer()
        if person is None:
            self.clock.pause(0.5)
            return
        try:
            self._review(self.browser(person), person)
        finally:
            self.province.release(person)

    def _review(self, browser, person) -> None:
        browser.get("工作台", "/")
        self.clock.pause()
        queue = browser.get("待审核清单", f"/{CYCLE}/review/?state=submitted")
        chosen = re.findall(r'name="chosen" value="(\d+):(\d+)"', queue.text)[:BATCH]
        self.clock.pause()
        if chosen and dice.random() < 0.2:
            self._review_one(browser, person, int(dice.choice(chosen)[0]))
            self.province.handed_in(int(chosen[0][0]))  # the others still wait
        elif chosen:
            self._accept_many(browser, person, queue, chosen)
        self.clock.pause()
        address = f"/report/{person.report}/hand-in/"
        page = browser.get("确认上报页", address)
        if page.form(address) and self._hand_in(browser, person, page):
            self.province.handed_in(person.report)

    def _accept_many(self, browser, person, queue, chosen) -> None:
        address = f"/{CYCLE}/review/batch/"
        token = queue.form(address)["csrfmiddlewaretoken"]
        fields = [("csrfmiddlewaretoken", token), ("action", "accept")]
        fields += [("chosen", f"{pk}:{number}") for pk, number in chosen]
        decisions = {int(pk): Decision(int(pk), "accept", person.pk) for pk, _ in chosen}
        with self.journal.pressing(decisions.values()):
            answer, was_unknown = browser.press_until_answered("批量通过", address, fields)
            listed = re.search(
                r'aria-labelledby="left-out">(.*?)</section>', answer.text, re.DOTALL
            )
            left = {int(pk) for pk in re.findall(r"/report/(\d+)/", listed[1] if listed else "")}
            done = [decision for pk, decision in decisions.items() if pk not in left]
            said = "".join(answer.messages("success"))
            if was_unknown or (f"已审核通过 {len(done)} 个" not in said and (done or not left)):
                done = [d for d in decisions.values() if self._is_in_history(browser, person, d)]
            self.journal.acknowledge(done)

    def _review_one(self, browser, person, pk) -> None:
        address = f"/report/{pk}/review/"
        fields = browser.get("审核页", address).form(address)
        if "token" not in fields:
            return  # a colleague was quicker
        self.clock.pause()
        sent = {name: fields[name] for name in ("csrfmiddlewaretoken", "token")}
        if dice.random() < 0.3:
            sent |= {"action": "send_back", "reason": "整改措施再具体一些", "named": "measures"}
        else:
            sent |= {"action": "accept", "reviewed_grade": "average", "review_reason": "按考核情况"}
        decision = Decision(pk, sent["action"], person.pk)
        with self.journal.pressing([decision]):
            answer, was_unknown = browser.press_until_answered("审核", address, sent)
            is_done = any(LABELS[decision.action] in one for one in answer.messages("success"))
            if not is_done and was_unknown:
                is_done = self._is_in_history(browser, person, decision)
            if is_done:
                self.journal.acknowledge([decision])
        if is_done and decision.action == "send_back" and pk in self.province.secretaries:
            self.province.open_branches.append(self.province.secretaries[pk])

    # ------------------------------------------------------------ above

    def reader(self) -> None:
        person = dice.choice(self.province.readers)
        browser, pk = self.browser(person), person.report
        pages = [("工作台", "/"), ("汇总", f"/{CYCLE}/summary/"), ("台账", f"/{CYCLE}/ledger/")]
        pages += [("下级审核", f"/{CYCLE}/review/"), ("核对", f"/report/{pk}/recount/")]
        if dice.random() < 0.2:
            pages.append(("下载附件一", f"/report/{pk}/download/annex1/"))
        for label, path in pages:
            if not self.clock.is_running:
                return
            browser.get(label, path)
            self.clock.pause()


# ---------------------------------------------------------------- the table


def percentile(seconds: list[float], share: float) -> float:
    """Nearest rank, in milliseconds."""
    ranked = sorted(seconds)
    return 1000 * ranked[min(len(ranked) - 1, int(len(ranked) * share))]


def figures(requests: list[Request], started: float, ended: float) -> dict:
    """Throughput and times of what was answered, errors by kind, and the longest time in which
    nobody got an answer. What people finished after the end is left out."""
    requests = [request for request in requests if request.ended <= ended]
    answered, errors = defaultdict(list), Counter()
    for request in requests:
        if request.error:
            errors[request.error] += 1
        else:
            answered[request.label].append(request.seconds)
    every = [seconds for times in answered.values() for seconds in times]
    moments = sorted([started, *(r.ended for r in requests if not r.error), ended])
    return {
        "seconds": round(ended - started, 1),
        "throughput": round(len(every) / (ended - started), 1),
        "longest_pause": round(max(b - a for a, b in pairwise(moments)), 2),
        "errors": dict(errors),
        "actions": {
            label: {
                "count": len(times),
                **{f"p{n}": round(percentile(times, n / 100), 1) for n in (50, 95, 99)},
            }
            for label, times in [*sorted(answered.items()), ("合计", every)]
            if times
        },
    }


def table(found: dict) -> str:
    lines = [f"{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'次数':>8}  操作"]
    for label, row in found["actions"].items():
        times = "".join(f"{row[name]:>10.1f}" for name in ("p50", "p95", "p99"))
        lines.append(f"{times}{row['count']:>9}  {label}")
    errors = "、".join(f"{kind} {count}" for kind, count in found["errors"].items()) or "无"
    lines += [
        f"每秒 {found['throughput']} 个请求，共 {found['seconds']} 秒；"
        f"最长 {found['longest_pause']} 秒无人得到应答；没有应答的请求：{errors}",
        f"已告知办理成功 {found['acknowledged']} 项，结果不明 {found['unresolved']} 项；"
        f"丢失 {len(found['lost'])} 项，重复 {len(found['doubled'])} 项，"
        f"经过不符 {len(found['broken'])} 项，演练本身出错 {len(found['faults'])} 次",
    ]
    return "\n".join(lines)


# ---------------------------------------------------------------- before and after


def prepared(branches: int):
    """The open cycle of a generated province, made where the database is still empty."""
    from django.core.management import call_command
    from django.db import connection

    from orgs.models import Organization
    from ratings.models import Cycle

    call_command("migrate", verbosity=0)
    if not Organization.objects.exists():
        with tempfile.TemporaryDirectory() as folder:
            maker = [sys.executable, ROOT / "bench/make_province.py"]
            size = ["--branches", str(branches), "--out", folder]
            subprocess.run([*maker, *size], check=True, capture_output=True)  # noqa: S603 - our own
            call_command("import_orgs", f"{folder}/orgs.csv", stdout=sys.stderr)
            call_command("open_cycle", CYCLE.partition("-")[0], stdout=sys.stderr)
            under = Organization.objects.get(parent=None).code
            ledger = f"{folder}/ledger.csv"
            call_command("import_ledger", ledger, cycle=CYCLE, under=under, stdout=sys.stderr)
        with connection.cursor() as cursor:  # as autovacuum does within a minute
            cursor.execute("ANALYZE")
    return Cycle.objects.get()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served():
    """Gunicorn as in deploy/, on a free port; its address."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "ledger_site.wsgi"]
    command += ["--config", "deploy/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, cwd=ROOT)  # noqa: S603 - our own
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def counted(load: Load, people) -> dict:
    """The comparison of what people were told with what is stored."""
    from bench.people import histories, stored

    unresolved = +load.journal.unresolved
    lost, doubled = compared(load.journal.acknowledged, unresolved, stored(people))
    odd = {pk: broken(moves, standing) for pk, (moves, standing) in histories(people).items()}
    return {
        "acknowledged": load.journal.acknowledged.total(),
        "unresolved": unresolved.total(),
        "lost": [[*decision, count] for decision, count in lost.items()],
        "doubled": [[*decision, count] for decision, count in doubled.items()],
        "broken": [[pk, text] for pk, text in odd.items() if text],
        "faults": load.faults,
    }


def main(arguments) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--branches", type=int, default=2000, help="size of the province")
    parser.add_argument("--users", type=int, default=200, help="people at work at the same time")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think", type=float, default=2.0, help="seconds between two clicks")
    parser.add_argument("--url", help="servers that are there already")
    parser.add_argument("--json", action="store_true", help="print JSON alone on stdout")
    options = parser.parse_args(arguments)

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ledger_site.settings")
    if not options.url:
        os.environ |= {
            "SECRET_KEY": secrets.token_urlsafe(64),
            "HTTPS_ONLY": "false",
            "ALLOWED_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "ERROR",
            "SIGN_IN_LIMIT": "0",  # all of them sign in from one address within seconds
        }
    import django

    django.setup()
    from django.db import connections

    from bench.people import appointed

    cycle = prepared(options.branches)
    people = appointed(cycle, min(options.branches, 20 * options.users))
    connections.close_all()
    with nullcontext(options.url) if options.url else served() as url:
        print("开始", file=sys.stderr, flush=True)
        started = time.monotonic()
        clock = Clock(started + options.seconds, options.think)
        load = Load(url, clock, Province(people))
        load.run(options.users)
    found = figures(load.log, started, clock.until) | counted(load, people)
    print(json.dumps(found, ensure_ascii=False) if options.json else table(found))
    return 1 if found["lost"] or found["doubled"] or found["broken"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
