"""Column by column: what every detector says, corrected inside the look, and told in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts
from mlprod_nb.monitoring.budget import Budget, holm
from mlprod_nb.monitoring.detectors import BUILT_IN, Comparison, Detector
from mlprod_nb.monitoring.impact import weights
from mlprod_nb.monitoring.profile import OUTCOMES, ColumnProfile, Profile
from mlprod_nb.monitoring.rows import ColumnDrift
from mlprod_nb.monitoring.sections import percent


@dataclass(frozen=True)
class Tested:
    """One detector's word on one column, after the correction."""

    detector: Detector
    comparison: Comparison
    corrected: float | None
    drifted: bool


def compare(
    profile: Profile, window: WindowCounts, budget: Budget, detectors: Sequence[Detector]
) -> tuple[tuple[ColumnDrift, ...], tuple[ColumnDrift, ...]]:
    """Compare a window with the reference.

    Returns:
        The input columns, drifted ones first and by impact, and the score, prediction and label.
    """
    every = (*profile.columns, *profile.outcomes)
    found = [
        (column.name, detector, detector.compare(column.as_counts(), window.columns[column.name]))
        for column in every
        for detector in detectors
        if column.kind in detector.kinds and not window.columns[column.name].problem
    ]
    tested = [comparison.p_value for _, _, comparison in found if comparison.p_value is not None]
    corrected = iter(holm(tested))
    by_column: dict[str, list[Tested]] = {column.name: [] for column in every}
    for name, detector, comparison in found:
        p_value = next(corrected) if comparison.p_value is not None else None
        drifted = p_value is not None and p_value <= budget.drift and (comparison.effect or 0.0) >= detector.floor
        by_column[name].append(Tested(detector, comparison, p_value, drifted))
    weight = weights(profile)
    rows = {
        column.name: _row(column, window.columns[column.name], by_column[column.name], weight.get(column.name))
        for column in every
    }
    inputs = sorted((rows[column.name] for column in profile.columns), key=_rank)
    return tuple(inputs), tuple(rows[column.name] for column in profile.outcomes if window.columns[column.name].rows)


def _rank(row: ColumnDrift) -> tuple[bool, float, float, str]:
    return not row.drifted, -(row.impact or 0.0), -(row.effect or 0.0), row.column


def _row(column: ColumnProfile, window: ColumnCounts, tests: Sequence[Tested], weight: float | None) -> ColumnDrift:
    done = [test for test in tests if test.corrected is not None]
    loudest = min(done, key=lambda t: (not t.drifted, t.corrected, t.comparison.p_value or 0.0), default=None)
    psi = None if window.problem else BUILT_IN["psi"].compare(column.as_counts(), window).statistic
    if loudest is None:
        return ColumnDrift(
            column.name, column.kind, "", None, None, None, None, psi, False, None, _untested(window, tests)
        )
    comparison = loudest.comparison
    effect = comparison.effect or 0.0
    return ColumnDrift(
        column=column.name,
        kind=column.kind,
        detector=loudest.detector.name,
        statistic=comparison.statistic,
        effect=effect,
        p_value=comparison.p_value,
        p_value_corrected=loudest.corrected,
        psi=psi,
        drifted=loudest.drifted,
        impact=None if weight is None else effect * weight,
        statement=_tell(column, window, tests),
    )


def _untested(window: ColumnCounts, tests: Sequence[Tested]) -> str:
    if window.problem:
        return f"not tested: {window.problem}"
    if not window.rows:
        return "not tested: no rows"
    if window.missing == window.rows:
        return "not tested: every value is missing"
    reasons = [test.comparison.reason for test in tests if test.detector.name != "missing" and test.comparison.reason]
    return f"not tested: {reasons[0]}" if reasons else "not tested: no detector for this kind of column"


def _tell(column: ColumnProfile, window: ColumnCounts, tests: Sequence[Tested]) -> str:
    parts = [_shape(column, window)] if window.counts.sum() and sum(column.counts) else []
    missing = next((test for test in tests if test.detector.name == "missing" and test.corrected is not None), None)
    if missing is not None and (missing.drifted or not parts):
        parts.append(f"missing {_share(column.missing, column.rows)} → {_share(window.missing, window.rows)}")
    shape = [test for test in tests if test.detector.name != "missing"]
    if column.name not in OUTCOMES and shape and all(test.corrected is None for test in shape):
        reason = shape[0].comparison.reason
        parts = [part for part in parts if part.startswith("missing")]
        parts.append(f"values not tested: {reason}")
    return "; ".join(parts)


def _shape(column: ColumnProfile, window: ColumnCounts) -> str:
    if column.kind == "category":
        return _categories(column, window)
    finite = window.present - window.infinite
    if not finite or column.mean is None:
        return "no finite values"
    mean = column.mean + window.total / finite
    spread = math.sqrt(max(window.squares - window.total**2 / finite, 0.0) / max(finite - 1, 1))
    return f"mean {column.mean:.4g} → {mean:.4g}, sd {column.sd or 0.0:.3g} → {spread:.3g}"


def _categories(column: ColumnProfile, window: ColumnCounts) -> str:
    before = np.array(column.counts) / max(sum(column.counts), 1)
    after = window.counts / max(int(window.counts.sum()), 1)
    most = int(np.argmax(np.abs(after - before)))
    name = repr(column.categories[most]) if most < len(column.categories) else "other categories"
    return f"{name} {percent(before[most])} → {percent(after[most])}"


def _share(part: int, whole: int) -> str:
    return percent(part / whole) if whole else "–"
