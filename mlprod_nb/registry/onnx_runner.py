"""Running a bundle's ONNX model, on one thread, with nothing but onnxruntime and numpy.

Serving, registration and the gates share this runner, so what a gate measures is what the gateway does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mlprod_nb.columns import Block
from mlprod_nb.errors import Corrupt, ExecutionFailed, InvalidInput
from mlprod_nb.registry.bundles import ONNX_MODEL, Bundle, ClassLabel, Column, Signature, Task

Array = NDArray[Any]
Output = tuple[Array | None, Array]
GATHERED = "mlprod:columns"
"""The name of an ONNX model's only input where it is all columns, in the signature's order, shape ``[n, columns]``."""
MISSING_STRING = "mlprod.missing_string"
"""Key of the ONNX model's metadata that says which text stands for a missing string."""
MISSING_TEXT = "mlprod:missing"
"""The text that does so where the metadata say nothing: one that no column holds."""

TOLERANCE = 1e-5
"""The largest difference between a bundle and its original that is agreement; see :func:`largest_difference`."""

_KINDS: dict[str, str] = {"double": "fiu", "long": "iu", "boolean": "b"}
_TYPES: dict[str, type[Any]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(string)": np.object_,
}


class OnnxRunner:
    """One loaded ONNX model; :meth:`run` may be called from several threads.

    Args:
        bundle: A bundle whose runtime is ``"onnx"``.

    Raises:
        Corrupt: The model cannot be loaded, or does not take the signature's columns.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        try:
            self._model = OnnxModel((bundle.path / ONNX_MODEL).read_bytes(), bundle.signature)
        except (OSError, ValueError) as error:
            raise Corrupt(f"bundle {bundle.digest[:12]}: {ONNX_MODEL} cannot be loaded: {error}") from None
        self._names = output_names(bundle.signature, bundle.manifest.task)
        if self._model.outputs != self._names:
            raise Corrupt(f"bundle {bundle.digest[:12]}: {ONNX_MODEL} does not give {' and '.join(self._names)}.")

    def stop(self) -> None:
        """End runs that are under way, between two steps of the model; no other run is begun."""
        self._model.stop()

    def run(self, columns: Mapping[str, Array]) -> Output:
        """Predict.

        Args:
            columns: One array of shape ``(n,)`` for every column of the signature: float64 (NaN: missing), int64, bool,
                or objects for strings (``None`` or NaN: missing). :func:`to_arrays` makes them.

        Returns:
            For a classification the labels, shape ``(n,)`` and in the type of the manifest's classes, and the
            probabilities, shape ``(n, classes)``; for a regression ``None`` and the values, shape ``(n,)``.

        Raises:
            ExecutionFailed: The model fails on these rows.
        """
        try:
            outputs = self._model.run(columns)
        except ValueError as error:
            raise ExecutionFailed(f"bundle {self.bundle.digest[:12]}: the model fails: {error}") from None
        if self.bundle.manifest.task == "regression":
            return None, outputs[self._names[0]].reshape(-1)
        return typed_labels(outputs[self._names[0]], self.bundle.manifest.classes), outputs[self._names[1]]


class OnnxModel:
    """An ONNX model that takes one input of shape ``[n, 1]`` a column, or all columns in :data:`GATHERED`.

    Args:
        model: The serialised model.
        signature: The columns; a column that the model does not use needs no input.

    Raises:
        ValueError: The model cannot be loaded, or wants an input that is no column.
    """

    def __init__(self, model: bytes, signature: Signature) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        self._run_options = onnxruntime.RunOptions()
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 (onnxruntime's errors share no base class but this one)
            raise ValueError(_first_line(error)) from None
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())
        missing = self._session.get_modelmeta().custom_metadata_map.get(MISSING_STRING, MISSING_TEXT)
        self._gathered = [given.name for given in self._session.get_inputs()] == [GATHERED]
        self._inputs: list[tuple[Column, type[Any], str]] = []
        for column, given in self._fed(signature):
            if given.type not in _TYPES:
                raise ValueError(f"its input {given.name!r} has the type {given.type}.")
            self._inputs.append((column, _TYPES[given.type], missing))
        self._names = tuple(column.name for column, _, _ in self._inputs)
        kinds = {kind for _, kind, _ in self._inputs}
        self._only_kind = kinds.pop() if len(kinds) == 1 else None

    def stop(self) -> None:
        """End runs that are under way, also a loop without an end; later ones fail."""
        self._run_options.terminate = True

    def run(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model on columns of shape ``(n,)`` and return its outputs by name.

        Raises:
            ValueError: The model fails on these rows.
        """
        feed = self._feed(columns)
        try:
            found = self._session.run(self.outputs, feed, self._run_options)
        except Exception as error:  # noqa: BLE001 (as above)
            raise ValueError(_first_line(error)) from None
        return dict(zip(self.outputs, found, strict=True))

    def run_within(self, columns: Mapping[str, Array], seconds: float) -> dict[str, Array]:
        """Do what :meth:`run` does, on a thread of its own, so that a loop without an end ends, and an interrupt helps.

        Raises:
            ValueError: The model fails on these rows.
            TimeoutError: It did not answer in time; it is stopped for good.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="onnx") as thread:
            running = thread.submit(self.run, columns)
            try:
                return running.result(seconds)
            except (TimeoutError, KeyboardInterrupt):
                self.stop()  # the thread is waited for
                raise

    def _fed(self, signature: Signature) -> Iterator[tuple[Column, Any]]:
        """Yield each column that the model takes with the input that takes it."""
        for given in self._session.get_inputs():
            if self._gathered:
                if given.shape[1:] != [len(signature.columns)]:
                    raise ValueError(f"its input has the shape {given.shape} for {len(signature.columns)} columns.")
                yield from ((column, given) for column in signature.columns)
                return
            column = signature.column(given.name)
            if column is None:
                raise ValueError(f"it takes the input {given.name!r}, which is no column of the signature.")
            yield column, given

    def _feed(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        if self._gathered:
            if isinstance(columns, Block) and columns.names == self._names:
                return {GATHERED: np.ascontiguousarray(columns.matrix.T, dtype=self._only_kind)}
            return {
                GATHERED: np.column_stack([np.asarray(columns[name], dtype=self._only_kind) for name in self._names])
            }
        if isinstance(columns, Block) and self._only_kind is not None and columns.names == self._names:
            tensors = columns.matrix.astype(self._only_kind)[:, :, np.newaxis]
            return dict(zip(self._names, tensors, strict=True))
        return {column.name: _tensor(columns[column.name], column, kind, text) for column, kind, text in self._inputs}


def to_arrays(signature: Signature, columns: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
    """Make the arrays that a runner takes from columns of plain values, ``None`` being a missing one.

    Raises:
        InvalidInput: A column is missing or holds a value of another type; the message names it.
    """
    arrays: dict[str, Array] = {}
    for column in signature.columns:
        if column.name not in columns:
            raise InvalidInput(f"column {column.name!r} is missing.", column=column.name)
        values = columns[column.name]
        try:
            arrays[column.name] = _array(values, column)
        except (TypeError, ValueError, OverflowError):
            message = f"column {column.name!r} holds a value that is not of type {column.type}."
            raise InvalidInput(message, column=column.name) from None
    return arrays


def scores(task: Task, classes: Sequence[ClassLabel], output: Output) -> NDArray[np.float64]:
    """Return each row's score, shape ``(n,)``.

    It is the probability of the last class where there are two, of the predicted class where there are more, and the
    value of a regression.
    """
    labels, numbers = output
    if task == "regression" or labels is None:
        return np.asarray(numbers, dtype=np.float64).reshape(-1)
    if len(classes) == 2:
        return np.asarray(numbers[:, 1], dtype=np.float64)
    place = {label: index for index, label in enumerate(classes)}
    chosen = np.fromiter((place[label] for label in labels.tolist()), dtype=np.intp, count=len(labels))
    return np.asarray(numbers[np.arange(len(labels)), chosen], dtype=np.float64)


def largest_difference(task: Task, expected: Array, found: Array) -> float:
    """Return how far numbers are from the expected ones, to compare with :data:`TOLERANCE`.

    Args:
        task: For a classification the difference of two probabilities is taken as it is; for a regression relative to
            the expected value, or to the mean of the expected values' sizes where that is larger.
        expected: Probabilities, scores or values.
        found: The same, of equal shape.

    Returns:
        The largest difference; infinite where a number is missing or infinite.
    """
    difference = np.abs(np.asarray(found, dtype=np.float64) - expected)
    if task == "regression" and len(expected):
        sizes = np.abs(expected)
        difference = difference / (np.maximum(sizes, sizes.mean()) if sizes.any() else 1.0)
    return float(np.max(np.where(np.isfinite(difference), difference, np.inf), initial=0.0))


def output_names(signature: Signature, task: Task) -> tuple[str, ...]:
    """Return the names of a bundle's ONNX outputs, in order.

    They are ``label`` and ``probabilities``, or ``value``; followed by an underscore where a column has that name.
    """
    taken = set(signature.names)
    names = []
    for name in ("label", "probabilities") if task == "classification" else ("value",):
        while name in taken:
            name += "_"
        names.append(name)
    return tuple(names)


def typed_labels(labels: Array, classes: Sequence[ClassLabel]) -> Array:
    """Return an ONNX model's labels in the type of the classes: ONNX knows only integers and strings."""
    if isinstance(classes[0], bool):
        return labels.astype(bool)
    return labels.astype(np.float64) if isinstance(classes[0], float) else labels


def _array(values: Sequence[Any], column: Column) -> Array:
    if column.type == "string":
        array = np.empty(len(values), dtype=object)
        array[:] = values
        if not all(value is None or isinstance(value, str) for value in array):
            raise ValueError
        return array
    there = np.array([value is not None for value in values], dtype=bool)
    array = np.asarray([value for value in values if value is not None])
    if array.ndim != 1 or (len(array) and array.dtype.kind not in _KINDS[column.type]):
        raise ValueError
    if column.type == "double" or not there.all():
        whole = np.full(len(there), np.nan)
        whole[there] = array
        return whole
    return array.astype(bool if column.type == "boolean" else np.int64)


def _tensor(values: Array, column: Column, kind: type[Any], missing: str) -> Array:
    if kind is not np.object_:
        return np.ascontiguousarray(values, dtype=kind).reshape(-1, 1)
    if column.nullable:
        values = np.array([value if isinstance(value, str) else missing for value in values], dtype=object)
    return np.asarray(values, dtype=object).reshape(-1, 1)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
