"""A sample is drawn again by anybody from frame and seed, and prefers nobody."""

import hashlib
import subprocess
import sys
from collections import Counter

import pytest

from audits import drawing
from audits.choices import Amount

CODES = [f"4311271{n:05}" for n in range(200)]
PLAIN = drawing.frame_of(dict.fromkeys(CODES, ""))
SEED = "0123456789abcdef" * 4


def drawn(frame, seed=SEED, amount=Amount.COUNT, size=10):
    return [code for code, _ in drawing.draw(frame, seed, amount, size)]


def test_the_same_seed_and_frame_give_the_same_sample_everywhere():
    assert drawing.digest_of(PLAIN)[:16] == "3b3deaf7e7dc59d6"
    assert drawn(PLAIN, size=3) == ["431127100069", "431127100141", "431127100122"]


def test_the_order_of_reading_does_not_matter():
    assert drawing.frame_of(dict.fromkeys(reversed(CODES), "")) == PLAIN


def test_another_machine_draws_with_the_tools_of_a_shell(tmp_path):
    """As the page says: sha256sum of seed|code, sorted, from the top."""
    (tmp_path / "frame").write_text(PLAIN, encoding="utf-8")
    script = (
        "while IFS=$'\\t' read -r code rest || [ -n \"$code\" ]; do "
        f'echo "$(printf \'%s|%s\' {SEED} "$code" | sha256sum | cut -c1-64) $code"; '
        "done < frame | LC_ALL=C sort | head -5 | cut -d' ' -f2"
    )
    answer = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == drawn(PLAIN, size=5)
    assert hashlib.sha256((tmp_path / "frame").read_bytes()).hexdigest() == drawing.digest_of(PLAIN)


def test_no_place_in_the_frame_is_preferred():
    """Chi-square over 4,000 draws of 10 from 200, fixed seeds: each row is expected 200 times.

    Drawing without replacement shrinks the variance by (N − n) / (N − 1); 99.9 % of 199 degrees
    of freedom lies below 269, 0.1 % below 141.
    """
    times, size, counts = 4000, 10, Counter()
    for number in range(times):
        counts.update(drawn(PLAIN, f"{number:064x}", size=size))
    expected = times * size / len(CODES)
    chi_square = sum((counts[code] - expected) ** 2 / expected for code in CODES)
    chi_square *= (len(CODES) - 1) / (len(CODES) - size)
    assert 141 < chi_square < 269


def test_no_pair_is_preferred():
    """Neighbours in the frame come together as often as any two."""
    few, times = PLAIN.splitlines()[:8], 5600
    counts = Counter(
        tuple(sorted(drawn("\n".join(few), f"{number:064x}", size=2))) for number in range(times)
    )
    expected = times / 28
    assert len(counts) == 28
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 55.5  # 99.9 % of 27 degrees of freedom


def test_new_seeds_differ():
    assert len({drawing.new_seed() for _ in range(100)}) == 100
    assert len(drawing.new_seed()) == 64


@pytest.mark.parametrize(
    ("counts", "amount", "size", "numbers"),
    [
        ({"好": 60, "较好": 30, "一般": 10}, Amount.COUNT, 10, {"好": 6, "较好": 3, "一般": 1}),
        ({"好": 98, "较差": 2}, Amount.COUNT, 10, {"好": 9, "较差": 1}),
        ({"好": 98, "较差": 2}, Amount.PERCENT, 3, {"好": 2, "较差": 1}),
        ({"好": 33, "较差": 1}, Amount.PERCENT, 10, {"好": 3, "较差": 1}),  # 3.4 is 4
        ({"好": 5, "较差": 2}, Amount.EACH, 3, {"好": 3, "较差": 2}),
        ({"好": 5, "较差": 2}, Amount.COUNT, 100, {"好": 5, "较差": 2}),
        ({"好": 5, "较好": 5, "一般": 5}, Amount.COUNT, 2, {"一般": 1, "好": 1, "较好": 0}),
        ({"好": 1, "较好": 1}, Amount.COUNT, 2, {"好": 1, "较好": 1}),
        ({}, Amount.COUNT, 5, {}),
    ],
)
def test_strata_give_in_proportion_and_each_at_least_one(counts, amount, size, numbers):
    assert drawing.allotted(counts, amount, size) == numbers


def test_numbers_of_strata_always_add_up():
    for seed in range(300):
        counts = {str(n): 1 + (seed * 7919 + n * 104729) % 97 for n in range(1 + seed % 9)}
        size = 1 + seed * 31 % 120
        numbers = drawing.allotted(counts, Amount.COUNT, size)
        assert sum(numbers.values()) == min(size, sum(counts.values()))
        assert all(0 <= numbers[s] <= counts[s] for s in counts)


def test_a_stratum_gives_only_its_own():
    frame = drawing.frame_of({code: "甲" if n < 50 else "乙" for n, code in enumerate(CODES)})
    by_stratum = Counter(
        (stratum, code < CODES[50]) for code, stratum in drawing.draw(frame, SEED, Amount.EACH, 7)
    )
    assert by_stratum == {("甲", True): 7, ("乙", False): 7}


def test_an_empty_frame_gives_nothing():
    assert drawing.draw("", SEED, Amount.COUNT, 5) == []


SCRIPT = """
import hashlib, sys
seed, size = sys.argv[1], int(sys.argv[2])
strata = {}
for line in open("frame", encoding="utf-8").read().split("\\n"):
    code, stratum = line.split("\\t")
    strata.setdefault(stratum, []).append(code)
counts = {name: len(codes) for name, codes in strata.items()}
total = sum(counts.values())
numbers = {name: size * count // total for name, count in counts.items()}
left = sorted(counts, key=lambda name: (-(size * counts[name] % total), name))
for name in left[: size - sum(numbers.values())]:
    numbers[name] += 1
for name in sorted(name for name in numbers if not numbers[name]):
    numbers[min(numbers, key=lambda other: (-numbers[other], other))] -= 1
    numbers[name] = 1
for name in sorted(strata):
    ranked = sorted(strata[name], key=lambda c: hashlib.sha256(f"{seed}|{c}".encode()).hexdigest())
    for code in ranked[: numbers[name]]:
        print(code, name)
"""


def test_a_plain_program_elsewhere_draws_a_stratified_sample_again(tmp_path):
    """Written from the three sentences of the page, with nothing of ours."""
    grades = ("好", "较好", "较好", "较好", "一般", "一般", "较差")
    frame = drawing.frame_of({code: grades[n % 7] for n, code in enumerate(CODES[:190])})
    frame += f"\n{CODES[195]}\t未审核"
    (tmp_path / "frame").write_text(frame, encoding="utf-8")

    answer = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, SEED, "17"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONUTF8": "1"},
    )

    drawn_there = [tuple(line.split()) for line in answer.stdout.splitlines()]
    assert drawn_there == drawing.draw(frame, SEED, Amount.COUNT, 17)
    assert len(drawn_there) == 17
    assert (CODES[195], "未审核") in drawn_there
