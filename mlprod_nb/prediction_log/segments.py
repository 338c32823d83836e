"""Segments: append-only files, one open at a time in each gateway process, synced in groups.

Guarantee: when a record's ``done`` is called without an error, the record is on the disk, and a power loss or
``kill -9`` at any moment does not lose it; a record is in the log at most once. Over a storage that does not sync, the
operating system has it, and ``kill -9`` does not lose it.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

from mlprod_nb.clock import Clock, utc_now
from mlprod_nb.errors import Unavailable
from mlprod_nb.prediction_log.framing import MAGIC
from mlprod_nb.prediction_log.reserve import Reserve
from mlprod_nb.prediction_log.storage import AppendFile, DiskStorage, NoRoom, Storage

SUFFIX = ".seg"
_MAX_BYTES = 64 * 1024 * 1024
_STAMP = "%Y%m%dT%H%M%S%fZ"
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)

SEAL_SECONDS = 300.0
"""How old a segment may become before it is sealed, and at most twice as old where no record comes."""


Done = Callable[[Unavailable | None], None]


@dataclass(frozen=True)
class _Waiting:
    record: bytes
    done: Done


class SegmentWriter:
    """Appends records to one segment after another.

    One thread takes all records that wait, writes them, and syncs once for all of them: while one group is being
    synced, the next one forms. After a failed write or sync nothing is appended any more: what the disk then holds is
    unknown, so every record that waits fails, and the owner opens a new writer. Where the disk is full, what it holds
    is known: the records that are whole are acknowledged, the reserve is given back and the others go into a new
    segment.

    Args:
        folder: Where segments are; made where it does not exist.
        storage: The disk.
        max_bytes: A segment does not grow beyond this, unless by a single record.
        clock: Gives the present moment, for names that sort by age.
        reserve: Space that is given back when the disk is full; may be shared with other writers.
        observe: Takes how long one group's write and sync took, seconds; called in the log's thread.
        seal_seconds: A segment that is older is sealed, so that its rows come into files also where there are few.

    Raises:
        OSError: The first segment cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        storage: Storage | None = None,
        max_bytes: int = _MAX_BYTES,
        clock: Clock = utc_now,
        reserve: Reserve | None = None,
        observe: Callable[[float], None] = lambda _: None,
        seal_seconds: float = SEAL_SECONDS,
    ) -> None:
        self._folder = folder
        self._storage = storage or DiskStorage()
        self._reserve = reserve or Reserve(folder, 0, storage=self._storage)
        self._observe = observe
        self._max_bytes = max_bytes
        self._seal_seconds = seal_seconds
        self._clock = clock
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._next: _Waiting | None = None
        self._entry = threading.Lock()
        self._closed = False
        self._failed: BaseException | None = None
        self._size = 0
        self._opened = 0.0
        self._newest = max(map(_moment, self._storage.names(folder)), default=_EARLIEST)
        self._file = self._open()
        self._thread = threading.Thread(target=self._run, name="mlprod-log", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> BaseException | None:
        """Why nothing can be appended any more, or ``None``."""
        return self._failed

    def append(self, record: bytes, done: Done) -> None:
        """Append a record.

        Args:
            record: What ``schema.encode_predictions`` or ``schema.encode_feedback`` gave.
            done: Called once, in the log's thread or in this one, and must not raise: with nothing when the record is
                on the disk, or with the error where it cannot be, or may not be.
        """
        with self._entry:
            if not self._closed and self._failed is None:
                self._queue.put(_Waiting(record, done))
                return
        done(_closed() if self._failed is None else _unavailable(self._failed))

    def close(self) -> None:
        """Sync what waits and close the segment; the second time, do nothing."""
        with self._entry:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while group := self._take():
            try:
                self._write(group)
            except BaseException as error:  # noqa: BLE001 (whatever it is, the segment must not be written again)
                self._fail(error, group)
                break
        try:
            self._file.close()
        except OSError as error:
            self._failed = self._failed or error

    def _take(self) -> list[_Waiting]:
        """Wait for records; return those that fit into one segment, or none when the writer is closed and done."""
        first = self._next or self._await_one()
        self._next = None
        if first is None:
            return []
        group, size = [first], len(MAGIC) + len(first.record)
        while (following := self._at_once()) is not None:
            size += len(following.record)
            if size > self._max_bytes:
                self._next = following
                break
            group.append(following)
        return group

    def _await_one(self) -> _Waiting | None:
        """Wait for a record or the end; seal an old segment before and meanwhile."""
        while True:
            if self._size > len(MAGIC) and time.monotonic() - self._opened > self._seal_seconds:
                with contextlib.suppress(OSError):  # on a full disk the old one is as good as any
                    self._change()
            with contextlib.suppress(queue.Empty):
                return self._queue.get(timeout=self._seal_seconds)

    def _at_once(self) -> _Waiting | None:
        """Return the next record where one waits already."""
        try:
            following = self._queue.get_nowait()
        except queue.Empty:
            return None
        if following is None:
            self._queue.put(None)  # nothing comes behind the end, so it is put back for the next look
        return following

    def _write(self, group: list[_Waiting]) -> None:
        """Write records, and acknowledge each and take it out of the group when it is on the disk."""
        while group:
            seen, began = self._reserve.given_back, time.perf_counter()
            full: NoRoom | None = None
            try:
                self._append(b"".join([waiting.record for waiting in group]))
                kept = len(group)
            except NoRoom as error:
                full, kept = error, _whole(group, error.written)
            self._observe(time.perf_counter() - began)
            on_disk, group[:kept] = group[:kept], []
            for waiting in on_disk:
                waiting.done(None)
            if full is not None:
                if not self._reserve.give_back(seen):
                    raise full
                self._change()

    def _append(self, data: bytes) -> None:
        if self._size > len(MAGIC) and self._size + len(data) > self._max_bytes:
            self._change()
        self._file.append(data)
        self._size += len(data)

    def _change(self) -> None:
        """Go on in a new segment."""
        before, self._file = self._file, self._open()
        before.close()

    def _fail(self, error: BaseException, group: list[_Waiting]) -> None:
        with self._entry:
            self._failed = error
        lost = [*group, *([self._next] if self._next else [])]
        while (following := self._at_once()) is not None:
            lost.append(following)
        for waiting in lost:
            waiting.done(_unavailable(error))

    def _open(self) -> AppendFile:
        """Make the next segment; its name sorts after every one that is there, also when the clock stepped back."""
        self._newest = max(self._clock().astimezone(UTC), self._newest + _TICK)
        path = self._folder / segment_name(self._newest, secrets.token_hex(4))
        file = self._storage.create(path)
        try:
            file.append(MAGIC)
        except BaseException:
            file.close()
            with contextlib.suppress(OSError):
                self._storage.remove(path)
            raise
        self._size = len(MAGIC)
        self._opened = time.monotonic()
        return file


def _whole(group: list[_Waiting], written: int) -> int:
    """Return how many records are whole in the first bytes of a group."""
    ends = accumulate(len(waiting.record) for waiting in group)
    return sum(end <= written for end in ends)


def segment_name(moment: datetime, tail: str) -> str:
    """Return a segment's file name; names sort by age."""
    return f"{moment.strftime(_STAMP)}-{tail}{SUFFIX}"


def _moment(name: str) -> datetime:
    """Return the moment in a segment's name; of another name, the earliest."""
    try:
        return datetime.strptime(name.partition("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return _EARLIEST


def _closed() -> Unavailable:
    return Unavailable("the prediction log's segment is closed.")


def _unavailable(cause: BaseException) -> Unavailable:
    error = Unavailable(f"the prediction log cannot be written: {cause}.")
    error.__cause__ = cause
    return error
