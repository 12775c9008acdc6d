"""Parts of drawings: a stacked bar and a line, as components/stacked_bar.html and grade_line.html
take them."""

from collections.abc import Mapping, Sequence
from typing import Any

from .choices import Grade
from .summary import share

WIDTH = 1000


def bar(counts: Mapping[Grade, int]) -> list[dict]:
    """Each grade's place in a bar 1000 wide, side by side without gaps; all 0 wide without rows."""
    total, sum_before, parts = sum(counts.values()), 0, []
    for grade in Grade:
        count = counts[grade]
        start = WIDTH * sum_before // total if total else 0
        end = WIDTH * (sum_before + count) // total if total else 0
        sum_before += count
        parts.append(
            {
                "grade": grade.value,
                "label": grade.label,
                "count": count,
                "percent": share(count, total),
                "x": start,
                "width": end - start,
            }
        )
    return parts


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
