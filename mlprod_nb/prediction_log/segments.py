"""Segments: append-only files, one open at a time in each gateway process, synced in groups.

Guarantee: when the future that :meth:`SegmentWriter.append` returns is done without an error, the record is on the
disk and a power loss or ``kill -9`` at any moment does not lose it; a record is in the log at most once.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlprod_nb.clock import Clock, utc_now
from mlprod_nb.errors import Unavailable
from mlprod_nb.prediction_log.framing import MAGIC
from mlprod_nb.prediction_log.storage import AppendFile, DiskStorage, Storage

SUFFIX = ".seg"
_MAX_BYTES = 64 * 1024 * 1024
_STAMP = "%Y%m%dT%H%M%S%fZ"
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Waiting:
    record: bytes
    future: Future[None]


class SegmentWriter:
    """Appends records to one segment after another.

    One thread takes all records that wait, writes them, and syncs once for all of them: while one group is being
    synced, the next one forms. After a failed write or sync nothing is appended any more: what the disk then holds is
    unknown, so every record that waits fails, and the owner opens a new writer.

    Args:
        folder: Where segments are; made where it does not exist.
        storage: The disk.
        max_bytes: A segment does not grow beyond this, unless by a single record.
        clock: Gives the present moment, for names that sort by age.

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
    ) -> None:
        self._folder = folder
        self._storage = storage or DiskStorage()
        self._max_bytes = max_bytes
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._failed: BaseException | None = None
        self._size = 0
        self._newest = max(map(_moment, self._storage.names(folder)), default=_EARLIEST)
        self._file = self._open()
        self._thread = threading.Thread(target=self._run, name="mlprod-log", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> BaseException | None:
        """Why nothing can be appended any more, or ``None``."""
        return self._failed

    def append(self, record: bytes) -> Future[None]:
        """Append a record.

        Args:
            record: What ``schema.encode_predictions`` or ``schema.encode_feedback`` gave.

        Returns:
            A future that is done when the record is on the disk; its error is ``Unavailable`` where it cannot be, or
            may not be. It cannot be cancelled: a caller that no longer waits does not take its record back.
        """
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        with self._changed:
            if self._closed:
                future.set_exception(Unavailable("the prediction log's segment is closed."))
            elif self._failed is not None:
                future.set_exception(_unavailable(self._failed))
            else:
                self._waiting.append(_Waiting(record, future))
                self._changed.notify()
        return future

    def close(self) -> None:
        """Sync what waits and close the segment; the second time, do nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._take():
            try:
                self._append_and_sync(b"".join(waiting.record for waiting in group))
            except BaseException as error:  # noqa: BLE001 (whatever it is, the segment must not be written again)
                self._fail(error, group)
                break
            for waiting in group:
                waiting.future.set_result(None)
        try:
            self._file.close()
        except OSError as error:
            self._failed = self._failed or error

    def _take(self) -> list[_Waiting]:
        """Wait for records; return those that fit into one segment, or none when the writer is closed and done."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            group: list[_Waiting] = []
            size = len(MAGIC)
            while self._waiting and (not group or size + len(self._waiting[0].record) <= self._max_bytes):
                group.append(self._waiting.popleft())
                size += len(group[-1].record)
            return group

    def _append_and_sync(self, data: bytes) -> None:
        if self._size > len(MAGIC) and self._size + len(data) > self._max_bytes:
            full, self._file = self._file, self._open()
            full.close()
        self._file.write(data)
        self._file.sync()
        self._size += len(data)

    def _fail(self, error: BaseException, group: list[_Waiting]) -> None:
        with self._changed:
            self._failed = error
            lost = [*group, *self._waiting]
            self._waiting.clear()
        for waiting in lost:
            waiting.future.set_exception(_unavailable(error))

    def _open(self) -> AppendFile:
        """Make the next segment; its name sorts after every one that is there, also when the clock stepped back."""
        self._newest = max(self._clock().astimezone(UTC), self._newest + _TICK)
        file = self._storage.create(self._folder / segment_name(self._newest, secrets.token_hex(4)))
        try:
            file.write(MAGIC)
            file.sync()
        except BaseException:
            file.close()
            raise
        self._size = len(MAGIC)
        return file


def segment_name(moment: datetime, tail: str) -> str:
    """Return a segment's file name; names sort by age."""
    return f"{moment.strftime(_STAMP)}-{tail}{SUFFIX}"


def _moment(name: str) -> datetime:
    """Return the moment in a segment's name; of another name, the earliest."""
    try:
        return datetime.strptime(name.partition("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return _EARLIEST


def _unavailable(cause: BaseException) -> Unavailable:
    error = Unavailable(f"the prediction log cannot be written: {cause}.")
    error.__cause__ = cause
    return error
