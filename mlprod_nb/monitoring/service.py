"""How fast the endpoint answered, stretch by stretch, against the time before.

Latencies of one hour resemble each other, so single requests are no independent rows. Whole stretches are compared
instead: the 95th percentiles of the window's stretches with those of the stretches before, by the Mann–Whitney test
(Mann and Whitney 1947). It is exact where one side has at most eight stretches and no two are equal, else its normal
approximation. A difference counts only where the window's percentiles are half as large again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from mlprod_nb.monitoring.sections import day, short
from mlprod_nb.monitoring.stretches import divide
from mlprod_nb.monitoring.traffic import Traffic
from mlprod_nb.results import Section

SLOWER = 1.5
_STRETCHES = 12
_FEWEST = 20


@dataclass(frozen=True)
class ServiceRow:
    """The response time in one stretch.

    Attributes:
        since: Its beginning.
        until: Its end.
        rows: Predictions.
        latency_median_ms: Median time of an answer, milliseconds.
        latency_95_ms: 95 % of the answers took no longer, milliseconds.
        in_window: Of the window; ``False`` of the time before it.
    """

    since: datetime
    until: datetime
    rows: int
    latency_median_ms: float
    latency_95_ms: float
    in_window: bool


@dataclass(frozen=True)
class Service:
    """Response times.

    Attributes:
        rows: By stretch, oldest first.
        p_value: That the window is no slower than the time before; ``None`` where that cannot be tested.
        slower: Significantly slower, and half as slow again or more.
        statement: In words.
    """

    rows: tuple[ServiceRow, ...]
    p_value: float | None
    slower: bool
    statement: str


def compare(window: Traffic, earlier: Traffic | None, alpha: float) -> Service:
    """Compare the window's response times with those before it.

    Args:
        window: The window's rows.
        earlier: The rows before it; ``None`` where there are none.
        alpha: The chance that the window is called slower where it is not.
    """
    now, before = _series(window, in_window=True), _series(earlier, in_window=False) if earlier is not None else []
    if not now:
        return Service((), None, False, "not compared: response times were not read, or are not in the log")
    here, there = ([row.latency_95_ms for row in rows] for rows in (now, before))
    text = f"95 % of the answers within {np.median(here):.3g} ms in the typical stretch"
    if not there:
        return Service(tuple(now), None, False, f"{text}; not compared: nothing is known of the time before")
    from scipy.stats import mannwhitneyu  # not before it is needed: it takes a second to import

    # The smallest p-value that so few stretches can give.
    p_value = float(mannwhitneyu(here, there, alternative="greater", method="auto").pvalue)
    ratio = float(np.median(here) / np.median(there)) if np.median(there) > 0 else 1.0
    slower = p_value <= alpha and ratio >= SLOWER
    text += f", {np.median(there):.3g} ms before; " + (f"{ratio:.2g} times as slow" if slower else "no slower")
    return Service((*before, *now), p_value, slower, text)


def section(found: Service | None) -> Section:
    """Return the table of response times."""
    rows = (
        ()
        if found is None
        else tuple(
            (
                f"{day(row.since)} to {day(row.until)}",
                "window" if row.in_window else "before",
                row.rows,
                short(row.latency_median_ms),
                short(row.latency_95_ms),
            )
            for row in found.rows
        )
    )
    return Section("response time", ("answers of", "part", "rows", "median, ms", "95 %, ms"), rows)


def _series(traffic: Traffic, *, in_window: bool) -> list[ServiceRow]:
    if traffic.latency_ms is None or traffic.seconds is None:
        return []
    there = np.isfinite(traffic.latency_ms)
    if not there.any():
        return []
    latency, seconds = traffic.latency_ms, traffic.seconds
    if not there.all():
        latency, seconds = latency[there], seconds[there]
    stretches = divide(seconds, _STRETCHES)
    rows = []
    for place in stretches.present:
        here = latency[stretches.places == place]
        if len(here) >= _FEWEST:
            middle, most = np.quantile(here, (0.5, 0.95)).tolist()
            rows.append(ServiceRow(stretches.starts(place), stretches.ends(place), len(here), middle, most, in_window))
    return rows
