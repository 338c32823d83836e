"""What one request may take on the wire, against a gateway on a socket: refused with a problem, others go on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving.wire import bounds
from tests.serving.wire import BODY, PATH, head, reply
from tests.serving.workshop import make_workshop, on_a_socket, until

MOST_BODY = 100_000

Gateway = tuple[str, int, str]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, serving_bundles: dict[str, Bundle]) -> Iterator[Gateway]:
    settings = f"[gateway]\nmax_body_bytes = {MOST_BODY}\n"
    shop = make_workshop(tmp_path_factory.mktemp("bounds") / "workspace", serving_bundles, settings)
    with on_a_socket(shop) as (url, _):
        assert shop.outcome(shop.propose("flights", shop.variant("champion"))).outcome == "active"
        address = httpx.URL(url)
        yield address.host, address.port or 0, shop.token("caller")


def exchange(gateway: Gateway, *parts: bytes) -> tuple[int, dict[str, Any], bytes]:
    """Send bytes; return the first reply's status and document, and what came after it until the end."""
    with socket.create_connection(gateway[:2], timeout=20) as connection, connection.makefile("rb") as reader:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break  # the gateway has hung up already
        status, document = reply(reader)
        try:
            connection.shutdown(socket.SHUT_WR)
            return status, document, reader.read()
        except OSError:  # the gateway hung up on what still came
            return status, document, b""


def test_what_is_just_within_the_bounds_is_answered(gateway: Gateway) -> None:
    token = gateway[2]
    many = [f"X-{number}: a" for number in range(bounds.MOST_HEADERS - 4)]
    long = f"X-Long: {'a' * (bounds.MOST_HEAD_BYTES - 1000)}"
    for request in (head(token, *many), head(token, long)):
        assert exchange(gateway, request + BODY)[0] == 200
    query = "?" + "a" * (bounds.MOST_TARGET_BYTES - len(PATH) - 1)
    assert exchange(gateway, head(token, target=PATH + query) + BODY)[0] == 200


