"""Multiplicity, covariates, Bayesian reading aids, the bootstrap and the bandit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mlprod_nb.abtest import Design, bandit, bayes, covariates, intervals, multiplicity, periods, resample
from mlprod_nb.abtest.bandit import Reward
from mlprod_nb.abtest.covariates import UnitMoments
from mlprod_nb.abtest.estimate import Arm, Difference, Sample, UnitSums
from mlprod_nb.abtest.resample import Resampling
from mlprod_nb.errors import UsageError


@pytest.mark.parametrize("count", [1, 2, 9])
def test_adjusted_p_values_are_those_of_statsmodels(count: int) -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = list(np.random.default_rng(count).random(count) ** 3)
    assert multiplicity.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert multiplicity.benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1])


def test_no_p_value_has_none_adjusted() -> None:
    assert (multiplicity.holm([]), multiplicity.benjamini_hochberg([])) == ([], [])


def unit_data(rng: np.random.Generator, units: int, rho: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a value and two covariates that together explain ``rho`` squared of it."""
    before = rng.normal(0, 1, (units, 2))
    value = 3 + rho * before.sum(axis=1) / math.sqrt(2) + math.sqrt(1 - rho**2) * rng.normal(0, 1, units)
    return value, before


def test_a_covariate_with_correlation_0_7_leaves_half_of_the_variance() -> None:
    rng, ones = np.random.default_rng(1), np.ones(20_000)
    arms = {}
    for name in ("champion", "challenger"):
        value, before = unit_data(rng, 20_000, 0.7)
        arms[name] = UnitMoments.of(ones, value, before, float(value @ value))
    assert covariates.variance_kept(arms, covariates.adjust(arms)) <= 0.52


def test_the_adjusted_difference_is_that_of_a_regression() -> None:
    import statsmodels.api as sm

    rng, ones = np.random.default_rng(2), np.ones(500)
    data = [unit_data(rng, 500, 0.6) for _ in range(2)]
    arms = {n: UnitMoments.of(ones, y, x, float(y @ y)) for n, (y, x) in zip("ab", data, strict=True)}
    found = covariates.adjust(arms)
    difference = Difference(found["a"], found["b"])
    design = np.column_stack([np.ones(1_000), np.repeat([0.0, 1.0], 500), np.vstack([x for _, x in data])])
    theirs = sm.OLS(np.concatenate([y for y, _ in data]), design).fit()
    assert difference.value == pytest.approx(theirs.params[1], rel=1e-6)
    assert difference.standard_error == pytest.approx(theirs.bse[1], rel=0.02)


def test_covariates_that_repeat_each_other_or_never_vary_do_no_harm() -> None:
    rng, ones = np.random.default_rng(3), np.ones(400)
    arms, twice = {}, {}
    for name in "ab":
        value, before = unit_data(rng, 400, 0.7)
        arms[name] = UnitMoments.of(ones, value, before, float(value @ value))
        more = np.column_stack([before, before[:, 0], np.full(400, 7.0)])
        twice[name] = UnitMoments.of(ones, value, more, float(value @ value))
    one, other = covariates.adjust(arms), covariates.adjust(twice)
    for name in "ab":
        assert other[name].mean == pytest.approx(one[name].mean)
        assert other[name].unit_variance == pytest.approx(one[name].unit_variance, rel=1e-6)


def test_units_that_come_back_are_adjusted_as_the_ratio_that_they_are() -> None:
    rng, units = np.random.default_rng(4), 5_000
    arms = {}
    for name in "ab":
        level = rng.normal(0, 1, units)
        rows = 1 + rng.poisson(2, units)
        totals = rows * (5 + level) + rng.normal(0, 1, units) * np.sqrt(rows)
        arms[name] = UnitMoments.of(rows * 1.0, totals, level[:, None], float(totals @ totals / 3))
    assert covariates.variance_kept(arms, covariates.adjust(arms)) < 0.6


