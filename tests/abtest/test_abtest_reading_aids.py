"""Multiplicity, covariates, Bayesian reading aids, the bootstrap and the bandit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mlprod_nb.abtest import bandit, bayes, covariates, multiplicity, resample
from mlprod_nb.abtest.bandit import Reward, WeightedSums
from mlprod_nb.abtest.covariates import UnitMoments
from mlprod_nb.abtest.estimate import Difference, Sample
from mlprod_nb.abtest.resample import Resampling, ScoredPairs
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


def test_chance_and_loss_of_a_mean_are_the_normal_ones() -> None:
    pair = Difference(Sample(100, 100, 1.0, 1.0, 1.0), Sample(100, 100, 1.1, 1.0, 1.0))
    draws = np.random.default_rng(6).normal(pair.value, pair.standard_error, 400_000)
    assert bayes.chance_to_win(pair) == pytest.approx((draws > 0).mean(), abs=0.003)
    assert bayes.chance_to_win(pair, lower_is_better=True) == pytest.approx((draws < 0).mean(), abs=0.003)
    assert bayes.expected_loss(pair) == pytest.approx(np.maximum(0, -draws).mean(), rel=0.02)


def test_the_bootstrap_of_a_difference_agrees_with_its_standard_error() -> None:
    rng, how = np.random.default_rng(7), Resampling(draws=800, seed=3)
    arms = [(np.ones(400), rng.normal(mean, 1, 400)) for mean in (0.0, 0.3)]
    found = resample.mean_difference(arms[0], arms[1], how)
    error = math.sqrt(sum(values.var() / 400 for _, values in arms))
    assert (found.upper - found.lower) / (2 * 1.96) == pytest.approx(error, rel=0.1)
    assert found == resample.mean_difference(arms[0], arms[1], how)


def test_the_paired_bootstrap_of_areas_is_narrower_than_two_samples_and_holds_the_truth() -> None:
    rng, count = np.random.default_rng(8), 3_000
    positive = rng.random(count) < 0.3
    common = positive + rng.normal(0, 1, count)
    scores = [common + rng.normal(0, spread, count) for spread in (0.4, 0.2)]
    pairs = ScoredPairs(scores[0], scores[1], positive, np.arange(count))
    found = resample.paired_auc(pairs, Resampling(draws=200))
    from sklearn.metrics import roc_auc_score

    areas = [roc_auc_score(positive, score) for score in scores]
    assert found.lower < areas[1] - areas[0] < found.upper
    assert found.excludes_zero
    alone = 0.5 / math.sqrt(count * 0.3)
    assert found.upper - found.lower < 2 * 1.96 * alone
    nobody = ScoredPairs(scores[0], scores[1], np.zeros(count, bool), np.arange(count))
    assert resample.paired_auc(nobody, Resampling(draws=5)).lower == -1.0


def test_thompson_sampling_follows_the_better_variant_and_keeps_its_floor() -> None:
    shares = bandit.allocate({"a": Reward(100, 1_000), "b": Reward(160, 1_000)}, floor=0.1, seed=1)
    assert shares == {"a": pytest.approx(0.1, abs=0.01), "b": pytest.approx(0.9, abs=0.01)}
    assert sum(shares.values()) == pytest.approx(1.0)
    even = bandit.allocate({"a": Reward(0, 0), "b": Reward(0, 0)}, floor=0.1, seed=1)
    assert even["a"] == pytest.approx(0.5, abs=0.05)
    with pytest.raises(UsageError, match=r"floor is 0\.6; it is above 0 and at most 0\.5"):
        bandit.allocate({"a": Reward(0, 0), "b": Reward(0, 0)}, floor=0.6, seed=1)


@pytest.mark.parametrize("chances", [(0.2, 0.2), (0.2, 0.26)])
def test_inference_under_a_bandit_keeps_its_level_where_shares_follow_the_rewards(
    chances: tuple[float, float],
) -> None:
    rng, runs, batches, size = np.random.default_rng(9), 100, 16, 250
    wrong = 0
    for run in range(runs):
        sums, earned = WeightedSums(0, 0.0, 0.0), {"a": Reward(0, 0), "b": Reward(0, 0)}
        ever = False
        for batch in range(batches):
            share = bandit.allocate(earned, floor=0.2, seed=run * 100 + batch)["b"]
            treated = rng.random(size) < share
            reward = (rng.random(size) < np.where(treated, chances[1], chances[0])).astype(float)
            sums = sums.add(WeightedSums.of(reward, treated, np.full(size, share)))
            for name, mine in (("a", ~treated), ("b", treated)):
                earned[name] = Reward(earned[name].hits + int(reward[mine].sum()), earned[name].units + int(mine.sum()))
            found = bandit.sequence(sums, alpha=0.05, tightest_at=5_000)
            ever |= not found.lower <= chances[1] - chances[0] <= found.upper
        wrong += ever
    assert wrong / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
