"""Models that cannot be served are refused in one line; one whose ONNX form never ends is found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper
from skl2onnx import update_registered_converter
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from mlprod_nb.errors import ExecutionFailed, InvalidInput, Refused, UsageError
from mlprod_nb.registry import conversion, onnx_export
from tests.registry.samples import classifier, flights


class Constant:
    """Says the same for every row."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def predict(self, frame: pd.DataFrame) -> Any:
        return np.full(len(frame), self.value)


class Random:
    """Says something else at every call."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, frame: pd.DataFrame) -> Any:
        self.calls += 1
        return np.full(len(frame), float(self.calls))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"] + 1


class Unsavable(Constant):
    def __reduce__(self) -> Any:
        raise TypeError("it holds a lock")


def _refusals() -> dict[str, tuple[Any, Any, Any, type[Exception], str]]:
    frame, late = flights(50)
    fitted = classifier(frame, late)
    support = LinearSVC().fit(frame[["hour"]], late)
    return {
        "a text": ("clf", frame, late, UsageError, "is a str, which has no predict"),
        "a class": (LogisticRegression, frame, late, UsageError, "is the class LogisticRegression"),
        "not fitted": (LogisticRegression(), frame, late, UsageError, "LogisticRegression is not fitted"),
        "no probabilities": (support, frame[["hour"]], late, UsageError, "LinearSVC has no predict_proba"),
        "another column": (fitted, frame.drop(columns="hour"), late, ExecutionFailed, "hour"),
        "a short target": (fitted, frame, late[:-1], InvalidInput, "49 values for 50 rows"),
        "an empty target": (fitted, frame, [None] * 50, InvalidInput, "no value in 50 of 50 rows"),
        "a strange target": (fitted, frame, ["late"] * 50, InvalidInput, "'late', which is none of"),
        "text for a regression": (Constant(1.0), frame, ["x"] * 50, InvalidInput, "must be numbers"),
        "no number": (Constant(np.nan), frame, None, ExecutionFailed, "no finite number for 50 of 50"),
        "no number at all": (Constant("a"), frame, None, ExecutionFailed, "could not convert"),
    }


@pytest.mark.parametrize("case", _refusals())
def test_what_cannot_be_served_is_refused_in_one_line(case: str) -> None:
    model, frame, target, kind, message = _refusals()[case]
    with pytest.raises(kind, match=message) as caught:
        conversion.prepare(model, frame, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [(Unsavable(1.0), "cannot be saved: .*it holds a lock"), (Random(), "says something else about rows")],
)
def test_a_model_that_does_not_survive_saving_is_refused(tmp_path: Path, model: Any, message: str) -> None:
    frame, _ = flights(50)
    prepared = conversion.prepare(model, frame)
    with pytest.raises(Refused, match=message):
        conversion.build_bundle(prepared, folder=tmp_path / "b", profile=b"{}")


class Endless(LinearRegression):
    """A model whose converter writes a loop without an end."""


def _endless_shape(operator: Any) -> None:
    operator.outputs[0].type = type(operator.inputs[0].type)([None, 1])


def _endless_converter(scope: Any, operator: Any, container: Any) -> None:
    kind = TensorProto.DOUBLE if "Double" in type(operator.inputs[0].type).__name__ else TensorProto.FLOAT

    def info(name: str, kind: int, shape: list[int | None]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["state"], ["next"])],
        "step",
        [info("at", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("state", kind, [None, 1])],
        [info("go_on", TensorProto.BOOL, []), info("next", kind, [None, 1])],
    )
    most, yes = scope.get_unique_variable_name("most"), scope.get_unique_variable_name("yes")
    container.add_initializer(most, TensorProto.INT64, [], [2**63 - 1])
    container.add_initializer(yes, TensorProto.BOOL, [], [True])
    taken, given = [most, yes, operator.inputs[0].full_name], operator.outputs[0].full_name
    container.add_node("Loop", taken, given, op_version=13, body=step)


def test_a_model_whose_onnx_form_never_ends_is_found_out_and_told_in_one_sentence() -> None:
    update_registered_converter(Endless, "MlprodTestEndless", _endless_shape, _endless_converter)
    frame = flights()[0][["distance"]]
    prepared = conversion.prepare(Endless().fit(frame, frame["distance"]), frame)
    subject = onnx_export.Subject(prepared.model, prepared.signature, prepared.task, prepared.classes)
    sample = onnx_export.Sample(prepared.frame, {"distance": frame["distance"].to_numpy()}, prepared.output)
    found = onnx_export.export(subject, sample, seconds=0.1)
    assert (found.model, found.reason) == (None, "Its ONNX form does not answer 800 rows within 0.1 s.")
