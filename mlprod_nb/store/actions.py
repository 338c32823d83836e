"""What is done about an alert by itself: one action an alert, written down before it begins and after it ended."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import tables
from mlprod_nb.store.tries import with_one

Kind = Literal["fallback", "rollback", "retrain"]
State = Literal["planned", "begun", "done", "failed", "left alone"]


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        alert: The alert's number.
        kind: What is to be done.
        wants: The version to fall back to, or how to retrain; empty for a rollback.
        mark: Unique; what the action makes carries it.
        state: planned; begun, which a dead process may have left; done; failed, to be tried again by a later look; or
            left alone, for good.
        tries: How often it was begun; what was begun again within minutes is one try (:mod:`.tries`).
        before: The endpoint's newest revision when it was begun.
        detail: What came of it, in words.
        changed_at: When it was planned, or the newest of its tries was counted.
    """

    alert: int
    kind: Kind
    wants: str
    mark: str
    state: State
    tries: int
    before: int
    detail: str
    changed_at: datetime

    def __str__(self) -> str:
        return f"{self.kind} {self.state}" + (f": {self.detail}" if self.detail else "")


def plan(connection: Connection, alert: int, kind: Kind, wants: str, *, now: datetime) -> None:
    """Write down what is to be done about an alert, in the transaction that raises it."""
    values = {"alert_id": alert, "kind": kind, "wants": wants, "mark": uuid.uuid4().hex, "state": "planned"}
    rest = {"tries": 0, "before": 0, "detail": "", "changed_at": now}
    connection.execute(sa.insert(tables.alert_actions).values(**values, **rest))


def of(connection: Connection, alerts: Sequence[int]) -> dict[int, Action]:
    """Return the actions about some alerts."""
    table = tables.alert_actions
    rows = connection.execute(sa.select(table).where(table.c.alert_id.in_(list(alerts))))
    names = [name for name in Action.__dataclass_fields__ if name != "alert"]
    return {row.alert_id: Action(row.alert_id, *(getattr(row, name) for name in names)) for row in rows}


def unfinished(connection: Connection, endpoint: str) -> list[Action]:
    """Return an endpoint's actions that are not done, oldest first."""
    table, alerts = tables.alert_actions.c, tables.alerts.c
    waits = table.state.in_(["planned", "begun", "failed"])
    query = sa.select(table.alert_id).join_from(tables.alert_actions, tables.alerts)
    found = list(connection.scalars(query.where(alerts.endpoint == endpoint, waits).order_by(table.alert_id)))
    return list(of(connection, found).values())


def begin(connection: Connection, action: Action, *, before: int, now: datetime) -> None:
    """Write down that an action begins."""
    tries, since = with_one(action.tries, action.changed_at, now)
    _set(connection, action, since, state="begun", tries=tries, before=before)


def end(connection: Connection, action: Action, state: State, detail: str, *, now: datetime) -> None:
    """Write down how an action, given as it was before it began, ended."""
    _set(connection, action, with_one(action.tries, action.changed_at, now)[1], state=state, detail=detail)


def _set(connection: Connection, action: Action, since: datetime, **values: object) -> None:
    table = tables.alert_actions
    mine = sa.update(table).where(table.c.alert_id == action.alert)
    connection.execute(mine.values(changed_at=since, **values))
