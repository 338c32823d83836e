"""Metrics: their values, and the conformance suite that every metric passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlprod_nb.abtest.metrics import BUILT_IN, ENTRY_POINTS, Metric, Outcome, available, default_metric, find
from mlprod_nb.abtest.outcome import names_failed
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.errors import NotFound, UsageError
from tests.abtest.tables import labelled

BINARY = Outcome("classification", ("0", "1"))
REGRESSION = Outcome("regression")
OUTCOMES = (BINARY, Outcome("classification", ("it's", "b", "c")), REGRESSION)


def mean(metric: str, outcome: Outcome, **columns: object) -> tuple[float, int]:
    table = labelled(**columns)  # type: ignore[arg-type]
    with open_scan(table, outcome) as scan:
        sums = scan.sums({metric: find(metric)})[metric]["champion"]
    return sums.sample().mean, sums.rows


def _refusal(metric: Metric, outcome: Outcome) -> str:
    try:
        metric.value(outcome)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("metric", available().values(), ids=lambda metric: metric.name)
class TestEveryMetric:
    def test_has_the_shape_of_the_protocol(self, metric: Metric) -> None:
        assert isinstance(metric, Metric)
        assert metric.better in ("higher", "lower", "same")
        assert metric.tolerance >= 0

    def test_is_found_by_its_own_name(self, metric: Metric) -> None:
        assert find(metric.name) is metric
        assert metric.name.isidentifier()

    def test_says_which_task_it_does_not_fit(self, metric: Metric) -> None:
        refusals = [refusal for outcome in OUTCOMES if (refusal := _refusal(metric, outcome))]
        assert all(metric.name in refusal for refusal in refusals)
        assert len(refusals) < len(OUTCOMES)

    def test_gives_no_value_of_what_a_model_failed_on_unless_it_names_it(self, metric: Metric) -> None:
        nothing = {"prediction": [None], "score": [None], "latency_ms": [None], "failed": [True]}
        table = labelled(["champion"], **nothing)  # type: ignore[arg-type]
        for outcome in OUTCOMES:
            if not (_refusal(metric, outcome) or names_failed(metric.value(outcome))):
                with open_scan(table, outcome) as scan:
                    assert scan.sums({metric.name: metric})[metric.name] == {}

    def test_gives_the_same_value_twice(self, metric: Metric) -> None:
        for outcome in OUTCOMES:
            if not _refusal(metric, outcome):
                assert metric.value(outcome) == metric.value(outcome)


def test_accuracy_is_the_share_of_right_predictions_with_feedback() -> None:
    found = mean(
        "accuracy",
        BINARY,
        variant=["champion"] * 4,
        prediction=["1", "1", "0", "0"],
        label=["1", "0", "0", None],
    )
    assert found == pytest.approx((2 / 3, 3))


def test_brier_is_the_mean_squared_distance_of_the_score() -> None:
    found = mean("brier", BINARY, variant=["champion"] * 3, score=[0.9, 0.2, 0.4], label=["1", "0", "1"])
    assert found == pytest.approx(((0.01 + 0.04 + 0.36) / 3, 3))


def test_absolute_error_skips_what_is_not_finite() -> None:
    found = mean(
        "absolute_error",
        REGRESSION,
        variant=["champion"] * 3,
        score=[10.0, 3.0, float("inf")],
        label=["12.5", "3", "1"],
        label_number=[12.5, 3.0, 1.0],
    )
    assert found == pytest.approx((1.25, 2))


def test_positive_rate_and_latency_need_no_feedback() -> None:
    variant = ["champion"] * 4
    assert mean("positive_rate", BINARY, variant=variant, prediction=["1", "0", "0", "0"]) == (0.25, 4)
    assert mean("latency_ms", BINARY, variant=variant, latency_ms=[1.0, 2.0, 3.0, None]) == (2.0, 3)


def test_feedback_may_write_a_class_as_a_number_or_a_truth_value() -> None:
    table = {"variant": ["champion"] * 3, "prediction": ["1"] * 3, "label_number": [1.0, 1.0, 0.0]}
    assert mean("accuracy", BINARY, label=["1.0", "True", "0.0"], **table)[0] == pytest.approx(2 / 3)
    truth = Outcome("classification", ("False", "True"))
    table["prediction"] = ["True"] * 3
    assert mean("accuracy", truth, label=["1", "1", "0"], **table)[0] == pytest.approx(2 / 3)


def test_class_names_are_data_and_never_sql() -> None:
    hostile = "x' OR '1'='1"
    outcome = Outcome("classification", ("a", hostile))
    columns = {"variant": ["champion"] * 2, "prediction": [hostile, "a"], "label": [hostile, "z' --"]}
    assert mean("accuracy", outcome, **columns) == (1.0, 1)
    assert mean("positive_rate", outcome, **columns) == (0.5, 2)


def test_brier_refuses_three_classes() -> None:
    with pytest.raises(UsageError, match="two classes; this endpoint has 3"):
        find("brier").value(Outcome("classification", ("a", "b", "c")))


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(NotFound, match="Did you mean 'accuracy'"):
        find("acuracy")


def test_each_task_has_a_default_metric_that_fits() -> None:
    assert BUILT_IN[default_metric("classification")].value(BINARY)
    assert BUILT_IN[default_metric("regression")].value(REGRESSION)


def test_metrics_of_other_packages_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_metrics.py").write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Half:\n"
        "    name: str = 'half'\n    better: str = 'higher'\n    needs_labels: bool = False\n"
        "    tolerance: float = 0.0\n"
        "    def value(self, outcome):\n        return '0.5'\n"
        "half = Half()\n"
    )
    info = tmp_path / "their_metrics-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-metrics\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nhalf = their_metrics:half\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert isinstance(find("half"), Metric)
    assert mean("half", BINARY, variant=["champion"] * 2) == (0.5, 2)
