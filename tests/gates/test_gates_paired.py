"""Two models on the same rows: exact values, independent implementations, error rates by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats
from sklearn import metrics
from statsmodels.regression.linear_model import OLS

from mlprod_nb.abtest.outcome import Measured
from mlprod_nb.gates import NotTested, paired
from mlprod_nb.gates.rows import Predicted
from mlprod_nb.monitoring.performance import Labelled
from tests.gates.predicted import binary

TABLES = [(40, 20, 160), (1, 7, 21), (3, 0, 50), (0, 12, 400), (25, 25, 60)]


def regression(labels: NDArray[np.float64], values: NDArray[np.float64]) -> Predicted:
    return Predicted("regression", (), Labelled(labels, values, values), {})


def several(labels: NDArray[Any], given: NDArray[np.float64]) -> Predicted:
    rows = Labelled(labels, given.argmax(axis=1), given.max(axis=1))
    return Predicted("classification", ("a", "b", "c"), rows, {}, given)


def test_several_classes_are_compared_by_all_their_probabilities() -> None:
    random = np.random.default_rng(5)
    labels = random.integers(0, 3, 300)
    one, other = random.dirichlet([1, 1, 1], 300), random.dirichlet([2, 1, 3], 300)
    sides = several(labels, one), several(labels, other)
    truth = np.eye(3)[labels]
    losses = {
        "log_loss": [-np.log(given[np.arange(300), labels]) for given in (one, other)],
        "brier": [((given - truth) ** 2).sum(axis=1) for given in (one, other)],
    }
    assert paired.default_metric(sides[0]) == "brier"
    for metric, (mine, theirs) in losses.items():
        found = paired.compare(metric, *sides, alpha=0.05)
        expected = stats.ttest_rel(mine, theirs).confidence_interval(0.95)
        assert (found.interval.lower, found.interval.upper) == pytest.approx((expected.low, expected.high))
        assert (found.candidate, found.champion) == pytest.approx((mine.mean(), theirs.mean()))
    assert paired.measured("log_loss", sides[0]).estimate == pytest.approx(metrics.log_loss(labels, one))
    with pytest.raises(NotTested, match="roc_auc cannot be computed"):
        paired.compare("roc_auc", *sides, alpha=0.05)


def test_a_class_that_was_given_no_chance_costs_much_and_not_everything() -> None:
    labels = np.zeros(60, dtype=np.int64)
    given = np.tile([0.0, 0.5, 0.5], (60, 1))
    assert paired.measured("log_loss", several(labels, given)).estimate == pytest.approx(36.04, abs=0.01)


def test_the_score_interval_has_the_published_ends() -> None:
    # Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33: airway hyper-responsiveness (Bentur et al. 2009).
    found = paired.tango(1, 7, 21, alpha=0.05)
    assert (found.lower, found.upper) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("more", "less", "pairs"), TABLES)
def test_at_no_difference_the_score_is_mcnemar_s(more: int, less: int, pairs: int) -> None:
    assert paired._score(more, less, pairs, 0.0) == pytest.approx((more - less) / math.sqrt(more + less))


def maximised(more: int, less: int, pairs: int, difference: float) -> float:
    """Return the score statistic, the restricted likelihood maximised by search rather than by its closed form."""

    def against(share: float) -> float:
        cells = ((more, share + difference), (less, share), (pairs - more - less, 1 - 2 * share - difference))
        return -sum(count * math.log(p) for count, p in cells if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    edge = 1e-12
    share = float(
        optimize.minimize_scalar(
            against, bounds=(low + edge, high - edge), method="bounded", options={"xatol": 1e-13}
        ).x
    )
    variance = pairs * (2 * share + difference - difference**2)
    return (more - less - pairs * difference) / math.sqrt(variance)


@pytest.mark.parametrize(("more", "less", "pairs"), TABLES)
def test_the_ends_are_where_the_score_test_just_rejects(more: int, less: int, pairs: int) -> None:
    found = paired.tango(more, less, pairs, alpha=0.05)
    z = stats.norm.ppf(0.975)
    assert maximised(more, less, pairs, found.lower) == pytest.approx(z, abs=2e-3)
    assert maximised(more, less, pairs, found.upper) == pytest.approx(-z, abs=2e-3)


def test_equal_answers_still_have_an_interval() -> None:
    found = paired.tango(0, 0, 100, alpha=0.05)
    z2 = stats.norm.ppf(0.975) ** 2
    assert found.upper == pytest.approx(z2 / (100 + z2))
    assert found.lower == pytest.approx(-found.upper)
    assert paired.tango(40, 0, 40, alpha=0.05).upper == 1.0


def test_a_mean_of_differences_has_student_s_interval() -> None:
    random = np.random.default_rng(3)
    labels = random.normal(size=200)
    a, b = (labels + random.normal(0, spread, 200) for spread in (1.0, 1.3))
    found = paired.compare("mae", regression(labels, a), regression(labels, b), alpha=0.1)
    expected = stats.ttest_rel(np.abs(a - labels), np.abs(b - labels)).confidence_interval(0.9)
    assert (found.interval.lower, found.interval.upper) == pytest.approx((expected.low, expected.high))
    assert found.worse == pytest.approx(np.abs(a - labels).mean() - np.abs(b - labels).mean())


def test_rows_of_one_unit_are_one_observation() -> None:
    random = np.random.default_rng(4)
    units = np.repeat(np.arange(80), random.integers(1, 9, 80))
    gaps = random.normal(0, 1, 80)[units] + random.normal(0, 0.5, len(units))
    found = paired.student(Measured(float(gaps.mean()), gaps - gaps.mean()), units, alpha=0.05)
    robust = OLS(gaps, np.ones(len(gaps))).fit(cov_type="cluster", cov_kwds={"groups": units})
    half = stats.t.ppf(0.975, 79) * float(robust.bse[0])
    assert (found.upper - found.lower) / 2 == pytest.approx(half)


def test_areas_are_compared_by_delong() -> None:
    random = np.random.default_rng(5)
    labels = random.random(1500) < 0.3
    a, b = (1 / (1 + np.exp(-(labels + random.normal(0, spread, 1500)))) for spread in (1.0, 1.4))
    found = paired.compare("roc_auc", binary(labels, a), binary(labels, b), alpha=0.05)
    assert found.candidate == pytest.approx(metrics.roc_auc_score(labels, a))
    assert found.worse == pytest.approx(metrics.roc_auc_score(labels, b) - metrics.roc_auc_score(labels, a))
    drawn = [area(labels[at], b[at]) - area(labels[at], a[at]) for at in random.integers(0, 1500, (1000, 1500))]
    assert (found.interval.lower, found.interval.upper) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.005)


def area(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The area under the ROC curve by ranks."""
    ones = int(labels.sum())
    ranks = stats.rankdata(scores)[labels].sum()
    return float((ranks - ones * (ones + 1) / 2) / (ones * (len(labels) - ones)))


