"""What came in and what did not: how many rows, until when, how many requests were refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from mlprod_nb.columns import arrow_values, one_chunk
from mlprod_nb.monitoring.rows import Finding

if TYPE_CHECKING:
    import pyarrow as pa

_FEWEST_WINDOWS = 3
_TAIL = 5e-5
_NOTABLE_FACTOR = 1.5
_FEWEST_EVENTS = 20
_MEAN_GAPS = 14  # a gap of so many mean ones has a chance of 1e-6 if events come independently of each other
_SHOWN = 3
_MUCH, _FEW = 0.01, 10


def volume(rows: int, earlier: Sequence[int]) -> Iterator[Finding]:
    """Compare the rows of a window with those of the windows of the same length before it.

    The logarithm of the rows is compared by Student's prediction interval (Geisser 1993) at 1e-4, its spread never
    below that of a Poisson count: so a week-end or a season that earlier windows had too is no news. Empty windows
    before the first that has rows are from before the endpoint.

    Args:
        rows: Rows of the window.
        earlier: Rows of the windows before it, newest first.
    """
    from scipy.special import stdtrit

    known = np.trim_zeros(np.array(earlier, dtype=np.float64), "b")
    if not rows or len(known) < _FEWEST_WINDOWS:
        return
    logs, mean = np.log(known + 0.5), float(known.mean())
    spread = math.sqrt(max(float(logs.var(ddof=1)), 1 / mean) * (1 + 1 / len(known)))
    away = math.log(rows + 0.5) - float(logs.mean())
    width = max(float(-stdtrit(len(known) - 1, _TAIL)) * spread, math.log(_NOTABLE_FACTOR))
    if abs(away) > width:
        typical = math.exp(float(logs.mean()))
        text = f"{rows:,} predictions, where the {len(known)} windows before it had about {typical:,.0f}"
        yield Finding("", "volume", "warn", rows / typical, text)


def freshness(window: pa.Table, until: datetime | None, now: datetime | None) -> Iterator[Finding]:
    """Say whether events ceased before the window's end, or before now where it has none.

    They did where the newest is older than 14 mean gaps and than two of the longest: so nights and bursts are no news.
    Where all events are further back than they are apart, the log was filled afterwards, and that is only mentioned.
    """
    end = min((moment for moment in (until, now) if moment is not None), default=None)
    if end is None or "event_time" not in window.column_names or window.num_rows < _FEWEST_EVENTS:
        return
    moments = arrow_values(one_chunk(window.column("event_time").drop_null().cast("int64")))
    if len(moments) < _FEWEST_EVENTS:
        return
    gaps = np.diff(moments)
    if gaps.min() < 0:  # rows of the log are in order; to sort a million of them takes as long as all else here
        moments = np.sort(moments)
        gaps = np.diff(moments)
    last, longest = float(moments[-1] / 1e6), float(gaps.max() / 1e6)
    age, span = end.timestamp() - last, float((moments[-1] - moments[0]) / 1e6)
    if age > max(_MEAN_GAPS * span / len(gaps), 2 * longest):
        newest = datetime.fromtimestamp(last, UTC)
        where = "the window's end" if end == until else "now"
        text = f"the newest event is of {newest:%Y-%m-%d %H:%M} UTC, {_words(age)} before {where}"
        yield Finding("", "freshness", "info" if age > span else "warn", age, text)


def refused(reasons: Mapping[str, int], rows: int) -> Iterator[Finding]:
    """Say how many requests the gateway refused, and why; they are counted by when they came."""
    total = sum(reasons.values())
    if total:
        most = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{reason} {requests:,}" for reason, requests in most[:_SHOWN])
        more = " and others" if len(most) > _SHOWN else ""
        text = f"{total:,} request{'s were' if total > 1 else ' was'} refused beside {rows:,} predictions: {told}{more}"
        share = total / (total + rows)
        yield Finding("", "refused requests", "warn" if total >= _FEW and share >= _MUCH else "info", share, text)


def _words(seconds: float) -> str:
    for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number:,} {unit}{'s' if number > 1 else ''}"
    return f"{seconds:.0f} s"
