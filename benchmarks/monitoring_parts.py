"""False alarms of what has parts of the budget of its own: the model's performance, and tests of rows.

A model whose scores are the true chances answers for a year, and nothing changes. Each look judges what the monitor
does without ``--performance``: the realised metrics, what is expected without labels, and whether labels come
selectively. Segments are not searched then, and response times and error rates not compared.

Tests of rows take a second a look, too long for years of them. Their p-values are therefore held to their levels at
looks alone: at most a share of α of the looks may have a corrected p-value of α or less, for any α, and so at a look's
own level too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks import monitoring_years as years
from mlprod_nb.monitoring import Profile, build, joint, scoring
from mlprod_nb.monitoring import performance as metrics
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.budget import Budget
from mlprod_nb.monitoring.examination import Request, Subject, examine
from mlprod_nb.monitoring.performance import Labelled
from mlprod_nb.monitoring.traffic import Traffic
from mlprod_nb.registry.bundles import Column, Signature

WEEK = 7 * 86_400
#: The share of predictions whose label has come.
LABELLED = 0.7
SAMPLE_ROWS = 2000
LEVELS = (0.05, 0.2)


@dataclass(frozen=True)
class Levels:
    """What tests of rows said at looks at unchanged rows.

    Attributes:
        looks: How many looks.
        below: For each of :data:`LEVELS`, at how many the least corrected p-value was no larger.
        alarmed: At how many a drift was found at the look's own level.
    """

    looks: int
    below: tuple[int, ...]
    alarmed: int


def performance_year(random: np.random.Generator, rows: int, budget: Budget) -> list[str]:
    """Return what was said to be worse in a year in which nothing changed, against a drawn reference of its own."""
    shape = (float(random.uniform(0.4, 3)), float(random.uniform(0.8, 6)))
    profile = _profile(random, shape)
    found = []
    for look in range(years.YEAR):
        traffic = _traffic(random, shape, rows, look)
        estimates = metrics.evaluate(profile.task, profile.classes, traffic.labelled.take(traffic.known))
        found += [
            f"look {look + 1}: {row.metric} worse"
            for row in scoring.judge(profile.performance, estimates, "all", budget)
            if row.worse
        ]
        subject = Subject(
            profile, Request(), traffic, {}, WindowCounts(rows, {}), (), None, None, budget.performance, refused=()
        )
        standing, findings = examine(subject)
        found += [f"look {look + 1}: {text}" for text in standing.warnings()]
        found += [f"look {look + 1}: {finding.statement}" for finding in findings if finding.severity != "info"]
    return found


def row_tests(random: np.random.Generator, looks: int, rows: int, budget: Budget) -> Levels:
    """Hold the tests of rows on samples of unchanged rows, each look with a reference of its own."""
    kinds = {kind.name: "number" if kind.number else "category" for kind in years.KINDS}
    least, alarmed = [], 0
    for look in range(looks):
        sides = [years.draw_columns(random, size) for size in (SAMPLE_ROWS, rows)]
        found = joint.compare(kinds, sides[0], sides[1], budget.joint, seed=look)
        least.append(min(row.p_value_corrected for row in found if row.p_value_corrected is not None))
        alarmed += any(row.drifted for row in found)
    return Levels(looks, tuple(sum(value <= level for value in least) for level in LEVELS), alarmed)


def _profile(random: np.random.Generator, shape: tuple[float, float]) -> Profile:
    scores = random.beta(*shape, years.REFERENCE_ROWS)
    labels = (random.random(len(scores)) < scores).astype(int)
    signature = Signature((Column("x", "double", True),))
    columns = {"x": random.normal(size=len(scores))}
    return build(columns, signature, scores=scores, labels=labels, task="classification", classes=(0, 1))


def _traffic(random: np.random.Generator, shape: tuple[float, float], rows: int, look: int) -> Traffic:
    scores = random.beta(*shape, rows)
    known = random.random(rows) < LABELLED
    labels = np.where(known, random.random(rows) < scores, -1).astype(np.int64)
    seconds = look * WEEK + np.sort(random.integers(0, WEEK, rows))
    later = np.where(known, seconds + random.exponential(86_400, rows), np.nan)
    latency = random.gamma(4, 2, rows)
    labelled = Labelled(labels, (scores >= 0.5).astype(np.int64), scores)
    return Traffic(labelled, known, {}, seconds, seconds.astype(np.float64), later, latency)
