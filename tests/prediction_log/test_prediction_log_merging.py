"""Merging: the small files of a day become one, and no range that was ever pinned is changed by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from mlprod_nb.errors import Refused
from mlprod_nb.prediction_log.catalogue import Selection
from mlprod_nb.prediction_log.reader import PredictionLog
from tests.prediction_log.batches import START
from tests.prediction_log.compacting import Interrupted, Site, open_site, seen
from tests.prediction_log.watched_files import PowerLoss

SECOND = timedelta(seconds=1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = open_site(tmp_path)
    yield site
    site.store.close()


def fill(site: Site, count: int) -> None:
    """Write files of one day, a prediction and a label each, one after the other."""
    for number in range(count):
        site.add(f"p{number}", event_time=START + number * SECOND)
        site.label(f"p{number}", at=START + number * SECOND)
        site.compact()


def test_many_small_files_of_a_day_become_one(site: Site) -> None:
    fill(site, 16)
    # The sixteenth came with the compaction that merged them all.
    assert len(site.files()) == 2
    assert site.ids() == [f"p{number}" for number in range(16)]
    assert site.log.verify() == []
    assert [(file.first_version, file.version) for file in site.catalogue.files(Selection())] == [(1, 16)] * 2
    site.add("another")
    site.compact()
    assert len(site.files()) == 3


def test_a_range_of_any_version_and_of_any_segment_is_read_as_it_was(site: Site) -> None:
    ranges = []
    for number in range(5):
        site.add(f"p{number}", event_time=START + number * SECOND, inputs={"x": np.array([number])})
        site.label(f"p{number}", at=START + number * SECOND)
        pinned = site.log.pin("flights")
        late = site.log.pin("flights", since=START + number * SECOND)
        site.compact()
        ranges += [(one, seen(site, one)) for one in (pinned, late, site.log.pin("flights"))]
    assert site.compact(least_files=2).segments == 0
    assert len(site.files()) == 2
    for one, before in ranges:
        assert seen(site, one) == before
        assert len(before[1]) == one.rows
    site.add("later")
    site.compact(least_files=2)
    for one, before in ranges:
        assert seen(site, one) == before


def test_other_days_endpoints_and_inputs_stay_apart(site: Site) -> None:
    for number in range(2):
        site.add(f"a{number}")
        site.add(f"b{number}", event_time=START + timedelta(days=1))
        site.add(f"c{number}", inputs={"other": ["text"]})
        site.add(f"d{number}", endpoint="trains")
        site.compact()
    assert len(site.files()) == 8
    site.compact(least_files=2)
    assert len(site.files()) == 4
    assert sorted(site.ids()) == ["a0", "a1", "b0", "b1", "c0", "c1"]
    assert site.ids("trains") == ["d0", "d1"]


def test_a_damaged_file_is_not_hidden_in_another(site: Site) -> None:
    fill(site, 3)
    path = site.folder / site.files()[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (problem,) = site.log.verify()
    site.compact(least_files=2)
    assert path.is_file()
    assert site.log.verify() == [problem]
    assert len(site.files()) == 3  # the damaged one, one of the other two of its kind, and the other kind's
    path.unlink()
    assert len(site.log.verify()) == 1
    site.compact(least_files=2)


def test_what_a_merge_before_and_after_its_transaction_leaves_is_named_and_removed(site: Site) -> None:
    fill(site, 2)
    for step, left in (("synced", 1), ("removing", 2)):

        def end(name: str, step: str = step) -> None:
            if name == step:
                raise PowerLoss

        with pytest.raises(PowerLoss):
            site.compact(end, least_files=2)
        assert site.ids() == ["p0", "p1"]
        problems = site.log.verify()
        assert len(problems) == left
        assert all("a compaction that was killed left it" in problem for problem in problems)
        assert site.compact(least_files=9).leftovers == left
        assert site.log.verify() == []


def test_two_that_merge_at_once_against_the_lease_double_nothing(site: Site) -> None:
    fill(site, 3)
    intruders = [lambda: site.compact(least_files=2)]

    def intrude(name: str) -> None:
        if name == "synced" and intruders:
            (site.folder / "compaction.lock").unlink()
            intruders.pop()()

    with pytest.raises(Refused):
        site.compact(intrude, least_files=2)
    assert site.ids() == ["p0", "p1", "p2"]
    assert len(site.files()) == 2
    assert site.log.verify() == []


@pytest.mark.parametrize("at", ["after version", "after segments", "after files"])
def test_a_merge_between_any_two_steps_of_a_read_changes_nothing_of_it(site: Site, at: str) -> None:
    fill(site, 2)
    site.add("p2", event_time=START + 2 * SECOND)

    def happen() -> None:
        site.compact(least_files=2)

    log = PredictionLog(site.folder, Interrupted(site.store, at, happen))
    pinned = log.pin("flights")
    assert (pinned.rows, site.log.predictions(pinned).num_rows) == (3, 3)
    fill(site, 2)
    log = PredictionLog(site.folder, Interrupted(site.store, at, happen))
    assert log.labelled(pinned)["prediction_id"].to_pylist() == ["p0", "p1", "p2"]
    log = PredictionLog(site.folder, Interrupted(site.store, at, happen))
    assert log.find("p2") is not None


def test_nothing_is_kept_of_a_file_that_was_merged_meanwhile(site: Site) -> None:
    fill(site, 2)
    first, second = site.catalogue.files(Selection(kind="predictions"))
    site.catalogue.keep({first.digest: b"counts"}, "key")
    site.compact(least_files=2)
    site.catalogue.keep({second.digest: b"counts"}, "key")  # by a look that had it open
    assert site.catalogue.kept([first.digest, second.digest], "key") == {}
    (merged,) = site.catalogue.lacking("flights", "key")
    assert merged.rows == first.rows + second.rows
