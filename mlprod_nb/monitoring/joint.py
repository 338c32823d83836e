"""All columns together: which detectors of rows there are, what they say, corrected inside the look.

A package adds one with an entry point in the group ``mlprod_nb.row_detectors`` whose value is an object with the
attributes of :class:`~mlprod_nb.monitoring.detectors.rows.RowDetector`, or a class that makes one without arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlprod_nb import extensions
from mlprod_nb.errors import NotFound
from mlprod_nb.monitoring.budget import holm
from mlprod_nb.monitoring.detectors.domain_classifier import DomainClassifier
from mlprod_nb.monitoring.detectors.mmd import MaximumMeanDiscrepancy
from mlprod_nb.monitoring.detectors.pca import PrincipalComponents
from mlprod_nb.monitoring.detectors.rows import JointComparison, RowDetector, read
from mlprod_nb.monitoring.rows import JointRow

GROUP = "mlprod_nb.row_detectors"
BUILT_IN: dict[str, RowDetector] = {
    detector.name: detector for detector in (DomainClassifier(), MaximumMeanDiscrepancy(), PrincipalComponents())
}


def known() -> dict[str, RowDetector]:
    """Return every detector of rows by name; one from another package never replaces a built-in one."""
    return {**BUILT_IN, **{name: one for name, one in extensions.load(GROUP).items() if name not in BUILT_IN}}


def choose(names: Sequence[str] = ()) -> tuple[RowDetector, ...]:
    """Return the named detectors of rows; all of them without names.

    Raises:
        NotFound: There is no detector of that name.
    """
    available = known()
    for name in names:
        if name not in available:
            raise NotFound("detector of rows", name, available)
    return tuple(available[name] for name in names or available)


def compare(
    kinds: Mapping[str, str],
    reference: Mapping[str, Any],
    window: Mapping[str, Any],
    alpha: float,
    *,
    detectors: Sequence[RowDetector] = tuple(BUILT_IN.values()),
    seed: int = 0,
) -> tuple[JointRow, ...]:
    """Run the detectors on one sample of rows a side, corrected by Holm over all of them.

    Args:
        kinds: ``"number"`` or ``"category"`` for each column.
        reference: The reference sample's columns.
        window: The window's columns.
        alpha: Chance of any false alarm that they may spend together.
        detectors: Which to run.
        seed: Of the choice of rows, and of what the detectors draw.
    """
    samples = read(kinds, reference, window, seed=seed)
    found = [detector.compare(samples, seed) for detector in detectors]
    corrected = iter(holm([comparison.p_value for comparison in found if comparison.p_value is not None]))
    left_out = f"; without {', '.join(sorted(samples.problems))}" if samples.problems else ""
    rows = []
    for detector, comparison in zip(detectors, found, strict=True):
        value = next(corrected) if comparison.p_value is not None else None
        material = comparison.effect is None or comparison.effect >= detector.floor
        drifted = value is not None and value <= alpha and material
        rows.append(_row(detector.name, comparison, value, drifted, left_out))
    return tuple(rows)


def untested(reason: str, detectors: Sequence[RowDetector] = tuple(BUILT_IN.values())) -> tuple[JointRow, ...]:
    """Return that nothing was tested, and why."""
    return tuple(_row(detector.name, JointComparison(reason=reason), None, False, "") for detector in detectors)


def _row(name: str, found: JointComparison, corrected: float | None, drifted: bool, left_out: str) -> JointRow:
    text = f"not tested: {found.reason}" if found.reason else found.statement + left_out
    return JointRow(
        name, found.statistic, found.effect, found.p_value, corrected, drifted, found.columns if drifted else (), text
    )
