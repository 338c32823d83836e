"""What a door (shell, notebook, button, job) brings to a command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlprod_nb.commands.showing import Nothing, Shown
from mlprod_nb.workspace import Workspace

if TYPE_CHECKING:
    from mlprod_nb.registry.lineage import NotebookContext


def _no_input() -> str:
    return ""


def _no_notebook() -> NotebookContext | None:
    return None


@dataclass(frozen=True)
class Door:
    """Where a line comes from.

    Attributes:
        command: The line as it was typed, for the journal.
        names: The notebook's variables, for ``$name``; ``None`` where there is no notebook.
        body: The cell below the line; ``None`` where there is none.
        read_input: Reads standard input, for an option whose value is ``-``.
        notebook: Tells what is known of the notebook, for lineage; only called when a verb runs.
        confirm: Asks a question; ``None`` where nobody can be asked.
        progress: Shows how far a verb is.
        workspace: The directory at or below the workspace; empty for ``MLPROD_WORKSPACE`` or the current one.
        facade: The class whose methods the verbs are.
    """

    command: str = ""
    names: Mapping[str, Any] | None = None
    body: str | None = None
    read_input: Callable[[], str] = _no_input
    notebook: Callable[[], NotebookContext | None] = _no_notebook
    confirm: Callable[[str], bool] | None = None
    progress: Shown = field(default_factory=Nothing)
    workspace: str = ""
    facade: Any = Workspace
