"""An endpoint's history: who moved what, when, why, from what to what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from mlprod_nb.errors import NotFound
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import describe
from mlprod_nb.results import Result, counted
from mlprod_nb.store import Revision, journal, revisions


@dataclass(frozen=True)
class Move:
    """One entry of a history.

    Attributes:
        at: When.
        actor: Who.
        what: ``revision 3``, ``flights@champion``, or the version that was imported.
        after: What it became, in words.
        outcome: active, rejected, withdrawn, abandoned, or waiting.
        reason: Why.
        command: The line that did it.
    """

    at: datetime
    actor: str
    what: str
    after: str
    outcome: str
    reason: str
    command: str


@dataclass(frozen=True)
class HistoryResult(Result):
    """An endpoint's history, newest first.

    Attributes:
        endpoint: The endpoint's name.
        moves: Revisions, alias moves and imports of its models.
    """

    endpoint: str
    moves: tuple[Move, ...]
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint",)

    def headline(self) -> str:
        """Say how much happened."""
        return f"Endpoint {self.endpoint!r}: {counted(len(self.moves), 'move')}."


def history(context: Context, endpoint: str, *, limit: int) -> HistoryResult:
    """Merge revisions and alias moves, newest first.

    Raises:
        NotFound: There is no such endpoint.
    """
    with context.store.read() as connection:
        past = revisions.history(connection, endpoint)
        if not past:
            raise NotFound("endpoint", endpoint, revisions.endpoint_names(connection))
        moved = journal.of_revisions(connection, [revision.id for revision in past])
        models = {v.model for r in past if r.spec for v in (*r.spec.variants, *r.spec.shadows)}
        moved += journal.alone(connection, models)
        arrived = journal.imports(connection, models)
    moves = [
        Move(
            revision.created_at,
            revision.actor,
            f"revision {revision.number}" + (f" (restores {revision.restores})" if revision.restores else ""),
            describe(revision.spec) or "taken away",
            _decided(revision),
            revision.reason,
            revision.command,
        )
        for revision in past
    ]
    moves += [Move(e.at, e.actor, e.subject, e.after or "removed", "active", e.reason, e.command) for e in moved]
    moves += [Move(e.at, e.actor, e.subject, f"imported: {e.before}", "active", e.reason, e.command) for e in arrived]
    moves.sort(key=lambda move: move.at, reverse=True)
    return HistoryResult(endpoint, tuple(moves[:limit]))


def _decided(revision: Revision) -> str:
    """Return a revision's outcome in words: ``rejected: the bundle is damaged``."""
    found = revision.outcome
    return ": ".join(part for part in (found.outcome, found.detail) if part) if found else "waiting"
