"""One rate at any time, exactly: a confidence sequence for the chance of an event, such as a failed request.

The mixture of all chances by Jeffreys's beta is a martingale against each of them (Robbins 1970, "Statistical methods
related to the law of the iterated logarithm", Annals of Mathematical Statistics 41): by Ville's inequality the chances
that it ever exceeds by ``1 / alpha`` hold the true one with a chance of at most ``alpha``, after any number of looks.
Two rates are compared by their own sequences, so how the events are divided between them need not be known.
"""

from __future__ import annotations

import math

from mlprod_nb.abtest.estimate import Interval

_HALVINGS = 60


def sequence(events: int, times: int, *, alpha: float) -> Interval:
    """Return the chances that have not fallen.

    Args:
        events: How often it happened.
        times: How often it could have.
        alpha: The chance that the true one is ever left out.
    """
    if times <= 0:
        return Interval(0.0, 1.0)
    found = events / times
    return Interval(
        _end(events, times, alpha, found, 0.0) if events else 0.0,
        _end(events, times, alpha, found, 1.0) if events < times else 1.0,
    )


def _end(events: int, times: int, alpha: float, inner: float, outer: float) -> float:
    needed = -math.log(alpha)
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        if _log_evidence(events, times, middle) < needed:
            inner = middle
        else:
            outer = middle
    return outer


def _log_evidence(events: int, times: int, chance: float) -> float:
    """Return the logarithm of the mixture over the likelihood of one chance between 0 and 1."""
    misses = times - events
    mixed = math.lgamma(events + 0.5) + math.lgamma(misses + 0.5) - math.lgamma(times + 1) - math.log(math.pi)
    told = (events * math.log(chance) if events else 0.0) + (misses * math.log1p(-chance) if misses else 0.0)
    return mixed - told
