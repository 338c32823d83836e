"""A model becomes data that says what the model said, or stays Python and says why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mlprod_nb.columns import Block
from mlprod_nb.registry import conversion, onnx_graph
from mlprod_nb.registry.bundles import ONNX_MODEL, REFERENCE, Bundle, read_bundle
from mlprod_nb.registry.onnx_runner import OnnxRunner, largest_difference, scores, to_arrays
from mlprod_nb.registry.runner import open_runner
from tests.registry.samples import classifier, encoder, flights, inexpressible

Case = tuple[Any, Any, Any]


def _build(case: Case, folder: Path) -> Bundle:
    model, frame, target = case
    prepared = conversion.prepare(model, frame, target)
    return conversion.build_bundle(prepared, folder=folder, profile=b'{"a":1}')


def _warm_difference(bundle: Bundle) -> float:
    columns, expected = bundle.warmup()
    output = open_runner(bundle).run(to_arrays(bundle.signature, columns))
    found = scores(bundle.manifest.task, bundle.manifest.classes, output)
    return largest_difference(bundle.manifest.task, np.asarray(expected), found)


def _case(model: Any, target: Callable[[pd.DataFrame, Any], Any], *columns: str, missing: bool = False) -> Case:
    frame, late = flights(missing=missing)
    frame = frame[list(columns)] if columns else frame
    outcome = target(frame, late)
    return model.fit(frame, outcome), frame, outcome


def _late(_: pd.DataFrame, late: Any) -> Any:
    return late


def _as_text(_: pd.DataFrame, late: Any) -> Any:
    return np.where(late, "late", "on time")


def _as_int(_: pd.DataFrame, late: Any) -> Any:
    return late.astype(int)


def _as_float(_: pd.DataFrame, late: Any) -> Any:
    return late.astype(float)


def _three(frame: pd.DataFrame, _: Any) -> Any:
    return (frame["hour"] // 8).to_numpy()


def _minutes(frame: pd.DataFrame, late: Any) -> Any:
    return frame["hour"] * 60.0 + 30 * late


def _passing(texts: Any) -> ColumnTransformer:
    return ColumnTransformer([("texts", texts, ["carrier"])], remainder="passthrough")


def _hgb(**options: Any) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=30, **options)


def _one_hot() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)


def _imputed() -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "hour"]),
            ("texts", make_pipeline(SimpleImputer(strategy="most_frequent"), _one_hot()), ["carrier"]),
        ]
    )


EXPRESSIBLE: dict[str, Callable[[], Case]] = {
    "logistic regression, boolean labels": lambda: _case(make_pipeline(encoder(), LogisticRegression()), _late),
    "logistic regression, text labels": lambda: _case(make_pipeline(encoder(), LogisticRegression()), _as_text),
    "logistic regression, integer labels": lambda: _case(make_pipeline(encoder(), LogisticRegression()), _as_int),
    "logistic regression, float labels": lambda: _case(make_pipeline(encoder(), LogisticRegression()), _as_float),
    "logistic regression, three classes": lambda: _case(make_pipeline(encoder(), LogisticRegression()), _three),
    "logistic regression, missing texts and numbers": lambda: _case(
        make_pipeline(_imputed(), LogisticRegression()), _late, missing=True
    ),
    "missing texts as a category of their own": lambda: _case(
        make_pipeline(_passing(_one_hot()), _hgb()), _late, missing=True
    ),
    "histogram boosting on scaled numbers": lambda: _case(make_pipeline(encoder(dense=True), _hgb()), _as_int),
    "histogram boosting on ordinals": lambda: _case(
        make_pipeline(_passing(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)), _hgb()), _late
    ),
    "histogram boosting regression": lambda: _case(
        make_pipeline(encoder(dense=True), HistGradientBoostingRegressor(max_iter=30)), _minutes
    ),
    "gradient boosting": lambda: _case(make_pipeline(encoder(), GradientBoostingClassifier(n_estimators=10)), _late),
    "forest regression on plain columns": lambda: _case(
        RandomForestRegressor(10, max_depth=6), _minutes, "distance", "hour", "weekend"
    ),
    "forest on scaled numbers, with ties": lambda: _case(
        make_pipeline(StandardScaler(), RandomForestClassifier(4)), _as_text, "distance", "hour"
    ),
    "linear regression": lambda: _case(make_pipeline(encoder(), LinearRegression()), _minutes),
    "calibrated support vectors": lambda: _case(
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LinearSVC())), _late, "distance", "hour"
    ),
    "a vote": lambda: _case(
        make_pipeline(
            encoder(),
            VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))], voting="soft"),
        ),
        _late,
    ),
    "encoded integers and booleans": lambda: _case(
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()), _late, "carrier", "hour", "weekend"
    ),
    "columns that the model does not use": lambda: _case(
        make_pipeline(ColumnTransformer([("n", StandardScaler(), ["distance"])]), LogisticRegression()), _late
    ),
}


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_a_model_becomes_onnx_and_agrees_with_itself(tmp_path: Path, name: str) -> None:
    case = EXPRESSIBLE[name]()
    bundle = _build(case, tmp_path / "b")
    assert (bundle.manifest.runtime, bundle.manifest.runtime_reason) == ("onnx", "")
    assert bundle.manifest.agreement.label_flips == 0
    assert bundle.manifest.agreement.max_difference <= 1e-5
    assert bundle.manifest.agreement.rows == len(case[1])
    assert _warm_difference(bundle) <= 2e-5


@pytest.mark.parametrize(
    ("columns", "inputs"),
    [
        (("distance", "hour"), ["mlprod:columns"]),
        (("distance",), ["distance"]),
        (("carrier", "hour"), ["carrier", "hour"]),
    ],
)
def test_columns_of_numbers_are_one_input_and_others_one_each(
    tmp_path: Path, columns: tuple[str, ...], inputs: list[str]
) -> None:
    numbers = "carrier" not in columns
    model = make_pipeline(StandardScaler() if numbers else _passing(_one_hot()), LogisticRegression())
    bundle = _build(_case(model, _late, *columns), tmp_path / "b")
    session = onnxruntime.InferenceSession(bundle.path / ONNX_MODEL, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == inputs


def test_a_model_with_one_input_a_column_says_what_one_with_all_in_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = EXPRESSIBLE["forest regression on plain columns"]()
    gathered = _build(case, tmp_path / "a")
    monkeypatch.setattr(onnx_graph, "gather_inputs", lambda *_: False)
    apart = _build(case, tmp_path / "b")
    assert gathered.digest != apart.digest
    matrix = case[1].to_numpy(np.float64)
    block = Block(apart.signature.names, np.ascontiguousarray(matrix.T))
    answers = [
        OnnxRunner(bundle).run(columns)[1].tobytes()
        for bundle in (gathered, apart)
        for columns in (block, {name: block[name] for name in block})
    ]
    assert len(set(answers)) == 1


@pytest.mark.parametrize("name", [name for name in EXPRESSIBLE if "regression, " in name and "missing" not in name])
def test_labels_come_back_in_their_own_type(tmp_path: Path, name: str) -> None:
    model, frame, target = EXPRESSIBLE[name]()
    bundle = _build((model, frame, target), tmp_path / "b")
    columns = {column: frame[column].tolist() for column in frame.columns}
    labels, probabilities = OnnxRunner(bundle).run(to_arrays(bundle.signature, columns))
    assert labels is not None
    assert labels.tolist() == model.predict(frame).tolist()
    assert {type(label) for label in labels.tolist()} == {type(label) for label in bundle.manifest.classes}
    np.testing.assert_allclose(probabilities, model.predict_proba(frame), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a transformer that is code", "It has no ONNX form: FunctionTransformer is not supported"),
        ("a class of one's own", "Doubler is not a scikit-learn model"),
        ("categories that the converter gets wrong", "Its ONNX form disagrees with the original.*labels differ"),
    ],
)
def test_a_model_that_onnx_cannot_express_stays_python_and_says_why(tmp_path: Path, name: str, reason: str) -> None:
    frame, late = flights()
    cases: dict[str, Callable[[], Case]] = {
        "a transformer that is code": lambda: (inexpressible(frame[["hour"]], late), frame[["hour"]], late),
        "a class of one's own": lambda: (Doubler(), frame, frame["hour"] * 2),
        "categories that the converter gets wrong": lambda: _case(
            make_pipeline(_passing(OrdinalEncoder()), _hgb(categorical_features=[0])), _late
        ),
    }
    bundle = _build(cases[name](), tmp_path / "b")
    assert bundle.manifest.runtime == "python"
    assert re.search(reason, bundle.manifest.runtime_reason)
    assert bundle.manifest.agreement.max_difference == 0.0
    assert _warm_difference(bundle) == 0.0


class Doubler:
    """A model that knows nothing of scikit-learn."""

    def predict(self, frame: pd.DataFrame) -> Any:
        return frame["hour"].to_numpy() * 2.0


def test_an_array_is_served_with_numbered_columns(tmp_path: Path) -> None:
    frame, late = flights()
    array = frame[["distance", "hour"]].to_numpy()
    model = LogisticRegression(max_iter=1000).fit(array, late)
    bundle = _build((model, array, late), tmp_path / "b")
    assert bundle.signature.names == ("x0", "x1")
    assert bundle.manifest.runtime == "onnx"


def test_columns_may_bear_the_names_of_outputs_and_strange_ones(tmp_path: Path) -> None:
    frame, late = flights()
    frame = frame.set_axis(["value", "label", "probabilities", "Dep delay (min), é"], axis=1)
    steps = [("n", StandardScaler(), ["value", "label"]), ("c", OneHotEncoder(), ["probabilities"])]
    model = make_pipeline(ColumnTransformer(steps), LogisticRegression()).fit(frame, late)
    bundle = _build((model, frame, late), tmp_path / "b")
    assert bundle.manifest.runtime == "onnx"
    assert _warm_difference(bundle) <= 1e-5


def test_an_unknown_category_is_ignored_as_the_original_ignores_it(tmp_path: Path) -> None:
    frame, late = flights()
    model = classifier(frame, late)
    bundle = _build((model, frame, late), tmp_path / "b")
    strange = frame.head(3).assign(carrier=["ZZ", "", "mlprod"])
    output = OnnxRunner(bundle).run(
        to_arrays(bundle.signature, {str(name): strange[name].tolist() for name in strange})
    )
    np.testing.assert_allclose(output[1], model.predict_proba(strange), atol=1e-5)


def test_the_reference_sample_is_bounded_seeded_and_holds_the_outcomes(tmp_path: Path) -> None:
    frame, late = flights(6_000, missing=True)
    prepared = conversion.prepare(make_pipeline(_imputed(), LogisticRegression()).fit(frame, late), frame, late)
    bundle = conversion.build_bundle(prepared, folder=tmp_path / "a", profile=b"{}", seed=1)
    again = conversion.build_bundle(prepared, folder=tmp_path / "b", profile=b"{}", seed=1)
    other = conversion.build_bundle(prepared, folder=tmp_path / "c", profile=b"{}", seed=2)
    assert again.manifest.files[REFERENCE] == bundle.manifest.files[REFERENCE] != other.manifest.files[REFERENCE]
    table = pq.read_table(bundle.path / REFERENCE)
    assert table.num_rows == 5_000
    assert table.column_names == [*frame.columns, "__label__", "__score__", "__prediction__"]
    assert [str(kind) for kind in table.schema.types] == ["double", "int64", "string", "bool", "bool", "double", "bool"]
    assert table.column("carrier").null_count > 0
    assert len(bundle.warmup()[1]) == 64


def test_without_a_target_labels_are_empty(tmp_path: Path) -> None:
    frame, late = flights()
    bundle = _build((classifier(frame, late), frame, None), tmp_path / "b")
    assert pq.read_table(bundle.path / REFERENCE).column("__label__").null_count == len(frame)


def test_missing_values_are_null_in_the_warm_up_rows(tmp_path: Path) -> None:
    bundle = _build(EXPRESSIBLE["logistic regression, missing texts and numbers"](), tmp_path / "b")
    columns, _ = bundle.warmup()
    assert None in columns["carrier"]
    assert None in columns["distance"]
    json.dumps(columns, allow_nan=False)


def test_a_bundle_is_read_back_as_it_was_built(tmp_path: Path) -> None:
    frame, late = flights()
    bundle = _build((classifier(frame, late), frame, late), tmp_path / "b")
    assert read_bundle(tmp_path / "b") == bundle
    assert (bundle.path / "profile.json").read_bytes() == b'{"a":1}'


def test_scores_are_those_of_the_contract() -> None:
    frame, late = flights()
    two = conversion.prepare(classifier(frame, late), frame, late)
    np.testing.assert_array_equal(two.scores, two.model.predict_proba(frame)[:, 1])
    target = _three(frame, late)
    three = conversion.prepare(classifier(frame, target), frame, target)
    np.testing.assert_array_equal(three.scores, three.model.predict_proba(frame).max(axis=1))
    np.testing.assert_array_equal(three.predictions, three.model.predict(frame))
    value = conversion.prepare(make_pipeline(encoder(), LinearRegression()).fit(frame, target), frame, target)
    np.testing.assert_array_equal(value.scores, value.model.predict(frame))
