"""JSON of the strict kind: what two readers could read differently is refused, and the error names the place."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlprod_nb.registry.bundles import Column, Signature
from mlprod_nb.serving.errors import MalformedRequest, problem
from mlprod_nb.serving.ordinary import Reader
from mlprod_nb.serving.protocols import strict

SIGNATURE = Signature((Column("distance", "double", nullable=False), Column("carrier", "string", nullable=False)))
REFUSED: dict[str, tuple[str | bytes, str, str]] = {
    "a name twice": ('{"inputs": {"x": [1], "y": [2], "x": [3]}}', "/inputs/x is named twice", "/inputs/x"),
    "a name twice, once escaped": (r'{"x": 1, "\u0078": 2}', "/x is named twice", "/x"),
    "a name twice in a row": ('{"rows": [{"a": 1}, {"a": 1, "a": 1}]}', "/rows/1/a is named twice", "/rows/1/a"),
    "a name twice beside a text with a colon": ('{"a": "\\":", "b": {"c": 1, "c": 2}}', "/b/c is named", "/b/c"),
    "a name twice, once with a space": ('{"a" : 1, "a"\t: 2}', "/a is named twice", "/a"),
    "an empty name twice": ('{"": 1, "": 2}', "/ is named twice", "/"),
    "a name with a slash twice": ('{"a/b~": 1, "a/b~": 2}', "/a~1b~0 is named twice", "/a~1b~0"),
    "a whole number beyond 64 bits": ('{"x": [18446744073709551616]}', "/x/0 is a whole number beyond", "/x/0"),
    "a negative one": ('{"x": -9223372036854775809}', "/x is a whole number beyond", "/x"),
    "one of five thousand digits": ('{"x": [' + "1" * 5_000 + "]}", "/x/0 is a whole number beyond", "/x/0"),
    "one behind a long fraction": ("[0.000" + "3" * 30 + ", 1" + "0" * 30 + "]", "/1 is a whole number beyond", "/1"),
    "NaN": ('{"x": [1, NaN]}', "/x/1 is NaN, which JSON does not have", "/x/1"),
    "Infinity": ('{"x": -Infinity}', "/x is -Infinity", "/x"),
    "a number beyond a double": ('{"x": 1e999}', "/x is a number beyond the range", "/x"),
    "a lone surrogate": (r'{"x": ["a", "\ud800"]}', "/x/1 has a lone surrogate", "/x/1"),
    "a lone surrogate in a name": (r'{"x": {"\udc00": 1}}', "/x has a name with a lone surrogate", "/x"),
    "33 levels": ("[" * 33 + "]" * 33, "deeper than 32 levels", ""),
    "33 levels of objects": ('{"a":' * 33 + "1" + "}" * 33, "deeper than 32 levels", ""),
    "a hundred thousand levels": ("[" * 100_000, "deeper than 32 levels", ""),
    "nothing": ("", "not JSON in line 1", ""),
    "half of it": ('{\n"x": 1', "not JSON in line 2", ""),
    "more after it": ('{"x": 1} {}', "not JSON", ""),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not JSON", ""),
    "Latin-1": ('{"x": "é"}'.encode("latin-1"), "not JSON", ""),
    "an encoded surrogate": (b'{"x": "\xed\xa0\x80"}', "not JSON", ""),
    "UTF-16": ('{"x": 1}'.encode("utf-16"), "not JSON", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_two_readers_could_read_differently_is_refused_and_its_place_is_named(name: str) -> None:
    text, words, pointer = REFUSED[name]
    with pytest.raises(MalformedRequest, match=words) as caught:
        strict.loads(text.encode() if isinstance(text, str) else text)
    document = problem(caught.value, "id")
    assert document["status"] == 400
    assert document.get("pointer", "") == pointer


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "1:2", "b": "say \\"no\\": no", "c": {"a": 1}, "d": [{"a": 1}, {"a": 2}]}',
        '{"digits": "12345678901234567890123", "small": 0.00012345678901234567, "long": 12345678901234567890.5}',
        '{"largest": 18446744073709551615, "smallest": -9223372036854775808, "big": 1e300, "tiny": 1e-400}',
        r'{"pair": "\ud83d\ude00", "null": null, "": ""}',
        "[" * 32 + "]" * 32,
        "null",
        ' "text" ',
    ],
)
def test_what_means_one_thing_only_is_read(text: str) -> None:
    assert strict.loads(text.encode()) == json.loads(text)


def test_a_long_body_that_is_not_json_is_refused_without_a_second_look() -> None:
    with pytest.raises(MalformedRequest, match="not JSON in line 1, column 100002"):
        strict.loads(b'"' + b"a" * 100_000 + b"\n")


NAMES = st.text(alphabet='ab":', max_size=2)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet='ab":\\, é1', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(TREES, st.sampled_from([None, 1]), st.booleans())
def test_every_value_that_was_written_once_is_read_as_it_was_written(
    tree: Any, indent: int | None, plain: bool
) -> None:
    assert strict.loads(json.dumps(tree, indent=indent, ensure_ascii=plain).encode()) == tree


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", '"', ":", "c"]), TREES), max_size=5))
def test_an_object_is_read_exactly_where_no_name_stands_in_it_twice(members: list[tuple[str, Any]]) -> None:
    text = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members) + "}"
    if len(dict(members)) == len(members):
        assert strict.loads(text.encode()) == dict(members)
    else:
        with pytest.raises(MalformedRequest, match="is named twice"):
            strict.loads(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"dataframe_records": [{"distance": 1, "carrier": "AA", "carrier": "UA"}]}',
        '{"inputs": {"distance": [1], "carrier": ["AA"], "carrier": ["UA"]}}',
        '{"instances": [[1, "AA"]], "instances": [[2, "AA"]]}',
        '{"dataframe_split": {"columns": ["distance", "carrier"], "data": [[2, "AA"]], "data": [[1, "AA"]]}}',
        '{"inputs": [[123456789012345678901234567890, "AA"]]}',
    ],
)
def test_the_express_lane_takes_nothing_that_the_strict_reader_refuses(text: str) -> None:
    with pytest.raises(MalformedRequest):
        strict.loads(text.encode())
    with pytest.raises(ValueError, match=r"^$"):
        Reader(SIGNATURE).read(text.encode())


def test_the_express_lane_takes_texts_with_colons_and_long_fractions() -> None:
    text = orjson.dumps(
        {"units": ["a:b"], "dataframe_records": [{"distance": 0.00012345678901234567, "carrier": "A:"}]}
    )
    table = Reader(SIGNATURE).read(text)
    assert (list(table.rows), table.units) == ([(0.00012345678901234567, "A:")], ["a:b"])
