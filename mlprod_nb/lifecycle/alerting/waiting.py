"""A version that a job retrained waits for people: an alert tells it once, and is over when it serves.

Who retrains by hand reads the result, and what an alert retrained is told as that alert's action.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.engine import Connection

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store import alerts, notices
from mlprod_nb.store.alerts import NewAlert

_FAMILY = "retrained"


def told(context: Context, said: NewAlert, version: str) -> Callable[[Connection], None]:
    """Return what raises the alert, in the transaction that names the version, and closes those of versions before."""

    def write(connection: Connection) -> None:
        now, cause = context.clock(), _cause(version)
        known = [found for found in alerts.open_causes(connection, said.endpoint) if found.startswith(f"{_FAMILY}: ")]
        alerts.recover(connection, said.endpoint, [found for found in known if found != cause], now=now)
        raised = alerts.add(connection, said, [cause], now=now)
        if raised is not None:
            notices.add(connection, raised, "raised", now=now)

    return write


def settle(context: Context, endpoint: str, spec: EndpointSpec | None) -> None:
    """Close the alerts about versions that an endpoint serves now, or scores in shadow."""
    serving = {_cause(variant.model_version) for variant in (*spec.variants, *spec.shadows)} if spec else set()
    with context.store.read() as connection:
        over = sorted(serving & alerts.open_causes(connection, endpoint).keys())
    if over:
        with context.store.write() as connection:
            for alert in alerts.recover(connection, endpoint, over, now=context.clock()):
                notices.add(connection, alert, "recovered", now=context.clock())


def _cause(version: str) -> str:
    return f"{_FAMILY}: {version}"
