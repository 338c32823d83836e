"""Which HTTP status an error has, and the problem document (RFC 9457) that tells it.

A problem document names what was wrong in the request. Of what went wrong inside it tells only what a class of this
module says: no path, no stack, no text of a library.
"""

from __future__ import annotations

import re
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
    """The body is not what the protocol asks for."""


class TooLarge(UsageError):
    """The body is larger than the gateway takes."""


class UnsupportedMedia(UsageError):
    """The body is of a media type that the gateway does not read."""


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
    (TooLarge, 413),
    (UnsupportedMedia, 415),
    (InvalidInput, 422),
    (UsageError, 400),
    (DeadlinePassed, 504),
    (Unavailable, 503),
    (MlprodError, 500),
)


def status_of(error: MlprodError) -> int:
    """Return the HTTP status of an error."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def problem(error: MlprodError, request_id: str) -> dict[str, Any]:
    """Return an error as the members of a problem document."""
    status = status_of(error)
    told = status < 500 or type(error).__module__ == __name__
    document: dict[str, Any] = {
        "type": f"urn:mlprod:problem:{_kebab(type(error).__name__)}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(error) if told else "The gateway could not answer; its log tells why under this request id.",
        "request_id": request_id,
    }
    if isinstance(error, InvalidInput):
        document |= {"column": error.column} if error.column else {}
        document |= {"row": error.row} if error.row is not None else {}
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
    return {"Retry-After": "1"} if status == 503 else {}


def encode(document: dict[str, Any]) -> bytes:
    """Return a problem document as JSON."""
    return orjson.dumps(document)


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
