"""MLflow's scoring protocol, and feedback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pandas as pd
import pytest

from mlprod_nb.errors import InvalidInput
from mlprod_nb.registry.bundles import ClassLabel, Task
from mlprod_nb.serving.errors import MalformedRequest
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.protocols import feedback, mlflow_scoring

NOW = datetime(2013, 4, 1, tzinfo=UTC)


def made(at: datetime) -> str:
    return Identifiers(clock_ns=lambda: int(at.timestamp()) * 10**9).new()


KEY = made(NOW)
FRAME = pd.DataFrame({"x": [1.5, 2.5], "c": ["a", "b"]})


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": FRAME.to_dict(orient="split")},
        {"dataframe_records": FRAME.to_dict(orient="records")},
        {"instances": FRAME.to_dict(orient="records")},
        {"instances": FRAME.to_numpy().tolist()},
        {"inputs": FRAME.to_dict(orient="list")},
        {"inputs": FRAME.to_numpy().tolist()},
        {"dataframe_split": {"data": FRAME.to_numpy().tolist()}},
    ],
)
def test_every_form_of_the_same_frame_reads_as_the_same_columns(body: dict[str, Any]) -> None:
    request = mlflow_scoring.read(orjson.dumps(body), ["x", "c"])
    assert {name: list(values) for name, values in request.columns.items()} == {"x": [1.5, 2.5], "c": ["a", "b"]}
    assert request.rows == 2


def test_what_only_some_records_name_is_missing_in_the_others() -> None:
    request = mlflow_scoring.read(b'{"dataframe_records": [{"x": 1}, {"c": "b"}]}', [])
    assert request.columns == {"x": [1, None], "c": [None, "b"]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"inputs": {"x": [NaN]}}', "NaN, which JSON does not have"),
        ('{"inputs": {"x": [1e999]}}', "beyond the range"),
        ("{}", "none of"),
        ('{"inputs": {"x": [1]}, "instances": []}', "more than one"),
        ('{"input": {"x": [1]}}', "Did you mean 'inputs'"),
        ('{"inputs": {"x": [1], "c": []}}', "differ in length"),
        ('{"inputs": {"x": 1}}', "a list of values"),
        ('{"inputs": {}}', "no rows"),
        ('{"instances": []}', "no rows"),
        ('{"instances": [[1]]}', "row 0 must be a list of 2"),
        ('{"instances": 3}', "list of rows"),
        ('{"dataframe_records": [1]}', "list of objects"),
        ('{"dataframe_split": []}', "columns and data"),
        ('{"dataframe_split": {"columns": ["x", "x"], "data": [[1, 2]]}}', "twice"),
        ('{"dataframe_split": {"columns": [1], "data": [[1]]}}', "list of names"),
        ('{"inputs": {"x": [1]}, "units": ["a", "b"]}', "one value for each of the 1 rows"),
        ('{"inputs": {"x": [1]}, "client_ids": "a"}', "one value for each"),
    ],
)
def test_a_malformed_body_is_told_what_is_wrong(body: str, words: str) -> None:
    with pytest.raises(MalformedRequest, match=words):
        mlflow_scoring.read(body.encode(), ["x", "c"])


def test_deep_nesting_does_not_overflow_the_stack() -> None:
    with pytest.raises(MalformedRequest):
        mlflow_scoring.read(b'{"inputs": ' + b"[" * 100_000, [])


TWO = feedback.Labels("classification", (0, 1))


def read_feedback(*rows: Any, labels: feedback.Labels = TWO) -> list[feedback.FeedbackRow]:
    return feedback.read(orjson.dumps({"feedback": list(rows)}), labels, received_at=NOW)


def test_a_value_equal_to_a_class_is_written_as_the_class() -> None:
    texts = [read_feedback({"prediction_id": KEY, "value": value})[0].text for value in (1, 1.0, True, "1", "1.0")]
    assert texts == ["1"] * 5


def label(value: str | float, task: Task, *classes: ClassLabel) -> tuple[str | None, float | None]:
    (read,) = read_feedback({"prediction_id": KEY, "value": value}, labels=feedback.Labels(task, classes))
    return read.text, read.number


@pytest.mark.parametrize(
    ("value", "classes", "words"),
    [
        (2, (0, 1), "'2' is no class of the endpoint. There is: 0, 1."),
        ("Late", ("late", "on time"), "'Late' is no class of the endpoint. Did you mean 'late'?"),
        ("on tme", ("late", "on time"), "'on tme' is no class of the endpoint. Did you mean 'on time'?"),
        (
            " setosa",
            ("setosa", "versicolor", "virginica"),
            "' setosa' is no class of the endpoint. Did you mean 'setosa'?",
        ),
    ],
)
def test_a_label_that_can_be_no_class_is_refused_with_the_nearest(
    value: str | float, classes: tuple[ClassLabel, ...], words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        label(value, "classification", *classes)
    assert str(caught.value) == f"feedback row 0: {words}"


def test_a_class_that_a_model_of_many_does_not_know_yet_is_taken() -> None:
    assert label("ciliata", "classification", "setosa", "versicolor", "virginica") == ("ciliata", None)


def test_feedback_of_another_name_or_kind_need_be_no_class() -> None:
    for other in ({"name": "cause"}, {"kind": "interaction"}):
        assert read_feedback({"prediction_id": KEY, "value": "fog", **other})[0].text == "fog"


def test_a_regressions_label_is_a_number_which_may_be_written_as_a_text() -> None:
    assert label("12.5", "regression") == ("12.5", 12.5)
    for bad in ("long", "nan"):
        with pytest.raises(InvalidInput, match=f"'{bad}' is no number, and the endpoint predicts numbers"):
            label(bad, "regression")


def test_a_prediction_that_is_to_come_has_no_feedback() -> None:
    for ahead, taken in ((4, True), (6, False)):
        key = made(NOW + timedelta(minutes=ahead))
        if taken:
            assert read_feedback({"prediction_id": key, "value": 1})[0].prediction_id == key
        else:
            with pytest.raises(InvalidInput, match="of a moment that is to come"):
                read_feedback({"prediction_id": key, "value": 1})


def test_feedback_has_its_defaults_and_numbers() -> None:
    plain, full = read_feedback(
        {"prediction_id": KEY, "value": "0"},
        {
            "prediction_id": KEY,
            "value": 12.5,
            "kind": "reward",
            "name": "tip",
            "source": "till",
            "event_time": "2013-04-02T08:00:00+02:00",
        },
    )
    assert (plain.kind, plain.name, plain.text, plain.number, plain.event_time) == ("label", "label", "0", None, NOW)
    assert (full.kind, full.name, full.number, full.source) == ("reward", "tip", 12.5, "till")
    assert full.event_time == datetime(2013, 4, 2, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (3, "must be an object"),
        ({"value": 1}, "prediction_id"),
        ({"prediction_id": "mine-1", "value": 1}, "not one that the gateway gave"),
        ({"prediction_id": KEY}, "value must be"),
        ({"prediction_id": KEY, "value": [1]}, "value must be"),
        ({"prediction_id": KEY, "value": 1, "kind": "labels"}, "kind must be one of"),
        ({"prediction_id": KEY, "value": 1, "sauce": "x"}, "Did you mean 'source'"),
        ({"prediction_id": KEY, "value": 1, "name": 3}, "name must be a text"),
        ({"prediction_id": KEY, "value": 1, "event_time": "soon"}, "not an ISO 8601 moment in row 0"),
    ],
)
def test_a_feedback_row_that_does_not_fit_is_told_what_is_wrong(row: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        read_feedback(row)
    assert caught.value.row == 0


@pytest.mark.parametrize("body", [b'{"feedback": 1}', b"{}", b'{"feedback": [], "more": 1}', b'{"rows": []}'])
def test_feedback_must_be_one_list(body: bytes) -> None:
    with pytest.raises(MalformedRequest, match="one list"):
        feedback.read(body, TWO, received_at=NOW)


def test_one_row_may_come_without_a_list() -> None:
    assert feedback.read(orjson.dumps({"prediction_id": KEY, "value": 1}), TWO, received_at=NOW) == read_feedback(
        {"prediction_id": KEY, "value": 1}
    )
    with pytest.raises(InvalidInput, match="unknown key 'feedback'"):
        feedback.read(orjson.dumps({"prediction_id": KEY, "value": 1, "feedback": []}), TWO, received_at=NOW)


def test_feedback_is_taken_for_ninety_days_and_not_longer() -> None:
    key = made(NOW - timedelta(days=90))
    row = {"prediction_id": key, "value": 1}
    assert len(read_feedback(row)) == 1
    body = orjson.dumps({"feedback": [row]})
    with pytest.raises(InvalidInput, match="row 0: its prediction is older than 90 days") as caught:
        feedback.read(body, TWO, received_at=NOW + timedelta(milliseconds=1))
    assert caught.value.row == 0
