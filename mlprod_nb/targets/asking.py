"""Asking a gateway that announced itself in the state database, over HTTP: so on any machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlprod_nb import settings
from mlprod_nb.processes import wait_for
from mlprod_nb.settings import Layout
from mlprod_nb.store import Store, gateways
from mlprod_nb.store.gateways import GatewayRecord
from mlprod_nb.targets.protocol import Condition

_ANSWER_SECONDS = 2.0
_REPLACE_SECONDS = 8.0


def answering(layout: Layout, lives: Callable[[GatewayRecord | None], bool]) -> GatewayRecord | None:
    """Return the gateway that answers now, or ``None``.

    The gateway is asked for its id, so neither a reused process id nor another program on its port passes for it.

    Args:
        layout: The workspace's.
        lives: Whether one that is silent, or that announced nothing, is alive or comes back: it is asked for a while.
    """
    found: list[GatewayRecord] = []

    def asked() -> bool:
        record = announced(layout)
        live_id = _live_id(record.url, layout) if record is not None else ""
        if record is not None and live_id == record.id:
            found.append(record)
        return bool(live_id or not lives(record))

    wait_for(asked, _REPLACE_SECONDS)
    return found[0] if found else None


def condition(record: GatewayRecord | None, layout: Layout) -> Condition:
    """Return how a gateway is; of none, nothing."""
    answer = _get(f"{record.url}/health/ready", layout) if record is not None else None
    if answer is None:
        return Condition()
    workers = answer.get("workers", {})
    problem = "; ".join(str(reason) for reason in answer.get("reasons", ()))
    log = answer.get("log", {})
    words = ": ".join(str(part) for part in (log.get("state", "ok"), log.get("reason", "")) if part)
    numbers = int(workers.get("running", 1)), int(workers.get("restarts", 0))
    return Condition(problem, *numbers, words, str(answer.get("version", "")))


def started(layout: Layout, gateway_id: str) -> GatewayRecord | None:
    """Return a gateway that has loaded what it could; what it could not load it says in its status."""
    record = announced(layout)
    if record is None or record.id != gateway_id:
        return None
    answer = _get(f"{record.url}/health/ready", layout)
    return record if answer is not None and answer.get("status") in {"ready", "degraded"} else None


def announced(layout: Layout) -> GatewayRecord | None:
    """Return the newest gateway that did not say it stopped, or ``None``; it may have died without a word."""
    url = settings.load(layout.root).store.url
    if not url and not layout.database.is_file():
        return None
    store = Store(url or Store.sqlite_url(layout.database))
    try:
        if store.schema_version() is None:
            return None
        with store.read() as connection:
            return gateways.latest(connection)
    finally:
        store.close()


def _live_id(url: str, layout: Layout) -> str:
    answer = _get(f"{url}/health/live", layout)
    return str(answer.get("id", "")) if answer else ""


def _get(url: str, layout: Layout) -> dict[str, Any] | None:
    import httpx

    from mlprod_nb.serving.client import trust

    try:
        with httpx.Client(
            verify=trust(url, str(layout.tls / "ca.pem")), timeout=_ANSWER_SECONDS, trust_env=False
        ) as client:
            data = client.get(url).json()
    except (httpx.HTTPError, ValueError):
        return None
    return data if isinstance(data, dict) else None
