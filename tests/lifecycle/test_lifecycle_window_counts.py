from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from mlprod_nb.errors import Corrupt
from mlprod_nb.lifecycle.watching.window_counts import WindowCounter
from mlprod_nb.monitoring import counting, levels, scoring
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.profile import Profile, build
from mlprod_nb.prediction_log.catalogue import Selection
from mlprod_nb.prediction_log.ranges import LogRange
from mlprod_nb.store import tables
from tests.monitoring import samples
from tests.monitoring.counted import differences
from tests.prediction_log.batches import START
from tests.prediction_log.compacting import Site, open_site

SIGNATURE = samples.signature(distance="double", hour="long", carrier="string", late="boolean")
VERSION = "flights/3"


def rows_of(random: np.random.Generator, rows: int) -> dict[str, Any]:
    missing = random.random(rows) < 0.1
    return {
        "distance": [None if m else v for m, v in zip(missing, random.normal(900, 300, rows).tolist(), strict=True)],
        "hour": random.integers(5, 23, rows).tolist(),
        "carrier": random.choice(["UA", "AA", "B6", "new"], rows).tolist(),
        "late": (random.random(rows) < 0.2).tolist(),
    }


@pytest.fixture(scope="module")
def profile() -> Profile:
    random = np.random.default_rng(0)
    columns = rows_of(random, 2000)
    columns["carrier"] = ["UA" if carrier == "new" else carrier for carrier in columns["carrier"]]
    scores = random.random(2000)
    return build(columns, SIGNATURE, scores=scores, labels=None, task="classification", classes=(0, 1))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return open_site(tmp_path / "site")


def fill(site: Site, random: np.random.Generator, rounds: int) -> None:
    """Write some segments of two versions, with and without a column, over four days; compact now and then."""
    for number in range(rounds):
        rows = int(random.integers(1, 40))
        inputs = rows_of(random, rows)
        version = int(random.choice([3, 4]))
        if version == 4:
            del inputs["late"]
        moments = [START + timedelta(seconds=float(s)) for s in np.sort(random.uniform(0, 4 * 86_400, rows))]
        scores = np.where(random.random(rows) < 0.1, np.nan, random.random(rows))
        site.add(
            *(f"{number:02d}-{row:04d}-{int(random.integers(1 << 40)):012x}" for row in range(rows)),
            inputs=inputs,
            version=version,
            variant=str(random.choice(["champion", "challenger"])),
            shadow=(random.random(rows) < 0.2).tolist(),
            event_time=moments,
            score=scores,
            prediction=random.choice(["0", "1"], rows).tolist(),
        )
        if random.random() < 0.4:
            site.compact(least_files=int(random.choice([2, 16])))


def counted(site: Site, profile: Profile, where: LogRange) -> WindowCounts:
    """Count all rows at once."""
    rows = site.log.predictions(where)
    whole = counting.count_predictions(profile, rows, scoring.read(profile, rows), VERSION)
    return counting.add(profile, [whole])


def window(site: Site, since: datetime | None, until: datetime | None) -> LogRange:
    return site.log.pin("flights", since=since, until=until)


@pytest.mark.parametrize("seed", range(6))
def test_counts_of_files_edges_and_tail_are_those_of_all_rows(
    site: Site, profile: Profile, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "MAX_ROWS", 20)  # so that few rows are many
    random = np.random.default_rng(seed)
    counter = WindowCounter(site.log, profile, VERSION)
    pinned = None
    for _ in range(3):
        fill(site, random, 4)
        edges = [START + timedelta(seconds=float(s)) for s in np.sort(random.uniform(0, 4 * 86_400, 2))]
        for since, until in ((None, None), (edges[0], edges[1]), (edges[0], None), (START, START + timedelta(days=3))):
            where = window(site, since, until)
            expected = counted(site, profile, where)
            assert expected.rows == where.rows
            for _ in range(2):  # the second time what is kept of whole files counts
                (found,) = counter.counts(where)
                assert differences(found, expected) == []
        pinned = pinned or (where, expected)
        assert differences(counter.counts(pinned[0])[0], pinned[1]) == []  # whatever was compacted and merged since


def test_windows_before_are_counted_newest_first_and_none_before_the_first_rows(site: Site, profile: Profile) -> None:
    fill(site, np.random.default_rng(7), 12)
    counter, day = WindowCounter(site.log, profile, VERSION), timedelta(days=1)
    where = window(site, START + 3 * day, START + 4 * day)
    found = counter.counts(where, earlier=12)
    assert len(found) == 4
    for number, each in enumerate(found):
        before = replace(where, since=START + (3 - number) * day, until=START + (4 - number) * day)
        assert differences(each, counted(site, profile, before)) == []


