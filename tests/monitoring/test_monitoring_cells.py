from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlprod_nb.monitoring import build, counting
from mlprod_nb.monitoring.bins import bin_counts, choose_edges
from mlprod_nb.monitoring.cells import Cells, divide
from tests.monitoring import samples

Draw = Callable[[np.random.Generator, int], Any]
LAWS: dict[str, Draw] = {
    "normal": lambda random, rows: random.normal(size=rows),
    "far": lambda random, rows: 1e6 + random.normal(size=rows) * 3e4,
    "skewed": lambda random, rows: random.exponential(size=rows),
    "spiked": lambda random, rows: np.where(random.random(rows) < 0.2, 0.0, random.normal(size=rows)),
    "tiny": lambda random, rows: random.normal(size=rows) * 1e-30,
}


def cells_of(reference: Any) -> Cells | None:
    ordered = np.sort(np.asarray(reference, dtype=np.float32))
    edges = choose_edges(ordered)
    return divide(edges, bin_counts(ordered, edges), ordered[0], ordered[-1])


def hard_values(random: np.random.Generator, law: str, cells: Cells) -> NDArray[np.float32]:
    """Draw values of a law, a quarter of them on an edge or next to one, and some beyond everything."""
    values = LAWS[law](random, 30_000).astype(np.float32)
    edges = random.choice(cells.edges, 3000)
    near = np.concatenate([edges, np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(-np.inf))])
    strange = np.array([np.inf, -np.inf, 3e38, -3e38, 0.0, -0.0], dtype=np.float32)
    return np.concatenate([values, near, strange])


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("seed", range(3))
def test_numbers_counted_in_cells_are_those_counted_in_order(law: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    cells = cells_of(LAWS[law](random, 20_000))
    assert cells is not None
    values = hard_values(random, law, cells)
    counts, rest = cells.count(values)
    assert np.array_equal(counts, bin_counts(np.sort(values), cells.edges))
    assert counts.dtype == np.int64
    low, high = cells.edges[0], cells.edges[-1]
    assert np.searchsorted(rest, low) == (values < low).sum()
    assert rest.size - np.searchsorted(rest, high, side="right") == (values > high).sum()
    assert rest.size < 0.6 * values.size  # a fifth of these are edges


@pytest.mark.parametrize("law", LAWS)
def test_the_bin_of_a_number_is_the_one_that_a_search_among_the_edges_finds(law: str) -> None:
    random = np.random.default_rng(5)
    cells = cells_of(LAWS[law](random, 20_000))
    assert cells is not None
    values = hard_values(random, law, cells)
    assert np.array_equal(cells.bins_of(values), np.searchsorted(cells.edges, values))


@pytest.mark.parametrize(
    "reference",
    [
        np.arange(5000) % 24,
        np.arange(5000) % 600,
        np.random.default_rng(0).standard_cauchy(5000) ** 3,
        np.random.default_rng(0).normal(size=90),
        np.full(50, 3.0),
        np.array([-3e38, 3e38]),
    ],
)
def test_a_column_whose_values_are_mostly_near_edges_has_no_cells(reference: Any) -> None:
    assert cells_of(reference) is None


@pytest.mark.parametrize("law", LAWS)
def test_a_long_column_is_counted_as_its_short_parts_are(law: str) -> None:
    random = np.random.default_rng(4)
    reference, values = LAWS[law](random, 10_000), LAWS[law](random, 9000)
    values[random.random(9000) < 0.1] = np.nan
    values[:4] = np.inf, -np.inf, reference.max() * 2, reference.min() - abs(reference.min())
    profile = build(
        {"x": reference}, samples.signature(x="double"), scores=np.zeros(10_000), labels=None, task="regression"
    )
    assert profile.columns[0].cells is not None
    whole = counting.count(profile, {"x": values})
    parts = [counting.count(profile, {"x": part}) for part in np.array_split(values, 9)]
    assert whole.columns["x"].below > 0
    assert whole.columns["x"].above > 0
    together = counting.add(profile, parts).columns["x"]
    assert repr(together) == repr(whole.columns["x"])
