"""Running a report: a pinned range of the log, a notebook in a fresh kernel, one verdict, a digest to approve."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import Unavailable
from mlprod_nb.lifecycle.alerting import alerts
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.lifecycle.reporting import publishing
from mlprod_nb.lifecycle.watching.watch import Window, pin, pinned_text
from mlprod_nb.progress import SILENCE, Progress
from mlprod_nb.results import AlertChange, Verdict

if TYPE_CHECKING:
    from mlprod_nb.notebooks import Nursery
    from mlprod_nb.reports import ReportRequest, ReportResult


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
                publishing.site(context)
        raise
    with context.store.write() as connection:
        context.audit(connection, "report", f"{window.endpoint} {kind}", f"{found.digest} {found.verdict.status}")
    progress.step("seeing to alerts")
    told = replace(found, since_last_report=alerts.settle(context, alerts.of_report(context, found)))
    # Last, so that whatever hinders it hinders no alert.
    if asked.nursery is None:
        publishing.site(context)
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
        settings=context.settings.endpoint(asked.window.endpoint).monitor.to_dict(),
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
