"""Columns as they come from Arrow: dictionaries, chunks and columns of one value give what plain texts give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from mlprod_nb.monitoring.columns import to_codes, to_counts
from mlprod_nb.prediction_log.tables import moment_bounds

TEXTS = ["b", None, "a", "b", None, "c", "a", "b"]


def coded(codes: list[int | None], names: list[str | None]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names, pa.string()))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS),
        pa.array(TEXTS).dictionary_encode(),
        pa.chunked_array([pa.array(TEXTS[:3]).dictionary_encode(), pa.array(TEXTS[3:]).dictionary_encode()]),
        coded([0, 1, 2, 0, 1, 3, 2, 0], ["b", None, "a", "c", "never"]),
        coded([0, None, 1, 0, None, 2, 3, 4], ["b", "a", "c", "a", "b"]),
        pa.array(["z", *TEXTS, "z"]).dictionary_encode().slice(1, len(TEXTS)),
    ],
    ids=["texts", "dictionary", "chunks", "missing-in-the-dictionary", "repeated-names", "slice"],
)
def test_categories_are_counted_alike_however_arrow_holds_them(column: pa.Array) -> None:
    counts, missing = to_counts(column)
    assert dict(counts) == {"b": 3, "a": 2, "c": 1}
    assert missing == 2


@pytest.mark.parametrize("rows", [[7, 7, 7], [7, 8, 7], [7], []])
def test_whole_numbers_are_coded_alike_whether_they_vary_or_not(rows: list[int]) -> None:
    for column in (pa.array(rows, pa.int32()), pa.chunked_array([rows[:1], rows[1:]], pa.int32())):
        found = to_codes(column)
        assert [found.names[code] for code in found.codes.tolist()] == [str(value) for value in rows]


def test_the_ends_of_moments_are_told_to_the_microsecond_and_in_utc() -> None:
    first = datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=2)))
    last = first + timedelta(days=400, microseconds=3)
    moments = pa.chunked_array([[last, first], [first]], pa.timestamp("us", "UTC"))
    assert moment_bounds(moments) == (first, last)
    assert all(moment.tzinfo is UTC for moment in moment_bounds(moments))


@pytest.mark.parametrize("missing", [False, True])
def test_one_text_in_every_chunk_is_coded_as_it_is_in_one(missing: bool) -> None:
    first, second = pa.array(["a", "a"]), pa.array(["a", None if missing else "a", "a"])
    found = to_codes(pa.chunked_array([first.dictionary_encode(), second.dictionary_encode()]))
    assert found.names == ("a",)
    assert found.codes.tolist() == [0, 0, 0, -1 if missing else 0, 0]
    other = to_codes(pa.chunked_array([first.dictionary_encode(), pa.array(["b"]).dictionary_encode()]))
    assert [other.names[code] for code in other.codes.tolist()] == ["a", "a", "b"]
