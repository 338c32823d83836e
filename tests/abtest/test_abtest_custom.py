"""What a design may bring: metrics of its own, a cap, covariates, more than one treatment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import Design
from mlprod_nb.abtest.expression import checked
from mlprod_nb.abtest.rows import with_inputs
from mlprod_nb.errors import InvalidInput, MlprodError, NotFound, UsageError
from tests.abtest.readings import NAMES, design, result
from tests.abtest.tables import labelled, right_or_wrong


def latencies(count: int = 4_000, *, more: float = 0.0, tail: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(8)
    variant = [NAMES[i % 2] for i in range(count)]
    values = rng.gamma(2, 3, count) + more * np.array([name == "challenger" for name in variant])
    values = np.where(rng.random(count) < tail, 1e5 * rng.random(count), values)
    table = labelled(variant, score=list(rng.random(count)))
    return table.set_column(table.column_names.index("latency_ms"), "latency_ms", pa.array(values, pa.float32()))


def test_a_metric_may_be_an_expression_of_the_design() -> None:
    body = "metrics: {slow: {value: latency_ms > 10, better: lower, needs_labels: false}}\nprimary: slow"
    found = result(latencies(more=3), body)
    table = latencies(more=3).to_pandas()
    shares = (table["latency_ms"] > 10).groupby(table["variant"]).mean()
    lift = found.metrics[0]
    assert (lift.control, lift.treatment) == pytest.approx((shares["champion"], shares["challenger"]))
    assert lift.read_by == "exact e-process, valid at every look"
    assert found.decision == "roll back"


def test_a_metric_may_be_a_sum_over_a_sum() -> None:
    body = "metrics: {ms_per_score: {value: latency_ms, denominator: score, better: lower, needs_labels: false}}"
    lift = result(latencies(), f"{body}\nprimary: ms_per_score").metrics[0]
    table = latencies().to_pandas()
    sums = table.groupby("variant")[["latency_ms", "score"]].sum()
    assert lift.control == pytest.approx(sums["latency_ms"]["champion"] / sums["score"]["champion"])
    assert lift.difference_lower is not None


def test_a_design_with_everything_reads_as_it_was_written() -> None:
    body = "metrics: {sure: score > 0.9}\nprimary: sure\ncap: 0.99\ncovariates: [hour]\nvariants: [a, b, c]"
    written = design(body, ("a", "b", "c"))
    assert Design.from_dict(written.to_dict()) == written
    assert "b and c against a on sure, alpha 0.05" in written.describe()
    old = {key: value for key, value in design("").to_dict().items() if key not in ("custom", "others", "cap")}
    assert Design.from_dict(old) == design("")


@pytest.mark.parametrize(
    "text",
    [
        "score); DROP TABLE scored; --",
        "score; select 1",
        "score -- comment",
        "score /* x */",
        "(SELECT count(*) FROM scored)",
        "read_text('/etc/passwd')",
        "getenv('HOME')",
        "variant = 'challenger'",
        '"unit"',
        "score::VARCHAR",
        "query('select 1')",
        "scored.score",
        "$$x$$",
        "score [1]",
        "CAST(score AS VARCHAR)",
        "score +",
        "((score)",
        "score) + (score",
        "",
        "ｓcore",
        "'unclosed",
        "score" + " + score" * 1_000,
    ],
)
def test_what_is_no_expression_over_a_row_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="'mine'"):
        checked("metric 'mine'", text)


@pytest.mark.parametrize(
    ("text", "row", "value"),
    [
        ("CASE WHEN score > .5 THEN 1e2 ELSE 0 END", {"score": 0.6}, 100.0),
        ("abs(score - label_number) between 0.1 and 0.3", {"score": 0.4, "label_number": 0.2}, 1.0),
        ("prediction in ('it''s', 'b')", {"prediction": "it's"}, 1.0),
        ("score - -1", {"score": 1.0}, 2.0),
        ("coalesce(label_number, 7)", {}, 7.0),
    ],
)
def test_an_expression_means_what_it_says(text: str, row: dict[str, Any], value: float) -> None:
    import duckdb

    filled = {"prediction": "x", "score": 0.0, "label_number": None, "latency_ms": 0.0, **row}
    columns = ", ".join(f"? AS {name}" for name in filled)
    sql = f"SELECT ({checked('mine', text)})::DOUBLE FROM (SELECT {columns})"
    assert duckdb.connect().execute(sql, list(filled.values())).fetchall() == [(value,)]


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (
            "metrics: {slow: latency > 9}",
            NotFound,
            "'slow' 'latency'. Did you mean 'latency_ms'",
        ),
        ("metrics: {slow: 'abz(score)'}", NotFound, "Did you mean 'abs'"),
        ("metrics: {accuracy: score}", UsageError, "metric 'accuracy' is built in"),
        ("metrics: {mine: {value: score, bettr: lower}}", NotFound, "Did you mean 'better'"),
        ("metrics: {mine: {better: lower}}", UsageError, "metric 'mine' has no value"),
        ("metrics: {mine: {value: score, better: up}}", UsageError, "better is 'up'"),
        ("metrics: [score]", UsageError, "metrics is a mapping"),
        ("metrics: {mine: score}\nprimary: mini", NotFound, "Did you mean 'mine'"),
        ("cap: 0.2", UsageError, "cap is 0.2"),
        ("covariates: 3", UsageError, "covariates is 3"),
        ("variants: [champion, challenger, challenger]", UsageError, "named twice"),
        ("variants: [champion]", UsageError, "a list of two or more"),
    ],
)
def test_a_wrong_key_of_a_design_is_named(body: str, error: type[MlprodError], message: str) -> None:
    with pytest.raises(error, match=message):
        design(body)


def test_a_cap_makes_a_mean_with_a_heavy_tail_readable() -> None:
    table = latencies(more=1.0, tail=0.01)
    plain = result(table, "primary: latency_ms")
    capped = result(table, "primary: latency_ms\ncap: 0.95")
    assert plain.decision != "roll back"
    assert capped.decision == "roll back"
    assert any("the 0.95 quantile of the first 1,000, are cut down to it" in note for note in capped.notes)
    assert "values cut at the 0.95 quantile" in capped.design


def test_a_cap_leaves_rare_proportions_alone() -> None:
    table = right_or_wrong([NAMES[i % 2] for i in range(4_000)], [i % 50 < 2 for i in range(4_000)])
    assert result(table, "cap: 0.9").metrics == result(table, "").metrics


def test_covariates_narrow_the_interval_without_moving_it_far() -> None:
    rng = np.random.default_rng(4)
    count = 6_000
    x = rng.normal(0, 1, count)
    table = latencies(count)
    latency = pa.array(20 + 3 * x + rng.normal(0, 1, count), pa.float32())
    table = table.set_column(table.column_names.index("latency_ms"), "latency_ms", latency)
    columns = [pa.array(x, mask=rng.random(count) < 0.01), pa.array(["a"] * count)]
    inputs = pa.StructArray.from_arrays(columns, ["hour", "carrier"])
    table = table.append_column("inputs", inputs)
    plain = result(table, "primary: latency_ms").metrics[0]
    found = result(with_inputs(table, ["hour"]), "primary: latency_ms\ncovariates: [hour]")
    lift = found.metrics[0]
    assert lift.difference_lower is not None
    assert lift.difference_upper is not None
    assert plain.difference_lower is not None
    assert plain.difference_upper is not None
    narrowed = (lift.difference_upper - lift.difference_lower) / (plain.difference_upper - plain.difference_lower)
    # 1 - R² is 0.1 but for the missing ones, so the width is about a third.
    assert 0.25 < narrowed < 0.5
    assert lift.difference_lower < 0 < lift.difference_upper
    assert len(found.path) == 20
    with pytest.raises(NotFound, match="Did you mean 'hour'"):
        with_inputs(table, ["huor"])
    with pytest.raises(InvalidInput, match="covariate 'carrier' holds no numbers"):
        with_inputs(table, ["carrier"])


def three(count: int, chances: tuple[float, float, float], seed: int = 3) -> pa.Table:
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, 3, count)
    return right_or_wrong([("champion", "b", "c")[at] for at in arm], list(rng.random(count) < np.array(chances)[arm]))


@pytest.mark.parametrize(
    ("chances", "decision", "words"),
    [
        ((0.7, 0.7, 0.8), "ship", "2 treatments. c: ship c: accuracy is"),
        ((0.7, 0.78, 0.85), "ship", "2 treatments. c: ship c"),
        ((0.8, 0.7, 0.6), "roll back", "2 treatments. c: roll back c"),
        ((0.8, 0.6, 0.8), "roll back", "(c: keep going)"),
        ((0.7, 0.7, 0.7), "keep going", "2 treatments. "),
    ],
)
def test_each_treatment_is_compared_and_the_best_is_shipped(
    chances: tuple[float, float, float], decision: str, words: str
) -> None:
    thirds = dict.fromkeys(("champion", "b", "c"), 1 / 3)
    found = result(three(9_000, chances), "variants: [champion, b, c]", thirds)
    assert (found.decision, words in found.verdict.sentence) == (decision, True), found.verdict.sentence
    assert [arm.treatment for arm in found.arms] == ["b", "c"]
    assert found.metrics[0].confidence == pytest.approx(0.975)
    assert all(arm.p_adjusted is not None for arm in found.arms)
    assert "arms" in [section.title for section in found.sections()]
    routed = found.verdict.action == "%mlprod route flights champion=100"
    assert routed == all(arm.decision == "roll back" for arm in found.arms)


def test_where_a_row_makes_an_expression_fail_the_row_does_not_count() -> None:
    table = labelled([NAMES[i % 2] for i in range(200)], prediction=["7" if i % 4 < 2 else "seven" for i in range(200)])
    body = "metrics: {said: {value: prediction, needs_labels: false}}\nprimary: said"
    lift = result(table, body).metrics[0]
    assert (lift.rows_control, lift.control) == (50, 7.0)
