"""Telling people that a release was rolled back, by an alert, in the transaction that ends it."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.store import alerts, notices
from mlprod_nb.store.alerts import NewAlert
from mlprod_nb.store.releases import Event, Release

_FAMILY = "release"


def told(context: Context, connection: Connection, release: Release, event: Event) -> None:
    """Raise an alert about a release that ended badly; close the one before where a release ends well."""
    given = release.given
    if event.kind == "promoted":
        known = [cause for cause in alerts.open_causes(connection, given.endpoint) if cause.startswith(f"{_FAMILY}: ")]
        for alert in alerts.recover(connection, given.endpoint, known, now=context.clock()):
            notices.add(connection, alert, "recovered", now=context.clock())
    if event.kind not in ("rolled back", "refused"):
        return
    sentence = f"{given.version} was not released to {given.endpoint!r}: {event.detail}"
    alarm(context, connection, given.endpoint, given.version, sentence, f"%mlprod release show {given.endpoint}")


def alarm(context: Context, connection: Connection, endpoint: str, version: str, sentence: str, action: str) -> None:
    """Raise an alert about a version, in the caller's transaction; one that is open already stays."""
    said = NewAlert(endpoint, _FAMILY, "alarm", sentence, action, "", "")
    raised = alerts.add(connection, said, [f"{_FAMILY}: {version}"], now=context.clock())
    if raised is not None:
        notices.add(connection, raised, "raised", now=context.clock())
