"""TAB in bash, zsh and fish: click's scripts, for bash one of ours, our suggestions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem, get_completion_class

from mlprod_nb import settings
from mlprod_nb.commands import typed
from mlprod_nb.commands.completion import complete
from mlprod_nb.commands.values import said
from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.completing import names
from mlprod_nb.lifecycle.completing.names import Names
from mlprod_nb.lifecycle.completing.shells import PROGRAM, VARIABLE, script


class _Bash(BashComplete):
    """Reads the line as it was typed, since bash divides words at its breaks."""

    def get_completion_args(self) -> tuple[list[str], str]:
        _, *rest = os.environ["COMP_WORDS"].split(maxsplit=1)
        return typed(rest[0] if rest else "")


def answer(instruction: str, write: Callable[[str], None]) -> int:
    """Answer a shell's question, ``bash_complete``, or give it its script, ``bash_source``; return the exit code.

    The names are those of the last time they were written; where they are behind, they are written anew meanwhile.
    """
    shell, _, action = instruction.partition("_")
    kind = _Bash if shell == "bash" else get_completion_class(shell)
    if kind is None or action not in ("complete", "source"):
        return 1
    if action == "source":
        write(script(shell).script)
        return 0
    asking = kind(click.Command(PROGRAM), {}, PROGRAM, VARIABLE)
    items = _items(*asking.get_completion_args())
    write("\n".join(asking.format_completion(item) for item in items))
    return 0


def _items(words: Sequence[str], fragment: str) -> list[CompletionItem]:
    found = complete(words, fragment, known=_known(), folder=Path.cwd())
    # A shell's script stops at a space of its own, and divides a word at "=", so what stands before it is left out.
    return [CompletionItem(suggestion.text, help=said(suggestion.help) or None) for suggestion in found]


def _known() -> Names:
    try:
        layout = settings.Layout(settings.open_root())
    except MlprodError:
        return Names()
    if names.behind(layout):
        names.renew(layout)
    return names.read(layout)
