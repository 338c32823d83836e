"""Quantiles, areas, roots and ratios: values and variances, against other implementations and the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlprod_nb.abtest import estimators
from mlprod_nb.abtest.estimators import Auc, Quantile, Ratio, RootMeanSquare


def test_the_area_is_scikit_learns_and_its_variance_is_delongs() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    truth = (rng.random(400) < 0.3).astype(float)
    score = np.round(truth + rng.normal(0, 1.2, 400), 1)
    found = Auc().measure(score, truth)
    assert found is not None
    assert found.estimate == pytest.approx(roc_auc_score(truth, score))
    ones, zeros = score[truth == 1], score[truth == 0]
    kernel = (ones[:, None] > zeros).astype(float) + 0.5 * (ones[:, None] == zeros)
    delong = kernel.mean(1).var() / len(ones) + kernel.mean(0).var() / len(zeros)
    arm = estimators.arm(found, np.arange(400))
    assert arm.sample.unit_variance / 400 == pytest.approx(delong * 400 / 399)


@pytest.mark.parametrize("metric", [Quantile(), RootMeanSquare(), Ratio("r", "a", "b")], ids=lambda m: m.name)
def test_the_variance_counts_units_and_is_the_true_one(metric: Quantile | RootMeanSquare | Ratio) -> None:
    rng, runs, units, rows = np.random.default_rng(1), 400, 150, 6
    names = np.repeat(np.arange(units), rows).astype(np.int64)
    estimates, errors = [], []
    for _ in range(runs):
        level = np.repeat(rng.normal(0, 1, units), rows)
        values = np.exp(level + rng.normal(0, 1, units * rows))
        found = metric.measure(values, 1.0 + np.abs(level))
        assert found is not None
        sample = estimators.arm(found, names).sample
        assert found.influence.mean() == pytest.approx(0, abs=0.05 * abs(found.estimate))
        estimates.append(sample.mean)
        errors.append(math.sqrt(sample.unit_variance / sample.units))
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.15)


def test_too_few_rows_have_no_statistic() -> None:
    few = np.arange(8.0)
    assert Quantile().measure(few) is None
    assert Auc().measure(few, np.ones(8)) is None
    assert RootMeanSquare().measure(np.zeros(8)) is None
    assert Ratio("r", "a", "b").measure(few, np.zeros(8)) is None
    assert Quantile().measure(np.ones(1_000)) is None
