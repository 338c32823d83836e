"""Run a job's notebook strictly: a report by the verb ``report``, any other notebook in a fresh kernel.

Knows nothing of the scheduler that asks; ``execution_manager`` is the door to jupyter-scheduler.
"""

from __future__ import annotations

import ast
import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.scratch import temporary_folder

if TYPE_CHECKING:
    from mlprod_nb.notebooks import Parameter
    from mlprod_nb.workspace import Workspace

#: The forms in which a job's output is kept.
FORMS = ("ipynb", "html")
#: What a report's job may say beside its notebook's parameters: the words of the verb.
_WINDOW = ("since", "until", "kernel")


@dataclass(frozen=True)
class Job:
    """A notebook that a scheduler asks to be run.

    Attributes:
        notebook: The notebook, mostly a copy that the scheduler made.
        root: The directory in which the workspace is looked for, upwards: the Jupyter server's.
        cwd: The directory in which a notebook that is no report runs.
        parameters: Values as they were typed.
        outputs: Where each form of the output goes: ``ipynb``, ``html``.
    """

    notebook: Path
    root: Path
    cwd: Path
    parameters: Mapping[str, str]
    outputs: Mapping[str, Path]


def run(job: Job) -> None:
    """Run a job's notebook and leave its outputs, also where it fails.

    A notebook whose parameters cell declares ``endpoint`` and ``pinned`` is a report.

    Raises:
        UsageError: A form of output, a parameter or its type is not known, or there is no workspace.
        Refused: The notebook is not the one that the workspace has under this name.
        ExecutionFailed: It did not reach its end, or a report came to no verdict.
    """
    from mlprod_nb import notebooks

    for form in job.outputs:
        if form not in FORMS:
            raise NotFound("form of output", form, FORMS)
    known = notebooks.declared(notebooks.read(job.notebook))
    given = {name: _value(text, known.get(name)) for name, text in job.parameters.items()}
    if {"endpoint", "pinned"} <= set(known):
        _report(job, given)
    else:
        _notebook(job, given, known)


def _value(text: str, parameter: Parameter | None) -> Any:
    """Read what was typed: Python's or JSON's way to write a value, otherwise the text itself."""
    for read in (ast.literal_eval, json.loads):
        try:
            value = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        is_text = parameter is not None and parameter.annotation == "str"
        return text if is_text and not isinstance(value, str) else value
    return text


def _workspace(job: Job, given: dict[str, Any]) -> Workspace:
    from mlprod_nb.workspace import Workspace

    return Workspace.open(job.root / str(given.pop("workspace", "")))


def _report(job: Job, given: dict[str, Any]) -> None:
    from mlprod_nb import notebooks
    from mlprod_nb.reports import ReportFailed, kinds

    workspace = _workspace(job, given)
    kind = job.notebook.stem.removesuffix("_report")
    source = kinds.source(kind, workspace.root)
    if notebooks.sha256(source) != notebooks.sha256(job.notebook):
        raise Refused(
            f"{job.notebook.name} is not the notebook that the workspace runs as its {kind} report.",
            hint="Make the job from that one, or make your own by: mlprod report new NAME",
        )
    endpoint = str(given.pop("endpoint", None) or notebooks.default(notebooks.read(source), "endpoint") or "")
    window = {name: str(given.pop(name)) for name in _WINDOW if name in given}
    try:
        made = workspace.report(endpoint, kind, parameters=_typed(given), **window)
        page, executed = made.page, made.notebook
    except ReportFailed as failed:
        _keep(job, failed.notebook, failed.page)
        raise
    finally:
        workspace.context.store.close()
    _keep(job, executed, page)


def _typed(given: Mapping[str, Any]) -> str:
    """Write parameters as the verb reads them."""
    words = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in given.items())
    return shlex.join(words)


def _notebook(job: Job, given: dict[str, Any], known: Mapping[str, Parameter]) -> None:
    from mlprod_nb import notebooks, settings

    root = settings.root_for(job.root)
    if root is not None and "workspace" in known:
        given.setdefault("workspace", str(root))
    limits = settings.load(root).reports if root is not None else settings.Settings().reports
    within = notebooks.Surroundings(kernel=limits.kernel, memory_mib=limits.memory_mib)
    with _executed(job) as output:
        notebooks.execute(
            job.notebook, output, given, timeout_seconds=limits.timeout_seconds, cwd=job.cwd, within=within
        )


@contextmanager
def _executed(job: Job) -> Iterator[Path]:
    """Give a place for the executed notebook, and keep what was written there whatever happens."""
    with temporary_folder("job") as folder:
        output = folder / job.notebook.name
        try:
            yield output
        finally:
            if output.is_file():
                _keep(job, output, _page(job, output))


def _page(job: Job, executed: Path) -> Path:
    from mlprod_nb import notebooks
    from mlprod_nb.reports import render

    page = executed.with_suffix(".html")
    page.write_text(render.to_html(notebooks.read(executed), title=job.notebook.stem), encoding="utf-8")
    return page


def _keep(job: Job, executed: Path, page: Path) -> None:
    for form, source in zip(FORMS, (executed, page), strict=True):
        if form in job.outputs:
            shutil.copyfile(source, job.outputs[form])
