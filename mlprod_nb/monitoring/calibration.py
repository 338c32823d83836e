"""Do probabilities mean what they say? The reliability curve, and the map from a score to a share.

The curve is of bins of equally many labelled rows. The expected calibration error (ECE; Naeini, Cooper and Hauskrecht
2015) is never 0 on a finite sample, so what a perfectly calibrated model would show on these rows stands beside it.
Slope and intercept are those of a logistic regression of the outcome on the score's logit (Cox 1958): 1 and 0 where
calibrated, a slope below 1 where the model is too sure of itself. Spiegelhalter's z (1986) tests it as a whole.

The map (:class:`ScoreMap`) is isotonic regression by blocks (Zadrozny and Elkan 2002) on the reference's labelled rows.
It is kept in the profile, and what ``estimation`` expects of unlabelled rows rests on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.performance import Labelled
from mlprod_nb.results import Section, format_interval, percent

_Z = 1.959963984540054
_BINS = 10
_FEWEST = 50
_ROUNDS = 50
_MAP_FEWEST = 200
_MAP_BINS = 50
_SMALLEST = 1e-6
_BEYOND_CHANCE = 0.001


@dataclass(frozen=True)
class ScoreMap:
    """What share of the reference's rows came true, by score: rising steps.

    Attributes:
        edges: Upper ends of all steps but the last, inclusive.
        shares: The share that came true in each step.
        rows: Reference rows in each step.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    rows: tuple[int, ...]

    @classmethod
    def from_plain(cls, data: dict[str, Any] | None) -> ScoreMap | None:
        """Read what a profile's JSON holds; profiles made before there were such maps hold none."""
        return None if data is None else cls(**{name: tuple(values) for name, values in data.items()})

    def places(self, scores: Floats) -> NDArray[np.intp]:
        """Return the step of each score."""
        return np.searchsorted(np.array(self.edges), scores, side="left")

    def variances(self) -> Floats:
        """Return the sampling variance of each step's share, Agresti–Coull's form: never 0."""
        rows = np.array(self.rows, dtype=np.float64)
        shares = (np.array(self.shares) * rows + 2) / (rows + 4)
        variances: Floats = shares * (1 - shares) / (rows + 4)
        return variances


@dataclass(frozen=True)
class ReliabilityBin:
    """Labelled rows of similar score.

    Attributes:
        score: Their mean score.
        share: The share of them that came true.
        lower: Lower end of its 95 % interval.
        upper: Upper end of its 95 % interval.
        rows: How many there are.
    """

    score: float
    share: float
    lower: float
    upper: float
    rows: int


@dataclass(frozen=True)
class Reliability:
    """How a classifier's probabilities compare with what happened.

    Attributes:
        of: Whose probability it is: the last class's, or the predicted one's where there are more than two.
        bins: The reliability curve.
        rows: Labelled rows.
        error: The expected calibration error.
        error_by_chance: What a perfectly calibrated model would show on as many rows of these scores.
        slope: Slope of the logistic recalibration; ``None`` where it could not be fitted.
        slope_lower: Lower end of its 95 % interval.
        slope_upper: Upper end of its 95 % interval.
        intercept: Its intercept.
        intercept_lower: Lower end of its 95 % interval.
        intercept_upper: Upper end of its 95 % interval.
        z: Spiegelhalter's z.
        p_value: Its two-sided p-value.
        statement: What that says.
    """

    of: str
    bins: tuple[ReliabilityBin, ...]
    rows: int
    error: float
    error_by_chance: float
    slope: float | None
    slope_lower: float | None
    slope_upper: float | None
    intercept: float | None
    intercept_lower: float | None
    intercept_upper: float | None
    z: float | None
    p_value: float | None
    statement: str


def truths(classes: int, rows: Labelled) -> NDArray[np.bool_]:
    """Return in which rows the event came true whose probability is the score; see ``onnx_runner.scores``."""
    came: NDArray[np.bool_] = rows.labels == (1 if classes == 2 else rows.predictions)
    return came


