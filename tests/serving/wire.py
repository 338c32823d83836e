"""Requests as they are sent on a socket, byte by byte, and the replies to them."""

from __future__ import annotations

from typing import Any

import orjson

PATH = "/endpoints/flights/invocations"
BODY = b'{"inputs": {"distance": [1], "carrier": ["AA"]}}'


def head(token: str, *lines: str, target: str = PATH, length: int | None = len(BODY)) -> bytes:
    declared = [] if length is None else [f"Content-Length: {length}"]
    fields = ["Host: x", "Content-Type: application/json", f"Authorization: Bearer {token}", *declared, *lines]
    return "\r\n".join((f"POST {target} HTTP/1.1", *fields, "", "")).encode()


def reply(reader: Any) -> tuple[int, dict[str, Any]]:
    status = int(reader.readline().split()[1])
    length = 0
    kind = b""
    while (line := reader.readline()) != b"\r\n":
        name, _, value = line.strip().partition(b": ")
        length = int(value) if name.lower() == b"content-length" else length
        kind = value if name.lower() == b"content-type" else kind
    document: dict[str, Any] = orjson.loads(reader.read(length))
    if status >= 400:
        assert kind == b"application/problem+json"
        assert document["status"] == status
        assert document["request_id"]
    return status, document
