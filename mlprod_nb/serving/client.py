"""A client of the gateway over HTTP, as any program may write one."""

from __future__ import annotations

import math
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
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

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_ERRORS: dict[int, type[MlprodError]] = {
    400: UsageError,
    401: AccessDenied,
    403: AccessDenied,
    409: Refused,
    413: UsageError,
    415: UsageError,
    500: ExecutionFailed,
}
_REPLY_KEYS = ("predictions", "scores", "prediction_ids", "variant", "model_version")

EventTimes = datetime | str | Sequence[datetime | str]


def trust(url: str, verify: str | bool) -> ssl.SSLContext | bool:
    """Return whose certificates a client of a URL trusts.

    Args:
        url: The URL; over plain HTTP nobody is trusted, since reading the system's authorities takes 50 ms.
        verify: ``True`` for the system's authorities, a file of certificates, or ``False`` for no check.
    """
    if not url.lower().startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


class GatewayClient:
    """Calls one gateway; keeps its connections open until it is closed.

    Args:
        url: Where the gateway answers, as ``http://127.0.0.1:8080``.
        token: The bearer token.
        verify: ``True`` for the system's authorities, a file of certificates to trust, or ``False`` for no check.

    Raises:
        UsageError: The token cannot be one; the message does not show it.
    """

    def __init__(self, url: str, token: str, *, verify: str | bool = True) -> None:
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError("the token is empty or has characters that no token has.")
        self.url = url.rstrip("/")
        # A gateway is called directly: a proxy of the environment is not asked.
        self._http = httpx.Client(
            base_url=self.url,
            verify=trust(url, verify),
            timeout=_TIMEOUT,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self,
        endpoint: str,
        columns: Mapping[str, Sequence[Any]],
        *,
        units: Sequence[Any] | None = None,
        event_time: EventTimes | None = None,
        explain: bool = False,
        batch_rows: int = 500,
    ) -> dict[str, list[Any]]:
        """Ask for predictions, in as many requests as needed.

        Args:
            endpoint: The endpoint's name.
            columns: One sequence a column; missing values are ``None`` or NaN.
            units: Who is randomised, one a row.
            event_time: When the rows happened: one moment for all or one a row; now where left out.
            explain: Whether to ask what each column did to each score.
            batch_rows: Most rows in one request.

        Returns:
            ``predictions``, ``scores``, ``prediction_ids``, ``variant`` and ``model_version``, one value a row; with
            ``explain`` also ``contributions``, a value by column for each row.

        Raises:
            InvalidInput: A column is missing or unknown, or a value does not fit or is infinite.
            NotFound: There is no such endpoint.
            AccessDenied: The token is not valid, or its role may not.
            Unavailable: The gateway does not answer, or cannot now.
        """
        rows = _row_count(columns)
        _require_finite(columns)
        if explain:
            from mlprod_nb.serving import explaining

            batch_rows = min(batch_rows, explaining.most_rows(len(columns)))
        each_has_own = event_time is not None and not isinstance(event_time, (str, datetime))
        reply: dict[str, list[Any]] = {key: [] for key in (*_REPLY_KEYS, *(("contributions",) if explain else ()))}
        for start in range(0, rows, batch_rows):
            part = slice(start, start + batch_rows)
            body: dict[str, Any] = {"inputs": {name: list(values[part]) for name, values in columns.items()}}
            if units is not None:
                body["units"] = list(units[part])
            if event_time is not None:
                body["event_time"] = list(event_time[part]) if each_has_own else event_time  # type: ignore[index]
            if explain:
                body["explain"] = True
            answer = self._post(f"/endpoints/{quote(endpoint, safe='')}/invocations", body)
            for key, values in reply.items():
                values.extend(answer[key])
        return reply

    def feedback(self, endpoint: str, rows: Sequence[Mapping[str, Any]], batch_rows: int = 5000) -> int:
        """Send feedback; return how many values the gateway took.

        Args:
            endpoint: The endpoint's name.
            rows: Each with ``prediction_id`` and ``value``; also ``kind``, ``name``, ``source``, ``event_time``.
            batch_rows: Most rows in one request.

        Raises:
            MlprodError: As :meth:`predict`.
        """
        path = f"/endpoints/{quote(endpoint, safe='')}/feedback"
        return sum(
            int(self._post(path, {"feedback": [dict(row) for row in rows[start : start + batch_rows]]})["accepted"])
            for start in range(0, len(rows), batch_rows)
        )

    def ready(self) -> bool:
        """Return whether the gateway answers and everything it should serve is loaded."""
        try:
            return self._http.get("/health/ready").status_code == HTTPStatus.OK
        except httpx.HTTPError:
            return False

    def endpoints(self) -> list[dict[str, Any]]:
        """Return the endpoints: name, revision, variants with their shares, signature."""
        found: list[dict[str, Any]] = self._json(self._send("GET", "/endpoints"))["endpoints"]
        return found

    def metrics(self) -> str:
        """Return the gateway's metrics in Prometheus's text format."""
        return self._send("GET", "/metrics").text

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            content = orjson.dumps(body, default=_plain, option=_OPTIONS)
        except orjson.JSONEncodeError as error:
            raise InvalidInput(f"the data cannot be sent: {error.__cause__ or error}.") from None
        return self._json(self._send("POST", path, content))

    def _send(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            response = self._http.request(method, path, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(
                f"the gateway at {self.url} does not answer: {error or type(error).__name__}.",
                hint="See whether it runs: mlprod status",
            ) from None
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise _error(response)
        return response

    @staticmethod
    def _json(response: httpx.Response) -> dict[str, Any]:
        try:
            data: dict[str, Any] = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise Unavailable(f"{response.url} does not answer as a gateway does.") from None
        return data


def _row_count(columns: Mapping[str, Sequence[Any]]) -> int:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"the columns differ in length: {lengths}.")
    return next(iter(lengths.values()), 0)


def _require_finite(columns: Mapping[str, Sequence[Any]]) -> None:
    """Refuse infinite numbers: JSON has none, so one would arrive as a missing value."""
    for name, values in columns.items():
        plain = values.tolist() if hasattr(values, "tolist") else values
        row = next((i for i, value in enumerate(plain) if isinstance(value, float) and math.isinf(value)), None)
        if row is not None:
            said = f"column {name!r} is infinite in row {row}; send a finite number, or None where it is missing."
            raise InvalidInput(said, column=name, row=row)


def _plain(value: Any) -> Any:
    """Write what JSON lacks: moments of other libraries as ISO 8601, their missing values as null."""
    if str(value) in {"<NA>", "NaT", "nan"}:
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent")


def _error(response: httpx.Response) -> MlprodError:
    """Return the error that a problem document tells of, in the server's words."""
    try:
        problem = orjson.loads(response.content)
        detail = str(problem["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        problem, detail = {}, f"the gateway answered {response.status_code}."
    if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        return InvalidInput(detail, column=problem.get("column", ""), row=problem.get("row"))
    if response.status_code == HTTPStatus.NOT_FOUND:
        error = NotFound("thing", "")
        error.message, error.nearest, error.args = detail, problem.get("nearest", ""), (detail,)
        return error
    kind = _ERRORS.get(response.status_code, Unavailable)
    return kind(detail)
