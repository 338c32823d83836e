"""Reports: a pinned range of the log, a notebook in a fresh kernel, one verdict, a digest to approve."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from mlprod_nb.errors import Unavailable
from mlprod_nb.lifecycle.alerting import alerts
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.revise import existing
from mlprod_nb.lifecycle.watch import Window, pin, pinned_text
from mlprod_nb.progress import SILENCE, Progress
from mlprod_nb.results import AlertChange, Result, Verdict, counted

if TYPE_CHECKING:
    from mlprod_nb.notebooks import Nursery
    from mlprod_nb.reports import ReportRequest, ReportResult
    from mlprod_nb.site import SiteResult


@dataclass(frozen=True)
class ApprovalResult(Result):
    """A report is approved.

    Attributes:
        digest: The report's digest.
        actor: Who approved.
        reason: Why.
        at: When.
        void: Which protected aliases it will not count for, and why; empty where it may.
    """

    digest: str
    actor: str
    reason: str
    at: datetime
    void: str = ""
    _hidden: ClassVar[tuple[str, ...]] = ("void",)

    def headline(self) -> str:
        """Say which, and whether it counts."""
        return f"Report {self.digest[:12]} is approved by {self.actor}. {self.void}".rstrip()


@dataclass(frozen=True)
class Asked:
    """Which report is asked for.

    Attributes:
        window: Of which endpoint, and which part of its log.
        kind: The kind of report.
        parameters: Values for the notebook's parameters cell, as they were typed.
        kernel: The Jupyter kernel; empty: the workspace's setting.
        nursery: Forks the kernel; who runs a batch tells how far it is, and writes the site anew at its end.
        beside: Surrounds the execution of the notebook alone.
    """

    window: Window
    kind: str
    parameters: str = ""
    kernel: str = ""
    nursery: Nursery | None = None
    beside: Callable[[], AbstractContextManager[None]] = nullcontext


def report(context: Context, asked: Asked) -> ReportResult:
    """Run one report notebook."""
    from mlprod_nb import reports

    context.change()
    window, kind = asked.window, asked.kind
    progress = context.progress if asked.nursery is None else SILENCE
    request = _request(context, asked, progress)
    progress.step(f"running the {kind} notebook")

    def compare(verdict: Verdict, digest: str) -> tuple[AlertChange, ...]:
        return alerts.compare(context, alerts.Look(window.endpoint, kind, verdict, digest))

    try:
        found = reports.run_report(
            request, root=context.root, store=context.store, clock=context.clock, compare=compare
        )
    except reports.ReportFailed:
        if asked.nursery is None:
            with suppress(OSError, Unavailable):  # what the report itself failed of is told first
                site(context)
        raise
    with context.store.write() as connection:
        context.audit(connection, "report", f"{window.endpoint} {kind}", f"{found.digest} {found.verdict.status}")
    progress.step("seeing to alerts")
    told = replace(found, since_last_report=alerts.settle(context, alerts.of_report(context, found)))
    # Last, so that whatever hinders it hinders no alert.
    if asked.nursery is None:
        site(context)
    return told


def _request(context: Context, asked: Asked, progress: Progress) -> ReportRequest:
    from mlprod_nb.notebooks import kernels
    from mlprod_nb.reports import ReportRequest

    settings = context.settings.reports
    options = _options(context, asked)
    kernel = asked.kernel or settings.kernel
    if kernel:
        kernels.find(kernel)
    revision = existing(context, asked.window.endpoint)
    spec = revision.spec
    assert spec is not None
    answering = (*spec.variants, *spec.shadows)
    return ReportRequest(
        endpoint=asked.window.endpoint,
        kind=asked.kind,
        pinned=pinned_text(pin(context, asked.window, progress=progress), revision.number),
        model_versions=tuple(variant.model_version for variant in answering),
        bundles={variant.model_version: variant.bundle for variant in answering},
        settings=context.settings.endpoint(asked.window.endpoint).monitor.model_dump(mode="json"),
        options=options,
        timeout_seconds=settings.timeout_seconds,
        memory_mib=settings.memory_mib,
        kernel=kernel,
        nursery=asked.nursery or context.caller.runner,
        beside=asked.beside,
        progress=progress,
    )


def _options(context: Context, asked: Asked) -> dict[str, Any]:
    """Read what was typed for the notebook's parameters, and check it; ours are given later."""
    from mlprod_nb import notebooks
    from mlprod_nb.reports import kinds

    declared = notebooks.declared(notebooks.read(kinds.source(asked.kind, context.root)))
    found = notebooks.parse(asked.parameters, declared)
    notebooks.check(found, {name: replace(known, required=False) for name, known in declared.items()})
    return found


@dataclass(frozen=True)
class PruneResult(Result):
    """Which reports the rule of ``[reports]`` would remove.

    Attributes:
        keep_days: After how many days files go; 0: never.
        keep: How many of the newest of each endpoint and kind stay.
        folders: The folders that would go, relative to the workspace, the oldest first.
    """

    keep_days: int
    keep: int
    folders: tuple[str, ...]
    _hidden: ClassVar[tuple[str, ...]] = ("keep_days", "keep")

    def headline(self) -> str:
        """Say how many."""
        if not self.keep_days:
            return "Reports are kept for ever: keep_days is 0 in [reports]."
        age = counted(self.keep_days, "day")
        rule = f"older than {age}, the newest {self.keep} of each kind and what is approved kept"
        return f"{counted(len(self.folders), 'report')} would go ({rule}; dry run, nothing changed)."


def due(context: Context) -> PruneResult:
    """Show which reports the rule would remove."""
    from mlprod_nb.site import retention

    kept = context.settings.reports
    with context.store.read() as connection:
        rule = retention.Rule(kept.keep_days, kept.keep)
        found = retention.due(connection, context.layout.reports, rule, now=context.clock())
    return PruneResult(kept.keep_days, kept.keep, tuple(path.relative_to(context.root).as_posix() for path in found))


def site(context: Context) -> SiteResult:
    """Remove the reports that are due, and write the page that leads to every report anew, and the feed."""
    from mlprod_nb import site
    from mlprod_nb.site import retention

    context.change()
    kept = context.settings.reports
    if kept.keep_days:
        rule = retention.Rule(kept.keep_days, kept.keep)
        gone = retention.prune(context.store, context.layout.reports, rule, now=context.clock())
        if gone:
            with context.store.write() as connection:
                names = ", ".join(path.name for path in gone)
                context.audit(connection, "prune reports", f"{len(gone)} of {context.layout.reports.name}", names)
    title = context.settings.name or context.root.resolve().name
    return site.build(context.store, context.layout.reports, title=title, base=context.settings.alerts.pages)


def approve(context: Context, digest: str, reason: str) -> ApprovalResult:
    """Record an approval of a report that is still as it was written."""
    from mlprod_nb.store import approvals, report_index

    with context.store.write() as connection:
        given = approvals.approve(
            connection, context.root, digest, actor=context.caller.actor, reason=reason, now=context.clock()
        )
        context.audit(connection, approvals.ACTION, given.digest, given.reason)
        record = report_index.find(connection, given.digest)
        void = approvals.void_by(connection, record, given.actor, context.settings)
    site(context)
    return ApprovalResult(given.digest, given.actor, given.reason, given.at, void)
