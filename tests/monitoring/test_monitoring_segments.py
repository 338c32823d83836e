from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from mlprod_nb.errors import UsageError
from mlprod_nb.monitoring import expressions, fairness, segments
from mlprod_nb.monitoring.columns import Coded
from mlprod_nb.monitoring.conditions import Condition
from mlprod_nb.monitoring.performance import Labelled
from mlprod_nb.monitoring.segments import Losses
from mlprod_nb.monitoring.traffic import Traffic

CARRIERS = ("UA", "EV", "DL")


def losses(random: np.random.Generator, rows: int, *, bad: float = 0.0) -> Losses:
    """One prediction in five is wrong; late flights of EV are wrong more often by ``bad``."""
    columns: dict[str, Any] = {
        "hour": random.integers(5, 24, rows).astype(np.float64),
        "carrier": Coded(random.integers(0, 3, rows), CARRIERS),
        "noise": np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows)),
    }
    late = (columns["hour"] > 17) & (columns["carrier"].codes == 1)
    wrong = random.random(rows) < np.where(late, 0.2 + bad, 0.2)
    return Losses("classification", wrong.astype(np.float64), columns)


def test_the_worst_pair_of_conditions_is_found_and_told_in_words() -> None:
    random = np.random.default_rng(0)
    found = segments.search(losses(random, 6000, bad=0.4), losses(random, 5000), 0.001)
    worst = found.rows[0]
    assert worst.worse
    assert "carrier = 'EV'" in " ".join(row.segment for row in found.rows)
    pair = next(row for row in found.rows if " and " in row.segment)
    assert "carrier = 'EV'" in pair.segment
    assert "hour > " in pair.segment
    assert pair.value < 0.5
    assert pair.fell
    assert pair.statement.startswith(f"accuracy {pair.value:.2f} where ")
    assert f"({pair.rows:,} rows), {pair.elsewhere:.2f} elsewhere" in pair.statement


def test_an_even_model_has_a_worst_segment_no_more_often_than_stated() -> None:
    random = np.random.default_rng(1)
    runs, alpha, found = 120, 0.1, 0
    for _ in range(runs):
        searched = segments.search(losses(random, 1500), losses(random, 1500), alpha)
        found += any(row.worse or row.fell for row in searched.rows)
    assert found <= stats.binom.ppf(1 - 1e-3, runs, 2 * alpha)


def test_a_segment_that_was_always_hard_is_worse_and_did_not_fall() -> None:
    random = np.random.default_rng(2)
    found = segments.search(losses(random, 6000, bad=0.4), losses(random, 6000, bad=0.4), 0.001)
    assert any(row.worse for row in found.rows)
    assert not any(row.fell for row in found.rows)


def test_a_segment_that_fell_to_the_common_level_is_found_too() -> None:
    random = np.random.default_rng(3)
    window, before = losses(random, 8000), losses(random, 8000)
    easy = before.columns["hour"] <= 10  # type: ignore[operator]
    found = segments.search(window, Losses("classification", np.where(easy, 0.0, before.values), before.columns), 0.001)
    assert any(row.fell and row.segment.startswith("hour <= ") for row in found.rows)


def test_every_pair_that_could_have_been_tried_is_counted() -> None:
    columns: dict[str, Any] = {
        "a": Coded(np.arange(400) % 2, ("x", "y")),
        "b": Coded(np.arange(400) // 200, ("u", "v")),
    }
    found = segments.search(Losses("classification", np.zeros(400), columns), None, 0.05)
    assert found.tried == 4 + 4
    assert found.rows == ()


def test_the_test_of_shares_is_fishers_and_that_of_errors_welchs() -> None:
    random = np.random.default_rng(4)
    a, b = (random.random(200) < 0.3).astype(float), (random.random(900) < 0.2).astype(float)
    table = [[a.sum(), 200 - a.sum()], [b.sum(), 900 - b.sum()]]
    rows = [("a", np.arange(1100) < 200, None)]
    (row,) = segments.named(rows, Losses("classification", np.concatenate([a, b]), {}), None, 0.05)
    assert row.p_value_corrected == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue, rel=1e-9)
    c, d = random.exponential(1.5, 200), random.exponential(1.0, 900)
    (row,) = segments.named(rows, Losses("regression", np.concatenate([c, d]), {}), None, 0.05)
    other = stats.ttest_ind(c, d, equal_var=False, alternative="greater").pvalue
    assert row.p_value_corrected == pytest.approx(other, rel=1e-9)
    assert row.metric == "mae"


