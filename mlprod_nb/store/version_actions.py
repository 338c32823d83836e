"""What is done with a new version by itself: one action a version, written down before it begins and after it ended.

Guarantee: a version is handled once, whoever registered it and however many look, since its row is there once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import tables
from mlprod_nb.store.tries import with_one

State = Literal["planned", "begun", "done", "failed", "left alone"]
_WATCHED = 0
"""The row of this number says that a model is watched; versions begin at 1."""


@dataclass(frozen=True)
class VersionAction:
    """What is done with one version.

    Attributes:
        model: The model's name.
        version: The version's number.
        wants: check or release.
        state: planned; begun, which a dead process may have left; done; failed, to be tried again; or left alone.
        tries: How often it was begun; what was begun again within minutes is one try (:mod:`.tries`).
        detail: What came of it, or what it waits for, in words.
        changed_at: When it was planned, or the newest of its tries was counted.
    """

    model: str
    version: int
    wants: str
    state: State
    tries: int
    detail: str
    changed_at: datetime

    @property
    def ref(self) -> str:
        """The version as users write it."""
        return f"{self.model}/{self.version}"


def plan(connection: Connection, model: str, version: int, wants: str, *, now: datetime) -> bool:
    """Write down what is to be done with a version; return whether nobody had."""
    return _add(connection, model, version, now, wants=wants, state="planned")


def notice(connection: Connection, model: str, versions: Collection[int], wants: str, *, now: datetime) -> list[int]:
    """Write down the versions that are new to it; return them.

    At the first look at a model those that are there already were not registered since it is watched: they are left
    alone.
    """
    first = _add(connection, model, _WATCHED, now, wants="", state="done")
    left = {"state": "left alone", "detail": f"it was there before the first look: {wants} it by hand."}
    more = left if first else {"state": "planned"}
    return [number for number in sorted(versions) if _add(connection, model, number, now, wants=wants, **more)]


def of_model(connection: Connection, model: str) -> list[VersionAction]:
    """Return the actions about a model's versions, oldest version first."""
    table = tables.version_actions
    mine = sa.and_(table.c.model == model, table.c.version != _WATCHED)
    names = list(VersionAction.__dataclass_fields__)
    rows = connection.execute(sa.select(table).where(mine).order_by(table.c.version))
    return [VersionAction(*(getattr(row, name) for name in names)) for row in rows]


def begin(connection: Connection, action: VersionAction, *, now: datetime) -> None:
    """Write down that an action begins."""
    tries, since = with_one(action.tries, action.changed_at, now)
    _set(connection, action, since, state="begun", tries=tries)


def end(connection: Connection, action: VersionAction, state: State, detail: str, *, now: datetime) -> None:
    """Write down how an action, given as it was before it began, ended or what it waits for; waiting is no try."""
    if state == "planned":
        _set(connection, action, action.changed_at, state=state, detail=detail, tries=action.tries)
    else:
        _set(connection, action, with_one(action.tries, action.changed_at, now)[1], state=state, detail=detail)


def _add(connection: Connection, model: str, version: int, now: datetime, **values: str) -> bool:
    table = tables.version_actions
    mine = sa.and_(table.c.model == model, table.c.version == version)
    if connection.scalar(sa.select(table.c.version).where(mine)) is not None:
        return False
    given = {"detail": "", **values}
    connection.execute(sa.insert(table).values(model=model, version=version, tries=0, changed_at=now, **given))
    return True


def _set(connection: Connection, action: VersionAction, since: datetime, **values: object) -> None:
    table = tables.version_actions
    mine = sa.and_(table.c.model == action.model, table.c.version == action.version)
    connection.execute(sa.update(table).where(mine).values(changed_at=since, **values))
