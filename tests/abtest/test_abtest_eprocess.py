"""The exact test of two proportions: martingale, interval, invariance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlprod_nb.abtest import eprocess
from mlprod_nb.abtest.eprocess import Counts, Tuning

TUNING = Tuning(alpha=0.05, share=0.5, tightest_at=20_000)


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize(("base", "difference"), [(0, 0.0), (30, 0.0), (48, 0.2), (40, -0.15), (48, 0.0)])
def test_each_ratio_has_expectation_one_under_every_pair_of_its_hypothesis(
    share: float, base: int, difference: float
) -> None:
    tuning = Tuning(0.05, share, 500)
    ratios, weights = eprocess._log_ratios(base, base, tuning, difference)
    assert np.exp(weights).sum() == pytest.approx(1.0)
    for control in np.linspace(max(0, -difference), min(1, 1 - difference), 7):
        treatment = control + difference
        chance = np.array(
            [share * treatment, share * (1 - treatment), (1 - share) * control, (1 - share) * (1 - control)]
        )
        expected = chance @ np.exp(ratios[0])
        assert np.all(expected <= 1 + 1e-7)
        # Less only where the nearest pair lies on the edge, as of a variant that never succeeds.
        if base != 40:
            assert expected == pytest.approx(np.ones(len(weights)), abs=1e-7)


@pytest.mark.parametrize("difference", [-0.9, -0.01, 0.001, 0.05, 0.95])
def test_the_nearest_pairs_are_found_by_newtons_method_and_not_by_halving(
    monkeypatch: pytest.MonkeyPatch, difference: float
) -> None:
    chances = np.geomspace(1e-5, 0.5, 40)
    chances = np.concatenate([chances, 1 - chances])
    treatment, control = np.meshgrid(chances, chances)
    found = eprocess._project(treatment, control, 0.5, difference)
    monkeypatch.setattr(eprocess, "_NEWTON_STEPS", 40)
    assert np.array_equal(found, eprocess._project(treatment, control, 0.5, difference))


def test_the_evidence_is_the_least_over_the_base_rates_in_play() -> None:
    counts = Counts.of(40, 1_000, 70, 1_000)
    first, last = eprocess._base_rates(counts, TUNING)
    rates = eprocess._BASES[int(first[0]) : int(last[0]) + 1]
    assert rates[0] < 0.055 < rates[-1]
    ratios, weights = eprocess._log_ratios(int(first[0]), int(last[0]), TUNING, 0.0)
    each = [np.log(np.exp(counts.outcomes()[0] @ part + weights).sum()) for part in ratios]
    assert eprocess.log_evidence(counts, TUNING)[0] == pytest.approx(min(each))


def test_the_interval_ends_where_the_evidence_reaches_its_limit() -> None:
    counts = Counts.of(100, 1_000, 160, 1_000)
    found = eprocess.sequence(counts, TUNING)
    for end in (found.lower, found.upper):
        assert eprocess.log_evidence(counts, TUNING, end)[0] == pytest.approx(TUNING.needed, abs=0.02)
    assert found.lower < 0.06 < found.upper


@pytest.mark.parametrize(
    "table", [(0, 100, 0, 100), (100, 100, 100, 100), (100, 100, 0, 100), (0, 9, 9, 9), (0, 1, 1, 1)]
)
def test_tables_at_the_edge_have_an_interval(table: tuple[int, int, int, int]) -> None:
    found = eprocess.sequence(Counts.of(*table), TUNING)
    observed = table[2] / table[3] - table[0] / table[1]
    assert -1 <= found.lower <= observed <= found.upper <= 1


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(200, 3_000), st.floats(0, 1), st.floats(0, 1))
def test_interval_and_p_value_say_the_same(units: int, p_c: float, p_t: float) -> None:
    counts = Counts.of(round(p_c * units), units, round(p_t * units), units)
    found = eprocess.sequence(counts, TUNING)
    p_value = float(eprocess.p_value(counts, TUNING)[0])
    if not 0.95 < p_value / TUNING.alpha < 1.05:
        assert found.excludes_zero == (p_value <= TUNING.alpha)


def test_swapping_the_variants_turns_the_interval_round() -> None:
    one = eprocess.sequence(Counts.of(30, 1_000, 60, 1_200), TUNING)
    other = eprocess.sequence(Counts.of(60, 1_200, 30, 1_000), TUNING)
    assert (other.lower, other.upper) == pytest.approx((-one.upper, -one.lower), abs=2e-4)