@pytest.mark.parametrize(
    ("metric", "reference"),
    [("brier", metrics.brier_score_loss), ("log_loss", metrics.log_loss)],
)
def test_metrics_are_those_of_scikit_learn(metric: str, reference: Any) -> None:
    random = np.random.default_rng(6)
    labels, scores = random.random(300) < 0.4, random.uniform(0.02, 0.98, 300)
    assert paired.measured(metric, binary(labels, scores)).estimate == pytest.approx(reference(labels, scores))


def test_root_mean_squares_are_compared() -> None:
    random = np.random.default_rng(7)
    labels = random.normal(size=300)
    values = labels + random.normal(0, 2, 300)
    found = paired.measured("rmse", regression(labels, values)).estimate
    assert found == pytest.approx(metrics.root_mean_squared_error(labels, values))


def test_what_cannot_be_compared_says_why() -> None:
    labels, scores = np.arange(60) % 2, np.linspace(0.1, 0.9, 60)
    few = binary(labels[:20], scores[:20])
    with pytest.raises(NotTested, match="20 held-out rows are too few to compare by; 50 are needed"):
        paired.compare("brier", few, few, alpha=0.05)
    whole = binary(labels, scores)
    with pytest.raises(NotTested, match="12 units of held-out rows are too few"):
        paired.compare("brier", whole, whole, alpha=0.05, units=np.arange(60) // 5)
    with pytest.raises(NotTested, match="mae cannot be computed"):
        paired.compare("mae", whole, whole, alpha=0.05)
    with pytest.raises(NotTested, match="there is no metric 'gini'; there is accuracy"):
        paired.compare("gini", whole, whole, alpha=0.05)
    one = binary(np.zeros(60), scores)
    with pytest.raises(NotTested, match="roc_auc cannot be computed"):
        paired.compare("roc_auc", one, one, alpha=0.05)
