"""Numbers in bins without sorting or searching for all of them: most lie in a cell that no edge cuts.

The middle of the range is cut into cells of one width. A number's cell takes a subtraction and a multiplication, and
these keep the order, weakly, however they are rounded. So all numbers of a cell without an edge are in one bin; the
others are sorted. The counts are those of sorting everything, bit by bit. Where numpy sorts by vector instructions,
sorting everything is several times as fast, and cells are left alone.
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
    cells = Cells(edges, edges[0], np.float32(CELLS), np.zeros(CELLS, dtype=np.intp))
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
    """Cells between two edges of a column; the first and the last also take what is beyond, and are always cut.

    Attributes:
        edges: The column's edges.
        low: Where the first cell begins.
        scale: One over the width of a cell.
        bins: For each cell the bin that it lies in; one beyond the last bin where an edge cuts it.
    """

    edges: Singles
    low: np.float32
    scale: np.float32
    bins: NDArray[np.intp]

    def count(self, values: Singles) -> tuple[NDArray[np.int64], Singles]:
        """Count numbers, without NaN, in the bins; return also, sorted, those in cut cells."""
        cut = len(self.edges) + 1
        found = self.bins[_places(values, self.low, self.scale)]
        sizes = np.bincount(found, minlength=cut + 1)[:cut]
        rest = values[found == cut]
        rest.sort()
        return sizes + bin_counts(rest, self.edges), rest

    def bins_of(self, values: Singles) -> NDArray[np.intp]:
        """Return the bin of each number, without NaN; several times as fast as to search for it among the edges."""
        found = self.bins[_places(values, self.low, self.scale)]
        cut = np.flatnonzero(found > len(self.edges))
        found[cut] = np.searchsorted(self.edges, values[cut])
        return found


def divide(edges: Singles, counts: NDArray[np.int64], lowest: np.float32, highest: np.float32) -> Cells | None:
    """Divide a column into cells; ``None`` where so many of its values share a cell with an edge that it does not pay.

    Args:
        edges: The column's edges.
        counts: The reference's rows in its bins.
        lowest: The smallest value whose number below it must be known; the largest one is ``highest``.
        highest: See ``lowest``.
    """
    size = len(edges)
    if size < _FEWEST_EDGES:
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
    marks = np.bincount(_places(edges, low, scale), minlength=CELLS)
    marks[0], marks[-1] = max(marks[0], 1), max(marks[-1], 1)
    bins = np.where(marks > 0, size + 1, np.cumsum(marks))
    return Cells(edges, low, scale, bins.astype(np.intp))


def _places(values: Singles, low: np.float32, scale: np.float32) -> NDArray[np.intp]:
    with np.errstate(over="ignore"):
        away = values - low
        away *= scale
    np.clip(away, 0, CELLS - 1, out=away)
    return away.astype(np.intp)
