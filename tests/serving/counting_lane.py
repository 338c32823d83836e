"""A gateway whose express lane counts what it takes, and requests that are sent by it or by the routes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import pytest

from mlprod_nb.serving.express import ExpressLane
from mlprod_nb.serving.telemetry.metrics import Telemetry
from tests.serving.workshop import Workshop, on_a_socket

BY_THE_ROUTES = {"X-By-The-Routes": "yes"}


class CountingLane(ExpressLane):
    """Counts what it takes and what it hands back."""

    answered = 0

    @property
    def telemetry(self) -> Telemetry:
        return self._telemetry

    def _count(self, live: Any, status: str, requests: int) -> None:
        self.answered += requests
        super()._count(live, status, requests)


@contextmanager
def running(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, CountingLane]]:
    """Run a gateway on a socket in this process; give its URL and its lane."""
    monkeypatch.setattr("mlprod_nb.serving.server.ExpressLane", CountingLane)
    with on_a_socket(shop) as (url, app):
        yield url, app.state.lane


def split(*rows: list[Any], columns: Any = ("distance", "carrier"), **options: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(columns), "data": list(rows)}, **options}


def ask(client: httpx.Client, endpoint: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return client.post(
        f"/endpoints/{endpoint}/invocations", content=content, headers={"Content-Type": "application/json", **headers}
    )
