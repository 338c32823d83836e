"""Whatever a body holds, a protocol reads it or tells what is wrong: nothing else is raised, so no body makes a 500."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from mlprod_nb.errors import MlprodError
from mlprod_nb.registry.bundles import Column, Signature
from mlprod_nb.serving import ordinary
from mlprod_nb.serving.columns import typed
from mlprod_nb.serving.errors import status_of
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.protocols import feedback, invocations, mlflow_scoring, open_inference
from mlprod_nb.serving.protocols.scoring import ScoringRequest
from mlprod_nb.serving.rows import read_units

SIGNATURE = Signature(
    (
        Column("x", "double", nullable=True),
        Column("n", "long", nullable=False),
        Column("b", "boolean", nullable=False),
        Column("s", "string", nullable=True),
    )
)
NOW = datetime(2013, 4, 1, tzinfo=UTC)
KEY = Identifiers(clock_ns=lambda: int(NOW.timestamp()) * 10**9).new()
LABELS = feedback.Labels("classification", (0, 1))

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "x", "n", KEY, "2013-04-01", "FP64", "INT64", "BYTES", "BOOL", "label"])
)
_KEYS = [
    "columns",
    "data",
    "index",
    "feedback",
    "outputs",
    "parameters",
    "id",
    "name",
    "shape",
    "datatype",
    "binary_data_size",
    "binary_data",
]
NAMES = st.sampled_from([*SIGNATURE.names, *mlflow_scoring.FORMATS, *mlflow_scoring.OPTIONS, *feedback.KEYS, *_KEYS])
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=16,
)
BODIES = st.dictionaries(NAMES, ANYTHING, max_size=4)
CELLS = {"x": SCALARS, "n": SCALARS, "b": SCALARS, "s": SCALARS}
ROWS = st.lists(st.fixed_dictionaries(CELLS) | st.dictionaries(NAMES, SCALARS, max_size=5), max_size=3)
RECORDS = st.fixed_dictionaries({"dataframe_records": ROWS}, optional={"units": ANYTHING, "event_time": ANYTHING})
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from([*SIGNATURE.names, "all"]),
        "datatype": st.sampled_from(["FP64", "FP16", "INT8", "UINT64", "BOOL", "BYTES"]),
        "shape": st.lists(st.integers(0, 4), max_size=3) | ANYTHING,
    },
    optional={
        "data": ANYTHING | st.lists(SCALARS, max_size=8),
        "parameters": ANYTHING | st.fixed_dictionaries({"binary_data_size": st.integers(0, 12)}),
    },
)
INFERENCES = st.fixed_dictionaries({"inputs": st.lists(TENSORS, max_size=4)}, optional={"outputs": ANYTHING})
FEEDBACKS = st.fixed_dictionaries(
    {"feedback": st.lists(st.fixed_dictionaries({"prediction_id": st.just(KEY), "value": SCALARS}) | ANYTHING)}
)


def must_be_told(error: MlprodError) -> None:
    assert 400 <= status_of(error) < 500
    assert str(error)


def check(scoring: ScoringRequest) -> None:
    typed(scoring.columns, scoring.rows, SIGNATURE)
    read_units(scoring.units, scoring.rows)


@settings(deadline=None)
@given(BODIES | RECORDS)
def test_any_json_is_read_or_told_and_both_lanes_read_the_same(body: Any) -> None:
    text = orjson.dumps(body)
    try:
        scoring = invocations.read(text, Headers({}), SIGNATURE)
        check(scoring)
    except MlprodError as error:
        must_be_told(error)
        scoring = None
    reader = ordinary.Reader(SIGNATURE)
    with suppress(*ordinary.NOT_ORDINARY):
        table = reader.read(text)
        columns = reader.decode([table])
        read_units(table.units, len(table.rows))
        assert scoring is not None, "the express lane takes what the routes refuse"
        expected = typed(scoring.columns, scoring.rows, SIGNATURE)
        assert {name: repr(list(columns[name])) for name in columns} == {
            name: repr(list(expected[name])) for name in expected
        }


@settings(deadline=None)
@given(BODIES | INFERENCES, st.binary(max_size=24), st.booleans())
def test_any_inference_request_is_read_or_told(body: Any, tail: bytes, told: bool) -> None:
    text = orjson.dumps(body)
    try:
        check(open_inference.read(text + tail, str(len(text)) if told else None, SIGNATURE).scoring)
    except MlprodError as error:
        must_be_told(error)


@settings(deadline=None)
@given(BODIES | FEEDBACKS)
def test_any_feedback_is_read_or_told(body: Any) -> None:
    try:
        feedback.read(orjson.dumps(body), LABELS, received_at=NOW)
    except MlprodError as error:
        must_be_told(error)


@settings(deadline=None)
@given(st.text(alphabet='xnbs,\n\r" 1.e-\x00\ufeff', max_size=40).map(str.encode) | st.binary(max_size=40))
def test_any_csv_is_read_or_told(body: bytes) -> None:
    for text in (body, b"x,n,b,s\n" + body):
        try:
            check(invocations.read(text, Headers({"content-type": "text/csv"}), SIGNATURE))
        except MlprodError as error:
            must_be_told(error)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_told(body: bytes) -> None:
    for read in (
        lambda: invocations.read(body, Headers({}), SIGNATURE),
        lambda: open_inference.read(body, None, SIGNATURE),
        lambda: feedback.read(body, LABELS, received_at=NOW),
    ):
        try:
            read()
        except MlprodError as error:
            must_be_told(error)
