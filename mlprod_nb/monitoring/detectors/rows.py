"""What a detector of rows is: it compares whole rows of the reference and of a window, not one column's counts.

Rows are a sample: at most 2,000 a side, chosen by a seed, so memory and time are bounded whatever the window holds.
Columns come as numbers (NaN where missing or infinite) or as texts (``None`` where missing), and a detector chooses the
numbers it works on: :func:`plain` for trees, :class:`Encoding` for distances. Both are made from the two sides pooled,
or from rows that are not tested, so that which side a row is on decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.columns import Floats, is_arrow, to_numbers, to_texts
from mlprod_nb.monitoring.detectors.protocol import too_few

MAX_ROWS = 2000
#: Categories that fewer rows share are one, and no more than this many stand alone.
MIN_CATEGORY = 20
MAX_CATEGORIES = 20
Side = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class JointComparison:
    """What a detector of rows found.

    Attributes:
        statistic: The test statistic; ``None`` where nothing was tested.
        effect: At least this share of the rows would have to change to undo the difference.
        p_value: Chance of a difference at least as large if nothing changed; ``None`` where nothing was tested.
        columns: The columns that betray the difference, clearest first, as far as the detector can name any.
        statement: What was compared, and how.
        reason: Why nothing was tested; empty where something was.
    """

    statistic: float | None = None
    effect: float | None = None
    p_value: float | None = None
    columns: tuple[str, ...] = ()
    statement: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Samples:
    """The same columns of some rows of the reference and of a window.

    Attributes:
        kinds: ``"number"`` or ``"category"`` for each column that both sides have.
        reference: The columns' values, numbers as float64, categories as texts.
        window: The same of the window.
        problems: Why a column is left out, by column.
    """

    kinds: Mapping[str, str]
    reference: Side
    window: Side
    problems: Mapping[str, str]

    @property
    def rows(self) -> tuple[int, int]:
        """How many rows the two sides have."""
        first, second = (next((len(values) for values in side.values()), 0) for side in (self.reference, self.window))
        return first, second

    def pooled(self) -> dict[str, NDArray[Any]]:
        """Return the columns of both sides, the reference's rows first."""
        return {name: np.concatenate([self.reference[name], self.window[name]]) for name in self.kinds}

    def too_few(self, least: int) -> str:
        """Return why there is nothing to compare, or an empty text."""
        if not self.kinds:
            return next(iter(self.problems.values()), "there is no column")
        few = min(self.rows)
        return too_few(few, least, "row") if few < least else ""


class RowDetector(Protocol):
    """Compares the rows of two samples, all columns together.

    The p-value must be valid: with unchanged data, at most a share ``a`` of them is below ``a``.
    """

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def floor(self) -> float:
        """The effect below which a difference does not matter, however significant."""
        ...

    def compare(self, samples: Samples, seed: int) -> JointComparison:
        """Compare; what cannot be tested is a :class:`JointComparison` with a reason, never an exception."""
        ...


def read(
    kinds: Mapping[str, str],
    reference: Mapping[str, Any],
    window: Mapping[str, Any],
    *,
    seed: int = 0,
    most: int = MAX_ROWS,
) -> Samples:
    """Read the columns of both sides, on one random choice of rows a side, and say which cannot be read.

    Args:
        kinds: ``"number"`` or ``"category"`` for each column.
        reference: The reference sample's columns.
        window: The window's columns.
        seed: Of the choice of rows.
        most: How many rows a side are chosen.
    """
    random = np.random.default_rng(seed)
    sides = (reference, window)
    chosen = [_choose(random, side, kinds, most) for side in sides]
    found: dict[str, list[NDArray[Any]]] = {}
    problems: dict[str, str] = {}
    for name, kind in kinds.items():
        gone = next((where for where, side in zip(("reference", "window"), sides, strict=True) if name not in side), "")
        if gone:
            problems[name] = f"the {gone} lacks the column"
            continue
        try:
            found[name] = [_read(side[name], kind, rows) for side, rows in zip(sides, chosen, strict=True)]
        except ValueError as error:
            problems[name] = f"the column {error}"
    first, second = ({name: pair[side] for name, pair in found.items()} for side in (0, 1))
    return Samples({name: kinds[name] for name in found}, first, second, problems)


