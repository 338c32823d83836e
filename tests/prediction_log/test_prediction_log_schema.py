"""Encoding: every kind of value comes back as it was, and what does not fit is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlprod_nb.columns import Block, Repeated, Texts
from mlprod_nb.errors import InvalidInput
from mlprod_nb.prediction_log.decoding import FEEDBACK_FIELDS, PREDICTION_FIELDS, decode
from mlprod_nb.prediction_log.forms import Form
from mlprod_nb.prediction_log.framing import MAGIC, Record, scan
from mlprod_nb.prediction_log.schema import (
    FeedbackBatch,
    PredictionBatch,
    encode_feedback,
    encode_predictions,
)
from tests.prediction_log.batches import START, feedback, predictions


def back(record: bytes) -> pa.Table:
    (found,) = scan(memoryview(MAGIC + record))
    assert isinstance(found, Record)
    (table,) = decode([found.payload])
    table.validate(full=True)
    return table


def inputs(values: Any) -> tuple[str, list[Any]]:
    batch = predictions([str(number) for number in range(len(values))], inputs={"x": values})
    table = back(encode_predictions(batch))
    column = table["inputs"].combine_chunks().field("x")
    return str(column.type), column.to_pylist()


def test_predictions_come_back_with_the_declared_schema() -> None:
    table = back(encode_predictions(predictions(["a", "b"], unit=["N1", None], prediction=[None, "1"])))
    assert table.schema.remove(table.schema.get_field_index("inputs")) == PREDICTION_FIELDS
    row = table.to_pylist()[1]
    assert row["prediction_id"] == "b"
    assert row["unit"] is None
    assert row["prediction"] == "1"
    assert row["event_time"] == START + timedelta(seconds=1)
    assert row["inputs"] == {"distance": 1.0, "carrier": "UA"}


def test_feedback_comes_back_with_the_declared_schema() -> None:
    table = back(encode_feedback(feedback(["a", "b"], text=["late", None], number=[None, float("nan")])))
    assert table.schema == FEEDBACK_FIELDS
    assert table["text"].to_pylist() == ["late", None]
    assert table["number"].to_pylist() == [None, None]


def objects(*values: Any) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1.5, None, 2], "double", [1.5, None, 2.0]),
        ([1, None, -3], "int64", [1, None, -3]),
        ([True, None, False], "bool", [True, None, False]),
        (["a", None, "ü–航", ""], "string", ["a", None, "ü–航", ""]),
        ([None, None], "string", [None, None]),
        (np.array([1.5, np.nan]), "double", [1.5, None]),
        (np.array([np.inf, -np.inf]), "double", [np.inf, -np.inf]),
        (np.array([1.5, 2.5], dtype=np.float32), "double", [1.5, 2.5]),
        (np.array([2**62, -1]), "int64", [2**62, -1]),
        (np.array([7, 8], dtype=np.uint8), "int64", [7, 8]),
        (np.arange(10)[::2], "int64", [0, 2, 4, 6, 8]),
        (np.array([True, False]), "bool", [True, False]),
        (np.array(["a", "bc"]), "string", ["a", "bc"]),
        (objects("a", None), "string", ["a", None]),
        (objects(1.5, None), "double", [1.5, None]),
        (objects(None, None), "string", [None, None]),
        (objects(np.int64(3), np.int64(4)), "int64", [3, 4]),
    ],
)
def test_an_input_column_is_double_int64_bool_or_string(values: Any, kind: str, expected: list[Any]) -> None:
    assert inputs(values) == (kind, expected)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))).filter(bool))
def test_any_text_comes_back(values: list[str | None]) -> None:
    assert inputs(values) == ("string", values)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.none() | st.booleans()).filter(lambda values: any(value is not None for value in values)))
def test_any_truth_values_come_back(values: list[bool | None]) -> None:
    assert inputs(values) == ("bool", values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, "a"], "int, str"),
        ([True, 1.5], "bool, float"),
        ([b"a"], "bytes"),
        ([2**70, 1], "too large"),
        (np.array([2**64 - 1], dtype=np.uint64), "too large"),
        (np.array(["2013-04-01"], dtype="datetime64[D]"), "datetime64"),
        (["\ud800"], "not Unicode"),
    ],
)
def test_an_input_of_another_kind_is_named(values: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        inputs(values)
    assert caught.value.column == "x"


@pytest.mark.parametrize("column", [field.name for field in PREDICTION_FIELDS])
def test_a_column_of_another_length_is_named(column: str) -> None:
    batch = predictions(["a", "b"])
    changed: dict[str, Any] = {column: list(getattr(batch, column))[:1]}
    short = replace(batch, **changed)
    with pytest.raises(InvalidInput, match="where there are"):
        encode_predictions(short)


def test_an_input_of_another_length_is_named() -> None:
    with pytest.raises(InvalidInput, match="'x' has 1 values where there are 2 rows"):
        encode_predictions(predictions(["a", "b"], inputs={"x": [1.0]}))


def broken(**columns: Any) -> Callable[[], bytes]:
    return lambda: encode_predictions(predictions(["a", "b"], **columns))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("variant", None),
        ("variant", 3),
        ("revision", 1.5),
        ("revision", None),
        ("version", "3"),
        ("event_time", None),
        ("event_time", datetime(2013, 4, 1)),  # noqa: DTZ001 (without an offset: that is the point)
        ("score", "high"),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_named(column: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"'{column}'"):
        broken(**{column: value})()


def test_a_batch_is_of_one_endpoint() -> None:
    with pytest.raises(InvalidInput, match="several endpoints"):
        broken(endpoint=["flights", "trains"])()
    with pytest.raises(InvalidInput, match="no rows"):
        encode_predictions(predictions([]))
    with pytest.raises(InvalidInput, match="no rows"):
        encode_feedback(feedback([]))


def test_a_moment_is_kept_to_the_microsecond_whatever_its_offset() -> None:
    moment = datetime(2013, 4, 1, 8, 0, 0, 123457, tzinfo=timezone(timedelta(hours=2)))
    table = back(encode_predictions(predictions(["a"], event_time=[moment])))
    assert table["event_time"].to_pylist() == [datetime(2013, 4, 1, 6, 0, 0, 123457, tzinfo=UTC)]
    old = datetime(1931, 1, 1, tzinfo=UTC)
    assert back(encode_predictions(predictions(["a"], event_time=[old])))["event_time"].to_pylist() == [old]


def test_a_model_without_inputs_can_be_logged() -> None:
    assert back(encode_predictions(predictions(["a"], inputs={})))["inputs"].to_pylist() == [{}]


def test_batches_have_the_columns_of_their_schemas() -> None:
    assert [*PREDICTION_FIELDS.names, "inputs"] == list(PredictionBatch.__dataclass_fields__)
    assert FEEDBACK_FIELDS.names == list(FeedbackBatch.__dataclass_fields__)


def test_texts_of_one_length_are_kept_as_a_list_of_them_is() -> None:
    for texts in (["ab", "cd", "ef"], ["", ""], ["é1", "ü2"]):
        joined = Texts("".join(texts), len(texts))
        assert list(joined) == texts
        batch = predictions(["1"] * len(texts), request_id=texts)
        same = replace(batch, request_id=joined)
        assert encode_predictions(same) == encode_predictions(batch)


def written_out(batch: PredictionBatch) -> PredictionBatch:
    """Return a batch with a list for each column and an array for each input."""
    plain: dict[str, Any] = {name: list(getattr(batch, name)) for name in PREDICTION_FIELDS.names}
    return replace(batch, **plain, inputs=dict(batch.inputs))


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@settings(deadline=None, max_examples=200)
@given(st.data(), st.integers(1, 3), st.integers(0, 4))
def test_rows_that_share_most_values_are_written_as_any_other_rows_are(
    data: st.DataObject, rows: int, wide: int
) -> None:
    def repeated(values: st.SearchStrategy[Any]) -> Repeated[Any]:
        return Repeated(data.draw(values), rows)

    def ids(width: int) -> Texts:
        return Texts(data.draw(st.text("0123456789abcdef-", min_size=width * rows, max_size=width * rows)), rows)

    few = st.sampled_from(["", "a", "flüge"])
    batch = PredictionBatch(
        prediction_id=ids(36),
        request_id=ids(data.draw(st.sampled_from([5, 36]))),
        endpoint=repeated(few),
        revision=repeated(st.integers(1, 2)),
        variant=repeated(few),
        model=repeated(few),
        version=repeated(st.integers(1, 2)),
        shadow=repeated(st.booleans()),
        unit=repeated(st.none() | few),
        event_time=repeated(MOMENTS),
        received_at=repeated(MOMENTS),
        latency_ms=repeated(st.floats(0, 1e6) | st.sampled_from([0, float("nan"), float("inf")])),
        prediction=repeated(st.none() | few),
        score=np.array(data.draw(st.lists(NUMBERS, min_size=rows, max_size=rows))),
        inputs=Block(
            tuple(f"x{number}" for number in range(wide)),
            np.array(data.draw(st.lists(NUMBERS, min_size=rows * wide, max_size=rows * wide))).reshape(wide, rows),
        ),
    )
    assert back(encode_predictions(batch)).equals(back(encode_predictions(written_out(batch))))


@pytest.mark.parametrize(
    ("column", "value"),
    [("variant", None), ("variant", 3), ("revision", 1.5), ("version", "3"), ("event_time", None), ("latency_ms", "1")],
)
def test_a_shared_value_that_does_not_fit_its_column_is_named(column: str, value: Any) -> None:
    batch = predictions(Texts("ab", 2), inputs=Block(("x",), np.zeros((1, 2))))
    shared: dict[str, Any] = {
        name: Repeated(getattr(batch, name)[0], 2) for name in PREDICTION_FIELDS.names[2:] if name != "score"
    }
    shared |= {"request_id": Texts("cd", 2), "event_time": Repeated(START, 2)}
    assert encode_predictions(replace(batch, **shared))
    with pytest.raises(InvalidInput, match=f"'{column}'"):
        encode_predictions(replace(batch, **shared | {column: Repeated(value, 2)}))


def test_a_form_takes_only_parts_as_long_as_its_places() -> None:
    form = Form(encode_predictions(predictions(["a"])), [(20, 4)])
    with pytest.raises(ValueError, match=r"parts of \[3\] bytes do not fit places of \[4\]"):
        form.fill(b"abc")
