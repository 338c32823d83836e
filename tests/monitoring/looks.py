"""Looks of the monitor at made-up traffic of a made-up model."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlprod_nb.monitoring import MonitorInput, MonitorResult, Profile, run
from tests.monitoring import samples


def look(
    profile: Profile, columns: dict[str, Any], *, labels: Any = "true ones", seed: int = 0, **more: Any
) -> MonitorResult:
    scores = samples.score_of(columns)
    if isinstance(labels, str):
        labels = samples.labels_of(np.random.default_rng(seed), scores)
    return run(
        MonitorInput("flights", profile, samples.window(columns, scores, labels), model_version="flights/1", **more)
    )


def traffic(seed: int, rows: int = 2000) -> samples.Columns:
    return samples.traffic(np.random.default_rng(seed), rows)


def row_of(result: MonitorResult, name: str) -> Any:
    return next(row for row in (*result.columns, *result.outcomes) if row.column == name)


def findings_of(result: MonitorResult, check: str) -> dict[str, str]:
    return {finding.column: finding.statement for finding in result.quality if finding.check == check}
