"""Pairs of answers to the same request, against scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlprod_nb.abtest import paired
from mlprod_nb.abtest.estimate import Sample
from mlprod_nb.abtest.paired import Discordant


@pytest.mark.parametrize(("wins", "losses"), [(16, 6), (3, 3), (0, 7), (180, 90), (1, 0)])
def test_mcnemar_is_the_exact_binomial_test(wins: int, losses: int) -> None:
    from scipy.stats import binom
    from statsmodels.stats.contingency_tables import mcnemar

    found = paired.mcnemar(Discordant(wins, losses, 1_000))
    theirs = mcnemar(np.array([[500, wins], [losses, 100]]), exact=True)
    assert found.exact == pytest.approx(float(theirs.pvalue), rel=1e-9)
    total, few = wins + losses, min(wins, losses)
    expected = min(1.0, 2 * binom.cdf(few, total, 0.5)) if wins != losses else 1.0 + binom.pmf(few, total, 0.5)
    assert found.mid_p == pytest.approx(expected - binom.pmf(few, total, 0.5), rel=1e-9)


def test_no_discordant_request_is_no_evidence() -> None:
    assert paired.mcnemar(Discordant(0, 0, 50)) == paired.McNemarTest(1.0, 1.0)
    found = paired.sequence(Discordant(0, 0, 50), alpha=0.05)
    assert found.lower < 0 < found.upper
    assert paired.p_value(Discordant(0, 0, 50)) == 1.0


def test_evidence_is_a_martingale() -> None:
    for wins, losses in ((0, 0), (3, 1), (40, 60)):
        now = paired.log_evidence(np.array([wins * 1.0]), np.array([losses * 1.0]))
        more = [
            paired.log_evidence(np.array([wins + a * 1.0]), np.array([losses + b * 1.0])) for a, b in ((1, 0), (0, 1))
        ]
        assert 0.5 * sum(math.exp(part[0]) for part in more) == pytest.approx(math.exp(now[0]))


def test_the_interval_leaves_out_zero_where_the_discordant_requests_say_so() -> None:
    for wins in range(20, 60):
        counts = Discordant(wins, 20, 800)
        found = paired.sequence(counts, alpha=0.05)
        assert found.lower < counts.difference < found.upper
        assert found.excludes_zero == (paired.p_value(counts) <= 0.95 * 0.05)


def test_the_mean_of_pairs_has_the_mixtures_width() -> None:
    from mlprod_nb.abtest import mixture

    sample = Sample(units=400, rows=400, mean=0.2, row_variance=1.0, unit_variance=1.0)
    found = paired.mean_sequence(sample, alpha=0.05, tightest_at=400)
    assert found.upper - 0.2 == pytest.approx(mixture.factor(1.0, 0.05) / 20)
