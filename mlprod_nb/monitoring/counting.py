"""Windows in the reference's own bins: each column counted as the profile of that column is.

Guarantee: how the rows of a window are divided changes nothing: :func:`add` of the counts of parts is, bit by bit, the
count of all rows, as long as a part has at most 1,000 categories that the reference lacks. For the sums behind a mean
and a spread, which are only shown, this holds as long as no value is wilder than :func:`_sums` says.

Where the rows are many, pairs of columns are counted in a sample of them, which the rows' ids choose. Rows go through
in blocks that fit a processor's cache, each counted in float32, so neither memory nor the time for a row grows with the
size of a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from itertools import islice
from operator import add as plus
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring import cells, derived, joint_counts, scoring
from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts, bin_counts, commonest, total
from mlprod_nb.monitoring.cells import MIN_VALUES, Singles
from mlprod_nb.monitoring.columns import Floats, single, to_counts, to_present_numbers
from mlprod_nb.monitoring.levels import Levels, levels_of
from mlprod_nb.monitoring.profile import OUTCOMES, ColumnProfile, Profile, outcome_values
from mlprod_nb.monitoring.stretches import seconds_of
from mlprod_nb.registry.bundles import LABEL_COLUMN, PREDICTION_COLUMN, SCORE_COLUMN

if TYPE_CHECKING:
    import pyarrow as pa

GONE = "the column is gone"
ID = "prediction_id"
_BLOCK_ROWS = 65_536
_LARGEST_SINGLE = float(np.finfo(np.float32).max)
#: So many parts are held before they are summed up.
_AT_ONCE = 16
_UNIT_BITS = 24
#: As an exponent of two: the reciprocal of a smaller scale is no number.
_SMALLEST_SCALE = -1000


def count(
    profile: Profile,
    columns: Mapping[str, Any],
    *,
    levels: Levels | None = None,
    of_rows: int = 0,
    moments: Floats | None = None,
) -> WindowCounts:
    """Count a window in the reference's own bins.

    Args:
        profile: The reference.
        columns: Each column's values; outcomes under their own names. A column that is absent, or holds what its type
            does not allow, is said so in its ``problem``; nothing is raised.
        levels: Each row's level, by which ``joint_counts`` chooses rows; by their places where not given.
        of_rows: How many rows a file has at least, of which these are a part that is counted with the others.
        moments: When each row's event happened, seconds since 1970, for the age of dates.
    """
    known = {column.name: column for column in (*profile.columns, *profile.outcomes)}
    rows = max((len(values) for name, values in columns.items() if name not in OUTCOMES), default=0)
    # All columns use the same room: fresh memory takes longer than the work in it.
    room = np.empty((3, min(rows, _BLOCK_ROWS)))
    counted = {
        name: _count(column, columns[name], room)
        if name in columns
        else replace(_nothing(column), problem="" if name in OUTCOMES else GONE)
        for name, column in known.items()
    }
    counted |= _derived(profile, columns, moments, room) if profile.derived else {}
    extra = tuple(sorted(name for name in columns if name not in known and name not in OUTCOMES))
    pairs = joint_counts.count(profile.columns, profile.pairs, columns, levels=levels, of_rows=of_rows)
    return WindowCounts(rows, counted, extra, pairs)


def count_predictions(
    profile: Profile, predictions: pa.Table, outcomes: scoring.Outcomes, version: str, *, of_rows: int = 0
) -> WindowCounts:
    """Count predictions: the inputs of every row; score, prediction and label of those that a version made.

    Args:
        profile: The reference.
        predictions: Logged predictions, with their ids where their counts are to be added to those of other ones.
        outcomes: What :func:`scoring.read` reads of them.
        version: The version, as ``flights/3``; every row counts where it is empty.
        of_rows: As in :func:`count`.
    """
    columns = {**inputs(predictions), **_outcomes(profile, outcomes, version)}
    named = ID in predictions.column_names
    levels = levels_of(predictions.column(ID)) if named and profile.pairs else None
    aged = any(column.how == "age" for column in profile.derived or ())
    seconds = seconds_of(predictions) if aged else None
    moments = None if seconds is None else seconds.astype(np.float64)
    counted = count(profile, columns, levels=levels, of_rows=of_rows, moments=moments)
    return replace(counted, rows=predictions.num_rows)


def with_labels(counted: WindowCounts, profile: Profile, outcomes: scoring.Outcomes, version: str) -> WindowCounts:
    """Return counts with the labels as they are known now, since labels come late."""
    if LABEL_COLUMN not in counted.columns:
        return counted
    now = count(profile, {LABEL_COLUMN: _outcomes(profile, outcomes, version)[LABEL_COLUMN]})
    return replace(counted, columns={**counted.columns, LABEL_COLUMN: now.columns[LABEL_COLUMN]})


def add(profile: Profile, parts: Iterable[WindowCounts]) -> WindowCounts:
    """Return the window of all parts.

    A column that some part's rows lack is missing in these rows; one that cannot be counted in some part is not
    counted at all.

    Args:
        profile: The reference that they were counted with.
        parts: The parts, of which those without rows do not matter.
    """
    left = iter(parts)
    together = _add(profile, islice(left, _AT_ONCE))
    while some := list(islice(left, _AT_ONCE)):
        together = _add(profile, [together, *some])
    return together


def _add(profile: Profile, parts: Iterable[WindowCounts]) -> WindowCounts:
    some = [part for part in parts if part.rows]
    if not some:
        return count(profile, {})
    sums = [part.pairs for part in some if part.pairs is not None]
    rows = sum(part.rows for part in some)
    return WindowCounts(
        rows=rows,
        columns={column.name: _together(column, some) for column in profile.every},
        extra=tuple(sorted({name for part in some for name in part.extra})),
        pairs=joint_counts.settle(reduce(plus, sums), rows) if len(sums) == len(some) else None,
    )


def inputs(predictions: pa.Table) -> dict[str, Any]:
    """Return the model's input columns of logged predictions, as Arrow arrays by name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "inputs" not in predictions.column_names or not pa.types.is_struct(predictions.schema.field("inputs").type):
        return {}
    column = predictions.column("inputs")
    # By place: a name that begins with a dot or a bracket would be read as a path.
    return {field.name: pc.struct_field(column, [place]) for place, field in enumerate(column.type)}


