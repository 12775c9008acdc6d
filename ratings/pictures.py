"""Where things lie in the drawings that templates make as SVG: numbers in, places out.

Across, places are percentages of the width (but for the line of grades), so that a drawing is as
wide as its room and neither text nor hatching is stretched; down, they are pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import accumulate, pairwise, zip_longest
from typing import Any

from .choices import Grade
from .movement import SETS, kind_of
from .progress import Progress
from .summary import Line, share

WIDTH = 100


def along(counts: Iterable[int], whole: int, start: int = 0) -> list[tuple[float, float]]:
    """Where each count begins and how wide it is, side by side without gaps from `start` tenths of
    a percent on, where `whole` takes the full width; of nothing all are 0 wide."""
    ends = [start + _tenths(n, whole) for n in accumulate(counts, initial=0)]
    return [(one / 10, (end - one) / 10) for one, end in pairwise(ends)]


def _tenths(count: int, whole: int) -> int:
    """A share in tenths of a percent, 0 of nothing."""
    return 10 * WIDTH * count // whole if whole else 0


def bar(counts: Mapping[Grade, int]) -> list[dict]:
    """The grades as parts of a bar, of which the whole is the full width."""
    total = sum(counts.values())
    places = along((counts[grade] for grade in Grade), total)
    return [
        {
            "fill": grade.value,
            "label": grade.label,
            "count": counts[grade],
            "percent": share(counts[grade], total),
            "x": x,
            "width": width,
        }
        for grade, (x, width) in zip(Grade, places, strict=True)
    ]


def limits(parts: Sequence[Mapping]) -> list[float]:
    """Where a grade ends and the next begins, for marks on other bars."""
    return sorted({part["x"] for part in parts if 0 < part["x"] < WIDTH})


def compared(lines: Iterable[Line], before: Iterable[Line]) -> list[dict]:
    """Lines of a summary as bars, each with that of the same line in the cycle before; without
    one where there was none, or nothing in it."""
    known = {line.code: line.figures.reviewed for line in before if line.figures.total}
    found = []
    for line in lines:
        now, then = line.figures.reviewed, known.get(line.code)
        parts, parts_before = bar(now), bar(then) if then else []
        found.append(
            {
                "name": line.name,
                "total": line.figures.total,
                "now": now,
                "then": then,
                "shares": parts,
                "before": parts_before,
                "cells": list(zip_longest(parts, parts_before)),
            }
        )
    return found


def diverging(lines: Sequence[tuple[int, Sequence[int]]]) -> list[list[tuple[float, float]]]:
    """Of each (apart, others): the place of the first left of an axis, then those of the others to
    its right, all lines by one scale. The axis is where the first place ends."""
    apart = max((line[0] for line in lines), default=0)
    whole = apart + max((sum(line[1]) for line in lines), default=0)
    axis = _tenths(apart, whole)
    return [
        [((axis - width) / 10, width / 10), *along(others, whole, axis)]
        for left, others in lines
        for width in [_tenths(left, whole)]
    ]


# ---------------------------------------------------------------- small multiples

# Heights of the columns and of the numbers above them; multiples.html draws below what they are.
PANEL, HEAD = 96, 22
SLOT = WIDTH / len(Grade)


def multiples(
    units: Sequence[tuple[Mapping[Grade, int], Mapping[Grade, int] | None]],
    whole: Mapping[Grade, int],
) -> list[list[dict]]:
    """A panel of four columns for each unit (now, before), all by one scale: the share of a grade,
    that of the cycle before (None where there was nothing), and that of the `whole`."""
    every = [counts for unit in units for counts in unit if counts] + [whole]
    top = max(_share(counts, grade) for counts in every for grade in Grade)

    def height(counts: Mapping[Grade, int], grade: Grade) -> int:
        return PANEL * _share(counts, grade) // top if top else 0

    def column(grade: Grade, now, before) -> dict:
        x = SLOT * list(Grade).index(grade)
        return {
            "fill": grade.value,
            "label": grade.label,
            "percent": share(now[grade], sum(now.values())),
            "before_percent": share(before[grade], sum(before.values())) if before else "",
            "now": _rising(x + 3, SLOT - 12, height(now, grade)),
            "before": before and _rising(x + SLOT - 8, 5, height(before, grade)),
            "slot": x + 1,
            "slot_end": x + SLOT - 1,
            "mean_y": HEAD + PANEL - height(whole, grade),
            "text_x": x + SLOT / 2,
        }

    return [[column(grade, now, before) for grade in Grade] for now, before in units]


def _share(counts: Mapping[Grade, int], grade: Grade) -> int:
    return _tenths(counts[grade], sum(counts.values()))


def _rising(x: float, width: float, height: int, base: int = HEAD + PANEL) -> dict[str, float]:
    return {"x": x, "width": width, "y": base - height, "height": height}


# ---------------------------------------------------------------- progress

RISE, OVER = 120, 24  # heights of the scale and of what is written above it


def steps(progress: Progress) -> dict[str, Any]:
    """Progress as areas that rise in steps towards what is expected, on a scale of days from the
    first to the last or the deadline; each day is a step wide and holds what it ended with."""
    days, due_on = progress.days, progress.due_on
    first = min(days[0].on, due_on or days[0].on)
    last = max(days[-1].on, due_on or days[-1].on)
    width = (last - first).days + 1
    top = max([progress.expected, *(day.handed_in for day in days)])

    def x(on) -> float:
        return _tenths((on - first).days, width) / 10

    def height(count: int) -> int:
        return RISE * count // top if top else 0

    ends = [*(day.on for day in days[1:]), days[-1].on + timedelta(days=1)]
    areas = {
        name: [
            _rising(start, round(x(end) - start, 1), height(getattr(day, name)), OVER + RISE)
            for day, end in zip(days, ends, strict=True)
            for start in [x(day.on)]
        ]
        for name in ("handed_in", "accepted")
    }
    due_x = x(due_on + timedelta(days=1)) if due_on else None
    return {
        **areas,
        "now": days[-1],
        "legend": [
            {"fill": "good", "label": "已审核", "count": days[-1].accepted},
            {
                "fill": "fairly_good",
                "label": "已上报，待审核",
                "count": days[-1].handed_in - days[-1].accepted,
            },
        ],
        "expected": progress.expected,
        "expected_y": OVER + RISE - height(progress.expected),
        "base": OVER + RISE,
        "days": days,
        "first": first,
        "last": last,
        "due_on": due_on,
        "due_x": due_x,
        "is_due_left": due_x is not None and due_x > WIDTH / 2,  # where its words are
        "height": OVER + RISE + 24,
    }


# ---------------------------------------------------------------- movement

FLOW, GAP = 220, 24  # of a column of grades: the heights of all its rows, and above each grade


def flow(matrix: Mapping[Grade, Mapping[Grade, int]]) -> dict[str, Any]:
    """Movement between two cycles: the grades before on the left, now on the right, and bands from
    one to the other as high as there are rows. Bands are drawn 200 wide."""
    total = sum(sum(nows.values()) for nows in matrix.values())
    lefts = _stacked({grade: sum(matrix[grade].values()) for grade in Grade}, total)
    rights = _stacked(
        {grade: sum(nows[grade] for nows in matrix.values()) for grade in Grade}, total
    )
    bands, arrived = [], dict.fromkeys(Grade, 0)
    for before, nows in matrix.items():
        sent = 0
        for now, count in nows.items():
            kind = kind_of(before.value, now.value)
            y1, y2 = lefts[before]["y"], rights[now]["y"]
            tops = _at(y1, sent, total), _at(y2, arrived[now], total)
            sent, arrived[now] = sent + count, arrived[now] + count
            feet = _at(y1, sent, total), _at(y2, arrived[now], total)
            told = f"{before.label}→{now.label} {count}（{SETS[kind][0]}）"
            if count:
                bands.append({"kind": kind, "told": told, "d": _band(*tops, *feet)})
    return {
        "befores": list(lefts.values()),
        "nows": list(rights.values()),
        "bands": bands,
        "height": FLOW + GAP * len(Grade) + GAP // 2,
    }


def _band(left: float, right: float, left_foot: float, right_foot: float) -> str:
    there = f"M0 {left}C100 {left} 100 {right} 200 {right}"
    return f"{there}V{right_foot}C100 {right_foot} 100 {left_foot} 0 {left_foot}Z"


def _at(y: float, count: int, total: int) -> float:
    """So many rows below `y`."""
    return round(y + (FLOW * count / total if total else 0), 1)


def _stacked(counts: Mapping[Grade, int], total: int) -> dict[Grade, dict]:
    """Grades below each other with gaps, in which the words of small ones have room."""
    found, foot = {}, 0
    for grade in Grade:
        y = foot + GAP
        foot = _at(y, counts[grade], total)
        found[grade] = {
            "fill": grade.value,
            "label": grade.label,
            "count": counts[grade],
            "y": y,
            "height": round(foot - y, 1),
            "text_y": round((y + foot) / 2 + 6, 1),
        }
    return found


# ---------------------------------------------------------------- an organization's grades

LEFT, STEP_WIDTH, TOP, STEP_HEIGHT = 56, 132, 22, 34  # of the line, in its own units


def line(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The grades of an organization from cycle to cycle: where each is drawn, 好 at the top.

    `rows` have cycle, declared and reviewed, a value of `Grade` or None; the line breaks where
    there is none, and before one that `is_apart` from the cycle before.
    """
    heights = {grade.value: TOP + STEP_HEIGHT * place for place, grade in enumerate(Grade)}
    columns = [LEFT + STEP_WIDTH * n + STEP_WIDTH // 2 for n in range(len(rows))]

    def points(name: str) -> list[dict[str, int]]:
        found = zip(columns, rows, strict=True)
        return [{"x": x, "y": heights[row[name]]} for x, row in found if row[name]]

    def segments(name: str) -> list[dict[str, int]]:
        pairs = zip(columns, rows, columns[1:], rows[1:], strict=False)
        return [
            {"x1": x1, "y1": heights[one[name]], "x2": x2, "y2": heights[other[name]]}
            for x1, one, x2, other in pairs
            if one[name] and other[name] and not other["is_apart"]
        ]

    width, bottom = LEFT + STEP_WIDTH * len(rows), TOP + STEP_HEIGHT * len(Grade)
    told = (
        f"{row['cycle']}审核为{Grade(row['reviewed']).label}"
        if row["reviewed"]
        else f"{row['cycle']}未审核"
        for row in rows
    )
    return {
        "rows": rows,
        "told": "，".join(told),
        "width": width,
        "height": bottom + 8,
        "left": LEFT,
        "levels": [
            {"label": grade.label, "y": heights[grade.value], "text_y": heights[grade.value] + 5}
            for grade in Grade
        ],
        "labels": [
            {"x": x, "y": bottom, "text": row["cycle"]}
            for x, row in zip(columns, rows, strict=True)
        ],
        "declared": [{**p, "x": p["x"] - 6, "y": p["y"] - 6} for p in points("declared")],
        "declared_lines": segments("declared"),
        "reviewed": points("reviewed"),
        "reviewed_lines": segments("reviewed"),
    }
