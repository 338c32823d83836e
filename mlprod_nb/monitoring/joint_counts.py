"""Rank correlations from counts: did two columns begin to move together, or cease to, while each stayed as it was?

Each column becomes one bounded number a row: where the value lies in the reference's distribution (the middle of its
bin, as a share of the rows), and for categories whether it is the commonest one. Of each pair of columns the sums of
the products of powers are kept, up to the fourth: they can be added, and they give the correlation and its error.

Guarantee: the numbers are whole, so how rows are divided changes nothing. Of many rows some are enough: those of the
levels that a window of its size needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import arrow_present, arrow_values, one_chunk
from mlprod_nb.monitoring.columns import Coded, Floats, is_arrow, single, to_codes, to_numbers, to_texts
from mlprod_nb.monitoring.levels import LEVELS, Levels, levels_by_place, lowest_level

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.monitoring.profile import ColumnProfile

Moments = NDArray[np.int64]
#: Of which powers of the two numbers of a row sums are kept.
POWERS = tuple((i, order - i) for order in range(5) for i in range(order + 1))
#: Pairs of columns that are watched: all of 25 columns, of more the most correlated ones.
MAX_PAIRS = 300
REFERENCE_ROWS = 200_000
#: A change of a rank correlation by less is ordinary life.
FLOOR = 0.1
#: Rows in which neither column has its commonest value, expected in the smaller sample, without which the law of the
#: correlation is too far from the normal one in its tails.
MIN_ROWS = 100
_UNIT = 512
# OpenBLAS divides no larger product among threads of its own, which get in the way of the thread that reads: that takes
# twice the processor's time. In blocks of so few rows it takes no longer.
_ONE_THREAD = 65_536 * 4
_NARROWEST = 32
_COMMONEST = 0.95
_LARGEST = 0.9999


@dataclass(frozen=True)
class Pair:
    """Two columns of the reference.

    Attributes:
        first: One column's name.
        second: The other's.
        moments: The sum of the products of their powers, as ``POWERS`` has them; the first is the number of rows.
    """

    first: str
    second: str
    moments: tuple[int, ...]


@dataclass(frozen=True)
class Compared:
    """A pair's correlation in the reference and in a window.

    Attributes:
        before: In the reference.
        after: In the window.
        p_value: Chance of a change at least as large if nothing changed; ``None`` where nothing was tested.
    """

    before: float
    after: float
    p_value: float | None


def choose(columns: Sequence[ColumnProfile], values: Mapping[str, Any]) -> tuple[Pair, ...]:
    """Choose which pairs of the reference's columns are watched, and sum them up.

    Args:
        columns: The profiled columns; one whose commonest value has more than 95 % of the rows is left out.
        values: Their values.
    """
    usable = _usable(columns)
    names = list(combinations([column.name for column in usable], 2))
    if not names:
        return ()
    rows = _length(usable, values)
    every = np.arange(0, rows, max(1, -(-rows // REFERENCE_ROWS)))
    first, second = _places(usable, names)
    sums = multiply(*_read(usable, values, every))[first, second]
    strength = np.nan_to_num(np.abs(correlations(sums)))
    kept = np.sort(np.argsort(-strength, kind="stable")[:MAX_PAIRS])
    return tuple(
        Pair(names[place][0], names[place][1], tuple(int(value) for value in sums[place])) for place in kept.tolist()
    )


def untested(columns: Sequence[ColumnProfile], pairs: Sequence[Pair]) -> str:
    """Return why no pair is tested, though columns vary; empty where pairs are, or there is none.

    Profiles that were made before pairs were watched have none of them.
    """
    if pairs or len(_usable(columns)) < 2:
        return ""
    return "not tested: the version was registered before correlations were watched; register it again"


def _usable(columns: Sequence[ColumnProfile]) -> list[ColumnProfile]:
    return [column for column in columns if _spread(column) >= 1 - _COMMONEST]


def count(
    columns: Sequence[ColumnProfile],
    pairs: Sequence[Pair],
    values: Mapping[str, Any],
    *,
    levels: Levels | None = None,
    of_rows: int = 0,
) -> Moments | None:
    """Sum up the pairs of some rows by level, shape ``(LEVELS, pairs, powers)``; ``None`` without pairs.

    Args:
        columns: The profiled columns.
        pairs: The reference's pairs.
        values: The rows' columns; one that is absent or unreadable has no rows in its pairs.
        levels: Each row's level, as ``levels_of`` gives them; by the places of the rows where not given.
        of_rows: How many rows there are at least, of which these are a part; levels that are not needed then are zero.
    """
    if not pairs:
        return None
    named = {name for pair in pairs for name in (pair.first, pair.second)}
    some = [column for column in columns if column.name in named]
    rows = _length(some, values)
    found = np.zeros((LEVELS, len(pairs), len(POWERS)), dtype=np.int64)
    given = levels_by_place(rows) if levels is None else levels
    taken = np.flatnonzero(given >= lowest_level(max(rows, of_rows)))
    if not taken.size:
        return found
    taken = taken[np.argsort(given[taken], kind="stable")]
    known, number = _read(some, values, taken)
    first, second = _places(some, [(pair.first, pair.second) for pair in pairs])
    ends = np.searchsorted(given[taken], np.arange(LEVELS + 1))
    for level, (begin, end) in enumerate(pairwise(ends.tolist())):
        if begin < end:
            found[level] = multiply(known[:, begin:end], number[:, begin:end])[first, second]
    return found


def settle(sums: Moments, rows: int) -> Moments:
    """Return sums by level without the levels that are not needed for a window of so many rows."""
    lowest = lowest_level(rows)
    if lowest and sums[:lowest].any():
        sums = sums.copy()
        sums[:lowest] = 0
    return sums


def correlations(sums: Moments) -> Floats:
    """Return the correlation of each pair; NaN where a column is constant."""
    central = _central(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = central[1, 1] / np.sqrt(central[2, 0] * central[0, 2])
    return found


def compare(columns: Sequence[ColumnProfile], pairs: Sequence[Pair], window: Moments) -> list[Compared]:
    """Compare the correlations of a window with the reference's.

    The difference of Fisher's transforms, over its standard error from the correlation's influence function (Devlin,
    Gnanadesikan and Kettenring 1975) in both samples together: no normal law of the columns is assumed.

    Args:
        columns: The profiled columns.
        pairs: The reference's pairs.
        window: The window's sums by level.
    """
    from scipy.special import ndtr

    reference = np.array([pair.moments for pair in pairs], dtype=np.int64)
    window = window.sum(axis=0)
    before, after = correlations(reference), correlations(window)
    n, m = reference[:, 0], window[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        both, variance = _influence(reference + window)
        gap = np.arctanh(after.clip(-_LARGEST, _LARGEST)) - np.arctanh(before.clip(-_LARGEST, _LARGEST))
        error = np.sqrt(variance * (1 / n + 1 / m)) / (1 - both.clip(-_LARGEST, _LARGEST) ** 2)
        deviate = gap / error
    spread = {column.name: _spread(column) for column in columns}
    apart = np.array([spread[pair.first] * spread[pair.second] for pair in pairs])
    tested = (np.minimum(n, m) * apart >= MIN_ROWS) & np.isfinite(deviate)
    p_values = 2 * ndtr(-np.abs(deviate))
    return [
        Compared(float(r), float(s), float(p) if fit else None)
        for r, s, p, fit in zip(before, after, p_values, tested, strict=True)
    ]


def _influence(sums: Moments) -> tuple[Floats, Floats]:
    """Return each correlation and the variance of its influence function, ``ab - r (a² + b²) / 2``, standardised."""
    central = _central(sums)
    u, v = np.sqrt(central[2, 0]), np.sqrt(central[0, 2])
    r = central[1, 1] / (u * v)
    mixed = central[2, 2] / (u * v) ** 2
    skewed = central[3, 1] / (u**3 * v) + central[1, 3] / (u * v**3)
    flat = central[4, 0] / u**4 + central[0, 4] / v**4
    return r, np.maximum(mixed - r * skewed + r**2 / 4 * (flat + 2 * mixed), 0.0)


def _central(sums: Moments) -> dict[tuple[int, int], Floats]:
    """Return the central moments of each pair, from the sums about zero by the binomial theorem."""
    from math import comb

    rows = np.maximum(sums[:, 0], 1)
    raw = {power: sums[:, place] / rows for place, power in enumerate(POWERS)}
    u, v = raw[1, 0], raw[0, 1]
    return {
        (i, j): sum(
            (comb(i, k) * comb(j, h) * (-u) ** (i - k) * (-v) ** (j - h) * raw[k, h])
            for k in range(i + 1)
            for h in range(j + 1)
        )
        for i, j in POWERS
    }


def _length(columns: Sequence[ColumnProfile], values: Mapping[str, Any]) -> int:
    return max((len(values[column.name]) for column in columns if column.name in values), default=0)


def _places(columns: Sequence[ColumnProfile], names: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    places = {column.name: place for place, column in enumerate(columns)}
    return [places[one] for one, _ in names], [places[other] for _, other in names]


def _read(
    columns: Sequence[ColumnProfile], values: Mapping[str, Any], taken: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], Floats]:
    """Return what :func:`multiply` takes, of some rows: whole numbers from -256 to 256, none where unreadable."""
    number = np.full((len(columns), taken.size), np.nan)
    numbers = []
    for place, column in enumerate(columns):
        if column.name not in values:
            continue
        some = _some(values[column.name], taken)
        if column.kind == "category":
            number[place] = _commonest(column.categories[0], to_codes(some) if is_arrow(some) else some)
            continue
        with suppress(ValueError):  # what is no number has no rank
            number[place] = to_numbers(some)
            numbers.append(place)
    missing = np.isnan(number)
    partly = bool(missing.any())
    if partly:
        number[missing] = 0
    singles = single(number[numbers])  # one call for all: they are short
    for place, values_ in zip(numbers, singles, strict=True):
        number[place] = columns[place].middles[_bins(columns[place], values_)]
    if partly:
        number[missing] = 0
    return ~missing, number


def _bins(column: ColumnProfile, values: NDArray[np.float32]) -> NDArray[np.intp]:
    if column.cells is not None:
        return column.cells.bins_of(values)
    found: NDArray[np.intp] = np.searchsorted(column.single_edges, values)
    return found


def multiply(known: NDArray[np.bool_], number: Floats) -> Moments:
    """Return the sums of the products of powers of every two columns, shape ``(columns, columns, powers)``.

    Args:
        known: Whether a column has a value in a row; shape ``(columns, rows)``.
        number: The whole number of the value, zero where there is none.
    """
    columns, rows = number.shape
    powers = np.empty((4, columns, rows))
    powers[0] = number
    for power in range(1, 4):
        np.multiply(powers[power - 1], number, out=powers[power])
    products = {(0, power): found for power, found in enumerate(_where_known(known, powers))}
    first = _product(number, powers[:3].reshape(3 * columns, rows)).reshape(columns, 3, columns)
    products |= {(1, power + 1): first[:, power] for power in range(3)}
    products[2, 2] = _product(powers[1], powers[1])
    sums = np.stack([products[i, j] if i <= j else products[j, i].T for i, j in POWERS], axis=-1)
    rounded: Moments = np.rint(sums).astype(np.int64)
    return rounded


def _product(one: Floats, other: Floats) -> Floats:
    """Return ``one @ other.T`` in blocks so small that OpenBLAS leaves each to the thread that asks."""
    width = max(_ONE_THREAD // (len(one) * len(other)), _NARROWEST)
    blocks = one.shape[1] // width
    whole = blocks * width
    first, second = (side[:, :whole].reshape(len(side), blocks, width).swapaxes(0, 1) for side in (one, other))
    found: Floats = (first @ second.swapaxes(1, 2)).sum(axis=0)
    return found + one[:, whole:] @ other[:, whole:].T


def _where_known(known: NDArray[np.bool_], powers: Floats) -> Floats:
    """Return the sums of each column's powers, the last axis, over the rows in which another one has a value."""
    columns, rows = known.shape
    found = np.empty((5, columns, columns))
    found[0], found[1:] = known.sum(axis=1), powers.sum(axis=2)[:, np.newaxis]
    partly = np.flatnonzero(~known.all(axis=1))
    if partly.size:  # a column without missing values has one in every row
        every = np.concatenate([known[np.newaxis], powers]).reshape(5 * columns, rows)
        some = _product(every[partly], every)
        found[:, partly] = some.reshape(-1, 5, columns).swapaxes(0, 1)
    return found