def _choose(random: np.random.Generator, side: Mapping[str, Any], kinds: Mapping[str, str], most: int) -> Any:
    rows = next((len(side[name]) for name in kinds if name in side), 0)
    return np.sort(random.permutation(rows)[:most])


def _read(column: Any, kind: str, rows: Any) -> NDArray[Any]:
    some = column.take(rows) if is_arrow(column) else _take(column, rows)
    if kind == "number":
        values = to_numbers(some)
        return np.where(np.isfinite(values), values, np.nan)
    return np.array(to_texts(some), dtype=object)


def _take(column: Any, rows: Any) -> Any:
    values = column.to_numpy() if hasattr(column, "to_numpy") else column
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows.tolist()]


def upper_tail(deviate: float) -> float:
    """Return the chance of a larger normal deviate."""
    from scipy.special import ndtr

    return float(ndtr(-deviate))


def present(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values are not missing."""
    if values.dtype == object:
        return np.array([value is not None for value in values], dtype=bool)
    known: NDArray[np.bool_] = ~np.isnan(values)
    return known


def commonest(values: NDArray[Any], most: int = MAX_CATEGORIES) -> list[str]:
    """Return the categories that stand alone, commonest first; equal ones by name."""
    counted = Counter(values[present(values)].tolist())
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [name for name, size in ranked if size >= MIN_CATEGORY][:most]


def plain(samples: Samples) -> tuple[Floats, tuple[str, ...]]:
    """Return the pooled rows as numbers for trees, NaN where missing, and each number's column.

    Categories are numbered by how common they are in both sides together; the rare ones share a number.
    """
    columns: list[Floats] = []
    for name, values in samples.pooled().items():
        if samples.kinds[name] == "number":
            columns.append(values)
            continue
        number = {category: place for place, category in enumerate(commonest(values, most=200))}
        columns.append(np.array([np.nan if v is None else number.get(v, len(number)) for v in values], dtype=float))
    return np.column_stack(columns), tuple(samples.kinds)


@dataclass(frozen=True)
class Encoding:
    """How rows become points among which distances make sense; made from some rows, applied to any.

    A number becomes its mid-rank among the rows that the encoding was made from, scaled to variance one: bounded, so
    one wild value decides nothing, and the same whatever the column's unit. A category becomes one coordinate for each
    of the commonest. A column that lacks values has one more, of the lack.
    """

    kinds: Mapping[str, str]
    ranks: Mapping[str, Floats]
    categories: Mapping[str, Sequence[str]]
    lacking: frozenset[str]

    @classmethod
    def of(cls, samples: Samples, basis: Mapping[str, NDArray[Any]]) -> Encoding:
        """Make an encoding from some rows; which columns lack values is asked of both sides together."""
        numbers = [name for name, kind in samples.kinds.items() if kind == "number"]
        pooled = samples.pooled()
        return cls(
            kinds=samples.kinds,
            ranks={name: np.sort(basis[name][present(basis[name])]) for name in numbers},
            categories={name: commonest(basis[name]) for name in samples.kinds if name not in numbers},
            lacking=frozenset(name for name, values in pooled.items() if not present(values).all()),
        )

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> Floats:
        """Return points, shape ``(rows, coordinates)``."""
        rows = len(next(iter(columns.values())))
        points: list[Floats] = []
        for name, kind in self.kinds.items():
            values = columns[name]
            if kind == "number":
                points.append(self._place(name, values))
            else:
                points += [(values == category).astype(np.float64) for category in self.categories[name]]
            if name in self.lacking:
                points.append((~present(values)).astype(np.float64))
        return np.column_stack(points) if points else np.zeros((rows, 0))

    def _place(self, name: str, values: Floats) -> Floats:
        ordered = self.ranks[name]
        if not ordered.size:
            return np.zeros(len(values))
        places = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2
        scaled: Floats = (places / ordered.size - 0.5) * np.sqrt(12.0)
        return np.where(np.isnan(values), 0.0, scaled)
