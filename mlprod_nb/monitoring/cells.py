"""Numbers in bins without sorting or searching for all of them: most lie in a cell that no edge cuts.

The middle of the range is cut into cells of one width. A number's cell takes a subtraction and a multiplication, and
these keep the order, weakly, however they are rounded. So all numbers of a cell without an edge are in one bin, those
of a cell with one edge in one of two, and only the others are sorted. The counts are those of sorting everything, bit
by bit. Where numpy sorts by vector instructions, sorting everything is several times as fast, and cells are left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import bin_counts

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
#: So many that few hold an edge, and few enough for a processor's cache.
CELLS = 16_384
#: Fewer numbers than this are sorted as fast.
MIN_VALUES = 4096
_FEWEST_EDGES = 200
_TAIL = 0.005
_MOST_CUT = 0.3
_TRIALS = 3


@cache
def pay() -> bool:
    """Say whether counting in cells is faster on this machine than sorting, by trying both: it takes a millisecond."""
    values = (np.arange(CELLS, dtype=np.float32) * np.float32(0.618034)) % np.float32(1)
    edges = np.linspace(0, 1, 1000, dtype=np.float32)
    cells = Cells(
        edges, edges[0], np.float32(CELLS), np.zeros(CELLS, dtype=np.int16), np.full(CELLS, np.inf, dtype=np.float32)
    )
    return _least_seconds(lambda: cells.count(values)) < _least_seconds(lambda: np.sort(values))


def _least_seconds(work: Callable[[], object]) -> float:
    found = []
    for _ in range(_TRIALS):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


@dataclass(frozen=True)
class Cells:
    """Cells between two edges of a column; the first and the last also take what is beyond, and are sorted.

    Attributes:
        edges: The column's edges.
        low: Where the first cell begins.
        scale: One over the width of a cell.
        bins: For each cell the bin that it lies or begins in; one beyond the last bin where its numbers are sorted.
        cuts: For each cell the one edge that cuts it; infinity where none does, or its numbers are sorted.
    """

    edges: Singles
    low: np.float32
    scale: np.float32
    bins: NDArray[np.int16]
    cuts: Singles

    def count(self, values: Singles, room: Floats | None = None) -> tuple[NDArray[np.int64], Singles]:
        """Count numbers, without NaN, in the bins; return also, sorted, those in cells with several edges.

        Args:
            values: The numbers.
            room: Memory to work in, shape ``(2, rows)`` at least; fresh memory takes longer than the work in it.
        """
        beyond = len(self.edges) + 1
        found, above = self._bins(values, room)
        np.add(found, above, out=found)
        sizes = np.bincount(found, minlength=beyond + 1)[:beyond]
        rest = values[np.equal(found, beyond, out=above)]
        rest.sort()
        return sizes + bin_counts(rest, self.edges), rest

    def bins_of(self, values: Singles) -> NDArray[np.intp]:
        """Return the bin of each number, without NaN; several times as fast as to search for it among the edges."""
        begin, above = self._bins(values, None)
        found = begin.astype(np.intp) + above
        several = np.flatnonzero(begin > len(self.edges))
        found[several] = np.searchsorted(self.edges, values[several])
        return found

    def _bins(self, values: Singles, room: Floats | None) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """Return the bin in which each number's cell begins, and whether the number is above the cell's one edge."""
        rows = len(values)
        one, other = (np.empty((2, rows)) if room is None else room[:2])[:, :rows]
        places, singles = one.view(np.intp)[:rows], other.view(np.float32)
        away = _away(values, self.low, self.scale, singles[:rows])
        np.copyto(places, away, casting="unsafe")
        # Places are known to be right; the mode that looks for wrong ones would copy them.
        cuts = self.cuts.take(places, out=away, mode="clip")
        begin = self.bins.take(places, out=singles[rows:].view(np.int16)[:rows], mode="clip")
        return begin, np.greater(values, cuts, out=places.view(np.bool_)[:rows])


def divide(edges: Singles, counts: NDArray[np.int64], lowest: np.float32, highest: np.float32) -> Cells | None:
    """Divide a column into cells; ``None`` where so many of its values share a cell with an edge that it does not pay.

    Args:
        edges: The column's edges.
        counts: The reference's rows in its bins.
        lowest: The smallest value whose number below it must be known; the largest one is ``highest``.
        highest: See ``lowest``.
    """
    size = len(edges)
    if not _FEWEST_EDGES <= size < CELLS:
        return None
    low, high = edges[int(size * _TAIL)], edges[size - 1 - int(size * _TAIL)]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scale = np.float32(CELLS) / (high - low)
        if not (np.isfinite(scale) and scale > 0 and lowest <= low and high <= highest):
            return None
        narrow = np.diff(edges) * scale < 1
    cut = counts[0] + counts[-1] + counts[1:-1][narrow].sum()
    if cut > _MOST_CUT * counts.sum():
        return None
    places = _away(edges, low, scale, np.empty_like(edges)).astype(np.intp)
    marks = np.bincount(places, minlength=CELLS)
    several = marks > 1
    several[0] = several[-1] = True
    bins = np.where(several, size + 1, np.cumsum(marks) - marks)
    cuts = np.full(CELLS, np.inf, dtype=np.float32)
    alone = ~several[places]
    cuts[places[alone]] = edges[alone]
    return Cells(edges, low, scale, bins.astype(np.int16), cuts)


def _away(values: Singles, low: np.float32, scale: np.float32, out: Singles) -> Singles:
    """Return how many cells each number is from the first, at least none, and at most the last one."""
    with np.errstate(over="ignore"):
        np.subtract(values, low, out=out)
        out *= scale
    np.clip(out, 0, CELLS - 1, out=out)
    return out
