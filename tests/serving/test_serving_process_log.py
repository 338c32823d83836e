"""What the gateway's processes say: lines of JSON that name the request."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from mlprod_nb import process_log
from tests.serving.oddity import Oddity
from tests.serving.workshop import Workshop, body, gateway


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(process_log.JsonLines())
    logging.getLogger("mlprod_nb").addHandler(handler)
    yield stream
    logging.getLogger("mlprod_nb").removeHandler(handler)


async def test_a_request_that_fails_is_found_by_its_id(shop: Workshop, said: io.StringIO) -> None:
    async with gateway(shop) as client:
        await shop.deploy("odd", shop.variant("python"))
        reply = await client.post("/endpoints/odd/invocations", json=body({"distance": Oddity.FAILS}))
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    request_id = reply.json()["request_id"]
    assert request_id == reply.headers["x-request-id"]
    about = [line for line in lines if line.get("request_id") == request_id]
    assert {line["severity"] for line in about} == {"ERROR"}
    assert any("'champion'" in line["body"] or "'python'" in line["body"] for line in about), about
    assert "secret" not in reply.text


def test_an_error_is_one_line_with_its_traceback(said: io.StringIO) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("mlprod_nb.test").exception("it failed: %s", "ü")
    (line,) = said.getvalue().splitlines()
    document = json.loads(line)
    assert (document["body"], document["logger"], "request_id" in document) == ("it failed: ü", "mlprod_nb.test", False)
    assert "ValueError: two\nlines" in document["exception"]


def test_a_line_is_read_back_as_what_it_says_and_any_other_as_it_is() -> None:
    assert process_log.read(process_log.line("INFO", "here", "hello")) == "hello"
    assert [process_log.read(text) for text in ("plain", '{"a": 1}', "[1]", "")] == ["plain", '{"a": 1}', "[1]", ""]
