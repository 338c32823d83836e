"""From what a user submits to a candidate: signature, profile, bundle, lineage, and what is kept of the notebook."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import UsageError
from mlprod_nb.lifecycle import data as reading
from mlprod_nb.lifecycle.checking import held_out
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.registering import recorded

if TYPE_CHECKING:
    import pandas as pd

    from mlprod_nb.lifecycle.registering.register import Submission
    from mlprod_nb.monitoring import Profile
    from mlprod_nb.registry.conversion import Prepared
    from mlprod_nb.registry.lineage import DataFingerprint
    from mlprod_nb.registry.versions import Candidate


def build(context: Context, submission: Submission, folder: Path) -> Candidate:
    """Return the candidate that a submission makes; its bundle is written into an empty folder."""
    from mlprod_nb.registry import conversion, lineage, versions

    frame, target = _data_and_target(submission)
    context.progress.step("predicting the reference rows")
    prepared = conversion.prepare(submission.model, frame, target)
    context.progress.step("counting the reference profile")
    profile = profile_of(prepared)
    context.progress.step("converting to ONNX and comparing the answers")
    attachments = _attachments(submission, prepared, folder / "attached")
    bundle = conversion.build_bundle(prepared, folder=folder / "bundle", profile=profile.to_json())
    kept = recorded.record(context)
    origin = lineage.capture(
        frame, target, model=submission.model, notebook=kept.context if kept else None, cwd=context.root
    )
    artifacts = {versions.NOTEBOOK_ARTIFACT: kept.notebook} if kept and kept.notebook else {}
    if submission.snapshot:
        artifacts[versions.DATA_ARTIFACT] = _snapshot(frame, target)
    return versions.Candidate(
        name=submission.name,
        model=submission.model,
        bundle=bundle,
        note=submission.note.strip(),
        author=context.caller.actor,
        metrics={estimate.metric: estimate.value for estimate in profile.performance},
        lineage=replace(origin, data=_with_source(origin.data, submission.data)),
        execution=context.caller.execution,
        attachments=attachments,
        artifacts=artifacts,
    )


def _with_source(data: DataFingerprint, given: Any) -> DataFingerprint:
    """Add where the data came from: a file, or what the frame itself says."""
    from mlprod_nb.registry.bundles import file_digest

    if isinstance(given, str | Path):
        return replace(data, source=str(given), source_sha256=file_digest(Path(given)))
    return replace(data, source=str(getattr(given, "attrs", {}).get(reading.SOURCE, "")))


def _snapshot(frame: pd.DataFrame, target: Any) -> bytes:
    """Return the reference data as Parquet, the target as the column ``__label__``."""
    from mlprod_nb.registry.bundles import LABEL_COLUMN

    file = io.BytesIO()
    rows = frame.copy() if target is None else frame.assign(**{LABEL_COLUMN: list(target)})
    rows.attrs = {}  # may hold what Parquet's metadata cannot
    rows.to_parquet(file)
    return file.getvalue()


def _data_and_target(submission: Submission) -> tuple[pd.DataFrame, Any]:
    frame = reading.frame(submission.data)
    if submission.target is None:
        return frame, None
    values, column = reading.column(submission.target, frame, "target")
    frame = frame.drop(columns=[column]) if column else frame
    if not len(frame.columns):
        raise UsageError("--data has no column left beside the target.")
    return frame, values


def _attachments(submission: Submission, prepared: Prepared, folder: Path) -> dict[str, Path]:
    """Return what is recorded beside the model, as folders by name; held-out rows must be such as it takes."""
    from mlprod_nb.registry.signatures import to_columns

    if submission.rows.holdout is None:
        return {}
    rows = held_out.read(submission.rows, "")
    to_columns(rows.frame, prepared.signature)
    return {held_out.ARTIFACT: held_out.write(rows, folder / held_out.ARTIFACT)}


def profile_of(prepared: Prepared) -> Profile:
    """Return the reference profile of a model's reference data."""
    from mlprod_nb import monitoring
    from mlprod_nb.monitoring import impact
    from mlprod_nb.registry.bundles import PREDICTION_COLUMN

    columns = {name: reading.plain(prepared.frame[name]) for name in prepared.signature.names}
    if prepared.task == "classification":
        columns[PREDICTION_COLUMN] = prepared.predictions.tolist()
    profile = monitoring.build(
        columns,
        prepared.signature,
        scores=prepared.scores,
        labels=prepared.labels,
        task=prepared.task,
        classes=prepared.classes,
        moments=reading.event_times(prepared.frame),
    )
    return impact.with_importance(profile, {name: columns[name] for name in prepared.signature.names}, prepared.score)
