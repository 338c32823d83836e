"""Telling people how a release goes on without them: rolled back, refused, or waiting for them; by an alert.

It is raised in the transaction that writes the event down, so that neither is there without the other.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.store import alerts, notices
from mlprod_nb.store.alerts import NewAlert
from mlprod_nb.store.releases import Event, Release

_FAMILY = "release"
#: The fact of a pause that the release made by itself, so that nobody knows of it.
BY_ITSELF = "by_itself"
#: How the detail begins of an event that waits for people.
FOR_APPROVAL = "waits for approval"


def told(context: Context, connection: Connection, release: Release, event: Event) -> None:
    """Raise an alert about a release that ended badly or waits for people; close those before where it goes on."""
    given = release.given
    waits = f"{_FAMILY}: {given.version} waits"
    show = f"%mlprod release show {given.endpoint}"
    if event.kind == "waits":
        if event.detail.startswith(FOR_APPROVAL):
            sentence = f"the release of {given.version} to {given.endpoint!r} {event.detail}"
            _raise(context, connection, waits, NewAlert(given.endpoint, _FAMILY, "warn", sentence, show, "", ""))
        return
    if event.kind == "paused" and event.facts.get(BY_ITSELF):
        sentence = f"the release of {given.version} to {given.endpoint!r} is paused: {event.detail}"
        resume = f"%mlprod release resume {given.endpoint}"
        _raise(context, connection, waits, NewAlert(given.endpoint, _FAMILY, "warn", sentence, resume, "", ""))
        return
    known = [cause for cause in alerts.open_causes(connection, given.endpoint) if cause.startswith(f"{_FAMILY}: ")]
    gone = [cause for cause in known if event.kind == "promoted" or cause == waits]
    for alert in alerts.recover(connection, given.endpoint, gone, now=context.clock()):
        notices.add(connection, alert, "recovered", now=context.clock())
    if event.kind in ("rolled back", "refused"):
        sentence = f"{given.version} was not released to {given.endpoint!r}: {event.detail}"
        alarm(context, connection, given.endpoint, given.version, sentence, show)


def alarm(context: Context, connection: Connection, endpoint: str, version: str, sentence: str, action: str) -> None:
    """Raise an alert about a version, in the caller's transaction; one that is open already stays."""
    said = NewAlert(endpoint, _FAMILY, "alarm", sentence, action, "", "")
    _raise(context, connection, f"{_FAMILY}: {version}", said)


def _raise(context: Context, connection: Connection, cause: str, said: NewAlert) -> None:
    raised = alerts.add(connection, said, [cause], now=context.clock())
    if raised is not None:
        notices.add(connection, raised, "raised", now=context.clock())
