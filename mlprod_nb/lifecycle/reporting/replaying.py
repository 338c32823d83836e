"""Reports once more: replayed on the range that they are bound to, with another version, or beside one another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.clock import iso
from mlprod_nb.errors import InvalidInput, NotFound, Refused
from mlprod_nb.lifecycle import rescoring
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.watching.watch import pinned_text
from mlprod_nb.results import counted
from mlprod_nb.store import revisions

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.prediction_log.ranges import LogRange
    from mlprod_nb.registry.bundles import Bundle
    from mlprod_nb.reports.compare import DiffResult
    from mlprod_nb.reports.flips import FlipsResult
    from mlprod_nb.reports.replay import ReplayResult
    from mlprod_nb.store.report_index import ReportRecord


def replay(context: Context, digest: str) -> ReplayResult:
    """Execute the notebook that a report keeps again, and compare what it says with what the report says.

    It is judged by the revision that served when the report was made. Nothing is indexed, and no alert is raised.
    """
    from mlprod_nb.reports import ReportRequest, compare, replay
    from mlprod_nb.reports.execute import NOTEBOOK

    record = _find(context, digest)
    folder = _intact(context, record)
    context.log.check(_range(record))
    kept, before = folder / NOTEBOOK, compare.read(folder)
    request = ReportRequest(
        endpoint=record.endpoint,
        kind=record.kind,
        pinned=pinned_text(_range(record), _revision(context, record)),
        model_versions=tuple(record.bound_to["model_versions"]),
        options=record.bound_to["parameters"],
        bundles=record.bound_to["bundles"],
        settings=context.settings.endpoint(record.endpoint).monitor.to_dict(),
        timeout_seconds=context.settings.reports.timeout_seconds,
        memory_mib=context.settings.reports.memory_mib,
        kernel=record.bound_to.get("kernel", ""),
        progress=context.progress,
    )
    context.progress.step(f"running the {record.kind} notebook again")
    after, seconds = replay.execute_again(request, context.root, kept, before)
    remark = f"{replay.changed_since(request, context.root, kept, before)} {_erased(context, record)}".strip()
    return replay.judge(record.digest, before, after, seconds, remark)


def replay_with(context: Context, digest: str, version: str) -> FlipsResult:
    """Let another version answer the rows of a report, and count which decisions flip.

    Raises:
        Refused: The version takes what the rows do not have, or answers another kind of question.
    """
    from mlprod_nb.reports import flips

    record = _find(context, digest)
    _intact(context, record)
    chosen = context.registry.resolve(version)
    bundle = context.registry.fetch_bundle(chosen, context.bundles)
    rows = context.log.labelled(_range(record))
    if rows.num_rows and (bundle.manifest.task == "regression") != (rows["prediction"].null_count == rows.num_rows):
        raise Refused(f"{chosen.ref} is a {bundle.manifest.task}, and the rows of the report are not of one.")
    try:
        return flips.result(record.digest, chosen.ref, decisions(bundle, rows))
    except InvalidInput as error:
        raise Refused(f"{chosen.ref} cannot answer the rows of the report: {error}") from None


def diff(context: Context, before: str, after: str) -> DiffResult:
    """Say what changed from one report to another."""
    from mlprod_nb.reports import compare

    first, second = _find(context, before), _find(context, after)
    one, other = (compare.read(_intact(context, record)) for record in (first, second))
    found = compare.compare(one, other)
    said = compare.in_words(found, one.verdict, other.verdict)
    for name in ("kind", "endpoint"):
        if getattr(first, name) != getattr(second, name):
            said.insert(1, f"the {name} differs: {getattr(first, name)} and {getattr(second, name)}.")
    return compare.DiffResult(first.digest, second.digest, tuple(said), found.all)


def _find(context: Context, digest: str) -> ReportRecord:
    from mlprod_nb.store import report_index

    with context.store.read() as connection:
        found = report_index.find(connection, digest)
    if "log_range" not in found.bound_to:
        again = f"Run: mlprod check {', '.join(found.bound_to['model_versions'])}"
        raise Refused(f"report {found.digest[:12]} is a gate report, which rests on no range of the log.", hint=again)
    return found


def _intact(context: Context, record: ReportRecord) -> Path:
    """Return a report's folder, whose files are as they were written."""
    from mlprod_nb.store import report_index

    report_index.verify(context.root, record)
    return context.root / record.path


def _range(record: ReportRecord) -> LogRange:
    from mlprod_nb.prediction_log.ranges import LogRange

    return LogRange.from_json(json.dumps(record.bound_to["log_range"]))


def _erased(context: Context, record: ReportRecord) -> str:
    """Say how many rows were erased since from the files that a report's range reads; empty where none were."""
    found = context.log.erased(_range(record))
    if not found:
        return ""
    rows, on = counted(sum(one.rows for one in found), "prediction"), max(one.at for one in found)
    return f"since the report, {rows} were erased from the files of its range, the last on {on:%Y-%m-%d}."


def _revision(context: Context, record: ReportRecord) -> int:
    """Return the number of the revision that served when a report was made."""
    with context.store.read() as connection:
        known = revisions.history(connection, record.endpoint)
    served = [
        revision.number
        for revision in known
        if revision.outcome
        and revision.outcome.outcome == "active"
        and revision.outcome.decided_at <= record.created_at
    ]
    if not served:
        raise NotFound(f"revision of {record.endpoint!r} that served at", iso(record.created_at))
    return max(served)


def decisions(bundle: Bundle, rows: pa.Table) -> Any:
    """Return what was decided on rows of the log, and what a bundle decides on them."""
    import numpy as np

    from mlprod_nb.monitoring import counting
    from mlprod_nb.reports import flips

    columns = counting.inputs(rows)
    labels, scores = rescoring.answers(bundle, columns, rows.num_rows)
    before = np.array(rows["score"].to_pylist(), dtype=np.float64)
    return flips.Decisions(
        ids=rows["prediction_id"].to_pylist(),
        units=rows["unit"].to_pylist(),
        times=rows["event_time"].to_pylist(),
        before=rows["prediction"].to_pylist(),
        after=labels,
        score_before=before,
        score_after=scores,
        labels=rows["label"].to_pylist(),
        inputs={name: values.to_pylist() for name, values in columns.items()},
    )
