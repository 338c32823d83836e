"""XGBoost's and LightGBM's estimators become ONNX that says what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor

from mlprod_nb.registry import conversion, onnx_boosters
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.onnx_runner import to_arrays
from mlprod_nb.registry.runner import open_runner
from tests.registry.samples import flights

NUMBERS = ["distance", "hour"]
CLASSIFIERS = [XGBClassifier, LGBMClassifier]
REGRESSORS = [XGBRegressor, LGBMRegressor]


@pytest.fixture
def model(kind: Any) -> Any:
    """A small one that is not fitted."""
    return kind(n_estimators=20, **({"verbose": -1} if kind.__name__.startswith("LGBM") else {}))


def build(model: Any, frame: pd.DataFrame, target: Any, folder: Path) -> Bundle:
    prepared = conversion.prepare(model.fit(frame, target), frame, target)
    return conversion.build_bundle(prepared, folder=folder, profile=b"{}")


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_classifier_of_a_boosting_library_becomes_onnx(model: Any, tmp_path: Path) -> None:
    frame, late = flights()
    bundle = build(model, frame[NUMBERS], late, tmp_path)
    assert (bundle.manifest.runtime, bundle.manifest.runtime_reason) == ("onnx", "")
    assert bundle.manifest.agreement.label_flips == 0
    columns = {column: frame[column][:50].tolist() for column in NUMBERS}
    labels, numbers = open_runner(bundle).run(to_arrays(bundle.signature, columns))
    assert np.abs(numbers - model.predict_proba(frame[NUMBERS][:50])).max() < 1e-5
    assert labels is not None
    assert list(labels) == model.predict(frame[NUMBERS][:50]).tolist()


@pytest.mark.parametrize("kind", REGRESSORS)
def test_a_regressor_of_a_boosting_library_becomes_onnx(model: Any, tmp_path: Path) -> None:
    frame, _ = flights()
    bundle = build(model, frame[["hour"]], frame["distance"] / 1000, tmp_path)
    assert (bundle.manifest.runtime, bundle.manifest.runtime_reason) == ("onnx", "")


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_one_of_three_classes_is_told_as_by_the_original(model: Any, tmp_path: Path) -> None:
    frame, _ = flights()
    bundle = build(model, frame[NUMBERS], pd.cut(frame["hour"], [-1, 9, 16, 24], labels=False), tmp_path)
    assert (bundle.manifest.runtime, bundle.manifest.classes) == ("onnx", (0, 1, 2))


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_pipeline_that_ends_in_one_becomes_onnx(model: Any, tmp_path: Path) -> None:
    frame, late = flights()
    before = ColumnTransformer(
        [("scaled", StandardScaler(), NUMBERS), ("coded", OneHotEncoder(handle_unknown="ignore"), ["carrier"])]
    )
    bundle = build(make_pipeline(before, model), frame[[*NUMBERS, "carrier"]], late, tmp_path)
    assert (bundle.manifest.runtime, bundle.manifest.runtime_reason) == ("onnx", "")


def test_the_original_keeps_the_names_of_its_columns(tmp_path: Path) -> None:
    frame, late = flights()
    model = XGBClassifier(n_estimators=5)
    build(model, frame[NUMBERS], late, tmp_path)
    assert model.get_booster().feature_names == NUMBERS


def test_without_onnxmltools_the_reason_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == "onnxmltools"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "onnxmltools", None)
    frame, late = flights()
    bundle = build(LGBMClassifier(n_estimators=5, verbose=-1), frame[NUMBERS], late, tmp_path)
    assert bundle.manifest.runtime == "python"
    assert bundle.manifest.runtime_reason == (
        "LGBMClassifier becomes ONNX with onnxmltools, which is not installed: pip install 'mlprod_nb[boosting]'."
    )


def test_models_of_other_libraries_are_converted_as_before() -> None:
    assert onnx_boosters.inside(make_pipeline(StandardScaler())) == []
