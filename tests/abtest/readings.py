"""A test of champion and challenger as it is read, and units that are right at a given rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from mlprod_nb.abtest import ABTestResult, analyse, parse
from tests.abtest.tables import START

HALF = {"champion": 0.5, "challenger": 0.5}
NAMES = ("champion", "challenger")


def result(
    table: pa.Table, body: str = "", shares: dict[str, float] = HALF, classes: tuple[Any, ...] = (0, 1)
) -> ABTestResult:
    task = "classification" if classes else "regression"
    design = parse(body, endpoint="flights", variants=NAMES, task=task, started_at=START)  # type: ignore[arg-type]
    return analyse(table, design, shares=shares, task=task, classes=classes)  # type: ignore[arg-type]


def arms(count: int) -> list[str]:
    return [NAMES[i % 2] for i in range(count)]


def rights(count: int, champion: float, challenger: float, seed: int = 0) -> list[bool]:
    chance = np.where(np.arange(count) % 2 == 0, champion, challenger)
    return list(np.random.default_rng(seed).random(count) < chance)
