"""A person's way over the pages, and the presses it takes: docs/ways.md tells them."""

import re

from django.conf import settings


def documented() -> dict[str, int]:
    """By the name of a way, the presses that docs/ways.md says it takes."""
    text = (settings.BASE_DIR / "docs/ways.md").read_text(encoding="utf-8")
    return {name: int(n) for name, n in re.findall(r"^\| ([^|]+?) \| (\d+) \|", text, re.MULTILINE)}


class Way:
    """Counts clicks, and keys that act; filling in (typing, ticking) is the work itself."""

    def __init__(self, page, presses=1):  # 登录
        self.page, self.presses = page, presses

    def click(self, place) -> None:
        place.click()
        self.presses += 1

    def link(self, name, *, exact=True) -> None:
        self.click(self.page.get_by_role("link", name=name, exact=exact).first)

    def button(self, name) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=True))

    def key(self, name) -> None:
        self.page.keyboard.press(name)
        self.presses += 1

    def home(self) -> None:
        """To the desk again, as after signing in."""
        self.page.goto("/")
        self.presses = 1

    def is_as_documented(self, name: str) -> None:
        """The way is done; another of the same person begins where it ends."""
        assert (name, self.presses) == (name, documented()[name])
