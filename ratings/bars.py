"""Parts of a stacked bar, as components/stacked_bar.html takes them."""

from collections.abc import Mapping

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
