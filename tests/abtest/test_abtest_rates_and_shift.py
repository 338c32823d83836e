"""One rate at any time, and the distance of two samples of scores at any time: exact values, and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import betaln
from scipy.stats import binom, ks_2samp

from mlprod_nb.abtest import rates, shift


def test_nothing_known_leaves_every_chance() -> None:
    found = rates.sequence(0, 0, alpha=0.05)
    assert (found.lower, found.upper) == (0.0, 1.0)


@pytest.mark.parametrize(("events", "times"), [(0, 100), (3, 100), (50, 100), (100, 100), (7, 5_000)])
def test_the_ends_are_where_the_mixture_reaches_one_over_alpha(events: int, times: int) -> None:
    found = rates.sequence(events, times, alpha=0.01)
    assert found.lower <= events / times <= found.upper
    for end in {found.lower, found.upper} - {0.0, 1.0}:
        mixed = betaln(events + 0.5, times - events + 0.5) - betaln(0.5, 0.5)
        told = events * math.log(end) + (times - events) * math.log1p(-end)
        assert mixed - told == pytest.approx(math.log(100), abs=1e-6)


def test_of_a_rate_that_is_looked_at_after_every_event_the_true_one_is_left_out_rarely_enough() -> None:
    random, runs, chance, alpha = np.random.default_rng(11), 400, 0.02, 0.05
    missed = 0
    for _ in range(runs):
        events = np.cumsum(random.random(1_500) < chance)
        times = np.arange(1, 1_501)
        mixed = betaln(events + 0.5, times - events + 0.5) - betaln(0.5, 0.5)
        told = events * math.log(chance) + (times - events) * math.log1p(-chance)
        missed += bool(np.any(mixed - told >= -math.log(alpha)))
    assert missed <= binom.ppf(0.999, runs, alpha)


def test_the_distance_is_kolmogorovs() -> None:
    random = np.random.default_rng(3)
    control, treatment = random.random(300), random.random(200) ** 2
    found = shift.between(control, treatment, alpha=0.05)
    assert found is not None
    assert found.value == pytest.approx(ks_2samp(control, treatment).statistic)
    assert found.lower < found.value < found.upper


def test_no_scores_have_no_distance() -> None:
    assert shift.between(np.array([]), np.array([0.5]), alpha=0.05) is None


def test_the_bands_radius_is_the_papers() -> None:
    # 0.85 sqrt((log log(e 100) + 0.8 log(1612 / 0.05)) / 100)
    expected = 0.85 * math.sqrt((math.log(math.log(math.e * 100)) + 0.8 * math.log(1612 / 0.05)) / 100)
    assert shift.radius(100, alpha=0.05) == pytest.approx(expected)


def test_an_empirical_distribution_leaves_its_band_rarely_enough_at_any_look() -> None:
    random, runs, alpha = np.random.default_rng(5), 300, 0.2
    left = 0
    for _ in range(runs):
        values = random.random(800)
        for count in (1, 2, 5, 10, 20, 50, 100, 200, 400, 800):
            part = np.sort(values[:count])
            ranks = np.arange(1, count + 1) / count
            farthest = max(np.max(ranks - part), np.max(part - ranks + 1 / count))
            if farthest > shift.radius(count, alpha=alpha):
                left += 1
                break
    assert left <= binom.ppf(0.999, runs, alpha)
