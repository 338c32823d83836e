"""A design as a text, the result of a table under it, units that are right at a given rate, and bounds of rates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

from mlprod_nb.abtest import ABTestResult, Design, analyse, parse
from mlprod_nb.abtest.outcome import Task
from tests.abtest.tables import START

NAMES = ("champion", "challenger")
HALF = dict.fromkeys(NAMES, 0.5)


def design(body: str, variants: tuple[str, ...] = NAMES, task: Task = "classification") -> Design:
    return parse(body, endpoint="flights", variants=variants, task=task, started_at=START)


def result(
    table: pa.Table, body: str = "", shares: dict[str, float] = HALF, classes: tuple[Any, ...] = (0, 1)
) -> ABTestResult:
    """Read a table under a design; without classes the endpoint's task is regression."""
    task: Task = "classification" if classes else "regression"
    return analyse(table, design(body, tuple(shares), task), shares=shares, task=task, classes=classes)


def arms(count: int) -> list[str]:
    return [NAMES[i % 2] for i in range(count)]


def rights(count: int, champion: float, challenger: float, seed: int = 0) -> list[bool]:
    chance = np.where(np.arange(count) % 2 == 0, champion, challenger)
    return list(np.random.default_rng(seed).random(count) < chance)


def bound(rate: float, runs: int) -> float:
    """Return the rate and two standard errors."""
    return rate + 2 * math.sqrt(rate * (1 - rate) / runs)
