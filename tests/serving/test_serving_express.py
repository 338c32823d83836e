"""The express lane answers as the routes do: the same request is sent both ways, and the replies are compared."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving.dataplane import Answer, DataPlane
from mlprod_nb.serving.telemetry import refusals
from tests.serving.counting_lane import BY_THE_ROUTES, CountingLane, ask, running, split
from tests.serving.oddity import Oddity
from tests.serving.workshop import Workshop, make_workshop, row

OWN = ("prediction_ids", "request_id")


@pytest.fixture
def served(
    tmp_path: Path, serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Workshop, httpx.Client, CountingLane]]:
    shop = make_workshop(tmp_path / "workspace", serving_bundles)
    with running(shop, monkeypatch) as (url, lane):
        for name, bundle in (("flights", "champion"), ("delay", "regression"), ("gaps", "gaps"), ("odd", "python")):
            outcome = shop.outcome(shop.propose(name, shop.variant(bundle), unit="tailnum"))
            assert outcome.outcome == "active", outcome.detail
        headers = {"Authorization": f"Bearer {shop.token()}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as client:
            yield shop, client, lane


ORDINARY: dict[str, tuple[str, Any]] = {
    "one row": ("flights", split([1200.0, "AA"])),
    "several rows": ("flights", split([1200.0, "AA"], [3, "UA"], [2900.5, "DL"])),
    "columns in another order": ("flights", split(["AA", 700], columns=("carrier", "distance"))),
    "with an index": ("flights", {"dataframe_split": {"index": [7], **split([1.0, "AA"])["dataframe_split"]}}),
    "records": ("flights", {"dataframe_records": [row(), {"carrier": "UA", "distance": 1}]}),
    "instances as objects": ("flights", {"instances": [row(), row(1.5, "DL")]}),
    "instances as lists": ("flights", {"instances": [[5.5, "DL"]]}),
    "inputs by column": ("flights", {"inputs": {"carrier": ["AA", "UA"], "distance": [1, 2]}}),
    "inputs as lists": ("flights", {"inputs": [[1, "AA"]]}),
    "units": ("flights", split([1200.0, "AA"], [7, "UA"], units=["N1", None])),
    "whole-number units": ("flights", split([1200.0, "AA"], [7, "UA"], units=[17, 17.0])),
    "a category that is new": ("flights", split([1200.0, "ZZ"])),
    "only numbers": ("delay", split([3.0], [4], columns=("distance",))),
    "a missing number and text": ("gaps", split([None, None], [5, "AA"])),
    "a model worker": ("odd", split([250.0], columns=("distance",))),
}
FAILING: dict[str, tuple[str, Any]] = {
    "a model that fails on a row": ("odd", split([-1.0], columns=("distance",))),
}
OTHER: dict[str, tuple[str, Any]] = {
    "an event time": ("flights", split([1200.0, "AA"], event_time="2013-04-01T00:00:00Z")),
    "client ids": ("flights", split([1200.0, "AA"], client_ids=["a"])),
    "one named column": ("delay", {"dataframe_records": [{"distance": 3.0}]}),
    "no rows": ("flights", split()),
    "an unknown column": ("flights", split([1.0, "AA", 1], columns=("distance", "carrier", "speed"))),
    "a missing column": ("flights", split([1.0], columns=("distance",))),
    "a column twice": ("flights", split([1.0, 2.0], columns=("distance", "distance"))),
    "a row too short": ("flights", split([1.0])),
    "a row that is no list": ("flights", {"instances": [1, "AA"]}),
    "a text for a number": ("flights", split(["far", "AA"])),
    "a number for a text": ("flights", split([1.0, 2.0])),
    "true for a number": ("delay", split([True], columns=("distance",))),
    "a list for a number": ("delay", split([[1.0]], columns=("distance",))),
    "no value where one is due": ("flights", split([None, "AA"])),
    "no number where one is due": ("delay", split([None], columns=("distance",))),
    "a number past all bounds": ("delay", b'{"inputs": {"distance": [1e999]}}'),
    "a whole number past all bounds": ("delay", b'{"inputs": {"distance": [' + b"9" * 400 + b"]}}"),
    "a whole number that a double has not": ("delay", split([2**53 + 1], columns=("distance",))),
    "a column named twice in a record": (
        "flights",
        b'{"dataframe_records": [{"distance": 1, "carrier": 2, "carrier": "AA"}]}',
    ),
    "a format named twice": ("delay", b'{"inputs": [[1]], "inputs": [[2]]}'),
    "a deep index": (
        "delay",
        b'{"dataframe_split": {"columns": ["distance"], "data": [[1]], "index": [' + b"[" * 40 + b"]" * 40 + b"]}}",
    ),
    "a unit that is a fraction": ("flights", split([1.0, "AA"], units=[0.5])),
    "a unit that is a list": ("flights", split([1.0, "AA"], units=[["N1"]])),
    "a unit for half of the rows": ("flights", split([1.0, "AA"], [2, "UA"], units=["N1"])),
    "an unknown key": ("flights", split([1.0, "AA"], unit=["N1"])),
    "two formats": ("flights", {**split([1.0, "AA"]), "instances": []}),
    "no format": ("flights", {}),
    "columns of unequal length": ("flights", {"inputs": {"carrier": ["AA"], "distance": [1, 2]}}),
    "columns that are no list": ("flights", {"inputs": {"carrier": "AA", "distance": [1, 2]}}),
    "names that are no texts": ("flights", split([1.0, "AA"], columns=(1, 2))),
    "names that are null": ("flights", {"dataframe_split": {"columns": None, "data": [[1.0, "AA"]]}}),
    "a list": ("flights", []),
    "null": ("flights", None),
    "no JSON": ("flights", b"{"),
    "nothing": ("flights", b""),
}


def shown(reply: httpx.Response) -> tuple[int, str, dict[str, Any]]:
    document = reply.json()
    assert reply.headers["x-request-id"]
    return (
        reply.status_code,
        reply.headers["content-type"],
        {key: len(value) if key in OWN else value for key, value in document.items()},
    )


def test_both_lanes_give_the_same_reply_and_what_is_ordinary_takes_the_express_one(
    served: tuple[Workshop, httpx.Client, CountingLane],
) -> None:
    shop, client, lane = served
    assert ask(client, "flights", split([1.0, "AA"]), **BY_THE_ROUTES).status_code == 200  # its token is known now
    for name, (endpoint, body) in {**ORDINARY, **FAILING, **OTHER}.items():
        before = lane.answered
        express = shown(ask(client, endpoint, body))
        assert lane.answered - before == (name not in OTHER), name
        assert express == shown(ask(client, endpoint, body, **BY_THE_ROUTES)), name
        assert (express[0] == 200) == (name in ORDINARY or name in list(OTHER)[:3]), name
    log = PredictionLog(shop.layout.log)
    rows = log.predictions(log.pin("flights")).to_pylist()
    asked = 1 + 2 * sum(ask_rows(body) for name, (end, body) in ORDINARY.items() if end == "flights") + 4
    assert len(rows) == len({logged["prediction_id"] for logged in rows}) == asked
    assert {logged["unit"] for logged in rows} == {None, "N1", "17"}


def ask_rows(body: dict[str, Any]) -> int:
    (content,) = (value for key, value in body.items() if key != "units")
    if isinstance(content, dict):
        return len(content["data"] if "data" in content else next(iter(content.values())))
    return len(content)


def test_a_token_that_is_not_known_yet_or_not_valid_goes_by_the_routes(
    served: tuple[Workshop, httpx.Client, CountingLane],
) -> None:
    shop, client, lane = served
    body = split([1.0, "AA"])
    assert ask(client, "flights", body).status_code == 200
    assert lane.answered == 0
    assert ask(client, "flights", body).status_code == 200
    assert lane.answered == 1
    assert ask(client, "flights", body, Authorization="Bearer wrong").status_code == 401
    assert ask(client, "flights", body, Authorization=f"Bearer {shop.token('viewer')}").status_code == 403
    assert ask(client, "flights", body, Authorization=f"Bearer {shop.token('viewer')}").status_code == 403
    assert lane.answered == 1


def test_one_bad_request_among_many_fails_alone(served: tuple[Workshop, httpx.Client, CountingLane]) -> None:
    _, client, lane = served
    assert ask(client, "flights", split([1.0, "AA"])).status_code == 200
    good = _raw(client, split([1.0, "AA"]))
    bad = _raw(client, split(["far", "AA"]))
    connections = [_connect(client, bad if number % 5 == 0 else good) for number in range(24)]
    statuses = [_status(connection) for connection in connections]
    assert statuses == [422 if number % 5 == 0 else 200 for number in range(24)]
    assert lane.answered == 19


def test_large_requests_that_arrive_together_are_each_answered_with_their_own_rows_and_logged_once(
    served: tuple[Workshop, httpx.Client, CountingLane],
) -> None:
    shop, client, lane = served
    assert ask(client, "flights", split([1.0, "AA"])).status_code == 200
    counts = [6000 + number for number in range(9)]  # 70 KB each, so that they are answered in several parts
    connections = [_connect(client, _raw(client, split(*[[1.0, "AA"]] * count))) for count in counts]
    answered = []
    for connection in connections:
        with connection, connection.makefile("rb") as reader:
            answered.append(_reply(reader))
    assert [(status, len(document["predictions"])) for status, document in answered] == [(200, c) for c in counts]
    ids = {each for _, document in answered for each in document["prediction_ids"]}
    log = PredictionLog(shop.layout.log)
    assert len(ids) == sum(counts) == log.pin("flights").rows - 1
    assert log.verify() == []
    assert lane.answered == len(counts)


def test_a_request_that_a_model_fails_on_counts_once_for_its_variant_and_once_for_the_monitor(
    served: tuple[Workshop, httpx.Client, CountingLane],
) -> None:
    shop, client, lane = served
    good, fails, ends = (split([value], columns=("distance",)) for value in (250.0, Oddity.FAILS, Oddity.ENDS))
    assert ask(client, "odd", good).status_code == 200
    assert ask(client, "odd", fails).status_code == 500
    assert errors_of(client, "odd") == 1
    connections = [_connect(client, _raw(client, each, "odd")) for each in [good] * 5 + [fails]]
    assert [_status(connection) for connection in connections] == [200] * 5 + [500]
    assert errors_of(client, "odd") == 2
    assert ask(client, "odd", ends).status_code == 503
    assert errors_of(client, "odd") == 3
    lane.telemetry.share(last=True)
    assert refusals.read(shop.layout.refusals, "odd", since=None, until=None) == {
        "model-failed": 2,
        "model-unavailable": 1,
    }


def test_pipelined_requests_are_answered_in_their_order(served: tuple[Workshop, httpx.Client, CountingLane]) -> None:
    _, client, _ = served
    ask(client, "flights", split([1.0, "AA"]))
    bodies = [split(*[[float(i), "AA"]] * (1 + i % 3)) if i != 4 else split(["far", "AA"]) for i in range(9)]
    with _connect(client, b"".join(_raw(client, body) for body in bodies)) as connection:
        reader = connection.makefile("rb")
        replies = [_reply(reader) for _ in bodies]
    counts = [len(document.get("predictions", ())) for _, document in replies]
    assert counts == [1, 2, 3, 1, 0, 3, 1, 2, 3]
    assert [status for status, _ in replies] == [200] * 4 + [422] + [200] * 4


def test_a_caller_that_hangs_up_leaves_its_prediction_in_the_log_and_others_alone(
    served: tuple[Workshop, httpx.Client, CountingLane],
) -> None:
    shop, client, _ = served
    ask(client, "flights", split([1.0, "AA"]))
    for _ in range(20):
        _connect(client, _raw(client, split([1.0, "AA"]))).close()
    assert ask(client, "flights", split([1.0, "AA"])).status_code == 200
    log = PredictionLog(shop.layout.log)
    assert 2 <= log.pin("flights").rows <= 22
    assert log.verify() == []


def errors_of(client: httpx.Client, endpoint: str) -> float:
    """Return how many requests the metrics say that models of an endpoint failed on."""
    started = f'mlprod_model_errors_total{{endpoint="{endpoint}"'
    return sum(float(line.split()[-1]) for line in client.get("/metrics").text.splitlines() if line.startswith(started))


def _connect(client: httpx.Client, content: bytes) -> socket.socket:
    connection = socket.create_connection((client.base_url.host, client.base_url.port or 0))
    connection.sendall(content)
    return connection


def _raw(client: httpx.Client, body: Any, endpoint: str = "flights") -> bytes:
    content = orjson.dumps(body)
    head = (
        f"POST /endpoints/{endpoint}/invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: {client.headers['Authorization']}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _status(connection: socket.socket) -> int:
    with connection, connection.makefile("rb") as reader:
        return _reply(reader)[0]


def _reply(reader: Any) -> tuple[int, dict[str, Any]]:
    status = int(reader.readline().split()[1])
    length = 0
    while (line := reader.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    document: dict[str, Any] = orjson.loads(reader.read(length))
    return status, document


@pytest.mark.parametrize(("part", "status"), [("_observe", 200), ("_begin_shadows", 200), ("documents", 500)])
def test_what_fails_after_the_log_took_the_rows_is_neither_asked_nor_logged_again(
    served: tuple[Workshop, httpx.Client, CountingLane], monkeypatch: pytest.MonkeyPatch, part: str, status: int
) -> None:
    shop, client, lane = served
    shadows = (shop.variant("challenger", version=2),)
    assert shop.outcome(shop.propose("flights", shop.variant("champion"), shadows=shadows)).outcome == "active"
    body = split([1.0, "AA"])
    assert ask(client, "flights", body).status_code == 200  # its token is known now
    log = PredictionLog(shop.layout.log)
    before = log.pin("flights").rows

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Answer if part == "documents" else DataPlane, part, fail)
    assert ask(client, "flights", body).status_code == status
    assert lane.answered == 1
    assert log.pin("flights").rows == before + 1
