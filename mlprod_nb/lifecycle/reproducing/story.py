"""Reproducing a version: its recorded notebook runs again, and what it registers is held against the version.

Guarantee: nothing changes in the workspace but the executed notebook under ``reports``, copies of registered bundles
under ``.mlprod``, which are named by their content, and, where one is asked for, an environment there. What the
execution registers is a candidate in a folder that is gone afterwards; the state database and the registry refuse it
every write.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlprod_nb
from mlprod_nb import notebooks, scratch, settings
from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.registering import recorded
from mlprod_nb.lifecycle.reproducing import agreeing, environments, replicas
from mlprod_nb.lifecycle.reproducing.agreeing import Ran, ReproduceResult

if TYPE_CHECKING:
    from mlprod_nb.registry.lineage import Lineage, NotebookContext
    from mlprod_nb.registry.versions import ModelVersion

FOLDER = "reproducing"
_NOT_THERE = frozenset({"FileNotFoundError", "NotFound", "NotADirectoryError"})


@dataclass(frozen=True)
class Reproduction:
    """What :meth:`mlprod_nb.Workspace.reproduce` takes.

    Attributes:
        version: Which version.
        environment: Whether it runs in an environment made of the recorded packages.
        tolerance: The largest difference of a score or metric that agrees.
    """

    version: str
    environment: bool
    tolerance: float


@dataclass(frozen=True)
class _Plan:
    """How a version's notebook is run again.

    Attributes:
        version: The version.
        lineage: Where it comes from.
        source: The notebook to run.
        folder: The directory that it runs in.
        parameters: What it is given.
        until: Index of the last cell to run.
        said: What there is to say before it runs.
    """

    version: ModelVersion
    lineage: Lineage
    source: bytes
    folder: Path
    parameters: Mapping[str, Any]
    until: int | None
    said: tuple[str, ...]


def reproduce(context: Context, wanted: Reproduction) -> ReproduceResult:
    """Run a version's recorded notebook again, and say whether predictions and metrics agree.

    Raises:
        Refused: No notebook is recorded with the version.
        UsageError: The tolerance is none.
        NotebookFailed: The notebook reached a limit, or its kernel did not start or died.
        ExecutionFailed: The environment cannot be made.
    """
    if not 0 <= wanted.tolerance < 1:
        raise UsageError(f"--tolerance is {wanted.tolerance:g}; it must be at least 0 and below 1.")
    context.change()  # one reproduction inside of another would compare nothing
    version = context.registry.resolve(wanted.version)
    plan = _plan(context, version)
    mark = uuid.uuid4().hex
    output = context.layout.reports / version.model / FOLDER / f"v{version.version}-{mark[:8]}.ipynb"
    with scratch.temporary_folder("reproducing") as place:
        made = environments.find(context, plan.lineage, place, rebuilt=wanted.environment)
        said = (*plan.said, *made.said)
        page = output.relative_to(context.root).as_posix()
        ran = Ran(version.ref, wanted.tolerance, made.name, wanted.environment, page, 0.0, said)
        return _execute(context, plan, ran, _Places(place, output, mark, made))


@dataclass(frozen=True)
class _Places:
    """Where an execution reads and writes."""

    scratch: Path
    output: Path
    mark: str
    environment: environments.Environment


def _execute(context: Context, plan: _Plan, ran: Ran, places: _Places) -> ReproduceResult:
    from mlprod_nb.registry.bundles import BundleStore

    source, kept = places.scratch / "notebook.ipynb", places.scratch / "candidates"
    source.write_bytes(plan.source)
    kept.mkdir()
    context.progress.step("running the recorded notebook")
    within = notebooks.Surroundings(
        mark=places.mark,
        interpreter=places.environment.interpreter,
        variables=settings.for_execution(context.root, candidates=kept, sources=places.environment.sources),
        until=plan.until,
        table="retraining",
        progress=context.progress,
    )
    limit = context.settings.retraining.timeout_seconds
    try:
        done = notebooks.execute(
            source, places.output, plan.parameters, timeout_seconds=limit, cwd=plan.folder, within=within
        )
    except notebooks.NotebookFailed as error:
        if error.reason != "error":
            raise
        ran = replace(ran, seconds=round(error.seconds, 1))
        if error.error_name in _NOT_THERE and not plan.lineage.data.source_sha256:
            ran = replace(ran, said=(*ran.said, *_snapshot(context, plan.version)))
        return agreeing.failed(ran, _why(error))
    context.progress.step("comparing predictions and metrics")
    ran = replace(ran, seconds=round(done.seconds, 1))
    found = [replica for replica in replicas.read(kept) if replica.model == plan.version.model]
    if not found:
        return agreeing.failed(ran, f"its notebook came to its end and registered no {plan.version.model}.")
    bundle = context.registry.fetch_bundle(plan.version, BundleStore(places.scratch / "bundles"))
    # A cell may register several: the one that is the same counts, else the last.
    replica = next((one for one in found if one.bundle.digest == bundle.digest), found[-1])
    if ran.rebuilt:
        # There mlprod is no installed package, and is the present one.
        packages = {**replica.lineage.packages, "mlprod_nb": mlprod_nb.__version__}
        replica = replace(replica, lineage=replace(replica.lineage, packages=packages))
    return agreeing.judge(ran, agreeing.Original(bundle, plan.lineage, plan.version.metrics), replica)


def _why(error: notebooks.NotebookFailed) -> str:
    where = f" in cell {error.cell_index + 1}" if error.cell_index is not None else ""
    message = error.error_message.strip().splitlines()[0] if error.error_message.strip() else ""
    what = ": ".join(part for part in (error.error_name, message) if part).rstrip(".")
    if error.error_name in _NOT_THERE:
        return f"what it reads{where} can no longer be found: {what}."
    return f"its notebook fails{where}: {what}."


def _plan(context: Context, version: ModelVersion) -> _Plan:
    lineage = context.registry.lineage(version)
    told = lineage.notebook
    if told is None or not told.kept:
        hint = "Register from a notebook's cell, by %mlprod register, and the notebook is recorded with the version."
        raise Refused(f"no notebook is recorded with {version.ref}, so there is nothing to run again.", hint=hint)
    said = list(_of_source(context, version, lineage))
    source, until = _notebook(context, version, told)
    if told.kept == "saved" and told.remarks:
        source, until = recorded.as_they_ran(told), None
        said.append(
            "its cells ran in another order than they are saved in, so they run in the order in which they ran."
        )
    folder = context.root / told.folder if told.folder else (context.root / told.path).parent
    if not folder.is_dir():
        said.append(f"the directory that it ran in, {folder}, is gone; it runs in the workspace's.")
        folder = context.root
    return _Plan(version, lineage, source, folder, _parameters(context, told), until, tuple(said))


def _notebook(context: Context, version: ModelVersion, told: NotebookContext) -> tuple[bytes, int | None]:
    from mlprod_nb.registry import attachments
    from mlprod_nb.registry.versions import NOTEBOOK_ARTIFACT

    try:
        return attachments.read(context.registry, version, NOTEBOOK_ARTIFACT), told.registers
    except NotFound:
        raise Refused(
            f"the notebook of {version.ref} is missing from the registry.", hint="Register the model anew."
        ) from None


def _parameters(context: Context, told: NotebookContext) -> dict[str, Any]:
    """Return the recorded parameters; one that names the workspace names this one, wherever it was then."""
    given = dict(told.parameters)
    if isinstance(given.get("workspace"), str) and given["workspace"]:
        given["workspace"] = str(context.root.resolve())
    return given


def _of_source(context: Context, version: ModelVersion, lineage: Lineage) -> list[str]:
    """Say what became of the file that the reference data came from, and whether a snapshot is kept."""
    from mlprod_nb.registry.bundles import file_digest

    data = lineage.data
    if not data.source_sha256:
        return []
    folder = context.root / (lineage.notebook.folder if lineage.notebook else "")
    file = folder / data.source
    if file.is_file() and file_digest(file) == data.source_sha256:
        return []
    became = "was changed" if file.is_file() else "is gone"
    return [f"the file of its reference data, {data.source}, {became}.", *_snapshot(context, version)]


def _snapshot(context: Context, version: ModelVersion) -> list[str]:
    """Say that the rows of the reference data are kept with the version, where they are."""
    from mlprod_nb.registry.versions import DATA_ARTIFACT

    kept = {found.path for found in context.registry.client.list_artifacts(version.run_id)}
    return [f"the rows of its reference data are kept with it, as {DATA_ARTIFACT}."] if DATA_ARTIFACT in kept else []
