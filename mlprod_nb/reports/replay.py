"""Replaying a report: its notebook once more, on the range it is bound to, beside what it said.

What runs is the notebook that the report keeps: what the workspace's notebook of that name has become meanwhile says
nothing of the report, and is told in a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mlprod_nb import notebooks
from mlprod_nb.errors import ExecutionFailed, InvalidInput, NotFound
from mlprod_nb.notebooks.files import Notebook
from mlprod_nb.reports import compare, execute, failures, kinds, verdicts
from mlprod_nb.reports.compare import Change, Evidence
from mlprod_nb.reports.execute import ReportRequest
from mlprod_nb.results import Result, Section, Verdict, counted
from mlprod_nb.scratch import temporary_folder

#: papermill's tag of the cell of parameters that a notebook was given.
_GIVEN = "injected-parameters"


@dataclass(frozen=True)
class ReplayResult(Result):
    """Whether a report gives the same again.

    Attributes:
        verdict: OK where the replay concludes and shows the same; alarm where it does not.
        digest: The report's digest.
        compared: How many values both show.
        said: What changed, in words.
        changes: Every change, of what it is bound to, too.
        seconds: How long the replay took.
    """

    verdict: Verdict
    digest: str
    compared: int
    said: tuple[str, ...]
    changes: tuple[Change, ...]
    seconds: float

    _frame_field: ClassVar[str] = "changes"

    def sections(self) -> list[Section]:
        """Return the sentences, and the changes."""
        facts = Section("", (), tuple(("", sentence) for sentence in self.said))
        return [facts, *compare.table(self.changes)]


def execute_again(request: ReportRequest, root: Path, kept: Path, before: Evidence) -> tuple[Evidence, float]:
    """Execute the notebook that a report keeps, in a folder that is gone afterwards; nothing is indexed or told.

    Args:
        request: The report, with the range it is bound to.
        root: The workspace's directory.
        kept: The report's executed notebook.
        before: What the report says.

    Returns:
        What it says, and how long it took in seconds.

    Raises:
        ExecutionFailed: It comes to no verdict.
    """
    with temporary_folder("replay") as folder:
        output = folder / execute.NOTEBOOK
        # The cell of the parameters that it was given is replaced in its place, so cells keep their numbers.
        parameters = execute.parameters(request, root, kept)
        limit = request.timeout_seconds
        try:
            ran = notebooks.execute(kept, output, parameters, timeout_seconds=limit, cwd=root, within=request.within)
            bound = execute.binding(request, before.bound_to["notebook_sha256"])
            return Evidence.of(notebooks.read(output), bound), ran.seconds
        except notebooks.NotebookFailed as error:
            where = f" in cell {error.cell_index + 1}" if error.cell_index is not None else ""
            what = failures.in_a_line(error.reason, error.error_name, error.error_message)
        except verdicts.VerdictProblem as problem:
            where, what = "", failures.in_a_line("verdict", "", str(problem))
    hint = f"Run the report anew for a page that says more: {_line(request, before)}"
    raise ExecutionFailed(f"the replay failed{where}: {what.rstrip('.')}.", hint=hint)


def changed_since(request: ReportRequest, root: Path, kept: Path, before: Evidence) -> str:
    """Say that the workspace's notebook is another one by now, which is not what a replay runs; else nothing."""
    try:
        now = notebooks.read(kinds.source(request.kind, root))
    except NotFound:
        return f"there is no {request.kind} notebook any more; the replay ran the one that the report keeps."
    except InvalidInput:
        now = {"cells": []}
    if _written(now) == _written(notebooks.read(kept)):
        return ""
    changed = f"the {request.kind} notebook has changed since; the replay ran it as it was then."
    return f"{changed} What it says now: {_line(request, before)}"


def _written(notebook: Notebook) -> list[tuple[str, str]]:
    """Return what somebody wrote in a notebook, cell by cell, without what it was given and what it showed."""
    cells = notebook["cells"]
    return [(c["cell_type"], c["source"]) for c in cells if _GIVEN not in c.get("metadata", {}).get("tags", ())]


def _line(request: ReportRequest, before: Evidence) -> str:
    """Return the line that runs the workspace's notebook of that name over the same part of the log."""
    about = {"endpoint": request.endpoint, "kind": request.kind, "bound_to": before.bound_to}
    return failures.again(about)


def judge(digest: str, before: Evidence, after: Evidence, seconds: float, remark: str = "") -> ReplayResult:
    """Say whether a replay gives what the report of this digest says, and what else there is to know."""
    found = compare.compare(before, after)
    differs = len(found.verdict) + len(found.shown)
    if differs:
        sentence = f"the replay differs from report {digest[:12]} in {counted(differs, 'value')}."
        verdict = Verdict("alarm", sentence)
    else:
        sentence = f"the replay gives the same verdict and the same {found.compared:,} values."
        verdict = Verdict("ok", sentence)
    said = (*compare.in_words(found, before.verdict, after.verdict), *([remark] if remark else []))
    return ReplayResult(verdict, digest, found.compared, said, found.all, seconds)
