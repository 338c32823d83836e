from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from mlprod_nb.monitoring import calibration


def sample(random: np.random.Generator, rows: int, sharpness: float = 1.0) -> tuple[Any, Any]:
    """Scores whose logit is ``1 / sharpness`` of the truth's."""
    scores = random.uniform(0.05, 0.95, rows)
    truth = 1 / (1 + np.exp(-sharpness * np.log(scores / (1 - scores))))
    return scores, random.random(rows) < truth


def test_spiegelhalters_z_is_that_of_its_definition() -> None:
    scores, came = np.array([0.1, 0.4, 0.8]), np.array([False, True, True])
    top = (0 - 0.1) * 0.8 + (1 - 0.4) * 0.2 + (1 - 0.8) * -0.6
    bottom = (0.64 * 0.09 + 0.04 * 0.24 + 0.36 * 0.16) ** 0.5
    z, p_value = calibration.spiegelhalter(scores, came)
    assert z == pytest.approx(top / bottom, rel=1e-12)
    assert p_value == pytest.approx(2 * stats.norm.sf(abs(top / bottom)), rel=1e-9)
    assert calibration.spiegelhalter(np.array([0.0, 0.5, 1.0]), came) == (None, None)


def test_a_calibrated_model_is_called_otherwise_no_more_often_than_stated() -> None:
    random = np.random.default_rng(0)
    runs = 400
    found = [calibration.reliability(*sample(random, 300), of="x") for _ in range(runs)]
    flagged = sum(row is not None and (row.p_value or 1.0) <= 0.05 for row in found)
    assert flagged <= stats.binom.ppf(1 - 1e-3, runs, 0.05)
    inside = sum(row is not None and (row.slope_lower or 9) <= 1 <= (row.slope_upper or -9) for row in found)
    assert inside >= stats.binom.ppf(1e-3, runs, 0.94)
    # What a calibrated model shows by chance is what the row says that it shows by chance.
    shown = np.mean([row.error for row in found if row])
    assert shown == pytest.approx(np.mean([row.error_by_chance for row in found if row]), rel=0.1)


def test_a_model_that_is_too_sure_has_a_slope_below_one() -> None:
    found = calibration.reliability(*sample(np.random.default_rng(1), 4000, 0.5), of="late")
    assert found is not None
    assert found.slope == pytest.approx(0.5, abs=0.08)
    assert found.slope_upper is not None
    assert found.slope_upper < 1
    assert found.error > 3 * found.error_by_chance
    assert "chance does not explain" in found.statement
    assert sum(row.rows for row in found.bins) == 4000
    assert all(row.lower <= row.share <= row.upper for row in found.bins)


def test_slope_and_intercept_agree_with_scikit_learn() -> None:
    scores, came = sample(np.random.default_rng(2), 1500, 0.7)
    (intercept, slope), errors = calibration.recalibration(scores, came)
    logits = np.log(scores / (1 - scores))[:, None]
    other = LogisticRegression(C=np.inf, tol=1e-14, solver="newton-cholesky").fit(logits, came)
    assert slope == pytest.approx(other.coef_[0, 0], rel=1e-9)
    assert intercept == pytest.approx(other.intercept_[0], rel=1e-9)
    assert all(error > 0 for error in errors)


def test_outcomes_that_a_threshold_separates_have_no_slope_and_raise_nothing() -> None:
    scores = np.linspace(0.01, 0.99, 200)
    found = calibration.reliability(scores, scores > 0.5, of="x")
    assert found is not None
    assert found.slope is None
    assert calibration.reliability(scores, np.ones(200, dtype=bool), of="x") is not None
    assert calibration.reliability(np.full(200, 0.3), scores > 0.5, of="x") is not None
    assert calibration.reliability(scores[:20], scores[:20] > 0.5, of="x") is None
    assert calibration.reliability(scores * 3, scores > 0.5, of="x") is None


def test_the_map_is_isotonic_regression() -> None:
    scores, came = sample(np.random.default_rng(3), 5000, 0.6)
    found = calibration.fit(scores, came)
    assert found is not None
    assert list(found.shares) == sorted(found.shares)
    assert sum(found.rows) == 5000
    told = np.array(found.shares)[found.places(scores)]
    other = IsotonicRegression(out_of_bounds="clip").fit(scores, came).predict(scores)
    assert np.abs(told - other).mean() < 0.02
    assert told.mean() == pytest.approx(came.mean())


def test_wilsons_interval_agrees_with_scipy() -> None:
    for hits, rows in ((0, 30), (7, 50), (50, 50)):
        lower, upper = calibration.wilson(float(hits), rows)
        other = stats.binomtest(hits, rows).proportion_ci(0.95, "wilson")
        assert (lower, upper) == pytest.approx((other.low, other.high), abs=1e-12)


def test_a_map_survives_being_kept_and_an_old_profile_has_none() -> None:
    from dataclasses import asdict

    found = calibration.fit(*sample(np.random.default_rng(4), 1000))
    assert found is not None
    assert calibration.ScoreMap.from_plain(asdict(found)) == found
    assert calibration.ScoreMap.from_plain(None) is None
