"""What a killed process left between journal and registry: moves of aliases, and registrations.

Journal and registry are two stores, and no transaction spans both. So either is promised in a file (:mod:`.promises`)
before the first of the two knows of it, and the next verb, by any door, sees to a promise that somebody died over. A
move, which the journal tells of first, is made in the registry only where it still stands: its revision serves, the
journal knows no later move of the alias, and the registry has the alias where it was before. A version, which the
registry has first, is written into the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from mlprod_nb.errors import Corrupt, MlprodError, NotFound
from mlprod_nb.lifecycle.alias_moves import aliases, promises
from mlprod_nb.lifecycle.alias_moves.aliases import AliasMove
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.store import journal, revisions
from mlprod_nb.store.journal import JournalEntry

Announce = Callable[[int | None], None]
_FOLDER = "moves"


def tell_nobody(revision_id: int | None) -> None:
    """Announce nothing, where no alias moves."""


@contextmanager
def announced(context: Context, moves: Sequence[AliasMove]) -> Iterator[Announce]:
    """Let moves be made, by this process or, where it dies or fails before, by the next verb.

    The block gets a function that it calls with the revision that the moves come with, or ``None``, before the
    transaction ends that tells the journal of them.
    """
    held: list[tuple[Path, IO[str]]] = []

    def announce(revision_id: int | None) -> None:
        if moves:
            said = {"revision": revision_id, "moves": [[m.alias, m.before, m.after] for m in moves]}
            held.append(promises.write(_folder(context), said))

    try:
        yield announce
        for path, _ in held:
            path.unlink()
    finally:
        for _, file in held:
            file.close()


@contextmanager
def registered(context: Context, model: str, bundle: str, reason: str) -> Iterator[None]:
    """Let the version that the block makes be in registry and journal, even where this process dies in between.

    Args:
        context: The workspace.
        model: The model's name.
        bundle: The digest of the version's bundle.
        reason: The version's note.
    """
    known: list[int] = []
    with suppress(NotFound):
        known = [version.version for version in context.registry.versions(model)]
    caller = context.caller
    said = {"model": model, "above": max(known, default=0), "bundle": bundle, "actor": caller.actor}
    path, file = promises.write(_folder(context), {**said, "reason": reason, "command": caller.command})
    with file:
        yield
        path.unlink()


def make(context: Context) -> None:
    """See to what dead processes left; where the registry does not answer, it waits on."""
    if not context.reproducing and promises.paths(_folder(context)):
        with suppress(MlprodError):  # a rollback must work without the registry
            if context.registry.reachable():
                for path in promises.paths(_folder(context)):
                    _see_to(context, path)


def waiting(context: Context) -> tuple[AliasMove, ...]:
    """Return the moves that dead processes left and that could not be made yet."""
    found: list[AliasMove] = []
    for path in promises.paths(_folder(context)):
        with suppress(Corrupt), promises.left(path) as said:
            left = _read(said) if said else None
            if isinstance(left, _Moves) and _state(context, left.revision_id) != "gone":
                found += left.moves
    return tuple(found)


@dataclass(frozen=True)
class _Moves:
    moves: tuple[AliasMove, ...]
    revision_id: int | None


@dataclass(frozen=True)
class _Registration:
    model: str
    above: int
    bundle: str
    actor: str
    reason: str
    command: str


def _read(said: dict[str, Any]) -> _Moves | _Registration:
    try:
        if "model" in said:
            return _Registration(**said)
        return _Moves(tuple(AliasMove(*move) for move in said["moves"]), said["revision"])
    except (TypeError, KeyError):
        raise Corrupt("a promise says nothing that can be done.") from None


def _see_to(context: Context, path: Path) -> None:
    """Keep one promise; one that cannot be read is said once and set aside."""
    with ExitStack() as held:
        try:
            said = held.enter_context(promises.left(path))
            left = _read(said) if said is not None else None
        except Corrupt:
            _set_aside(context, path)
            return
        if left is not None and _keep(context, left):
            path.unlink(missing_ok=True)


def _keep(context: Context, left: _Moves | _Registration) -> bool:
    return _move(context, left) if isinstance(left, _Moves) else _write_down(context, left)


def _set_aside(context: Context, path: Path) -> None:
    where = context.shown(str(promises.set_aside(path)))
    context.progress.step(f"setting aside {where}, which cannot be read: see mlprod history for a move it may be about")
    with context.store.write() as connection:
        context.audit(connection, "set aside", where, "what a process left to do when it died cannot be read")


def _write_down(context: Context, left: _Registration) -> bool:
    """Write the version that a killed registration made into the journal, if it came so far; return that it is done."""
    try:
        versions = context.registry.versions(left.model)
    except NotFound:
        return True
    mine = [v for v in versions if v.version > left.above and (v.bundle, v.author) == (left.bundle, left.actor)]
    with context.store.write() as connection:
        for version in mine[-1:]:
            if not journal.made(connection, version.ref):
                entry = JournalEntry(
                    context.clock(), left.actor, "register", version.ref, "", left.bundle, left.reason, left.command
                )
                journal.append(connection, entry)
                context.audit(connection, "register", version.ref, f"{left.bundle}: whoever began it died")
    return True


def _move(context: Context, left: _Moves) -> bool:
    """Make the moves that a killed process left, where they still stand; return whether that is decided."""
    state = _state(context, left.revision_id)
    for move in left.moves if state == "stands" else ():
        if _unmade(context, move, left.revision_id):
            aliases.apply(context, move)
            with context.store.write() as connection:
                context.audit(connection, "make move", move.alias, f"to {move.after}: whoever began it died")
    return state != "undecided"


def _unmade(context: Context, move: AliasMove, revision_id: int | None) -> bool:
    """Return whether the journal tells of a move last, and the registry has the alias where it was before."""
    with context.store.read() as connection:
        newest = journal.newest_of(connection, move.alias)
    if newest is None or (newest.after, newest.revision_id) != (move.after, revision_id):
        return False
    model, alias = move.alias.split("@")
    return aliases.planned(context, model, alias, 0).before == move.before


def _state(context: Context, revision_id: int | None) -> Literal["stands", "undecided", "gone"]:
    if revision_id is None:
        return "stands"
    with context.store.read() as connection:
        found = revisions.get(connection, revision_id)
    if found is None:
        return "gone"
    if found.outcome is None:
        return "undecided"
    return "stands" if found.outcome.outcome == "active" else "gone"


def _folder(context: Context) -> Path:
    return context.layout.state / _FOLDER
