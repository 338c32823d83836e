"""Moving aliases, with the journal that explains every move."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.store import journal


@dataclass(frozen=True)
class AliasMove:
    """One alias that changes its version.

    Attributes:
        alias: As ``flights@champion``.
        before: The version before, as ``flights/1``; empty where the alias is new.
        after: The version after; empty where the alias goes.
    """

    alias: str
    before: str
    after: str

    def reversed(self) -> AliasMove:
        """Return the move that undoes this one."""
        return AliasMove(self.alias, self.after, self.before)


@dataclass(frozen=True)
class Cleared:
    """A move that may be made; :mod:`.protecting` says which.

    Attributes:
        move: The move.
        grounds: Why a protected alias may move; empty for one that is not protected.
    """

    move: AliasMove
    grounds: str


def planned(context: Context, model: str, alias: str, version: int) -> AliasMove:
    """Return the move that would point an alias at a version."""
    now = context.registry.aliases(model).get(alias)
    return AliasMove(f"{model}@{alias}", f"{model}/{now}" if now else "", f"{model}/{version}")


def write_journal(
    context: Context, connection: Connection, cleared: Cleared, *, reason: str, revision_id: int | None = None
) -> None:
    """Append a move to the journal, in the caller's transaction."""
    move = cleared.move
    journal.append(
        connection,
        journal.JournalEntry(
            at=context.clock(),
            actor=context.caller.actor,
            kind="alias",
            subject=move.alias,
            before=move.before,
            after=move.after,
            reason=reason,
            command=context.caller.command,
            revision_id=revision_id,
        ),
    )
    if cleared.grounds:
        detail = f"{move.before or 'nothing'} to {move.after or 'nothing'}: {cleared.grounds}"
        context.audit(connection, "move protected alias", move.alias, detail)


def apply(context: Context, move: AliasMove) -> None:
    """Make a move in the registry."""
    model, alias = move.alias.split("@")
    if move.after:
        context.registry.set_alias(model, alias, int(move.after.rsplit("/", 1)[1]))
    elif alias in context.registry.aliases(model):
        context.registry.delete_alias(model, alias)
