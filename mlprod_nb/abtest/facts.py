"""What the labelled predictions of a test are, before any metric is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class VariantFacts:
    """What a variant met, whatever the metric.

    Attributes:
        rows: Predictions.
        units: Units.
        labelled: Predictions with feedback that can be used.
        strange_labels: Predictions whose feedback is no class of the endpoint, or no number.
        strange_label: One such value.
        versions: The model versions that answered, as ``flights/3``.
    """

    rows: int
    units: int
    labelled: int
    strange_labels: int
    strange_label: str
    versions: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """What the table holds.

    Attributes:
        variants: Facts per variant.
        units_in_two_variants: Units that met more than one variant.
        repeated_rows: Rows that repeat a prediction id; each prediction counts once.
        first: The first event time, or ``None`` where there is no row.
        last: The last one.
        in_future: Rows that happened after they were received, by more than a minute; ``None`` where it is unknown.
    """

    variants: dict[str, VariantFacts]
    units_in_two_variants: int
    repeated_rows: int
    first: datetime | None
    last: datetime | None
    in_future: int | None = None
