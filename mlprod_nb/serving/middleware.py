"""What surrounds every request: an id, a deadline, a body limit, and a problem document for whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlprod_nb.errors import MlprodError, Unavailable
from mlprod_nb.process_log import about
from mlprod_nb.serving import errors
from mlprod_nb.serving.errors import DeadlinePassed, TooLarge, TooManyRequests
from mlprod_nb.serving.identifiers import Identifiers

CLIENT_CLOSED = 499
"""The status under which a request is counted whose caller hung up before it was whole; nobody receives it."""

REFUSED = "mlprod.refused"
"""Key of a request's scope: the status by which the connection has refused it while its body was awaited."""

Observe = Callable[[Scope, int], None]

logger = logging.getLogger(__name__)


class Problems:
    """Gives each request an id, and answers every error with a problem document.

    Args:
        app: What is surrounded.
        identifiers: Makes the request ids.
        observe: Told each request's scope and status.
        monotonic: Seconds that only grow.
    """

    def __init__(
        self,
        app: ASGIApp,
        identifiers: Identifiers,
        observe: Observe,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._identifiers = identifiers
        self._observe = observe
        self._monotonic = monotonic
        self._noted: dict[type[Exception], float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._identifiers.new()
        scope["mlprod.request_id"] = request_id
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with about(request_id):
            try:
                await self._app(scope, receive, sending)
            except ClientDisconnect:
                status = scope.get(REFUSED, CLIENT_CLOSED)
            except Exception as error:
                document, headers = _describe(error, request_id)
                scope["mlprod.problem"] = errors.reason(document)
                self._note(error, document["status"])
                if status:
                    raise
                if errors.speaks_inference(scope["path"]):
                    document["error"] = document["detail"]
                await _answer(sending, document, headers)
            finally:
                self._observe(scope, status)

    def _note(self, error: Exception, status: int) -> None:
        """Log what went wrong inside; of refusals that tell all themselves, as in an overload, one a second."""
        if not isinstance(error, (MlprodError, HTTPException)):
            logger.error("the request failed", exc_info=error)
        if not isinstance(error, MlprodError) or status < 500:
            return
        now = self._monotonic()
        if errors.is_told(error) and isinstance(error, Unavailable):
            if now < self._noted.get(type(error), -math.inf) + 1:
                return
            self._noted[type(error)] = now
        logger.error("%s", error)


class Limits:
    """Bounds what one request may take, the time to receive and answer it and its body, and what all bodies hold.

    Guarantee: bodies that are held at one moment have at most ``max_held_bytes`` together and one piece each.

    Args:
        app: What is surrounded.
        seconds: The deadline.
        max_body_bytes: The largest body.
        max_held_bytes: The most that all bodies may hold at one moment; what goes beyond is to come again later.
    """

    def __init__(self, app: ASGIApp, seconds: float, max_body_bytes: int, max_held_bytes: int) -> None:
        self._app = app
        self._seconds = seconds
        self._max_body_bytes = max_body_bytes
        self._max_held_bytes = max_held_bytes
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self._held_bytes += size
            if received > self._max_body_bytes:
                raise self._too_large()
            if self._held_bytes > self._max_held_bytes:
                raise TooManyRequests("too many large bodies are here at once.", hint="Try again in a moment.")
            return message

        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._max_body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, receiving, send)
        except TimeoutError:
            raise DeadlinePassed(f"the request was not received and answered within {self._seconds:g} s.") from None
        finally:
            self._held_bytes -= received

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body is larger than {self._max_body_bytes} bytes.", hint="Send fewer rows in a request.")


def _describe(error: Exception, request_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    if isinstance(error, HTTPException):
        document = errors.status_problem(error.status_code, error.detail, request_id)
        return document, dict(error.headers or {})
    if not isinstance(error, MlprodError):
        return errors.status_problem(500, "The gateway's log tells why under this request id.", request_id), {}
    document = errors.problem(error, request_id)
    return document, errors.headers_of(document["status"])


async def _answer(send: Send, document: dict[str, Any], headers: dict[str, str]) -> None:
    body = errors.encode(document)
    fields = {"content-type": errors.MEDIA_TYPE, "content-length": str(len(body)), **headers}
    if errors.closes(document["status"]):
        fields["connection"] = "close"
    raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": document["status"], "headers": raw})
    await send({"type": "http.response.body", "body": body})
