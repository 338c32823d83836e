"""Gates on held-out rows: are they held out, is the model good enough, no worse than the champion, calibrated?"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import FiniteFloat

from mlprod_nb.gates import paired
from mlprod_nb.gates.options import Chance, NotNegative, Share, one_of
from mlprod_nb.gates.protocol import GateOutcome, GateStatus, Inspection, NotTested
from mlprod_nb.gates.rows import FEWEST
from mlprod_nb.monitoring import calibration, performance, scoring
from mlprod_nb.monitoring.performance import HIGHER_IS_BETTER, Estimate
from mlprod_nb.results import format_interval, format_pair, percent

_BEYOND_CHANCE = 0.001
Compared = Annotated[str, one_of("metric", paired.METRICS)]
Scored = Annotated[str, one_of("metric", {*paired.METRICS, *HIGHER_IS_BETTER})]


@dataclass(frozen=True)
class HeldOutGate:
    """The held-out rows are not among the reference rows, which the model was mostly trained on.

    Rows repeat by themselves where columns have few values. So what is compared is how often a reference row is found
    among so many held-out rows, and how often among as many reference rows.

    Attributes:
        most: The largest share by which the first may exceed the second.
    """

    most: Share = 0.05
    name: str = "held-out"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Look every reference row up."""
        held_out = inspection.held_out
        names = [name for name in inspection.bundle.signature.names if name in held_out.frame.columns]
        reference = _keys(inspection.reference.select(names).to_pandas())
        rows = _keys(held_out.frame[names])
        count = min(len(reference), len(rows))
        if count < FEWEST:
            raise NotTested(f"{count} rows are too few to tell")
        rng = np.random.default_rng(0)
        sample, other = (_some(keys, count, rng) for keys in (reference, rows))
        repeats, there = Counter(sample), set(other)
        inside = sum(repeats[key] > 1 for key in sample) / count
        found = sum(key in there for key in sample) / count
        shared, repeated = percent(found), percent(inside)
        sentence = f"{shared} of the reference rows are among the held-out ones, {repeated} repeat by themselves."
        excess = max(0.0, found - inside)
        if excess > self.most:
            sentence += " If the model was trained on them, the scores on held-out rows are too good."
        return GateOutcome(self.name, "warn" if excess > self.most else "ok", sentence, excess, self.most)


@dataclass(frozen=True)
class ScoreGate:
    """The model is good enough on held-out rows.

    Attributes:
        limits: By metric the worst value that passes: a floor for accuracy, a ceiling for an error.
    """

    limits: dict[Scored, FiniteFloat] = field(default_factory=dict)
    name: str = "score"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Say no where the value is beyond its limit, and warn where only its interval is."""
        predicted = inspection.predicted
        count = len(predicted.rows.labels)
        if count < FEWEST:
            raise NotTested(f"{count} held-out rows are too few; {FEWEST} are needed")
        found = {e.metric: e for e in performance.evaluate(predicted.task, predicted.classes, predicted.rows)}
        if not self.limits:
            told = ", ".join(_told(estimate) for estimate in found.values())
            raise NotTested(f"no limits are set; on held-out rows it has {told}")
        if strange := [metric for metric in self.limits if metric not in found]:
            sentence = f"There is no {strange[0]} on these rows; there is {', '.join(found)}."
            return GateOutcome(self.name, "alarm", sentence)
        status, parts = "ok", []
        for metric, limit in self.limits.items():
            judged, words = _held_to(found[metric], limit)
            parts.append(words)
            status = max(status, judged, key=("ok", "warn", "alarm").index)
        return GateOutcome(self.name, status, _sentence("; ".join(parts)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ChampionGate:
    """The model is no worse than the champion on the same held-out rows, by more than a margin.

    It passes where the whole interval of the paired difference lies within the margin, so a model that is worse by the
    margin passes with a chance of ``alpha / 2``. It is a no where the interval shows it to be worse and reaches beyond
    the margin, which happens to an equal one with a chance of at most ``alpha / 2``. What the rows cannot tell is a
    warning.

    Attributes:
        metric: By which; Brier's score, of several classes summed over them, and the absolute error where empty.
        margin: How much worse is as good, in the metric's units; where 0, 0.01 of a share and 5 % of the champion's
            error.
        alpha: Chance that the interval leaves out the truth, two-sided.
        unit: A column of the held-out rows that names what belongs together, such as a customer; empty: nothing does.
    """

    metric: Compared = ""
    margin: NotNegative = 0.0
    alpha: Chance = 0.05
    unit: str = ""
    name: str = "champion"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Compare row by row."""
        champion, predicted = inspection.champion, inspection.predicted
        other = inspection.predicted_by_champion
        if other.classes != predicted.classes:
            raise NotTested(f"{champion.subject} has other classes")
        metric = self.metric or paired.default_metric(predicted)
        found = paired.compare(metric, predicted, other, alpha=self.alpha, units=self._units(inspection))
        share = metric in HIGHER_IS_BETTER
        margin = self.margin or (scoring.SHARE_MARGIN if share else scoring.ERROR_MARGIN * found.champion)
        low, high = found.interval.lower, found.interval.upper
        status = "ok" if high <= margin else "alarm" if low > 0 else "warn"
        scores = format_pair(found.candidate, "against", found.champion, digits=4)
        words = f"{metric} {scores} of {champion.subject} on the same rows"
        side = "worse" if found.worse > 0 else "better"
        level = percent(1 - self.alpha, 0)
        bounds = format_interval(low, high, digits=2)
        interval = f"{side} by {abs(found.worse):.2g} (how much worse, {level} interval: {bounds})"
        judged = {
            "ok": f"within the margin of {margin:.2g}",
            "alarm": f"the margin is {margin:.2g}",
            "warn": f"these {found.units:,} {'units' if self.unit else 'rows'} cannot tell whether that is within the "
            f"margin of {margin:.2g}{_needed(found, margin)}",
        }
        sentence = _sentence(f"{words}: {interval}; {judged[status]}")
        return GateOutcome(self.name, status, sentence, found.worse, margin)  # type: ignore[arg-type]

    def _units(self, inspection: Inspection) -> Any:
        if not self.unit:
            return None
        frame = inspection.held_out.frame
        if self.unit not in frame.columns:
            raise NotTested(f"the held-out rows have no column {self.unit!r} to group by")
        return np.unique(frame[self.unit].astype(str).to_numpy(), return_inverse=True)[1]


