"""Converting a fitted scikit-learn model to ONNX, and proving that the result says what the original says.

Conversion is tried with several input types, since each rounds elsewhere: float32; integers kept as int64; float64; and
float64 rounded to float32 before the last step, which is what scikit-learn's own trees do with their inputs. The first
that agrees with the original on the reference sample is taken; where none does, the reason is told.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.registry import onnx_adapt, onnx_boosters, onnx_graph
from mlprod_nb.registry.bundles import Agreement, ClassLabel, Signature, Task
from mlprod_nb.registry.onnx_runner import (
    GATHERED,
    MISSING_STRING,
    MISSING_TEXT,
    TOLERANCE,
    OnnxModel,
    Output,
    largest_difference,
    output_names,
    typed_labels,
)

if TYPE_CHECKING:
    import pandas as pd

#: Characters of a reason.
_LONGEST = 240
_SECONDS = 60.0
"""Time that an ONNX model has to answer the sample; who needs longer for 5,000 rows is of no use to a gateway."""


@dataclass(frozen=True)
class Sample:
    """What a conversion is proved on.

    Attributes:
        frame: The rows as a model meets them at serving time.
        columns: The same rows as arrays, each of shape ``(n,)``.
        expected: What the original model gives for them.
    """

    frame: pd.DataFrame
    columns: Mapping[str, NDArray[Any]]
    expected: Output


@dataclass(frozen=True)
class Subject:
    """A fitted model and what is known of it."""

    model: Any
    signature: Signature
    task: Task
    classes: tuple[ClassLabel, ...]


@dataclass(frozen=True)
class Export:
    """How a conversion went.

    Attributes:
        model: The serialised ONNX model, or ``None`` where the model has no ONNX form that agrees.
        agreement: The ONNX model against the original; ``None`` where there is no ONNX model.
        reason: Why there is none; empty where there is one.
    """

    model: bytes | None
    agreement: Agreement | None
    reason: str


@dataclass(frozen=True)
class _Attempt:
    """One choice of input types."""

    double: bool
    integers: bool
    rounded: bool

    def __str__(self) -> str:
        return ("float64" if self.double else "float32") + (" and int64" if self.integers else "") + " inputs"


def export(subject: Subject, sample: Sample, *, seconds: float = _SECONDS) -> Export:
    """Convert a model to ONNX, accepted only where it agrees with the original on the sample.

    Args:
        subject: The model.
        sample: What it is proved on.
        seconds: Time that the ONNX model has to answer the sample; where it takes longer, no other form is tried.
    """
    from sklearn.base import BaseEstimator

    if not isinstance(subject.model, BaseEstimator):
        return Export(None, None, f"{type(subject.model).__name__} is not a scikit-learn model.")
    boosters = onnx_boosters.inside(subject.model)
    try:
        onnx_boosters.register(boosters)
    except ImportError:
        reason = (
            f"{boosters[0]} becomes ONNX with onnxmltools, which is not installed: pip install 'mlprod_nb[boosting]'."
        )
        return Export(None, None, reason)
    failures: list[str] = []
    disagreements: list[tuple[Agreement, _Attempt]] = []
    for attempt in _attempts(subject.signature):
        try:
            graph = _convert(subject, sample.frame, attempt)
            for model in _variants(graph, subject):
                found = _run(model, subject, sample, seconds)
                agreement = compare(sample.expected, found)
                if agrees(agreement):
                    return Export(model, agreement, "")
                disagreements.append((agreement, attempt))
        except TimeoutError:
            rows = len(sample.frame)
            return Export(None, None, f"Its ONNX form does not answer {rows} rows within {seconds:g} s.")
        except Exception as error:  # noqa: BLE001 (converters and shape inference raise anything)
            failures.append(_told(error))
    return Export(None, None, _reason(disagreements, failures))


def compare(expected: Output, found: Output) -> Agreement:
    """Compare two outputs for the same rows; a difference that is no number counts as infinite.

    Raises:
        ValueError: The two have different shapes.
    """
    labels, numbers = expected
    found_labels, found_numbers = found
    if found_numbers.shape != numbers.shape or (labels is None) != (found_labels is None):
        raise ValueError(f"the output has the shape {found_numbers.shape}, not {numbers.shape}")
    flips = 0 if labels is None or found_labels is None else int(np.sum(labels != found_labels))
    largest = largest_difference("regression" if labels is None else "classification", numbers, found_numbers)
    return Agreement(rows=len(numbers), label_flips=flips, max_difference=largest)


@contextlib.contextmanager
def quiet_names() -> Iterator[None]:
    """Mute scikit-learn's words about frames given to a model that was fitted on an array, and the reverse."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X (has|does not have valid) feature names", category=UserWarning)
        yield