def test_conditions_hold_where_their_sql_says() -> None:
    columns: dict[str, Any] = {
        "hour of day": np.array([1.0, 2.0, np.nan]),
        "g": Coded(np.array([0, 1, -1]), ("it's", "b")),
    }
    arrays = {"hour of day": pa.array([1.0, 2.0, None]), "g": pa.array(["it's", "b", None])}
    for condition in (
        Condition("hour of day", "<=", 1.5),
        Condition("hour of day", ">", 1.5),
        Condition("hour of day", "is null"),
        Condition("g", "=", "it's"),
        Condition("g", "is null"),
    ):
        holds = condition.holds(columns)
        assert holds is not None
        assert holds.tolist() == [bool(v) for v in expressions.evaluate(arrays, str(condition)).to_pylist()]
    assert Condition("absent", "is null").holds(columns) is None


# -- expressions of the user ----------------------------------------------------------------------------------------

ARRAYS = {"hour": pa.array([1, 20, 3]), "carrier": pa.array(["UA", None, "EV"])}


def test_an_expression_has_one_value_a_row_in_the_rows_order() -> None:
    assert expressions.evaluate(ARRAYS, "hour * 2").to_pylist() == [2, 40, 6]
    assert expressions.evaluate(ARRAYS, "hour >= 18 or carrier = 'EV'").to_pylist() == [False, True, True]


def test_a_columns_own_name_is_that_column_even_where_it_is_a_word_of_sql() -> None:
    columns = {"order": pa.array([3, None]), "two words": pa.array(["a", "b"]), "1": pa.array([5, 6])}
    for name, values in columns.items():
        assert expressions.evaluate(columns, name).to_pylist() == values.to_pylist()
    assert expressions.evaluate(columns, ' "order" * 2 ').to_pylist() == [6, None]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("hourr > 3", "'hourr', which is no input column"),
        ("hour >", "ends too early"),
        ("(hour > 3", "ends too early"),
        ("hour) AS x, (carrier", "more than one expression"),
        ("1) FROM inputs; DROP TABLE inputs; --", "cannot be evaluated"),
        ("(SELECT count(*) FROM read_csv('/etc/passwd'))", "cannot be evaluated"),
        ("(SELECT 1 FROM 'https://example.org/a.parquet')", "cannot be evaluated"),
        ("max(hour)", "is not one value a row"),
        (" ", "is empty"),
    ],
)
def test_a_strange_expression_is_one_clear_error_and_reaches_nothing(expression: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        expressions.evaluate(ARRAYS, expression)


# -- groups ---------------------------------------------------------------------------------------------------------


def traffic(random: np.random.Generator, rows: int, *, generous: float) -> Traffic:
    """Group b is chosen more often by ``generous``; labels do not depend on the group."""
    group = random.integers(0, 2, rows)
    chosen = (random.random(rows) < np.where(group == 1, 0.3 + generous, 0.3)).astype(np.int64)
    labels = (random.random(rows) < 0.4).astype(np.int64)
    known = random.random(rows) < 0.8
    return Traffic(Labelled(labels, chosen, chosen.astype(np.float64)), known, {"group": Coded(group, ("a", "b"))})


def test_groups_that_are_treated_otherwise_are_shown_with_intervals_and_holm() -> None:
    rows = fairness.compare(traffic(np.random.default_rng(5), 4000, generous=0.2), ["group"], 2)
    assert {row.measure for row in rows} == {"selection rate", "true positive rate", "false positive rate", "accuracy"}
    chosen = next(row for row in rows if row.measure == "selection rate" and row.group == "group = 'b'")
    assert chosen.difference == pytest.approx(0.2, abs=0.05)
    assert chosen.difference_lower < chosen.difference < chosen.difference_upper
    assert chosen.p_value_corrected < 1e-6
    assert chosen.rows > next(row.rows for row in rows if row.measure == "accuracy" and row.group == chosen.group)


def test_groups_that_are_treated_alike_differ_no_more_often_than_stated() -> None:
    random = np.random.default_rng(6)
    runs, flagged, covered = 150, 0, 0
    for _ in range(runs):
        rows = fairness.compare(traffic(random, 600, generous=0.0), ["group"], 2)
        flagged += any(row.p_value_corrected <= 0.05 for row in rows)
        covered += rows[0].difference_lower <= 0 <= rows[0].difference_upper
    assert flagged <= stats.binom.ppf(1 - 1e-3, runs, 0.05)
    assert covered >= stats.binom.ppf(1e-3, runs, 0.94)


def test_newcombes_interval_is_that_of_his_table() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80, and 5/56 against 0/29.
    assert fairness.newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert fairness.newcombe(5, 56, 0, 29) == pytest.approx((-0.0381, 0.1926), abs=5e-5)


def test_small_groups_and_absent_columns_are_left_out() -> None:
    assert fairness.compare(traffic(np.random.default_rng(7), 40, generous=0.0), ["group", "gone"], 2) == ()
