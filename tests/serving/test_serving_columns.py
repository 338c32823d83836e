"""Typed columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlprod_nb.errors import InvalidInput
from mlprod_nb.registry.bundles import Column, ColumnType, Signature
from mlprod_nb.serving.columns import typed


def read(kind: ColumnType, values: list[Any], *, nullable: bool = False) -> np.ndarray[Any, Any]:
    return typed({"x": values}, len(values), Signature((Column("x", kind, nullable),)))["x"]


@pytest.mark.parametrize(
    ("kind", "values", "dtype", "expected"),
    [
        ("double", [1.5, 2], np.float64, [1.5, 2.0]),
        ("long", [1, 2.0], np.int64, [1, 2]),
        ("boolean", [True, False], np.bool_, [True, False]),
        ("string", ["a", ""], np.object_, ["a", ""]),
    ],
)
def test_each_type_becomes_its_array(kind: ColumnType, values: list[Any], dtype: Any, expected: list[Any]) -> None:
    found = read(kind, values)
    assert found.dtype == dtype
    assert found.tolist() == expected


def test_a_missing_value_is_nan_for_numbers_and_none_for_text() -> None:
    assert np.isnan(read("double", [None, 1.0], nullable=True)[0])
    assert read("string", [None, "a"], nullable=True).tolist() == [None, "a"]
    assert read("long", [None, 3], nullable=True)[1] == 3.0
    assert read("boolean", [True, None], nullable=True)[0] == 1.0
    assert read("double", [None, None], nullable=True).dtype == np.float64


@pytest.mark.parametrize(
    ("kind", "values", "row", "words"),
    [
        ("double", [1.0, "2"], 1, "takes a number, not text"),
        ("double", [True], 0, "not true or false"),
        ("double", [1.0, None], 1, "has no value in row 1"),
        ("double", [[1.0]], 0, "not a list"),
        ("long", [1, 1.5], 1, "takes a whole number, not a fraction"),
        ("long", ["1"], 0, "not text"),
        ("boolean", [1], 0, "takes true or false, not a whole number"),
        ("string", ["a", 7], 1, "takes text, not a whole number"),
        ("string", [None], 0, "has no value"),
        ("string", [{}], 0, "not an object"),
    ],
)
def test_a_value_of_another_type_names_column_and_row(
    kind: ColumnType, values: list[Any], row: int, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        read(kind, values)
    assert caught.value.column == "x"
    assert caught.value.row == row


def test_numbers_that_are_not_finite_or_too_large_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not finite"):
        read("double", [float("inf")])
    with pytest.raises(InvalidInput, match="not finite"):
        read("double", [float("nan")])
    with pytest.raises(InvalidInput, match="too large"):
        read("long", [2**63])


def test_unknown_and_missing_columns_are_named() -> None:
    signature = Signature((Column("distance", "double", nullable=False),))
    with pytest.raises(InvalidInput, match="Did you mean 'distance'"):
        typed({"distanze": [1.0]}, 1, signature)
    with pytest.raises(InvalidInput, match="column 'distance' is missing") as caught:
        typed({}, 1, signature)
    assert caught.value.column == "distance"


def test_columns_come_in_the_signatures_order() -> None:
    signature = Signature((Column("a", "double", nullable=False), Column("b", "string", nullable=False)))
    assert list(typed({"b": ["x"], "a": [1]}, 1, signature)) == ["a", "b"]


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidInput, match="has 2 values where there are 3 rows"):
        typed({"x": [1.0, 2.0]}, 3, Signature((Column("x", "double", nullable=False),)))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("long", 1e20),
        ("long", 2.0**63),
        ("long", -(2.0**53)),
        ("long", 9007199254740993.0),
        ("double", 2**53 + 1),
        ("double", -(2**63) + 1),
    ],
)
def test_a_number_that_another_one_would_stand_for_is_refused(kind: ColumnType, value: float) -> None:
    with pytest.raises(InvalidInput, match="in row 1 that is too large to be exact") as caught:
        read(kind, [1, value])
    assert (caught.value.column, caught.value.row) == ("x", 1)


def test_large_numbers_that_are_exact_are_taken() -> None:
    assert read("long", [2**63 - 1, -(2**63)]).tolist() == [2**63 - 1, -(2**63)]
    assert read("double", [1e300, 2**60, 10**16]).tolist() == [1e300, 2.0**60, 1e16]
    with pytest.raises(InvalidInput, match="too large to be exact"):  # a missing value makes the column float64
        read("long", [2**53, None], nullable=True)


NUMBERS = st.floats(width=32) | st.integers(-(2**54), 2**54) | st.sampled_from([2.0**60, 2**60, 10**400])


@settings(deadline=None)
@given(st.integers(1, 3).flatmap(lambda rows: st.lists(st.lists(NUMBERS, min_size=rows, max_size=rows), min_size=2)))
@example([[1.5], [None]])
@example([[True], [1.5]])
@example([[1.5], ["1"]])
@example([[1.5, 2.5], [3.5]])
def test_columns_of_numbers_only_are_read_as_beside_a_text(values: list[list[Any]]) -> None:
    names = [f"x{number}" for number in range(len(values))]
    columns = dict(zip(names, values, strict=True))
    numbers = tuple(Column(name, "double", nullable=False) for name in names)
    rows = len(values[0])

    def told(columns: dict[str, list[Any]], signature: Signature) -> Any:
        try:
            found = typed(columns, rows, signature)
        except InvalidInput as error:
            return str(error)
        return {name: found[name].tolist() for name in names}

    beside = told(columns | {"text": ["a"] * rows}, Signature((*numbers, Column("text", "string", nullable=False))))
    assert told(columns, Signature(numbers)) == beside
