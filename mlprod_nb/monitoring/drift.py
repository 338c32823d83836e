"""Column by column: what every detector says, corrected inside the look, and told in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlprod_nb.monitoring import derived, joint_counts
from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import Budget, holm
from mlprod_nb.monitoring.detectors import BUILT_IN, Comparison, Detector
from mlprod_nb.monitoring.impact import weights
from mlprod_nb.monitoring.pooling import Pool
from mlprod_nb.monitoring.profile import OUTCOMES, ColumnProfile, Profile
from mlprod_nb.monitoring.rows import ColumnDrift, PairDrift
from mlprod_nb.results import format_pair, percent


@dataclass(frozen=True)
class Tested:
    """One detector's word on one column, after the correction."""

    detector: Detector
    comparison: Comparison
    looks: int
    corrected: float | None
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """What all tests of a look say.

    Attributes:
        columns: The input columns and what is derived of them, drifted ones first and by impact.
        outcomes: The score, prediction and label.
        pairs: The pairs of columns whose correlation was tested, drifted ones first and by the change's size.
        tests: How many tests the correction is over.
    """

    columns: tuple[ColumnDrift, ...]
    outcomes: tuple[ColumnDrift, ...]
    pairs: tuple[PairDrift, ...]
    tests: int


@dataclass(frozen=True)
class _Test:
    """One detector on one column of one pooled window; it may only speak where the drift is not over."""

    column: ColumnProfile
    detector: Detector
    looks: int
    comparison: Comparison
    lasting: bool


def compare(
    profile: Profile, windows: Sequence[Pool], budget: Budget, detectors: Sequence[Detector], *, pairs: bool = True
) -> Drift:
    """Compare a look's window, and the pooled ones, with the reference.

    A drift that only a pooled window shows counts where the look's own window is as far off as the detector's floor:
    what is over is not reported.

    Args:
        profile: The reference.
        windows: This look's window, then the pooled ones, as :func:`mlprod_nb.monitoring.pooling.pools` gives them.
        budget: How many false alarms are allowed.
        detectors: Which detectors to run.
        pairs: Whether to test the rank correlations too.
    """
    every, dates = profile.every, derived.dated(profile)
    found = [test for column in every for detector in detectors for test in _tests(column, detector, windows, dates)]
    together = list(_pair_tests(profile, windows)) if pairs else []
    p_values = [test.comparison.p_value for test in found if test.comparison.p_value is not None]
    corrected = iter(holm([*p_values, *(test.p_value for test in together)]))
    by_column: dict[str, list[Tested]] = {column.name: [] for column in every}
    for test in found:
        p_value = next(corrected) if test.comparison.p_value is not None else None
        large = test.lasting and (test.comparison.effect or 0.0) >= test.detector.floor
        drifted = p_value is not None and p_value <= budget.drift and large
        by_column[test.column.name].append(Tested(test.detector, test.comparison, test.looks, p_value, drifted))
    weight = weights(profile)
    rows = {
        column.name: _row(column, windows, by_column[column.name], weight.get(column.source or column.name))
        for column in every
    }
    inputs = sorted((rows[column.name] for column in (*profile.columns, *(profile.derived or ()))), key=_rank)
    now = windows[0].counts.columns
    return Drift(
        columns=tuple(inputs),
        outcomes=tuple(rows[column.name] for column in profile.outcomes if now[column.name].rows),
        pairs=_pair_rows(together, list(corrected), budget.drift),
        tests=len(p_values) + len(together),
    )


def _pair_tests(profile: Profile, windows: Sequence[Pool]) -> Iterator[PairDrift]:
    """Compare the correlations of each window; ``drifted`` says only that the change is large, and not over."""
    lasting: list[bool] = []
    for pool in windows:
        if not profile.pairs or pool.counts.pairs is None:
            continue
        found = joint_counts.compare(profile.columns, profile.pairs, pool.counts.pairs)
        large = [abs(pair.after - pair.before) >= joint_counts.FLOOR for pair in found]
        lasting = large if pool.looks == 1 else lasting
        for pair, one, far, kept in zip(profile.pairs, found, large, lasting or large, strict=True):
            if one.p_value is not None:
                yield PairDrift(
                    pair.first, pair.second, one.before, one.after, one.p_value, 1.0, far and kept, pool.looks
                )


