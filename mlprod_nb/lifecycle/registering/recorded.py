"""The notebook that registers: what is kept of it with the version, and whether it agrees with what ran.

Kept is the notebook as it is saved, where everything that ran is in it. Otherwise, since a notebook is often not saved
yet when it registers, the cells are kept as they ran. Outputs never are: they are large, and may show data.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlprod_nb import notebooks, settings
from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.registry.bundles import canonical_json
from mlprod_nb.registry.lineage import ExecutedCell, NotebookContext

#: Characters of all cells that ran, beyond which the oldest are left out.
LARGEST = 4 * 1024 * 1024
#: What is said where the notebook itself is not kept.
AS_THEY_RAN = "kept are the cells as they ran; save the notebook before it registers, and it is kept itself."
_MOST_NAMED = 5
_ABOUT = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}

Cell = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """What a version keeps of its notebook.

    Attributes:
        context: For its lineage.
        notebook: The notebook without outputs, as canonical JSON; empty where nothing is kept.
    """

    context: NotebookContext
    notebook: bytes


def record(context: Context) -> Recorded | None:
    """Return what is to be kept of the notebook that registers, or ``None`` where no notebook does."""
    told, folder = context.caller.notebook, settings.execution_folder()
    if folder is not None and (folder / "spec.json").is_file():
        return _of_execution(context, folder)
    if told is None:
        return None
    ran, remarks = _bounded(told.cells)
    file = file_of(context, told.path)
    told = replace(told, folder=_relative(context, file.resolve().parent if file else Path.cwd()))
    saved = _cells(file)
    if saved is None:
        remarks.append("the order of the cells is not checked: the notebook's file is not known.")
        return _of_cells(replace(told, cells=ran, remarks=tuple(remarks)))
    ran = _identified(ran, saved)
    remarks += _remarks(ran, saved)
    found = replace(told, cells=ran, remarks=tuple(remarks), sha256=notebooks.sha256(file) if file else "")
    if not _holds(saved, ran):
        return _of_cells(replace(found, remarks=(*found.remarks, AS_THEY_RAN)))
    return Recorded(replace(found, kept="saved", registers=_last(ran, saved)), _bare(saved))


def _of_execution(context: Context, folder: Path) -> Recorded:
    """Return what an execution was given: its notebook and its parameters; it ran from top to bottom."""
    told = context.caller.notebook
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    saved = _bared(notebooks.read(folder / "source.ipynb"))
    ran = _identified(told.cells, saved) if told else ()
    source = Path(spec["source"])
    found = NotebookContext(
        path=str(source),
        cells=ran,
        kept="executed",
        sha256=notebooks.sha256(source) if source.is_file() else "",
        registers=_last(ran, saved),
        parameters=spec["parameters"],
        folder=_relative(context, Path(spec["cwd"])),
    )
    return Recorded(found, _bare(saved))


def _of_cells(told: NotebookContext) -> Recorded:
    """Return the cells as they ran, without those that failed; nothing where none did."""
    cells = _in_order(told)
    if not cells:
        return Recorded(told, b"")
    return Recorded(replace(told, kept="cells", registers=len(cells) - 1), _bare(cells))


def as_they_ran(told: NotebookContext) -> bytes:
    """Return a notebook of the cells as they ran, without those that failed."""
    return _bare(_in_order(told))


def _in_order(told: NotebookContext) -> list[Cell]:
    ran = [cell for cell in told.cells if not cell.failed and cell.source.strip()]
    return [_code(cell.source, f"ran-{cell.execution_count}") for cell in ran]


def _bounded(cells: tuple[ExecutedCell, ...]) -> tuple[tuple[ExecutedCell, ...], list[str]]:
    size, first = 0, len(cells)
    while first and size + len(cells[first - 1].source) <= LARGEST:
        first -= 1
        size += len(cells[first].source)
    left_out = (
        f"the first {first} cells that ran are left out of the lineage: all are more than {LARGEST:,} characters."
    )
    return cells[first:], [left_out] if first else []


def _relative(context: Context, folder: Path) -> str:
    """Return a directory as it is kept: one below the workspace moves with it."""
    root = context.root.resolve()
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)


def file_of(context: Context, path: str) -> Path | None:
    """Return the notebook's file, or ``None`` where there is none."""
    found = context.root / path if path else None
    return found if found is not None and found.is_file() else None


def _cells(file: Path | None) -> list[Cell] | None:
    """Return a notebook's cells without outputs; ``None`` where it cannot be read."""
    try:
        return None if file is None else _bared(notebooks.read(file))
    except (MlprodError, OSError):
        return None


def _bared(notebook: notebooks.Notebook) -> list[Cell]:
    """Return a notebook's cells without outputs, each with an id: notebooks from before nbformat 4.5 have none."""
    cells = [_cell(cell) for cell in notebook["cells"]]
    return [{**cell, "id": cell["id"] or f"cell-{index}"} for index, cell in enumerate(cells)]


