"""papermill's engine with a bound on what a notebook may print, counted as it arrives.

Imported by the runner only, after what it keeps out: papermill comes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

NAME = "mlprod-bounded"


def register(most_characters: int, stop: Callable[[], None]) -> str:
    """Add the engine to papermill's, and return its name.

    What a kernel prints waits in its memory and on the way until it is read, so an endless loop fills the memory, or
    ends in a cell that says nothing any more, before a notebook of so much output could be saved and measured.

    Args:
        most_characters: What all outputs of the notebook may have together.
        stop: Ends it all, once more than that has come.
    """

    class Client(PapermillNotebookClient):
        printed = 0

        def process_message(self, message: dict[str, Any], cell: Any, cell_index: int) -> Any:
            content = message.get("content", {})
            before, self.printed = self.printed, self.printed + _characters(content)
            if self.printed <= most_characters:
                return super().process_message(message, cell, cell_index)
            if "text" in content:  # one message of a fast loop may be more than all that is kept
                content["text"] = content["text"][: most_characters - before]
                super().process_message(message, cell, cell_index)
            self.nb_man.save()
            return stop()

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, notebook: Any, kernel_name: str, **options: Any) -> Any:
            wanted = {key: value for key, value in options.items() if key not in _PAPERMILLS}
            return Client(notebook, kernel_name=kernel_name, timeout=None, **wanted).execute()

    papermill_engines.register(NAME, Engine)
    return NAME


#: What papermill's own engine takes for itself, under names that its client does not have.
_PAPERMILLS = frozenset(("input_path", "start_timeout", "execution_timeout"))


def _characters(content: Mapping[str, Any]) -> int:
    """Return how long the texts of a kernel's message are: a stream's, a display's, a traceback's."""
    texts = [content.get("text", ""), *content.get("data", {}).values(), *content.get("traceback", ())]
    return sum(len(text) for text in texts if isinstance(text, str))
