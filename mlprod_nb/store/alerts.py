"""Alerts: raised once for each cause, held by people, closed when their causes are gone.

Guarantee: one cause of one endpoint is open in one alert at most, however many looks find it at the same time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.clock import iso, parse_deadline
from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.store import tables

State = Literal["open", "acknowledged", "snoozed", "recovered"]
HoldKind = Literal["acknowledged", "snoozed"]
HOLDS: tuple[HoldKind, ...] = get_args(HoldKind)


@dataclass(frozen=True)
class NewAlert:
    """What an alert says.

    Attributes:
        endpoint: The endpoint's name.
        kind: What raised it: ``drift``, ``performance``, ``monitor`` or the name of a user's own report.
        status: alarm or warn.
        sentence: The verdict in words.
        action: The exact line to run next.
        report: The report's digest; empty where no report was made.
        page: The report's page, relative to the workspace; empty where there is none.
    """

    endpoint: str
    kind: str
    status: str
    sentence: str
    action: str
    report: str
    page: str


@dataclass(frozen=True)
class Hold:
    """Somebody's word on an alert.

    Attributes:
        kind: acknowledged: somebody sees to it; snoozed: it is to be silent for a while.
        actor: Who.
        reason: Why.
        at: When.
        until: Until when; ``None``: as long as the alert is open.
    """

    kind: HoldKind
    actor: str
    reason: str
    at: datetime
    until: datetime | None

    def in_force(self, now: datetime) -> bool:
        """Return whether it still holds."""
        return self.until is None or now < self.until

    def __str__(self) -> str:
        until = f" until {iso(self.until)}" if self.until else ""
        return f"{self.kind} by {self.actor}{until}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes:
        id: Its number.
        said: What it says.
        raised_at: When it was raised.
        causes: Its causes, each with the moment of its recovery or ``None``.
        hold: The newest word on it, in force or not.
    """

    id: int
    said: NewAlert
    raised_at: datetime
    causes: tuple[tuple[str, datetime | None], ...]
    hold: Hold | None

    @property
    def open_causes(self) -> tuple[str, ...]:
        """The causes that are not gone."""
        return tuple(cause for cause, recovered in self.causes if recovered is None)

    @property
    def recovered_at(self) -> datetime | None:
        """When the last cause went; ``None`` while one is there."""
        return None if self.open_causes else max(recovered for _, recovered in self.causes if recovered)

    def state(self, now: datetime) -> State:
        """Return whether it is open, held or over."""
        if not self.open_causes:
            return "recovered"
        return self.hold.kind if self.hold and self.hold.in_force(now) else "open"


def add(connection: Connection, said: NewAlert, causes: Collection[str], *, now: datetime) -> int | None:
    """Raise an alert for those of the causes that are not open; return its number, or ``None`` where all are."""
    fresh = sorted(set(causes) - open_causes(connection, said.endpoint).keys())
    if not fresh:
        return None
    inserted = connection.execute(sa.insert(tables.alerts).values(**said.__dict__, raised_at=now)).inserted_primary_key
    assert inserted is not None
    alert = int(inserted[0])
    rows = [{"alert_id": alert, "cause": cause, "endpoint": said.endpoint} for cause in fresh]
    connection.execute(sa.insert(tables.alert_causes), rows)
    return alert


def recover(connection: Connection, endpoint: str, causes: Iterable[str], *, now: datetime) -> list[int]:
    """Close causes; return the numbers of the alerts that are over by it."""
    table = tables.alert_causes
    mine = sa.and_(table.c.endpoint == endpoint, table.c.cause.in_(list(causes)), table.c.recovered_at.is_(None))
    touched = set(connection.scalars(sa.select(table.c.alert_id).where(mine)))
    connection.execute(sa.update(table).where(mine).values(recovered_at=now))
    left = sa.select(table.c.alert_id).where(table.c.alert_id.in_(touched), table.c.recovered_at.is_(None))
    return sorted(touched - set(connection.scalars(left)))


