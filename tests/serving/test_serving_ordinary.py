"""Ordinary requests: a body that is like one before but for its numbers is read at a glance, and no other one is."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlprod_nb.columns import Block
from mlprod_nb.registry.bundles import Column, Signature
from mlprod_nb.serving.ordinary import NOT_ORDINARY, Reader

NAMES = ("a1", "a2", "true")
SIGNATURE = Signature(tuple(Column(name, "double", nullable=name == "a2") for name in NAMES))
SEED = 20130401
SPLIT = orjson.dumps({"dataframe_split": {"columns": NAMES, "data": [[1.5, -2, 3e20], [4, 5.25, 6]]}})
LISTS = {key: orjson.dumps({key: [[1.5, -2, 3.5]]}) for key in ("instances", "inputs")}
PIECES = st.sampled_from(
    [b"1", b"-", b".", b"e", b"E5", b",", b"[", b"]", b"{", b"}", b'"', b'"1"', b":", b" ", b"true", b"null", b"9" * 20]
)


def primed(signature: Signature = SIGNATURE) -> Reader:
    """Return a reader that knows the frames of ordinary bodies."""
    reader = Reader(signature)
    for body in (SPLIT, *LISTS.values()):
        reader.read(body)
        assert reader.read(body).only_numbers
    return reader


def outcome(reader: Reader, body: bytes) -> Any:
    """Return what a body is read as; ``None`` where it is not of the ordinary form."""
    try:
        table = reader.read(body)
        columns = reader.decode([table])
    except NOT_ORDINARY:
        return None
    return {name: columns[name].tolist() for name in columns}, table.units


def test_only_the_rows_of_a_body_with_a_known_frame_are_read() -> None:
    reader = primed()
    for body in (SPLIT, *LISTS.values()):
        longer = orjson.loads(body)
        content = next(iter(longer.values()))
        rows = content["data"] if isinstance(content, dict) else content
        rows[:] = [[7, 8.5, -9e3]] * 40
        table = reader.read(orjson.dumps(longer))
        assert table.only_numbers
        assert isinstance(reader.decode([table]), Block)
    assert len(reader._frames) == 3


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [["1", 2, 3]]}',
        b'{"inputs": [[true, 2, 3]]}',
        b'{"inputs": [[null, 2, 3]]}',
        b'{"inputs": [[[1], [2], [3]]]}',
        b'{"inputs": [[1, 2, 99999999999999999999]]}',
        b'{"inputs": [[1, 2, 9007199254740993]]}',
        b'{"inputs": [[1, 2]]}',
        b'{"inputs": []}',
        b'{"inputs": [[1, 2, 3]], "inputs": [[4, 5, 6]]}',
        b'{"dataframe_split": {"columns": ["a2", "a1", "true"], "data": [["1", 2, 3]]}}',
        b'{"dataframe_split": {"columns": ["a1", "a1", "true"], "data": [[1, 2, 3]]}}',
        b'{"dataframe_split": {"columns": ["a1", "a2"], "data": ["true"]}}',
        b'{"dataframe_split": {"columns": ["a1", "a2", "true"], "data": [[1, 2, "3"]]}}',
        b'{"dataframe_split": {"columns": ["a1", "a2", "true"], "data": [[1, 2, 3]], "data": [[4, 5, 6]]}}',
    ],
)
def test_what_is_not_numbers_alone_is_refused_by_a_reader_that_knows_its_neighbours(body: bytes) -> None:
    assert outcome(primed(), body) is None
    assert outcome(Reader(SIGNATURE), body) is None


def test_missing_and_large_numbers_are_read_as_by_a_reader_that_knows_nothing() -> None:
    for row in ([1.5, None, 2.0], [1e300, 2.0, 3.0], [2.0**60, 1.0, 0.1234567890123456789]):
        body = orjson.dumps({"inputs": [row]})
        assert repr(outcome(primed(), body)) == repr(outcome(Reader(SIGNATURE), body)) != "None"


def test_tables_of_both_kinds_are_decoded_together() -> None:
    reader = primed()
    tables = [reader.read(body) for body in (LISTS["inputs"], b'{"dataframe_records": [{"a1":1,"a2":2,"true":3}]}')]
    assert [table.only_numbers for table in tables] == [True, False]
    columns = reader.decode(tables)
    assert {name: columns[name].tolist() for name in columns} == {"a1": [1.5, 1], "a2": [-2, 2], "true": [3.5, 3]}


@settings(deadline=None, max_examples=600)
@given(st.sampled_from([SPLIT, *LISTS.values()]), st.lists(st.tuples(st.integers(0), st.integers(0, 3), PIECES)))
def test_whatever_is_changed_in_a_known_body_is_read_as_by_a_reader_that_knows_nothing(
    body: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for at, cut, piece in changes:
        place = at % (len(body) + 1)
        body = body[:place] + piece + body[place + cut :]
    assert repr(outcome(primed(), body)) == repr(outcome(Reader(SIGNATURE), body))


def test_what_a_reader_remembers_is_bounded() -> None:
    reader, chance = Reader(SIGNATURE), random.Random(SEED)
    for _ in range(500):
        name = "".join(f"\\u{ord(letter):04x}" if chance.random() < 0.5 else letter for letter in "dataframe_split")
        body = f'{{"{name}": {{"columns": ["a1", "a2", "true"], "data": [[1, 2, 3]]}}}}'.encode()
        assert outcome(reader, body) is not None
    assert 0 < len(reader._frames) <= 16
