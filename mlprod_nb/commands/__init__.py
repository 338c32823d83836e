"""The grammar behind every door: one parser for the shell, the notebook, a widget's button and a scheduled job."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb import settings
from mlprod_nb.clock import utc_now
from mlprod_nb.commands import jobs, sending
from mlprod_nb.commands.completion import Suggestion as Suggestion
from mlprod_nb.commands.completion import complete as complete
from mlprod_nb.commands.door import Door as Door
from mlprod_nb.commands.grammar import Call as Call
from mlprod_nb.commands.grammar import Page as Page
from mlprod_nb.commands.grammar import parse as parse
from mlprod_nb.commands.grammar import split as split
from mlprod_nb.commands.showing import Shown as Shown
from mlprod_nb.commands.verbs import BODY as BODY
from mlprod_nb.commands.verbs import REPRODUCED as REPRODUCED
from mlprod_nb.commands.verbs import Verb as Verb
from mlprod_nb.commands.verbs import verbs as verbs
from mlprod_nb.errors import MlprodError
from mlprod_nb.results import Result
from mlprod_nb.workspace import Workspace

if TYPE_CHECKING:
    from mlprod_nb.notebooks import EarlyRunner

__all__ = [
    "BODY",
    "Call",
    "Door",
    "Page",
    "Shown",
    "Suggestion",
    "Verb",
    "complete",
    "parse",
    "run",
    "split",
    "typed",
    "verbs",
]


def typed(line: str) -> tuple[list[str], str]:
    """Divide a line that is being written into its whole words and the beginning of the last one.

    An open quote holds its word together, as it will when it is closed.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:
        return words, lexer.token
    return (words, "") if not words or line[-1:].isspace() else (words[:-1], words[-1])


def run(words: Sequence[str], door: Door) -> Result:
    """Run a command line and return its result.

    Raises:
        MlprodError: The line is wrong, or the verb cannot do it.
    """
    try:
        return _run(words, door)
    except Exception as error:
        _note(error, door)
        raise


def _run(words: Sequence[str], door: Door) -> Result:
    call = parse(sending.without(words), door)
    if isinstance(call, Page):
        return call
    if settings.candidates_folder() is not None and call.verb.name not in REPRODUCED:
        from mlprod_nb.lifecycle.reproducing.replicas import LeftOut

        return LeftOut(call.verb.name)
    if sending.asked(words):
        from mlprod_nb.lifecycle import background

        sent = sending.words_for(call.verb, sending.without(words), door)
        return background.start(_opened(door, call.verb).context, sent, shlex.join(["mlprod", *sent]))
    job = jobs.understood(call.arguments[1]) if call.verb.method == "schedule_add" else None
    with _runner(door, call.verb) as runner:
        facade: Any = door.facade if not call.verb.opens else _opened(door, call.verb, runner)
        with _shown(door.progress):
            result = getattr(facade, call.verb.method)(*call.arguments, **call.options)
    if job is not None and isinstance(facade, Workspace):
        result = jobs.remarked(result, job, facade.context)
    assert isinstance(result, Result)
    return result


def _runner(door: Door, verb: Verb) -> AbstractContextManager[EarlyRunner | None]:
    """Start what executes a report's notebook: it imports on another core while rows are pinned."""
    if verb.method != "report" or door.facade is not Workspace:
        return nullcontext()
    from mlprod_nb.notebooks.early import EarlyRunner

    return EarlyRunner()


def _opened(door: Door, verb: Verb, runner: EarlyRunner | None = None) -> Any:
    return door.facade.open(door.workspace or None, caller=_caller(door, verb, runner))


def _note(error: Exception, door: Door) -> None:
    """Keep the detail of an error for ``why``."""
    from mlprod_nb.lifecycle import faults

    if settings.candidates_folder() is not None:
        return

    with suppress(MlprodError, OSError):
        root = settings.open_root(Path(door.workspace) if door.workspace else None)
        faults.note(settings.Layout(root), error, door.command, utc_now())


def _caller(door: Door, verb: Verb, runner: EarlyRunner | None) -> Any:
    from dataclasses import replace

    from mlprod_nb.lifecycle.context import Caller

    # Only a registration records its notebook.
    notebook = door.notebook() if verb.name == "register" else None
    return replace(
        Caller.current(),
        command=door.command,
        notebook=notebook,
        confirm=door.confirm,
        progress=door.progress,
        runner=runner,
    )


@contextmanager
def _shown(progress: Shown) -> Iterator[None]:
    """Tell whoever shows the progress how it ended."""
    try:
        yield
    except KeyboardInterrupt:
        progress.end("interrupted")
        raise
    except BaseException:
        progress.end("failed")
        raise
    progress.end("done")