@dataclass(frozen=True)
class CalibrationGate:
    """Probabilities mean what they say on held-out rows.

    Attributes:
        most: The largest expected calibration error that passes, beyond what chance alone would show.
    """

    most: Share = 0.03
    name: str = "calibration"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Say no where the error is large and chance does not explain it; warn where it may."""
        predicted = inspection.predicted
        if predicted.task == "regression":
            raise NotTested("a regression gives no probabilities")
        came = calibration.truths(len(predicted.classes), predicted.rows)
        of = str(predicted.classes[-1]) if len(predicted.classes) == 2 else "the predicted class"
        found = calibration.reliability(predicted.rows.scores, came, of=of)
        if found is None:
            raise NotTested(f"{len(came)} held-out rows are too few; {FEWEST} are needed")
        excess = max(0.0, found.error - found.error_by_chance)
        status: GateStatus = (
            "ok" if excess <= self.most else "alarm" if (found.p_value or 0.0) <= _BEYOND_CHANCE else "warn"
        )
        said, happened = percent(float(predicted.rows.scores.mean())), percent(float(came.mean()))
        error = f"the calibration error is {found.error:.3f}, by chance alone it would be {found.error_by_chance:.3f}"
        told = {"ok": "", "warn": "; these rows cannot tell whether that is chance", "alarm": "; that is no chance"}
        sentence = _sentence(f"on average {said} was said and {happened} happened; {error}{told[status]}")
        return GateOutcome(self.name, status, sentence, excess, self.most)


def _held_to(estimate: Estimate, limit: float) -> tuple[str, str]:
    """Return a metric's status under its limit, and the words for it."""
    floor = estimate.metric in HIGHER_IS_BETTER
    sign = 1 if floor else -1
    worst = estimate.lower if floor else estimate.upper
    kind = "floor" if floor else "ceiling"
    status = "alarm" if sign * (estimate.value - limit) < 0 else "warn" if sign * (worst - limit) < 0 else "ok"
    side = {"alarm": "is beyond", "warn": "is not surely within", "ok": "is within"}[status]
    return status, f"{_told(estimate)} {side} its {kind} of {limit:g}"


def _told(estimate: Estimate) -> str:
    return f"{estimate.metric} {estimate.value:.3g} ({format_interval(estimate.lower, estimate.upper)})"


def _needed(found: paired.Paired, margin: float) -> str:
    """Say how many rows would tell, were there no difference; the interval shrinks with the root of their number."""
    half = (found.interval.upper - found.interval.lower) / 2
    rows = math.ceil(found.units * (half / margin) ** 2) if margin > 0 else 0
    return f"; about {rows:,} would, were they equal" if rows > found.units else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _keys(frame: Any) -> list[int]:
    """Return one number a row by which equal rows are found."""
    import pandas as pd

    plain = frame.astype({name: "float64" for name in frame.columns if frame[name].dtype.kind in "iufb"})
    keys: list[int] = pd.util.hash_pandas_object(plain.astype(object).astype(str), index=False).tolist()
    return keys


def _some(keys: list[int], count: int, rng: np.random.Generator) -> list[int]:
    return [keys[place] for place in rng.choice(len(keys), count, replace=False)]
