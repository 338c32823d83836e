"""Streams watched row by row: when did a change begin?

Rows are taken as they come, in the order of their event times, and a detector says after which of them it fired. That
supposes that rows do not depend on each other. Traffic with a rhythm breaks that (the evening's flights are not the
morning's), so what fires here says *when* a change began, and raises no alarm by itself. Whether there is a change is
for the other tests of the look to say, in which the order of the rows plays no part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import UsageError
from mlprod_nb.monitoring.bins import bin_counts, choose_edges
from mlprod_nb.monitoring.columns import Floats, single, to_numbers
from mlprod_nb.monitoring.detectors.online import Basis, OnlineDetector, State, choose
from mlprod_nb.monitoring.profile import ColumnProfile
from mlprod_nb.registry.bundles import canonical_json

FORMAT = 1


@dataclass(frozen=True)
class StreamReference:
    """What a stream's values are compared with.

    Attributes:
        rows: Rows of the reference that have a value.
        edges: Upper edges of its bins, for numbers.
        counts: Its rows in them, one more than edges.
        rate: Share of its rows that are true, for truths; ``None`` for numbers.
    """

    rows: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = (0,)
    rate: float | None = None

    @classmethod
    def of_numbers(cls, values: Any) -> StreamReference:
        """Return the reference for numbers like these; missing ones are left out."""
        numbers = to_numbers(values)
        ordered = np.sort(single(numbers[~np.isnan(numbers)]))
        edges = choose_edges(ordered[np.isfinite(ordered)])
        return cls(len(ordered), tuple(float(edge) for edge in edges), tuple(bin_counts(ordered, edges).tolist()))

    @classmethod
    def of_truths(cls, values: Any) -> StreamReference:
        """Return the reference for truths like these, as errors are; missing ones are left out."""
        known = _truths(values)
        known = known[~np.isnan(known)]
        return cls(len(known), rate=float(known.mean()) if len(known) else 0.0)

    @classmethod
    def of_column(cls, column: ColumnProfile) -> StreamReference:
        """Return the reference for a profiled column of numbers."""
        return cls(sum(column.counts), column.edges, column.counts)

    def stream(self, values: Any, first: int, seed: int) -> Floats:
        """Return values as places or truths, NaN where missing.

        Args:
            values: The values that come now.
            first: How many came before: a value's place among equal ones is drawn by its position in the stream.
            seed: Of the draw.
        """
        if self.rate is not None:
            return _truths(values)
        numbers = to_numbers(values)
        below = np.concatenate([[0], np.cumsum(self.counts)])
        place = np.searchsorted(np.asarray(self.edges, dtype=np.float32), single(numbers), side="left")
        counts = np.asarray(self.counts, dtype=np.float64)
        drawn = (below[place] + _uniform(first, len(numbers), seed) * (counts[place] + 1)) / (self.rows + 1)
        return np.where(np.isnan(numbers), np.nan, drawn)


@dataclass(frozen=True)
class Firing:
    """A detector fired.

    Attributes:
        detector: Its name.
        row: After which row of the stream, counted from 1, missing values included.
    """

    detector: str
    row: int


class Watch:
    """Detectors on one stream; what it knows fits in a few kB of JSON, and goes on from there after a restart.

    >>> random = np.random.default_rng(0)
    >>> watch = Watch(StreamReference.of_numbers(random.normal(size=2000)), expected=1_000_000)
    >>> watch.update(random.normal(size=3000))
    ()
    >>> again = Watch.from_json(watch.to_json())
    >>> sorted({firing.detector for firing in again.update(random.normal(size=800) + 1)})
    ['adwin', 'cvm', 'page_hinkley']

    Args:
        reference: What the stream is compared with.
        expected: Rows in which unchanged data may make any of the detectors fire once, on average.
        detectors: Names of the detectors; those that take such a stream where empty.
        seed: Of the draw by which equal values get places.

    Raises:
        NotFound: There is no detector of that name.
        UsageError: A detector does not take such a stream, or the run time is shorter than a row.
    """

    def __init__(
        self, reference: StreamReference, *, expected: float, detectors: Sequence[str] = (), seed: int = 0
    ) -> None:
        if not expected >= 1:
            raise UsageError(f"an expected run time of {expected} rows is shorter than one row.")
        kind = Basis(reference.rows, reference.rate, expected).kind
        chosen = [detector for detector in choose(detectors) if detectors or kind in detector.kinds]
        for detector in chosen:
            if kind not in detector.kinds:
                raise UsageError(f"{detector.name} takes {' or '.join(sorted(detector.kinds))}, not {kind}.")
        self.reference = reference
        self.expected = expected
        self.seed = seed
        self.rows = 0
        #: Each detector has its part of the alarms.
        self.basis = Basis(reference.rows, reference.rate, expected * len(chosen))
        self.reasons: dict[str, str] = {}
        self._states: dict[str, State] = {}
        self._detectors: dict[str, OnlineDetector] = {}
        for detector in chosen:
            state = detector.start(self.basis)
            if isinstance(state, str):
                self.reasons[detector.name] = state
            else:
                self._states[detector.name] = state
                self._detectors[detector.name] = detector

    @property
    def names(self) -> tuple[str, ...]:
        """The detectors' names; those that cannot compare with this reference have a reason in ``reasons``."""
        return (*self._states, *self.reasons)

    def update(self, values: Any) -> tuple[Firing, ...]:
        """Take the next values of the stream; return which detectors fired after which of them, in that order.

        Raises:
            ValueError: A value is not a number.
        """
        stream = self.reference.stream(values, self.rows, self.seed)
        known = np.flatnonzero(~np.isnan(stream))
        found = []
        for name, detector in self._detectors.items():
            self._states[name], fired = detector.update(self.basis, self._states[name], stream[known])
            found += [Firing(name, self.rows + int(known[after - 1]) + 1) for after in fired]
        self.rows += len(stream)
        return tuple(sorted(found, key=lambda firing: firing.row))

    def to_json(self) -> bytes:
        """Return all that it takes to go on later: a few kB."""
        return canonical_json(
            {
                "format": FORMAT,
                "reference": vars(self.reference),
                "expected": self.expected,
                "seed": self.seed,
                "rows": self.rows,
                "detectors": self.names,
                "states": self._states,
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Watch:
        """Return the watch that :meth:`to_json` was called on, ready for the next row.

        Raises:
            ValueError: The text is none of a watch, or of another format.
        """
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"watch format {data['format']!r} is not {FORMAT}")
            kept = data["reference"]
            reference = StreamReference(kept["rows"], tuple(kept["edges"]), tuple(kept["counts"]), kept["rate"])
            watch = cls(reference, expected=data["expected"], detectors=data["detectors"], seed=data["seed"])
            watch.rows, watch._states = data["rows"], {name: data["states"][name] for name in watch._states}
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a watch: {error}") from None
        return watch


def _truths(values: Any) -> Floats:
    numbers = to_numbers(values)
    return np.where(np.isnan(numbers), np.nan, (numbers != 0).astype(np.float64))


def _uniform(first: int, count: int, seed: int) -> Floats:
    """Return a number in [0, 1) for each position of the stream: splitmix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        mixed: NDArray[np.uint64] = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        mixed = (mixed + np.uint64(seed % 2**32) * np.uint64(2**32)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
