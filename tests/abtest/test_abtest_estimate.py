"""Means, variances and the three ways to an interval, against exact values and other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mlprod_nb.abtest import fixed, mixture, sequential
from mlprod_nb.abtest.estimate import Difference, Sample
from mlprod_nb.abtest.metrics import Outcome, find
from mlprod_nb.abtest.scan import open_scan
from tests.abtest.tables import START, labelled

REGRESSION = Outcome("regression")


def flights(seed: int = 0) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Return variant, unit and value of predictions whose units differ in level and in number of rows."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, 200, 3_000) ** 2 % 211
    level = rng.normal(0, 1, 211)
    value = np.abs(3 + level[unit] + rng.normal(0, 1, 3_000) + 0.4 * (unit % 2))
    return [("champion", "challenger")[u % 2] for u in unit], [f"N{u}" for u in unit], value


def difference(variant: list[str], unit: list[str] | None, value: NDArray[np.float64]) -> Difference:
    table = labelled(
        variant, unit=unit, score=list(value), label=["0"] * len(variant), label_number=[0.0] * len(variant)
    )
    with open_scan(table, REGRESSION) as scan:
        sums = scan.sums({"absolute_error": find("absolute_error")})["absolute_error"]
    return Difference(sums["champion"].sample(), sums["challenger"].sample())


def test_one_row_a_unit_is_welchs_test_exactly() -> None:
    from scipy import stats

    variant, _, value = flights()
    arm = np.asarray(variant)
    found = difference(variant, None, value)
    test = fixed.welch(found, alpha=0.05)
    theirs = stats.ttest_ind(value[arm == "challenger"], value[arm == "champion"], equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert test.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert test.degrees_of_freedom == pytest.approx(theirs.df, rel=1e-9)
    assert (test.interval.lower, test.interval.upper) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_units_that_come_back_agree_with_cluster_robust_regression() -> None:
    import statsmodels.api as sm

    variant, unit, value = flights()
    treated = (np.asarray(variant) == "challenger").astype(float)
    codes = np.unique(unit, return_inverse=True)[1]
    model = sm.OLS(value, sm.add_constant(treated)).fit(
        cov_type="cluster", cov_kwds={"groups": codes, "use_correction": False}
    )
    found = difference(variant, unit, value)
    assert found.value == pytest.approx(model.params[1], rel=1e-9)
    # The sandwich divides by n where a sample variance divides by n - 1.
    parts = [s.unit_variance / s.units * (s.units - 1) / s.units for s in (found.control, found.treatment)]
    assert math.sqrt(sum(parts)) == pytest.approx(model.bse[1], rel=1e-9)


def test_units_make_the_interval_wider_than_rows_would() -> None:
    variant, unit, value = flights()
    assert difference(variant, unit, value).standard_error > 2 * difference(variant, None, value).standard_error


def test_rows_of_their_own_count_as_effective_rows() -> None:
    sample = Sample(units=500, rows=500, mean=0.1, row_variance=0.09, unit_variance=0.09)
    assert Difference(sample, sample).effective_rows == pytest.approx(1_000)
    twins = Sample(units=250, rows=500, mean=0.1, row_variance=0.09, unit_variance=0.09)
    assert Difference(twins, twins).effective_rows == pytest.approx(500)


def test_a_variant_without_variance_borrows_the_pooled_one() -> None:
    many = Sample(units=900, rows=900, mean=0.01, row_variance=0.0099, unit_variance=0.0099)
    none = Sample(units=100, rows=100, mean=0.0, row_variance=0.0, unit_variance=0.0)
    found = Difference(many, none)
    assert found.standard_error == pytest.approx(math.sqrt(0.0099 / 900))
    assert found.guarded_error == pytest.approx(math.sqrt(0.0099 / 900 + 0.9 * 0.0099 / 100))


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.001])
@pytest.mark.parametrize("time", [0.01, 1.0, 300.0])
def test_the_boundary_is_where_the_mixture_reaches_one_over_alpha(alpha: float, time: float) -> None:
    limit = mixture.factor(time, alpha)
    sizes, weights = mixture.effects()
    scaled = sizes * math.sqrt(time)
    by_hand = (weights * (np.exp(scaled * limit - scaled**2 / 2) + np.exp(-scaled * limit - scaled**2 / 2)) / 2).sum()
    assert by_hand == pytest.approx(1 / alpha, rel=1e-9)
    # A likelihood ratio has expectation 1 where there is no effect.
    grid = np.linspace(-80, 80, 40_001)
    density = np.exp(mixture.log_evidence(grid, np.ones_like(grid)) - grid**2 / 2) / math.sqrt(2 * math.pi)
    assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-6)


def test_the_sequence_is_narrower_than_the_normal_mixture_and_within_reach_of_a_fixed_test() -> None:
    alpha, x = 0.05, 8.117  # x - log(1 + x) = -2 log(alpha): the normal mixture's best
    normal = math.sqrt((x + 1) / x * math.log((x + 1) / alpha**2))
    assert mixture.factor(1.0, alpha) < 0.97 * normal
    assert all(mixture.factor(time, alpha) < 1.6 * 1.96 for time in (0.4, 1.0, 2.0, 4.0))


def test_the_sequences_half_width_is_the_boundary_in_guarded_errors() -> None:
    sample = Sample(units=500, rows=500, mean=0.3, row_variance=0.21, unit_variance=0.21)
    pair = Difference(sample, sample)
    found = sequential.sequence(pair, alpha=0.05, tightest_at=5_000)
    assert found.upper == pytest.approx(pair.guarded_error * mixture.factor(pair.effective_rows / 5_000, 0.05))
    assert found.lower == -found.upper


def test_results_do_not_depend_on_row_order_or_chunks() -> None:
    import pyarrow as pa

    variant, unit, value = flights()
    table = labelled(variant, unit=unit, score=list(value), label=["0"] * 3_000, label_number=[0.0] * 3_000)
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(3_000)))
    chunked = pa.concat_tables([table.slice(2_500), table.slice(0, 7), table.slice(7, 2_493)])
    metric = find("absolute_error")
    moments = [START.replace(day=1, hour=20), START.replace(day=2)]
    seen = []
    for part in (table, shuffled, chunked):
        with open_scan(part, REGRESSION) as scan:
            whole = scan.sums({"absolute_error": metric})["absolute_error"]
            path = scan.path(metric, ["champion", "challenger"], moments)
        samples = [sums[name].sample() for sums in (whole, *path) for name in ("champion", "challenger")]
        seen.append([number for s in samples for number in (s.units, s.rows, s.mean, s.row_variance, s.unit_variance)])
    assert seen[1] == pytest.approx(seen[0], rel=1e-9)
    assert seen[2] == pytest.approx(seen[0], rel=1e-9)


def test_the_path_ends_where_the_whole_scan_is() -> None:
    variant, unit, value = flights()
    table = labelled(variant, unit=unit, score=list(value), label=["0"] * 3_000, label_number=[0.0] * 3_000)
    metric = find("absolute_error")
    with open_scan(table, REGRESSION) as scan:
        whole = scan.sums({"absolute_error": metric})["absolute_error"]
        moments = scan.moments(metric, ["champion", "challenger"], [0.25, 0.5, 1.0])
        path = scan.path(metric, ["champion", "challenger"], moments)
    rows = [sum(sums.rows for sums in part.values()) for part in path]
    assert rows == [750, 1_500, 3_000]
    for name, sums in path[-1].items():
        assert sums.sample().unit_variance == pytest.approx(whole[name].sample().unit_variance, rel=1e-9)
