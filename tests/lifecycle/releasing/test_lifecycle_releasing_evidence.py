"""What a look judges: failed requests from the gateway's counters, and metrics by their intervals."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from mlprod_nb.abtest import MetricLift
from mlprod_nb.lifecycle.releasing import counters
from mlprod_nb.lifecycle.releasing.counters import Counts, Failures
from mlprod_nb.lifecycle.releasing.evidence import judge_errors, judge_metric, variant_name
from mlprod_nb.lifecycle.releasing.plan import Plan, Step
from mlprod_nb.settings import ReleaseSettings

PLAN = Plan.of(ReleaseSettings(), alias="champion", default_metric="accuracy")
TOLD = """
# TYPE mlprod_prediction_seconds histogram
mlprod_prediction_seconds_bucket{endpoint="flights",variant="champion",le="0.1"} 90
mlprod_prediction_seconds_count{endpoint="flights",variant="champion"} 90
mlprod_prediction_seconds_sum{endpoint="flights",variant="champion"} 1.5
mlprod_prediction_seconds_count{endpoint="flights",variant="v2"} 10
mlprod_prediction_seconds_count{endpoint="other",variant="champion"} 7
# TYPE mlprod_model_errors counter
mlprod_model_errors_total{endpoint="flights",shadow="false",variant="v2"} 3
mlprod_model_errors_total{endpoint="flights",shadow="true",variant="v2"} 4
"""


def lift(low: float | None, high: float | None, *, better: Any = "higher") -> MetricLift:
    middle = None if low is None or high is None else (low + high) / 2
    return MetricLift("accuracy", "primary", better, 0.8, 0.75, middle, low, high, 0.95, False, 50, 40, 50, 40)


def test_the_gateways_counters_are_read_by_variant_of_one_endpoint() -> None:
    found = counters.read(TOLD, "flights")
    assert found["answered"] == Counter({"champion": 90, "v2": 10})
    assert found["failed"] == Counter({"v2": 3, "v2/shadow": 4})


@pytest.mark.parametrize(
    ("share", "expected"),
    [(10.0, (0, 90, 3, 13)), (0.0, (0, 90, 4, 90)), (100.0, (0, 10, 3, 13))],
)
def test_whoever_is_in_shadow_is_asked_whatever_the_other_answered(
    share: float, expected: tuple[int, int, int, int]
) -> None:
    counts = Counts(counters.read(TOLD, "flights")["answered"], counters.read(TOLD, "flights")["failed"])
    found = counts.of("champion", "v2", Step("canary" if share else "shadow", share))
    assert (
        found.champion_failed,
        found.champion_requests,
        found.candidate_failed,
        found.candidate_requests,
    ) == expected


@pytest.mark.parametrize(
    ("failed", "judged"),
    [
        (Failures(0, 1_000, 50, 100), "harm"),
        (Failures(0, 1_000, 0, 20), "open"),
        (Failures(10, 20_000, 11, 20_000), "within"),
        (Failures(500, 1_000, 60, 100), "open"),
        (Failures(0, 1_000, 0, 0), "not judged"),
    ],
)
def test_errors_are_harm_only_where_the_least_exceeds_the_champions_most(failed: Failures, judged: str) -> None:
    assert judge_errors(failed, PLAN, alpha=0.002).judged == judged


@pytest.mark.parametrize(
    ("low", "high", "judged"),
    [(-0.2, -0.06, "harm"), (-0.2, 0.1, "open"), (-0.04, 0.1, "within"), (None, None, "not judged")],
)
def test_a_metric_is_judged_by_the_whole_of_its_interval(low: float | None, high: float | None, judged: str) -> None:
    assert judge_metric(lift(low, high), {"accuracy": 0.05}).judged == judged
    if low is not None and high is not None:
        turned = replace(lift(-high, -low), better="lower")
        assert judge_metric(turned, {"accuracy": 0.05}).judged == judged


def test_any_move_of_what_has_no_better_side_is_harm_and_within_means_both_sides() -> None:
    same = lift(0.06, 0.2, better="same")
    assert judge_metric(same, {"accuracy": 0.05}).judged == "harm"
    assert judge_metric(lift(-0.2, 0.01, better="same"), {"accuracy": 0.05}).judged == "open"
    assert judge_metric(lift(-0.02, 0.01, better="same"), {"accuracy": 0.05}).judged == "within"


def test_a_candidates_variant_is_called_by_its_number() -> None:
    assert variant_name("flights/12") == "v12"
