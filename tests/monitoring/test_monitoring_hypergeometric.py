from __future__ import annotations

import subprocess
import sys
from math import comb

import numpy as np
import pytest
from scipy import stats

from mlprod_nb.monitoring.detectors.hypergeometric import doubled, tails


def exact(total: int, marked: int, drawn: int, found: int) -> tuple[float, float]:
    """Both tails in whole numbers, the ways of each count from those of the one before: large binomials take long."""
    low, high = max(0, drawn + marked - total), min(marked, drawn)
    ways = [comb(marked, low) * comb(total - marked, drawn - low)]
    for k in range(low, high):
        ways.append(ways[-1] * ((marked - k) * (drawn - k)) // ((k + 1) * (total - marked - drawn + k + 1)))
    whole = sum(ways)
    # Python divides whole numbers of any size to the nearest float.
    return sum(ways[: found - low + 1]) / whole, sum(ways[found - low :]) / whole


def test_whole_numbers_are_counted_as_binomials_count_them() -> None:
    law = [comb(7, k) * comb(13, 9 - k) for k in range(8)]
    assert exact(20, 7, 9, 3) == (sum(law[:4]) / comb(20, 9), sum(law[3:]) / comb(20, 9))


@pytest.mark.parametrize("seed", range(40))
def test_both_tails_are_those_of_whole_numbers(seed: int) -> None:
    random = np.random.default_rng(seed)
    total = int(random.choice([2, 25, 300, 2000]))
    marked, drawn = (int(n) for n in random.integers(1, total + 1, 2))
    low, high = max(0, drawn + marked - total), min(marked, drawn)
    for found in {low, high, *random.integers(low, high + 1, 5).tolist()}:
        assert tails(total, marked, drawn, found) == pytest.approx(exact(total, marked, drawn, found), rel=1e-12)


@pytest.mark.parametrize(
    ("total", "marked", "drawn", "found"),
    [(1_100_000, 1_200, 100_000, 160), (1_100_000, 1_099_000, 1_000_000, 999_000), (400_000, 200_000, 1000, 650)],
)
def test_large_samples_agree_with_scipy_as_far_as_its_logarithms_go(
    total: int, marked: int, drawn: int, found: int
) -> None:
    law = stats.hypergeom(total, marked, drawn)
    lower, upper = tails(total, marked, drawn, found)
    assert lower == pytest.approx(law.cdf(found), rel=1e-7)
    assert upper == pytest.approx(law.sf(found - 1), rel=1e-7)


def test_a_tail_of_a_large_sample_is_exact() -> None:
    marked, drawn, total, found = 400, 20_000, 220_000, 75
    assert tails(total, marked, drawn, found) == pytest.approx(exact(total, marked, drawn, found), rel=1e-12)


def test_what_is_below_the_smallest_number_is_no_chance() -> None:
    assert tails(2_000_000, 1_000_000, 1_000_000, 0)[0] == 0.0
    assert tails(2_000_000, 1_000_000, 1_000_000, 1_000_000) == (1.0, 0.0)
    assert doubled(1_000, 500, 500, 250) == 1.0


def test_a_missing_rate_is_tested_without_scipy_stats() -> None:
    program = (
        "import sys, numpy as np\n"
        "from mlprod_nb.monitoring.bins import ColumnCounts\n"
        "from mlprod_nb.monitoring.detectors.missing import MissingRate\n"
        "none = np.zeros(1, dtype=np.int64)\n"
        "print(MissingRate().compare(ColumnCounts(none, 100, 10_000), ColumnCounts(none, 50, 1_000)).p_value)\n"
        "print('scipy.stats' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    p_value, imported = done.stdout.split()
    assert float(p_value) == pytest.approx(2 * stats.hypergeom.sf(49, 11_000, 150, 1_000), rel=1e-9)
    assert imported == "False"
