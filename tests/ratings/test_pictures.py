"""Places in the drawings: nothing is lost, nothing lies outside, and nothing is no error."""

import re
from datetime import date, timedelta
from itertools import pairwise

import pytest

from ratings import pictures
from ratings.choices import Grade
from ratings.pictures import FLOW, PANEL, RISE, WIDTH
from ratings.progress import MOST_DAYS, Day, Progress, thinned
from ratings.summary import Figures, Line

pytestmark = pytest.mark.once
START = date(2012, 11, 1)


def counted(*counts):
    return dict(zip(Grade, counts, strict=True))


NOTHING = counted(0, 0, 0, 0)


def line(name, *counts):
    of = {f"村|{grade}|{grade}|": n for grade, n in counted(*counts).items() if n}
    figures = Figures(sum(counts))
    figures.counts.update(of)
    return Line(name, name, figures)


@pytest.mark.parametrize("counts", [(1, 1, 1, 0), (0, 0, 0, 7), (3, 0, 2, 2), (1, 999, 0, 0)])
def test_a_bar_is_filled_without_gaps(counts):
    parts = pictures.bar(counted(*counts))

    assert [part["count"] for part in parts] == list(counts)
    assert parts[0]["x"] == 0
    for one, after in pairwise(parts):
        assert one["x"] + one["width"] == pytest.approx(after["x"])
    assert parts[-1]["x"] + parts[-1]["width"] == pytest.approx(WIDTH)
    assert all(0 < mark < WIDTH for mark in pictures.limits(parts))


def test_a_bar_of_nothing_is_empty():
    parts = pictures.bar(NOTHING)

    assert [(part["width"], part["percent"]) for part in parts] == [(0, "—")] * 4
    assert pictures.limits(parts) == []


def test_a_line_stands_beside_that_of_the_cycle_before():
    before = [line("甲", 1, 1, 0, 0), line("乙", 0, 0, 0, 0), line("撤销的", 1, 0, 0, 0)]

    rows = pictures.compared([line("甲", 3, 1, 0, 0), line("乙", 1, 0, 0, 0)], before)

    assert [row["then"] for row in rows] == [counted(1, 1, 0, 0), None]
    first, second = ([(a["percent"], b and b["percent"]) for a, b in r["cells"]] for r in rows)
    assert first == [("75.0", "50.0"), ("25.0", "50.0"), ("0.0", "0.0"), ("0.0", "0.0")]
    assert second == [("100.0", None), ("0.0", None), ("0.0", None), ("0.0", None)]
    assert pictures.compared([], before) == []


@pytest.mark.parametrize(
    "lines", [[], [(0, [0, 0])], [(3, [0, 0])], [(0, [5])], [(n, [130 - n, 2]) for n in range(130)]]
)
def test_bars_meet_at_one_axis_and_stay_inside(lines):
    found = pictures.diverging(lines)

    assert len(found) == len(lines)
    assert len({round(places[0][0] + places[0][1], 1) for places in found}) <= 1  # the axis
    for (_, others), (apart, *rest) in zip(lines, found, strict=True):
        assert apart[0] >= 0
        assert rest[0][0] == pytest.approx(apart[0] + apart[1])
        assert rest[-1][0] + rest[-1][1] <= WIDTH
        assert [bool(width) for _, width in rest] == [bool(n) for n in others]


