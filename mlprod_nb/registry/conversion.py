"""From a fitted model and its reference data to a bundle.

:func:`prepare` finds out what the model does and what it says about the reference data; :func:`build_bundle` writes
the bundle: ONNX where that agrees with the original, an MLflow model directory with the reason where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlprod_nb.errors import ExecutionFailed, InvalidInput, Refused, UsageError
from mlprod_nb.registry import bundles, onnx_export, onnx_runner, python_runner
from mlprod_nb.registry.bundles import Agreement, Bundle, ClassLabel, Description, Signature, Task
from mlprod_nb.registry.signatures import as_frame, infer, plain_frame, to_columns

REFERENCE_ROWS = 5_000
WARMUP_ROWS = 64


@dataclass(frozen=True, eq=False)
class Prepared:
    """A fitted model, understood, with what it says about its reference data of ``n`` rows.

    Attributes:
        model: The model.
        frame: The reference data.
        signature: The columns it takes.
        task: ``"classification"`` or ``"regression"``.
        classes: The labels in the model's order; empty for a regression.
        output: The model's labels and probabilities, or values, for the reference data.
        labels: The true outcomes, shape ``(n,)``, or ``None`` where they are not known.
    """

    model: Any
    frame: pd.DataFrame
    signature: Signature
    task: Task
    classes: tuple[ClassLabel, ...]
    output: onnx_runner.Output
    labels: NDArray[Any] | None

    @property
    def scores(self) -> NDArray[np.float64]:
        """The model's score of each row, shape ``(n,)``."""
        return onnx_runner.scores(self.task, self.classes, self.output)

    def score(self, columns: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the model's score for other rows, given as columns of one length."""
        rows = pd.DataFrame({name: columns[name] for name in self.signature.names}).astype(dict(self.frame.dtypes))
        with onnx_export.quiet_names():
            output = python_runner.predict(self.model, rows, self.task)
        return onnx_runner.scores(self.task, self.classes, output)

    @property
    def predictions(self) -> NDArray[Any]:
        """The model's prediction for each row, shape ``(n,)``: a label, or a value."""
        return self.output[1] if self.output[0] is None else self.output[0]


def prepare(model: Any, data: Any, target: Any = None) -> Prepared:
    """Find out what a model does and what it says about its reference data.

    Args:
        model: Anything fitted that has ``predict``; a classifier has ``predict_proba`` and ``classes_`` too.
        data: The reference data, as ``signatures.as_frame`` takes it.
        target: The true outcomes, one a row, or ``None``.

    Raises:
        UsageError: It is no model, is not fitted, or is of a kind that cannot be served.
        InvalidInput: Data or target will not do; the message names the column.
        ExecutionFailed: The model fails on the data.
    """
    frame = as_frame(data)
    signature = infer(frame)
    task, classes = _kind(model)
    rows = frame if isinstance(data, pd.DataFrame) else data
    with onnx_export.quiet_names():
        output = python_runner.predict(model, rows, task)
    if not np.isfinite(output[1]).all():
        count = int((~np.isfinite(output[1])).reshape(len(frame), -1).any(axis=1).sum())
        raise ExecutionFailed(f"the model gives no finite number for {count} of {len(frame)} rows of the data.")
    if task == "classification" and output[1].shape[1] != len(classes):
        raise ExecutionFailed(f"the model gives {output[1].shape[1]} probabilities a row for {len(classes)} classes.")
    return Prepared(model, frame, signature, task, classes, output, _labels(target, len(frame), task, classes))


def build_bundle(prepared: Prepared, *, folder: Path, profile: bytes, seed: int = 0) -> Bundle:
    """Write a bundle.

    Args:
        prepared: What :func:`prepare` gave.
        folder: An empty or missing directory.
        profile: The reference profile, as the monitoring room wrote it.
        seed: Chooses the rows of the reference sample.

    Raises:
        Refused: The model cannot be saved, or says something else about rows as they arrive over the wire.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = _choose(len(prepared.frame), seed)
    sample = _sample(prepared, chosen)
    subject = onnx_export.Subject(prepared.model, prepared.signature, prepared.task, prepared.classes)
    export = onnx_export.export(subject, sample)
    if export.model is not None and export.agreement is not None:
        (folder / bundles.ONNX_MODEL).write_bytes(export.model)
        agreement, runtime = export.agreement, "onnx"
    else:
        agreement, runtime = _python_model(prepared, sample, folder / bundles.PYTHON_MODEL), "python"
    (folder / bundles.SIGNATURE).write_bytes(prepared.signature.to_json())
    (folder / bundles.PROFILE).write_bytes(profile)
    _write_reference(prepared, chosen, folder / bundles.REFERENCE)
    (folder / bundles.WARMUP).write_bytes(_warmup(prepared, sample))
    described = Description(prepared.task, prepared.classes, runtime, export.reason, agreement)  # type: ignore[arg-type]
    return bundles.seal(folder, described)


def _kind(model: Any) -> tuple[Task, tuple[ClassLabel, ...]]:
    name = type(model).__name__
    if isinstance(model, type) or not callable(getattr(model, "predict", None)):
        raise UsageError(f"the model is {_article(model)}, which has no predict method.", hint="Give a fitted model.")
    _check_fitted(model, name)
    found = getattr(model, "classes_", None)
    if found is None:
        return "regression", ()
    if not callable(getattr(model, "predict_proba", None)):
        raise UsageError(
            f"the classifier {name} has no predict_proba, so it gives no score.",
            hint="Wrap it in sklearn.calibration.CalibratedClassifierCV.",
        )
    classes = tuple(np.asarray(found).tolist()) if np.ndim(found) == 1 else ()
    kinds = {type(label) for label in classes}
    if len(classes) < 2 or len(kinds) != 1 or not kinds <= {str, int, float, bool}:
        raise UsageError(f"{name} has the classes {found!r}; it needs two or more strings, numbers or booleans.")
    return "classification", classes


def _check_fitted(model: Any, name: str) -> None:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if isinstance(model, BaseEstimator):
        try:
            check_is_fitted(model)
        except NotFittedError:
            raise UsageError(f"the model {name} is not fitted.", hint="Call its fit method first.") from None


def _labels(target: Any, rows: int, task: Task, classes: Sequence[ClassLabel]) -> NDArray[Any] | None:
    if target is None:
        return None
    values = pd.Series(np.asarray(target).reshape(-1) if np.ndim(target) == 2 else target)
    if len(values) != rows:
        raise InvalidInput(f"the target has {len(values)} values for {rows} rows of data.")
    if missing := int(values.isna().sum()):
        raise InvalidInput(f"the target has no value in {missing} of {rows} rows.", hint="Leave those rows out.")
    if task == "classification":
        strange = [label for label in dict.fromkeys(values.tolist()) if label not in set(classes)]
        if strange:
            raise InvalidInput(
                f"the target holds {strange[0]!r}, which is none of the model's classes {list(classes)}."
            )
        array = np.empty(rows, dtype=object)
        place = {label: label for label in classes}
        array[:] = [place[label] for label in values.tolist()]
        return array if isinstance(classes[0], str) else np.array(array.tolist())
    try:
        return values.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput("the target of a regression must be numbers.") from None


def _choose(rows: int, seed: int) -> NDArray[np.intp]:
    if rows <= REFERENCE_ROWS:
        return np.arange(rows, dtype=np.intp)
    return np.sort(np.random.default_rng(seed).choice(rows, REFERENCE_ROWS, replace=False)).astype(np.intp)


def _sample(prepared: Prepared, chosen: NDArray[np.intp]) -> onnx_export.Sample:
    columns = to_columns(prepared.frame.iloc[chosen], prepared.signature)
    labels, numbers = prepared.output
    expected = (None if labels is None else labels[chosen], numbers[chosen])
    return onnx_export.Sample(plain_frame(columns, prepared.signature), columns, expected)


def _python_model(prepared: Prepared, sample: onnx_export.Sample, folder: Path) -> Agreement:
    """Save the model for a model worker, and prove that what was saved agrees on rows as a worker meets them."""
    python_runner.save_model(prepared.model, prepared.signature, folder)
    with onnx_export.quiet_names():
        try:
            found = python_runner.predict(python_runner.load_model(folder), sample.frame, prepared.task)
        except ExecutionFailed as error:
            raise Refused(
                f"rows that arrive over the wire are plain columns, and on those {error.message}",
                hint="Train it on a DataFrame of numbers, booleans and strings.",
            ) from None
    agreement = onnx_export.compare(sample.expected, found)
    if not onnx_export.agrees(agreement):
        raise Refused(
            f"the saved model says something else about rows as they arrive over the wire: {agreement.label_flips} of "
            f"{agreement.rows} labels differ, the largest difference being {agreement.max_difference:.2g}.",
            hint="Its predictions must not be random, nor depend on how a missing value or a category is stored.",
        )
    return agreement


def _write_reference(prepared: Prepared, chosen: NDArray[np.intp], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"double": pa.float64(), "long": pa.int64(), "boolean": pa.bool_(), "string": pa.string()}
    columns = to_columns(prepared.frame.iloc[chosen], prepared.signature)
    data = {
        column.name: pa.array(_plain(columns[column.name], column.type), type=kinds[column.type])
        for column in prepared.signature.columns
    }
    labels = [None] * len(chosen) if prepared.labels is None else prepared.labels[chosen].tolist()
    predictions = prepared.predictions[chosen].tolist()
    kind = pa.array(predictions).type
    data[bundles.LABEL_COLUMN] = pa.array(labels, type=kind)
    data[bundles.SCORE_COLUMN] = pa.array(prepared.scores[chosen], type=pa.float64())
    data[bundles.PREDICTION_COLUMN] = pa.array(predictions, type=kind)
    pq.write_table(pa.table(data), path)


def _warmup(prepared: Prepared, sample: onnx_export.Sample) -> bytes:
    rows = min(WARMUP_ROWS, len(sample.frame))
    labels, numbers = sample.expected
    expected = (None if labels is None else labels[:rows], numbers[:rows])
    columns = {c.name: _plain(sample.columns[c.name][:rows], c.type) for c in prepared.signature.columns}
    scores = onnx_runner.scores(prepared.task, prepared.classes, expected).tolist()
    return bundles.canonical_json({"columns": columns, "scores": scores})


def _plain(values: NDArray[Any], kind: bundles.ColumnType) -> list[Any]:
    """Return a column as JSON values, ``None`` where one is missing."""
    if values.dtype.kind != "f":
        return list(values.tolist())
    made = {"double": float, "long": int, "boolean": bool, "string": str}[kind]
    return [None if np.isnan(value) else made(value) for value in values.tolist()]


def _article(model: Any) -> str:
    return f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
