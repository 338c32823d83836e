"""All columns together, and the model's own doubt: ClassifierDrift, MMDDrift, LSDDDrift and the two of uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.alibi import door
from mlprod_nb.monitoring.detectors.alibi.columns import MIN_ROWS, untested
from mlprod_nb.monitoring.detectors.protocol import too_few
from mlprod_nb.monitoring.detectors.rows import Encoding, Samples, plain
from mlprod_nb.monitoring.rows import AlibiRow

_TRAINED = 0.5
#: So many that a p-value can be as small as a look's part of the budget asks; each takes the square of the rows.
_PERMUTATIONS = 10_000
_KERNEL_ROWS = 250


@dataclass(frozen=True)
class Doubt:
    """How sure a model is of each row, on both sides, shape ``(rows, classes)`` or ``(rows, members)``.

    Attributes:
        probabilities: Of each class, for ClassifierUncertaintyDrift.
        predictions: Of each member of an ensemble, for RegressorUncertaintyDrift.
        reason: Why neither is there.
    """

    probabilities: tuple[Floats, Floats] | None = None
    predictions: tuple[Floats, Floats] | None = None
    reason: str = "the model's probabilities are not there on both sides"


def compare(name: str, samples: Samples, doubt: Doubt, seed: int) -> AlibiRow:
    """Run one of them."""
    if name in _UNCERTAINTY:
        return _uncertainty(name, doubt)
    reason = samples.too_few(2 * MIN_ROWS)
    if reason:
        return untested(name, "", reason)
    if name in _KERNELS and not door.has_torch():
        return untested(name, "", "torch is not installed")
    return _TOGETHER[name](name, samples, seed)


def _classifier(name: str, samples: Samples, seed: int) -> AlibiRow:
    """Can a classifier tell the window from the reference? A random forest, trained on one half, asked on the other.

    One split rather than folds: answers out of several folds depend on each other, so the test of them is not exact.
    It is trained at every look, so nothing of it is kept.
    """
    from sklearn.ensemble import RandomForestClassifier

    before, after = matrix(samples)
    forest = RandomForestClassifier(n_estimators=50, min_samples_leaf=10, random_state=seed, n_jobs=1)
    options = {"model": forest, "backend": "sklearn", "preds_type": "probs", "train_size": _TRAINED}
    p_value = float(door.make(name, before, **options, seed=seed).predict(after)["data"]["p_val"])
    text = f"a random forest on {len(before):,} reference and {len(after):,} window rows, trained on half of them"
    return AlibiRow(name, "", p_value, None, False, text)


def _kernel(name: str, samples: Samples, seed: int) -> AlibiRow:
    pooled = samples.pooled()
    points = Encoding.of(samples, pooled)(pooled).astype(np.float32)
    random = np.random.default_rng(seed)
    n, m = samples.rows
    chosen = [np.sort(random.permutation(rows)[:_KERNEL_ROWS]) for rows in (n, m)]
    before, after = points[:n][chosen[0]], points[n:][chosen[1]]
    with door.drawing_by_torch(seed):
        detector = door.make(name, before, backend="pytorch", n_permutations=_PERMUTATIONS)
        reached = float(detector.predict(after)["data"]["p_val"])
    # It leaves the sides as they are out of the count, and so may say 0: Phipson and Smyth (2010).
    p_value = (reached * _PERMUTATIONS + 1) / (_PERMUTATIONS + 1)
    text = f"{len(before):,} reference and {len(after):,} window rows, {_PERMUTATIONS:,} permutations"
    return AlibiRow(name, "", p_value, None, False, text)


def _uncertainty(name: str, doubt: Doubt) -> AlibiRow:
    pair = doubt.probabilities if name == "ClassifierUncertaintyDrift" else doubt.predictions
    if pair is None:
        return untested(name, "", doubt.reason)
    before, after = (side[np.isfinite(side).all(axis=1)] for side in pair)
    few = min(len(before), len(after))
    if few < MIN_ROWS:
        return untested(name, "", too_few(few, MIN_ROWS, "row"))
    detector = door.make(name, before, model=_as_it_is, **_UNCERTAINTY[name])
    p_value = float(np.ravel(detector.predict(after)["data"]["p_val"])[0])
    left_out = sum(len(side) for side in pair) - len(before) - len(after)
    text = f"{len(before):,} reference and {len(after):,} window rows"
    text += f"; {left_out:,} without a prediction left out" if left_out else ""
    return AlibiRow(name, "", p_value, None, False, text)


def _as_it_is(rows: NDArray[Any]) -> NDArray[Any]:
    """Stand in for the model: the rows are its answers already."""
    return rows


def matrix(samples: Samples) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return both sides as finite numbers: categories by number, missing ones at the median with an indicator."""
    values, _ = plain(samples)
    missing = np.isnan(values)
    columns = []
    for place in range(values.shape[1]):
        known = values[~missing[:, place], place]
        columns.append(np.where(missing[:, place], np.median(known) if len(known) else 0.0, values[:, place]))
        if missing[:, place].any():
            columns.append(missing[:, place].astype(np.float64))
    both = np.column_stack(columns).astype(np.float32)
    return both[: samples.rows[0]], both[samples.rows[0] :]


_KERNELS = ("MMDDrift", "LSDDDrift")
_TOGETHER: dict[str, Callable[[str, Samples, int], AlibiRow]] = {
    "ClassifierDrift": _classifier,
    **dict.fromkeys(_KERNELS, _kernel),
}
_UNCERTAINTY: dict[str, dict[str, Any]] = {
    "ClassifierUncertaintyDrift": {"preds_type": "probs", "uncertainty_type": "entropy"},
    "RegressorUncertaintyDrift": {"uncertainty_type": "ensemble"},
}
NAMES = (*_TOGETHER, *_UNCERTAINTY)