@pytest.mark.parametrize(
    ("lines", "target", "status", "words"),
    [
        ([f"X-{number}: a" for number in range(bounds.MOST_HEADERS)], PATH, 431, "more than 100 headers"),
        (["X-Long: " + "a" * bounds.MOST_HEAD_BYTES], PATH, 431, "longer than 65536 bytes"),
        ([f"X-{n}: {'a' * 1000}" for n in range(80)], PATH, 431, "longer than 65536 bytes"),
        ([], PATH + "?" + "a" * bounds.MOST_TARGET_BYTES, 414, "request line is longer than 8192 bytes"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 10])
def test_a_head_beyond_the_bounds_is_refused_however_it_comes(
    gateway: Gateway, lines: list[str], target: str, status: int, words: str, pieces: int
) -> None:
    request = head(gateway[2], *lines, target=target) + BODY
    size = len(request) // pieces + 1
    found, document, rest = exchange(gateway, *(request[at : at + size] for at in range(0, len(request), size)))
    assert (found, rest) == (status, b"")
    assert words in document["detail"]


@pytest.mark.parametrize(
    ("start", "piece", "status"),
    [
        (b"GET /", b"a" * 100_000, 414),
        (b"GET / HTTP/1.1\r\nX-Long: ", b"a" * 100_000, 431),
        (b"GET / HTTP/1.1\r\n", b"X: a\r\n" * 20_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"A" * 10, b"A" * 100_000, 431),
    ],
)
def test_a_head_that_never_ends_is_refused_before_it_is_kept(
    gateway: Gateway, start: bytes, piece: bytes, status: int
) -> None:
    assert exchange(gateway, start, *[piece] * 100)[0] == status


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def test_a_body_in_chunks_is_answered(gateway: Gateway) -> None:
    request = head(gateway[2], "Transfer-Encoding: chunked", length=None)
    assert exchange(gateway, request, chunked(*(BODY[at : at + 1] for at in range(len(BODY)))))[0] == 200


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("too many chunks", "too many pieces"),
        ("too much in chunks", "larger than 100000 bytes"),
        ("an endless extension", "too long on the wire"),
        ("endless trailers", "too long on the wire"),
        ("an endless trailer", "too long on the wire"),
    ],
)
def test_chunks_beyond_the_bounds_are_refused(
    gateway: Gateway, name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_PIECES", 1000)
    parts = {
        "too many chunks": [chunked(*[b" "] * 1001)],
        "too much in chunks": [chunked(b" " * 60_000, b" " * 60_000)],
        "an endless extension": [b"1;a=", *[b"a" * 100_000] * 5],
        "endless trailers": [chunked(end=b"0\r\n"), *[b"X: a\r\n" * 20_000] * 5],
        "an endless trailer": [chunked(end=b"0\r\n"), b"X: ", *[b"a" * 100_000] * 5],
    }[name]
    request = head(gateway[2], "Transfer-Encoding: chunked", length=None)
    status, document, _ = exchange(gateway, request, *parts)
    assert status == 413
    assert words in document["detail"]


@pytest.mark.parametrize(
    "request_line",
    [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
)
def test_what_is_not_http_is_told_so_as_a_problem(gateway: Gateway, request_line: bytes) -> None:
    status, document, _ = exchange(gateway, request_line)
    assert (status, document["type"]) == (400, "urn:mlprod:problem:malformed-request")


def test_a_chunk_that_is_none_is_told_so(gateway: Gateway) -> None:
    request = head(gateway[2], "Transfer-Encoding: chunked", length=None)
    status, document, _ = exchange(gateway, request, b"zz\r\n")
    assert (status, document["detail"]) == (400, "the request is not HTTP/1.1.")


def test_two_lengths_of_one_body_are_refused(gateway: Gateway) -> None:
    assert exchange(gateway, head(gateway[2], "Content-Length: 3") + BODY)[0] == 400
    assert exchange(gateway, head(gateway[2], "Transfer-Encoding: chunked") + BODY)[0] == 400


def test_requests_before_a_refused_one_are_answered_and_a_refusal_never_stands_in_their_place(
    gateway: Gateway,
) -> None:
    good = head(gateway[2]) + BODY
    long = b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 600_000
    with socket.create_connection(gateway[:2], timeout=20) as connection, connection.makefile("rb") as reader:
        connection.sendall(good)
        assert reply(reader)[0] == 200
        connection.sendall(long)
        assert reply(reader)[0] == 431
    with socket.create_connection(gateway[:2], timeout=20) as connection, connection.makefile("rb") as reader:
        connection.sendall(good * 3 + long)
        assert [reply(reader)[0] for _ in range(3)] == [200] * 3
        with suppress(ConnectionResetError):
            assert reader.read() == b""


def test_large_bodies_and_many_requests_on_one_connection_are_within_the_bounds(gateway: Gateway) -> None:
    rows = orjson.dumps({"inputs": {"distance": [1.5] * 10_900, "carrier": ["AA"] * 10_900}})
    assert MOST_BODY * 0.9 < len(rows) < MOST_BODY
    request = head(gateway[2], length=len(rows)) + rows
    with socket.create_connection(gateway[:2], timeout=20) as connection, connection.makefile("rb") as reader:
        for _ in range(5):
            connection.sendall(request)
            assert reply(reader)[0] == 200
    with httpx.Client(base_url=f"http://{gateway[0]}:{gateway[1]}", trust_env=False) as client:
        headers = {"Authorization": f"Bearer {gateway[2]}", "Content-Type": "application/json"}
        for _ in range(200):
            assert client.post(PATH, content=BODY, headers=headers).status_code == 200


def test_refusals_are_counted_once_each_with_their_status(
    tmp_path: Path, serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_PIECES", 1000)
    shop = make_workshop(tmp_path / "workspace", serving_bundles, f"[gateway]\nmax_body_bytes = {MOST_BODY}\n")
    with on_a_socket(shop) as (url, app):
        address = httpx.URL(url)
        gateway = (address.host, address.port or 0, shop.token("caller"))
        assert exchange(gateway, b"GET / HTTP/1.1\r\nX-Long: ", *[b"a" * 100_000] * 10)[0] == 431
        assert exchange(gateway, b"nonsense\r\n\r\n")[0] == 400
        request = head(gateway[2], "Transfer-Encoding: chunked", length=None)
        assert exchange(gateway, request, chunked(*[b" "] * 1001))[0] == 413

        def counted() -> dict[str, float]:
            (family,) = app.state.telemetry.requests.collect()
            samples = [each for each in family.samples if each.name.endswith("_total")]
            found = dict.fromkeys(("400", "413", "431", "499"), 0.0)
            for sample in samples:
                if sample.labels["status"] in found:
                    found[sample.labels["status"]] += sample.value
            return found

        until(lambda: counted() == {"400": 1, "413": 1, "431": 1, "499": 0})
