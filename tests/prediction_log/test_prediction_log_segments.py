"""Segments: what was acknowledged survives power loss and kill -9; what fails is never acknowledged."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlprod_nb.errors import Unavailable
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.schema import encode_predictions
from mlprod_nb.prediction_log.segments import SegmentWriter
from mlprod_nb.prediction_log.storage import AppendFile, DiskStorage
from tests.prediction_log.batches import append, predictions, write
from tests.prediction_log.crash_disk import CrashDisk
from tests.prediction_log.raw_records import payload, record, records

SEED = 20130401
GROUPS = 6
ROOT = Path(__file__).parents[2]


def run_until_power_loss(disk: CrashDisk, folder: Path) -> list[int]:
    """Append groups of three records until the power goes; return the numbers that were acknowledged."""
    acknowledged: list[int] = []
    try:
        writer = SegmentWriter(folder, storage=disk, max_bytes=600)
    except OSError:
        return acknowledged
    for group in range(GROUPS):
        futures = [(number, append(writer, record(number))) for number in range(3 * group, 3 * group + 3)]
        acknowledged += [number for number, future in futures if future.exception(10) is None]
    writer.close()
    return acknowledged


def test_every_acknowledged_record_survives_a_power_loss_at_every_step(tmp_path: Path) -> None:
    whole = CrashDisk()
    assert run_until_power_loss(whole, tmp_path) == list(range(3 * GROUPS))
    assert len(whole.files) > 1
    chance = random.Random(SEED)
    # Groups form as threads happen to run, so a run may take more steps than the one that was counted.
    for step in range(len(whole.steps) + 8):
        for tear in range(4):
            disk = CrashDisk(dies_at=step)
            acknowledged = run_until_power_loss(disk, tmp_path)
            left = tmp_path / f"left-{step}-{tear}"
            disk.after_power_loss(left, chance)
            found = records(left)
            assert [payload(number) for number in acknowledged] == found[: len(acknowledged)], (step, tear)
            assert len(set(found)) == len(found)
            assert PredictionLog(left).verify() == []


@pytest.mark.parametrize("step", range(3, 12))
def test_after_a_failed_step_nothing_is_acknowledged_or_written_any_more(tmp_path: Path, step: int) -> None:
    disk = CrashDisk(fails_at=step)
    writer = SegmentWriter(tmp_path, storage=disk)
    outcomes = [append(writer, record(number)).exception(10) for number in range(8)]
    failed = next(number for number, outcome in enumerate(outcomes) if outcome is not None)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes[failed:])
    assert isinstance(writer.failed, OSError)
    assert len(disk.steps) == step + 1
    writer.close()
    assert [file.closed for file in disk.files.values()] == [1]


def test_a_rotation_that_fails_closes_each_file_once(tmp_path: Path) -> None:
    disk = CrashDisk(fails_at=5)
    writer = SegmentWriter(tmp_path, storage=disk, max_bytes=1)
    assert append(writer, record(0)).exception(10) is None
    assert isinstance(append(writer, record(1)).exception(10), Unavailable)
    writer.close()
    assert disk.steps[5] == "create"
    assert [file.closed for file in disk.files.values()] == [1]


class _SlowStorage(DiskStorage):
    """A disk that waits for the test before each sync of records."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.writes: list[int] = []

    def create(self, path: Path) -> AppendFile:
        return _SlowFile(self, super().create(path))


class _SlowFile:
    def __init__(self, storage: _SlowStorage, file: AppendFile) -> None:
        self.storage = storage
        self.file = file

    def append(self, data: bytes) -> None:
        self.storage.writes.append(len(data))
        if len(self.storage.writes) > 1:
            self.storage.gate.wait(60)
        self.file.append(data)

    def close(self) -> None:
        self.file.close()


def test_records_that_come_during_a_sync_are_written_and_synced_as_one_group(tmp_path: Path) -> None:
    storage = _SlowStorage()
    writer = SegmentWriter(tmp_path, storage=storage)
    first = append(writer, record(0))
    wait_until(lambda: len(storage.writes) == 2)
    others = [append(writer, record(number)) for number in range(1, 100)]
    assert not any(future.done() for future in (first, *others))
    storage.gate.set()
    for future in others:
        future.result(10)
    writer.close()
    assert len(storage.writes) == 3
    assert records(tmp_path) == [payload(number) for number in range(100)]


def test_segments_do_not_grow_past_their_limit_and_keep_the_order(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, max_bytes=1000)
    futures = [append(writer, record(number)) for number in range(200)]
    for future in futures:
        future.result(30)
    writer.close()
    sizes = [path.stat().st_size for path in tmp_path.glob("*.seg")]
    assert len(sizes) > 5
    assert max(sizes) <= 1000
    assert records(tmp_path) == [payload(number) for number in range(200)]


