"""Looks at real months of flights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlprod_nb.monitoring import MonitorInput, MonitorResult, Profile, build, run
from mlprod_nb.monitoring.verdict import performance_grade
from tests.monitoring import samples
from tests.monitoring.looks import row_of


@pytest.fixture(scope="module")
def flights() -> tuple[Profile, Any]:
    from sklearn.linear_model import LogisticRegression

    data = samples.months()
    names = ("distance", "hour", "carrier", "origin", "dest")
    features = np.column_stack([data["distance"] / 1000, data["hour"], data["hour"] ** 2 / 20])
    random = np.random.default_rng(0)
    winter = random.permutation(np.flatnonzero(data["month"] <= 3))
    fitted, held = winter[:9000], winter[9000:15_000]
    model = LogisticRegression(max_iter=1000).fit(features[fitted], data["late"][fitted])

    def window(rows: Any) -> tuple[samples.Columns, Any, Any]:
        return {n: data[n][rows] for n in names}, model.predict_proba(features[rows])[:, 1], data["late"][rows]

    columns, scores, labels = window(held)
    signature = samples.signature(distance="long", hour="long", carrier="string", origin="string", dest="string")
    profile = build(columns, signature, scores=scores, labels=labels, task="classification", classes=(False, True))

    def monitor(rows: Any) -> MonitorResult:
        columns, scores, labels = window(rows)
        return run(MonitorInput("flights", profile, samples.window(columns, scores, labels), model_version="flights/1"))

    return profile, lambda month: monitor(winter[15_000:] if month == 0 else np.flatnonzero(data["month"] == month))


def test_more_flights_of_the_same_winter_raise_nothing(flights: Any) -> None:
    assert flights[1](0).verdict.status == "ok"


@pytest.mark.parametrize("month", [4, 6, 7])
def test_the_late_months_of_2013_are_alarms_because_labels_moved(flights: Any, month: int) -> None:
    result = flights[1](month)
    assert result.verdict.status == "alarm"
    assert "accuracy fell" in result.verdict.sentence
    assert row_of(result, "__label__").drifted


def test_a_month_that_is_ranked_worse_and_predicted_better_is_a_warning(flights: Any) -> None:
    result = flights[1](9)
    rows = [replace(row, worse=True) if row.metric == "roc_auc" else row for row in result.performance]
    assert performance_grade(rows) == "warn"
    without_gain = [row for row in rows if row.metric != "log_loss" and row.metric != "accuracy"]
    assert performance_grade(without_gain) == "alarm"


def test_the_calm_september_is_no_alarm(flights: Any) -> None:
    result = flights[1](9)
    assert result.verdict.status == "warn"
    assert "accuracy holds" in result.verdict.sentence
