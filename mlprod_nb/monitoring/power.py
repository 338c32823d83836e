"""What a look costs of the year's budget, and what it can find for that: the power that is left.

The smallest changes are those that a test at the look's sharpest threshold, the first of Holm's, finds with a chance of
80 %: rank sums (Noether 1987), shares by the arcsine transform (Cohen 1988), correlations by Fisher's (1921). Below an
effect's floor nothing is reported, so none is smaller than its floor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mlprod_nb.monitoring import joint_counts
from mlprod_nb.monitoring.budget import MISSING, MISSING_FLOOR, SHAPE_FLOOR, SHARE, Budget, Findable, Spending
from mlprod_nb.monitoring.pooling import Pool

POWER = 0.8
_YEAR = timedelta(days=365.25)


def spending(
    budget: Budget,
    reference_rows: int,
    windows: Sequence[Pool],
    tests: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Spending:
    """Tell what a look spends and can find.

    Args:
        budget: The year's budget.
        reference_rows: Rows of the reference.
        windows: The look's window and the pooled ones.
        tests: How many tests of drift the look made.
        since: The window's beginning.
        until: The window's end.
    """
    so_far = _looks_so_far(since, until)
    spent = None if so_far is None else min(1.0, so_far * budget.per_look)
    sharpest = budget.drift / max(tests, 1)
    return Spending(
        yearly_alpha=budget.yearly_alpha,
        looks_per_year=budget.looks_per_year,
        this_look=budget.per_look,
        tests=tests,
        looks_so_far=so_far,
        spent=spent,
        left=None if spent is None else max(0.0, budget.yearly_alpha - spent),
        note=_note(budget, since, until),
        findable=tuple(
            findable(reference_rows, pool.counts.rows, sharpest, looks=pool.looks)
            for pool in windows
            if min(pool.counts.rows, reference_rows) > 3
        ),
    )


def findable(reference_rows: int, rows: int, alpha: float, *, looks: int = 1, power: float = POWER) -> Findable:
    """Return the smallest changes that a two-sided test at a level finds with a chance.

    Args:
        reference_rows: Rows of the reference.
        rows: Rows of the window; both more than 3.
        alpha: The level of one test.
        looks: How many looks the window holds, for the record.
        power: The chance.
    """
    from scipy.special import ndtri

    deviates = float(-ndtri(alpha / 2) + ndtri(power))
    error = math.sqrt(1 / reference_rows + 1 / rows)
    # A rank sum finds P(X < Y) = 1/2 + d / (2 sqrt(pi)), for a small shift d of a normal column (Noether 1987).
    shift = deviates * error * math.sqrt(math.pi / 3)
    transformed = deviates * math.sqrt(1 / (reference_rows - 3) + 1 / (rows - 3))
    return Findable(
        looks=looks,
        rows=rows,
        shift_sd=max(shift, float(2 * ndtri(0.5 + SHAPE_FLOOR / 2))),
        missing=max(_share(MISSING, deviates * error), MISSING + MISSING_FLOOR),
        share=max(_share(SHARE, deviates * error), SHARE + SHAPE_FLOOR),
        correlation=max(math.tanh(transformed), joint_counts.FLOOR),
    )


def _share(before: float, distance: float) -> float:
    """Return the share that lies some distance above another on the scale of ``2 asin(sqrt(p))``."""
    return math.sin(min(math.asin(math.sqrt(before)) + distance / 2, math.pi / 2)) ** 2


def _looks_so_far(since: datetime | None, until: datetime | None) -> int | None:
    if since is None or until is None or until <= since:
        return None
    last = until - timedelta(microseconds=1)
    return max(1, math.ceil((until - datetime(last.year, 1, 1, tzinfo=last.tzinfo or UTC)) / (until - since)))


def _note(budget: Budget, since: datetime | None, until: datetime | None) -> str:
    if since is None or until is None or until <= since:
        return ""
    looks = _YEAR / (until - since)
    if looks <= 1.1 * budget.looks_per_year:
        return ""
    chance = min(1.0, looks * budget.per_look)
    return (
        f"windows as short as this make {looks:,.0f} looks a year where {budget.looks_per_year:,} are planned, and a"
        f" chance of a false alarm of up to {100 * chance:.2g} %: set looks_per_year in [endpoints.NAME.monitor]"
    )
