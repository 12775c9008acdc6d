"""bench/results.md: tables as they were measured, each with its date, the goals beside them.

The page is the store, too: what is not measured anew is read from it, and every goal is held
against the figures again whenever something is written.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "results.md"
MEASURED = "## The tables"  # what is above it is written by hand
HEADS = {
    "tree": ("way", "s", "× floor", ""),
    "accounts": ("way", "s", "× floor", ""),
    "opening": ("way", "s", "× floor", ""),
    "reminding": ("way", "s", "× floor", ""),
    "importing": ("way", "s", "× floor", ""),
    "playing": ("way", "s", "ms a move", "× ours", ""),
    "summary": ("way", "s", "× ours", ""),
    "pages": ("page", "province ms", "p95", "county ms", "p95", "queries"),
    "export": ("form", "s", "", ""),
    "migrations": ("migration", "nobody reads s", "nobody writes s", "rows held s", "tables"),
    "workbook": ("way", "CPU s", "wall s", "× ours-1", "peak MB", "growth MB", "file MB"),
}
WHOLE = 200_000  # branches or rows that most goals are for


@dataclass
class Section:
    """A subject at a size."""

    subject: str
    size: int  # branches; rows of a workbook
    day: str
    peak: float  # MB
    growth: float | None  # MB of it that the work took; not known of old ones
    head: Sequence[str]
    rows: list[list[str]]

    @classmethod
    def measured(cls, subject: str, size: int, rows, *, peak: float, growth: float) -> "Section":
        texts = [[shown(value) for value in row] for row in rows]
        return cls(subject, size, time.strftime("%Y-%m-%d"), peak, growth, HEADS[subject], texts)

    def figure(self, name: str, column: int) -> float | None:
        """The number in a column (from 1) of the row whose name begins so."""
        for row in self.rows:
            if row[0].startswith(name) and (found := re.match(r"[\d.]+", row[column])):
                return float(found[0])
        return None


Sections = dict[tuple[str, int], Section]


# ---------------------------------------------------------------- goals


@dataclass(frozen=True)
class Goal:
    text: str
    measure: Callable[[Section, Sections], float | None]
    most: float | None = None
    least: float | None = None
    unit: str = "×"
    only_at: int | None = None

    def line(self, section: Section, sections: Sections) -> list[str] | None:
        if self.only_at not in (None, section.size):
            return None
        found = self.measure(section, sections)
        if found is None:
            return None
        is_met = found <= self.most if self.most is not None else found >= self.least
        return [self.text, f"{shown(found)} {self.unit}", "达到" if is_met else "未达到"]


def _of(name: str, column: int) -> Callable[[Section, Sections], float | None]:
    return lambda section, _: section.figure(name, column)


def _by_organizations(name: str) -> Callable[[Section, Sections], float | None]:
    """Seconds reckoned for the 211,000 organizations of the goal."""

    def measure(section, _):
        seconds, count = section.figure(name, 1), section.figure("COPY", 3)
        return seconds and count and seconds * 211_000 / count

    return measure


def _slowest_insert(section: Section, _) -> float | None:
    found = [section.figure(f"one insert, {place}", 1) for place in ("first", "middle", "last")]
    return max(filter(None, found), default=None)


def _growth_of_summary(section: Section, sections: Sections) -> float | None:
    """Against the smallest size that was measured."""
    smallest = min(size for subject, size in sections if subject == "summary")
    if smallest == section.size:
        return None
    name = "from stored totals"
    return section.figure(name, 1) / sections["summary", smallest].figure(name, 1)


def _slowest_list(section: Section, *names: str) -> float | None:
    """The slowest of these pages against the first page of the ledger, province and county."""
    columns = [n for n, head in enumerate(section.head) if head.endswith(" ms")]
    ratios = [
        section.figure(row[0], column) / section.figure("台账，首页", column)
        for row in section.rows
        for column in columns
        if row[0].startswith(names)
    ]
    return max(ratios, default=None)


def _floors(section: Section, _) -> float | None:
    floor = section.figure("floor", 3)
    return floor and 1 / floor


def _memory(section: Section, _) -> float | None:
    return section.growth


GOALS = {
    "tree": (
        Goal(
            "bulk load ≤ 2.0 s for 211,000 organizations",
            _by_organizations("import_orgs"),
            2.0,
            unit="s",
            only_at=WHOLE,
        ),
        Goal(
            "full renumbering ≤ 2.6 s for 211,000",
            _by_organizations("renumber all"),
            2.6,
            unit="s",
            only_at=WHOLE,
        ),
        Goal("one insert ≤ 1.7 s wherever it is", _slowest_insert, 1.7, unit="s", only_at=WHOLE),
    ),
    "accounts": (
        Goal("memory ≤ 100 MB", _memory, 100, unit="MB"),
        Goal("≤ 5 × a bare COPY", _of("import_accounts", 2), 5, only_at=WHOLE),
    ),
    "opening": (
        Goal("opening ≤ 5 × the bare INSERT … SELECT", _of("open_cycle", 2), 5, only_at=WHOLE),
    ),
    "importing": (
        Goal(
            "≥ 20 × import-export's bulk mode",
            _of("import-export bulk", 2),
            least=20,
            only_at=WHOLE,
        ),
        Goal(
            "the database part ≤ 5 × a bare COPY",
            _of("import_ledger, database", 2),
            5,
            only_at=WHOLE,
        ),
    ),
    "summary": (
        Goal("province page ≤ 2 × that of the smallest size", _growth_of_summary, 2),
        Goal(
            "≥ 100 × quicker than GROUP BY",
            _of("GROUP BY", 2),
            least=100,
            only_at=WHOLE,
        ),
    ),
    "pages": (
        Goal("last page ≤ 1.25 × the first", lambda s, _: _slowest_list(s, "台账，末页"), 1.25),
        Goal(
            "every filter and search ≤ 2 × the first page",
            lambda s, _: _slowest_list(s, "台账，", "查找，", "整改，"),
            2,
        ),
    ),
    "export": (Goal("memory ≤ 100 MB", _memory, 100, unit="MB"),),
    "workbook": (
        Goal("≥ 8 × import-export", _of("import-export", 3), least=8, only_at=WHOLE),
        Goal("≥ 5 × openpyxl write-only", _of("openpyxl-plain", 3), least=5, only_at=WHOLE),
        Goal("≤ 2 × the floor at compression 1", _floors, 2, only_at=WHOLE),
        Goal("memory ≤ 100 MB", _of("ours-1", 5), 100, unit="MB"),
    ),
}


# ---------------------------------------------------------------- the page


def read(text: str) -> Sections:
    """The sections of the page."""
    _, _, measured = text.partition(MEASURED)
    day = re.search(r"Measured on ([\d-]+)", measured)  # of a page that had one for all
    found = {}
    for name, size, said, body in re.findall(
        r"^### (\w+), ([\d,]+) \w+ \((.*?)\)\n(.*?)(?=^### |\Z)", measured, re.M | re.S
    ):
        table = body.split("\n\n| goal |")[0]
        head, _, *rows = (
            [cell.strip() for cell in line[1:-1].split("|")]
            for line in table.splitlines()
            if line.startswith("|")
        )
        section = Section(
            name,
            int(size.replace(",", "")),
            said.split(",")[0] if said[0].isdigit() else day[1],
            _number(r"peak ([\d.]+)", said),
            _number(r"growth ([\d.]+)", said),
            head,
            rows,
        )
        found[section.subject, section.size] = section
    return found


def _number(pattern: str, text: str) -> float | None:
    found = re.search(pattern, text)
    return float(found[1]) if found else None


def write(new: list[Section], machine: str = "") -> None:
    """Put these sections into the page, in the place of older ones, and hold all goals anew.

    What is said of the machine stays where nothing else is said.
    """
    text = PAGE.read_text(encoding="utf-8")
    sections = read(text) | {(section.subject, section.size): section for section in new}
    order = sorted(sections.values(), key=lambda s: (list(HEADS).index(s.subject), s.size))
    parts = "\n".join(_told(section, sections) for section in order)
    by_hand, _, measured = text.partition(MEASURED)
    machine = machine or measured.partition("###")[0].strip()
    PAGE.write_text(f"{by_hand}{MEASURED}\n\n{machine}\n\n{parts}", encoding="utf-8")


def _told(section: Section, sections: Sections) -> str:
    growth = "" if section.growth is None else f", growth {section.growth:.0f} MB"
    unit = "rows" if section.subject == "workbook" else "branches"
    lines = [
        f"### {section.subject}, {section.size:,} {unit} "
        f"({section.day}, peak {section.peak:.0f} MB{growth})",
        "",
        *_table(section.head, section.rows),
    ]
    goals = [goal.line(section, sections) for goal in GOALS.get(section.subject, ())]
    if held := [line for line in goals if line]:
        lines += ["", *_table(("goal", "measured", ""), held)]
    return "\n".join([*lines, ""])


def _table(head, rows) -> list[str]:
    first, *others = ("| " + " | ".join(cells) + " |" for cells in (head, *rows))
    return [first, "|" + "---|" * len(head), *others]


def shown(value) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}"
