"""A bare ASGI application that decodes a JSON body and encodes it again: what the server and the machine allow."""

from __future__ import annotations

import sys
from typing import Any

import orjson
import uvicorn


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer a POST with its own body."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    reply = orjson.dumps(orjson.loads(body)) if body else b"{}"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply})


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(echo, port=port, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="error")
