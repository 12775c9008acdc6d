"""The page of results: what was measured is kept, and goals are held against the figures."""

import pytest

from bench import results
from bench.results import Section

pytestmark = pytest.mark.once


ROWS = [("INSERT … SELECT (floor)", 6.5, 1.0, "256370 reports"), ("open_cycle", 11.6, 1.79, "")]


@pytest.fixture
def page(tmp_path, monkeypatch):
    page = tmp_path / "results.md"
    page.write_text(f"# Measured\n\nBy hand.\n\n{results.MEASURED}\n\n", encoding="utf-8")
    monkeypatch.setattr(results, "PAGE", page)
    return page


def opening(size, rows=ROWS):
    return Section.measured("opening", size, rows, peak=113.0, growth=1.0)


def test_what_is_written_is_read_and_written_again_as_it_is(page):
    results.write([opening(2000), opening(200_000)], "A machine.")
    once = page.read_text(encoding="utf-8")

    results.write([])

    assert page.read_text(encoding="utf-8") == once
    assert once.startswith(
        "# Measured\n\nBy hand.\n\n## The tables\n\nA machine.\n\n### opening, 2,000"
    )


def test_a_section_replaces_the_older_one_of_its_subject_and_size_alone(page):
    results.write([opening(2000), opening(200_000)], "A machine.")

    results.write([opening(200_000, [*ROWS[:1], ("open_cycle", 40.0, 6.15, "")])])

    sections = results.read(page.read_text(encoding="utf-8"))
    assert {key: one.figure("open_cycle", 2) for key, one in sections.items()} == {
        ("opening", 2000): 1.79,
        ("opening", 200_000): 6.15,
    }


@pytest.mark.parametrize(("ratio", "said"), [(1.79, "达到"), (5.0, "达到"), (5.01, "未达到")])
def test_a_goal_is_held_against_the_figures_at_the_size_it_is_for(page, ratio, said):
    rows = [*ROWS[:1], ("open_cycle", 11.6, ratio, "")]

    results.write([opening(2000, rows), opening(200_000, rows)])

    goals = [line for line in page.read_text(encoding="utf-8").splitlines() if "≤ 5" in line]
    assert goals == [f"| opening ≤ 5 × the bare INSERT … SELECT | {ratio:.2f} × | {said} |"]
