"""What was acknowledged to people against what is stored: nothing lost, nothing doubled.

A decision is known by (report, action, person). Each was acknowledged to a browser a number of
times, and may have been pressed without ever learning the outcome.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple


class Decision(NamedTuple):
    report: int
    action: str
    person: int


class Move(NamedTuple):
    """A line of 报送经过, as `ReportMove` stores it."""

    action: str
    source: str
    target: str
    number: int


class Standing(NamedTuple):
    """Where a report stands in the end."""

    state: str
    number: int
    version_numbers: list[int]


def compared(
    acknowledged: Mapping[Decision, int],
    unresolved: Mapping[Decision, int],
    stored: Mapping[Decision, int],
) -> tuple[Counter, Counter]:
    """(lost, doubled): acknowledged and not stored; stored more often than anyone pressed.

    What nobody learned the outcome of may be stored or not.
    """
    lost, doubled = Counter(), Counter()
    for decision in {*acknowledged, *unresolved, *stored}:
        sure = acknowledged.get(decision, 0)
        most = sure + unresolved.get(decision, 0)
        found = stored.get(decision, 0)
        if found < sure:
            lost[decision] = sure - found
        elif found > most:
            doubled[decision] = found - most
    return lost, doubled


def broken(moves: Iterable[Move], standing: Standing) -> str:
    """What does not fit in the history of one report; "" if everything does.

    Each move starts in the state where the one before it ended, the last one ended where the
    report stands, and each submit made one version, the next in number.
    """
    moves = list(moves)
    for before, after in pairwise(moves):
        if before.target != after.source:
            return f"{before.action} 后为 {before.target}，{after.action} 前为 {after.source}"
    if moves and moves[-1].target != standing.state:
        return f"最后一步后为 {moves[-1].target}，现在是 {standing.state}"
    submitted = [move.number for move in moves if move.action == "submit"]
    expected = list(range(1, standing.number + 1))
    if submitted != expected or sorted(standing.version_numbers) != expected:
        return (
            f"上报 {submitted}，版本 {sorted(standing.version_numbers)}，版本号 {standing.number}"
        )
    return ""
