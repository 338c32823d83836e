from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from mlprod_nb.monitoring.budget import Budget
from mlprod_nb.monitoring.performance import Estimate, Labelled, class_codes, evaluate
from mlprod_nb.monitoring.scoring import judge


def binary(random: np.random.Generator, rows: int, *, ties: bool = False) -> Labelled:
    truth = random.beta(2, 3, size=rows)
    scores = np.round(truth, 1) if ties else truth
    return Labelled((random.random(rows) < truth).astype(np.int64), (scores >= 0.5).astype(np.int64), scores)


def by_name(estimates: tuple[Estimate, ...]) -> dict[str, Estimate]:
    return {estimate.metric: estimate for estimate in estimates}


@pytest.mark.parametrize("ties", [False, True])
def test_binary_metrics_agree_with_scikit_learn(ties: bool) -> None:
    rows = binary(np.random.default_rng(0), 2000, ties=ties)
    found = by_name(evaluate("classification", (False, True), rows))
    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(rows.labels, rows.predictions), abs=1e-12)
    balanced = metrics.balanced_accuracy_score(rows.labels, rows.predictions)
    assert found["balanced_accuracy"].value == pytest.approx(balanced, abs=1e-12)
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(rows.labels, rows.scores), abs=1e-12)
    assert found["brier"].value == pytest.approx(metrics.brier_score_loss(rows.labels, rows.scores), abs=1e-12)
    assert found["roc_auc"].value == pytest.approx(metrics.roc_auc_score(rows.labels, rows.scores), abs=1e-12)


def test_certain_and_wrong_scores_give_a_finite_log_loss_as_in_scikit_learn() -> None:
    rows = Labelled(np.array([0, 1, 1, 0]), np.array([1, 0, 1, 0]), np.array([1.0, 0.0, 1.0, 0.0]))
    found = by_name(evaluate("classification", ("no", "yes"), rows))
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(rows.labels, rows.scores), rel=1e-9)


def test_multiclass_metrics_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, 500)
    predictions = np.where(random.random(500) < 0.7, labels, random.integers(0, 3, 500))
    found = by_name(evaluate("classification", ("a", "b", "c"), Labelled(labels, predictions, random.random(500))))
    assert set(found) == {"accuracy", "balanced_accuracy"}
    assert found["balanced_accuracy"].value == pytest.approx(
        metrics.balanced_accuracy_score(labels, predictions), rel=1e-9
    )


def test_regression_metrics_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(2)
    labels = random.normal(size=800)
    scores = labels + random.normal(scale=0.5, size=800)
    found = by_name(evaluate("regression", (), Labelled(labels, scores, scores)))
    assert found["mae"].value == pytest.approx(metrics.mean_absolute_error(labels, scores), abs=1e-12)
    assert found["rmse"].value == pytest.approx(metrics.root_mean_squared_error(labels, scores), abs=1e-12)
    assert found["r2"].value == pytest.approx(metrics.r2_score(labels, scores), abs=1e-12)


def test_the_delong_error_is_that_of_the_pairwise_definition() -> None:
    rows = binary(np.random.default_rng(3), 120, ties=True)
    positive = rows.labels == 1
    pairs = rows.scores[positive][:, None] - rows.scores[~positive][None, :]
    wins = (pairs > 0) + 0.5 * (pairs == 0)
    hits, misses = wins.shape
    variance = wins.mean(axis=1).var(ddof=1) / hits + wins.mean(axis=0).var(ddof=1) / misses
    found = by_name(evaluate("classification", (0, 1), rows))["roc_auc"]
    assert found.value == pytest.approx(wins.mean(), abs=1e-12)
    assert found.standard_error == pytest.approx(variance**0.5, rel=1e-9)


def test_ninety_five_percent_intervals_cover_as_often_as_they_say() -> None:
    random = np.random.default_rng(4)
    big = binary(random, 400_000)
    truth = {name: e.value for name, e in by_name(evaluate("classification", (0, 1), big)).items()}
    runs = 400
    covered = dict.fromkeys(truth, 0)
    for _ in range(runs):
        for name, found in by_name(evaluate("classification", (0, 1), binary(random, 300))).items():
            covered[name] += found.lower <= truth[name] <= found.upper
    least = stats.binom.ppf(1e-3, runs, 0.935)
    assert all(count >= least for count in covered.values()), covered


