"""The score interval of two proportions, against statsmodels and by exact coverage."""

from __future__ import annotations

import numpy as np
import pytest

from mlprod_nb.abtest import proportions
from mlprod_nb.abtest.eprocess import Array, Counts


@pytest.mark.parametrize("table", [(3, 1_000, 9, 1_100), (100, 1_000, 120, 1_000), (50, 80, 10, 40), (1, 50, 0, 60)])
@pytest.mark.parametrize("difference", [0.01, -0.02, -0.3])
def test_the_pair_of_chances_is_the_likeliest_with_this_difference(
    table: tuple[int, int, int, int], difference: float
) -> None:
    from scipy.optimize import minimize_scalar
    from scipy.special import xlog1py, xlogy

    hits_c, n_c, hits_t, n_t = table

    def unlikely(p: float) -> float:
        q = p + difference
        return -float(xlogy(hits_c, p) + xlog1py(n_c - hits_c, -p) + xlogy(hits_t, q) + xlog1py(n_t - hits_t, -q))

    bounds = (max(0.0, -difference) + 1e-9, min(1.0, 1 - difference) - 1e-9)
    best = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-11})
    found = proportions._likeliest_control(Counts.of(*table), np.array([difference]))
    assert found[0] == pytest.approx(best.x, abs=2e-6)


@pytest.mark.parametrize("table", [(3, 1_000, 9, 1_100), (100, 1_000, 120, 1_000)])
def test_the_statistic_is_that_of_statsmodels(table: tuple[int, int, int, int]) -> None:
    from statsmodels.stats.proportion import score_test_proportions_2indep

    hits_c, n_c, hits_t, n_t = table
    theirs = score_test_proportions_2indep(hits_t, n_t, hits_c, n_c, value=0.01, compare="diff")
    found = proportions.score_statistic(Counts.of(*table), np.array([0.01]))
    # statsmodels rounds on the way to the root: good to three digits.
    assert found[0] == pytest.approx(float(theirs.statistic), rel=2e-3)


def test_a_planned_look_leaves_out_zero_only_where_score_and_deviance_do() -> None:
    for hits in range(40):
        counts = Counts.of(90, 9_000, hits, 1_000)
        weaker = min(abs(proportions.score_statistic(counts, np.zeros(1))[0]), proportions.deviance_root(counts)[0])
        assert proportions.at_limit(counts, 2.5).excludes_zero == (weaker > 2.5)


def test_at_no_difference_it_is_the_pooled_z_test() -> None:
    from statsmodels.stats.proportion import proportions_ztest

    _, theirs = proportions_ztest([120, 100], [1_000, 1_000])
    assert proportions.p_value(Counts.of(100, 1_000, 120, 1_000))[0] == pytest.approx(theirs, rel=2e-3)


def test_the_interval_is_the_published_one() -> None:
    # Newcombe (1998, Statistics in Medicine 17), table II: 56/70 against 48/80, Miettinen and Nurminen's method (a).
    found = proportions.interval(Counts.of(48, 80, 56, 70), alpha=0.05)
    assert (found.lower, found.upper) == pytest.approx((0.0528, 0.3382), abs=5e-4)


def coverage(chances: tuple[float, float], units: tuple[int, int]) -> float:
    """Return the exact chance that the interval holds the true difference."""
    from scipy.stats import binom

    spans = [
        np.arange(binom.ppf(1e-6, n, p), binom.ppf(1 - 1e-6, n, p) + 1) for p, n in zip(chances, units, strict=True)
    ]
    control, treatment = (grid.ravel() for grid in np.meshgrid(*spans, indexing="ij"))
    weight: Array = binom.pmf(control, units[0], chances[0]) * binom.pmf(treatment, units[1], chances[1])
    counts = Counts(control, np.full(len(control), units[0] * 1.0), treatment, np.full(len(control), units[1] * 1.0))
    lower, upper = proportions.bounds(counts, 0.05)
    true = chances[1] - chances[0]
    return float(weight[(lower <= true) & (true <= upper)].sum())


@pytest.mark.parametrize("chances", [(0.1, 0.11), (0.01, 0.01), (0.01, 0.013), (0.002, 0.002), (0.002, 0.004)])
@pytest.mark.parametrize("units", [(5_000, 5_000), (9_000, 1_000)])
def test_the_interval_holds_its_level_at_low_base_rates(chances: tuple[float, float], units: tuple[int, int]) -> None:
    assert 0.945 <= coverage(chances, units) <= 0.97


@pytest.mark.parametrize("table", [(0, 50, 0, 60), (50, 50, 0, 60), (0, 1, 1, 1), (50, 50, 60, 60)])
def test_tables_at_the_edge_have_an_interval(table: tuple[int, int, int, int]) -> None:
    found = proportions.interval(Counts.of(*table), alpha=0.05)
    observed = table[2] / table[3] - table[0] / table[1]
    assert -1 <= found.lower <= observed <= found.upper <= 1
