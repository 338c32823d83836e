"""Saving and running models that have no ONNX form, through MLflow.

Loading such a model runs code from it, so only the author's own process and the gates do it here; the gateway leaves
it to a model worker.
"""

from __future__ import annotations

import importlib.metadata
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import Corrupt, ExecutionFailed, Refused
from mlprod_nb.registry.bundles import PYTHON_MODEL, Bundle, Signature, Task
from mlprod_nb.registry.onnx_runner import Output
from mlprod_nb.registry.quiet import quiet

_REQUIREMENTS = ("scikit-learn", "cloudpickle", "numpy", "pandas")


class PythonRunner:
    """One model loaded from an MLflow model directory.

    Args:
        bundle: A bundle whose runtime is ``"python"``.

    Raises:
        Corrupt: The model cannot be loaded.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._model = load_model(bundle.path / PYTHON_MODEL)

    def run(self, columns: Mapping[str, NDArray[Any]]) -> Output:
        """Predict, as ``onnx_runner.OnnxRunner.run`` does.

        Raises:
            ExecutionFailed: The model fails on these rows.
        """
        from mlprod_nb.registry.signatures import plain_frame

        return predict(self._model, plain_frame(columns, self.bundle.signature), self.bundle.manifest.task)


def predict(model: Any, rows: Any, task: Task) -> Output:
    """Call a model's own methods.

    Args:
        model: Has ``predict``, and ``predict_proba`` for a classification.
        rows: What it takes, usually a DataFrame.
        task: What it does.

    Returns:
        Labels, shape ``(n,)``, and probabilities, shape ``(n, classes)``; for a regression ``None`` and the values.

    Raises:
        ExecutionFailed: The model fails on these rows, or gives something of another shape.
    """
    try:
        labels = np.asarray(model.predict(rows))
        numbers = np.asarray(model.predict_proba(rows) if task == "classification" else labels, dtype=np.float64)
    except Exception as error:  # noqa: BLE001 (a user's model raises anything)
        raise ExecutionFailed(f"the model fails: {type(error).__name__}: {_one_line(error)}") from None
    if task == "regression":
        if numbers.size != len(rows):
            raise ExecutionFailed(f"the model gives values of the shape {numbers.shape} for {len(rows)} rows.")
        return None, numbers.reshape(-1)
    if labels.shape != (len(rows),) or numbers.ndim != 2 or len(numbers) != len(rows):
        raise ExecutionFailed(f"the model gives labels of the shape {labels.shape} for {len(rows)} rows.")
    return labels, numbers


def save_model(model: Any, signature: Signature, folder: Path, **mlflow_options: Any) -> None:
    """Write a model as an MLflow model directory, serialised by cloudpickle.

    Raises:
        Refused: The model cannot be serialised.
    """
    with quiet():
        import mlflow.sklearn

        try:
            mlflow.sklearn.save_model(
                model,
                str(folder),
                serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
                signature=_mlflow_signature(signature),
                pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS],
                **mlflow_options,
            )
        except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
            raise Refused(
                f"the model cannot be saved: {_one_line(error).rstrip('.')}.",
                hint="It may hold an open file, a lock or a generator.",
            ) from None


def load_model(folder: Path) -> Any:
    """Load what :func:`save_model` wrote; this runs code from the folder.

    Raises:
        Corrupt: The model cannot be loaded.
    """
    with quiet():
        import mlflow.sklearn

        try:
            return mlflow.sklearn.load_model(str(folder))
        except Exception as error:  # noqa: BLE001 (unpickling raises anything)
            raise Corrupt(f"{folder.name} cannot be loaded: {type(error).__name__}: {_one_line(error)}") from None


def _mlflow_signature(signature: Signature) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    columns = []
    for column in signature.columns:  # a whole number or a boolean that may be missing arrives as a float
        floats = column.nullable and column.type in ("long", "boolean")
        columns.append(ColSpec("double" if floats else column.type, column.name, required=True))
    return ModelSignature(inputs=Schema(columns))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
