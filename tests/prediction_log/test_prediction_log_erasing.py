"""Erasure: all rows of a unit go, with their feedback, or nothing is changed; and nothing calls it damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlprod_nb.errors import Corrupt, Refused
from mlprod_nb.prediction_log.catalogue import Selection
from mlprod_nb.prediction_log.erasing import Erased, Eraser, Sought
from mlprod_nb.prediction_log.schema import encode_predictions
from mlprod_nb.prediction_log.segment_files import lease
from mlprod_nb.prediction_log.segments import SegmentWriter
from tests.prediction_log.batches import START, append, predictions
from tests.prediction_log.compacting import Site, open_site
from tests.prediction_log.watched_files import PowerLoss, WatchedFiles

ADA = Sought("flights", unit="ada")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two days: Ada's rows beside others', a shadow of hers, labels of both, and another endpoint's."""
    site = open_site(tmp_path)
    site.add("a1", "b1", "c1", unit=["ada", "bob", None])
    site.add("a1", unit="ada", shadow=True, variant="challenger")
    site.add("a2", unit="ada", event_time=START + timedelta(days=1))
    site.label("a1", "b1", "a2")
    site.add("t1", unit="ada", endpoint="trains")
    site.compact()
    yield site
    site.store.close()


def erase(site: Site, sought: Sought = ADA, point: Callable[[str], None] | None = None) -> Erased:
    files = WatchedFiles(point) if point else None
    eraser = Eraser(site.folder, site.catalogue, keys=site.keys, files=files)
    return eraser.erase(sought, now=START, also=lambda connection, told: None)


def ids_on_disk(site: Site) -> set[str]:
    """Return the prediction ids of every file in the folder, whether it counts or not."""
    return {one for name in site.files() for one in pq.read_table(site.folder / name)["prediction_id"].to_pylist()}


def test_all_rows_of_a_unit_go_with_their_feedback_and_no_other(site: Site) -> None:
    assert Eraser(site.folder, site.catalogue, keys=site.keys).count(ADA) == Erased(3, 2, 3, ())
    assert sorted(site.ids()) == ["a1", "a2", "b1", "c1"], "counting changes nothing"
    assert erase(site) == Erased(3, 2, 3, ())
    pinned = site.log.pin("flights")
    assert site.ids() == ["b1", "c1"]
    assert site.log.predictions(pinned, shadows=True).num_rows == 2
    assert site.log.labelled(pinned)["label"].to_pylist() == ["1", None]
    assert site.log.find("a1") is None
    assert site.ids("trains") == ["t1"]
    assert site.log.verify() == []
    assert site.files() == sorted(file.path for file in site.catalogue.files(Selection()))
    assert erase(site) == Erased(0, 0, 0, ())


def test_some_predictions_go_by_their_ids_with_what_is_said_of_them(site: Site) -> None:
    assert erase(site, Sought("flights", ids=("b1",))) == Erased(1, 1, 2, ())
    assert site.ids() == ["a1", "c1", "a2"]
    assert site.log.verify() == []


def test_a_range_that_was_pinned_before_has_the_others(site: Site) -> None:
    pinned = site.log.pin("flights")
    erase(site)
    assert site.log.predictions(pinned)["prediction_id"].to_pylist() == ["b1", "c1"]
    assert [one.rows for one in site.log.erased(pinned)] == [2, 1]
    assert site.log.erased(site.log.pin("flights")) == []


def test_what_was_counted_of_the_files_goes(site: Site) -> None:
    files = site.catalogue.files(Selection(kind="predictions", endpoint="flights"))
    site.catalogue.keep({file.digest: b"counts" for file in files}, "key")
    erase(site)
    assert site.catalogue.kept([file.digest for file in files], "key") == {}


def test_rows_in_a_segment_that_is_written_are_said_and_nothing_is_changed(site: Site) -> None:
    writer = SegmentWriter(site.folder)
    append(writer, encode_predictions(predictions(["a3"], unit="ada"))).result(10)
    with pytest.raises(Refused, match="in a segment that is still written; nothing was erased"):
        erase(site)
    assert len(site.ids()) == 5
    writer.close()
    site.compact()
    erase(site)
    assert site.ids() == ["b1", "c1"]


def test_feedback_in_a_segment_that_is_written_is_said_too(site: Site) -> None:
    site.label("a2")
    with pytest.raises(Refused, match="nothing was erased"):
        erase(site)


def test_a_damaged_file_is_not_written_anew(site: Site) -> None:
    file = site.catalogue.files(Selection(kind="feedback"))[0]
    path = site.folder / file.path
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(Corrupt):
        erase(site)
    assert len(site.log.predictions(site.log.pin("flights"))) == 4


def test_one_process_at_a_time(site: Site) -> None:
    with lease(site.folder) as held:
        assert held
        with pytest.raises(Refused, match="another process compacts"):
            erase(site)


def test_an_erasure_that_is_killed_at_any_step_is_whole_or_did_not_begin(site: Site) -> None:
    for step in range(100):
        left = iter(range(step, -1, -1))

        def end(name: str, left: Iterator[int] = left) -> None:
            if next(left) == 0:
                raise PowerLoss

        try:
            erase(site, point=end)
        except PowerLoss:
            ids, feedback = sorted(site.ids()), site.log.feedback(site.log.pin("flights")).num_rows
            assert (ids, feedback) in ((["a1", "a2", "b1", "c1"], 3), (["b1", "c1"], 1)), step
            assert all("a compaction that was killed left it" in line for line in site.log.verify()), step
            site.compact()
            assert site.log.verify() == [], step
            if len(ids) == 2:
                break
    assert step > 10
    assert site.ids() == ["b1", "c1"]
    assert ids_on_disk(site) == {"b1", "c1", "t1"}
