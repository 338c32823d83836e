"""Data that must not answer, since something is not in order, and data that cannot: each ends in a clear statement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import plots
from mlprod_nb.errors import InvalidInput, UsageError
from tests.abtest.readings import NAMES, arms, result, rights
from tests.abtest.tables import labelled, right_or_wrong


def test_a_mismatched_split_is_invalid_whatever_the_lift() -> None:
    table = right_or_wrong(arms(6_000), rights(6_000, 0.7, 0.9))
    found = result(table, shares={"champion": 0.6, "challenger": 0.4})
    assert (found.decision, found.exit_code) == ("invalid", 1)
    assert "sample ratio mismatch: champion has 50.0 % of the units instead of 60.0 %" in found.verdict.sentence
    assert not found.sample_ratio.ok


def test_the_split_is_counted_in_units_not_in_rows() -> None:
    variant = ["champion"] * 3_000 + ["challenger"] * 1_000
    unit = [f"a{i % 500}" for i in range(3_000)] + [f"b{i % 500}" for i in range(1_000)]
    found = result(right_or_wrong(variant, rights(4_000, 0.7, 0.7), unit))
    assert found.sample_ratio.observed == {"champion": 500, "challenger": 500}
    assert found.sample_ratio.p_value == 1.0
    assert found.decision != "invalid"


def test_units_that_met_both_variants_are_counted_and_too_many_are_invalid() -> None:
    unit = [f"u{i // 2 if i < 20 else i}" for i in range(2_000)]
    few = result(right_or_wrong(arms(2_000), rights(2_000, 0.7, 0.7), unit))
    assert few.sample_ratio.units_in_two_variants == 10
    assert few.decision == "keep going"
    assert any("10 units met more than one variant" in note for note in few.notes)
    unit = [f"u{i // 2 if i < 200 else i}" for i in range(2_000)]
    many = result(right_or_wrong(arms(2_000), rights(2_000, 0.7, 0.7), unit))
    assert (many.decision, many.exit_code) == ("invalid", 1)
    assert "100 of 2,000 units met more than one variant" in many.verdict.sentence


def test_a_variant_answered_by_two_versions_is_invalid() -> None:
    table = right_or_wrong(arms(2_000), rights(2_000, 0.7, 0.7))
    version = [3 if i % 2 == 0 else 4 + (i > 1_000) for i in range(2_000)]
    table = table.set_column(table.column_names.index("version"), "version", pa.array(version, pa.int32()))
    found = result(table)
    assert found.decision == "invalid"
    assert "variant 'challenger' was answered by flights/4 and flights/5" in found.verdict.sentence


def test_feedback_that_favours_a_variant_is_invalid() -> None:
    right = rights(6_000, 0.7, 0.8)
    missing = np.random.default_rng(6).random(6_000) < np.where(np.arange(6_000) % 2 == 1, 0.4, 0.1)
    label = [None if gone else "1" if r else "0" for gone, r in zip(missing, right, strict=True)]
    found = result(labelled(arms(6_000), prediction=["1"] * 6_000, label=label))
    assert (found.decision, found.verdict.status, found.exit_code) == ("invalid", "alarm", 1)
    assert "the variants differ in how much feedback came in: champion has feedback on" in found.verdict.sentence
    assert found.verdict.action == ""
    assert found.labelled_share == pytest.approx({"champion": 0.9, "challenger": 0.6}, abs=0.03)


@pytest.mark.parametrize(
    ("table", "decision", "words"),
    [
        (labelled([]), "keep going", "no feedback has come in"),
        (labelled(arms(200), prediction=["1"] * 200), "keep going", "no feedback has come in"),
        (right_or_wrong(arms(2), [True, False]), "keep going", "has 1 unit with a value of accuracy; 30 are needed"),
        (
            right_or_wrong(arms(200), rights(200, 0.5, 0.5), [NAMES[i % 2] for i in range(200)]),
            "keep going",
            "has 1 unit with a value of accuracy",
        ),
        (right_or_wrong(arms(200), [True] * 200), "keep going", "accuracy is the same for every unit"),
        (
            right_or_wrong(arms(200), [i % 2 == 1 for i in range(200)], [f"N{i // 4 * 2 + i % 2}" for i in range(200)]),
            "keep going",
            "accuracy is 0 for every unit of 'champion' and 1 for every unit of 'challenger', so there is no variance",
        ),
        (right_or_wrong(["champion"] * 9, [True] * 9), "keep going", "variant 'challenger' has no feedback yet"),
        (right_or_wrong(["champion"] * 99, [True] * 99), "invalid", "challenger has 0.0 % of the units"),
        (
            labelled(arms(200), prediction=["1"] * 200, label=["late"] * 200),
            "invalid",
            "100 labels of champion cannot be used, as 'late'",
        ),
    ],
    ids=[
        "empty",
        "no feedback",
        "two rows",
        "one unit",
        "no variance",
        "no variance within",
        "little",
        "no traffic",
        "labels",
    ],
)
def test_data_that_cannot_answer_are_a_clear_statement(table: pa.Table, decision: str, words: str) -> None:
    found = result(table)
    assert found.decision == decision
    assert words in found.verdict.sentence
    assert found.exit_code == (1 if decision == "invalid" else 0)
    assert found.metrics[0].difference_lower is None
    assert str(found)
    assert found._repr_html_()
    assert found.to_json()
    assert plots.sequence_svg(found) == ""
    assert plots.intervals_svg(found) == ""


def test_regression_feedback_that_is_no_number_is_a_clear_statement() -> None:
    found = result(labelled(arms(200), label=["soon"] * 200), classes=())
    assert found.decision == "invalid"
    assert "as 'soon'" in found.verdict.sentence


def test_a_variant_outside_the_split_is_invalid() -> None:
    found = result(right_or_wrong(arms(200), rights(200, 0.7, 0.7)), shares={"champion": 1.0, "challenger": 0.0})
    assert found.decision == "invalid"
    assert "the split gives variant 'challenger' no traffic" in found.verdict.sentence


def test_a_missing_column_and_an_unfit_metric_are_errors_of_the_caller() -> None:
    table = right_or_wrong(arms(100), [True] * 100)
    with pytest.raises(InvalidInput, match=r"no column 'variant'\. The nearest is 'variants'"):
        result(table.rename_columns(["variants" if n == "variant" else n for n in table.column_names]))
    with pytest.raises(UsageError, match="'brier' needs two classes; this endpoint has 3"):
        result(table, "primary: brier", classes=("a", "b", "c"))


@pytest.mark.parametrize("seed", range(24))
def test_no_data_whatever_end_in_anything_but_a_result(seed: int) -> None:
    """Labels of any kind, missing and absurd numbers, empty names, units without a pattern."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 400))
    numbers = [None, float("nan"), float("inf"), -1e308, 1e308, 1e200, 0.0, 0.5, 1.0, 5e-324]
    words = [None, "", "0", "1", "1.0", "True", "late", "'; DROP TABLE predictions; --", "\u0000", "❄"]

    def draw(values: list[Any]) -> list[Any]:
        return [values[i] for i in rng.integers(0, len(values), count)]

    table = labelled(
        draw([*NAMES, *NAMES, *NAMES, "shadow"]),
        unit=draw([None, "", "a", *map(str, range(200))]),
        prediction=draw(words),
        score=draw(numbers),
        label=draw(words),
        label_number=draw(numbers),
        latency_ms=pa.array(draw([None, float("nan"), 0.0, 1.0, 1e30]), pa.float32()),
    )
    task_classes = [(0, 1), (False, True), ("late", "❄"), ()][seed % 4]
    primary = "absolute_error" if not task_classes else ("accuracy", "brier")[seed % 2]
    method = ("method: planned\nlooks: 3\nexpected_rows: 60", "method: fixed\nexpected_rows: 50", "")[seed % 3]
    found = result(table, f"primary: {primary}\nguardrails: [latency_ms]\n{method}", classes=task_classes)
    assert found.exit_code in (0, 1)
    assert str(found)
    assert found.to_json()
    assert found._repr_html_()
    assert plots.sequence_svg(found) is not None
    assert plots.intervals_svg(found) is not None
