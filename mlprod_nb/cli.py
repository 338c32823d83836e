"""The shell's door: ``mlprod VERB …``, one line for every error, and exit codes that scripts can use.

0 done; 1 the verdict is no; 2 the line is wrong; 3 it failed; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click

from mlprod_nb import commands, settings
from mlprod_nb.commands.showing import InPlace, Lines, TerminalLine
from mlprod_nb.errors import MlprodError, unexpected

#: So many new objects before Python searches them for garbage: imports make many, and hardly any garbage.
_NEW_OBJECTS = 250_000
_FAILED = 3
_INTERRUPTED = 130
_MAGIC = re.compile(r"(?<![%\w])%mlprod (?=[a-z]|--help)")


def main(argv: Sequence[str] | None = None, *, facade: Any = None) -> int:
    """Run a command line and return its exit code.

    Args:
        argv: The words after ``mlprod``; by default the process's own.
        facade: The class whose methods the verbs are, by default :class:`mlprod_nb.Workspace`.
    """
    if argv is not None:
        return _answer(list(argv), facade)
    gc.set_threshold(_NEW_OBJECTS)
    try:
        asked = settings.completing()
        if asked:
            from mlprod_nb.commands import shells

            return shells.answer(asked, click.echo)
        if sys.argv[1:2] == ["monitor"]:
            settings.for_counting()
        return _answer(sys.argv[1:], facade)
    finally:
        if "duckdb" not in sys.modules:  # DuckDB reports in 47 lines what was not collected when the process ends
            gc.freeze()  # to search all that was imported for garbage takes as long as a small look


def _answer(words: list[str], facade: Any) -> int:
    as_json = "--json" in words
    words = [word for word in words if word != "--json"]
    door = commands.Door(
        command=shlex.join(["mlprod", *words]),
        read_input=sys.stdin.read,
        progress=_progress(),
        confirm=_ask if sys.stdin.isatty() and sys.stderr.isatty() else None,
        **({"facade": facade} if facade is not None else {}),
    )
    try:
        result = commands.run(words, door)
        _write(result.to_json() if as_json else _pasteable(result.fitted(_width())))
    except MlprodError as error:
        _complain(_pasteable(str(error)))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as stop:
        _complain(f"interrupted; {stop}." if str(stop) else "interrupted.")
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the last line of defence: a shell gets one line, whatever broke)
        _complain(unexpected(error))
        return _FAILED
    return result.exit_code


def _ask(question: str) -> bool:
    return click.confirm(question, default=False, err=True)


def _progress() -> commands.Shown:
    """Return what shows the steps: in place where somebody looks on, else line by line."""
    return InPlace(TerminalLine(sys.stderr)) if sys.stderr.isatty() else Lines(sys.stderr)


def _width() -> int | None:
    """Return how wide the terminal is; what a pipe or a file gets is as wide as it is."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _write(text: str) -> None:
    """Write to standard output; a reader that went away, as ``head`` does, is no error."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit; let that go nowhere.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _pasteable(text: str) -> str:
    """Return a text whose lines for a notebook are lines for a shell."""
    return _MAGIC.sub("mlprod ", text)


def _complain(text: str) -> None:
    click.echo(f"mlprod: {text}", err=True)


if __name__ == "__main__":
    sys.exit(main())