def _derived(
    profile: Profile, columns: Mapping[str, Any], moments: Floats | None, room: Floats
) -> dict[str, ColumnCounts]:
    every = profile.derived or ()
    made, found = derived.derive(every, columns, moments), {}
    for column in every:
        problem = derived.NO_EVENT_TIMES if column.source in columns else GONE
        known = column.name in made
        found[column.name] = (
            _count(column, made[column.name], room) if known else replace(_nothing(column), problem=problem)
        )
    return found


def _outcomes(profile: Profile, outcomes: scoring.Outcomes, version: str) -> dict[str, Any]:
    rows = outcomes.labelled.take(outcomes.of(version))
    found = {SCORE_COLUMN: rows.scores, LABEL_COLUMN: rows.labels}
    if profile.task == "classification":
        found[PREDICTION_COLUMN] = rows.predictions
    return {name: outcome_values(name, values, profile.classes) for name, values in found.items()}


def _together(column: ColumnProfile, parts: Iterable[WindowCounts]) -> ColumnCounts:
    found = [(part.columns[column.name], part.rows) for part in parts]
    if all(counts.problem == GONE for counts, _ in found):
        return found[0][0]
    nothing = _nothing(column)
    added = total(
        [replace(nothing, missing=rows, rows=rows) if counts.problem == GONE else counts for counts, rows in found]
    )
    return replace(nothing, rows=added.rows, problem=added.problem) if added.problem else added


def _nothing(column: ColumnProfile) -> ColumnCounts:
    return ColumnCounts(np.zeros(len(column.counts), dtype=np.int64), 0, 0, ordered=column.kind == "number")


def _count(column: ColumnProfile, values: Any, room: Floats) -> ColumnCounts:
    if column.kind == "category":
        return _count_categories(column, values)
    try:
        numbers = to_present_numbers(values)
    except ValueError as error:
        return replace(_nothing(column), rows=len(values), problem=str(error))
    counted = total([_count_block(column, block, room) for block in _blocks(numbers)] or [_nothing(column)])
    absent = len(values) - len(numbers)
    return replace(counted, missing=counted.missing + absent, rows=len(values))


