"""The gate on segments: the model is nowhere much worse than the champion.

What is tried are the conditions on one column that monitoring searches, too. In each, both models answered the same
rows: for right-or-wrong only those on which one of them is right tell (McNemar 1947, exact and one-sided), for errors
the paired differences do (Student 1908). P-values are corrected by Bonferroni over every segment that was tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.gates.options import Chance, NotNegative
from mlprod_nb.gates.protocol import GateOutcome, Inspection, NotTested
from mlprod_nb.gates.rows import Predicted
from mlprod_nb.monitoring import conditions, expressions
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.segments import ERROR_FLOOR, MIN_ROWS, SHARE_FLOOR
from mlprod_nb.results import format_pair


@dataclass(frozen=True)
class SegmentGate:
    """In no segment is the model worse than the champion by more than a margin and beyond chance.

    Attributes:
        margin: How much worse is as good: 0.03 of a share, or 10 % of the champion's error in the segment, where 0.
        alpha: Chance that any segment is called worse where none is.
        named: SQL expressions over columns, as ``carrier`` or ``hour >= 18``, whose segments are tried too.
    """

    margin: NotNegative = 0.0
    alpha: Chance = 0.05
    named: tuple[str, ...] = ()
    name: str = "segments"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Compare row by row in each segment."""
        champion, predicted = inspection.champion, inspection.predicted
        losses = [_losses(side) for side in (predicted, inspection.predicted_by_champion)]
        gaps, theirs = losses[0] - losses[1], losses[1]
        tried = [(words, rows) for words, rows in self._segments(inspection) if MIN_ROWS <= rows.sum() < len(rows)]
        if not tried:
            raise NotTested(f"no segment of the held-out rows has {MIN_ROWS} of them")
        found = [(worse_by_chance(predicted.task, gaps[rows]), words, rows) for words, rows in tried]
        p_value, words, rows = min(found, key=lambda one: (one[0], -float(gaps[one[2]].mean()), one[1]))
        corrected, gap, before = min(1.0, len(tried) * p_value), float(gaps[rows].mean()), float(theirs[rows].mean())
        regression = predicted.task == "regression"
        margin = self.margin or (ERROR_FLOOR * before if regression else SHARE_FLOOR)
        values = (before + gap, before) if regression else (1 - before - gap, 1 - before)
        both = format_pair(values[0], "against", values[1])
        told = f"{'error' if regression else 'accuracy'} {both} of {champion.subject}"
        sentence = (
            f"Worst of {len(tried)} segments: {told} where {words} ({int(rows.sum()):,} rows; p {_small(corrected)})."
        )
        alarm = corrected <= self.alpha and gap > margin
        return GateOutcome(self.name, "alarm" if alarm else "ok", sentence, gap if alarm else None, margin)

    def _segments(self, inspection: Inspection) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        columns = inspection.predicted.columns
        for condition in conditions.possible(columns):
            rows = condition.holds(columns)
            if rows is not None:
                yield str(condition), rows
        if not self.named:
            return
        import pyarrow as pa

        frame = inspection.held_out.frame
        table = {str(name): pa.Array.from_pandas(frame[name]) for name in frame.columns}
        for expression in self.named:
            values = np.array(expressions.evaluate(table, expression).to_pylist(), dtype=object)
            for value in dict.fromkeys(values.tolist()):
                yield f"{expression} is {value}", values == value


def _small(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value >= 1e-300 else "below 1e-300"


def worse_by_chance(task: str, gaps: Floats) -> float:
    """Return the one-sided p-value that losses are no larger than the champion's on the same rows."""
    from scipy.special import bdtrc, stdtr

    if task == "classification":
        lost, won = int((gaps > 0).sum()), int((gaps < 0).sum())
        return float(bdtrc(lost - 1, lost + won, 0.5)) if lost else 1.0
    error = float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    return float(stdtr(len(gaps) - 1, -gaps.mean() / error)) if error > 0 else float(gaps.mean() <= 0)


def _losses(predicted: Predicted) -> Floats:
    rows = predicted.rows
    wrong: Any = (
        np.abs(rows.scores - rows.labels) if predicted.task == "regression" else rows.labels != rows.predictions
    )
    return np.asarray(wrong, dtype=np.float64)
