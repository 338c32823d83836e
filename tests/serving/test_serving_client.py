"""The client: what it sends, and what it makes of answers."""

from __future__ import annotations

import json
import math
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlprod_nb.access.tls import ensure_certificate
from mlprod_nb.errors import (
    AccessDenied,
    ExecutionFailed,
    InvalidInput,
    MlprodError,
    NotFound,
    Unavailable,
    UsageError,
)
from mlprod_nb.serving import explaining
from mlprod_nb.serving.client import GatewayClient, trust


class Server(ThreadingHTTPServer):
    """Keeps what it was sent, and answers what it was told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent: list[dict[str, Any]] = []
        self.status = 200
        self.answer: Any = None


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.sent.append({"path": self.path, "token": self.headers["authorization"], **body})
        answer = self.server.answer
        if answer is None:
            rows = len(next(iter(body["inputs"].values())))
            keys = ("predictions", "scores", "prediction_ids", "variant", "model_version")
            answer = {key: [len(self.server.sent)] * rows for key in keys}
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def client(server: Server) -> Iterator[GatewayClient]:
    with GatewayClient(f"http://127.0.0.1:{server.server_port}/", "mlp_x") as made:
        yield made


def test_rows_go_in_batches_with_their_units_and_moments_and_come_back_joined(
    server: Server, client: GatewayClient
) -> None:
    moments = [datetime(2013, 4, day, tzinfo=UTC) for day in (1, 2, 3)]
    reply = client.predict("a/b", {"x": [1, 2, 3]}, units=["a", "b", "c"], event_time=moments, batch_rows=2)
    assert reply["predictions"] == [1, 1, 2]
    first, second = server.sent
    assert first["path"] == "/endpoints/a%2Fb/invocations"
    assert first["token"] == "Bearer mlp_x"
    assert (first["inputs"], first["units"], len(first["event_time"])) == ({"x": [1, 2]}, ["a", "b"], 2)
    assert (second["inputs"], second["event_time"]) == ({"x": [3]}, ["2013-04-03T00:00:00+00:00"])


def test_rows_are_explained_in_no_larger_batches_than_the_gateway_takes(
    server: Server, client: GatewayClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "MOST_VALUES", 8)  # of rows with two columns that is two
    server.answer = {
        **{key: [1, 1] for key in ("predictions", "scores", "prediction_ids", "variant", "model_version")},
        "contributions": [{"x": 0.5, "y": 0.0}] * 2,
    }
    reply = client.predict("a", {"x": [1, 2, 3, 4], "y": [1, 1, 1, 1]}, explain=True)
    assert reply["contributions"] == [{"x": 0.5, "y": 0.0}] * 4
    assert [(sent["inputs"]["x"], sent["explain"]) for sent in server.sent] == [([1, 2], True), ([3, 4], True)]


def test_values_of_numpy_and_pandas_are_sent_as_json_has_them(server: Server, client: GatewayClient) -> None:
    columns: dict[str, Any] = {
        "float": np.array([1.5, np.nan]),
        "whole": pd.Series([1, 2]),
        "flag": np.array([True, False]),
        "text": np.array(["a", "b"], dtype=object),
        "missing": [None, float("nan")],
        "maybe": pd.array([1, None], dtype="Int64"),
    }
    client.predict("flights", columns, event_time=pd.Timestamp("2013-04-01T06:00:00Z"))
    client.predict("flights", {"x": [1]}, event_time=[pd.Timestamp("2013-04-01", tz="UTC")])
    assert server.sent[0]["inputs"] == {
        "float": [1.5, None],
        "whole": [1, 2],
        "flag": [True, False],
        "text": ["a", "b"],
        "missing": [None, None],
        "maybe": [1, None],
    }
    assert server.sent[0]["event_time"] == "2013-04-01T06:00:00+00:00"
    assert server.sent[1]["event_time"] == ["2013-04-01T00:00:00+00:00"]


@pytest.mark.parametrize("values", [[1.0, -math.inf], np.array([1, np.inf], dtype=np.float32)], ids=["list", "array"])
def test_an_infinite_number_is_refused_by_name_and_not_sent_as_a_missing_one(
    server: Server, client: GatewayClient, values: Any
) -> None:
    with pytest.raises(InvalidInput, match="column 'distance' is infinite in row 1; send a finite number, or None"):
        client.predict("flights", {"distance": values})
    assert server.sent == []


def test_data_that_cannot_be_sent_and_columns_of_different_lengths_are_refused(client: GatewayClient) -> None:
    with pytest.raises(InvalidInput, match="a value of type object"):
        client.predict("flights", {"x": [object()]})
    with pytest.raises(UsageError, match="differ in length"):
        client.predict("flights", {"x": [1], "y": []})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UsageError),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, NotFound),
        (413, UsageError),
        (422, InvalidInput),
        (500, ExecutionFailed),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
def test_each_status_becomes_its_error_in_the_servers_words(
    server: Server, client: GatewayClient, status: int, kind: type[MlprodError]
) -> None:
    server.status, server.answer = status, {"detail": "the words.", "column": "x", "row": 3, "nearest": "y"}
    with pytest.raises(MlprodError, match=r"^the words\.$") as caught:
        client.predict("flights", {"x": [1]})
    assert type(caught.value) is kind
    if isinstance(caught.value, InvalidInput):
        assert (caught.value.column, caught.value.row) == ("x", 3)


def test_a_token_that_cannot_be_one_is_refused_and_not_shown() -> None:
    for token in ("", " ", "mlp_secret\nX-Injected: 1", "mlp_secret mlp_other", "mlp_sécret"):
        with pytest.raises(UsageError) as caught:
            GatewayClient("http://127.0.0.1:9", token)
        assert "cret" not in str(caught.value)


def test_what_is_no_gateway_is_told(server: Server, client: GatewayClient) -> None:
    server.answer = b"<html>"
    with pytest.raises(Unavailable, match="does not answer as a gateway does"):
        client.predict("flights", {"x": [1]})
    server.status = 502
    with pytest.raises(Unavailable, match="answered 502"):
        client.predict("flights", {"x": [1]})
    with GatewayClient("http://127.0.0.1:9", "x") as nobody:
        assert not nobody.ready()
        with pytest.raises(Unavailable, match="does not answer"):
            nobody.endpoints()


def test_a_client_of_plain_http_trusts_nobody_and_one_of_https_whom_it_was_told(tmp_path: Path) -> None:
    plain = trust("http://127.0.0.1:9", verify=True)
    assert isinstance(plain, ssl.SSLContext)
    assert (plain.cert_store_stats()["x509_ca"], plain.verify_mode) == (0, ssl.CERT_REQUIRED)
    assert trust("HTTPS://example.org", verify=True) is True
    authority = ensure_certificate(tmp_path, ["127.0.0.1"], now=datetime.now(UTC)).ca
    own = trust("https://127.0.0.1:9", str(authority))
    assert isinstance(own, ssl.SSLContext)
    assert own.cert_store_stats()["x509_ca"] == 1
