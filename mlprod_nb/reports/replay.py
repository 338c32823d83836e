"""Replaying a report: its notebook once more, on the range it is bound to, beside what it said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mlprod_nb import notebooks
from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.reports import compare, execute, failures, kinds, verdicts
from mlprod_nb.reports.compare import Change, Evidence
from mlprod_nb.reports.execute import ReportRequest
from mlprod_nb.results import Result, Section, Verdict, counted
from mlprod_nb.scratch import temporary_folder


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


def execute_again(request: ReportRequest, root: Path) -> tuple[Evidence, float]:
    """Execute a report's notebook as it is now, in a folder that is gone afterwards; nothing is indexed or told.

    Args:
        request: The report, with the range it is bound to.
        root: The workspace's directory.

    Returns:
        What it says, and how long it took in seconds.

    Raises:
        NotFound: There is no such kind of report any more.
        ExecutionFailed: It comes to no verdict.
    """
    source = kinds.source(request.kind, root)
    with temporary_folder("replay") as folder:
        output = folder / execute.NOTEBOOK
        parameters = execute.parameters(request, root, source)
        limit = request.timeout_seconds
        try:
            ran = notebooks.execute(source, output, parameters, timeout_seconds=limit, cwd=root, within=request.within)
            bound = execute.binding(request, ran.source_sha256)
            return Evidence.of(notebooks.read(output), bound), ran.seconds
        except notebooks.NotebookFailed as error:
            where = f" in cell {error.cell_index + 1}" if error.cell_index is not None else ""
            what = failures.in_a_line(error.reason, error.error_name, error.error_message)
        except verdicts.VerdictProblem as problem:
            where, what = "", failures.in_a_line("verdict", "", str(problem))
    hint = f"Run the report anew for a page that says more: mlprod report {request.endpoint} {request.kind}"
    raise ExecutionFailed(f"the replay failed{where}: {what.rstrip('.')}.", hint=hint)


def judge(digest: str, before: Evidence, after: Evidence, seconds: float) -> ReplayResult:
    """Say whether a replay gives what the report of this digest says."""
    found = compare.compare(before, after)
    differs = len(found.verdict) + len(found.shown)
    if differs:
        sentence = f"the replay differs from report {digest[:12]} in {counted(differs, 'value')}."
        verdict = Verdict("alarm", sentence)
    else:
        sentence = f"the replay gives the same verdict and the same {found.compared:,} values."
        verdict = Verdict("ok", sentence)
    said = tuple(compare.in_words(found, before.verdict, after.verdict))
    return ReplayResult(verdict, digest, found.compared, said, found.all, seconds)