def test_columns_of_all_panels_are_of_one_scale():
    units = [
        (counted(1, 1, 0, 0), None),
        (NOTHING, counted(0, 0, 0, 3)),
        (counted(1, 0, 0, 3), None),
    ]

    panels = pictures.multiples(units, counted(2, 1, 0, 3))

    heights = [[column["now"]["height"] for column in panel] for panel in panels]
    assert heights == [[PANEL // 2, PANEL // 2, 0, 0], [0] * 4, [PANEL // 4, 0, 0, PANEL * 3 // 4]]
    assert [column["percent"] for column in panels[1]] == ["—"] * 4
    assert panels[1][3]["before"]["height"] == PANEL
    assert len({column["mean_y"] for panel in panels for column in panel[:1]}) == 1
    assert pictures.multiples([], NOTHING) == []
    empty = pictures.multiples([(NOTHING, None)], NOTHING)
    assert [column["now"]["height"] for column in empty[0]] == [0] * 4
    assert len(pictures.multiples(units * 130, counted(1, 0, 0, 0))) == 390


def test_progress_rises_to_what_is_expected_before_the_deadline():
    days = [Day(START, 0, 0), Day(START + timedelta(4), 3, 1), Day(START + timedelta(9), 4, 4)]

    drawn = pictures.steps(Progress(START + timedelta(19), 4, days))

    assert [(one["x"], one["width"]) for one in drawn["handed_in"]] == [(0, 20), (20, 25), (45, 5)]
    assert [one["height"] for one in drawn["handed_in"]] == [0, RISE * 3 // 4, RISE]
    assert [one["height"] for one in drawn["accepted"]] == [0, RISE // 4, RISE]
    assert drawn["expected_y"] == drawn["handed_in"][-1]["y"]
    assert (drawn["due_x"], drawn["is_due_left"]) == (100, True)
    assert [part["count"] for part in drawn["legend"]] == [4, 0]


def test_progress_without_a_deadline_and_of_nothing_is_drawn():
    drawn = pictures.steps(Progress(None, 0, [Day(START, 0, 0)]))

    assert drawn["due_x"] is None
    assert drawn["handed_in"] == [{"x": 0, "width": 100, "y": drawn["base"], "height": 0}]


def test_a_deadline_long_past_stands_within_the_days():
    late = START + timedelta(99)

    drawn = pictures.steps(Progress(START, 2, [Day(START, 0, 0), Day(late, 1, 0)]))

    assert (drawn["due_x"], drawn["is_due_left"]) == (1, False)


def test_of_very_many_days_the_last_of_each_week_is_told():
    days = [Day(START + timedelta(n), n, 0) for n in range(400)]

    found = thinned(days)

    assert thinned(days[:MOST_DAYS]) == days[:MOST_DAYS]
    assert (found[0], found[-1]) == (days[0], days[-1])
    assert len(found) <= MOST_DAYS
    assert all(after.on - one.on <= timedelta(days=7) for one, after in pairwise(found))


def ends(band):
    """The edges of a band: on the left, then on the right."""
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", band["d"])]
    return (numbers[1], numbers[-1]), (numbers[7], numbers[8])


@pytest.mark.parametrize(
    "matrix",
    [
        (NOTHING,) * 4,
        (counted(1, 0, 0, 0), NOTHING, NOTHING, NOTHING),
        (counted(2, 1, 0, 0), counted(1, 1, 0, 0), counted(0, 2, 1, 0), counted(0, 0, 3, 0)),
        (counted(130, 7, 1, 0),) * 4,
    ],
)
def test_bands_fill_the_grades_they_join(matrix):
    matrix = dict(zip(Grade, matrix, strict=True))

    flow = pictures.flow(matrix)

    assert [one["count"] for one in flow["befores"]] == [sum(n.values()) for n in matrix.values()]
    assert [one["count"] for one in flow["nows"]] == [
        sum(nows[grade] for nows in matrix.values()) for grade in Grade
    ]
    assert len(flow["bands"]) == sum(bool(n) for nows in matrix.values() for n in nows.values())
    for side, places in enumerate((flow["befores"], flow["nows"])):
        edges = [ends(band)[side] for band in flow["bands"]]
        drawn = sum(foot - top for top, foot in edges)
        assert drawn == pytest.approx(FLOW if flow["bands"] else 0, abs=1)
        assert drawn == pytest.approx(sum(one["height"] for one in places), abs=1)
        for one, after in pairwise(places):
            assert after["text_y"] - one["text_y"] >= pictures.GAP - 0.2  # room for words
        assert places[-1]["y"] + places[-1]["height"] <= flow["height"]
