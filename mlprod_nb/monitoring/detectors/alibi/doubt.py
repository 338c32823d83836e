"""How sure a model is, on both sides: its probabilities, from the logged scores and the profile of the reference's."""

from __future__ import annotations

import numpy as np

from mlprod_nb.monitoring.columns import Floats, single
from mlprod_nb.monitoring.detectors.alibi.together import Doubt
from mlprod_nb.monitoring.profile import Profile
from mlprod_nb.registry.bundles import SCORE_COLUMN

_MOST_ROWS = 5000
_NO_ENSEMBLE = "the log holds one prediction a row, and none of the members of an ensemble"


def of(profile: Profile, scores: Floats) -> Doubt:
    """Return the probabilities of a classifier of two classes; the log holds too little for any other model.

    The profile holds the reference's scores as counts in bins, so both sides' scores are moved to their bin's upper
    edge: that is the same for both, and moves none past more than a thousandth of the reference's rows.

    Args:
        profile: The reference.
        scores: The window's scores.
    """
    column = profile.column(SCORE_COLUMN)
    if profile.task == "regression":
        return Doubt(reason=_NO_ENSEMBLE)
    if len(profile.classes) != 2 or column is None:
        return Doubt(reason=f"the log holds one score a row, and the model has {len(profile.classes)} classes")
    edges = np.asarray(column.edges, dtype=np.float32)
    uppers = np.clip(np.append(edges, 1.0).astype(np.float64), 0.0, 1.0)
    before = np.repeat(uppers, column.counts)
    before = before[:: max(1, -(-len(before) // _MOST_ROWS))]
    known = np.isfinite(scores)
    after = np.full(len(scores), np.nan)
    after[known] = uppers[np.searchsorted(edges, single(scores[known]), side="left")]
    return Doubt(probabilities=(_both(before), _both(after)), reason=_NO_ENSEMBLE)


def _both(chance: Floats) -> Floats:
    return np.column_stack([1 - chance, chance])
