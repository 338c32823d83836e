"""Error rates by seeded simulation; the bounds come from the binomial."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mlprod_nb.abtest import eprocess, mixture, paired, planned, proportions, sequential, srm
from mlprod_nb.abtest.estimate import Difference, Interval, Sample, UnitSums
from tests.abtest.readings import bound

ALPHA, LOOKS = 0.05, 30
Array = NDArray[np.float64]


def tables(rng: np.random.Generator, runs: int, chances: tuple[float, float], share: float, rows: int) -> Array:
    """Return hits and units of control and treatment, by run and look; each row is its own unit."""
    per = rows // LOOKS
    treated = rng.binomial(per, share, (runs, LOOKS))
    hits = rng.binomial(per - treated, chances[0]), rng.binomial(treated, chances[1])
    parts = [hits[0], per - treated, hits[1], treated]
    found: Array = np.cumsum(np.stack(parts), axis=2).astype(float)
    return found


def exact(found: Array, share: float, difference: float = 0.0) -> NDArray[np.bool_]:
    """Return whether each run's e-process ever rejects the difference."""
    tuning = eprocess.Tuning(ALPHA, share, sequential.TIGHTEST_AT)
    counts = eprocess.Counts(*(values.ravel() for values in found))
    evidence = eprocess.log_evidence(counts, tuning, difference).reshape(found.shape[1:])
    ever: NDArray[np.bool_] = (evidence >= tuning.needed).any(axis=1)
    return ever


def asymptotic(found: Array) -> NDArray[np.bool_]:
    """Return whether each run's confidence sequence ever leaves out 0, from 30 units a variant on."""
    (hits_c, n_c, hits_t, n_t), n = found, found[1] + found[3]
    p_c, p_t = hits_c / n_c, hits_t / n_t
    var_c, var_t = p_c * (1 - p_c) * n_c / (n_c - 1), p_t * (1 - p_t) * n_t / (n_t - 1)
    pooled = (n_c * var_c + n_t * var_t) / n
    error = np.sqrt(np.maximum(var_c, pooled) / n_c + np.maximum(var_t, pooled) / n_t)
    effective = pooled * n * (1 / n_c + 1 / n_t) / np.maximum(error, 1e-12) ** 2
    limit = mixture.boundary(np.maximum(effective, 1.0) / sequential.TIGHTEST_AT, ALPHA)
    ever: NDArray[np.bool_] = ((np.abs(p_t - p_c) > limit * error) & (np.minimum(n_c, n_t) >= 30)).any(axis=1)
    return ever


def sequence(difference: Difference) -> Interval:
    return sequential.sequence(difference, alpha=ALPHA, tightest_at=sequential.TIGHTEST_AT)


@pytest.mark.parametrize("base", [0.1, 0.01, 0.002])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_peeking_thirty_times_keeps_the_error_rate(base: float, share: float) -> None:
    rng, runs = np.random.default_rng(11), 1_000
    found = tables(rng, runs, (base, base), share, 20_000)
    assert exact(found, share).mean() <= bound(ALPHA, runs)
    assert asymptotic(found).mean() <= bound(ALPHA, runs)


def test_the_exact_sequence_covers_a_true_difference_at_every_look() -> None:
    rng, runs = np.random.default_rng(12), 1_000
    for chances in ((0.1, 0.12), (0.01, 0.02), (0.6, 0.3)):
        found = tables(rng, runs, chances, 0.5, 20_000)
        assert exact(found, 0.5, chances[1] - chances[0]).mean() <= bound(ALPHA, runs)


def test_without_a_plan_a_true_difference_is_found_in_more_than_half_of_the_tests() -> None:
    # A fixed test finds it with a chance of 0.83.
    rng, runs = np.random.default_rng(13), 1_000
    found = tables(rng, runs, (0.1, 0.11), 0.5, 32_000)
    assert exact(found, 0.5).mean() >= 0.56
    assert asymptotic(found).mean() >= 0.56


def test_units_that_come_back_at_every_look_keep_the_error_rate() -> None:
    """The same 200 units answer at all looks, resemble themselves and differ in activity."""
    rng, runs, units = np.random.default_rng(14), 100, 200
    wrong = 0
    for _ in range(runs):
        level = rng.beta(0.25 * 100, 0.75 * 100, units)
        brought = rng.poisson(rng.gamma(1.0, 3.0, units), (LOOKS, units))
        rows = np.cumsum(brought, axis=0)
        hits = np.cumsum(rng.binomial(brought, level), axis=0)
        half = units // 2
        wrong += any(
            sequence(Difference(_clustered(n[:half], s[:half]), _clustered(n[half:], s[half:]))).excludes_zero
            for n, s in zip(rows, hits, strict=True)
        )
    assert wrong / runs <= bound(ALPHA, runs)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_planned_looks_keep_the_error_rate_at_a_low_base(share: float) -> None:
    rng, runs = np.random.default_rng(15), 2_000
    limits = np.array(planned.boundaries([(k + 1) / LOOKS for k in range(LOOKS)], ALPHA))
    hits_c, n_c, hits_t, n_t = tables(rng, runs, (0.01, 0.01), share, 20_000)
    counts = eprocess.Counts(hits_c, n_c, hits_t, n_t)
    score = np.abs(proportions.score_statistic(counts, np.zeros_like(n_c)))
    wrong = (np.minimum(score, proportions.deviance_root(counts)) > limits).any(axis=1)
    assert wrong.mean() <= bound(ALPHA, runs)


def test_a_shadow_finds_in_its_requests_what_a_split_mostly_misses() -> None:
    """4,500 requests, 6 % discordant, 80 against 82 % right."""
    rng, runs, requests = np.random.default_rng(16), 500, 4_500
    who = rng.random((runs, requests))
    wins, losses = (np.cumsum(won, axis=1).astype(float) for won in (who < 0.04, (who >= 0.04) & (who < 0.06)))
    needed = -math.log(0.95 * ALPHA)
    assert (paired.log_evidence(wins, losses) >= needed).any(axis=1).mean() >= 0.95
    even = rng.random((runs, requests))
    wins, losses = (np.cumsum(won, axis=1).astype(float) for won in (even < 0.03, (even >= 0.03) & (even < 0.06)))
    assert (paired.log_evidence(wins, losses) >= needed).any(axis=1).mean() <= bound(ALPHA, runs)


def test_the_sample_ratio_check_is_quiet_however_often_it_is_read() -> None:
    rng, runs, times = np.random.default_rng(17), 1_000, 1_000
    shares = np.array([0.9, 0.1])
    treated = np.cumsum(rng.binomial(30, shares[1], (runs, times)), axis=1)
    counts = np.stack([30 * np.arange(1, times + 1) - treated, treated], axis=-1).astype(float)
    alarms = (srm.log_evidence(counts, shares) >= -math.log(srm.ALARM_BELOW)).any(axis=1)
    assert alarms.mean() <= bound(srm.ALARM_BELOW, runs)


def _clustered(rows: NDArray[np.int64], hits: NDArray[np.int64]) -> Sample:
    met = rows > 0
    n, s = rows[met], hits[met]
    spread = np.cov(s, n)
    return UnitSums(
        len(n), int(n.sum()), float(s.sum()), float(s.sum()), spread[0, 0], spread[1, 1], spread[0, 1]
    ).sample()
