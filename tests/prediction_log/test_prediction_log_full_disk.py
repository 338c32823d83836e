"""A full disk: what was acknowledged is there, once; the reserve lets the log go on; nothing needs a human."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from mlprod_nb.prediction_log.framing import Damage, scan
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.reserve import Reserve
from mlprod_nb.prediction_log.segments import SegmentWriter
from mlprod_nb.prediction_log.storage import DiskStorage, NoRoom
from tests.prediction_log.batches import append
from tests.prediction_log.crash_disk import CrashDisk
from tests.prediction_log.raw_records import payload, record, records
from tests.prediction_log.small_disk import MIB, fill, small_disk

SEED = 20131107
GROUPS = 6


def left_by(disk: CrashDisk, folder: Path) -> list[bytes]:
    """Return the records that are on the disk after a power loss."""
    disk.after_power_loss(folder, random.Random(SEED))
    assert PredictionLog(folder).verify() == []
    return records(folder)


def run(disk: CrashDisk, folder: Path, reserve: Reserve | None = None) -> list[int]:
    """Append groups of three records; return the numbers that were acknowledged."""
    acknowledged: list[int] = []
    try:
        writer = SegmentWriter(folder, storage=disk, max_bytes=600, reserve=reserve)
    except OSError:
        return acknowledged
    for group in range(GROUPS):
        if writer.failed:  # the owner opens another
            writer.close()
            try:
                writer = SegmentWriter(folder, storage=disk, max_bytes=600, reserve=reserve)
            except OSError:
                continue
        futures = [(number, append(writer, record(number))) for number in range(3 * group, 3 * group + 3)]
        acknowledged += [number for number, future in futures if future.exception(10) is None]
    writer.close()
    return acknowledged


def is_within(acknowledged: list[int], found: list[bytes]) -> bool:
    """Return whether everything acknowledged was found, in its order, and nothing was found twice.

    A record may be there that was never acknowledged: the disk failed, and it was written all the same.
    """
    kept = set(map(payload, acknowledged))
    return [each for each in found if each in kept] == [payload(number) for number in acknowledged] and len(
        found
    ) == len(set(found))


def full_reserve(disk: CrashDisk, folder: Path, size: int) -> Reserve:
    reserve = Reserve(folder, size, storage=disk)
    assert reserve.make()
    return reserve


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_step_that_fails_at_any_point_loses_and_doubles_nothing_acknowledged(tmp_path: Path, error: int) -> None:
    whole = CrashDisk()
    run(whole, tmp_path)
    for step in range(1, len(whole.steps) + 12):
        disk = CrashDisk(fails_at=step, error=error)
        reserve = full_reserve(disk, tmp_path, 100)
        acknowledged = run(disk, tmp_path, reserve)
        found = left_by(disk, tmp_path / f"left-{step}")
        assert len(acknowledged) >= 3 * (GROUPS - 1) * (step > 3), step  # the first three steps make a segment
        assert is_within(acknowledged, found), step
        failed = disk.steps[step] if step < len(disk.steps) else ""
        if error == errno.ENOSPC and step > 3 and failed in {"create", "write"}:
            assert acknowledged == list(range(3 * GROUPS)), (step, failed)
            assert not reserve.whole


def test_a_disk_that_is_full_loses_nothing_acknowledged_also_where_the_power_goes_then(tmp_path: Path) -> None:
    room = 1000
    whole = CrashDisk(room=room)
    acknowledged = run(whole, tmp_path, full_reserve(whole, tmp_path, 300))
    assert 3 < len(acknowledged) < 3 * GROUPS
    chance = random.Random(SEED)
    for step in range(1, len(whole.steps) + 8):
        disk = CrashDisk(room=room, dies_at=step)
        acknowledged = run(disk, tmp_path, full_reserve(disk, tmp_path, 300))
        left = tmp_path / f"left-{step}"
        disk.after_power_loss(left, chance)
        found = records(left)
        assert is_within(acknowledged, found), step
        assert PredictionLog(left).verify() == []


def test_the_reserve_is_used_to_its_end_before_anything_fails(tmp_path: Path) -> None:
    disk = CrashDisk(room=2000)
    reserve = full_reserve(disk, tmp_path, 800)
    writer = SegmentWriter(tmp_path, storage=disk, reserve=reserve)
    acknowledged = 0
    while append(writer, record(acknowledged)).exception(10) is None:
        acknowledged += 1
        assert disk.free(tmp_path) >= 0
    assert isinstance(writer.failed, NoRoom)
    assert disk.free(tmp_path) == 0
    writer.close()
    assert left_by(disk, tmp_path / "left")[:acknowledged] == [payload(number) for number in range(acknowledged)]


def test_a_second_writer_profits_from_what_the_first_gave_back(tmp_path: Path) -> None:
    disk = CrashDisk()
    reserve = full_reserve(disk, tmp_path, 100)
    seen = reserve.given_back
    assert reserve.give_back(seen)
    assert reserve.give_back(seen)
    assert not reserve.give_back(reserve.given_back)
    assert disk.steps == ["allocate", "remove"]


def test_a_reserve_is_made_only_where_as_much_again_stays_free(tmp_path: Path) -> None:
    disk = CrashDisk(room=199)
    reserve = Reserve(tmp_path, 100, storage=disk)
    assert not reserve.make()
    disk.room = 200
    assert reserve.make()
    assert reserve.make()
    assert disk.free(tmp_path) == 100
    successor = Reserve(tmp_path, 100, storage=disk)
    assert successor.make()  # what a killed worker kept
    assert disk.free(tmp_path) == 100
    successor.close()
    assert disk.free(tmp_path) == 200


def test_a_reserve_of_nothing_is_always_whole(tmp_path: Path) -> None:
    disk = CrashDisk()
    reserve = Reserve(tmp_path, 0, storage=disk)
    assert reserve.whole
    assert reserve.make()
    assert not reserve.give_back(0)
    assert disk.steps == []


def test_a_real_full_disk_takes_its_reserve_back_and_everything_acknowledged_is_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        log = disk / "log"
        log.mkdir()
        reserve = Reserve(log, MIB)
        assert reserve.make()
        assert (log / "0.reserve").stat().st_blocks * 512 == MIB
        writer = SegmentWriter(log, reserve=reserve)
        append(writer, record(0)).result(10)
        ballast = fill(disk)
        number = 0
        while append(writer, record(number + 1)).exception(10) is None:
            number += 1
        assert not reserve.whole
        assert isinstance(writer.failed, NoRoom)
        assert sum(len(record(each)) for each in range(number + 1)) > 0.9 * MIB
        with pytest.raises(NoRoom):
            SegmentWriter(log)
        writer.close()
        assert len(list(log.iterdir())) == 2  # the segment that was full, and the one after it
        ballast.unlink()
        again = SegmentWriter(log, reserve=reserve)
        append(again, record(number + 1)).result(10)
        again.close()
        found = records(log)
        assert found == [payload(each) for each in range(number + 2)]
        damage = [each for path in log.glob("*.seg") for each in scan(memoryview(path.read_bytes()))]
        assert not any(isinstance(each, Damage) for each in damage)


def test_a_real_reserve_that_finds_no_room_leaves_no_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        with pytest.raises(OSError, match="space"):
            DiskStorage().allocate(disk / "0.reserve", 3 * MIB)
        assert list(disk.iterdir()) == []
        assert not Reserve(disk, 3 * MIB).make()