def middles(column: ColumnProfile) -> Floats:
    """Return the whole number, from -256 to 256, that a value in each bin or category becomes."""
    counts = np.array(column.counts, dtype=np.float64)
    if column.kind == "category":
        return np.where(np.arange(len(counts)) == 0, float(_UNIT // 2), 0.0)
    found: Floats = np.rint(((np.cumsum(counts) - counts / 2) / counts.sum() - 0.5) * _UNIT)
    return found


def _commonest(category: str, values: Any) -> Floats:
    if isinstance(values, Coded):
        return np.where(values.codes < 0, np.nan, values.equals(category) * float(_UNIT // 2))
    texts = to_texts(values)
    return np.array([np.nan if text is None else (text == category) * _UNIT // 2 for text in texts], dtype=np.float64)


def _some(values: Any, taken: NDArray[np.int64]) -> Any:
    if isinstance(values, Coded):
        return Coded(values.codes[taken], values.names)
    if is_arrow(values):
        import pyarrow as pa

        if getattr(values, "num_chunks", 1) == 1:
            chunk = one_chunk(values)
            if str(chunk.type) == "double":
                return _taken(chunk, taken, np.nan)
            if pa.types.is_dictionary(chunk.type) and not chunk.dictionary.null_count:
                names = chunk.dictionary.cast(pa.string()).to_pylist()
                return Coded(_taken(chunk.indices, taken, -1), tuple(names))
        places = np.ascontiguousarray(taken, dtype=np.int64)
        return values.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))
    array = values.to_numpy() if hasattr(values, "to_numpy") else values
    return array[taken] if isinstance(array, np.ndarray) else [array[place] for place in taken.tolist()]


def _taken(chunk: pa.Array, taken: NDArray[np.int64], missing: float) -> NDArray[Any]:
    """Return some values of an Arrow array of numbers; numpy takes few of them several times as fast as Arrow."""
    found = arrow_values(chunk)[taken]
    return np.where(arrow_present(chunk)[taken], found, found.dtype.type(missing)) if chunk.null_count else found


def _spread(column: ColumnProfile) -> float:
    """Return the share of the values that are not the commonest one, or not in the fullest bin."""
    total = sum(column.counts)
    return 1 - max(column.counts) / total if total else 0.0
