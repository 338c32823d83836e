"""Rows of one model version as performance is looked at: outcomes, moments, inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.columns import Coded, Floats, is_arrow, to_codes, to_numbers
from mlprod_nb.monitoring.performance import Labelled, class_codes
from mlprod_nb.monitoring.stretches import Seconds, seconds_of
from mlprod_nb.registry.bundles import LABEL_COLUMN, PREDICTION_COLUMN, SCORE_COLUMN

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.monitoring.profile import ColumnProfile, Profile
    from mlprod_nb.monitoring.scoring import Outcomes

#: What takes longer than counting looks at so many rows.
MAX_ROWS = 200_000
Column = Coded | Floats
"""An input column: numbers, NaN where one is missing, or coded texts."""


@dataclass(frozen=True)
class Traffic:
    """Rows, all arrays of one length.

    Attributes:
        labelled: Labels, predictions and scores; class indices for a classification, -1 where unknown.
        known: Rows with a label that can be judged.
        columns: The model's input columns, as far as they are there and readable.
        seconds: When each prediction was made, seconds since 1970; ``None`` where that is not logged.
        logged_at: When the gateway received each, seconds since 1970; ``None`` as above, NaN where no row has a label:
            it tells how long labels took.
        labelled_at: When each label was received, seconds since 1970, NaN without one; ``None`` as above.
        latency_ms: How long each answer took, milliseconds; ``None`` as above.
    """

    labelled: Labelled
    known: NDArray[np.bool_]
    columns: dict[str, Column]
    seconds: Seconds | None = None
    logged_at: Floats | None = None
    labelled_at: Floats | None = None
    latency_ms: Floats | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.known)

    def take(self, rows: NDArray[np.bool_]) -> Traffic:
        """Return some of the rows."""
        if rows.all():
            return self
        return Traffic(
            labelled=self.labelled.take(rows),
            known=self.known[rows],
            columns={name: some(column, rows) for name, column in self.columns.items()},
            seconds=None if self.seconds is None else self.seconds[rows],
            logged_at=None if self.logged_at is None else self.logged_at[rows],
            labelled_at=None if self.labelled_at is None else self.labelled_at[rows],
            latency_ms=None if self.latency_ms is None else self.latency_ms[rows],
        )


def evenly(traffic: Traffic) -> Traffic:
    """Return at most 200,000 rows, chosen evenly in the order that they have."""
    if traffic.rows <= MAX_ROWS:
        return traffic
    chosen = np.zeros(traffic.rows, dtype=bool)
    chosen[np.linspace(0, traffic.rows - 1, MAX_ROWS).astype(np.int64)] = True
    return traffic.take(chosen)


def of_version(outcomes: Outcomes, table: pa.Table, columns: Mapping[str, Column], version: str) -> Traffic:
    """Return the rows of a window that a version predicted; all where it is not named.

    Args:
        outcomes: The window's outcomes.
        table: The window.
        columns: Its input columns, as :func:`read_columns` gives them.
        version: As ``flights/3``, or empty.
    """
    every = Traffic(
        labelled=outcomes.labelled,
        known=outcomes.known,
        columns=dict(columns),
        seconds=seconds_of(table),
        logged_at=moments(table, "received_at", needed=outcomes.known.any()),
        labelled_at=moments(table, "label_received_at"),
        latency_ms=to_numbers(table.column("latency_ms")) if "latency_ms" in table.column_names else None,
    )
    return every.take(outcomes.of(version))


def of_reference(profile: Profile, reference: Mapping[str, Any]) -> Traffic:
    """Return the rows of a reference sample."""
    scores = to_numbers(reference[SCORE_COLUMN])
    if profile.task == "regression":
        labels = to_numbers(reference[LABEL_COLUMN])
        outcomes = Labelled(labels, scores, scores)
        known = np.isfinite(labels)
    else:
        codes = _codes(profile, reference[LABEL_COLUMN])
        outcomes = Labelled(codes, _codes(profile, reference[PREDICTION_COLUMN]), scores)
        known = codes >= 0
    return Traffic(outcomes, known & np.isfinite(scores), read_columns(profile.columns, reference))


def read_columns(profiled: Iterable[ColumnProfile], columns: Mapping[str, Any]) -> dict[str, Column]:
    """Read input columns as their profiles' kinds say; what is absent or unreadable is left out."""
    found: dict[str, Column] = {}
    for column in profiled:
        if column.name in columns:
            try:
                values = columns[column.name]
                found[column.name] = to_numbers(values) if column.kind == "number" else to_codes(values)
            except ValueError:
                continue
    return found


def some(column: Column, rows: NDArray[Any]) -> Column:
    """Return some rows of a column, chosen by a mask or by their numbers."""
    return Coded(column.codes[rows], column.names) if isinstance(column, Coded) else column[rows]


def _codes(profile: Profile, column: Any) -> NDArray[np.int64]:
    return class_codes(column.to_pylist() if is_arrow(column) else column, profile.classes)


def moments(table: pa.Table, name: str, *, needed: bool | np.bool_ = True) -> Floats | None:
    """Return a column of moments, seconds since 1970; NaN where missing or not needed, ``None`` without the column."""
    if name not in table.column_names:
        return None
    import pyarrow as pa

    column = table.column(name)
    if not needed or column.null_count == len(column):
        return np.broadcast_to(np.nan, len(column))  # takes no memory
    return to_numbers(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())) / 1e6
