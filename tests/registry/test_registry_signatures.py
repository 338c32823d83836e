from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlprod_nb.errors import InvalidInput
from mlprod_nb.registry.bundles import Column
from mlprod_nb.registry.signatures import infer, plain_frame, to_columns

EVERY_TYPE: dict[str, tuple[Any, str, bool]] = {
    "float64": ([1.5, np.nan], "double", True),
    "float32": (np.array([1, 2], dtype="f4"), "double", False),
    "int64": ([1, 2], "long", False),
    "uint8": (np.array([1, 2], dtype="u1"), "long", False),
    "bool": ([True, False], "boolean", False),
    "object_texts": (pd.Series(["a", None], dtype=object), "string", True),
    "default_texts": (pd.Series(["a", "b"]), "string", False),
    "nullable_int": (pd.array([1, None], dtype="Int64"), "long", True),
    "nullable_bool": (pd.array([True, None], dtype="boolean"), "boolean", True),
    "nullable_float": (pd.array([1.5, None], dtype="Float64"), "double", True),
    "nullable_text": (pd.array(["a", None], dtype="string"), "string", True),
    "arrow_text": (pd.array(["a", None], dtype="string[pyarrow]"), "string", True),
    "arrow_int": (pd.array([1, 2], dtype="int64[pyarrow]"), "long", False),
    "category_text": (pd.Categorical(["a", None]), "string", True),
    "category_int": (pd.Categorical([3, 4]), "long", False),
    "object_int": (pd.Series([1, 2], dtype=object), "long", False),
    "object_bool": (pd.Series([True, None], dtype=object), "boolean", True),
    "object_float": (pd.Series([1, 2.5], dtype=object), "double", False),
}


def test_every_kind_of_column_gets_its_type() -> None:
    frame = pd.DataFrame({name: values for name, (values, _, _) in EVERY_TYPE.items()})
    wanted = tuple(Column(name, kind, nullable) for name, (_, kind, nullable) in EVERY_TYPE.items())  # type: ignore[arg-type]
    assert infer(frame).columns == wanted


def test_columns_and_plain_frames_are_the_same_data() -> None:
    frame = pd.DataFrame({name: values for name, (values, _, _) in EVERY_TYPE.items()})
    signature = infer(frame)
    columns = to_columns(frame, signature)
    plain = plain_frame(columns, signature)
    assert {str(dtype) for dtype in plain.dtypes} == {"float64", "int64", "bool", "object"}
    again = to_columns(plain, signature)
    for name, values in columns.items():
        assert values.dtype == again[name].dtype
        np.testing.assert_array_equal(values, again[name])


def test_an_array_gets_numbered_columns() -> None:
    assert [(c.name, c.type) for c in infer(np.ones((3, 2))).columns] == [("x0", "double"), ("x1", "double")]


REFUSED: dict[str, tuple[Any, str]] = {
    "rows as dicts": ([{"a": 1}], "is a list.*pandas.DataFrame"),
    "a series": (pd.Series([1]), "is a Series"),
    "one dimension": (np.ones(3), "an array of 1 dimension"),
    "nothing": (pd.DataFrame(), "0 rows and 0 columns"),
    "no rows": (pd.DataFrame({"a": []}), "0 rows and 1 columns"),
    "mixed types": (pd.DataFrame({"ok": [1, 2], "bad": [1, "x"]}), "'bad' holds values of mixed types .int, str"),
    "booleans and numbers": (pd.DataFrame({"bad": pd.Series([True, 1], dtype=object)}), "mixed types .bool, int"),
    "no value at all": (pd.DataFrame({"bad": [None, None]}), "'bad' has no value"),
    "moments": (pd.DataFrame({"bad": pd.to_datetime(["2020-01-01"])}), "'bad' is of type datetime64.*hour"),
    "dates": (pd.DataFrame({"bad": [datetime.date(2020, 1, 1)]}), "'bad' holds date values"),
    "complex numbers": (pd.DataFrame({"bad": [1j]}), "'bad' is of type complex128"),
    "infinity": (pd.DataFrame({"bad": [1.0, np.inf]}), "'bad' holds an infinity"),
    "lists": (pd.DataFrame({"bad": [[1], [2]]}), "'bad' holds list values"),
    "bytes": (pd.DataFrame({"bad": [b"x"]}), "'bad' holds bytes values"),
    "a numbered column": (pd.DataFrame({1: [1]}), "a column named 1"),
    "two columns of one name": (pd.DataFrame([[1, 2]], columns=["bad", "bad"]), "two columns named 'bad'"),
    "a reserved name": (pd.DataFrame({"__score__": [1]}), "'__score__' has a name that bundles use"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_data_that_cannot_be_served_is_refused_naming_the_column(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(InvalidInput, match=message):
        infer(data)


def test_a_frame_that_does_not_fit_is_refused_naming_the_column() -> None:
    signature = infer(pd.DataFrame({"hour": [1, 2], "carrier": ["AA", "UA"]}))
    with pytest.raises(InvalidInput, match="column 'carrier' is missing"):
        to_columns(pd.DataFrame({"hour": [1]}), signature)
    with pytest.raises(InvalidInput, match="'hour' holds a value that is not of type long"):
        to_columns(pd.DataFrame({"hour": ["x"], "carrier": ["AA"]}), signature)
    with pytest.raises(InvalidInput, match="'carrier' holds a value that is not of type string"):
        to_columns(pd.DataFrame({"hour": [1], "carrier": [3]}), signature)
