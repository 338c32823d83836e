"""What a drifted column alone does to the model's score.

The reference sample is scored twice: as it is, and with this one column distributed as in the window, all else
unchanged. A number keeps its rank and takes the window's value of that rank (quantile matching), so what the columns
have to do with each other stays; categories and missing values move as few rows as make the shares right. What is left
unexplained comes from other columns, from how they vary together, or from rows of which the counts say too little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import MlprodError
from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts
from mlprod_nb.monitoring.columns import Floats, is_missing, single
from mlprod_nb.monitoring.profile import ColumnProfile, Profile
from mlprod_nb.monitoring.rows import ColumnDrift
from mlprod_nb.monitoring.sections import short
from mlprod_nb.registry.bundles import SCORE_COLUMN
from mlprod_nb.results import Section, format_pair, percent

ScoreFunction = Callable[[dict[str, list[Any]]], Any]
MAX_ROWS = 2000
MAX_COLUMNS = 10
_BINS = 20
#: A window's mean score that moved by less than this share of the score's spread leaves nothing to explain.
_NOTHING = 0.02


@dataclass(frozen=True)
class ScoreShift:
    """What one drifted column alone does to the score of the reference sample.

    Attributes:
        column: Its name.
        mean_before: Mean score of the sample as it is.
        mean_after: Mean score with the column as in the window.
        mean_shift: The difference.
        explains: ``mean_shift`` relative to how far the window's mean score moved; ``None`` where that hardly moved.
        moved: The share of the rows that would have to change to undo the score's shift (total variation).
        changed: Mean absolute change of a row's score.
        statement: In words.
    """

    column: str
    mean_before: float
    mean_after: float
    mean_shift: float
    explains: float | None
    moved: float
    changed: float
    statement: str


@dataclass(frozen=True)
class ScoreShifts:
    """The effect of each drifted column, the largest first.

    Attributes:
        rows: The columns.
        statement: Why there are none, or how they were measured.
    """

    rows: tuple[ScoreShift, ...]
    statement: str


def measure(
    profile: Profile,
    window: WindowCounts,
    drifted: Sequence[ColumnDrift],
    reference: Mapping[str, Any],
    score_function: ScoreFunction,
) -> ScoreShifts:
    """Measure what each drifted column alone does to the score; the first ten by impact.

    Args:
        profile: The reference profile.
        window: The window's counts.
        drifted: The columns that drifted.
        reference: The reference sample: plain values or Arrow arrays by column.
        score_function: Gives the score of each row of columns of plain values, ``None`` being a missing one.
    """
    every = {column.name: _plain(reference[column.name]) for column in profile.columns if column.name in reference}
    rows = min((len(values) for values in every.values()), default=0)
    if rows < 2 or len(every) < len(profile.columns):
        return ScoreShifts((), "not measured: the reference sample lacks rows or columns")
    chosen = np.linspace(0, rows - 1, min(rows, MAX_ROWS)).astype(np.int64).tolist()
    sample = {name: [values[i] for i in chosen] for name, values in every.items()}
    observed = _observed(profile, window)
    try:
        before = np.asarray(score_function(dict(sample)), dtype=np.float64)
        found = []
        for row in drifted[:MAX_COLUMNS]:
            column = profile.column(row.column)
            values = sample[row.column]
            replaced = as_in_window(column, window.columns[row.column], values) if column is not None else None
            if replaced is not None:
                after = np.asarray(score_function({**sample, row.column: replaced}), dtype=np.float64)
                found.append(_shift(row.column, before, after, observed))
    except MlprodError as error:
        return ScoreShifts((), f"not measured: {error.message}")
    text = f"{len(chosen):,} reference rows, each column as in the window while all others stay"
    return ScoreShifts(tuple(sorted(found, key=lambda s: (-s.moved, -s.changed, s.column))), text)


def as_in_window(column: ColumnProfile, window: ColumnCounts, values: list[Any], *, seed: int = 0) -> list[Any] | None:
    """Return a column's values, redistributed as in the window; ``None`` where the window has no values.

    Args:
        column: The column's profile.
        window: Its counts in the window.
        values: Its values in the reference sample, ``None`` where one is missing.
        seed: Of the order of equal values, and of the rows that change.
    """
    random = np.random.default_rng(seed)
    if window.problem or not window.rows:
        return None
    wanted = round(window.missing / window.rows * len(values))
    gone = np.array([is_missing(value) for value in values])
    present, absent = random.permutation(np.flatnonzero(~gone)), random.permutation(np.flatnonzero(gone))
    lost, filled = present[: max(0, wanted - len(absent))], absent[: max(0, len(absent) - wanted)]
    kept = np.concatenate([present[len(lost) :], filled])
    if not window.counts.sum() or not len(kept):
        return [None] * len(values) if window.missing == window.rows else None
    made: list[Any] = [None] * len(values)
    shape = _numbers if column.kind == "number" else _categories
    for place, value in zip(kept.tolist(), shape(column, window, [values[i] for i in kept], random), strict=True):
        made[place] = value
    return made


def section(found: ScoreShifts | None) -> Section:
    """Return the table of what each drifted column alone does to the score."""
    rows = (
        ()
        if found is None
        else tuple(
            (
                row.column,
                row.statement,
                percent(row.moved),
                short(row.changed, 2),
                None if row.explains is None else percent(row.explains),
            )
            for row in found.rows
        )
    )
    head = ("column", "alone it moves", "scores moved", "mean change of a score", "of the score's shift")
    return Section("effect on the score", head, rows)


def _numbers(column: ColumnProfile, window: ColumnCounts, values: list[Any], random: np.random.Generator) -> list[Any]:
    """Give each row the window's value of its rank; equal values are ranked by chance, and filled rows as the mean."""
    known = [0.0 if is_missing(value) else float(value) for value in values]
    order = np.lexsort((random.random(len(known)), np.array(known)))
    ranks = np.empty(len(known))
    ranks[order] = (np.arange(len(known)) + 0.5) / len(known)
    reached = np.cumsum(window.counts) / window.counts.sum()
    low = window.minimum if window.minimum is not None else column.edges[0]
    high = max(window.maximum if window.maximum is not None else column.edges[-1], column.edges[-1])
    at = np.concatenate([[min(low, column.edges[0])], column.edges, [high]])
    levels = np.concatenate([[0.0], reached])
    quantiles: Floats = np.interp(ranks, levels, at)
    # A value that repeats has a bin of its own, one step of float32 wide: there is nothing between its edges.
    places = np.clip(np.searchsorted(levels, ranks) - 1, 0, len(at) - 2)
    alone = np.nextafter(single(at[1:]), np.float32(-np.inf)) == single(at[:-1])
    quantiles = np.where(alone[places], at[1:][places], quantiles)
    whole = all(isinstance(value, int) for value in values if not is_missing(value))
    return [round(q) for q in quantiles.tolist()] if whole else quantiles.tolist()


