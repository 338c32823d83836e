"""A version as MLflow keeps it: what is read of it, what is written of it, and by which tags and artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlprod_nb.registry.archives import Origin
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.lineage import Lineage

BUNDLE_TAG = "mlprod.bundle"
AUTHOR_TAG = "mlprod.author"
RUNTIME_TAG = "mlprod.runtime"
REASON_TAG = "mlprod.runtime_reason"
METRICS_TAG = "mlprod.metrics"
EXECUTION_TAG = "mlprod.execution"
GATES_TAG = "mlprod.gates"
ORIGIN_TAG = "mlprod.origin"
#: The run of a version that was logged without one, where attachments lie.
RUN_TAG = "mlprod.run"
BUNDLE_ARTIFACT = "bundle"
LINEAGE_ARTIFACT = "lineage.json"
NOTEBOOK_ARTIFACT = "notebook.ipynb"
DATA_ARTIFACT = "data.parquet"


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        model: The model's name.
        version: Counts the model's versions from 1.
        aliases: The aliases that point to it.
        note: What changed and why, as the author said.
        author: Who registered it.
        created_at: When.
        run_id: The MLflow run that holds its artifacts.
        bundle: The digest of its bundle; empty for a version that was not registered here.
        metrics: Its performance on the reference data.
        runtime: ``"onnx"``, ``"python"``, or empty for a version that was not registered here.
        runtime_reason: Why it is not ONNX; empty where it is.
        execution: The mark of the notebook's execution that registered it; empty where a person did.
        gate_report: The digest of its newest gate report; empty where it was not checked yet.
        origin: Which version of which workspace it was before it was imported; ``None`` where it was made here.
    """

    model: str
    version: int
    aliases: tuple[str, ...]
    note: str
    author: str
    created_at: datetime
    run_id: str
    bundle: str
    metrics: dict[str, float]
    runtime: str
    runtime_reason: str
    execution: str = ""
    gate_report: str = ""
    origin: Origin | None = None

    @property
    def ref(self) -> str:
        """The version as users write it, as ``flights/3``."""
        return f"{self.model}/{self.version}"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model on its way to a version.

    Attributes:
        name: The model's name; a new one makes a new model.
        model: The fitted model.
        bundle: Its bundle.
        note: What changed and why.
        author: Who registers it.
        metrics: Its performance on the reference data.
        lineage: Where it comes from.
        execution: The mark of the notebook's execution that registers it.
        attachments: Folders that are kept beside its bundle, by name.
        artifacts: What is kept beside bundle and lineage, by file name.
    """

    name: str
    model: Any
    bundle: Bundle
    note: str
    author: str
    metrics: dict[str, float]
    lineage: Lineage
    execution: str = ""
    attachments: Mapping[str, Path] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict)


def read_version(entity: Any, aliases: dict[str, int]) -> ModelVersion:
    """Read one of MLflow's versions; ``aliases`` are those of its model, with their versions' numbers."""
    number = int(entity.version)
    tags = entity.tags
    return ModelVersion(
        model=entity.name,
        version=number,
        aliases=tuple(alias for alias, target in aliases.items() if target == number),
        note=entity.description or "",
        author=tags.get(AUTHOR_TAG, entity.user_id or ""),
        created_at=datetime.fromtimestamp(entity.creation_timestamp / 1000, tz=UTC),
        run_id=entity.run_id or tags.get(RUN_TAG, ""),
        bundle=tags.get(BUNDLE_TAG, ""),
        metrics=json.loads(tags.get(METRICS_TAG, "{}")),
        runtime=tags.get(RUNTIME_TAG, ""),
        runtime_reason=tags.get(REASON_TAG, ""),
        execution=tags.get(EXECUTION_TAG, ""),
        gate_report=tags.get(GATES_TAG, ""),
        origin=Origin.read(tags.get(ORIGIN_TAG, "")),
    )
