from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlprod_nb.errors import Corrupt, ExecutionFailed, InvalidInput
from mlprod_nb.registry.bundles import Bundle, Column, Signature
from mlprod_nb.registry.onnx_runner import OnnxRunner, largest_difference, output_names, scores, to_arrays
from mlprod_nb.registry.runner import open_runner
from tests.registry.samples import fake_bundle, python_bundle

TYPES = Signature(
    (
        Column("double", "double", nullable=True),
        Column("long", "long", nullable=True),
        Column("boolean", "boolean", nullable=True),
        Column("string", "string", nullable=True),
    )
)
SOUND: dict[str, list[Any]] = {"double": [1, 2.5], "long": [1, 2], "boolean": [True, False], "string": ["a", ""]}


def test_plain_values_become_typed_arrays() -> None:
    arrays = to_arrays(TYPES, SOUND)
    assert [array.dtype for array in arrays.values()] == [np.float64, np.int64, np.bool_, np.object_]
    assert {name: array.tolist() for name, array in arrays.items()} == SOUND


def test_missing_numbers_become_nan_and_missing_texts_stay_none() -> None:
    arrays = to_arrays(TYPES, {name: [None, *values] for name, values in SOUND.items()})
    assert all(np.isnan(arrays[name][0]) for name in ("double", "long", "boolean"))
    assert arrays["string"][0] is None


def test_no_rows_are_no_rows() -> None:
    assert {len(array) for array in to_arrays(TYPES, {name: [] for name in SOUND}).values()} == {0}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("double", ["1.5"]),
        ("double", [True]),
        ("double", [[1.0]]),
        ("long", [1.5]),
        ("long", [1.5, None]),
        ("boolean", [2, None]),
        ("long", ["1"]),
        ("long", [2**70]),
        ("boolean", [1]),
        ("boolean", ["true"]),
        ("string", [1]),
        ("string", [["a"]]),
    ],
)
def test_a_value_of_another_type_is_refused_naming_the_column(column: str, values: list[Any]) -> None:
    rows = {name: [None] * len(values) for name in SOUND} | {column: values}
    with pytest.raises(InvalidInput, match=f"'{column}'") as caught:
        to_arrays(TYPES, rows)
    assert caught.value.column == column


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InvalidInput, match="column 'string' is missing"):
        to_arrays(TYPES, {name: values for name, values in SOUND.items() if name != "string"})


def test_the_score_is_the_last_class_s_of_two_the_predicted_one_s_of_three_and_the_value() -> None:
    two = (np.array(["a", "b"]), np.array([[0.7, 0.3], [0.2, 0.8]]))
    assert scores("classification", ("a", "b"), two).tolist() == [0.3, 0.8]
    three = (np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.2, 0.5, 0.3]]))
    assert scores("classification", (0, 1, 2), three).tolist() == [0.7, 0.2]
    assert scores("regression", (), (None, np.array([1.5, 2.0]))).tolist() == [1.5, 2.0]


def test_differences_are_absolute_for_probabilities_and_relative_for_values() -> None:
    assert largest_difference("classification", np.array([0.5]), np.array([0.25])) == 0.25
    assert largest_difference("regression", np.array([100.0, -300.0]), np.array([101.0, -303.0])) == 0.01
    assert largest_difference("regression", np.array([1e-9, 3e-9]), np.array([1e-9, 6e-9])) == pytest.approx(1)
    assert largest_difference("regression", np.array([0.0, 200.0]), np.array([1.0, 200.0])) == 0.01
    assert largest_difference("regression", np.zeros(2), np.array([0.0, 0.5])) == 0.5
    assert largest_difference("classification", np.array([0.5]), np.array([np.nan])) == np.inf
    assert largest_difference("classification", np.array([]), np.array([])) == 0.0


def test_output_names_make_way_for_columns() -> None:
    taken = Signature(tuple(Column(name, "double", nullable=False) for name in ("label", "label_", "value")))
    assert output_names(taken, "classification") == ("label__", "probabilities")
    assert output_names(taken, "regression") == ("value_",)
    assert output_names(TYPES, "classification") == ("label", "probabilities")


def test_one_runner_answers_many_threads(onnx_bundle: Bundle) -> None:
    runner = OnnxRunner(onnx_bundle)
    columns, expected = onnx_bundle.warmup()
    arrays = to_arrays(onnx_bundle.signature, columns)

    def answer(_: int) -> float:
        found = scores("classification", onnx_bundle.manifest.classes, runner.run(arrays))
        return largest_difference("classification", np.array(expected), found)

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(answer, range(40))) < 1e-5


def test_a_file_that_is_no_model_is_corrupt(folder: Path) -> None:
    with pytest.raises(Corrupt, match=r"model\.onnx cannot be loaded"):
        OnnxRunner(fake_bundle(folder))


def test_a_model_that_wants_what_is_no_column_is_corrupt(onnx_bundle: Bundle) -> None:
    columns = tuple(column for column in onnx_bundle.signature.columns if column.name != "hour")
    with pytest.raises(Corrupt, match="the input 'hour', which is no column"):
        OnnxRunner(replace(onnx_bundle, signature=Signature(columns)))


def test_a_model_that_gives_something_else_is_corrupt(onnx_bundle: Bundle) -> None:
    with pytest.raises(Corrupt, match="does not give value"):
        OnnxRunner(replace(onnx_bundle, manifest=replace(onnx_bundle.manifest, task="regression")))


def test_columns_of_unequal_length_fail_in_one_line(onnx_bundle: Bundle) -> None:
    columns, _ = onnx_bundle.warmup()
    arrays = to_arrays(onnx_bundle.signature, columns)
    with pytest.raises(ExecutionFailed) as caught:
        OnnxRunner(onnx_bundle).run(arrays | {"hour": arrays["hour"][:3]})
    assert "\n" not in str(caught.value)


def test_a_python_bundle_runs_in_the_same_way(folder: Path) -> None:
    bundle = python_bundle(folder)
    columns, expected = bundle.warmup()
    labels, probabilities = open_runner(bundle).run(to_arrays(bundle.signature, columns))
    assert labels is not None
    assert labels.shape == (64,)
    assert probabilities.shape == (64, 2)
    np.testing.assert_array_equal(probabilities[:, 1], expected)


def test_a_python_model_that_cannot_be_loaded_is_corrupt(folder: Path) -> None:
    with pytest.raises(Corrupt, match="python_model cannot be loaded"):
        open_runner(fake_bundle(folder, python=True))
