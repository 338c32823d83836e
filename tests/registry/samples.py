"""Small data, models and bundles that the tests of registry and gates share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from mlprod_nb.registry import conversion
from mlprod_nb.registry.bundles import (
    ONNX_MODEL,
    PROFILE,
    PYTHON_MODEL,
    REFERENCE,
    SIGNATURE,
    WARMUP,
    Agreement,
    Bundle,
    Column,
    Description,
    Signature,
    seal,
)
from mlprod_nb.registry.lineage import ExecutedCell, NotebookContext, capture
from mlprod_nb.registry.versions import Candidate


def flights(rows: int = 800, *, seed: int = 0, missing: bool = False) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Make flights (distance, hour, carrier, weekend) and whether each was late."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "distance": rng.normal(1000, 400, rows),
            "hour": rng.integers(0, 24, rows),
            "carrier": rng.choice(["AA", "UA", "DL"], rows),
            "weekend": rng.random(rows) < 0.3,
        }
    )
    late = frame["distance"] / 1000 + frame["hour"] / 24 + (frame["carrier"] == "AA") + rng.normal(0, 1, rows) > 2
    if missing:
        frame.loc[rng.random(rows) < 0.1, "carrier"] = np.nan
        frame.loc[rng.random(rows) < 0.1, "distance"] = np.nan
    return frame, late.to_numpy()


def encoder(*, dense: bool = False) -> ColumnTransformer:
    """Scale the numbers and encode the carrier."""
    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["distance", "hour"]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=not dense), ["carrier"]),
        ]
    )


def classifier(frame: pd.DataFrame, target: Any) -> Pipeline:
    """Fit a logistic regression on encoded flights."""
    return make_pipeline(encoder(), LogisticRegression()).fit(frame, target)


def inexpressible(frame: pd.DataFrame, target: Any) -> Pipeline:
    """Fit a model that ONNX cannot express."""
    return make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(frame, target)


def onnx_bundle(folder: Path) -> Bundle:
    """Build a bundle of a logistic regression."""
    frame, late = flights()
    prepared = conversion.prepare(classifier(frame, late), frame, late)
    return conversion.build_bundle(prepared, folder=folder, profile=b"{}")


def candidate(name: str, bundle: Bundle, **changes: Any) -> Candidate:
    """Make a candidate of a logistic regression; its bundle may be another model's."""
    frame, late = flights()
    lineage = capture(frame, late, notebook=NotebookContext("train.ipynb", (ExecutedCell(1, "x = 1"),)), cwd=Path("/"))
    made = Candidate(
        name=name,
        model=classifier(frame, late),
        bundle=bundle,
        note="Why: it is better.",
        author="ada",
        metrics={"auc": 0.75},
        lineage=lineage,
    )
    return replace(made, **changes)


def weak_bundle(folder: Path) -> Bundle:
    """Build a bundle of a model that looks at the hour alone."""
    frame, late = flights()
    model = make_pipeline(ColumnTransformer([("hour", StandardScaler(), ["hour"])]), LogisticRegression())
    prepared = conversion.prepare(model.fit(frame, late), frame, late)
    return conversion.build_bundle(prepared, folder=folder, profile=b"{}")


def python_bundle(folder: Path) -> Bundle:
    """Build a bundle of a model that ONNX cannot express."""
    frame, late = flights()
    frame = frame[["hour"]]
    prepared = conversion.prepare(inexpressible(frame, late), frame, late)
    return conversion.build_bundle(prepared, folder=folder, profile=b"{}")


def fake_bundle(folder: Path, *, python: bool = False) -> Bundle:
    """Write a bundle whose files are there and hold nothing of use: enough for storing and verifying."""
    folder.mkdir(parents=True)
    (folder / SIGNATURE).write_bytes(Signature((Column("hour", "long", nullable=False),)).to_json())
    (folder / WARMUP).write_bytes(b'{"columns":{"hour":[1,2]},"scores":[0.25,0.5]}')
    (folder / PROFILE).write_bytes(b"{}")
    (folder / REFERENCE).write_bytes(b"rows")
    if python:
        (folder / PYTHON_MODEL).mkdir()
        (folder / PYTHON_MODEL / "MLmodel").write_bytes(b"flavors: {}")
    else:
        (folder / ONNX_MODEL).write_bytes(b"onnx")
    runtime, reason = ("python", "it is code") if python else ("onnx", "")
    described = Description("classification", (False, True), runtime, reason, Agreement(2, 0, 0.0))  # type: ignore[arg-type]
    return seal(folder, described)
