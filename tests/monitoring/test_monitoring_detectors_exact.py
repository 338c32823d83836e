"""Detectors against scipy and known laws: to 1e-9 where both compute the same."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.detectors import BUILT_IN, Comparison, bridge, permutation
from mlprod_nb.monitoring.profile import build
from tests.monitoring import samples

Numbers = np.ndarray[Any, Any]
TABLE = np.array([[500, 300, 200], [260, 120, 130]])


def counts(*cells: int) -> ColumnCounts:
    return ColumnCounts(np.array(cells, dtype=np.int64), 0, sum(cells))


def of_table(name: str, table: Numbers = TABLE) -> Comparison:
    return BUILT_IN[name].compare(counts(*table[0], 0), counts(*table[1], 0))


def of_values(name: str, before: Numbers, after: Numbers) -> Comparison:
    schema = samples.signature(x="double")
    profile = build({"x": before}, schema, scores=np.zeros(len(before)), labels=None, task="regression")
    return BUILT_IN[name].compare(profile.columns[0].as_counts(), count(profile, {"x": after}).columns["x"])


def ranked(before: Numbers, after: Numbers) -> tuple[ColumnCounts, ColumnCounts]:
    """Each value in a bin of its own."""
    every = np.sort(np.concatenate([before, after]))
    return counts(*np.isin(every, before)), counts(*np.isin(every, after))


def test_cramer_von_mises_agrees_with_scipy_where_there_are_no_ties() -> None:
    random = np.random.default_rng(21)
    before, after = random.normal(size=300), random.normal(0.15, size=200)
    found = BUILT_IN["cramer_von_mises"].compare(*ranked(before, after))
    expected = stats.cramervonmises_2samp(before, after, method="asymptotic")
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-9)
    # Another law: ours is the saddlepoint of these very bins, scipy's the limit with the moments of finite samples.
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.14)


def standard_deviation(n: int, m: int) -> float:
    """Scholz and Stephens (1987), equation 4, for two samples."""
    total, inverse = n + m, 1 / n + 1 / m
    h = float((1 / np.arange(1, total)).sum())
    g = sum(float((1 / ((total - i) * np.arange(i + 1, total))).sum()) for i in range(1, total - 1))
    a = (4 * g - 6) + (10 - 6 * g) * inverse
    b = (2 * g - 4) * 4 + 16 * h + (2 * g - 14 * h - 4) * inverse - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * 4 + (4 * h - 4 * g + 6) * 2 + (2 * h - 6) * inverse + 4 * h
    d = (2 * h + 6) * 4 - 8 * h
    variance = (a * total**3 + b * total**2 + c * total + d) / ((total - 1) * (total - 2) * (total - 3))
    return float(np.sqrt(variance))


@pytest.mark.parametrize("ties", [False, True])
def test_anderson_darling_agrees_with_scipy_ties_or_not(ties: bool) -> None:
    random = np.random.default_rng(22)
    before, after = random.normal(size=90), random.normal(0.3, size=60)
    if ties:
        before, after = np.round(before, 1), np.round(after, 1)
    every = np.unique(np.concatenate([before, after]))
    places = [np.bincount(np.searchsorted(every, side), minlength=len(every)) for side in (before, after)]
    found = BUILT_IN["anderson_darling"].compare(counts(*places[0]), counts(*places[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's table of p-values ends at 0.25
        expected = stats.anderson_ksamp([before, after], midrank=False)
    assert found.statistic is not None
    assert (found.statistic - 1) / standard_deviation(90, 60) == pytest.approx(expected.statistic, abs=1e-9)
    if not ties:  # scipy's p-value is read off a table of five levels, so no two agree to more digits
        assert found.p_value == pytest.approx(expected.pvalue, rel=0.15)


def test_wasserstein_agrees_with_scipy_where_nothing_is_lost_in_bins() -> None:
    random = np.random.default_rng(23)
    before, after = random.integers(0, 40, 900) / 8, random.integers(5, 40, 300) / 8
    found = of_values("wasserstein", before, after)
    assert found.statistic == pytest.approx(stats.wasserstein_distance(before, after), abs=1e-9)


def test_wasserstein_of_many_values_is_near_and_counts_what_is_beyond_the_range() -> None:
    random = np.random.default_rng(24)
    before, after = random.normal(size=50_000), random.normal(0.3, 1.2, size=10_000)
    expected = stats.wasserstein_distance(before, after)
    assert of_values("wasserstein", before, after).statistic == pytest.approx(expected, rel=0.01)
    assert of_values("wasserstein", before, after + 1e6).statistic == pytest.approx(1e6, rel=1e-5)


def williams_factor(table: Numbers) -> float:
    """Sokal and Rohlf (1981), box 17.6, for a table of rows and columns."""
    total = float(table.sum())
    rows, cells = (float((total / table.sum(axis=axis)).sum()) - 1 for axis in (1, 0))
    return 1 + rows * cells / (6 * total * int((table.shape[0] - 1) * (table.shape[1] - 1)))


def test_the_g_test_agrees_with_scipy_and_its_p_value_has_williams_factor() -> None:
    found = of_table("g_test")
    expected = stats.chi2_contingency(TABLE, correction=False, lambda_="log-likelihood")
    by_power = stats.power_divergence(TABLE.ravel(), expected.expected_freq.ravel(), lambda_="log-likelihood")
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert found.statistic == pytest.approx(by_power.statistic, abs=1e-9)
    corrected = stats.chi2(expected.dof).sf(expected.statistic / williams_factor(TABLE))
    assert found.p_value == pytest.approx(corrected, rel=1e-9)
    assert found.p_value is not None
    assert found.p_value > expected.pvalue


def test_jensen_shannon_and_hellinger_agree_with_scipy_and_their_definitions() -> None:
    p, q = TABLE / TABLE.sum(axis=1, keepdims=True)
    assert of_table("jensen_shannon").statistic == pytest.approx(jensenshannon(p, q), abs=1e-9)
    assert of_table("hellinger").statistic == pytest.approx(float(np.sqrt(1 - np.sqrt(p * q).sum())), abs=1e-9)
    assert of_table("total_variation").statistic == pytest.approx(float(np.abs(p - q).sum()) / 2, abs=1e-9)


def test_fisher_of_two_categories_sums_the_tables_that_are_no_likelier() -> None:
    table = np.array([[990, 10], [92, 8]])
    chances = stats.hypergeom(1100, 18, 100).pmf(np.arange(19))
    found = of_table("fisher", table)
    assert found.p_value == pytest.approx(float(chances[chances <= chances[8] * (1 + 1e-7)].sum()), rel=1e-9)
    assert found.p_value == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-9)
    assert found.statistic == pytest.approx(92 * 10 / (8 * 990), abs=1e-9)


def test_fisher_of_three_categories_agrees_with_every_table_counted() -> None:
    before, after = np.array([20, 12, 3]), np.array([8, 9, 5])
    law = stats.multivariate_hypergeom(before + after, int(after.sum()))
    cells = [(a, b, 22 - a - b) for a in range(23) for b in range(23 - a)]
    chances = np.array([law.pmf(cell) for cell in cells if np.all(np.array(cell) <= before + after)])
    exact = float(chances[chances <= law.pmf(after) * (1 + 1e-9)].sum())
    found = of_table("fisher", np.array([before, after]))
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / permutation.FEW))


def test_too_many_categories_for_fisher_are_told() -> None:
    many = counts(*[30] * 200, 0)
    assert "200 categories are too many" in BUILT_IN["fisher"].compare(many, many).reason


@pytest.mark.parametrize("level", [0.5, 0.1, 1e-3, 1e-6])
def test_the_chance_of_a_weighted_sum_of_chi_squares(level: float) -> None:
    equal = np.full(7, 0.3)
    assert bridge.exceeds(float(stats.chi2(7).isf(level)) * 0.3, equal) == pytest.approx(level, rel=0.03)
    one = np.array([2.0])
    assert bridge.exceeds(float(stats.chi2(1).isf(level)) * 2, one) == pytest.approx(level, rel=0.15)


def test_the_spectrum_of_many_even_bins_is_that_of_the_limit() -> None:
    pooled = np.full(1000, 50)
    weights = np.full(999, 0.001)
    found = np.sort(bridge.spectrum(pooled, weights))[::-1][:5]
    assert found == pytest.approx(1 / (np.pi * np.arange(1, 6)) ** 2, rel=1e-3)


def test_the_spectrum_is_that_of_the_covariance() -> None:
    pooled, weights = np.array([3, 40, 7, 25, 25]), np.array([0.2, 0.1, 0.5, 0.2])
    u = np.cumsum(pooled)[:-1] / 100
    root = np.sqrt(weights)
    covariance = (np.minimum.outer(u, u) - np.outer(u, u)) * np.outer(root, root) * 100 / 99
    assert np.sort(bridge.spectrum(pooled, weights)) == pytest.approx(np.linalg.eigvalsh(covariance), abs=1e-12)


def test_permutations_below_their_own_number_stay_careful_on_a_skewed_law() -> None:
    """One cell of which about five rows are expected: Poisson, so more skewed than any law at hand."""
    before, pooled, size = np.array([9500, 500]), 10_000, 100
    law = stats.hypergeom(pooled, 500, size)
    for seen in (5, 10, 14, 18):
        after = np.array([size - seen, seen])
        stated = permutation.p_value(lambda drawn: drawn[:, 1].astype(float), before - after, after)
        assert stated >= 0.6 * law.sf(seen - 1)
        assert stated <= 150 * law.sf(seen - 1)


def test_a_column_in_two_bins_has_the_law_of_one_chi_square() -> None:
    before, after = counts(500, 500), counts(120, 80)
    found = BUILT_IN["anderson_darling"].compare(before, after)
    share = 620 / 1200
    assert found.statistic == pytest.approx(
        share * (120 / 200 - 500 / 1000) ** 2 * 200 * 1000 / 1200 / (share * (1 - share)), abs=1e-9
    )
