"""Importance weights for covariate shift: how much more a row looks like the present than like what is trained on.

Training on rows weighted by p_now(x) / p_trained(x) is consistent for the present where only the inputs' distribution
changed (Shimodaira, 2000, Journal of Statistical Planning and Inference 90). What is trained on is a mixture of past
rows and of a share s of present ones, so the ratio is r / (s r + 1 - s) with r = p_now / p_then, at most 1 / s (the
relative density ratio: Yamada et al., 2013, Neural Computation 25). r comes from a classifier that tells then from now
(Bickel, Brückner and Scheffer, 2009, Journal of Machine Learning Research 10): p / (1 - p) × rows then / rows now, with
its out-of-fold probability p of *now*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

#: No row counts more than this many, where few of the present are trained on and the ratio has no bound of its own.
LARGEST = 20.0
_FOLDS = 5
_SEED = 1
_FEWEST = 50


def relative(then: pd.DataFrame, now: pd.DataFrame, trained: int) -> NDArray[np.float64]:
    """Return the weights of all rows of ``then`` and of the first rows of ``now``, together with mean 1.

    Args:
        then: Past rows, trained on.
        now: Rows of the present; the same columns. Those without a label serve to know the present too.
        trained: How many rows of ``now`` are trained on; they come first.

    Raises:
        ValueError: Either has fewer than 50 rows, too few to tell one from the other.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    check_enough(len(then), len(now))
    is_now = np.repeat([0, 1], [len(then), len(now)])
    model = HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, max_leaf_nodes=8, random_state=_SEED)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    chance = cross_val_predict(model, _coded(then, now), is_now, cv=folds, method="predict_proba")[:, 1]
    ratio = chance / np.maximum(1.0 - chance, 1e-9) * (len(then) / len(now))
    share = trained / (len(then) + trained)
    found = (ratio / (share * ratio + 1.0 - share))[: len(then) + trained]
    weights = np.clip(found, 0.0, LARGEST)
    scaled: NDArray[np.float64] = weights / max(float(weights.mean()), 1e-12)
    return scaled


def check_enough(then: int, now: int) -> None:
    """Refuse numbers of past and of present rows that are too few.

    Raises:
        ValueError: Either is below 50.
    """
    if min(then, now) < _FEWEST:
        raise ValueError(f"there are {then} rows before the window and {now} in it; each needs {_FEWEST}")


def effective_rows(weights: NDArray[np.float64]) -> float:
    """Return how many equally weighted rows these are worth: (Σw)² / Σw² (Kish, 1965, Survey Sampling)."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _coded(then: pd.DataFrame, now: pd.DataFrame) -> NDArray[np.float64]:
    """Return both tables' rows as numbers: categories by their frequency's rank, what is missing as NaN."""
    import pandas as pd

    both: pd.DataFrame = pd.concat([then, now], ignore_index=True)
    columns: list[Any] = []
    for name in both.columns:
        column = both[name]
        if pd.api.types.is_numeric_dtype(column):
            columns.append(column.astype("float64").to_numpy())
        else:
            ranks = {value: rank for rank, value in enumerate(column.value_counts().index)}
            columns.append(column.map(ranks).astype("float64").to_numpy())
    coded: NDArray[np.float64] = np.column_stack(columns)
    coded[~np.isfinite(coded)] = np.nan
    return coded