def _blocks(numbers: Floats) -> Iterator[Floats]:
    for first in range(0, len(numbers), _BLOCK_ROWS):
        yield numbers[first : first + _BLOCK_ROWS]


def _count_block(column: ColumnProfile, numbers: Floats, room: Floats) -> ColumnCounts:
    ends = _ends(numbers)
    present = numbers if _plain(ends) else numbers[~np.isnan(numbers)]
    ends = ends if present is numbers else _ends(present)
    finite = present if _plain(ends) else present[np.isfinite(present)]
    lowest, highest = ends if finite is present else _ends(finite)
    within = finite is present and max(-(lowest or 0), highest or 0) <= _LARGEST_SINGLE
    counts, ordered = _count_singles(column, _singles(present, room) if within else single(present), room)
    bounds = single(np.array([column.minimum or 0.0, column.maximum or 0.0]))
    known = column.minimum is not None
    added, squares = _sums(column, finite, room)
    return ColumnCounts(
        counts=counts,
        missing=len(numbers) - len(present),
        rows=len(numbers),
        below=int(np.searchsorted(ordered, bounds[0], side="left")) if known else 0,
        above=int(ordered.size - np.searchsorted(ordered, bounds[1], side="right")) if known else 0,
        infinite=len(present) - len(finite),
        minimum=lowest,
        maximum=highest,
        total=added,
        squares=squares,
        ordered=True,
    )


def _ends(numbers: Floats) -> tuple[float | None, float | None]:
    """Return the smallest and the largest number; NaN where one is NaN, ``None`` where there are none."""
    return (float(numbers.min()), float(numbers.max())) if numbers.size else (None, None)


def _plain(ends: tuple[float | None, float | None]) -> bool:
    """Say whether all numbers between these ends are finite."""
    return all(end is not None and math.isfinite(end) for end in ends)


def _singles(numbers: Floats, room: Floats) -> Singles:
    """Return numbers in float32, in the third part of the room where they fit."""
    if len(numbers) > room.shape[1]:
        return numbers.astype(np.float32)
    found: Singles = room[2].view(np.float32)[: len(numbers)]
    found[:] = numbers
    return found


def _count_singles(column: ColumnProfile, values: Singles, room: Floats) -> tuple[NDArray[np.int64], Singles]:
    """Return the counts, and in order at least the values below the reference's minimum and above its maximum."""
    if values.size >= MIN_VALUES and cells.pay() and column.cells is not None:
        return column.cells.count(values, room if len(values) <= room.shape[1] else None)
    values.sort()
    return bin_counts(values, column.single_edges), values


def _sums(column: ColumnProfile, finite: Floats, room: Floats) -> tuple[float, float]:
    """Return the sums of the differences from the reference's mean and of their squares, in whole units.

    A unit is 2^-24 of a power of two near the reference's standard deviation. Sums of whole numbers below 2^53 are
    exact in any order: for 2^20 rows as long as the mean square is below 500 of the reference's variances.

    Args:
        column: The reference's column.
        finite: Its numbers in the window.
        room: Memory to work in, shape ``(3, rows)``; fresh memory is taken where it is too small.
    """
    away, whole = room[:2, : len(finite)] if len(finite) <= room.shape[1] else np.empty((2, len(finite)))
    scale = 2.0 ** max(round(math.log2(column.sd or abs(column.mean or 0.0) or 1.0)), _SMALLEST_SCALE)
    root = 2.0 ** (_UNIT_BITS // 2)
    with np.errstate(over="ignore", invalid="ignore"):
        np.subtract(finite, column.mean or 0.0, out=away)
        away *= root / scale  # powers of two: exact, and one pass does for both sums
        np.multiply(away, root, out=whole)
        added = float(np.rint(whole, out=whole).sum())
        np.square(away, out=away)
        squares = float(np.rint(away, out=away).sum())
        return added / root / root * scale, squares / root / root * scale * scale


def _count_categories(column: ColumnProfile, values: Any) -> ColumnCounts:
    found, missing = to_counts(values)
    listed = [found.pop(category, 0) for category in column.categories]
    unseen = sum(found.values())
    return ColumnCounts(
        counts=np.array([*listed, unseen], dtype=np.int64),
        missing=missing,
        rows=len(values),
        unseen=unseen,
        new=commonest(found),
    )
