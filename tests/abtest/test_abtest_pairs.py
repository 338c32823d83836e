"""A shadow's test from rows to verdict."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import ABTestResult, analyse, parse
from mlprod_nb.errors import UsageError
from tests.abtest.tables import START, labelled

COUNT = 4_500


def shadowed(
    wins: float, losses: float, *, seed: int = 0, score: float = 0.0, unit: list[str] | None = None
) -> pa.Table:
    """Return requests that champion answered and challenger shadowed; right alone with these chances."""
    rng = np.random.default_rng(0)
    both = rng.random(COUNT) < 0.8
    draw = rng.random(COUNT)
    right = {"champion": both.copy(), "challenger": both.copy()}
    right["challenger"][~both] |= draw[~both] < wins / 0.2
    right["challenger"][both] &= draw[both] >= losses / 0.8
    truth = rng.random(COUNT) < 0.5
    parts = []
    for name in ("champion", "challenger"):
        said = np.where(right[name], truth, ~truth)
        noise = rng.normal(0, 1, COUNT) * 0.1
        parts.append(
            labelled(
                [name] * COUNT,
                unit=unit,
                prediction=["1" if one else "0" for one in said],
                label=["1" if one else "0" for one in truth],
                score=list(np.clip(0.5 + np.where(truth, 1, -1) * score * (name == "challenger") + noise, 0, 1)),
                shadow=[name == "challenger"] * COUNT,
            )
        )
    return pa.concat_tables([part.set_column(part.column_names.index("shadow"), "shadow", pa.array([i == 1] * COUNT))
                             for i, part in enumerate(parts)])  # fmt: skip


def result(table: pa.Table, body: str = "") -> ABTestResult:
    design = parse(
        body, endpoint="flights", variants=["champion"], shadows=["challenger"], task="classification", started_at=START
    )
    return analyse(table, design, shares={"champion": 1.0}, task="classification", classes=(0, 1))


def test_a_better_shadow_is_to_be_shipped_by_the_exact_test_in_pairs() -> None:
    found = result(shadowed(0.04, 0.02))
    assert found.decision == "ship"
    lift = found.metrics[0]
    assert lift.read_by == "exact test in pairs, valid at every look"
    assert (lift.rows_control, lift.rows_treatment) == (COUNT, COUNT)
    assert len(found.path) == 20
    assert "in pairs on the shadow's requests" in found.design


def test_the_order_of_the_rows_changes_nothing() -> None:
    table = shadowed(0.04, 0.02)
    mixed = table.take(pa.array(np.random.default_rng(1).permutation(table.num_rows)))
    assert result(mixed).metrics == result(table).metrics


def test_a_worse_shadow_is_not_shipped_and_a_like_one_goes_on() -> None:
    assert result(shadowed(0.01, 0.05)).decision == "roll back"
    assert result(shadowed(0.03, 0.03)).decision == "keep going"


def test_other_metrics_are_compared_by_their_paired_difference() -> None:
    found = result(shadowed(0.03, 0.03, score=0.1), "primary: auc\nguardrails: [brier]")
    assert found.decision == "ship"
    assert all(lift.p_value is None or lift.p_adjusted for lift in found.metrics)
    assert {lift.read_by for lift in found.metrics} == {"confidence sequence in pairs, valid at every look"}


def test_units_that_come_back_are_not_taken_for_independent_requests() -> None:
    found = result(shadowed(0.04, 0.02, unit=[f"N{i % 300}" for i in range(COUNT)]))
    assert found.metrics[0].read_by == "confidence sequence in pairs, valid at every look"
    assert found.metrics[0].units_control == 300


def test_no_shadow_rows_are_a_clear_statement() -> None:
    table = shadowed(0.04, 0.02)
    found = result(table.slice(0, COUNT))
    assert found.decision == "keep going"
    assert "no request with both answers has feedback yet" in found.verdict.sentence
    assert result(labelled([])).decision == "keep going"


def test_a_shadow_is_read_in_pairs_and_nothing_else_is() -> None:
    with pytest.raises(UsageError, match="'challenger' is a shadow, which is read in pairs; method is 'always-valid'"):
        result(labelled([]), "method: always-valid")
    with pytest.raises(UsageError, match="'b' is no shadow, so it cannot be read in pairs"):
        parse("method: paired", endpoint="f", variants=["a", "b"], task="classification", started_at=START)


def test_looks_and_rows_make_a_plan() -> None:
    body = "looks: 4\nexpected_rows: 4000"
    design = parse(body, endpoint="f", variants=["a", "b"], task="classification", started_at=START)
    assert design.method == "planned"


def test_the_mid_p_beside_the_verdict_is_mcnemar_s_on_the_requests_that_one_alone_answered_right() -> None:
    from scipy.stats import binom

    table = shadowed(0.03, 0.025)
    found = result(table)
    rows = table.to_pandas()
    right = (rows["prediction"] == rows["label"]).to_numpy()
    wins, losses = (int((a & ~b).sum()) for a, b in ((right[COUNT:], right[:COUNT]), (right[:COUNT], right[COUNT:])))
    few, total = min(wins, losses), wins + losses
    wanted = 2 * binom.cdf(few, total, 0.5) - binom.pmf(few, total, 0.5)
    assert found.metrics[0].mid_p == pytest.approx(wanted)
    assert any("McNemar's mid-p of accuracy would be" in note for note in found.notes)