def _cell(cell: Cell) -> Cell:
    tags = cell.get("metadata", {}).get("tags")
    about: Cell = {"tags": list(tags)} if tags else {}
    kept = {"cell_type": cell["cell_type"], "id": str(cell.get("id", "")), "metadata": about, "source": cell["source"]}
    return kept | ({"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {})


def _code(source: str, name: str) -> Cell:
    return _cell({"cell_type": "code", "id": name, "source": source})


def _bare(cells: list[Cell]) -> bytes:
    return canonical_json({"cells": cells, "metadata": _ABOUT, "nbformat": 4, "nbformat_minor": 5})


def _identified(ran: tuple[ExecutedCell, ...], saved: list[Cell]) -> tuple[ExecutedCell, ...]:
    """Give each cell that ran the id of its cell in the notebook, where only its text tells which it is.

    So it is where a front end tells no ids, or ids of its own, as VS Code does.
    """
    by_text: dict[str, list[str]] = {}
    for cell in saved:
        if cell["cell_type"] == "code":
            by_text.setdefault(cell["source"].strip(), []).append(cell["id"])
    alone = {text: ids[0] for text, ids in by_text.items() if len(ids) == 1}
    known = {cell["id"] for cell in saved}
    return tuple(
        cell if cell.id in known else replace(cell, id=alone.get(cell.source.strip(), cell.id)) for cell in ran
    )


@dataclass(frozen=True)
class Standing:
    """How a saved notebook stands to what ran in a kernel.

    Attributes:
        place: Index of the cell that runs just now; ``None`` where it is not in the file.
        unsaved: The cells that ran since the file was written and are not in it as they ran, by the number in their
            brackets. What ran before that and is not in the file was edited or deleted on purpose.
    """

    place: int | None
    unsaved: tuple[str, ...]


def standing(file: Path, ran: tuple[ExecutedCell, ...]) -> Standing:
    """Hold a notebook's file against what ran."""
    written = file.stat().st_mtime
    saved = _bared(notebooks.read(file))
    known = _identified(ran, saved)
    by_id, latest = {cell["id"]: cell["source"].strip() for cell in saved}, _latest(known)
    texts = set(by_id.values())
    newest = [cell for cell in known if cell.source.strip() and (not cell.id or latest[cell.id] is cell)]
    unsaved = tuple(
        f"[{cell.execution_count}]"
        for cell in newest
        if not (0 < cell.at <= written)
        and not (by_id.get(cell.id) == cell.source.strip() if cell.id else cell.source.strip() in texts)
    )
    return Standing(_last(known, saved), unsaved)


def _missing(ran: tuple[ExecutedCell, ...], saved: list[Cell]) -> list[str]:
    known, texts = {cell["id"] for cell in saved}, {cell["source"].strip() for cell in saved}
    return [
        f"[{cell.execution_count}]"
        for cell in ran
        if not cell.failed and (cell.id not in known if cell.id else cell.source.strip() not in texts)
    ]


def _latest(ran: tuple[ExecutedCell, ...]) -> dict[str, ExecutedCell]:
    return {cell.id: cell for cell in ran if cell.id}


def _holds(saved: list[Cell], ran: tuple[ExecutedCell, ...]) -> bool:
    """Return whether the notebook as saved holds what ran, by id where ids are known and by text where not."""
    by_id = {cell["id"]: cell["source"].strip() for cell in saved}
    texts = {cell["source"].strip() for cell in saved}
    latest = _latest(ran)
    last = [cell for cell in ran if not cell.failed and (not cell.id or latest[cell.id] is cell)]
    return all(
        by_id.get(cell.id) == cell.source.strip() if cell.id else cell.source.strip() in texts
        for cell in last
        if cell.source.strip()
    )


def _last(ran: tuple[ExecutedCell, ...], saved: list[Cell]) -> int | None:
    """Return where in the notebook the cell stands that runs just now."""
    if not ran or not ran[-1].id:
        return None
    return next((index for index, cell in enumerate(saved) if cell["id"] == ran[-1].id), None)


def _remarks(ran: tuple[ExecutedCell, ...], saved: list[Cell]) -> list[str]:
    """Say what does not agree between the notebook as it is saved and what ran; cells are counted from 1."""
    latest = _latest(ran)
    places = [(index, latest[cell["id"]]) for index, cell in enumerate(saved, 1) if cell["id"] in latest]
    found = []
    back = [
        f"cell {index} [{cell.execution_count}] before cell {before} [{other.execution_count}]"
        for (before, other), (index, cell) in itertools.pairwise(places)
        if cell.execution_count < other.execution_count
    ]
    if back:
        found.append(f"cells ran out of order: {_some(back)}.")
    edited = [str(index) for index, cell in places if cell.source.strip() != saved[index - 1]["source"].strip()]
    if edited:
        found.append(f"edited since it ran, or not saved: cell {_some(edited)}.")
    gone = _missing(ran, saved)
    if gone:
        found.append(f"ran and is not in the saved notebook: {_some(gone)}.")
    here = max((index for index, _ in places), default=0)
    skipped = [
        str(index)
        for index, cell in enumerate(saved[:here], 1)
        if cell["cell_type"] == "code" and cell["source"].strip() and cell["id"] not in latest
    ]
    if skipped:
        found.append(f"did not run in this kernel: cell {_some(skipped)}.")
    return found


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