def test_the_chance_to_win_is_the_share_of_posterior_draws() -> None:
    rng, runs = np.random.default_rng(5), 200_000
    wins = (rng.beta(121, 881, runs) > rng.beta(101, 901, runs)).mean()
    exact = bayes.chance_to_win_proportion(100, 1_000, 120, 1_000)
    assert exact == pytest.approx(wins, abs=3 * math.sqrt(exact * (1 - exact) / runs))
    assert bayes.chance_to_win_proportion(5, 10, 5, 10) == pytest.approx(0.5, abs=1e-6)


def test_the_chance_to_win_of_a_mean_is_the_normal_one() -> None:
    pair = Difference(Sample(100, 100, 1.0, 1.0, 1.0), Sample(100, 100, 1.1, 1.0, 1.0))
    draws = np.random.default_rng(6).normal(pair.value, pair.standard_error, 400_000)
    assert bayes.chance_to_win(pair) == pytest.approx((draws > 0).mean(), abs=0.003)
    assert bayes.chance_to_win(pair, lower_is_better=True) == pytest.approx((draws < 0).mean(), abs=0.003)


def test_the_bootstrap_of_a_difference_agrees_with_its_standard_error() -> None:
    rng, how = np.random.default_rng(7), Resampling(draws=800, seed=3)
    arms = [(np.ones(400), rng.normal(mean, 1, 400)) for mean in (0.0, 0.3)]
    found = resample.mean_difference(arms[0], arms[1], how)
    error = math.sqrt(sum(values.var() / 400 for _, values in arms))
    assert (found.upper - found.lower) / (2 * 1.96) == pytest.approx(error, rel=0.1)
    assert found == resample.mean_difference(arms[0], arms[1], how)


def test_thompson_sampling_follows_the_better_variant_and_keeps_its_floor() -> None:
    shares = bandit.allocate({"a": Reward(100, 1_000), "b": Reward(160, 1_000)}, floor=0.1, seed=1)
    assert shares == {"a": pytest.approx(0.1, abs=0.01), "b": pytest.approx(0.9, abs=0.01)}
    assert sum(shares.values()) == pytest.approx(1.0)
    even = bandit.allocate({"a": Reward(0, 0), "b": Reward(0, 0)}, floor=0.1, seed=1)
    assert even["a"] == pytest.approx(0.5, abs=0.05)
    with pytest.raises(UsageError, match=r"floor is 0\.6; it is above 0 and at most 0\.5"):
        bandit.allocate({"a": Reward(0, 0), "b": Reward(0, 0)}, floor=0.6, seed=1)


@pytest.mark.parametrize("gain", [0.0, 0.06])
def test_a_test_under_a_bandit_keeps_its_level_where_shares_follow_the_rewards(gain: float) -> None:
    rng, runs, batches, size = np.random.default_rng(9), 100, 12, 400
    design = Design("e", "a", "b", "accuracy", allocation="thompson", floor=0.2)
    wrong = 0
    for run in range(runs):
        parts: list[dict[str, Arm]] = []
        earned = {"a": Reward(0, 0), "b": Reward(0, 0)}
        ever = False
        for batch in range(batches):
            share = bandit.allocate(earned, floor=design.floor, seed=run * 100 + batch)["b"]
            treated = int(rng.binomial(size, share))
            base = 0.2 + 0.02 * batch  # grows while the shares move
            hits = {"a": int(rng.binomial(size - treated, base)), "b": int(rng.binomial(treated, base + gain))}
            units = {"a": size - treated, "b": treated}
            earned = {n: Reward(earned[n].hits + hits[n], earned[n].units + units[n]) for n in "ab"}
            parts.append({n: once(units[n], hits[n]) for n in "ab"})
            read = intervals.always_valid(design, periods.combine(parts, ("a", "b")), alpha=0.05, share=0.5)
            ever |= read is not None and not read.interval.lower <= gain <= read.interval.upper
        wrong += ever
    assert wrong / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def once(units: int, hits: int) -> Arm:
    variance = hits * (units - hits) / units / (units - 1)
    return UnitSums(units, units, hits, hits, variance, 0.0, 0.0).arm()
