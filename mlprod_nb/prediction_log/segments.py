"""Segments: append-only files, one open at a time in each gateway process, synced in groups.

Guarantee: when the future that :meth:`SegmentWriter.append` returns is done without an error, the record is on the
disk and a power loss or ``kill -9`` at any moment does not lose it; a record is in the log at most once.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

from mlprod_nb.clock import Clock, utc_now
from mlprod_nb.errors import Unavailable
from mlprod_nb.prediction_log.framing import MAGIC
from mlprod_nb.prediction_log.storage import AppendFile, DiskStorage, Storage

SUFFIX = ".seg"
_MAX_BYTES = 64 * 1024 * 1024
_Waiting = tuple[bytes, "Future[None]"]


class SegmentWriter:
    """Appends records to one segment after another.

    One thread takes all records that wait, writes them, and syncs once for all of them: while one group is being
    synced, the next one forms. After a failed write or sync nothing is appended any more: what the disk then holds is
    unknown, so every record that waits fails, and the owner opens a new writer.

    Args:
        folder: Where segments are; made where it does not exist.
        storage: The disk.
        max_bytes: A segment that has grown beyond this is closed, and the next one begun.
        clock: Gives the present moment, for names that sort by age.
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
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._failed: BaseException | None = None
        self._size = 0
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
            A future that is done when the record is on the disk; its error is ``Unavailable`` where it cannot be.
        """
        future: Future[None] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(Unavailable("the prediction log's segment is closed."))
            elif self._failed is not None:
                future.set_exception(_unavailable(self._failed))
            else:
                self._queue.put((record, future))
        return future

    def close(self) -> None:
        """Sync what waits and close the segment."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            group = [self._queue.get()]
            while not self._queue.empty():
                group.append(self._queue.get())
            going = None not in group
            waiting = [item for item in group if item is not None]
            if waiting:
                self._write(waiting)
        self._attempt(self._file.close)

    def _write(self, waiting: list[_Waiting]) -> None:
        if self._failed is None:
            data = b"".join(record for record, _ in waiting)
            self._attempt(lambda: self._append_and_sync(data))
        for _, future in waiting:
            if self._failed is None:
                future.set_result(None)
            else:
                future.set_exception(_unavailable(self._failed))

    def _append_and_sync(self, data: bytes) -> None:
        if self._size > self._max_bytes:
            self._file.close()
            self._file = self._open()
        self._file.write(data)
        self._file.sync()
        self._size += len(data)

    def _open(self) -> AppendFile:
        moment = self._clock().astimezone(UTC)
        file = self._storage.create(self._folder / segment_name(moment, secrets.token_hex(4)))
        file.write(MAGIC)
        file.sync()
        self._size = len(MAGIC)
        return file

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 (whatever it is, the segment must not be written again)
            with self._lock:
                self._failed = self._failed or error


def segment_name(moment: datetime, tail: str) -> str:
    """Return a segment's file name; names sort by age."""
    return f"{moment.strftime('%Y%m%dT%H%M%S%fZ')}-{tail}{SUFFIX}"


def _unavailable(cause: BaseException) -> Unavailable:
    error = Unavailable(f"the prediction log cannot be written: {cause}.")
    error.__cause__ = cause
    return error
