"""TAB in bash, zsh and fish: click's scripts, our suggestions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from mlprod_nb import settings
from mlprod_nb.commands.completion import complete
from mlprod_nb.commands.values import said
from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle import names
from mlprod_nb.lifecycle.names import Names
from mlprod_nb.lifecycle.shells import PROGRAM, VARIABLE


def answer(instruction: str, write: Callable[[str], None]) -> int:
    """Answer a shell's question, ``bash_complete``, or give it its script, ``bash_source``; return the exit code.

    The names are those of the last time they were written; where they are behind, they are written anew meanwhile.
    """
    shell, _, action = instruction.partition("_")
    kind = get_completion_class(shell)
    if kind is None or action not in ("complete", "source"):
        return 1
    script = kind(click.Command(PROGRAM), {}, PROGRAM, VARIABLE)
    if action == "source":
        write(script.source())
        return 0
    words, fragment = script.get_completion_args()
    items = _items(words, fragment)
    write("\n".join(script.format_completion(item) for item in items))
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
