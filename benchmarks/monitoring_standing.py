"""False alarms of ``--performance`` and of the service: segments, trials of the estimate, response times, error rates.

A model whose scores are the true chances answers for a year, and nothing changes: its chances depend on ten columns, so
some segments are always harder than others, as they are in the reference. Each weekly look judges what
``monitor --performance`` does beyond drift: realised metrics, the estimate and its trials on the week before, whether
labels come selectively, the searched segments and those of a named column, response times and error rates against the
week before. How fast it answers and how much is refused differ from hour to hour by chance.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import monitoring_years as years
from mlprod_nb.monitoring import Profile, build, scoring
from mlprod_nb.monitoring import performance as metrics
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.budget import Budget
from mlprod_nb.monitoring.error_rate import Refusals
from mlprod_nb.monitoring.examination import Request, Subject, examine
from mlprod_nb.monitoring.performance import Labelled
from mlprod_nb.monitoring.traffic import Traffic, read_columns
from mlprod_nb.registry.bundles import LABEL_COLUMN, PREDICTION_COLUMN, SCORE_COLUMN, Column, Signature

LABELLED = 0.7
REFUSED = 0.01
WEEK = 7 * 86_400
HOURS = 7 * 24
NUMBERS, CATEGORIES = 8, 2
SEGMENTS = ("k0",)
REFERENCE_ROWS = 5000
#: What a look spends on performance and service of a year's 5 %, as ``Budget`` divides it.
GOAL = 0.02

Columns = dict[str, Any]


def standing_year(random: np.random.Generator, rows: int, budget: Budget) -> list[str]:
    """Return what was said to be wrong in a year in which nothing changed, against a drawn reference of its own."""
    weights = random.normal(size=NUMBERS + CATEGORIES) / 2
    profile, reference = _reference(random, weights)
    found, before = [], _week(random, profile, weights, rows, -1)
    for look in range(years.YEAR):
        now = _week(random, profile, weights, rows, look)
        estimates = metrics.evaluate(profile.task, profile.classes, now[0].labelled.take(now[0].known))
        judged = scoring.judge(profile.performance, estimates, "all", budget)
        said = [f"{row.metric} worse" for row in judged if row.worse]
        request = Request(thorough=True, segments=SEGMENTS, refused_before=before[1])
        counted = WindowCounts(rows, {})
        subject = Subject(
            profile, request, now[0], now[2], counted, (), reference, before[0], budget.performance, refused=now[1]
        )
        standing, findings = examine(subject)
        said += [*standing.warnings(), *(one.statement for one in findings if one.severity != "info")]
        found += [f"look {look + 1}: {text}" for text in said]
        before = now
    return found


def _columns(random: np.random.Generator, rows: int) -> Columns:
    names = np.array(["a", "b", "c", "d", "e"], dtype=object)
    numbers = {f"n{place}": random.normal(size=rows) for place in range(NUMBERS)}
    return numbers | {f"k{place}": names[random.integers(0, 5, rows)] for place in range(CATEGORIES)}


def _chances(columns: Columns, weights: Any) -> Any:
    values = [column == "a" if column.dtype == object else column for column in columns.values()]
    return 1 / (1 + np.exp(-sum(weight * value for weight, value in zip(weights, values, strict=True))))


def _reference(random: np.random.Generator, weights: Any) -> tuple[Profile, Columns]:
    columns = _columns(random, REFERENCE_ROWS)
    scores = _chances(columns, weights)
    labels = (random.random(len(scores)) < scores).astype(int)
    kinds = {name: "string" if values.dtype == object else "double" for name, values in columns.items()}
    signature = Signature(tuple(Column(name, kind, True) for name, kind in kinds.items()))  # type: ignore[arg-type]
    profile = build(columns, signature, scores=scores, labels=labels, task="classification", classes=(0, 1))
    outcomes = {SCORE_COLUMN: scores, PREDICTION_COLUMN: (scores >= 0.5).astype(int), LABEL_COLUMN: labels}
    return profile, {name: pa.array(values) for name, values in {**columns, **outcomes}.items()}


def _week(
    random: np.random.Generator, profile: Profile, weights: Any, rows: int, look: int
) -> tuple[Traffic, Refusals, Columns]:
    """Return a week's rows, what was refused, and the input columns as the log has them."""
    columns = _columns(random, rows)
    scores = _chances(columns, weights)
    known = random.random(rows) < LABELLED
    labels = np.where(known, random.random(rows) < scores, -1).astype(np.int64)
    offsets = np.sort(random.integers(0, WEEK, rows))
    seconds = (look + 1) * WEEK + offsets
    later = np.where(known, seconds + random.exponential(86_400, rows), np.nan)
    busy = np.exp(random.normal(scale=0.2, size=HOURS))[offsets // 3600]
    latency = random.gamma(4, 2, rows) * busy
    read = read_columns(profile.columns, columns)
    labelled = Labelled(labels, (scores >= 0.5).astype(np.int64), scores)
    traffic = Traffic(labelled, known, read, seconds, seconds.astype(np.float64), later, latency)
    came = Counter((random.random(random.poisson(rows * REFUSED)) * HOURS).astype(int).tolist())
    refused = [((look + 1) * WEEK + 3600.0 * hour, "invalid-input", size) for hour, size in sorted(came.items())]
    return traffic, refused, {name: pa.chunked_array([pa.array(values)]) for name, values in columns.items()}