def test_a_window_without_a_beginning_has_none_before_it(site: Site, profile: Profile) -> None:
    fill(site, np.random.default_rng(8), 3)
    assert len(WindowCounter(site.log, profile, VERSION).counts(window(site, None, None), earlier=12)) == 1


def test_what_is_kept_of_a_file_is_read_instead_of_the_file(site: Site, profile: Profile) -> None:
    fill(site, np.random.default_rng(9), 5)
    site.compact()
    counter, where = WindowCounter(site.log, profile, VERSION), window(site, None, None)
    (before,) = counter.counts(where)
    for path in site.files():
        (site.folder / path).write_bytes(b"nothing")
    assert differences(counter.counts(where)[0], before) == []
    with pytest.raises(Corrupt, match="damaged"):
        replace(counter, version="flights/4").counts(where)


@pytest.mark.parametrize("spoilt", ["content", "file", "key"])
def test_what_was_kept_and_is_torn_or_of_another_file_is_counted_anew(
    site: Site, profile: Profile, spoilt: str
) -> None:
    fill(site, np.random.default_rng(10), 8)
    site.compact(least_files=99)
    counter, where = WindowCounter(site.log, profile, VERSION), window(site, None, None)
    (before,) = counter.counts(where)
    table = tables.log_counts
    with site.store.write() as connection:
        rows = connection.execute(sa.select(table)).mappings().all()
        assert len(rows) >= 4
        connection.execute(sa.delete(table))
        for row, other in zip(rows, [*rows[1:], rows[0]], strict=True):
            change = {"content": row["content"][:-9], "file": other["file"], "key": row["key"][::-1]}
            connection.execute(sa.insert(table).values(**{**row, spoilt: change[spoilt]}))
    assert differences(counter.counts(where)[0], before) == []
    assert differences(counter.counts(where)[0], before) == []


def test_what_was_counted_before_a_look_broke_off_is_kept(site: Site, profile: Profile) -> None:
    fill(site, np.random.default_rng(12), 8)
    site.compact(least_files=99)
    counter = WindowCounter(site.log, profile, VERSION)
    *_, last = files = site.catalogue.files(Selection(endpoint="flights", kind="predictions"))
    (site.folder / last.path).write_bytes(b"nothing")
    with pytest.raises(Corrupt, match="damaged"):
        counter.counts(window(site, None, None))
    assert len(files) > 1
    assert site.catalogue.kept([file.digest for file in files], counter.key).keys() == {f.digest for f in files[:-1]}


def test_what_was_kept_of_a_file_goes_with_the_file(site: Site, profile: Profile) -> None:
    for number in range(4):
        site.add(f"p{number}", inputs=rows_of(np.random.default_rng(0), 1))
        site.compact(least_files=99)
    WindowCounter(site.log, profile, VERSION).counts(window(site, None, None))
    site.compact(least_files=2)
    with site.store.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.log_counts)) == 0


def test_another_profile_or_version_has_counts_of_its_own(site: Site, profile: Profile) -> None:
    counter = WindowCounter(site.log, profile, VERSION)
    others = (replace(counter, version="flights/4"), replace(counter, profile=replace(profile, rows=1)))
    assert len({counter.key, *(other.key for other in others)}) == 3
    assert replace(counter, written=profile.to_json()).key == counter.key


def test_a_sample_is_the_same_rows_wherever_they_lie(site: Site) -> None:
    random = np.random.default_rng(11)
    fill(site, random, 6)
    where = window(site, START, START + timedelta(days=3))
    everything = site.log.predictions(where)
    before = site.log.sample(where, 30, only=["prediction_id", "inputs"])
    site.compact(least_files=2)
    assert site.log.sample(where, 30, only=["prediction_id", "inputs"]).equals(before)
    assert before.num_rows == 30
    lowest = sorted(everything["prediction_id"].to_pylist(), key=lambda text: text[-12:])[:30]
    assert sorted(before["prediction_id"].to_pylist()) == sorted(lowest)
    assert site.log.sample(where, 10_000, only=["prediction_id"])["prediction_id"].to_pylist() == (
        everything["prediction_id"].to_pylist()
    )


def test_a_workspace_made_before_there_were_counts_gets_their_table(tmp_path: Path) -> None:
    site = open_site(tmp_path / "old")
    with site.store.write() as connection:
        tables.log_counts.drop(connection)
    site.store.close()
    again = open_site(tmp_path / "old")
    with again.store.read() as connection:
        assert sa.inspect(connection).has_table("log_counts")
