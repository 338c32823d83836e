"""The models that are compared: 30 columns of numbers; three kinds of model, each also without a converter to ONNX."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import orjson
import pandas as pd
from mlflow.models import infer_signature
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from mlprod_nb import Workspace

COLUMNS = [f"c{number}" for number in range(30)]
ROWS = 4000
BODIES = 32
SEED = 0


class WorkerLogistic(LogisticRegression):
    """One that has no converter to ONNX, so that a model worker serves it."""


class WorkerForest(RandomForestClassifier):
    """One that has no converter to ONNX, so that a model worker serves it."""


class WorkerBoosting(HistGradientBoostingClassifier):
    """One that has no converter to ONNX, so that a model worker serves it."""


MODELS: dict[str, Any] = {
    "logistic": LogisticRegression(max_iter=500),
    "forest": RandomForestClassifier(100, random_state=SEED),
    "boosting": HistGradientBoostingClassifier(random_state=SEED),
}
WORKER_MODELS: dict[str, Any] = {
    "logistic-worker": WorkerLogistic(max_iter=500),
    "forest-worker": WorkerForest(100, random_state=SEED),
    "boosting-worker": WorkerBoosting(random_state=SEED),
}
"""The same models for a model worker."""

TWO_WORKERS = "two-workers"
"""The logistic regression again, for a gateway of two workers."""

_ALL = {**MODELS, **WORKER_MODELS, TWO_WORKERS: LogisticRegression(max_iter=500)}


def training_data() -> tuple[pd.DataFrame, pd.Series]:
    """Return seeded columns and labels that depend on some of them."""
    random = np.random.default_rng(SEED)
    frame = pd.DataFrame(random.normal(size=(ROWS, len(COLUMNS))), columns=COLUMNS)
    score = frame["c0"] + frame["c1"] * frame["c2"] + random.normal(size=ROWS)
    return frame, (score > 0).astype(int)


def prepare(folder: Path, names: Collection[str]) -> None:
    """Train; save for ``mlflow models serve`` and register each in a workspace of its own; write bodies.

    One workspace a model, so that the memory of a gateway with one endpoint is measured.

    Args:
        folder: Where to.
        names: The models that are wanted.
    """
    frame, labels = training_data()
    for name in names:
        model = _ALL[name].fit(frame, labels)
        if name in MODELS:
            signature = infer_signature(frame, model.predict(frame))
            mlflow.sklearn.save_model(
                model, folder / "mlflow" / name, signature=signature, serialization_format="cloudpickle"
            )
        Workspace.init(str(folder / name))
        workspace = Workspace.open(folder / name)
        workspace.up()
        workspace.register(name, model=model, data=frame, target=labels, alias="champion")
        workspace.deploy(f"{name}@champion")
        workspace.down(yes=True)
    _write_bodies(folder)


def _write_bodies(folder: Path) -> None:
    """Write the same rows as ``dataframe_split`` and as tensors of the Open Inference Protocol v2."""
    random = np.random.default_rng(SEED + 1)
    for rows in (1, 100):
        bodies, tensors = folder / f"bodies-{rows}", folder / f"tensors-{rows}"
        bodies.mkdir(exist_ok=True)
        tensors.mkdir(exist_ok=True)
        for number in range(BODIES):
            values = random.normal(size=(rows, len(COLUMNS))).round(4)
            split = {"dataframe_split": {"columns": COLUMNS, "data": values.tolist()}}
            (bodies / f"{number + 1}.json").write_bytes(orjson.dumps(split))
            inputs = [
                {"name": name, "shape": [rows, 1], "datatype": "FP64", "data": column}
                for name, column in zip(COLUMNS, values.T.tolist(), strict=True)
            ]
            # MLServer takes the tensors for columns of one table only where it is told; the gateway passes over it.
            request = {"parameters": {"content_type": "pd"}, "inputs": inputs}
            (tensors / f"{number + 1}.json").write_bytes(orjson.dumps(request))


def quiet_environment() -> dict[str, str]:
    """Return the environment of every server: one numeric thread each, and the programs of this environment first."""
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
