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
from onnx import TensorProto, helper
from skl2onnx import update_registered_converter
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
from mlprod_nb.errors import ExecutionFailed, InvalidInput, Refused, UsageError
from mlprod_nb.registry import conversion, onnx_export, onnx_graph
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


class Constant:
    """Says the same for every row."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def predict(self, frame: pd.DataFrame) -> Any:
        return np.full(len(frame), self.value)


class Random:
    """Says something else at every call."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, frame: pd.DataFrame) -> Any:
        self.calls += 1
        return np.full(len(frame), float(self.calls))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"] + 1


class Unsavable(Constant):
    def __reduce__(self) -> Any:
        raise TypeError("it holds a lock")


def _refusals() -> dict[str, tuple[Any, Any, Any, type[Exception], str]]:
    frame, late = flights(50)
    fitted = classifier(frame, late)
    support = LinearSVC().fit(frame[["hour"]], late)
    return {
        "a text": ("clf", frame, late, UsageError, "is a str, which has no predict"),
        "a class": (LogisticRegression, frame, late, UsageError, "is the class LogisticRegression"),
        "not fitted": (LogisticRegression(), frame, late, UsageError, "LogisticRegression is not fitted"),
        "no probabilities": (support, frame[["hour"]], late, UsageError, "LinearSVC has no predict_proba"),
        "another column": (fitted, frame.drop(columns="hour"), late, ExecutionFailed, "hour"),
        "a short target": (fitted, frame, late[:-1], InvalidInput, "49 values for 50 rows"),
        "an empty target": (fitted, frame, [None] * 50, InvalidInput, "no value in 50 of 50 rows"),
        "a strange target": (fitted, frame, ["late"] * 50, InvalidInput, "'late', which is none of"),
        "text for a regression": (Constant(1.0), frame, ["x"] * 50, InvalidInput, "must be numbers"),
        "no number": (Constant(np.nan), frame, None, ExecutionFailed, "no finite number for 50 of 50"),
        "no number at all": (Constant("a"), frame, None, ExecutionFailed, "could not convert"),
    }


@pytest.mark.parametrize("case", _refusals())
def test_what_cannot_be_served_is_refused_in_one_line(case: str) -> None:
    model, frame, target, kind, message = _refusals()[case]
    with pytest.raises(kind, match=message) as caught:
        conversion.prepare(model, frame, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [(Unsavable(1.0), "cannot be saved: .*it holds a lock"), (Random(), "says something else about rows")],
)
def test_a_model_that_does_not_survive_saving_is_refused(tmp_path: Path, model: Any, message: str) -> None:
    frame, _ = flights(50)
    prepared = conversion.prepare(model, frame)
    with pytest.raises(Refused, match=message):
        conversion.build_bundle(prepared, folder=tmp_path / "b", profile=b"{}")


class Endless(LinearRegression):
    """A model whose converter writes a loop without an end."""


def _endless_shape(operator: Any) -> None:
    operator.outputs[0].type = type(operator.inputs[0].type)([None, 1])


def _endless_converter(scope: Any, operator: Any, container: Any) -> None:
    kind = TensorProto.DOUBLE if "Double" in type(operator.inputs[0].type).__name__ else TensorProto.FLOAT

    def info(name: str, kind: int, shape: list[int | None]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["state"], ["next"])],
        "step",
        [info("at", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("state", kind, [None, 1])],
        [info("go_on", TensorProto.BOOL, []), info("next", kind, [None, 1])],
    )
    most, yes = scope.get_unique_variable_name("most"), scope.get_unique_variable_name("yes")
    container.add_initializer(most, TensorProto.INT64, [], [2**63 - 1])
    container.add_initializer(yes, TensorProto.BOOL, [], [True])
    taken, given = [most, yes, operator.inputs[0].full_name], operator.outputs[0].full_name
    container.add_node("Loop", taken, given, op_version=13, body=step)


def test_a_model_whose_onnx_form_never_ends_is_found_out_and_told_in_one_sentence() -> None:
    update_registered_converter(Endless, "MlprodTestEndless", _endless_shape, _endless_converter)
    frame = flights()[0][["distance"]]
    prepared = conversion.prepare(Endless().fit(frame, frame["distance"]), frame)
    subject = onnx_export.Subject(prepared.model, prepared.signature, prepared.task, prepared.classes)
    sample = onnx_export.Sample(prepared.frame, {"distance": frame["distance"].to_numpy()}, prepared.output)
    found = onnx_export.export(subject, sample, seconds=0.1)
    assert (found.model, found.reason) == (None, "Its ONNX form does not answer 800 rows within 0.1 s.")
