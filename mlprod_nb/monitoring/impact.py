"""How much a drift matters to this model: its size times how much the model leans on the column.

A column's importance is the mean absolute change of the model's score when the column's values are shuffled among the
reference rows, all else unchanged (permutation importance, Breiman 2001, on the model's output rather than its loss,
so no labels are needed).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mlprod_nb.monitoring.profile import Profile

ScoreFunction = Callable[[dict[str, Any]], Any]
MAX_ROWS = 2000


def with_importance(
    profile: Profile, columns: Mapping[str, Any], score_function: ScoreFunction, *, seed: int = 0
) -> Profile:
    """Return the profile with every column's importance measured.

    Args:
        profile: The reference profile.
        columns: The reference's input columns, as numpy arrays or lists of one length.
        score_function: Gives the score of each row of a dictionary of columns.
        seed: Of the choice of at most 2,000 rows, and of the shuffles.
    """
    random = np.random.default_rng(seed)
    arrays = {column.name: _array(columns[column.name]) for column in profile.columns}
    rows = len(next(iter(arrays.values()))) if arrays else 0
    if rows < 2:
        return profile
    chosen = np.sort(random.permutation(rows)[:MAX_ROWS])
    sample = {name: values[chosen] for name, values in arrays.items()}
    base = np.asarray(score_function(dict(sample)), dtype=np.float64)
    measured = []
    for column in profile.columns:
        shuffled = {**sample, column.name: random.permutation(sample[column.name])}
        change = np.abs(np.asarray(score_function(shuffled), dtype=np.float64) - base)
        measured.append(replace(column, importance=float(change.mean())))
    return replace(profile, columns=tuple(measured))


def weights(profile: Profile) -> dict[str, float]:
    """Return each input column's importance relative to the largest, 0 to 1; nothing where it was not measured."""
    known = {column.name: column.importance for column in profile.columns if column.importance is not None}
    largest = max(known.values(), default=0.0)
    return {name: value / largest for name, value in known.items()} if largest > 0 else {}


def _array(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "to_numpy"):
        return values.to_numpy()
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array