def agrees(agreement: Agreement) -> bool:
    """Tell whether a comparison counts as agreement: no label flips, no difference above :data:`TOLERANCE`."""
    return agreement.label_flips == 0 and agreement.max_difference <= TOLERANCE


def _attempts(signature: Signature) -> Iterator[_Attempt]:
    whole = any(column.type == "long" and not column.nullable for column in signature.columns)
    for integers in (False, True) if whole else (False,):
        yield _Attempt(double=False, integers=integers, rounded=False)
        yield _Attempt(double=True, integers=integers, rounded=True)
        yield _Attempt(double=True, integers=integers, rounded=False)


def _convert(subject: Subject, frame: pd.DataFrame, attempt: _Attempt) -> Any:
    """Return the ONNX model as a protobuf message, its outputs named as ``output_names`` says."""
    import skl2onnx
    from skl2onnx.common import data_types as types

    number = types.DoubleTensorType if attempt.double else types.FloatTensorType
    inputs = []
    for column in subject.signature.columns:
        kind = number
        if column.type == "string":
            kind = types.StringTensorType
        elif column.type == "long" and attempt.integers and not column.nullable:
            kind = types.Int64TensorType
        inputs.append((column.name, kind([None, 1])))
    model = _pipeline(subject, frame, rounded=attempt.rounded)
    options = {id(model): {"zipmap": False}} if subject.task == "classification" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own, such as protobuf's on histogram gradient boosting
        opset = onnx_boosters.opset() if onnx_boosters.inside(subject.model) else None
        graph = skl2onnx.convert_sklearn(model, initial_types=inputs, options=options, target_opset=opset)
    onnx_graph.without_chance(graph)
    onnx_graph.name_inputs(graph.graph, subject.signature.names)
    onnx_graph.name_outputs(graph.graph, output_names(subject.signature, subject.task))
    onnx_graph.gather_inputs(graph.graph, subject.signature.names, GATHERED)
    return graph


def _pipeline(subject: Subject, frame: pd.DataFrame, *, rounded: bool) -> Any:
    """Return the model as a pipeline whose first step takes one input a column; it may round before the last step."""
    from skl2onnx.sklapi import CastTransformer
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    model = onnx_adapt.adapt(subject.model)
    steps = list(model.steps) if isinstance(model, Pipeline) else [("model", model)]
    strings = any(column.type == "string" for column in subject.signature.columns)
    if not strings and not isinstance(steps[0][1], ColumnTransformer):
        gather = ColumnTransformer([("columns", "passthrough", list(range(frame.shape[1])))]).fit(frame)
        steps.insert(0, ("mlprod_columns", gather))
    if rounded:
        steps.insert(len(steps) - 1, ("mlprod_rounding", CastTransformer(dtype=np.float32)))
    return Pipeline(steps)


def _variants(graph: Any, subject: Subject) -> Iterator[bytes]:
    """Yield the serialised model for each text that may stand for a missing string, then with labels made anew."""
    missing = any(column.type == "string" and column.nullable for column in subject.signature.columns)
    for remade in (False, True) if subject.task == "classification" else (False,):
        if remade:
            onnx_graph.labels_from_probabilities(graph, subject.classes)
        for text in (MISSING_TEXT, "nan", "None") if missing else (MISSING_TEXT,):
            del graph.metadata_props[:]
            graph.metadata_props.add(key=MISSING_STRING, value=text)
            yield graph.SerializeToString()


def _run(model: bytes, subject: Subject, sample: Sample, seconds: float) -> Output:
    outputs = OnnxModel(model, subject.signature).run_within(sample.columns, seconds)
    names = output_names(subject.signature, subject.task)
    if subject.task == "regression":
        return None, outputs[names[0]].reshape(-1)
    return typed_labels(outputs[names[0]], subject.classes), outputs[names[1]]


def _told(error: Exception) -> str:
    """Return an error's first sentence: what the converter says after it is of no use to who only serves a model."""
    text = re.split(r"(?<=[.!?]) (?=[A-Z])", " ".join(str(error).split()))[0]
    return (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…") or type(error).__name__


def _reason(disagreements: list[tuple[Agreement, _Attempt]], failures: list[str]) -> str:
    if not disagreements:
        return f"It has no ONNX form: {failures[0]}"
    best, attempt = min(disagreements, key=lambda found: (found[0].label_flips, found[0].max_difference))
    return (
        f"Its ONNX form disagrees with the original: at best ({attempt}) {best.label_flips} of {best.rows} labels "
        f"differ, and the largest difference is {best.max_difference:.2g} (allowed: {TOLERANCE:g})."
    )
