from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.prediction_log import lake
from mlprod_nb.prediction_log.ranges import LogRange
from tests.prediction_log.batches import START
from tests.prediction_log.compacting import Site, open_site

ONLY = ("event_time", "received_at", "model", "version", "variant", "prediction", "score", "latency_ms")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return open_site(tmp_path / "site")


def plain(table: pa.Table) -> pa.Table:
    """Return the table with texts as texts."""
    for place, name in enumerate(table.column_names):
        if name in lake.REPEATED:
            table = table.set_column(place, name, table[name].cast(pa.string()))
    return table.combine_chunks()


def agrees(site: Site, where: LogRange) -> int:
    """Check that what is read without ids is what is read with them; return the rows."""
    expected = site.log.labelled(where, only=ONLY).drop_columns(["prediction_id"]).combine_chunks()
    found = plain(site.log.outcomes(where, only=ONLY))
    assert found.schema == expected.schema
    assert found.to_pylist() == expected.to_pylist()
    return int(found.num_rows)


def add(site: Site, random: np.random.Generator, number: int) -> None:
    """Write predictions of few moments, shadows among them, and labels of some, a few twice."""
    rows = int(random.integers(1, 30))
    ids = [f"{int(random.integers(1 << 30)):08x}-{number:02d}" for _ in range(rows)]
    moments = [START + timedelta(hours=float(h)) for h in random.integers(0, 72, rows)]
    site.add(*ids, shadow=(random.random(rows) < 0.2).tolist(), event_time=moments, score=random.random(rows))
    for again in range(int(random.integers(0, 3))):
        some = random.choice(ids, max(rows // 2, 1)).tolist()
        site.label(*some, text=str(again), at=START + timedelta(days=4 + again))


@pytest.mark.parametrize("seed", range(5))
def test_rows_without_ids_are_those_with_ids_in_the_same_order(site: Site, seed: int) -> None:
    random = np.random.default_rng(seed)
    seen = 0
    for number in range(12):
        add(site, random, number)
        if random.random() < 0.4:
            site.compact(least_files=int(random.choice([2, 16])))
        low, high = (START + timedelta(hours=float(h)) for h in sorted(random.integers(0, 72, 2)))
        windows = [(None, None), (low, high)] if low < high else [(None, None)]
        seen += sum(agrees(site, site.log.pin("flights", since=since, until=until)) for since, until in windows)
    assert seen > 100


def test_a_range_that_was_pinned_reads_the_same_without_ids_after_compaction(site: Site) -> None:
    random = np.random.default_rng(9)
    add(site, random, 0)
    add(site, random, 1)
    where = site.log.pin("flights")
    before = plain(site.log.outcomes(where, only=ONLY)).to_pylist()
    site.compact()
    add(site, random, 2)
    site.compact(least_files=2)
    assert plain(site.log.outcomes(where, only=ONLY)).to_pylist() == before
    agrees(site, where)


def test_a_log_without_rows_has_the_columns_all_the_same(site: Site) -> None:
    site.add("a", endpoint="trains")
    assert agrees(site, site.log.pin("flights")) == 0


def test_whoever_asks_for_ids_or_inputs_gets_them(site: Site) -> None:
    site.add("a", "b")
    where = site.log.pin("flights")
    assert site.log.outcomes(where, only=["prediction_id"])["prediction_id"].to_pylist() == ["a", "b"]
    assert "inputs" in site.log.outcomes(where, only=["score", "inputs"]).column_names
