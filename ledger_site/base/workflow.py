"""Tables of moves between states, read by `check`; knows no app.

A table maps an action to a `Transition`. Who plays an actor is the app's own rule.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Refusal(Exception):
    """What the rules forbid; the text says why, in Chinese, to whoever asked for it."""


class TransitionRefused(Refusal):
    """A move that may not happen; the text says why, in Chinese, to whoever pressed the button."""


class Actor(Protocol):
    value: str  # how the actor is called on the page

    def is_played_by(self, by: Any, record: Any) -> bool: ...


@dataclass(frozen=True)
class Transition:
    label: str
    sources: Collection[str]
    target: str | Callable[[Any], str]
    actor: Actor
    needs_reason: bool = False
    outcome: str = ""  # what is told of a target that depends on the record

    def target_of(self, record) -> str:
        return self.target(record) if callable(self.target) else self.target


def check(table: Mapping[str, Transition], action: str, record, by) -> Transition:
    """Return the transition, or raise `TransitionRefused` where state or person forbid it."""
    move = table[action]
    if record.state not in move.sources:
        raise TransitionRefused(f"当前状态为“{record.get_state_display()}”，不能{move.label}")
    if not move.actor.is_played_by(by, record):
        raise TransitionRefused(f"只有{move.actor.value}可以{move.label}")
    return move


def check_reason(move: Transition, reason: str) -> None:
    if move.needs_reason and not reason.strip():
        raise TransitionRefused(f"{move.label}须写明理由")
