"""A variant whose model fails: its rows leave no answer, and a test must see that they are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import ABTestResult, parse
from mlprod_nb.abtest.results import MetricLift
from mlprod_nb.errors import UsageError
from tests.abtest.readings import NAMES, design, result
from tests.abtest.tables import START, labelled

ROWS = 6_000
SLOW = "metrics: {slow: {value: 'case when latency_ms > 10 then 1 else 0 end', better: same, needs_labels: false}}\n"
LOST = "metrics: {lost: {value: failed, better: lower, needs_labels: false}}\n"


def failing(share: float, *, units: int = 0, right: float = 0.7) -> pa.Table:
    """Return answers, the champion's right in seven of ten, but for a share of the challenger's rows, which failed."""
    rng = np.random.default_rng(5)
    who = rng.integers(0, units, ROWS) if units else np.arange(ROWS)
    variant = [NAMES[number % 2] for number in who]
    failed = (rng.random(ROWS) < share) & (who % 2 == 1)
    hits = rng.random(ROWS) < np.where(who % 2 == 1, right, 0.7)

    def answered(values: Any) -> list[Any]:
        return [None if lost else value for value, lost in zip(values, failed, strict=True)]

    return labelled(
        variant,
        unit=[f"N{number}" for number in who] if units else None,
        prediction=answered(["1"] * ROWS),
        score=answered([0.5] * ROWS),
        label=answered(["1" if hit else "0" for hit in hits]),
        latency_ms=pa.array(answered([20.0] * ROWS), pa.float32()),
        failed=failed,
    )


def guard(found: ABTestResult, metric: str = "error_rate") -> MetricLift:
    return next(lift for lift in found.metrics if lift.metric == metric)


@pytest.mark.parametrize("units", [0, 1_500], ids=["each row its own unit", "units of several rows"])
@pytest.mark.parametrize("body", ["", "method: fixed\nexpected_rows: 5000\n"], ids=["always valid", "fixed"])
def test_a_variant_that_fails_more_is_rolled_back_by_its_guardrail(units: int, body: str) -> None:
    found = result(failing(0.06, units=units), body + "guardrails: [error_rate]")
    lift = guard(found)
    assert lift.control == 0.0
    assert lift.treatment == pytest.approx(0.06, abs=0.012)
    assert lift.significant
    assert found.decision == "roll back"
    assert "error_rate" in found.verdict.sentence


def test_its_units_count_in_the_sample_ratio_and_its_answers_alone_in_all_else() -> None:
    table = failing(0.5)
    found = result(table, SLOW + "guardrails: [error_rate, latency_ms, slow]")
    lost = int(np.sum(table["failed"].to_numpy()))
    assert found.rows == ROWS - lost
    assert found.labelled_share == {"champion": 1.0, "challenger": 1.0}
    assert all(check.ok for check in found.health), found.health
    assert guard(found, "accuracy").rows_treatment == guard(found, "slow").rows_treatment == ROWS // 2 - lost
    assert guard(found, "slow").treatment == 1.0
    assert guard(found, "accuracy").treatment == pytest.approx(0.7, abs=0.03)
    assert guard(found).rows_treatment == ROWS // 2


def test_a_guardrail_that_is_worse_and_maybe_within_what_is_allowed_is_told_before_anybody_ships() -> None:
    found = result(failing(0.06), "guardrails: {error_rate: 0.05}")
    assert (found.decision, found.verdict.status, found.exit_code) == ("keep going", "warn", 0)
    assert "Guardrail error_rate is 0.06167 against 0, lower is better" in found.verdict.sentence
    assert found.verdict.sentence.endswith(": worse, and maybe by more than the allowed 0.05.")
    better = failing(0.06, right=0.8)
    shipped = result(better, "guardrails: {error_rate: 0.05}")
    assert (shipped.decision, shipped.verdict.status) == ("ship", "warn")
    assert shipped.verdict.sentence.endswith(": worse, and maybe by more than the allowed 0.05.")
    allowed = result(better, "guardrails: {error_rate: 0.2}")
    assert (allowed.decision, allowed.verdict.status) == ("ship", "ok")
    assert allowed.verdict.sentence.endswith("and no guardrail is hurt.")


def test_a_variant_that_fails_always_is_told() -> None:
    found = result(failing(1.0), "guardrails: [error_rate]")
    assert found.labelled_share["challenger"] == 0.0
    assert guard(found).treatment == 1.0
    assert found.decision == "roll back"


def test_an_expression_may_name_what_failed() -> None:
    body = LOST + "guardrails: {lost: 0.01, error_rate: 0.01}"
    found = result(failing(0.06), body)
    assert guard(found, "lost").treatment == guard(found).treatment


def test_covariates_which_a_failed_row_has_none_of_do_not_adjust_it() -> None:
    table = failing(0.06).append_column("covariate distance", pa.array(np.linspace(0, 1, ROWS)))
    with_covariates = result(table, "guardrails: [error_rate]\ncovariates: [distance]")
    assert guard(with_covariates) == guard(result(failing(0.06), "guardrails: [error_rate]"))


def test_where_nothing_failed_the_error_rate_is_zero_in_both() -> None:
    lift = guard(result(failing(0.0).drop_columns(["failed"]), "guardrails: [error_rate]"))
    assert (lift.control, lift.treatment, lift.significant) == (0.0, 0.0, False)


def test_what_can_have_no_failed_rows_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'error_rate' cannot be compared by segments"):
        design("primary: error_rate\nsegments: [distance]")
    with pytest.raises(UsageError, match="'lost' cannot be compared by segments"):
        design(LOST + "primary: lost\nsegments: [distance]")
    with pytest.raises(UsageError, match="'error_rate' cannot be read in pairs: a shadow is not asked"):
        parse(
            "guardrails: [error_rate]",
            endpoint="flights",
            variants=["champion"],
            shadows=["challenger"],
            task="classification",
            started_at=START,
        )
