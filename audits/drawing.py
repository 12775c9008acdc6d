"""How a sample is drawn, so that anybody draws it again: integers and SHA-256, nothing else.

1. The frame is a list of lines `code<TAB>stratum`, one for each row that may be drawn, in the order
   of the codes by their code points, joined by a line feed, in UTF-8. Its SHA-256 is its digest.
2. Each stratum gets a number of rows (`allotted`).
3. In each stratum the lines are put in the order of SHA-256(seed + "|" + code) written in
   hexadecimal, and the first ones are taken: `sort` and `sha256sum` do the same on any machine.

The seed is 64 hexadecimal digits that the system draws when a check is made; nobody chooses it.
"""

import hashlib
import heapq
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping

from .choices import Amount


def new_seed() -> str:
    return secrets.token_hex(32)


def frame_of(strata: Mapping[str, str]) -> str:
    """The frame as a text; `strata` maps codes to their strata, "" where there are none."""
    return "\n".join(f"{code}\t{strata[code]}" for code in sorted(strata))


def digest_of(frame: str) -> str:
    return hashlib.sha256(frame.encode()).hexdigest()


def rank(seed: str, code: str) -> str:
    return hashlib.sha256(f"{seed}|{code}".encode()).hexdigest()


def draw(frame: str, seed: str, amount: str, size: int) -> list[tuple[str, str]]:
    """(code, stratum) of the rows drawn, by stratum and in it by rank; everything where there is
    less than asked for."""
    members = defaultdict(list)
    for line in frame.splitlines():
        code, _, stratum = line.partition("\t")
        members[stratum].append(code)
    counts = {stratum: len(codes) for stratum, codes in members.items()}
    numbers = allotted(counts, amount, size)
    return [
        (code, stratum)
        for stratum in sorted(members)
        for code in _first(members[stratum], seed, numbers[stratum])
    ]


def _first(codes: Iterable[str], seed: str, number: int) -> list[str]:
    return heapq.nsmallest(number, codes, key=lambda code: rank(seed, code))


def allotted(counts: Mapping[str, int], amount: str, size: int) -> dict[str, int]:
    """How many rows each stratum gives.

    每层个数: as many from each, or all it has. 总个数 and 百分比 (rounded up): in proportion, what
    is left over to the largest remainders, equal ones in the order of the names; where there are
    enough for all, a stratum without any gets one from the stratum that has most.
    """
    if amount == Amount.EACH:
        return {stratum: min(size, count) for stratum, count in counts.items()}
    total = sum(counts.values())
    wanted = min(-(-total * size // 100) if amount == Amount.PERCENT else size, total)
    if not wanted:
        return dict.fromkeys(counts, 0)
    numbers = {stratum: wanted * count // total for stratum, count in counts.items()}
    by_remainder = sorted(counts, key=lambda s: (-(wanted * counts[s] % total), s))
    for stratum in by_remainder[: wanted - sum(numbers.values())]:
        numbers[stratum] += 1
    if wanted >= len(counts):
        for stratum in sorted(s for s, number in numbers.items() if not number):
            numbers[min(numbers, key=lambda s: (-numbers[s], s))] -= 1
            numbers[stratum] = 1
    return numbers
