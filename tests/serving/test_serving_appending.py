"""Appending to the prediction log."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlprod_nb.prediction_log.framing import Record, scan
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.schema import PredictionBatch
from mlprod_nb.prediction_log.storage import DiskStorage
from mlprod_nb.serving import log_channel
from mlprod_nb.serving.appending import LogAppender, LogCondition
from mlprod_nb.serving.errors import LogUnavailable
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.telemetry.shared_numbers import SharedNumbers
from mlprod_nb.settings import EndpointSettings, LogSettings
from tests.prediction_log.batches import feedback
from tests.prediction_log.crash_disk import CrashDisk
from tests.prediction_log.small_disk import MIB

NOW = datetime(2013, 4, 1, tzinfo=UTC)
IDS = Identifiers()
NO_RESERVE = LogSettings(reserve_mib=0)


def batch(*values: float, revision: int = 1, endpoint: str = "flights", **inputs: Any) -> PredictionBatch:
    n = len(values)
    return PredictionBatch(
        prediction_id=IDS.take(n),
        request_id=[IDS.new()] * n,
        endpoint=[endpoint] * n,
        revision=[revision] * n,
        variant=["champion"] * n,
        model=["flights"] * n,
        version=[1] * n,
        shadow=[False] * n,
        unit=[None] * n,
        event_time=[NOW] * n,
        received_at=[NOW] * n,
        latency_ms=[1.0] * n,
        prediction=["1"] * n,
        score=np.array(values),
        inputs={"x": np.array(values), **inputs},
    )


def value(telemetry: Telemetry, name: str) -> float:
    lines = telemetry.text().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def appends(telemetry: Telemetry) -> float:
    return value(telemetry, 'mlprod_log_appends_total{kind="prediction"}')


async def test_rows_that_arrive_together_share_records_and_are_all_there(tmp_path: Path) -> None:
    telemetry = Telemetry()
    log = LogAppender(tmp_path, telemetry)
    batches = [batch(float(i), i + 0.5, revision=1 + (i > 50)) for i in range(100)]
    await asyncio.gather(*(log.predictions(each) for each in batches))
    log.close()
    assert appends(telemetry) <= 4
    reader = PredictionLog(tmp_path)
    rows = reader.predictions(reader.pin("flights")).to_pylist()
    found = {row["prediction_id"]: (row["inputs"]["x"], row["score"], row["revision"]) for row in rows}
    assert len(rows) == 200
    for i, each in enumerate(batches):
        for place, value in enumerate((float(i), i + 0.5)):
            assert found[each.prediction_id[place]] == (value, value, 1 + (i > 50))


async def test_rows_that_cannot_be_encoded_do_not_take_others_with_them(tmp_path: Path) -> None:
    log = LogAppender(tmp_path, Telemetry())
    bad = batch(1.0)
    object.__setattr__(bad, "unit", ["\ud800"])
    found = await asyncio.gather(
        *(log.predictions(each) for each in (batch(1.0), batch(1.0), bad, batch(2.0))), return_exceptions=True
    )
    log.close()
    assert [isinstance(each, Exception) for each in found] == [False, False, True, False]


async def test_a_caller_that_gives_up_does_not_stop_the_log(tmp_path: Path) -> None:
    log = LogAppender(tmp_path, Telemetry())
    tasks = [asyncio.ensure_future(log.predictions(batch(float(i)))) for i in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[3].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await log.predictions(batch(9.0))
    assert log.condition == LogCondition()
    log.close()


class Disks:
    """Opens the crash disks that a log asks for, one a durability, and keeps them."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.opened: dict[bool, CrashDisk] = {}

    def __call__(self, *, synced: bool) -> CrashDisk:
        self.opened[synced] = CrashDisk(**self.options)
        return self.opened[synced]


