from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlprod_nb.monitoring import calibration, estimation
from mlprod_nb.monitoring.columns import Coded
from mlprod_nb.monitoring.estimation import Confidence, Unlabelled, grow
from mlprod_nb.monitoring.performance import Estimate, Labelled, evaluate

NO_COLUMNS: dict[str, Any] = {}


def outcomes(random: np.random.Generator, scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The truth is not what the score says: a model that is too sure of itself."""
    return np.asarray(random.random(len(scores)) < 0.2 + 0.6 * scores)


def unlabelled(scores: np.ndarray[Any, Any]) -> Unlabelled:
    return Unlabelled(scores, (scores >= 0.5).astype(np.int64), NO_COLUMNS)


def estimator(random: np.random.Generator, rows: int) -> Confidence:
    scores = random.beta(1, 1, rows)
    found = calibration.fit(scores, outcomes(random, scores))
    assert found is not None
    return Confidence(found, 2)


def evaluated(came: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> dict[str, float]:
    rows = Labelled(came.astype(np.int64), (scores >= 0.5).astype(np.int64), scores)
    return {e.metric: e.value for e in evaluate("classification", (0, 1), rows)}


def realised(random: np.random.Generator, scores: np.ndarray[Any, Any]) -> dict[str, float]:
    return evaluated(outcomes(random, scores), scores)


def by_name(found: tuple[Estimate, ...]) -> dict[str, Estimate]:
    return {row.metric: row for row in found}


def test_with_known_chances_the_expectations_are_exact() -> None:
    # Two steps, 0.25 below a half and 0.75 above, and two scores: everything can be worked out by hand.
    known = Confidence(calibration.ScoreMap((0.5,), (0.25, 0.75), (1000, 1000)), 2)
    found = by_name(known.expect(unlabelled(np.array([0.1] * 30 + [0.9] * 30))))
    assert found["accuracy"].value == pytest.approx(0.75, rel=1e-9)
    assert found["balanced_accuracy"].value == pytest.approx(0.75, rel=1e-9)
    assert found["brier"].value == pytest.approx(0.25 * 0.81 + 0.75 * 0.01, rel=1e-9)
    assert found["log_loss"].value == pytest.approx(-(0.25 * np.log(0.1) + 0.75 * np.log(0.9)), rel=1e-9)
    # P(positive above negative) = 0.75 * 0.75, plus half of the ties: 2 * 0.75 * 0.25 / 2.
    assert found["roc_auc"].value == pytest.approx(0.75 * 0.75 + 0.75 * 0.25, rel=1e-9)
    variance = 0.25 * 0.75 / 60 + 2 * 0.25 * known.map.variances()[0]
    assert found["accuracy"].standard_error == pytest.approx(variance**0.5, rel=1e-9)


def test_expectations_are_the_mean_of_metrics_over_outcomes_drawn_from_the_map() -> None:
    random = np.random.default_rng(0)
    known = estimator(random, 4000)
    scores = random.beta(2, 3, 400)
    chance = np.array(known.map.shares)[known.map.places(scores)]
    found = by_name(known.expect(unlabelled(scores)))
    # Our own metrics, which agree with scikit-learn's to 1e-12, in a tenth of its time.
    runs = [evaluated(random.random(400) < chance, scores) for _ in range(600)]
    assert set(runs[0]) == {"accuracy", "balanced_accuracy", "brier", "log_loss", "roc_auc"}
    drawn = {name: [run[name] for run in runs] for name in runs[0]}
    for name, values in drawn.items():
        assert found[name].value == pytest.approx(np.mean(values), abs=4 * np.std(values) / 600**0.5 + 1e-3), name
        # The band knows that the map is only known from a sample, so it is wider, and not by much here.
        assert np.std(values) * 0.9 < found[name].standard_error < np.std(values) * 1.5, name


def test_the_band_covers_realised_values_as_often_as_it_says_under_a_shift_of_the_inputs() -> None:
    random = np.random.default_rng(1)
    runs = 300
    covered: dict[str, int] = {}
    for _ in range(runs):
        known = estimator(random, 3000)
        scores = random.beta(4, 2, 500)
        found, came = by_name(known.expect(unlabelled(scores))), realised(random, scores)
        for name, row in found.items():
            covered[name] = covered.get(name, 0) + (row.lower <= came[name] <= row.upper)
    least = stats.binom.ppf(1e-3, runs, 0.93)
    assert all(count >= least for count in covered.values()), covered


def test_a_shift_to_harder_rows_is_foreseen_and_a_changed_world_is_not() -> None:
    random = np.random.default_rng(2)
    known = estimator(random, 20_000)
    hard = random.uniform(0.35, 0.65, 4000)
    expected = by_name(known.expect(unlabelled(hard)))["accuracy"]
    assert expected.lower <= realised(random, hard)["accuracy"] <= expected.upper
    assert expected.value < 0.6
    same = random.beta(1, 1, 4000)
    flipped = np.asarray(random.random(4000) > 0.2 + 0.6 * same)
    believed = by_name(known.expect(unlabelled(same)))["accuracy"]
    assert believed.lower > ((same >= 0.5) == flipped).mean() + 0.2


def test_more_than_two_classes_are_estimated_by_the_predicted_ones_probability() -> None:
    random = np.random.default_rng(3)
    scores = random.uniform(0.4, 1.0, 5000)
    found = calibration.fit(scores, random.random(5000) < scores)
    assert found is not None
    rows = Confidence(found, 3).expect(Unlabelled(np.full(200, 0.7), np.zeros(200), NO_COLUMNS))
    assert [row.metric for row in rows] == ["accuracy"]
    assert rows[0].value == pytest.approx(0.7, abs=0.05)


def regression(random: np.random.Generator, rows: int, share: float) -> tuple[Unlabelled, np.ndarray[Any, Any]]:
    """Errors depend on the input x and on the group, so their mix decides how large they are."""
    x = random.normal(size=rows)
    group = (random.random(rows) < share).astype(np.int64)
    labels = 2 * x + random.normal(size=rows) * np.where(group == 1, 3.0, 1.0)
    columns: dict[str, Any] = {
        "x": np.where(random.random(rows) < 0.05, np.nan, x),
        "group": Coded(group, ("calm", "wild")),
    }
    return Unlabelled(2 * x, 2 * x, columns), labels


def test_a_regressors_errors_are_foreseen_where_the_mix_of_inputs_changes() -> None:
    random = np.random.default_rng(4)
    runs, covered = 60, {"mae": 0, "rmse": 0}
    for seed in range(runs):
        found = grow(*regression(random, 3000, 0.1), seed=seed)
        assert found is not None
        rows, labels = regression(random, 600, 0.6)
        errors = np.abs(rows.scores - labels)
        came = {"mae": errors.mean(), "rmse": (errors**2).mean() ** 0.5}
        for row in found.expect(rows):
            covered[row.metric] += row.lower <= came[row.metric] <= row.upper
            assert row.value > 1.2  # 0.96 and 1.34 in the reference's mix
    assert all(count >= stats.binom.ppf(1e-3, runs, 0.93) for count in covered.values()), covered


def test_too_few_rows_and_too_few_labels_are_not_estimated() -> None:
    random = np.random.default_rng(5)
    assert estimator(random, 1000).expect(unlabelled(random.random(estimation.MIN_ROWS - 1))) == ()
    assert grow(*regression(random, 150, 0.5)) is None
    assert calibration.fit(random.random(150), random.random(150) < 0.5) is None
    assert calibration.fit(random.random(500), np.zeros(500, dtype=bool)) is None


def test_categories_and_values_that_the_reference_never_had_break_nothing() -> None:
    random = np.random.default_rng(6)
    found = grow(*regression(random, 1000, 0.3))
    assert found is not None
    strange: dict[str, Any] = {"x": np.full(80, np.inf), "group": Coded(np.zeros(80, dtype=np.int64), ("new",))}
    assert all(np.isfinite(row.value) for row in found.expect(Unlabelled(np.zeros(80), np.zeros(80), strange)))