def _categories(
    column: ColumnProfile, window: ColumnCounts, values: list[Any], random: np.random.Generator
) -> list[Any]:
    """Move rows from categories that shrank to those that grew; of new ones the commonest stand for all."""
    names = [*column.categories, *(name for name, _ in window.new)]
    counts = np.concatenate([window.counts[:-1], [rows for _, rows in window.new]]).astype(np.float64)
    if not counts.sum():
        return values
    place = {name: index for index, name in enumerate(names)}
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    codes = np.array([place.get(text, -1) for text in texts])
    target = _rounded(counts / counts.sum() * len(values))
    surplus: list[int] = np.flatnonzero(codes < 0).tolist()
    for index, wanted in enumerate(target.tolist()):
        here = random.permutation(np.flatnonzero(codes == index))
        surplus += here[wanted:].tolist()
        target[index] = max(0, wanted - len(here))
    gaps = np.repeat(np.arange(len(names)), target)
    made = list(values)
    truth = any(isinstance(value, bool) for value in values)
    for row, index in zip(random.permutation(surplus).tolist(), gaps.tolist(), strict=True):
        made[int(row)] = names[index] == "true" if truth else names[index]
    return made


def _rounded(shares: Floats) -> NDArray[np.int64]:
    """Round to whole numbers of the same sum, the largest remainders up."""
    whole = np.floor(shares).astype(np.int64)
    short_of = round(float(shares.sum())) - int(whole.sum())
    whole[np.argsort(whole - shares, kind="stable")[:short_of]] += 1
    return whole


def _shift(name: str, before: Floats, after: Floats, observed: float | None) -> ScoreShift:
    cuts = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1]))
    shares = [np.bincount(np.searchsorted(cuts, scores), minlength=len(cuts) + 1) for scores in (before, after)]
    moved = float(np.abs(shares[0] - shares[1]).sum()) / (2 * len(before))
    first, last = float(before.mean()), float(after.mean())
    return ScoreShift(
        column=name,
        mean_before=first,
        mean_after=last,
        mean_shift=last - first,
        explains=None if observed is None else (last - first) / observed,
        moved=moved,
        changed=float(np.abs(after - before).mean()),
        statement=f"mean score {format_pair(first, '→', last)}",
    )


def _observed(profile: Profile, window: WindowCounts) -> float | None:
    """Return how far the window's mean score is from the reference's; ``None`` where hardly."""
    score, counts = profile.column(SCORE_COLUMN), window.columns.get(SCORE_COLUMN)
    if score is None or counts is None or not counts.present or counts.infinite:
        return None
    moved = counts.total / counts.present
    return moved if abs(moved) > _NOTHING * (score.sd or 0.0) else None


def _plain(values: Any) -> list[Any]:
    listed = values.to_pylist() if hasattr(values, "to_pylist") else values
    listed = listed.tolist() if hasattr(listed, "tolist") else list(listed)
    return [None if is_missing(value) else value for value in listed]
