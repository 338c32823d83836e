"""Which predictions have labels yet: by age, how late labels come, and whether they come for all alike.

A recent prediction without a label is not a wrong one: it is not known. Labels that come for some predictions rather
than others (only flagged payments are looked into) make every metric of the labelled rows one of another population.
That is tested by the scores of labelled against unlabelled rows inside each stretch of time, so that a score that
moves while labels are late is not taken for it: van Elteren's stratified Wilcoxon test (van Elteren 1960).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.columns import Floats, ranks_of
from mlprod_nb.monitoring.sections import day
from mlprod_nb.monitoring.stretches import Seconds, divide
from mlprod_nb.results import Section, counted, duration, percent

#: A chance of 0.55 that a labelled row scores higher than an unlabelled one of the same days is notable.
SELECTIVE = 0.05
_STRETCHES = 10
_FEWEST = 30
_MOST = 200_000
_AT_ONCE = 0.01
#: A stretch with less than this share of the typical one's labels is said to have hardly any yet.
_HARDLY = 0.1


@dataclass(frozen=True)
class LabelStretch:
    """One stretch of the window's time.

    Attributes:
        since: Its beginning.
        until: Its end.
        rows: Predictions.
        labelled: Those with a label.
    """

    since: datetime
    until: datetime
    rows: int
    labelled: int


@dataclass(frozen=True)
class LabelDelay:
    """Which predictions of the version have labels.

    Attributes:
        rows: Its predictions.
        labelled: Those with a label.
        stretches: The same by time, oldest first.
        delay_median_s: Median of the time from when a prediction was received to when its label was, seconds, of
            those that came; ``None`` where it is not known.
        delay_95_s: By when 95 % of those came, seconds.
        favoured: Chance that a labelled row's score is above an unlabelled one's of the same stretch; 0.5 where
            labels come for all alike; ``None`` where it was not tested.
        p_value: Of the test that it is 0.5.
        selective: Significant, and far enough from 0.5 to matter.
        statement: All that in words.
    """

    rows: int
    labelled: int
    stretches: tuple[LabelStretch, ...]
    delay_median_s: float | None
    delay_95_s: float | None
    favoured: float | None
    p_value: float | None
    selective: bool
    statement: str


@dataclass(frozen=True)
class Arrivals:
    """What is known of each prediction's label, arrays of one length.

    Attributes:
        known: Whether it has a label.
        scores: The scores.
        seconds: When the prediction's event was, seconds since 1970; traffic that is replayed has old ones.
        logged_at: When the prediction was received, seconds since 1970; ``None`` where that is not logged.
        labelled_at: When the label was received, seconds since 1970, NaN without one; ``None`` as above.
    """

    known: NDArray[np.bool_]
    scores: Floats
    seconds: Seconds
    logged_at: Floats | None
    labelled_at: Floats | None


def describe(arrivals: Arrivals, alpha: float) -> LabelDelay | None:
    """Say which predictions have labels; ``None`` where there are no predictions.

    Args:
        arrivals: The predictions.
        alpha: The chance that labels are called selective where they come for all alike.
    """
    if not len(arrivals.known):
        return None
    stretches = divide(arrivals.seconds, _STRETCHES)
    rows = []
    for place in stretches.present:
        here = stretches.places == place
        known = int(arrivals.known[here].sum())
        rows.append(LabelStretch(stretches.starts(place), stretches.ends(place), int(here.sum()), known))
    median, most = _delays(arrivals)
    favoured, p_value = stratified(arrivals.scores, arrivals.known, stretches.places)
    selective = p_value is not None and p_value <= alpha and abs((favoured or 0.5) - 0.5) >= SELECTIVE
    found = LabelDelay(
        len(arrivals.known), int(arrivals.known.sum()), tuple(rows), median, most, favoured, p_value, selective, ""
    )
    return LabelDelay(**{**found.__dict__, "statement": _tell(found)})


def stratified(
    scores: Floats, chosen: NDArray[np.bool_], strata: NDArray[np.signedinteger[Any]]
) -> tuple[float | None, float | None]:
    """Return the chance that a chosen row scores above another of its stratum, and the p-value that it is one half.

    Strata with fewer than 30 rows of either sort are left out; ``None`` twice where none is left. Of very many rows
    every second, third … is taken.
    """
    from scipy.special import ndtr

    above, total, moved, variance = 0.0, 0.0, 0.0, 0.0
    step = -(-len(scores) // _MOST)
    scores, chosen, strata = scores[::step], chosen[::step], strata[::step]
    finite = np.isfinite(scores)
    for place in np.unique(strata):
        here = finite & (strata == place)
        m, n = int(chosen[here].sum()), int((~chosen[here]).sum())
        if min(m, n) < _FEWEST:
            continue
        ranks = ranks_of(scores[here])
        excess = float(ranks[chosen[here]].sum()) - m * (m + n + 1) / 2
        above += excess + m * n / 2
        total += m * n
        # Van Elteren's weights, 1 / (rows + 1), are best where the difference is alike in all strata.
        weight = 1 / (m + n + 1)
        moved += weight * excess
        variance += weight**2 * m * n * float(ranks.var(ddof=1)) / (m + n)
    if not total:
        return None, None
    return above / total, float(2 * ndtr(-abs(moved) / math.sqrt(variance))) if variance else 1.0


def section(found: LabelDelay | None) -> Section:
    """Return the table of labels by time; one row where every prediction has a label."""
    stretches = () if found is None else found.stretches
    if stretches and all(stretch.labelled == stretch.rows for stretch in stretches):
        rows = sum(stretch.rows for stretch in stretches)
        stretches = (LabelStretch(stretches[0].since, stretches[-1].until, rows, rows),)
    table = tuple(
        (f"{day(s.since)} to {day(s.until)}", s.rows, s.labelled, percent(s.labelled / s.rows)) for s in stretches
    )
    return Section("labels", ("predictions of", "rows", "with a label", "share"), table)


def _delays(arrivals: Arrivals) -> tuple[float | None, float | None]:
    if arrivals.labelled_at is None or arrivals.logged_at is None:
        return None, None
    delays = arrivals.labelled_at[arrivals.known] - arrivals.logged_at[arrivals.known]
    delays = delays[np.isfinite(delays)]
    if not delays.size or float(delays.max()) <= 0:
        return None, None
    middle, most = np.quantile(delays, (0.5, 0.95)).tolist()
    came = arrivals.labelled_at[np.isfinite(arrivals.labelled_at)]
    if np.ptp(came) < _AT_ONCE * middle:  # loaded together later on, so it says nothing of how long they take
        return None, None
    return float(middle), float(most)


def _tell(found: LabelDelay) -> str:
    if not found.labelled:
        return f"none of {counted(found.rows, 'prediction')} has a label yet, so nothing is known of how right they are"
    parts = [f"{percent(found.labelled / found.rows)} of {counted(found.rows, 'prediction')} have a label"]
    if found.delay_median_s is not None and found.delay_95_s is not None:
        parts.append(
            f"of those that came, half came within {duration(found.delay_median_s)}"
            f" and 95 % within {duration(found.delay_95_s)}"
        )
    recent = _unlabelled_end(found.stretches)
    if recent:
        rows = sum(stretch.rows for stretch in recent)
        parts.append(
            f"since {day(recent[0].since)} hardly any label has come"
            f" ({counted(rows, 'prediction')}): how right these are is not known, and they are not counted as wrong"
        )
    if found.selective and found.favoured is not None:
        side = "higher" if found.favoured > 0.5 else "lower"
        parts.append(
            f"labels come selectively: labelled rows have {side} scores than unlabelled ones of the same time"
            f" (chance {found.favoured:.2f} of being higher), so the metrics are of another population than the traffic"
        )
    return "; ".join(parts)


def _unlabelled_end(stretches: tuple[LabelStretch, ...]) -> list[LabelStretch]:
    typical = float(np.median([s.labelled / s.rows for s in stretches if s.labelled] or [0.0]))
    recent: list[LabelStretch] = []
    for stretch in reversed(stretches):
        if stretch.labelled / stretch.rows >= _HARDLY * typical:
            break
        recent.insert(0, stretch)
    return recent
