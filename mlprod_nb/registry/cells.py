"""Which cell of the notebook each execution was of, when, and which failed: what IPython tells while it is loaded.

Imports the standard library only, since loading the extension must be instant.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from mlprod_nb.registry.lineage import ExecutedCell


class CellLog:
    """Listens to one shell.

    JupyterLab and Notebook 7 send a cell's id with its code; papermill and nbconvert send none.

    Args:
        shell: The shell.
        now: Gives the seconds since 1970, as files' times are told.
    """

    def __init__(self, shell: InteractiveShell, now: Callable[[], float] = time.time) -> None:
        self._shell = shell
        self._now = now
        self._at: dict[int, float] = {}
        self._ids: dict[int, str] = {}
        self._failed: set[int] = set()

    def listen(self) -> None:
        """Begin to listen."""
        self._shell.events.register("pre_run_cell", self._begun)
        self._shell.events.register("post_run_cell", self._ended)

    def stop(self) -> None:
        """Listen no more."""
        self._shell.events.unregister("pre_run_cell", self._begun)
        self._shell.events.unregister("post_run_cell", self._ended)

    def cells(self, sources: Sequence[Any]) -> tuple[ExecutedCell, ...]:
        """Return the cells that ran, from the shell's history of inputs, whose first entry is nobody's."""
        from mlprod_nb.registry.lineage import ExecutedCell

        return tuple(
            ExecutedCell(number, source, self._ids.get(number, ""), number in self._failed, self._at.get(number, 0.0))
            for number, source in enumerate(sources)
            if number
        )

    def _begun(self, info: ExecutionInfo) -> None:
        if not info.store_history:
            return
        # Not the shell's counter, which some releases raise before they tell of the cell and others after.
        number = len(self._shell.history_manager.input_hist_raw)
        self._at[number] = round(self._now(), 3)
        if info.cell_id:
            self._ids[number] = str(info.cell_id)

    def _ended(self, result: ExecutionResult) -> None:
        number = result.execution_count
        if number is None:
            return
        # The cell that loaded the extension had begun before anybody listened.
        self._at.setdefault(number, round(self._now(), 3))
        if result.info is not None and result.info.cell_id:
            self._ids[number] = str(result.info.cell_id)
        if not result.success:
            self._failed.add(number)
