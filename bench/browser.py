"""As much of a browser as the load needs: cookies, forms, redirects, and a person's patience."""

import html
import http.client
import random
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

TIMEOUT = 30  # seconds
BUSY = {500, 502, 503, 504}  # answers that don't say whether it was done
_ATTRIBUTE = re.compile(r'([\w-]+)(?:="([^"]*)")?')
_CONTROL = re.compile(r"<input\b([^>]*)>|<textarea\b([^>]*)>(.*?)</textarea>", re.DOTALL)
_MESSAGE = re.compile(
    r'class="notice notice--(success|error)">.*?<span class="notice__word">[^<]*</span>([^<]*)',
    re.DOTALL,
)


class Unanswered(Exception):
    """Whether the request was carried out is not known."""


class Over(Exception):
    """The run has ended."""


class Request(NamedTuple):
    """One request as it went; `error` is "" for one that was answered."""

    label: str
    ended: float
    seconds: float
    error: str


@dataclass
class Answer:
    status: int
    path: str
    text: str

    def messages(self, level: str) -> list[str]:
        found = _MESSAGE.findall(self.text)
        return [html.unescape(text).strip() for kind, text in found if kind == level]

    def form(self, action: str) -> dict[str, str]:
        """The fields of the form with that action, as they would be sent unchanged; {} if none."""
        found = re.search(
            rf'<form\b[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', self.text, re.DOTALL
        )
        return dict(_fields(found[1])) if found else {}


def _fields(text: str) -> Iterable[tuple[str, str]]:
    for of_input, of_area, content in _CONTROL.findall(text):
        said = {
            name: html.unescape(value) for name, value in _ATTRIBUTE.findall(of_input + of_area)
        }
        if "name" not in said or "disabled" in said:
            continue
        if said.get("type") in ("radio", "checkbox") and "checked" not in said:
            continue
        value = html.unescape(content).removeprefix("\n") if of_area else said.get("value", "")
        yield said["name"], value


@dataclass
class Clock:
    """When the run ends, and how long people take between two clicks (seconds, on average)."""

    until: float
    think: float
    grace: float = 30.0  # to learn the outcome of what was pressed before the end

    @property
    def is_running(self) -> bool:
        return time.monotonic() < self.until

    def pause(self, mean: float | None = None) -> None:
        """Think; whoever is still at it after the end hurries."""
        mean = self.think if mean is None else mean
        if mean and self.is_running:
            time.sleep(min(random.expovariate(1 / mean), 5 * mean))


@dataclass
class Browser:
    url: str
    session: str
    clock: Clock
    log: list[Request]
    cookies: dict[str, str] = field(default_factory=dict)
    connection: http.client.HTTPConnection | None = None

    def __post_init__(self):
        self.cookies["sessionid"] = self.session

    def get(self, label: str, path: str) -> Answer:
        """Open a page; where it does not come, press reload after a while."""
        while True:
            try:
                answer = self._ask(label, "GET", path)
            except Unanswered:
                self._wait()
                continue
            if answer.status in (301, 302):
                path = answer.path
                continue
            return answer

    def press(self, label: str, path: str, fields) -> Answer:
        """Send a form once and open the page it leads to. Raises `Unanswered`."""
        answer = self._ask(label, "POST", path, urlencode(fields))
        if answer.status == 302:
            return self.get("结果页", answer.path)
        return answer

    def press_until_answered(self, label: str, path: str, fields) -> tuple[Answer, bool]:
        """Press again as long as the outcome is unknown: the answer, and whether it ever was."""
        was_unknown = False
        while True:
            try:
                return self.press(label, path, fields), was_unknown
            except Unanswered:
                was_unknown = True
                self._wait()

    def _wait(self) -> None:
        if time.monotonic() > self.clock.until + self.clock.grace:
            raise Over
        time.sleep(random.uniform(1, 3))  # noqa: S311 - no secret

    def _ask(self, label, method, path, body=None) -> Answer:
        started = time.monotonic()
        try:
            answer = self.exchange(method, path, body)
            error = f"{answer.status}" if answer.status in BUSY else ""
        except TimeoutError:
            answer, error = None, "超时"
        except ConnectionRefusedError:
            answer, error = None, "连接被拒绝"
        except (OSError, http.client.HTTPException):
            answer, error = None, "连接中断"
        ended = time.monotonic()
        self.log.append(Request(label, ended, ended - started, error))
        if answer is None:
            self.connection = None
        if error:
            raise Unanswered(error)
        return answer

    def exchange(self, method, path, body=None) -> Answer:
        """One request and its answer, redirects not followed; whatever the connection raises."""
        if self.connection is None:
            address = urlsplit(self.url)
            self.connection = http.client.HTTPConnection(
                address.hostname, address.port, timeout=TIMEOUT
            )
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.url}
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        content = response.read()
        for line in response.headers.get_all("Set-Cookie", ()):
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            if value in ("", '""'):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        path = response.headers.get("Location", path)
        return Answer(response.status, path, content.decode(errors="replace"))
