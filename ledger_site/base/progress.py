"""How far long work is, told to whoever waits for it."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Tell = Callable[[str, int, int], None]  # phase, done, total; called as often as the work likes
Item = TypeVar("Item")
EVERY = 500  # rows


def untold(phase: str, done: int = 0, total: int = 0) -> None:
    """Nobody waits."""


def counted(rows: Iterable[Item], phase: str, total: int, tell: Tell) -> Iterator[Item]:
    """The same rows, telling now and then how many have gone by."""
    for number, row in enumerate(rows):
        if number % EVERY == 0:
            tell(phase, number, total)
        yield row
    tell(phase, total, total)