def test_the_worst_condition_of_all_workers_is_told_by_each(tmp_path: Path) -> None:
    shared = [Telemetry(SharedNumbers(tmp_path / "numbers", slot)) for slot in range(2)]
    small = Disks(room=10)  # enough for a segment's header, not for the reserve
    good, full = LogAppender(tmp_path, shared[0], NO_RESERVE), LogAppender(tmp_path, shared[1], open_storage=small)
    assert good.condition_of_all() == LogCondition()
    shared[1].share()
    assert full.condition.state == "on_reserve"
    assert good.condition_of_all() == LogCondition("on_reserve", "worker 1 is on its reserve")
    broken = LogAppender(tmp_path, shared[1], open_storage=Disks(fails_at=0))
    shared[1].share()
    assert good.condition_of_all() == LogCondition("failed", "worker 1 cannot write it")
    assert broken.condition_of_all() == broken.condition
    for log in (good, full, broken):
        log.close()


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
async def test_a_log_that_failed_acknowledges_nothing_and_goes_on_in_a_new_segment(tmp_path: Path, error: int) -> None:
    disks = Disks()
    telemetry = Telemetry()
    log = LogAppender(tmp_path, telemetry, NO_RESERVE, open_storage=disks)
    disk = disks.opened[True]
    disk.error, disk.fails_at = error, len(disk.steps) + 1  # the sync: what is on the disk is unknown
    for _ in range(3):
        with pytest.raises(LogUnavailable):
            await log.predictions(batch(1.0))
    assert log.condition == LogCondition("failed", os.strerror(error))
    assert value(telemetry, "mlprod_log_state") == 2
    await log.look()
    assert log.condition == LogCondition()
    await log.predictions(batch(2.0))
    log.close()
    assert value(telemetry, "mlprod_log_failures_total") == 1
    assert len(disk.files) == 2


async def test_a_full_disk_is_met_by_the_reserve_and_recovery_needs_nobody(tmp_path: Path) -> None:
    disks = Disks(room=3 * MIB)
    telemetry = Telemetry()
    log = LogAppender(tmp_path, telemetry, LogSettings(reserve_mib=1), open_storage=disks)
    disk = disks.opened[True]
    assert log.condition == LogCondition()
    room = 3 * MIB - disk.free(tmp_path) + 100
    disk.room = room  # somebody else fills the disk
    kept = 0
    while log.condition.state != "failed":
        states = log.condition.state
        try:
            await log.predictions(batch(*range(1000)))
            kept += 1
        except LogUnavailable:
            assert states == "on_reserve"
        await log.look()
    assert kept > 3
    assert sum(len(file.synced) for file in disk.files.values()) > 0.8 * MIB
    assert log.condition.reason == "No space left on device"
    files = len(disk.files)
    for _ in range(5):
        await log.look()  # the disk is still full, and nothing piles up on it
    assert (log.condition.state, len(disk.files)) == ("failed", files)
    disk.room = room + 2 * MIB - 1
    await log.look()
    assert log.condition == LogCondition("on_reserve", "the disk is full: the log's reserve of 1 MiB is in use")
    await log.predictions(batch(1.0))
    assert value(telemetry, "mlprod_log_state") == 1
    disk.room = room + 4 * MIB
    await log.look()
    assert log.condition == LogCondition()
    log.close()
    assert disk.allocated == {}


async def test_a_gateway_that_starts_on_a_full_disk_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disks = Disks(room=0)
    log = LogAppender(tmp_path, Telemetry(), open_storage=disks)
    with pytest.raises(LogUnavailable):
        await log.predictions(batch(1.0))
    assert log.condition == LogCondition("failed", "No space left on device")
    disks.opened[True].room = 2**62
    await log.look()
    await log.predictions(batch(1.0))
    assert log.condition == LogCondition()
    log.close()


async def test_endpoints_of_the_two_durabilities_never_share_a_segment(tmp_path: Path) -> None:
    endpoints = {"quick": EndpointSettings(durability="process"), "other": EndpointSettings(durability="process")}
    log = LogAppender(tmp_path, Telemetry(), NO_RESERVE, endpoints)
    names = ["quick", "flights", "other", "delay"] * 10
    await asyncio.gather(*(log.predictions(batch(1.0, endpoint=name)) for name in names))
    await asyncio.gather(*(log.feedback(feedback(["a"], endpoint=name)) for name in names))
    log.close()
    segments = [scan(memoryview(path.read_bytes())) for path in tmp_path.glob("*.seg")]
    found = [{record.endpoint for record in records if isinstance(record, Record)} for records in segments]
    assert sorted(map(sorted, found)) == [["delay", "flights"], ["other", "quick"]]


