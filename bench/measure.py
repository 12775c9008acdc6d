"""Time and memory of a piece of work, each in a process of its own, and the table that shows them.

A script of this folder runs itself again with the arguments that name one piece of work; there it
calls `report`, and the first process reads the answer with `in_child`.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Figures:
    wall: float  # seconds
    cpu: float  # seconds, those of child processes too
    peak: float  # MB, the most that was resident
    growth: float  # MB, of it what came after the start of the work
    more: dict[str, Any] = field(default_factory=dict)  # what the work said


def report(work: Callable[[], dict[str, Any] | None]) -> None:
    """Do the work and print its figures as the last line, for `in_child`."""
    before, cpu, wall = _peak(), _cpu(), time.perf_counter()
    more = work() or {}
    wall, cpu, peak = time.perf_counter() - wall, _cpu() - cpu, _peak()
    print(json.dumps(asdict(Figures(wall, cpu, peak, peak - before, more))))


def in_child(*arguments: str, environment: dict[str, str] | None = None) -> Figures:
    """Run a script with these arguments, whose last line is what `report` printed."""
    done = subprocess.run(  # noqa: S603 - a script of this folder
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Lines of text with columns of equal width, numbers to the right."""
    texts = [list(head), *([_shown(value) for value in row] for row in rows)]
    widths = [max(_width(text) for text in column) for column in zip(*texts, strict=True)]
    lines = []
    for text in texts:
        blanks = [" " * (width - _width(cell)) for cell, width in zip(text, widths, strict=True)]
        first, *others = zip(text, blanks, strict=True)
        lines.append("  ".join(["".join(first), *(blank + cell for cell, blank in others)]))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def _shown(value) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _width(text: str) -> int:
    return len(text) + sum(ord(sign) > 0x2E7F for sign in text)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
