"""Alpha spending, against published boundaries and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlprod_nb.abtest import planned


@pytest.mark.parametrize(
    ("looks", "published"),
    [
        (1, [1.9600]),
        (2, [2.9626, 1.9686]),
        (3, [3.7103, 2.5114, 1.9930]),
        # Reboussin, DeMets, Kim and Lan (2000), the program's own example.
        (5, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
    ],
)
def test_boundaries_are_the_published_ones(looks: int, published: list[float]) -> None:
    found = planned.boundaries([(k + 1) / looks for k in range(looks)], 0.05)
    assert found == pytest.approx(published, abs=2e-4)


def test_all_looks_together_spend_alpha_and_no_more() -> None:
    for looks in (2, 4, 10, 30):
        fractions = [(k + 1) / looks for k in range(looks)]
        limits = planned.boundaries(fractions, 0.05)
        assert planned.crossing_probability(limits, fractions, 0.0) == pytest.approx(0.05, abs=1e-6)


def test_crossing_chances_agree_with_a_simulation() -> None:
    looks, runs = 5, 40_000
    fractions = np.arange(1, looks + 1) / looks
    limits = planned.boundaries(list(fractions), 0.05)
    steps = np.random.default_rng(7).normal(0, math.sqrt(1 / looks), (runs, looks))
    for drift in (0.0, 2.836):
        walk = np.cumsum(steps + drift / looks, axis=1)
        crossed = (np.abs(walk) / np.sqrt(fractions) > limits).any(axis=1).mean()
        exact = planned.crossing_probability(limits, list(fractions), drift)
        assert abs(crossed - exact) < 3 * math.sqrt(exact * (1 - exact) / runs)


def test_looks_that_come_unevenly_still_spend_alpha() -> None:
    fractions, information = [0.2, 0.25, 0.9, 1.0], [11.0, 30.0, 31.0, 60.0]
    limits = planned.boundaries(fractions, 0.05, information)
    assert planned.crossing_probability(limits, information, 0.0) == pytest.approx(0.05, abs=1e-6)


def test_one_look_needs_what_a_fixed_test_needs() -> None:
    from scipy.stats import norm

    # The other tail's share of the power is not ignored here, hence the tolerance.
    assert planned.drift_for_power(1, 0.05, 0.8) == pytest.approx(norm.ppf(0.975) + norm.ppf(0.8), abs=1e-4)
    assert 1.0 < planned.drift_for_power(5, 0.05, 0.8) / planned.drift_for_power(1, 0.05, 0.8) < 1.02