async def test_a_process_level_endpoint_is_not_synced_and_a_synced_one_is(tmp_path: Path) -> None:
    disks = Disks()
    log = LogAppender(
        tmp_path, Telemetry(), NO_RESERVE, {"quick": EndpointSettings(durability="process")}, open_storage=disks
    )
    await log.predictions(batch(1.0, endpoint="quick"))
    await log.predictions(batch(1.0))
    log.close()
    assert {synced: len(disk.files) for synced, disk in disks.opened.items()} == {True: 1, False: 1}
    flags = {synced: DiskStorage(synced=synced)._flags & os.O_DSYNC for synced in (True, False)}
    assert flags == {True: os.O_DSYNC, False: 0}


class SlowDisk(CrashDisk):
    """A disk whose writes wait for the test."""

    def __init__(self, *, synced: bool) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()

    def step(self, name: str) -> None:
        assert self.answers.wait(20)
        super().step(name)


class Slow:
    """Opens slow disks, and keeps the last one."""

    def __call__(self, *, synced: bool) -> SlowDisk:
        self.disk = SlowDisk(synced=synced)
        return self.disk


async def test_what_waits_for_a_slow_disk_is_bounded_and_the_rest_is_refused_at_once(tmp_path: Path) -> None:
    slow = Slow()
    telemetry = Telemetry()
    log = LogAppender(tmp_path, telemetry, LogSettings(reserve_mib=0, max_waiting_mib=1), open_storage=slow)
    slow.disk.answers.clear()
    rows = batch(*range(1000))
    waiting = [asyncio.ensure_future(log.predictions(rows)) for _ in range(40)]
    await asyncio.sleep(0)
    refused = [task for task in waiting if task.done()]
    assert 1 < len(waiting) - len(refused) < 10
    assert all(isinstance(task.exception(), LogUnavailable) for task in refused)
    assert value(telemetry, "mlprod_log_queue_depth") == len(waiting) - len(refused)
    with pytest.raises(LogUnavailable, match="too much waits"):
        await log.feedback(feedback(["a"] * 10_000))
    slow.disk.answers.set()
    await asyncio.gather(*(task for task in waiting if task not in refused))
    await asyncio.gather(*(log.predictions(rows) for _ in range(3)))
    assert value(telemetry, "mlprod_log_queue_depth") == 0
    assert log._synced._bytes == 0
    log.close()


async def test_what_callers_gave_up_on_is_counted_until_it_is_written(tmp_path: Path) -> None:
    slow = Slow()
    log = LogAppender(tmp_path, Telemetry(), LogSettings(reserve_mib=0, max_waiting_mib=1), open_storage=slow)
    slow.disk.answers.clear()
    refused = 0
    for _ in range(40):  # each caller hangs up before the next one comes
        task = asyncio.ensure_future(log.predictions(batch(*range(1000))))
        await asyncio.sleep(0)
        refused += task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert refused > 30
    slow.disk.answers.set()
    async with asyncio.timeout(20):
        while log._synced._bytes:
            await asyncio.sleep(0.01)
    log.close()


async def test_a_disk_that_does_not_answer_is_given_up_on_and_used_again_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_channel, "STALL_SECONDS", 0.0)
    slow = Slow()
    telemetry = Telemetry()
    log = LogAppender(tmp_path, telemetry, NO_RESERVE, open_storage=slow)
    slow.disk.answers.clear()
    waiting = [asyncio.ensure_future(log.predictions(batch(1.0))) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert value(telemetry, "mlprod_log_lag_seconds") >= 0.01
    await log.look()
    assert {type(found) for found in await asyncio.gather(*waiting, return_exceptions=True)} == {LogUnavailable}
    assert log.condition == LogCondition("failed", "the disk has not answered for 0 s")
    with pytest.raises(LogUnavailable):
        await log.predictions(batch(2.0))
    slow.disk.answers.set()
    async with asyncio.timeout(20):
        while log.condition.state != "ok":
            await asyncio.sleep(0.01)
    await log.predictions(batch(3.0))
    log.close()


async def test_syncs_are_timed(tmp_path: Path) -> None:
    telemetry = Telemetry()
    log = LogAppender(tmp_path, telemetry, NO_RESERVE)
    for _ in range(3):
        await log.predictions(batch(1.0))
    log.close()
    assert value(telemetry, "mlprod_log_sync_seconds_count") == 3
    assert 0 < value(telemetry, "mlprod_log_sync_seconds_sum") < 10
