"""Alpha spending, against published boundaries and by simulation."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from mlprod_nb.abtest import planned
from mlprod_nb.abtest.futility import conditional_power


def obrien_fleming(fraction: float, alpha: float) -> float:
    """Lan and DeMets' function of O'Brien and Fleming's type, whose boundaries are published."""
    normal = NormalDist()
    return 4 * normal.cdf(-normal.inv_cdf(1 - alpha / 4) / math.sqrt(fraction))


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
    fractions = [(k + 1) / looks for k in range(looks)]
    found = planned.boundaries(fractions, 0.05, spending=obrien_fleming)
    assert found == pytest.approx(published, abs=2e-4)


def test_hwang_shih_decani_boundaries_are_those_of_gsdesign() -> None:
    def minus_four(fraction: float, alpha: float) -> float:
        return alpha * math.expm1(4 * fraction) / math.expm1(4)

    # gsDesign(k = 3, test.type = 1, alpha = 0.025, sfu = sfHSD, sfupar = -4), the manual's own example.
    found = planned.boundaries([1 / 3, 2 / 3, 1.0], 0.05, spending=minus_four)
    assert found == pytest.approx([3.0107, 2.5465, 1.9992], abs=2e-4)
    assert planned.hwang_shih_decani(1.0, 0.05) == pytest.approx(0.05)


def test_a_thousand_looks_have_a_boundary_in_closed_form_that_spends_no_more_than_alpha() -> None:
    looks, runs = 1_000, 4_000
    fractions = np.arange(1, looks + 1) / looks
    limits = np.array(planned.boundaries(list(fractions), 0.05))
    steps = np.random.default_rng(8).normal(0, math.sqrt(1 / looks), (runs, looks))
    crossed = (np.abs(np.cumsum(steps, axis=1)) / np.sqrt(fractions) > limits).any(axis=1).mean()
    assert crossed <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert limits[-1] == pytest.approx(2.2414, abs=1e-4)
    # The first looks of such a plan have the plan's boundaries too.
    assert planned.boundaries(list(fractions[:3]), 0.05, planned=looks) == pytest.approx(limits[:3])


def test_conditional_power_is_the_share_of_paths_that_still_cross() -> None:
    rng, runs = np.random.default_rng(9), 40_000
    fraction, statistic, drift, limit = 0.4, -0.5, 2.9, 2.1
    last = statistic * math.sqrt(fraction) + drift * (1 - fraction) + rng.normal(0, math.sqrt(1 - fraction), runs)
    exact = conditional_power(statistic, fraction, drift=drift, limit=limit)
    assert (last > limit).mean() == pytest.approx(exact, abs=3 * math.sqrt(exact * (1 - exact) / runs))
    assert conditional_power(3.0, 1.0, drift=drift, limit=limit) == 1.0


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
    assert 1.0 < planned.drift_for_power(5, 0.05, 0.8) / planned.drift_for_power(1, 0.05, 0.8) < 1.03
