"""Compaction: segments become Parquet files, and nothing that a reader sees is changed by it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from mlprod_nb.errors import Corrupt
from mlprod_nb.prediction_log.ranges import LogRange
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.schema import encode_feedback, encode_predictions
from mlprod_nb.prediction_log.segment_files import lease, sealed
from mlprod_nb.prediction_log.segments import SegmentWriter
from tests.prediction_log.batches import START, append, feedback, predictions, write
from tests.prediction_log.compacting import Interrupted, Site, open_site, seen

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = open_site(tmp_path)
    yield site
    site.store.close()


def fill(site: Site) -> None:
    """Two endpoints, three versions with different inputs, shadows, labels before and after, two days."""
    site.add("a", "b", inputs={"distance": np.array([100, 150]), "late": [True, False]}, version=1)
    site.label("a", "c", text="0")
    site.add("c", "d", inputs={"distance": np.array([200.5, 1.0]), "carrier": ["UA", None]}, event_time=START + DAY)
    site.add("c", "d", inputs={"x y": ["1", "2"]}, event_time=START + DAY, shadow=True, variant="challenger")
    site.add("e", inputs={}, event_time=START + HOUR)
    site.add("t", endpoint="trains", inputs={"late": np.array([7])})
    site.label("a", "b", at=START + 2 * HOUR)
    site.label("d", kind="reward", name="miles", text=None, number=3.5, at=START + 2 * DAY)


def test_a_reader_sees_the_same_before_and_after(site: Site) -> None:
    fill(site)
    before = [seen(site, site.log.pin(endpoint)) for endpoint in ("flights", "trains")]
    found = [site.log.find(prediction_id) for prediction_id in "abcdet"]
    done = site.compact()
    assert (done.segments, done.rows, done.leftovers, done.problems) == (8, 13, 0, ())
    assert site.segments() == []
    assert [seen(site, site.log.pin(endpoint)) for endpoint in ("flights", "trains")] == before
    assert [site.log.find(prediction_id) for prediction_id in "abcdet"] == found
    assert site.log.find("nobody") is None
    assert site.log.verify() == []


def test_a_range_pinned_before_is_read_as_it_was_also_when_more_has_come_since(site: Site) -> None:
    writer = SegmentWriter(site.folder)
    for record in (
        encode_predictions(predictions(["a", "b"], inputs={"x": np.array([1, 2])})),
        encode_feedback(feedback(["a"], text="0")),
        encode_predictions(predictions(["c"], inputs={"x": ["text"]}, shadow=True)),
    ):
        append(writer, record).result(10)
    ranges = [site.log.pin("flights"), site.log.pin("flights", since=START + timedelta(seconds=1))]
    before = [(seen(site, where), where.digest) for where in ranges]
    append(writer, encode_predictions(predictions(["later"], inputs={"x": ["text"]}))).result(10)
    append(writer, encode_feedback(feedback(["a", "b"], text="1", at=START + DAY))).result(10)
    writer.close()
    site.add("elsewhere")
    assert site.compact().segments == 2
    assert [(seen(site, where), where.digest) for where in ranges] == before
    assert site.ids() == ["a", "elsewhere", "later", "b"]


def test_a_version_of_the_catalogue_pins_a_range(site: Site) -> None:
    site.add("a")
    site.compact()
    site.add("b")
    pinned = site.log.pin("flights")
    assert (pinned.version, len(pinned.segments), pinned.rows) == (1, 1, 2)
    assert LogRange.from_json(pinned.to_json()) == pinned
    before = seen(site, pinned)
    site.add("c")
    site.label("a")
    site.compact()
    assert seen(site, pinned) == before
    assert site.log.pin("flights").rows == 3


def test_another_endpoint_s_files_do_not_change_a_range(site: Site) -> None:
    site.add("a")
    site.compact()
    pinned = site.log.pin("flights")
    site.add("t", endpoint="trains")
    site.compact()
    assert site.log.pin("flights") == pinned


def test_a_version_that_the_catalogue_does_not_have_is_said(site: Site) -> None:
    site.add("a")
    with pytest.raises(Corrupt, match="version 7 of the prediction log's catalogue, which ends at 0"):
        site.log.predictions(LogRange("flights", (), None, None, 0, version=7))


def test_the_open_segment_stays_and_is_read_with_the_files(site: Site) -> None:
    writer = SegmentWriter(site.folder, max_bytes=10)
    for prediction_id in "abc":
        append(writer, encode_predictions(predictions([prediction_id]))).result(10)
    assert site.compact().segments == 2
    assert site.ids() == ["a", "b", "c"]
    append(writer, encode_predictions(predictions(["d"]))).result(10)
    assert site.ids() == ["a", "b", "c", "d"]
    writer.close()
    site.compact()
    assert (site.ids(), site.segments()) == (["a", "b", "c", "d"], [])


def test_a_file_that_a_writer_has_only_begun_is_not_sealed(site: Site) -> None:
    site.folder.mkdir()
    begun = site.folder / "20130401T060000000000Z-00000000.seg"
    for content in (b"", b"MLPL"):
        begun.write_bytes(content)
        assert not sealed(begun)
        assert site.compact().segments == 0
        assert begun.is_file()
    begun.write_bytes(b"MLPLOG1\n")
    assert sealed(begun)
    assert site.compact().segments == 1
    assert not begun.exists()


def test_the_torn_tail_of_a_dead_writer_is_left_out(site: Site) -> None:
    path = write(site.folder, *(encode_predictions(predictions([prediction_id])) for prediction_id in "ab"))
    path.write_bytes(path.read_bytes()[:-9])
    assert site.compact().problems == ()
    assert site.ids() == ["a"]


def test_files_are_by_endpoint_day_and_schema_in_the_order_of_time(site: Site) -> None:
    site.add(*"abc", event_time=[START + DAY, START, START - HOUR])
    site.add("d", inputs={"other": [1.0]}, event_time=START - HOUR)
    site.label("a", at=START + DAY)
    site.compact()
    folders = [name.rpartition("/")[0] for name in site.files()]
    assert folders == [
        "feedback/flights/day=2013-04-02",
        "predictions/flights/day=2013-04-01",
        "predictions/flights/day=2013-04-01",
        "predictions/flights/day=2013-04-02",
    ]
    ids = {tuple(pq.read_table(site.folder / name)["prediction_id"].to_pylist()) for name in site.files()[1:]}
    assert ids == {("c", "b"), ("d",), ("a",)}


@pytest.mark.parametrize("endpoint", ["..", ".hidden", "_hidden", "a/b", "vuelos-ñ", "a%b"])
def test_no_endpoint_s_name_leads_elsewhere(site: Site, endpoint: str) -> None:
    site.add("a", endpoint=endpoint)
    site.compact()
    (path,) = site.files()
    parts = Path(path).parts
    assert len(parts) == 4
    assert parts[1][0] not in "._"
    assert site.ids(endpoint) == ["a"]


def test_duckdb_and_pandas_read_the_files(site: Site) -> None:
    fill(site)
    site.compact()
    pattern = f"{site.folder}/predictions/flights/**/*.parquet"
    found = duckdb.execute(
        "SELECT prediction_id, input_distance, input_carrier, day "
        f"FROM read_parquet('{pattern}', union_by_name = true) WHERE NOT shadow ORDER BY prediction_id"
    ).fetchall()
    assert [row[:3] for row in found] == [
        ("a", 100.0, None),
        ("b", 150.0, None),
        ("c", 200.5, "UA"),
        ("d", 1.0, None),
        ("e", None, None),
    ]
    assert [str(row[3]) for row in found[1:4]] == ["2013-04-01", "2013-04-02", "2013-04-02"]
    frame = pd.read_parquet(site.folder / "feedback" / "flights")
    assert len(frame) == 5


def test_only_the_files_of_a_range_are_opened(site: Site) -> None:
    site.add(*"abc", event_time=[START, START + DAY, START + 2 * DAY])
    site.add("t", endpoint="trains")
    site.compact()
    for name in site.files():
        if "day=2013-04-02" not in name or "trains" in name:
            (site.folder / name).write_bytes(b"none of these may be read")
    pinned = site.log.pin("flights", since=START + DAY, until=START + DAY + HOUR)
    assert pinned.rows == 1
    assert site.log.labelled(pinned)["prediction_id"].to_pylist() == ["b"]
    assert site.log.query("flights", since=START + DAY, until=START + DAY + HOUR).num_rows == 1
    assert site.log.find("b") is not None


def test_rows_are_counted_where_a_range_cuts_a_file(site: Site) -> None:
    site.add(*"abcd", shadow=[False, True, False, False])
    site.compact()
    second = timedelta(seconds=1)
    for since, until, rows in ((None, None, 3), (START + second, None, 2), (None, START + 2 * second, 1)):
        pinned = site.log.pin("flights", since=since, until=until)
        assert pinned.rows == rows == site.log.predictions(pinned).num_rows


def test_a_damaged_segment_is_put_aside_and_its_whole_records_are_kept(site: Site) -> None:
    path = write(site.folder, *(encode_predictions(predictions([prediction_id])) for prediction_id in "abc"))
    pinned = site.log.pin("flights")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)
    with pytest.raises(Corrupt, match="is damaged at byte"):
        site.ids()
    done = site.compact()
    assert (done.segments, done.rows, len(done.problems)) == (1, 2, 1)
    assert site.ids() == ["a", "c"]
    with pytest.raises(Corrupt, match="is damaged at byte"):
        site.log.predictions(pinned)
    aside = site.folder / "damaged" / path.name
    assert aside.read_bytes() == content
    (problem,) = site.log.verify()
    assert problem.startswith(f"damaged/{path.name} at byte ")
    aside.unlink()
    assert site.log.verify() == []


def test_what_cannot_be_decoded_stays_and_does_not_keep_others_back(site: Site) -> None:
    from mlprod_nb.prediction_log.framing import frame

    strange = write(site.folder, frame("feedback", "flights", b"from another time"))
    site.add("a")
    done = site.compact()
    assert (done.segments, done.rows) == (1, 1)
    assert done.problems[0].startswith(f"{strange.name}: its records cannot be read, so it was left")
    assert site.segments() == [strange.name]


def test_one_transaction_takes_no_more_segments_than_memory_allows(site: Site) -> None:
    size = site.add("a").stat().st_size
    for prediction_id in "bcde":
        site.add(prediction_id)
    site.compact(batch_bytes=2 * size)
    assert site.catalogue.version() == 3
    assert site.ids() == list("abcde")


def test_one_process_compacts_at_a_time(site: Site) -> None:
    site.add("a")
    with lease(site.folder) as held:
        assert held
        assert site.compact().busy
    assert site.segments() != []
    assert not site.compact().busy


def test_two_that_compact_at_once_against_the_lease_double_nothing(site: Site) -> None:
    """A file system may not keep its locks' promise; then the catalogue decides, and the second fails."""
    site.add("a")

    intruders = [site.compact]

    def intrude(name: str) -> None:
        if name == "synced" and intruders:
            (site.folder / "compaction.lock").unlink()
            intruders.pop()()

    with pytest.raises(sa.exc.IntegrityError):
        site.compact(intrude)
    assert site.ids() == ["a"]
    assert len(site.files()) == 1
    assert site.log.verify() == []


