"""A request for predictions as HTTP brings it: which media type the body has, and which options the headers carry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.datastructures import Headers

from mlprod_nb.registry.bundles import Signature
from mlprod_nb.serving.errors import MalformedRequest, UnsupportedMedia
from mlprod_nb.serving.protocols import csv_table, mlflow_scoring
from mlprod_nb.serving.protocols.scoring import ScoringRequest

JSON, CSV = "application/json", "text/csv"

UNIT_HEADER = "x-mlprod-unit"
EVENT_TIME_HEADER = "x-mlprod-event-time"
CLIENT_ID_HEADER = "x-mlprod-client-id"
EXPLAIN_HEADER = "x-mlprod-explain"
_FLAGS = {"true": True, "false": False}


def read(body: bytes, headers: Headers, signature: Signature) -> ScoringRequest:
    """Read a request.

    Args:
        body: The request's body: one of MLflow's formats as JSON, or CSV.
        headers: The request's headers.
        signature: What the endpoint takes.

    Raises:
        UnsupportedMedia: The body is of a media type that the gateway does not read.
        MalformedRequest: The body is not of its media type or not of the protocol.
        InvalidInput: A value does not fit.
    """
    if media_type(headers, JSON, CSV) == CSV:
        return with_options(csv_table.read(body, signature), headers)
    return with_options(mlflow_scoring.read(body, signature.names), headers)


def media_type(headers: Headers, *known: str) -> str:
    """Return a request's media type; a request that names none has the first that is known.

    Raises:
        UnsupportedMedia: It is of another type, in another encoding than UTF-8, or compressed.
    """
    kind, _, rest = headers.get("content-type", known[0]).partition(";")
    kind = kind.strip().lower()
    if kind not in known:
        raise UnsupportedMedia(f"the gateway does not read {kind[:80]!r} here.", hint=f"Send {' or '.join(known)}.")
    for parameter in rest.split(";"):
        name, _, value = parameter.strip().lower().partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8", "us-ascii"}:
            raise UnsupportedMedia("the gateway reads UTF-8 only.")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMedia("the gateway does not read compressed bodies.", hint="Send it without Content-Encoding.")
    return kind


def with_options(request: ScoringRequest, headers: Headers) -> ScoringRequest:
    """Return a request with the options that its headers carry; each is for all its rows.

    Raises:
        MalformedRequest: An option is said twice, or cannot be read.
    """
    found: dict[str, Any] = {}
    if (unit := _option(headers, UNIT_HEADER, request.units)) is not None:
        found["units"] = [unit] * request.rows
    if (moment := _option(headers, EVENT_TIME_HEADER, request.event_time)) is not None:
        found["event_time"] = moment
    if (client_id := _option(headers, CLIENT_ID_HEADER, request.client_ids)) is not None:
        found["client_ids"] = [client_id] * request.rows
    if (explain := _option(headers, EXPLAIN_HEADER, request.explain or None)) is not None:
        if explain.lower() not in _FLAGS:
            raise MalformedRequest(f"the header {EXPLAIN_HEADER} must be true or false.")
        found["explain"] = _FLAGS[explain.lower()]
    return replace(request, **found) if found else request


def _option(headers: Headers, name: str, in_body: Any) -> str | None:
    given = headers.getlist(name)
    if not given:
        return None
    if len(given) > 1 or in_body is not None:
        raise MalformedRequest(f"the header {name} says what is said already.", hint="Say it once.")
    try:
        return given[0].encode("latin-1").decode()
    except UnicodeDecodeError:
        raise MalformedRequest(f"the header {name} is not UTF-8.") from None
