"""What each column does to a row's score: the score, less the score with that column at its typical value.

One column is changed at a time, so of columns that act together each may be given all of their effect or none: these
are no Shapley values and need not add up. They cost one score a column and row, and hold for any model with one score.
The typical value of a column is the median, or the most frequent value, of the bundle's warm-up rows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import Columns, take
from mlprod_nb.registry.bundles import Bundle, Column
from mlprod_nb.serving.columns import typed
from mlprod_nb.serving.dataplane import Answer
from mlprod_nb.serving.errors import NotAvailable, TooLarge
from mlprod_nb.serving.models.loaded import LoadedModel
from mlprod_nb.serving.routes import LiveEndpoint

MOST_VALUES = 1_000_000
"""Most values that the changed rows of one request may have together: each row is scored once for each column."""


@dataclass(frozen=True)
class Explanation:
    """What the columns did to the scores of some rows.

    Attributes:
        contributions: For each row, by column: the score, less the score with that column at its typical value.
        typical: By variant, each column's typical value.
    """

    contributions: list[dict[str, float]]
    typical: dict[str, dict[str, Any]]


def check(live: LiveEndpoint, rows: int) -> None:
    """Check, before anything is predicted, that rows of an endpoint can be explained.

    Raises:
        NotAvailable: A model's score is not of one and the same thing for every row.
        TooLarge: They are too many.
    """
    if any(len(model.bundle.manifest.classes) > 2 for model in live.models):
        raise NotAvailable(
            "explain is not available for this model: it has more than two classes, and its score is that of another "
            "class from row to row.",
            hint="Leave explain out.",
        )
    most = most_rows(len(live.signature.columns))
    if rows > most:
        raise TooLarge(f"explain takes at most {most} rows in a request to this endpoint.", hint="Send fewer rows.")


def most_rows(columns: int) -> int:
    """Return how many rows of so many columns can be explained in one request."""
    return max(1, MOST_VALUES // max(1, columns) ** 2)


async def explain(live: LiveEndpoint, columns: Columns, answer: Answer) -> Explanation:
    """Return what the columns did to the scores of rows that were just answered; the caller holds the lease.

    Args:
        live: The endpoint.
        columns: The rows' typed columns.
        answer: What was answered.

    Raises:
        ModelFailed: A model fails on a changed row.
        ModelUnavailable: A model cannot answer now.
    """
    contributions: list[dict[str, float]] = [{} for _ in answer.predictions]
    typical: dict[str, dict[str, Any]] = {}
    for variant, model in zip(live.spec.variants, live.models, strict=True):
        rows = np.flatnonzero([chosen == variant for chosen in answer.variants])
        if not len(rows):
            continue
        typical[variant.name] = await asyncio.to_thread(_typical, model.bundle)
        without = await _without_each(model, take(columns, rows), len(rows), typical[variant.name])
        for place, row in enumerate(rows.tolist()):
            score = float(answer.scores[row])
            contributions[row] = {name: score - float(scores[place]) for name, scores in without.items()}
    return Explanation(contributions, typical)


async def _without_each(
    model: LoadedModel, columns: Columns, rows: int, typical: dict[str, Any]
) -> dict[str, NDArray[np.float64]]:
    """Return, by column, the scores of rows with that column at its typical value."""
    signature = model.bundle.signature
    usual = typed({name: [value] for name, value in typical.items()}, 1, signature)
    many = {}
    for name in signature.names:
        parts = [np.repeat(usual[name], rows) if name == changed else columns[name] for changed in signature.names]
        many[name] = np.concatenate(parts)
    found = await model.score(many, rows * len(signature.names))
    return dict(zip(signature.names, found.scores.reshape(len(signature.names), rows), strict=True))


def _typical(bundle: Bundle) -> dict[str, Any]:
    columns, _ = bundle.warmup()
    return {column.name: _middle(column, columns[column.name]) for column in bundle.signature.columns}


def _middle(column: Column, values: list[Any]) -> Any:
    known = [value for value in values if value is not None]
    if not known:
        return None
    if column.type in ("double", "long"):
        return median_low(known)
    return Counter(known).most_common(1)[0][0]