def test_regression_intervals_cover_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)

    def sample(rows: int) -> Labelled:
        labels = random.normal(size=rows)
        scores = labels + random.normal(scale=0.5, size=rows)
        return Labelled(labels, scores, scores)

    truth = {"mae": 0.5 * (2 / np.pi) ** 0.5, "rmse": 0.5, "r2": 0.75}
    covered = dict.fromkeys(truth, 0)
    for _ in range(400):
        for name, found in by_name(evaluate("regression", (), sample(300))).items():
            covered[name] += found.lower <= truth[name] <= found.upper
    assert all(count >= stats.binom.ppf(1e-3, 400, 0.93) for count in covered.values()), covered


@pytest.mark.parametrize(
    ("values", "classes", "codes"),
    [
        (["True", "true", "1", "1.0", "False", "maybe", None], (False, True), [1, 1, 1, 1, 0, -1, -1]),
        ([True, np.bool_(False), 1, 0.0], (False, True), [1, 0, 1, 0]),
        (["2", "1.0", 2, 1.0, "true", "3"], (1, 2), [1, 0, 1, 0, 0, -1]),
        (["late", "on time", "LATE"], ("on time", "late"), [1, 0, -1]),
        ([float("nan"), None], (0, 1), [-1, -1]),
    ],
)
def test_classes_are_recognised_in_every_usual_spelling(values: list[Any], classes: Any, codes: list[int]) -> None:
    assert class_codes(values, classes).tolist() == codes


def test_labels_of_one_class_have_no_area_under_the_curve_and_raise_nothing() -> None:
    rows = Labelled(np.ones(10, dtype=np.int64), np.ones(10, dtype=np.int64), np.full(10, 0.7))
    assert "roc_auc" not in by_name(evaluate("classification", (0, 1), rows))
    assert evaluate("classification", (0, 1), rows.take(np.zeros(10, dtype=bool))) == ()
    constant = Labelled(np.ones(5), np.ones(5), np.ones(5))
    assert set(by_name(evaluate("regression", (), constant))) == {"mae", "rmse"}


def test_an_unchanged_model_is_called_worse_no_more_often_than_stated() -> None:
    random = np.random.default_rng(6)
    budget = Budget(0.2, 1)
    runs, flagged = 400, 0
    for _ in range(runs):
        reference = evaluate("classification", (0, 1), binary(random, 3000))
        window = evaluate("classification", (0, 1), binary(random, 400))
        flagged += any(row.worse for row in judge(reference, window, "all", budget))
    assert flagged <= stats.binom.ppf(1 - 1e-3, runs, budget.performance)


def test_an_unchanged_regressor_is_called_worse_no_more_often_than_stated() -> None:
    random = np.random.default_rng(7)
    budget = Budget(0.2, 1)

    def sample(rows: int) -> Labelled:
        labels = random.normal(size=rows)
        scores = labels + random.standard_t(5, size=rows)
        return Labelled(labels, scores, scores)

    runs, flagged = 400, 0
    for _ in range(runs):
        reference, window = evaluate("regression", (), sample(3000)), evaluate("regression", (), sample(400))
        flagged += any(row.worse for row in judge(reference, window, "all", budget))
    assert flagged <= stats.binom.ppf(1 - 1e-3, runs, budget.performance)


def test_a_significant_loss_that_is_not_material_is_not_called_worse() -> None:
    reference = (Estimate("accuracy", 0.900, 0.0002, 0.8996, 0.9004, 2_000_000),)
    window = (Estimate("accuracy", 0.896, 0.0002, 0.8956, 0.8964, 2_000_000),)
    (row,) = judge(reference, window, "all", Budget())
    assert not row.worse
    window = (Estimate("accuracy", 0.880, 0.0002, 0.8796, 0.8804, 2_000_000),)
    (row,) = judge(reference, window, "all", Budget())
    assert row.worse


def test_a_handful_of_labels_is_shown_and_not_judged() -> None:
    reference = (Estimate("accuracy", 0.9, 0.003, 0.894, 0.906, 10_000),)
    (row,) = judge(reference, (Estimate("accuracy", 0.0, 0.05, 0.0, 0.1, 10),), "all", Budget())
    assert not row.worse
    assert row.reference is None
