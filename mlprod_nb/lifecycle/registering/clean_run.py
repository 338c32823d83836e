"""``register --from-clean-run``: the notebook runs from top to bottom in a fresh kernel, and that registers.

Of the kernel that asks, nothing is kept. What runs is the notebook's file, as it is saved, up to the cell that
registers; so what is not saved yet is refused rather than left out.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from mlprod_nb import notebooks, settings
from mlprod_nb.errors import ExecutionFailed, Refused, UsageError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.registering import recorded
from mlprod_nb.scratch import temporary_folder

if TYPE_CHECKING:
    from mlprod_nb.lifecycle.registering.register import RegisterResult, Submission
    from mlprod_nb.registry.versions import ModelVersion

FOLDER = "clean-runs"
_FLAG = "--from-clean-run"


def register(context: Context, submission: Submission) -> RegisterResult:
    """Run the notebook that asks in a fresh kernel, and return what it registers.

    Raises:
        UsageError: No notebook asks, or its file is not known.
        Refused: The file does not hold what ran: it is not saved.
        ExecutionFailed: The notebook did not come to its registration; the message names the cell.
    """
    file, place = saved(context)
    mark = uuid.uuid4().hex
    output = context.layout.reports / submission.name / FOLDER / f"{context.clock():%Y%m%dT%H%M%SZ}-{mark[:8]}.ipynb"
    context.progress.step(f"running {file.name} from top to bottom in a fresh kernel")
    within = notebooks.Surroundings(
        mark=mark,
        variables=settings.for_execution(context.root),
        until=place,
        table="retraining",
        progress=context.progress,
    )
    try:
        limit = context.settings.retraining.timeout_seconds
        notebooks.execute(file, output, {}, timeout_seconds=limit, cwd=file.parent, within=within)
    except notebooks.NotebookFailed as failed:
        raise _failure(context, submission.name, mark, failed) from None
    version = _registered(context, submission.name, mark)
    if version is None:
        shown = output.relative_to(context.root).as_posix()
        raise ExecutionFailed(
            f"the clean run of {file.name} came to its end and registered no version of {submission.name}.",
            hint=f"See {shown}",
        )
    return _result(context, version)


def saved(context: Context) -> tuple[Path, int]:
    """Return the notebook's file, and where in it the cell stands that registers.

    Raises:
        UsageError: No notebook asks, or its file is not known.
        Refused: The file was not saved since the notebook was edited.
    """
    told = context.caller.notebook
    if told is None:
        raise UsageError(f"{_FLAG} runs the notebook that asks, and this is none.", hint="Say it in a notebook's cell.")
    file = recorded.file_of(context, told.path)
    if file is None:
        hint = "JupyterLab, Notebook 7 and VS Code tell it; elsewhere leave the option out."
        raise UsageError(f"{_FLAG}: the notebook's file is not known.", hint=hint)
    found = recorded.standing(file, told.cells)
    if found.place is None or found.unsaved:
        cells = ", ".join(found.unsaved) or f"[{told.cells[-1].execution_count}]" if told.cells else "its cells"
        hint = "Save the notebook, and run this cell again."
        raise Refused(f"{_FLAG}: {file.name} is not saved since {cells} ran.", hint=hint)
    return file, found.place


def _failure(context: Context, model: str, mark: str, failed: notebooks.NotebookFailed) -> ExecutionFailed:
    """Return one line on a clean run that failed: where, why, what became of it."""
    where = f" in cell {failed.cell_index + 1}" if failed.cell_index is not None else ""
    what = ": ".join(part.strip().splitlines()[0] for part in (failed.error_name, failed.error_message) if part.strip())
    version = _registered(context, model, mark)
    became = f"{version.ref} was registered before that" if version else "no version is registered"
    page = failed.notebook.relative_to(context.root).as_posix()
    sentence = f"the clean run failed{where}: {what or failed.reason}".rstrip(".")
    advice = f" {failed.hint}" if failed.reason != "error" else ""
    return ExecutionFailed(f"{sentence}; {became}.", hint=f"As far as it came: {page}{advice}")


def _registered(context: Context, model: str, mark: str) -> ModelVersion | None:
    """Return the newest version that the clean run registered."""
    if model not in context.registry.models():
        return None
    return next((version for version in context.registry.versions(model) if version.execution == mark), None)


def _result(context: Context, version: ModelVersion) -> RegisterResult:
    from mlprod_nb.lifecycle.registering.register import described
    from mlprod_nb.registry.bundles import BundleStore

    with temporary_folder("work") as scratch:
        manifest = context.registry.fetch_bundle(version, BundleStore(scratch)).manifest
    return described(version, manifest, context.registry.lineage(version))
