"""Which interval is valid for a metric under the design's method, and in which words it says so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlprod_nb.abtest import eprocess, fixed, mixture, planned, proportions, sequential
from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.estimate import Arm, Difference, Interval

#: Fewer units than this in a variant and no interval is shown.
LEAST_UNITS = 30
Arms = Mapping[str, Arm]


@dataclass(frozen=True)
class Read:
    """One metric as it stands at one look.

    Attributes:
        interval: The interval of the difference, treatment minus control.
        p_value: Of no difference, valid in the same sense as the interval; ``None`` for planned looks, whose boundary
            depends on the plan.
        method: In words, by which method.
    """

    interval: Interval
    p_value: float | None
    method: str


def comparable(design: Design, arms: Arms) -> Difference | None:
    """Return the difference, or ``None`` where there are too few units or nothing varies.

    Two proportions that are 0 and 1 differ though neither varies: their exact methods need no variance.
    """
    if design.control not in arms or design.treatment not in arms:
        return None
    difference = Difference(arms[design.control].sample, arms[design.treatment].sample)
    enough = min(difference.control.units, difference.treatment.units) >= LEAST_UNITS
    known = difference.standard_error > 0 or (_counts(design, arms) is not None and difference.value != 0)
    return difference if enough and known else None


def always_valid(design: Design, arms: Arms, *, alpha: float, share: float) -> Read | None:
    """Read a metric at any time.

    A proportion of units that came once has an exact test and interval; all else the asymptotic confidence sequence.

    Args:
        design: The design.
        arms: The metric per variant.
        alpha: The metric's type I error.
        share: The treatment's share of the units of both variants.
    """
    difference = comparable(design, arms)
    if difference is None:
        return None
    counts = _counts(design, arms)
    if counts is not None:
        tuning = eprocess.Tuning(alpha, share, design.expected_rows)
        evidence = float(eprocess.p_value(counts, tuning)[0])
        return Read(eprocess.sequence(counts, tuning), evidence, "exact e-process, valid at every look")
    interval = sequential.sequence(difference, alpha=alpha, tightest_at=design.expected_rows)
    statistic = np.array([difference.value / difference.guarded_error])
    time = np.array([difference.effective_rows / design.expected_rows])
    p_value = math.exp(-max(0.0, float(mixture.log_evidence(statistic, time)[0])))
    return Read(interval, p_value, "confidence sequence, valid at every look")


def rejects(design: Design, arms: Arms, *, alpha: float, share: float) -> bool:
    """Return whether :func:`always_valid` would leave out no difference, without finding the interval's ends."""
    difference = comparable(design, arms)
    if difference is None:
        return False
    counts = _counts(design, arms)
    if counts is not None:
        tuning = eprocess.Tuning(alpha, share, design.expected_rows)
        return float(eprocess.log_evidence(counts, tuning)[0]) > tuning.needed
    half = difference.guarded_error * mixture.factor(difference.effective_rows / design.expected_rows, alpha)
    return abs(difference.value) > half


def once(design: Design, arms: Arms, *, alpha: float) -> Read | None:
    """Read a metric at the one look that the design fixed: proportions by the score interval, all else by Welch."""
    difference = comparable(design, arms)
    if difference is None:
        return None
    counts = _counts(design, arms)
    if counts is not None:
        p_value = float(proportions.p_value(counts)[0])
        return Read(proportions.interval(counts, alpha=alpha), p_value, "score interval, read once")
    test = fixed.welch(difference, alpha=alpha)
    return Read(test.interval, test.p_value, "Welch's t interval, read once")


def at_looks(design: Design, looks: Sequence[Arms], *, alpha: float, done: Sequence[float] = ()) -> list[Read | None]:
    """Read a metric at each planned look so far.

    Args:
        design: The design.
        looks: The metric per variant at each look.
        alpha: The metric's type I error.
        done: How much of the plan was done at each look; by the metric's rows where empty.
    """
    differences = [comparable(design, arms) for arms in looks]
    rows = [sum(arm.sample.rows for arm in arms.values()) for arms in looks]
    done = done or [min(1.0, count / design.expected_rows) for count in rows]
    usable = [at for at, difference in enumerate(differences) if difference is not None]
    found: list[Read | None] = [None] * len(looks)
    errors = [_error(difference) for difference in differences if difference is not None]
    information = [1 / error**2 for error in errors]
    limits = planned.boundaries([done[at] for at in usable], alpha, information, planned=design.looks)
    for at, limit, error in zip(usable, limits, errors, strict=True):
        difference = differences[at]
        assert difference is not None
        counts = _counts(design, looks[at])
        if counts is not None:
            interval = proportions.at_limit(counts, limit)
        else:
            interval = Interval(difference.value - limit * error, difference.value + limit * error)
        found[at] = Read(interval, None, f"alpha spending, look {at + 1} of {design.looks}")
    return found


def _error(difference: Difference) -> float:
    """Return the standard error; that of the pooled proportion where one variant is all 0 and the other all 1."""
    if difference.standard_error > 0:
        return difference.standard_error
    units = difference.control.units, difference.treatment.units
    pooled = units[difference.treatment.mean > difference.control.mean] / sum(units)
    return math.sqrt(pooled * (1 - pooled) * (1 / units[0] + 1 / units[1]))


def _counts(design: Design, arms: Arms) -> eprocess.Counts | None:
    control, treatment = arms[design.control], arms[design.treatment]
    if control.hits is None or treatment.hits is None:
        return None
    return eprocess.Counts.of(control.hits, control.sample.units, treatment.hits, treatment.sample.units)