def test_a_full_disk_costs_nothing_and_leaves_nothing(site: Site) -> None:
    site.add("a")

    def fill_up(name: str) -> None:
        if name == "half written":
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        site.compact(fill_up)
    assert (site.ids(), site.partial(), site.files()) == (["a"], [], [])
    assert site.compact().rows == 1


def test_a_file_that_the_catalogue_lost_is_kept_and_said(site: Site, tmp_path: Path) -> None:
    site.add("a")
    site.compact()
    (name,) = site.files()
    other = Site(site.folder, open_site(tmp_path / "another").store)
    (problem,) = other.compact().problems
    assert problem == other.log.verify()[0]
    assert problem.startswith(f"{name}: the catalogue does not name it, and its segments are gone.")
    assert site.files() == [name]
    other.store.close()


@pytest.mark.parametrize("at", ["before version", "after version", "after segments", "after files"])
def test_a_compaction_between_any_two_steps_of_a_read_changes_nothing_of_it(site: Site, at: str) -> None:
    site.add("a")
    site.compact()
    site.add("b")
    site.label("a", "b")

    def happen() -> None:
        site.add("c")
        site.compact(least_files=2)  # what the reader is about to open is merged, and gone

    log = PredictionLog(site.folder, Interrupted(site.store, at, happen))
    pinned = log.pin("flights")
    # What came after the read began may be seen, once.
    assert log.predictions(pinned)["prediction_id"].to_pylist() in (["a", "b"], ["a", "b", "c"])
    assert pinned.rows == log.predictions(pinned).num_rows
    log = PredictionLog(site.folder, Interrupted(site.store, at, happen))
    assert log.labelled(pinned)["label"].to_pylist()[:2] == ["1", "1"]
    log = PredictionLog(site.folder, Interrupted(site.store, at, happen))
    found = log.find("b")
    assert found is not None
    assert len(found.feedback) == 1


def test_a_read_while_a_segment_is_being_compacted_gives_each_row_once(site: Site) -> None:
    """A reader goes on without a pause while many segments are compacted, and sees all rows, once, each time."""
    ids = [f"{number:03d}" for number in range(25)]
    for prediction_id in ids:
        site.add(prediction_id)
    wrong: list[list[str]] = []
    done = threading.Event()

    def look() -> None:
        reader = open_site(site.folder.parent)
        while not done.is_set():
            found = sorted(reader.ids())
            if found != ids:
                wrong.append(found)
        reader.store.close()

    thread = threading.Thread(target=look)
    thread.start()
    site.compact(batch_bytes=1)
    done.set()
    thread.join(30)
    assert wrong == []
    assert sorted(site.ids()) == ids