def fit(scores: Floats, came: NDArray[np.bool_]) -> ScoreMap | None:
    """Fit the map from scores to shares; ``None`` for fewer than 200 rows, or fewer than 10 of either outcome.

    Scores are put into at most 50 bins of equally many rows first, so that no step rests on a handful.
    """
    from scipy.optimize import isotonic_regression

    if len(scores) < _MAP_FEWEST or min(came.sum(), (~came).sum()) < 10:
        return None
    levels = min(_MAP_BINS, len(scores) // 20)
    cuts = np.unique(np.quantile(scores, np.linspace(0, 1, levels + 1)[1:-1], method="inverted_cdf"))
    places = np.searchsorted(cuts, scores, side="left")
    rows, hits = np.bincount(places, minlength=len(cuts) + 1), np.bincount(places, came, minlength=len(cuts) + 1)
    there = np.flatnonzero(rows)
    cuts = cuts[there[:-1]]
    blocks = isotonic_regression(hits[there] / rows[there], weights=rows[there]).blocks
    return ScoreMap(
        edges=tuple(float(cuts[stop - 1]) for stop in blocks[1:-1]),
        shares=tuple(
            float(s) for s in np.add.reduceat(hits[there], blocks[:-1]) / np.add.reduceat(rows[there], blocks[:-1])
        ),
        rows=tuple(int(n) for n in np.add.reduceat(rows[there], blocks[:-1])),
    )


def reliability(scores: Floats, came: NDArray[np.bool_], *, of: str) -> Reliability | None:
    """Compare probabilities with what happened; ``None`` for fewer than 50 labelled rows, or scores beyond 0 and 1."""
    if len(scores) < _FEWEST or scores.min() < 0 or scores.max() > 1:
        return None
    bins, error, chance = _bins(scores, came)
    (intercept, slope), errors = recalibration(scores, came)
    z, p_value = spiegelhalter(scores, came)

    def end(value: float | None, side: int, place: int) -> float | None:
        return None if value is None else value + side * _Z * errors[place]

    return Reliability(
        of, bins, len(scores), error, chance,
        slope, end(slope, -1, 1), end(slope, 1, 1), intercept, end(intercept, -1, 0), end(intercept, 1, 0),
        z, p_value, _tell(scores, came, error, p_value),
    )  # fmt: skip


def spiegelhalter(scores: Floats, came: NDArray[np.bool_]) -> tuple[float | None, float | None]:
    """Return Spiegelhalter's z and its two-sided p-value; ``None`` where every score is 0, ½ or 1."""
    from scipy.special import ndtr

    slack = 1 - 2 * scores
    variance = float((slack**2 * scores * (1 - scores)).sum())
    if variance <= 0:
        return None, None
    z = float(((came - scores) * slack).sum()) / math.sqrt(variance)
    return z, float(2 * ndtr(-abs(z)))


def recalibration(
    scores: Floats, came: NDArray[np.bool_]
) -> tuple[tuple[float | None, float | None], tuple[float, float]]:
    """Fit the outcome on the score's logit by Newton's method.

    Returns:
        Intercept and slope, and their standard errors; ``None`` where they do not exist (one outcome only, one score
        only, or outcomes that a threshold separates).
    """
    clipped = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
    design = np.column_stack([np.ones(len(scores)), np.log(clipped / (1 - clipped))])
    beta = np.array([0.0, 1.0])
    if came.all() or not came.any() or np.ptp(scores) == 0:
        return (None, None), (0.0, 0.0)
    for _ in range(_ROUNDS):
        expected = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        information = (design * (expected * (1 - expected))[:, None]).T @ design
        if np.linalg.cond(information) > 1e12:
            return (None, None), (0.0, 0.0)
        step = np.linalg.solve(information, design.T @ (came - expected))
        beta = beta + step
        if np.abs(step).max() < 1e-9:
            errors = np.sqrt(np.diag(np.linalg.inv(information)))
            return (float(beta[0]), float(beta[1])), (float(errors[0]), float(errors[1]))
    return (None, None), (0.0, 0.0)


def wilson(hits: Any, rows: Any) -> tuple[Any, Any]:
    """Return Wilson's 95 % interval of shares (Wilson 1927)."""
    share, z2 = hits / rows, _Z**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _Z / (1 + z2 / rows) * np.sqrt(share * (1 - share) / rows + z2 / (4 * rows**2))
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)


def section(found: Reliability | None) -> Section:
    """Return the facts of a calibration."""
    if found is None:
        return Section("calibration", (), ())
    facts: list[tuple[str, Any]] = [
        ("probability of", found.of),
        ("expected calibration error", found.error),
        ("by chance alone it would be", found.error_by_chance),
        ("slope (1: calibrated)", _interval(found.slope, found.slope_lower, found.slope_upper)),
        ("intercept (0: calibrated)", _interval(found.intercept, found.intercept_lower, found.intercept_upper)),
        ("Spiegelhalter's z", None if found.z is None else f"{found.z:.2f}, p = {found.p_value:.2g}"),
        ("labelled rows", found.rows),
        ("in words", found.statement),
    ]
    return Section("calibration", (), tuple(facts))


def _bins(scores: Floats, came: NDArray[np.bool_]) -> tuple[tuple[ReliabilityBin, ...], float, float]:
    order = np.argsort(scores, kind="stable")
    cuts = np.unique(np.quantile(scores, np.linspace(0, 1, _BINS + 1)[1:-1], method="inverted_cdf"))
    places = np.searchsorted(cuts, scores[order], side="left")
    bins, error, chance = [], 0.0, 0.0
    for place in np.unique(places):
        here = order[places == place]
        rows, score, share = len(here), float(scores[here].mean()), float(came[here].mean())
        lower, upper = wilson(float(came[here].sum()), rows)
        bins.append(ReliabilityBin(score, share, float(lower), float(upper), rows))
        error += rows / len(scores) * abs(share - score)
        # The mean size of a normal deviate is the square root of 2 / pi of its standard deviation.
        spread = math.sqrt(float((scores[here] * (1 - scores[here])).sum())) / rows
        chance += rows / len(scores) * math.sqrt(2 / math.pi) * spread
    return tuple(bins), error, chance


def _tell(scores: Floats, came: NDArray[np.bool_], error: float, p_value: float | None) -> str:
    said, happened = percent(float(scores.mean())), percent(float(came.mean()))
    beyond = p_value is not None and p_value <= _BEYOND_CHANCE
    size = "chance does not explain the difference" if beyond else "chance explains the difference"
    return f"on average {said} was said and {happened} happened (calibration error {error:.3f}); {size}"


def _interval(value: float | None, lower: float | None, upper: float | None) -> str:
    if value is None or lower is None or upper is None:
        return "not fitted"
    return f"{value:.3g} ({format_interval(lower, upper, to='…')})"
