"""Moves of aliases that a killed process left unmade: the journal tells of them, the registry has them not.

Journal and registry are two stores, and no transaction spans both. So a move is written into a file of its own before
the journal's transaction ends, and the file goes once the registry has the move. Whoever moves aliases holds the file
locked, which ends with the process: a file that nobody holds is a move that somebody died over, and the next verb, by
any door, makes it. It is made only where it still stands: its revision serves, the journal knows no later move of the
alias, and the registry has the alias where it was before.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle import aliases
from mlprod_nb.lifecycle.aliases import AliasMove
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.store import journal, revisions

Announce = Callable[[int | None], None]
_FOLDER, _NAME = "moves", "*.json"


def tell_nobody(revision_id: int | None) -> None:
    """Announce nothing, where no alias moves."""


@contextmanager
def announced(context: Context, moves: Sequence[AliasMove]) -> Iterator[Announce]:
    """Let moves be made, by this process or, where it dies or fails before, by the next verb.

    The block gets a function that it calls with the revision that the moves come with, or ``None``, before the
    transaction ends that tells the journal of them.
    """
    held: list[tuple[Path, IO[str]]] = []
    try:
        yield lambda revision_id: held.append(_write(context, moves, revision_id)) if moves else None
        for path, _ in held:
            path.unlink()
    finally:
        for _, file in held:
            file.close()


def make(context: Context) -> None:
    """Make the moves that dead processes left unmade; where the registry does not answer, they wait on."""
    if not context.reproducing and any(_folder(context).glob(_NAME)):
        with suppress(MlprodError):  # a rollback must work without the registry
            if context.registry.reachable():
                for path in sorted(_folder(context).glob(_NAME)):
                    _make(context, path)


def waiting(context: Context) -> tuple[AliasMove, ...]:
    """Return the moves that dead processes left and that could not be made yet."""
    found: list[AliasMove] = []
    for path in sorted(_folder(context).glob(_NAME)):
        with _left(path) as read:
            moves, revision_id = read or ((), None)
            found += [move for move in moves if _state(context, revision_id) != "gone"]
    return tuple(found)


def _make(context: Context, path: Path) -> None:
    with _left(path) as read:
        if read is None:
            return
        moves, revision_id = read
        state = _state(context, revision_id)
        if state == "undecided":
            return
        for move in moves if state == "stands" else ():
            if _unmade(context, move, revision_id):
                aliases.apply(context, move)
                with context.store.write() as connection:
                    context.audit(connection, "make move", move.alias, f"to {move.after}: whoever began it died")
        path.unlink(missing_ok=True)


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


def _write(context: Context, moves: Sequence[AliasMove], revision_id: int | None) -> tuple[Path, IO[str]]:
    """Write moves down and hold them; the file gets its name once it is locked, so nobody finds it free in between."""
    folder = _folder(context)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.json"
    begun = path.with_suffix(".new")
    file = begun.open("w", encoding="utf-8")
    fcntl.flock(file, fcntl.LOCK_EX)
    json.dump({"revision": revision_id, "moves": [[m.alias, m.before, m.after] for m in moves]}, file)
    file.flush()
    os.fsync(file.fileno())
    begun.rename(path)
    return path, file


@contextmanager
def _left(path: Path) -> Iterator[tuple[tuple[AliasMove, ...], int | None] | None]:
    """Yield what a file says while it is held here; ``None`` where its process lives, or it has gone."""
    try:
        file = path.open(encoding="utf-8")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            said = json.load(file) if path.exists() else None
        except (BlockingIOError, ValueError):
            said = None
        yield said and (tuple(AliasMove(*move) for move in said["moves"]), said["revision"])
