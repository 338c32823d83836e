"""Which HTTP status an error has, and the problem document (RFC 9457) that tells it.

A problem document names what was wrong in the request. Of what went wrong inside it tells only what a class of this
module says: no path, no stack, no text of a library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from mlprod_nb.errors import (
    AccessDenied,
    ExecutionFailed,
    InvalidInput,
    MlprodError,
    NotFound,
    Refused,
    Unavailable,
    UsageError,
)

MEDIA_TYPE = "application/problem+json"


class Unauthenticated(AccessDenied):
    """The request carries no valid token."""


class MalformedRequest(UsageError):
    """The body is not what the protocol asks for.

    Args:
        message: One sentence.
        pointer: The place in the body as a JSON Pointer (RFC 6901), or empty.
        hint: What to do next, or empty.
    """

    def __init__(self, message: str, *, pointer: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.pointer = pointer


class TooLarge(UsageError):
    """The body is larger than the gateway takes."""


class TooSlow(UsageError):
    """The head or the body did not come in time."""


class TargetTooLong(UsageError):
    """The request line is longer than the gateway takes."""


class HeadTooLarge(UsageError):
    """The headers are too many, or too long."""


class TooManyRequests(Unavailable):
    """More was asked at once than can be answered; the same request may be sent again in a moment."""


class UnsupportedMedia(UsageError):
    """The body is of a media type that the gateway does not read."""


class NotAvailable(UsageError):
    """The request is understood, and asks for what this endpoint does not give."""


class ModelFailed(ExecutionFailed):
    """A model raised an error on these rows."""


class ModelUnavailable(Unavailable):
    """A model cannot answer now: it is being replaced, or has too much to do."""


class LogUnavailable(Unavailable):
    """The prediction log cannot be written, so no prediction may be given."""


class EndpointUnavailable(Unavailable):
    """An endpoint exists and could not be loaded."""


class DeadlinePassed(Unavailable):
    """The request was not received and answered in time."""


# The first class that fits decides, so a class stands before its parent.
STATUS: tuple[tuple[type[MlprodError], int], ...] = (
    (Unauthenticated, 401),
    (AccessDenied, 403),
    (NotFound, 404),
    (Refused, 409),
    (TooSlow, 408),
    (TooLarge, 413),
    (TargetTooLong, 414),
    (UnsupportedMedia, 415),
    (HeadTooLarge, 431),
    (NotAvailable, 422),
    (InvalidInput, 422),
    (UsageError, 400),
    (TooManyRequests, 429),
    (DeadlinePassed, 504),
    (Unavailable, 503),
    (MlprodError, 500),
)


_CLOSING = frozenset((413, 504))
_LONGEST_TEXT = 1000
_UNTOLD = "The gateway could not answer; its log tells why under this request id."


def status_of(error: MlprodError) -> int:
    """Return the HTTP status of an error."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def speaks_inference(path: str) -> bool:
    """Return whether a path is one of the Open Inference Protocol, whose clients look for ``error``."""
    return path == "/v2" or path.startswith("/v2/")


def is_told(error: MlprodError) -> bool:
    """Return whether an error's words are the gateway's own, so that callers may read them."""
    return type(error).__module__ == __name__


def reason(document: Mapping[str, Any]) -> str:
    """Return the kind of a problem document, as ``model-failed``."""
    return str(document["type"]).rpartition(":")[2]


def problem(error: MlprodError, request_id: str) -> dict[str, Any]:
    """Return an error as the members of a problem document."""
    status = status_of(error)
    told = status < 500 or is_told(error)
    document: dict[str, Any] = {
        "type": f"urn:mlprod:problem:{_kebab(type(error).__name__)}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _cut(str(error)) if told else _UNTOLD,
        "request_id": request_id,
    }
    if isinstance(error, InvalidInput):
        document |= {"column": _cut(error.column)} if error.column else {}
        document |= {"row": error.row} if error.row is not None else {}
    if isinstance(error, MalformedRequest) and error.pointer:
        document["pointer"] = _cut(error.pointer)
    if isinstance(error, NotFound) and error.nearest:
        document["nearest"] = error.nearest
    return document


def status_problem(status: int, detail: str, request_id: str) -> dict[str, Any]:
    """Return the problem document of a status that no error of ours stands behind, as 405."""
    title = HTTPStatus(status).phrase
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail or title,
        "request_id": request_id,
    }


def headers_of(status: int) -> dict[str, str]:
    """Return the headers that a status asks for."""
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="mlprod"'}
    return {"Retry-After": "1"} if status in {429, 503} else {}


def closes(status: int) -> bool:
    """Return whether the connection ends with this status, since the rest of the request is not read."""
    return status in _CLOSING


def encode(document: dict[str, Any]) -> bytes:
    """Return a problem document as JSON."""
    return orjson.dumps(document)


def _cut(text: str) -> str:
    """Bound what a caller wrote and an error repeats."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