def test_a_record_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, max_bytes=10)
    for number in range(3):
        append(writer, record(number)).result(10)
    writer.close()
    assert len(list(tmp_path.glob("*.seg"))) == 3


def test_names_sort_by_creation_also_when_the_clock_steps_back(tmp_path: Path) -> None:
    moment = datetime(2013, 4, 1, tzinfo=UTC)
    for number, clock in enumerate([moment, moment, moment - timedelta(days=1), moment + timedelta(days=1)]):
        writer = SegmentWriter(tmp_path, clock=lambda now=clock: now)  # type: ignore[misc]
        append(writer, record(number)).result(10)
        writer.close()
    assert records(tmp_path) == [payload(number) for number in range(4)]


def test_a_closed_writer_takes_nothing_and_closes_twice(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    waiting = [append(writer, record(number)) for number in range(50)]
    writer.close()
    writer.close()
    assert all(future.result(0) is None for future in waiting)
    assert isinstance(append(writer, record(50)).exception(0), Unavailable)


def test_segments_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    assert write(tmp_path / "log", record(0)).stat().st_mode & 0o777 == 0o600


def test_a_segment_is_open_until_it_is_closed_or_full_and_no_longer(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, max_bytes=10)
    append(writer, record(0)).result(10)
    append(writer, record(1)).result(10)
    full, last = sorted(tmp_path.glob("*.seg"))
    disk = DiskStorage()
    assert (disk.is_open(full), disk.is_open(last)) == (False, True)
    writer.close()
    assert not disk.is_open(last)


def test_a_segment_that_has_grown_old_is_sealed_though_no_record_comes(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, seal_seconds=0.05)
    (only,) = tmp_path.glob("*.seg")
    append(writer, record(0)).result(10)
    disk = DiskStorage()
    wait_until(lambda: not disk.is_open(only))
    assert len(list(tmp_path.glob("*.seg"))) == 2  # the new one has no record, so it does not grow old
    append(writer, record(1)).result(10)
    writer.close()
    assert records(tmp_path) == [payload(0), payload(1)]


def test_a_folder_that_cannot_be_written_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    with pytest.raises(OSError, match="log"):
        SegmentWriter(tmp_path / "log")


def test_threads_that_append_at_once_lose_nothing(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, max_bytes=20_000)
    futures: list[Future[None]] = []

    def work(thread: int) -> None:
        futures.extend([append(writer, record(1000 * thread + number)) for number in range(100)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for future in futures:
        future.result(30)
    writer.close()
    assert sorted(records(tmp_path)) == sorted(payload(1000 * t + n) for t in range(8) for n in range(100))


def test_kill_9_of_a_writing_process_loses_nothing_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    log, ledger = tmp_path / "log", tmp_path / "ledger"
    for kill in range(4):
        ledger.touch()
        before = ledger.stat().st_size
        with ledger.open("ab") as output:
            command = [sys.executable, "-m", "tests.prediction_log.writing_process", str(log), f"kill{kill}"]
            process = subprocess.Popen(command, stdout=output, cwd=ROOT)
        try:
            enough = before + chance.randint(1, 4000)
            wait_until(lambda limit=enough: ledger.stat().st_size >= limit, seconds=60)  # type: ignore[misc]
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
    acknowledged = ledger.read_text().split()
    reader = PredictionLog(log)
    kept = reader.predictions(reader.pin("flights"))["prediction_id"].to_pylist()
    assert len(acknowledged) > 20
    assert set(acknowledged) - set(kept) == set()
    assert len(kept) == len(set(kept))
    assert reader.verify() == []


def test_the_gateway_s_half_of_the_log_needs_neither_pandas_nor_duckdb(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from tests.prediction_log.batches import *\n"
        "from mlprod_nb.prediction_log.schema import encode_feedback, encode_predictions\n"
        "records = encode_predictions(predictions(['a', 'b'])), encode_feedback(feedback(['a']))\n"
        f"write(Path({str(tmp_path)!r}), *records)\n"
        "print([name for name in ('pandas', 'duckdb', 'scipy', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
    assert PredictionLog(tmp_path).pin("flights").rows == 2


def test_a_real_record_goes_through_a_real_disk(tmp_path: Path) -> None:
    write(tmp_path, encode_predictions(predictions(["a"])))
    assert PredictionLog(tmp_path).find("a") is not None


def wait_until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Poll until a condition holds; fail at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the deadline passed"
        time.sleep(0.005)
