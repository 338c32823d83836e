"""Requests for predictions as HTTP brings them: media types, CSV, and the options that headers carry."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from mlprod_nb.errors import InvalidInput
from mlprod_nb.registry.bundles import Column, Signature
from mlprod_nb.serving.errors import MalformedRequest, UnsupportedMedia, problem
from mlprod_nb.serving.protocols import csv_table, invocations
from tests.serving.workshop import INVOKE, Workshop, body, gateway, logged, row

SIGNATURE = Signature(
    (
        Column("x", "double", nullable=True),
        Column("n", "long", nullable=False),
        Column("b", "boolean", nullable=False),
        Column("s", "string", nullable=True),
    )
)
JSON = b'{"dataframe_records": [{"x": 1}, {"x": 2}]}'


def test_csv_cells_are_read_as_their_columns_types() -> None:
    text = '\ufeffn,s,x,b,unit\r\n1,"a, ""b""",1.5,true,N1\r\n-2.0,,,FALSE,7\r\n3,"",1e-3,True,N3'
    request = csv_table.read(text.encode(), SIGNATURE)
    assert request.rows == 3
    assert request.columns == {
        "n": [1, -2.0, 3],
        "s": ['a, "b"', None, None],
        "x": [1.5, None, 1e-3],
        "b": [True, False, True],
        "unit": ["N1", "7", "N3"],
    }


@pytest.mark.parametrize("cell", ["NaN", "inf", "0x10", "1_000", " 1", "1,5", "١", "true", "1e", "--1"])
def test_a_csv_cell_that_is_no_number_is_named(cell: str) -> None:
    with pytest.raises(InvalidInput, match="column 'x' cannot be read as its type in row 1") as caught:
        csv_table.read(f'x\n1\n"{cell}"\n'.encode(), SIGNATURE)
    assert (caught.value.column, caught.value.row) == ("x", 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no rows"),
        (b"x\n", "no rows"),
        (b"x,n,x\n1,2,3\n", "names the column 'x' twice"),
        (b"x,n\n1\n", "row 0 has 1 cells where the first line has 2"),
        (b"x,n\n1,2\n\n", "row 1 has 0 cells"),
        (b'x\n"1\n', "not CSV"),
        (b'x\n"1"2\n', "not CSV"),
        (b"x\n\xe9\n", "not CSV"),
        (b"x\n1\x00\n", "cannot be read"),
        (b"s\n" + b"a" * 200_000, "not CSV"),
    ],
)
def test_a_csv_that_is_none_is_told_what_is_wrong(text: bytes, words: str) -> None:
    with pytest.raises((MalformedRequest, InvalidInput), match=words):
        csv_table.read(text, SIGNATURE)


@pytest.mark.parametrize("kind", ["application/json", "APPLICATION/JSON", "application/json; charset=UTF-8", None])
def test_json_is_read_under_each_of_its_names_and_where_none_is_given(kind: str | None) -> None:
    headers = Headers({} if kind is None else {"content-type": kind})
    assert invocations.read(JSON, headers, SIGNATURE).rows == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/vnd.apache.parquet"},
        {"content-encoding": "gzip"},
    ],
)
def test_another_media_type_or_encoding_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        invocations.read(JSON, Headers(headers), SIGNATURE)
    assert problem(caught.value, "id")["status"] == 415


def test_options_in_headers_are_for_every_row() -> None:
    headers = Headers(
        {
            "x-mlprod-unit": "N1",
            "x-mlprod-event-time": "2013-04-01T06:00:00Z",
            "x-mlprod-client-id": "mine-é".encode().decode("latin-1"),
            "x-mlprod-explain": "TRUE",
        }
    )
    request = invocations.read(JSON, headers, SIGNATURE)
    assert (request.units, request.client_ids) == (["N1", "N1"], ["mine-é", "mine-é"])
    assert (request.event_time, request.explain) == ("2013-04-01T06:00:00Z", True)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([(b"x-mlprod-unit", b"a"), (b"x-mlprod-unit", b"b")], "says what is said already"),
        ([(b"x-mlprod-client-id", b"\xff")], "not UTF-8"),
        ([(b"x-mlprod-explain", b"yes")], "true or false"),
    ],
)
def test_an_option_said_twice_or_unreadable_is_refused(raw: list[tuple[bytes, bytes]], words: str) -> None:
    with pytest.raises(MalformedRequest, match=words):
        invocations.read(JSON, Headers(raw=raw), SIGNATURE)


def test_an_option_in_the_body_and_in_a_header_is_said_twice() -> None:
    both = b'{"inputs": {"x": [1]}, "units": ["a"]}'
    with pytest.raises(MalformedRequest, match="x-mlprod-unit says what is said already"):
        invocations.read(both, Headers({"x-mlprod-unit": "a"}), SIGNATURE)


async def test_csv_with_options_in_headers_is_answered_and_logged(shop: Workshop) -> None:
    headers = {
        "Content-Type": "text/csv",
        "X-Mlprod-Unit": "N1",
        "X-Mlprod-Event-Time": "2013-04-01T06:00:00Z",
        "X-Mlprod-Client-Id": "mine",
    }
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        reply = await client.post(INVOKE, content="carrier,distance\nUA,100\nAA,2900.0\n", headers=headers)
        same = await client.post(INVOKE, json=body(row(100, "UA"), row(2900.0)))
        assert reply.status_code == 200, reply.text
        assert reply.json()["scores"] == same.json()["scores"]
        assert reply.json()["client_ids"] == ["mine", "mine"]
        wrong = await client.post(INVOKE, content="carrier,distance\nUA,far\n", headers={"Content-Type": "text/csv"})
        assert (wrong.status_code, wrong.json()["column"], wrong.json()["row"]) == (422, "distance", 0)
    rows = logged(shop)[:2]
    assert {(found["unit"], found["event_time"].isoformat()) for found in rows} == {("N1", "2013-04-01T06:00:00+00:00")}
    assert [found["inputs"] for found in rows] == [row(100.0, "UA"), row(2900.0)]


async def test_params_must_be_empty(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        assert (await client.post(INVOKE, json=body(params={}))).status_code == 200
        assert (await client.post(INVOKE, json=body(params=None))).status_code == 200
        refused = await client.post(INVOKE, json=body(params={"alpha": 1}))
        malformed = await client.post(INVOKE, json=body(params=[]))
    assert (refused.status_code, malformed.status_code) == (422, 400)
    assert "takes no parameter 'alpha'" in refused.json()["detail"]
    assert malformed.json()["pointer"] == "/params"
