"""Domain classifier: can the window's rows be told from the reference's, and by which columns?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.rows import JointComparison, Samples, plain, upper_tail

MIN_ROWS = 50
BLOCKS = 5
_NAMED = 3
#: A column betrays the difference where permuting it costs at least this much of the area under the curve.
_COSTS = 0.01


@dataclass(frozen=True)
class DomainClassifier:
    """A classifier two-sample test (Lopez-Paz and Oquab 2017) in which every row is scored out of fold.

    Boosted trees, which take missing values as they are. The rows are dealt into five blocks; the classifier that was
    fitted on the blocks before scores the next one (prequential validation, Dawid 1984). Scores of ordinary
    cross-validation depend on each other through the folds that their classifiers share, so their test is not exact;
    here each block's rank test (Mann and Whitney 1947) is valid given all that came before, so the four are
    independent if nothing changed and are added as normal deviates, weighted by their rows (Stouffer 1949).

    The effect follows from the area under the curve ``a``: of two distributions that share all but ``t`` of their
    rows no score has an area above ``1 - (1 - t)² / 2``, so at least ``1 - sqrt(2 - 2 a)`` of the rows moved.

    >>> from mlprod_nb.monitoring.detectors.rows import read
    >>> x, kinds = np.random.default_rng(0).normal(size=1200), {"x": "number"}
    >>> DomainClassifier().compare(read(kinds, {"x": x[:600]}, {"x": x[600:]}), 0).p_value > 0.05
    True
    >>> DomainClassifier().compare(read(kinds, {"x": x[:600]}, {"x": x[600:] + 1}), 0).p_value < 1e-9
    True
    """

    name: str = "domain_classifier"
    floor: float = SHAPE_FLOOR

    def compare(self, samples: Samples, seed: int) -> JointComparison:
        """Compare; fewer than 50 rows on either side are not tested. Needs scikit-learn."""
        reason = samples.too_few(MIN_ROWS)
        if reason:
            return JointComparison(reason=reason)
        values, names = plain(samples)
        varied = [place for place in range(len(names)) if len(np.unique(values[:, place])) > 1]
        if not varied:
            return JointComparison(reason="every column is constant in both")
        values, names = values[:, varied], tuple(names[place] for place in varied)
        of_window = np.repeat([False, True], samples.rows)
        random = np.random.default_rng(seed)
        scored = _scored(values, of_window, random, seed)
        deviate = sum(np.sqrt(block.rows) * block.deviate() for block in scored)
        deviate /= np.sqrt(sum(block.rows for block in scored))
        area = _area(scored)
        betraying = _betraying(scored, names, area, random)
        return JointComparison(
            statistic=area,
            effect=max(0.0, 1 - float(np.sqrt(2 - 2 * max(area, 0.5)))),
            p_value=upper_tail(float(deviate)),
            columns=betraying,
            statement=_tell(samples, area, betraying),
        )


@dataclass(frozen=True)
class _Block:
    """Rows that a classifier scored without having seen them."""

    classifier: Any
    values: Floats
    of_window: NDArray[np.bool_]
    scores: Floats

    @property
    def rows(self) -> int:
        return len(self.scores)

    def deviate(self) -> float:
        """Return the rank sum as a normal deviate, with the variance that ties leave it."""
        from scipy.stats import rankdata

        ranks = rankdata(self.scores)
        n, m = int((~self.of_window).sum()), int(self.of_window.sum())
        variance = n * m * float(((ranks - ranks.mean()) ** 2).sum()) / ((n + m) * (n + m - 1))
        away = float(ranks[self.of_window].sum()) - m * (n + m + 1) / 2
        # Half a rank towards the middle: the sum moves in steps, and the tail begins at the step's near edge.
        return (away - 0.5) / np.sqrt(variance) if variance > 0 else 0.0

    def area(self, scores: Floats) -> float:
        from scipy.stats import rankdata

        n, m = int((~self.of_window).sum()), int(self.of_window.sum())
        return (float(rankdata(scores)[self.of_window].sum()) - m * (m + 1) / 2) / (n * m)


def _scored(values: Floats, of_window: NDArray[np.bool_], random: np.random.Generator, seed: int) -> list[_Block]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    place = np.empty(len(values), dtype=np.int64)
    for side in (False, True):  # each block gets its share of either side
        rows = random.permutation(np.flatnonzero(of_window == side))
        place[rows] = np.arange(len(rows)) % BLOCKS
    blocks = []
    for number in range(1, BLOCKS):
        before, here = place < number, place == number
        classifier = HistGradientBoostingClassifier(
            max_iter=50,
            max_leaf_nodes=8,
            min_samples_leaf=10,
            learning_rate=0.1,
            early_stopping=False,
            random_state=seed,
        )
        # Sides of unequal size get no weights: ranks do not need them, and they make the choice of bins slow.
        classifier.fit(values[before], of_window[before])
        scores = classifier.predict_proba(values[here])[:, 1]
        blocks.append(_Block(classifier, values[here], of_window[here], scores))
    return blocks


def _area(scored: Sequence[_Block]) -> float:
    return float(np.average([block.area(block.scores) for block in scored], weights=[block.rows for block in scored]))


def _betraying(
    scored: Sequence[_Block], names: Sequence[str], area: float, random: np.random.Generator
) -> tuple[str, ...]:
    """Return the columns whose permutation, in rows that the classifier has not seen, costs it the most area."""
    block = scored[-1]
    known = block.area(block.scores)
    costs = {}
    for place, name in enumerate(names):
        permuted = block.values.copy()
        permuted[:, place] = random.permutation(permuted[:, place])
        costs[name] = known - block.area(block.classifier.predict_proba(permuted)[:, 1])
    ranked = sorted((name for name, cost in costs.items() if cost >= _COSTS), key=lambda name: -costs[name])
    return tuple(ranked[:_NAMED]) if area > 0.5 else ()


def _tell(samples: Samples, area: float, betraying: Sequence[str]) -> str:
    n, m = samples.rows
    by = f", by {', '.join(betraying)}" if betraying else ""
    return f"boosted trees on {n:,} reference and {m:,} window rows: area under the curve {area:.3f} out of fold{by}"
