"""Several reports in one go: their kernels are forks of one process that has imported what they need."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import ClassVar

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.reporting import publishing, running
from mlprod_nb.lifecycle.reporting.running import Asked
from mlprod_nb.results import Result, Status, Verdict, counted

_GRAVITY: tuple[Status, ...] = ("ok", "warn", "alarm")


@dataclass(frozen=True)
class ReportRow:
    """One report of a batch.

    Attributes:
        endpoint: The endpoint it is about.
        kind: Which report it is.
        status: ok, warn, alarm, or failed.
        sentence: Its verdict in words, or why there is none.
        seconds: How long it took.
        digest: Its digest, the first characters; empty where it failed.
    """

    endpoint: str
    kind: str
    status: str
    sentence: str
    seconds: float
    digest: str


@dataclass(frozen=True)
class ReportsResult(Result):
    """Several reports.

    Attributes:
        verdict: The gravest of theirs.
        reports: One row a report.
    """

    verdict: Verdict
    reports: tuple[ReportRow, ...]
    _frame_field: ClassVar[str] = "reports"

    @property
    def exit_code(self) -> int:
        """3 where a report failed, 1 where a verdict is no."""
        failed = any(row.status == "failed" for row in self.reports)
        return 3 if failed else self.verdict.exit_code


def report(context: Context, asked: Sequence[Asked]) -> ReportsResult:
    """Run reports, some at a time; one that fails hinders no other."""
    from mlprod_nb.reports import together

    context.change()
    rows: list[ReportRow] = []
    context.progress.step(f"running {counted(len(asked), 'report')}")

    def run(place: together.Place) -> ReportRow:
        return _row(context, replace(asked[place.number], nursery=place.nursery, beside=place.beside))

    context.progress.at(0, len(asked))
    with closing(together.run([one.window.endpoint for one in asked], run)) as found:
        for row in found:
            rows.append(row)
            context.progress.at(len(rows), len(asked))
    publishing.site(context)
    return ReportsResult(_gravest(rows), tuple(rows))


def _row(context: Context, asked: Asked) -> ReportRow:
    endpoint, kind = asked.window.endpoint, asked.kind
    try:
        found = running.report(context, asked)
    except MlprodError as error:
        return ReportRow(endpoint, kind, "failed", str(error), 0.0, "")
    said = found.verdict
    return ReportRow(endpoint, kind, said.status, said.sentence, round(found.seconds, 2), found.digest[:12])


def _gravest(rows: Sequence[ReportRow]) -> Verdict:
    """Return one verdict for all: a report that failed is an alarm about the reports, not about a model."""
    counts = {status: sum(row.status == status for row in rows) for status in (*_GRAVITY, "failed")}
    status: Status = "alarm" if counts["failed"] else max((s for s in _GRAVITY if counts[s]), key=_GRAVITY.index)
    told = ", ".join(f"{counts[name]} {name}" for name in ("failed", "alarm", "warn", "ok") if counts[name])
    return Verdict(status, f"{counted(len(rows), 'report')}: {told}.")
