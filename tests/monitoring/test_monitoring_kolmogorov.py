from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from mlprod_nb.monitoring.columns import ranks_of
from mlprod_nb.monitoring.detectors.kolmogorov import survival


@pytest.mark.parametrize("rows", [1, 3, 20, 141, 1000, 5000])
@pytest.mark.parametrize("z", [0.3, 0.6, 1.0, 1.4, 1.5, 2.0, 4.0])
def test_for_few_rows_it_is_the_law_of_scipy(rows: int, z: float) -> None:
    statistic = min(1.0, z / math.sqrt(rows))
    assert survival(rows, statistic) == pytest.approx(stats.kstwo.sf(statistic, rows), abs=1e-12, rel=1e-9)


@pytest.mark.parametrize("rows", [141, 300, 909, 4999])
def test_from_141_rows_on_it_is_the_law_of_scipy_on_both_sides_of_every_method(rows: int) -> None:
    borders = np.array([(1.4 / rows) ** (2 / 3), (2.2 / rows) ** 0.5])
    for statistic in np.concatenate([borders * 0.9999, borders * 1.0001, np.linspace(0.3, 2.5, 40) / math.sqrt(rows)]):
        assert survival(rows, statistic) == pytest.approx(stats.kstwo.sf(statistic, rows), rel=1e-11)


@pytest.mark.parametrize("rows", [5001, 20_000, 100_000])
@pytest.mark.parametrize("z", [0.04, 0.3, 0.6, 1.0, 1.4, 2.0, 2.5, 3.1, 3.2, 4.0])
def test_for_many_rows_it_is_as_close_as_scipy_is_to_itself(rows: int, z: float) -> None:
    # From z = 1.48 on scipy doubles the one-sided chance, which counts twice what both sides exceed: 2 exp(-8 z²).
    doubled = 2 * math.exp(-8 * z**2) if z >= 1.48 else 0.0
    statistic = z / math.sqrt(rows)
    assert survival(rows, statistic) == pytest.approx(stats.kstwo.sf(statistic, rows), abs=1e-10 + 1.1 * doubled)


def test_the_tail_of_many_rows_keeps_its_size() -> None:
    for rows, z in ((5001, 3.5), (50_000, 4.0), (100_000, 5.0)):
        statistic = z / math.sqrt(rows)
        assert survival(rows, statistic) == pytest.approx(stats.kstwo.sf(statistic, rows), rel=0.1)


def test_it_falls_where_the_statistic_grows_and_stays_a_chance() -> None:
    # Up to 5,000 rows scipy multiplies matrices for each, so there are fewer.
    for rows, points in ((100, 151), (5000, 151), (5001, 601), (10**6, 601), (10**9, 601)):
        found = [survival(rows, z / math.sqrt(rows)) for z in np.linspace(0, 6, points)]
        assert found[0] == 1.0
        assert all(0 <= after <= before + 1e-7 for before, after in itertools.pairwise(found))


def test_ranks_are_those_of_scipy() -> None:
    random = np.random.default_rng(0)
    for values in (random.normal(size=99), random.integers(0, 5, 200).astype(float), np.array([]), np.zeros(3)):
        assert ranks_of(values).tolist() == stats.rankdata(values).tolist()
