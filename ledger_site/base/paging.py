"""Pages of long lists by key: each page starts behind a row, so the last costs what the first does.

Nothing is counted; what a page says of its number travels in the address.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q

SIZE = 50
MOST = 99_999  # page numbers beyond are not believed
BEFORE = "older"
PARAMETERS = ("after", "before", "page", "n")


@dataclass
class Page:
    rows: list
    links: dict[str, str]  # text, part, first, previous, next, last: as components/pages.html says


def whole(text: str | None) -> int | None:
    """A whole number of an address, or None: for keys that are integers."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def page_of(
    rows, params, *, key: str, clean: Callable[[str | None], Any] = whole, size: int = SIZE
) -> Page:
    """The page of the queryset `rows` that the QueryDict `params` asks for, in the order of `key`.

    `key` is unique among the rows. What `clean` does not take (None) is the first page, and so is
    whatever is asked before it; what is asked behind the last row is the last page.
    """
    after, before = clean(params.get("after")), clean(params.get("before"))
    is_last = params.get("page") == "last"
    number = whole(params.get("n"))  # None: not known, coming back from the last page
    found, has_previous, has_next = [], False, False
    if after is not None and before is None and not is_last:
        found = list(rows.filter(**{f"{key}__gt": after}).order_by(key)[: size + 1])
        has_previous, has_next = True, len(found) > size
        found = found[:size]
        is_last = not found  # behind the last row
    if before is not None or is_last:
        earlier = rows.order_by(f"-{key}")
        if not is_last:
            earlier = earlier.filter(**{f"{key}__lt": before})
        found = list(earlier[: size + 1])
        has_previous, has_next = len(found) > size, not is_last
        found = found[:size][::-1]
    if len(found) < size and not has_previous and not is_last:  # the first page
        found = list(rows.order_by(key)[: size + 1])
        has_next = len(found) > size
        found = found[:size]
        number = 1

    def address(**changed):
        query = params.copy()
        for name in PARAMETERS:
            query.pop(name, None)
        query.update(changed)
        return f"?{query.urlencode()}"

    part = ""
    if not has_previous and not has_next:
        text = f"共 {len(found)} 条"
    else:
        place = "末页" if is_last or not has_next else number and f"第 {number} 页"
        text = f"{place}，本页 {len(found)} 条" if place else f"本页 {len(found)} 条"
        behind = (number - 1) * size if number else 0
        part = f"第 {behind + 1}—{behind + len(found)} 条" if number else text
    links = {"text": text, "part": part, "first": "", "previous": "", "next": "", "last": ""}
    if has_previous:
        links["first"] = address()
    if has_previous and found:
        step = {"n": number - 1} if number and number > 1 and not is_last else {}
        links["previous"] = address(before=getattr(found[0], key), **step)
    if has_next:
        step = {"n": number + 1} if number and number < MOST else {}
        links["next"] = address(after=getattr(found[-1], key), **step)
        links["last"] = address(page="last")
    return Page(found, links)


class Together:
    """Rows of any of several querysets of one model, each once, as `page_of` takes rows.

    Each is asked by its own index for the few rows of a page; one condition with OR walks them all.
    """

    def __init__(self, querysets):
        self.querysets, self.key = list(querysets), "pk"

    def filter(self, *conditions, **values) -> "Together":
        return Together(each.filter(*conditions, **values) for each in self.querysets)

    def none(self) -> "Together":
        return Together([])

    def select_related(self, *names) -> "Together":
        return Together(each.select_related(*names) for each in self.querysets)

    def order_by(self, key: str) -> "Together":
        ordered = Together(each.order_by(key) for each in self.querysets)
        ordered.key = key
        return ordered

    def __getitem__(self, piece: slice) -> list:
        """The first rows; `piece` has an end alone."""
        found = {row.pk: row for each in self.querysets for row in each[: piece.stop]}
        name = self.key.lstrip("-")
        rows = sorted(found.values(), key=lambda row: getattr(row, name))
        return (rows[::-1] if self.key.startswith("-") else rows)[: piece.stop]


def newest_first(rows, params, *, size: int = SIZE) -> Page:
    """A page of rows that have a moment `at`, the newest first; its link leads on to older ones.

    What makes no sense in the address is the first page.
    """
    query = params.copy()
    place = _place(query.pop(BEFORE, [""])[-1])
    if place:
        at, pk = place
        rows = rows.filter(Q(at__lt=at) | Q(pk__lt=pk), at__lte=at)
    found = list(rows.order_by("-at", "-pk")[: size + 1])
    text = f"本页 {len(found[:size])} 条，最新的在前"
    links = {
        "text": text,
        "part": text if place or len(found) > size else "",
        "previous": "",
        "next": "",
        "last": "",
    }
    links["first"] = f"?{query.urlencode()}" if place else ""
    if len(found) > size:
        last = found[size - 1]
        query[BEFORE] = f"{last.at.timestamp():.6f}-{last.pk}"
        links["next"] = f"?{query.urlencode()}"
    return Page(found[:size], links)


def _place(text: str) -> tuple[datetime, int] | None:
    match = re.fullmatch(r"(\d{1,11})\.(\d{6})-(\d{1,18})", text, re.ASCII)
    if not match:
        return None
    seconds, micros, pk = map(int, match.groups())
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros), pk
