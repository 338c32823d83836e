"""The models that are compared: 30 columns of numbers, three kinds of model, and one that ONNX cannot express."""

from __future__ import annotations

import os
import sys
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


class WorkerForest(RandomForestClassifier):
    """A forest that has no converter to ONNX, so that a model worker serves it."""


MODELS: dict[str, Any] = {
    "logistic": LogisticRegression(max_iter=500),
    "forest": RandomForestClassifier(100, random_state=SEED),
    "boosting": HistGradientBoostingClassifier(random_state=SEED),
}


def training_data() -> tuple[pd.DataFrame, pd.Series]:
    """Return seeded columns and labels that depend on some of them."""
    random = np.random.default_rng(SEED)
    frame = pd.DataFrame(random.normal(size=(ROWS, len(COLUMNS))), columns=COLUMNS)
    score = frame["c0"] + frame["c1"] * frame["c2"] + random.normal(size=ROWS)
    return frame, (score > 0).astype(int)


def prepare(folder: Path, only: str = "") -> None:
    """Train; save each model for ``mlflow models serve`` and register it in a workspace of its own; write bodies.

    One workspace a model, so that the memory of a gateway with one endpoint is measured.

    Args:
        folder: Where to.
        only: The only model that is wanted; empty: all of them.
    """
    frame, labels = training_data()
    further = {"worker": WorkerForest(100, random_state=SEED), "two-workers": LogisticRegression(max_iter=500)}
    for name, model in {**MODELS, **further}.items():
        if only not in ("", name):
            continue
        model.fit(frame, labels)
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
    random = np.random.default_rng(SEED + 1)
    for rows in (1, 100):
        bodies = folder / f"bodies-{rows}"
        bodies.mkdir(exist_ok=True)
        for number in range(BODIES):
            values = random.normal(size=(rows, len(COLUMNS))).round(4).tolist()
            body = orjson.dumps({"dataframe_split": {"columns": COLUMNS, "data": values}})
            (bodies / f"{number + 1}.json").write_bytes(body)


def quiet_environment() -> dict[str, str]:
    """Return the environment of every server: one numeric thread each, and the programs of this environment first."""
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
