"""Held-out rows, and what a model says about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlprod_nb.errors import InvalidInput
from mlprod_nb.monitoring.columns import to_codes, to_numbers
from mlprod_nb.monitoring.performance import Labelled, class_codes
from mlprod_nb.registry import onnx_runner
from mlprod_nb.registry.bundles import Bundle, ClassLabel, Task
from mlprod_nb.registry.onnx_runner import Array
from mlprod_nb.registry.runner import Runner

if TYPE_CHECKING:
    import pandas as pd

    from mlprod_nb.monitoring.traffic import Column

#: Fewer held-out rows than this tell nothing.
FEWEST = 50


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows that the model was not trained on, with what happened.

    Attributes:
        frame: The inputs, and whatever other columns came with them.
        outcomes: What happened, one a row.
        source: Where they come from, in words.
    """

    frame: pd.DataFrame
    outcomes: Sequence[Any]
    source: str

    @property
    def told(self) -> str:
        """How many there are and where they come from."""
        return f"{len(self.frame):,} rows {self.source}"


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a model said about held-out rows.

    Attributes:
        task: What the model does.
        classes: Its classes; empty for a regression.
        rows: Outcomes, predictions and scores; class indices for a classification.
        columns: The model's inputs, by which segments are made.
        probabilities: Of a classification the probability of each class, shape ``(n, classes)``, where it is known.
    """

    task: Task
    classes: tuple[ClassLabel, ...]
    rows: Labelled
    columns: dict[str, Column]
    probabilities: Array | None = None


def predict(bundle: Bundle, runner: Runner, held_out: HeldOut) -> Predicted:
    """Let a model predict held-out rows.

    Raises:
        InvalidInput: The rows lack a column or a value that the model takes, or an outcome is none of its classes.
        ExecutionFailed: The model fails on them.
    """
    arrays = _arrays(bundle, held_out)
    output = runner.run(arrays)
    task, classes = bundle.manifest.task, bundle.manifest.classes
    scores = onnx_runner.scores(task, classes, output)
    if output[0] is None:
        labels = to_numbers(np.asarray(held_out.outcomes))
        if not np.isfinite(labels).all():
            raise InvalidInput("an outcome of the held-out rows is no finite number.")
        rows = Labelled(labels, scores, scores)
    else:
        codes = class_codes(held_out.outcomes, classes)
        if (codes < 0).any():
            strange = held_out.outcomes[int(np.argmax(codes < 0))]
            raise InvalidInput(f"the held-out rows hold the outcome {strange!r}, none of the classes {list(classes)}.")
        place = {label: index for index, label in enumerate(classes)}
        said = np.array([place[label] for label in output[0].tolist()], dtype=np.int64)
        rows = Labelled(codes, said, scores)
    strings = {column.name for column in bundle.signature.columns if column.type == "string"}
    columns = {name: to_codes(values) if name in strings else to_numbers(values) for name, values in arrays.items()}
    return Predicted(task, classes, rows, columns, None if output[0] is None else output[1])


def _arrays(bundle: Bundle, held_out: HeldOut) -> dict[str, Array]:
    from mlprod_nb.registry.signatures import to_columns

    try:
        arrays = to_columns(held_out.frame, bundle.signature)
    except InvalidInput as error:
        raise InvalidInput(f"the held-out rows do not fit: {error.message}", column=error.column) from None
    for column in bundle.signature.columns:
        if not column.nullable and held_out.frame[column.name].isna().any():
            sentence = f"the held-out rows miss values of {column.name!r}, which the model must be given."
            raise InvalidInput(sentence, column=column.name)
    return arrays
