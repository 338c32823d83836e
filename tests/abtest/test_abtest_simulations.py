"""Error rates by seeded simulation; the bounds come from the binomial."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mlprod_nb.abtest import planned, sequential, srm
from mlprod_nb.abtest.estimate import Difference, Interval, Sample, UnitSums

ALPHA, LOOKS = 0.05, 30


def bound(rate: float, runs: int) -> float:
    """Return the rate and two standard errors."""
    return rate + 2 * math.sqrt(rate * (1 - rate) / runs)


def proportion(successes: int, count: int) -> Sample:
    share = successes / count
    variance = share * (1 - share) * count / (count - 1)
    return Sample(count, count, share, variance, variance)


def looks(rng: np.random.Generator, base: float, lift: float, share: float, rows: int) -> list[Difference]:
    """Return the difference at each look of one test in which each row is its own unit."""
    totals = (np.arange(1, LOOKS + 1) * rows / LOOKS).astype(int)
    treated = (totals * share).astype(int)
    control = totals - treated
    hits = np.cumsum(rng.binomial(np.diff(control, prepend=0), base))
    gains = np.cumsum(rng.binomial(np.diff(treated, prepend=0), base + lift))
    found = [
        Difference(proportion(int(h), int(c)), proportion(int(g), int(t)))
        for h, c, g, t in zip(hits, control, gains, treated, strict=True)
        if min(c, t) >= 30
    ]
    return [difference for difference in found if difference.standard_error > 0]


def sequence(difference: Difference) -> Interval:
    return sequential.sequence(difference, alpha=ALPHA, tightest_at=sequential.TIGHTEST_AT)


@pytest.mark.parametrize("base", [0.1, 0.01])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_peeking_thirty_times_keeps_the_error_rate(base: float, share: float) -> None:
    rng, runs = np.random.default_rng(11), 600
    wrong = sum(
        any(sequence(difference).excludes_zero for difference in looks(rng, base, 0.0, share, 20_000))
        for _ in range(runs)
    )
    assert wrong / runs <= bound(ALPHA, runs)


def test_the_sequence_covers_a_true_difference_at_every_look() -> None:
    rng, runs, lift = np.random.default_rng(12), 600, 0.02
    left_out = 0
    for _ in range(runs):
        intervals = [sequence(difference) for difference in looks(rng, 0.1, lift, 0.5, 20_000)]
        left_out += any(not interval.lower <= lift <= interval.upper for interval in intervals)
    assert left_out / runs <= bound(ALPHA, runs)


def test_the_sequence_finds_a_true_difference() -> None:
    rng, runs = np.random.default_rng(13), 200
    found = sum(
        any(sequence(difference).excludes_zero for difference in looks(rng, 0.1, 0.02, 0.5, 20_000))
        for _ in range(runs)
    )
    assert found / runs > 0.8


def test_units_that_come_back_at_every_look_keep_the_error_rate() -> None:
    """The same 200 units answer at all looks, resemble themselves and differ in activity."""
    rng, runs, units = np.random.default_rng(14), 300, 200
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


def test_planned_looks_keep_the_error_rate_at_a_low_base() -> None:
    rng, runs = np.random.default_rng(15), 1_000
    limits = planned.boundaries([(k + 1) / LOOKS for k in range(LOOKS)], ALPHA)
    wrong = 0
    for _ in range(runs):
        found = looks(rng, 0.01, 0.0, 0.5, 60_000)
        wrong += any(abs(d.value) / d.standard_error > z for d, z in zip(found, limits[-len(found) :], strict=True))
    assert wrong / runs <= bound(ALPHA, runs)


def test_the_sample_ratio_check_is_quiet_where_the_split_is_right() -> None:
    rng, runs = np.random.default_rng(16), 4_000
    shares = {"champion": 0.9, "challenger": 0.1}
    alarms = 0
    for treated in rng.binomial(3_000, 0.1, runs):
        observed = {"champion": 3_000 - int(treated), "challenger": int(treated)}
        alarms += not srm.check(shares, observed, units_in_two_variants=0).ok
    assert alarms / runs <= bound(srm.ALARM_BELOW, runs)


def _clustered(rows: NDArray[np.int64], hits: NDArray[np.int64]) -> Sample:
    met = rows > 0
    n, s = rows[met], hits[met]
    spread = np.cov(s, n)
    return UnitSums(
        len(n), int(n.sum()), float(s.sum()), float(s.sum()), spread[0, 0], spread[1, 1], spread[0, 1]
    ).sample()
