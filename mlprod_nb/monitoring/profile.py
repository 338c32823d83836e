"""The reference profile: what the data looked like when the model was registered, and counts of later windows in it.

A column of numbers is kept as counts in at most 1,000 bins whose edges are quantiles of the reference. A value that
repeats often gets a bin of its own, so a column of up to 499 distinct values is kept exactly. A window is counted in
the same bins; counts of windows can be added, so a month is the sum of its days. The Kolmogorov–Smirnov statistic
of such counts is never above the exact one and never more than one bin's share, 0.001, below it; 3e-4 on large windows.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import InvalidInput
from mlprod_nb.monitoring import calibration, derived, joint_counts, performance
from mlprod_nb.monitoring.bins import ColumnCounts, bin_counts, choose_edges
from mlprod_nb.monitoring.cells import Cells, divide
from mlprod_nb.monitoring.columns import Coded, Floats, is_arrow, single, to_counts, to_numbers, to_texts
from mlprod_nb.registry.bundles import (
    LABEL_COLUMN,
    PREDICTION_COLUMN,
    SCORE_COLUMN,
    ClassLabel,
    Signature,
    Task,
    canonical_json,
)

FORMAT = 1
MAX_CATEGORIES = 1000
OUTCOMES = (SCORE_COLUMN, PREDICTION_COLUMN, LABEL_COLUMN)
Kind = Literal["number", "category"]
_HUGE = 2.0**480


@dataclass(frozen=True)
class ColumnProfile:
    """One column of the reference.

    Attributes:
        name: The column's name; ``__score__``, ``__prediction__`` and ``__label__`` are the model's and the world's.
        kind: ``"number"`` or ``"category"``.
        rows: Rows of the reference.
        missing: Rows without a value.
        counts: Rows in each bin (one more than ``edges``), or of each category and, last, of all others.
        edges: Upper edges of the bins, inclusive, in float32; empty for categories.
        categories: The categories that are counted one by one, commonest first; empty for numbers.
        distinct: How many different values there are.
        infinite: Rows with an infinite value.
        minimum: Smallest finite value.
        maximum: Largest finite value.
        mean: Mean of the finite values.
        sd: Standard deviation of the finite values.
        importance: Mean absolute change of the score when the column is permuted; ``None`` where not measured.
        source: The input column that it is derived of; empty where it is one itself.
        how: What is derived, as ``"length"``; empty where nothing is.
    """

    name: str
    kind: Kind
    rows: int
    missing: int
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    distinct: int = 0
    infinite: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    sd: float | None = None
    importance: float | None = None
    source: str = ""
    how: str = ""

    @property
    def bounded(self) -> bool:
        """Whether there are more categories than are counted one by one."""
        return self.distinct > len(self.categories)

    @cached_property
    def single_edges(self) -> NDArray[np.float32]:
        """The edges as numbers are compared with them."""
        return np.array(self.edges, dtype=np.float32)

    @cached_property
    def cells(self) -> Cells | None:
        """The cells in which many numbers are counted."""
        if self.minimum is None or self.maximum is None:
            return None
        lowest, highest = single(np.array([self.minimum, self.maximum]))
        return divide(self.single_edges, np.array(self.counts, dtype=np.int64), lowest, highest)

    @cached_property
    def middles(self) -> Floats:
        """The whole number that a value in each bin or category becomes where columns are correlated."""
        return joint_counts.middles(self)

    def as_counts(self) -> ColumnCounts:
        """Return the reference itself as counts."""
        present = self.rows - self.missing - self.infinite
        return ColumnCounts(
            counts=np.array(self.counts, dtype=np.int64),
            missing=self.missing,
            rows=self.rows,
            infinite=self.infinite,
            minimum=self.minimum,
            maximum=self.maximum,
            total=0.0,
            squares=(self.sd or 0.0) ** 2 * max(present - 1, 0),
            ordered=self.kind == "number",
            edges=self.single_edges.astype(np.float64),
        )


@dataclass(frozen=True)
class Profile:
    """What the reference looked like.

    Attributes:
        task: ``"classification"`` or ``"regression"``.
        classes: The labels in the model's order; empty for a regression.
        rows: Rows of the reference.
        columns: The model's input columns.
        outcomes: Score, prediction and label, as far as they were given.
        performance: The metrics on the reference's labelled rows.
        score_map: From a score to the share of the reference's rows that came true; ``None`` where there are too few
            labels, and for a regression.
        pairs: The pairs of columns whose rank correlation is watched.
        derived: What is derived of columns and watched beside them; ``None`` where the profile is from before that.
        format: Version of the stored form.
    """

    task: Task
    classes: tuple[ClassLabel, ...]
    rows: int
    columns: tuple[ColumnProfile, ...]
    outcomes: tuple[ColumnProfile, ...] = ()
    performance: tuple[performance.Estimate, ...] = ()
    score_map: calibration.ScoreMap | None = None
    pairs: tuple[joint_counts.Pair, ...] = ()
    derived: tuple[ColumnProfile, ...] | None = None
    format: int = FORMAT

    def column(self, name: str) -> ColumnProfile | None:
        """Return the column, derived column or outcome of that name, or ``None``."""
        return next((column for column in self.every if column.name == name), None)

    @property
    def every(self) -> tuple[ColumnProfile, ...]:
        """The columns, what is derived of them, and the outcomes."""
        return (*self.columns, *(self.derived or ()), *self.outcomes)

    def to_json(self) -> bytes:
        """Return the profile as canonical JSON: equal profiles give equal bytes."""
        return canonical_json(_plain(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Profile:
        """Read what :meth:`to_json` gave.

        Raises:
            ValueError: The text is not a profile of a format that this version reads.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"profile format {data['format']!r} is not {FORMAT}")
            return cls(
                task=data["task"],
                classes=tuple(data["classes"]),
                rows=int(data["rows"]),
                columns=tuple(_column_from(item) for item in data["columns"]),
                outcomes=tuple(_column_from(item) for item in data["outcomes"]),
                performance=tuple(performance.Estimate(**item) for item in data["performance"]),
                score_map=calibration.ScoreMap.from_plain(data.get("score_map")),
                pairs=tuple(
                    joint_counts.Pair(p["first"], p["second"], tuple(p["moments"])) for p in data.get("pairs", ())
                ),
                derived=None if data.get("derived") is None else tuple(_column_from(item) for item in data["derived"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a profile: {error}") from None


def _column_from(data: dict[str, Any]) -> ColumnProfile:
    lists = {name: tuple(data[name]) for name in ("counts", "edges", "categories")}
    return ColumnProfile(**{**data, **lists})


def _plain(value: Any) -> Any:
    """Return what JSON takes; ``dataclasses.asdict`` copies every number, which takes most of a second."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and value and (is_dataclass(value[0]) or isinstance(value[0], tuple)):
        return [_plain(each) for each in value]
    return value


def build(
    columns: Mapping[str, Any],
    signature: Signature,
    *,
    scores: Any,
    labels: Any | None,
    task: Task,
    classes: tuple[ClassLabel, ...] = (),
    moments: Any | None = None,
) -> Profile:
    """Profile reference rows, best of data the model was not fitted on.

    Args:
        columns: Each input column's values; ``__prediction__`` among them holds the predicted labels. Without it they
            are the last class where a binary score is 0.5 or more, and none for more classes.
        signature: The model's input columns.
        scores: The model's score of each row.
        labels: What happened, missing where unknown; or ``None``.
        task: ``"classification"`` or ``"regression"``.
        classes: The labels in the model's order; empty for a regression.
        moments: When each row's event happened, seconds since 1970, for the age of dates; or ``None``.

    Raises:
        InvalidInput: A column is absent, of another length, or holds what its type does not allow.
    """
    classes = tuple(label.item() if isinstance(label, np.generic) else label for label in classes)
    score_values = _read(SCORE_COLUMN, scores, "number")
    rows = len(score_values)
    profiled = []
    for column in signature.columns:
        if column.name not in columns:
            raise InvalidInput(f"the reference has no column {column.name!r}.", column=column.name)
        kind: Kind = "number" if column.type in ("double", "long") else "category"
        profiled.append(_profile(column.name, columns[column.name], kind, rows))
    outcomes = _outcomes(columns, score_values, labels, task, classes)
    wrong = next((name for name, values in outcomes.items() if len(values) != rows), None)
    if wrong:
        raise InvalidInput(f"{wrong} has {len(outcomes[wrong])} values for {rows} scores.", column=wrong)
    labelled = _labelled(outcomes, task)
    return Profile(
        task=task,
        classes=classes,
        rows=rows,
        columns=tuple(profiled),
        outcomes=tuple(_outcome(name, values, task, classes) for name, values in outcomes.items()),
        performance=performance.evaluate(task, classes, labelled) if labelled is not None else (),
        score_map=_score_map(labelled, task, classes) if labelled is not None else None,
        pairs=joint_counts.choose(profiled, columns),
        derived=_derived(profiled, columns, moments),
    )


def _derived(
    columns: Sequence[ColumnProfile], values: Mapping[str, Any], moments: Any | None
) -> tuple[ColumnProfile, ...]:
    times = None if moments is None else to_numbers(moments)
    found = []
    for source, how, made in derived.choose(columns, values, times):
        kind: Kind = "category" if isinstance(made, Coded) else "number"
        column = _profile(derived.named(source, how), made, kind, len(made))
        found.append(replace(column, source=source, how=how))
    return tuple(found)


def _outcomes(
    columns: Mapping[str, Any], scores: Floats, labels: Any | None, task: Task, classes: tuple[ClassLabel, ...]
) -> dict[str, NDArray[Any]]:
    """Return the scores, the predictions and the labels, as far as they are known; classes as their indices."""
    outcomes: dict[str, NDArray[Any]] = {SCORE_COLUMN: scores}
    if task == "classification":
        predicted = columns.get(PREDICTION_COLUMN)
        if predicted is None and len(classes) == 2:
            predicted = np.array(classes, dtype=object)[(scores >= 0.5).astype(int)]
        if predicted is not None:
            outcomes[PREDICTION_COLUMN] = performance.class_codes(_values(predicted), classes)
        if labels is not None:
            outcomes[LABEL_COLUMN] = performance.class_codes(_values(labels), classes)
    elif labels is not None:
        outcomes[LABEL_COLUMN] = _read(LABEL_COLUMN, labels, "number")
    return outcomes


def outcome_values(name: str, codes: NDArray[Any], classes: tuple[ClassLabel, ...]) -> NDArray[Any] | Coded:
    """Return an outcome as it is profiled: numbers as they are, class codes as class names, unknown ones left out."""
    if name == SCORE_COLUMN or not classes:
        numbers: NDArray[Any] = codes[~np.isnan(codes)]
        return numbers
    return Coded(codes[codes >= 0], tuple(str(label) for label in classes))


def _outcome(name: str, values: NDArray[Any], task: Task, classes: tuple[ClassLabel, ...]) -> ColumnProfile:
    kind: Kind = "category" if task == "classification" and name != SCORE_COLUMN else "number"
    known = outcome_values(name, values, classes)
    return _profile(name, known, kind, len(known))


def _labelled(outcomes: Mapping[str, NDArray[Any]], task: Task) -> performance.Labelled | None:
    """Return the rows whose label and score are known; ``None`` where there are no labels or no predictions."""
    labels = outcomes.get(LABEL_COLUMN)
    predictions = outcomes.get(PREDICTION_COLUMN, outcomes[SCORE_COLUMN] if task == "regression" else None)
    if labels is None or predictions is None:
        return None
    rows = performance.Labelled(labels, predictions, outcomes[SCORE_COLUMN])
    known = np.isfinite(labels) if task == "regression" else labels >= 0
    return rows.take(known & np.isfinite(rows.scores))


def _score_map(rows: performance.Labelled, task: Task, classes: tuple[ClassLabel, ...]) -> calibration.ScoreMap | None:
    if task == "regression":
        return None
    return calibration.fit(rows.scores, calibration.truths(len(classes), rows))


def _values(column: Any) -> list[Any]:
    if is_arrow(column):
        listed: list[Any] = column.to_pylist()
        return listed
    return list(column.tolist() if hasattr(column, "tolist") else column)


def _read(name: str, values: Any, kind: Kind) -> Any:
    try:
        return to_numbers(values) if kind == "number" else to_texts(values)
    except ValueError as error:
        raise InvalidInput(f"column {name!r} of the reference {error}.", column=name) from None


def _profile(name: str, values: Any, kind: Kind, rows: int) -> ColumnProfile:
    if len(values) != rows:
        raise InvalidInput(f"column {name!r} has {len(values)} values for {rows} rows.", column=name)
    if kind == "number":
        return _profile_numbers(name, _read(name, values, kind))
    counts, missing = to_counts(values)
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_CATEGORIES]
    rest = sum(counts.values()) - sum(count for _, count in top)
    return ColumnProfile(
        name=name,
        kind="category",
        rows=rows,
        missing=missing,
        counts=(*(count for _, count in top), rest),
        categories=tuple(category for category, _ in top),
        distinct=len(counts),
    )


def _profile_numbers(name: str, values: Floats) -> ColumnProfile:
    present = values[~np.isnan(values)]
    finite = present[np.isfinite(present)]
    # Squares of larger numbers overflow; a power of two changes no bit of the others.
    scale = 2.0**600 if finite.size and float(np.abs(finite).max()) > _HUGE else 1.0
    ordered = np.sort(single(present))
    edges = choose_edges(ordered[np.isfinite(ordered)])
    return ColumnProfile(
        name=name,
        kind="number",
        rows=len(values),
        missing=len(values) - len(present),
        counts=tuple(bin_counts(ordered, edges).tolist()),
        edges=tuple(float(str(edge)) for edge in edges),
        distinct=int((ordered[1:] != ordered[:-1]).sum()) + 1 if ordered.size else 0,
        infinite=len(present) - len(finite),
        minimum=float(finite.min()) if finite.size else None,
        maximum=float(finite.max()) if finite.size else None,
        mean=math.fsum(finite / scale) / finite.size * scale if finite.size else None,
        sd=min(float((finite / scale).std(ddof=1)) * scale, sys.float_info.max) if finite.size > 1 else None,
    )
