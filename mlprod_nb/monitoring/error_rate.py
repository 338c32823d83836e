"""How much the endpoint refused or failed to answer, stretch by stretch, against the time before.

Refusals come in bursts, a caller's fault by the thousand, so single requests are no independent trials. Whole
stretches are compared instead, as response times are: by the Mann–Whitney test (Mann and Whitney 1947), and only where
the typical stretch refuses one request in a hundred more than before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

import numpy as np

from mlprod_nb.monitoring.sections import day
from mlprod_nb.monitoring.stretches import divide_alike
from mlprod_nb.monitoring.traffic import Traffic
from mlprod_nb.results import Section, counted, percent

MORE = 0.01
_STRETCHES = 12
_FEWEST = 20
_SHOWN = 3

Refusals = Sequence[tuple[float, str, int]]
"""Refused and failed requests: when they came, seconds since 1970, why, and how many."""


@dataclass(frozen=True)
class Side:
    """What was answered and what was refused in one time.

    Attributes:
        traffic: The answered predictions.
        refused: The refused requests.
    """

    traffic: Traffic
    refused: Refusals

    @property
    def requests(self) -> int:
        """How many requests were refused."""
        return sum(requests for _, _, requests in self.refused)

    @property
    def share(self) -> float:
        """Refused requests relative to them and the answered predictions; 0 where there is neither."""
        refused = self.requests
        return refused / (refused + self.traffic.rows) if refused else 0.0


@dataclass(frozen=True)
class ErrorRow:
    """The error rate in one stretch.

    Attributes:
        since: Its beginning.
        until: Its end.
        answered: Predictions that were answered; a request may ask for several.
        refused: Requests that were refused or failed.
        share: Refused ones relative to both.
        in_window: Of the window; ``False`` of the time before it.
    """

    since: datetime
    until: datetime
    answered: int
    refused: int
    share: float
    in_window: bool


@dataclass(frozen=True)
class ErrorRate:
    """Error rates.

    Attributes:
        rows: By stretch, oldest first.
        p_value: That no more is refused than before; ``None`` where that cannot be tested.
        higher: Significantly more, and by one request in a hundred or more.
        statement: In words.
    """

    rows: tuple[ErrorRow, ...]
    p_value: float | None
    higher: bool
    statement: str


def by_reason(refused: Refusals) -> dict[str, int]:
    """Return how many requests were refused for each reason."""
    found: Counter[str] = Counter()
    for _, reason, requests in refused:
        found[reason] += requests
    return dict(found)


def compare(now: Side, before: Side | None, alpha: float) -> ErrorRate:
    """Compare the window's error rate with that of the time before it.

    Args:
        now: The window.
        before: The time before it; ``None`` where that was not read.
        alpha: The chance that more is said to be refused where it is not.
    """
    here, there = _series(now, in_window=True), _series(before, in_window=False) if before is not None else []
    text = _told(now, before)
    if not here or not there:
        return ErrorRate((*there, *here), None, False, text)
    shares, earlier = ([row.share for row in rows] for rows in (here, there))
    more = float(np.median(shares) - np.median(earlier))
    p_value = 1.0
    if max(*shares, *earlier) > 0:
        from scipy.stats import mannwhitneyu  # not before it is needed: it takes a second to import

        p_value = float(mannwhitneyu(shares, earlier, alternative="greater", method="auto").pvalue)
    higher = p_value <= alpha and more >= MORE
    typical = f"{percent(float(np.median(shares)))} in the typical stretch, {percent(float(np.median(earlier)))} before"
    return ErrorRate(
        (*there, *here), p_value, higher, f"{text}; {typical}: {'more' if higher else 'no more'} than before"
    )


def warning(found: ErrorRate) -> str:
    """Return what a verdict says of a higher rate; empty where it is none."""
    if not found.higher:
        return ""
    now, before = ([row.share for row in found.rows if row.in_window is side] for side in (True, False))
    return f"{percent(float(np.median(now)))} of the requests were refused, {percent(float(np.median(before)))} before"


def section(found: ErrorRate | None) -> Section:
    """Return the table of error rates."""
    rows = tuple(
        (
            f"{day(row.since)} to {day(row.until)}",
            "window" if row.in_window else "before",
            row.answered,
            row.refused,
            percent(row.share),
        )
        for row in (found.rows if found is not None and any(row.refused for row in found.rows) else ())
    )
    return Section("error rate", ("requests of", "part", "answered", "refused", "error rate"), rows)


def _told(now: Side, before: Side | None) -> str:
    reasons = sorted(by_reason(now.refused).items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    why = f" ({', '.join(f'{name} {number:,}' for name, number in reasons)})" if reasons else ""
    text = f"{counted(now.requests, 'request')} refused{why} beside {counted(now.traffic.rows, 'answered prediction')}"
    return f"{text}: {percent(now.share)}" + (f", {percent(before.share)} before" if before is not None else "")


def _series(side: Side, *, in_window: bool) -> list[ErrorRow]:
    seconds = side.traffic.seconds
    if seconds is None:
        return []
    moments = np.array([moment for moment, _, _ in side.refused], dtype=np.float64).astype(np.int64)
    requests = np.array([number for _, _, number in side.refused], dtype=np.int64)
    if not len(seconds) and not len(moments):
        return []
    answers, refusals = divide_alike([seconds, moments], _STRETCHES)
    answered = answers.sizes.tolist()
    refused = np.bincount(refusals.places, weights=requests).astype(np.int64).tolist()
    rows = []
    for place, (here, gone) in enumerate(zip_longest(answered, refused, fillvalue=0)):
        if here + gone >= _FEWEST:
            share = gone / (here + gone)
            rows.append(ErrorRow(answers.starts(place), answers.ends(place), here, gone, share, in_window))
    return rows