def open_causes(connection: Connection, endpoint: str) -> dict[str, int]:
    """Return an endpoint's open causes, and the alert of each."""
    table = tables.alert_causes.c
    query = sa.select(table.cause, table.alert_id).where(table.endpoint == endpoint, table.recovered_at.is_(None))
    return {row.cause: row.alert_id for row in connection.execute(query.order_by(table.alert_id, table.cause))}


def hold(
    connection: Connection, number: int, kind: HoldKind, *, until: str, actor: str, reason: str, now: datetime
) -> tuple[Alert, Hold]:
    """Record somebody's word on an alert, in the caller's transaction; the newest counts.

    Every door ends here: the verbs and the gateway's page.

    Args:
        connection: A writing connection.
        number: The alert's number.
        kind: acknowledged, or snoozed.
        until: A date, a time or a duration (``3d``); empty: as long as the alert is open, which no snooze may be.
        actor: Who says so.
        reason: Why; may be empty.
        now: The present moment.

    Returns:
        The alert as it was, and what was recorded.

    Raises:
        NotFound: There is no such alert.
        UsageError: ``until`` is no moment to come, or a snooze has none.
        Refused: The alert has recovered.
    """
    end = parse_deadline(until, now=now) if until.strip() else None
    if end is not None and end <= now:
        raise UsageError(f"until {until}: that is not in the future.", hint="Write a date, a time or a duration (3d).")
    if kind == "snoozed" and end is None:
        raise UsageError("a snooze needs an end.", hint="Write a date, a time or a duration (3d).")
    found = find(connection, number)
    if found.recovered_at is not None:
        raise Refused(f"alert {number} has recovered already.", hint="See: mlprod alerts list")
    given = Hold(kind, actor, reason.strip(), now, end)
    connection.execute(sa.insert(tables.alert_holds).values(alert_id=number, **given.__dict__))
    return found, given


def find(connection: Connection, alert: int) -> Alert:
    """Return an alert.

    Raises:
        NotFound: There is none of that number.
    """
    found = _select(connection, [tables.alerts.c.id == alert])
    if not found:
        known = connection.scalars(sa.select(tables.alerts.c.id).order_by(tables.alerts.c.id.desc()).limit(8))
        raise NotFound("alert", str(alert), [str(number) for number in known], hint="See: mlprod alerts list")
    return found[0]


def list_alerts(
    connection: Connection, *, endpoint: str = "", only_open: bool = False, limit: int = 100
) -> list[Alert]:
    """Return alerts, the newest first."""
    conditions: list[sa.ColumnElement[bool]] = [tables.alerts.c.endpoint == endpoint] if endpoint else []
    if only_open:
        table = tables.alert_causes.c
        conditions.append(tables.alerts.c.id.in_(sa.select(table.alert_id).where(table.recovered_at.is_(None))))
    return _select(connection, conditions, limit)


def _select(connection: Connection, conditions: Sequence[sa.ColumnElement[bool]], limit: int = 1) -> list[Alert]:
    query = sa.select(tables.alerts).where(*conditions).order_by(tables.alerts.c.id.desc()).limit(limit)
    rows = list(connection.execute(query))
    ids = [row.id for row in rows]
    causes: dict[int, list[tuple[str, datetime | None]]] = defaultdict(list)
    table = tables.alert_causes
    for row in connection.execute(sa.select(table).where(table.c.alert_id.in_(ids)).order_by(table.c.cause)):
        causes[row.alert_id].append((row.cause, row.recovered_at))
    holds = _holds(connection, ids)
    names = NewAlert.__dataclass_fields__
    return [
        Alert(
            row.id,
            NewAlert(**{name: getattr(row, name) for name in names}),
            row.raised_at,
            tuple(causes[row.id]),
            holds.get(row.id),
        )
        for row in rows
    ]


def _holds(connection: Connection, alerts: list[int]) -> dict[int, Hold]:
    table = tables.alert_holds
    rows: Iterable[Any] = connection.execute(sa.select(table).where(table.c.alert_id.in_(alerts)).order_by(table.c.id))
    return {row.alert_id: Hold(row.kind, row.actor, row.reason, row.at, row.until) for row in rows}