def _pair_rows(tests: Sequence[PairDrift], corrected: Sequence[float], alpha: float) -> tuple[PairDrift, ...]:
    """Return each pair once, as the window that speaks loudest has it; drifted ones first."""
    loudest: dict[tuple[str, str], PairDrift] = {}
    for test, p_value in zip(tests, corrected, strict=True):
        row = replace(test, p_value_corrected=p_value, drifted=test.drifted and p_value <= alpha)
        known = loudest.setdefault((row.first, row.second), row)
        if (not row.drifted, row.p_value_corrected, row.p_value) < (
            not known.drifted,
            known.p_value_corrected,
            known.p_value,
        ):
            loudest[row.first, row.second] = row
    return tuple(sorted(loudest.values(), key=lambda row: (not row.drifted, -abs(row.after - row.before), row.first)))


def judges(detector: Detector, column: ColumnProfile, dates: Collection[str]) -> bool:
    """Say whether a look's detector tests a column.

    Args:
        detector: The detector.
        column: The column.
        dates: The names of the columns of dates, of which only the missing values are tested.
    """
    # What is derived is missing where its source is, so a test of that would only cost the others their power.
    if column.kind not in detector.kinds or (column.source and detector.name == "missing"):
        return False
    return column.name not in dates or detector.name == "missing"


def _tests(
    column: ColumnProfile, detector: Detector, windows: Sequence[Pool], dates: Collection[str]
) -> Iterator[_Test]:
    if not judges(detector, column, dates):
        if column.name in dates and column.kind in detector.kinds:
            yield _Test(column, detector, 1, Comparison(reason=derived.MOVES_ON), lasting=False)
        return
    reference, lasting = column.as_counts(), False
    for pool in windows:
        counts = pool.counts.columns[column.name]
        # Labels come late: earlier windows may not have counted any, and then add nothing.
        if counts.problem or (pool.looks > 1 and counts.rows == windows[0].counts.columns[column.name].rows):
            continue
        comparison = detector.compare(reference, counts)
        if pool.looks == 1:
            lasting = (comparison.effect or 0.0) >= detector.floor
        yield _Test(column, detector, pool.looks, comparison, lasting)


def _rank(row: ColumnDrift) -> tuple[bool, float, float, str]:
    return not row.drifted, -(row.impact or 0.0), -(row.effect or 0.0), row.column


def _row(column: ColumnProfile, windows: Sequence[Pool], tests: Sequence[Tested], weight: float | None) -> ColumnDrift:
    now = windows[0].counts.columns[column.name]
    done = [test for test in tests if test.corrected is not None]
    loudest = min(done, key=lambda t: (not t.drifted, t.corrected, t.comparison.p_value or 0.0, t.looks), default=None)
    psi = None if now.problem else BUILT_IN["psi"].compare(column.as_counts(), now).statistic
    if loudest is None:
        return ColumnDrift(
            column.name,
            column.kind,
            "",
            None,
            None,
            None,
            None,
            psi,
            False,
            None,
            _untested(now, tests, windows[0].counts.rows),
        )
    comparison = loudest.comparison
    effect = comparison.effect or 0.0
    # What lies within chance is told of the look's own window.
    looks = loudest.looks if loudest.drifted else 1
    told = next(pool.counts.columns[column.name] for pool in windows if pool.looks == looks)
    statement = _tell(column, told, [test for test in tests if test.looks == looks])
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
        statement=statement if looks == 1 else f"over the last {looks} looks {statement}",
        looks=loudest.looks,
    )


def _untested(window: ColumnCounts, tests: Sequence[Tested], rows: int) -> str:
    if not rows:
        return "not tested: the window is empty"
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
    spread = 0.0 if window.minimum == window.maximum else spread  # the sums are of whole units
    means = format_pair(column.mean, "→", mean, digits=4)
    return f"mean {means}, sd {format_pair(column.sd or 0.0, '→', spread)}"


def _categories(column: ColumnProfile, window: ColumnCounts) -> str:
    before = np.array(column.counts) / max(sum(column.counts), 1)
    after = window.counts / max(int(window.counts.sum()), 1)
    most = int(np.argmax(np.abs(after - before)))
    name = repr(column.categories[most]) if most < len(column.categories) else "other categories"
    return f"{name} {percent(before[most])} → {percent(after[most])}"


def _share(part: int, whole: int) -> str:
    return percent(part / whole) if whole else "–"
