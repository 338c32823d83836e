"""One way to the log's disk: rows of several requests in one record, and bounds on how much waits and how long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, cast

import numpy as np

from mlprod_nb.columns import Block, Columns, concatenate, join
from mlprod_nb.errors import Unavailable
from mlprod_nb.prediction_log.framing import sealed
from mlprod_nb.prediction_log.keys import Sealer
from mlprod_nb.prediction_log.schema import FeedbackBatch, PredictionBatch, encode_feedback, encode_predictions
from mlprod_nb.prediction_log.segments import SegmentWriter
from mlprod_nb.serving.errors import LogUnavailable
from mlprod_nb.serving.telemetry.metrics import Telemetry

STALL_SECONDS = 5.0
"""How long a record may be with the disk. A sync takes a millisecond; on a busy machine 1 s has been seen."""

_MOST_ROWS = 4096
_ROW_BYTES = 200
"""What a row takes beside its inputs: ids, moments, a score."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting:
    batch: PredictionBatch
    kind: tuple[Any, ...]
    bytes: int
    since: float
    synced: asyncio.Future[None]


class _Moments(NamedTuple):
    """When a record's oldest row came, and when the record was given to the log's thread."""

    arrived: float
    handed_over: float


class LogChannel:
    """Appends rows to one segment after another, and returns when the segment's storage has them.

    While one group of rows is encoded and synced, the rows of the requests that arrive wait together for the next; a
    lone request waits for nobody.

    Guarantee: at most ``max_bytes`` of rows wait, and one request's; nobody waits for a disk that has not answered for
    :data:`STALL_SECONDS`, where :meth:`give_up` is called every second.

    Args:
        open_writer: Opens a segment.
        telemetry: Counts the records.
        max_bytes: How much may wait.
        sealer: Seals each record; ``None``: they go to the disk in clear.
        monotonic: Seconds that only grow.
    """

    def __init__(
        self,
        open_writer: Callable[[], SegmentWriter],
        telemetry: Telemetry,
        *,
        max_bytes: int,
        sealer: Sealer | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_writer = open_writer
        self._telemetry = telemetry
        self._max_bytes = max_bytes
        self._sealer = sealer
        self._monotonic = monotonic
        self._writer: SegmentWriter | None = None
        self._unopened: BaseException | None = None
        self._waiting: deque[_Waiting] = deque()
        self._under_way: dict[asyncio.Future[None], _Moments] = {}
        self._bytes = 0
        self._busy = False
        self._stalled = False
        self._task: asyncio.Task[None] | None = None
        self._open()

    @property
    def broken(self) -> bool:
        """Whether there is no segment that can be written."""
        return self._writer is None or self._writer.failed is not None

    @property
    def trouble(self) -> str:
        """Why rows cannot be appended now, without a path; empty where they can."""
        if self._stalled:
            return f"the disk has not answered for {self._silence():.0f} s"
        return _in_words(self._unopened if self._writer is None else self._writer.failed)

    @property
    def depth(self) -> int:
        """How many requests' rows and records wait for the disk or are on their way to it."""
        return len(self._waiting) + len(self._under_way)

    def lag(self) -> float:
        """Return how long the oldest row has waited to be on the disk, seconds."""
        oldest = next(iter(self._under_way.values()), None)
        return 0.0 if oldest is None else self._monotonic() - oldest.arrived

    async def predictions(self, batch: PredictionBatch, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Append rows; return when the storage has them.

        Args:
            batch: The rows.
            meanwhile: Called once the rows are on their way; must not raise.

        Raises:
            LogUnavailable: They could not be written or synced, or too much waits.
        """
        now = self._monotonic()
        if self._busy:
            waiting = _Waiting(batch, _kind(batch), _size(batch), now, asyncio.get_running_loop().create_future())
            self._admit(waiting.bytes)
            self._bytes += waiting.bytes
            self._waiting.append(waiting)
            meanwhile()
            await waiting.synced
            return
        if self._bytes:  # its caller gave up, and it is on its way all the same
            self._admit(_size(batch))
        self._busy = True
        try:
            await self._sync("prediction", encode_predictions(batch), now, meanwhile)
        finally:  # what arrived meanwhile goes on in a task
            self._busy = bool(self._waiting)
            if self._busy:
                self._task = asyncio.get_running_loop().create_task(self._run())

    async def feedback(self, batch: FeedbackBatch) -> None:
        """Append feedback; return when the storage has it.

        Raises:
            LogUnavailable: It could not be written or synced, or too much waits.
        """
        record = encode_feedback(batch)
        self._admit(len(record))
        await self._sync("feedback", record, self._monotonic())

    def give_up(self) -> None:
        """Refuse what waits for a disk that does not answer; whether the records on their way arrive is unknown."""
        if not self._under_way or self._silence() < STALL_SECONDS:
            return
        self._stalled = True
        error = Unavailable(self.trouble)
        refused = [*self._under_way, *(waiting.synced for waiting in self._waiting)]
        self._bytes -= sum(waiting.bytes for waiting in self._waiting)
        self._waiting.clear()
        for synced in refused:
            if not synced.done():
                synced.set_exception(_unlogged(error))

    async def reopen(self) -> None:
        """Open another segment in the place of one that failed; where none can be opened, the next try may succeed."""
        broken = self._writer
        await asyncio.to_thread(self._open)
        if broken is not None and self._writer is not broken:
            await asyncio.to_thread(_close, broken)

    def close(self) -> None:
        """Sync what waits and close the segment."""
        if self._writer is not None:
            _close(self._writer)

    def _open(self) -> None:
        try:
            self._writer = self._open_writer()
        except Exception as error:  # noqa: BLE001 (a disk that is full or gone; readiness says so until it is there)
            self._unopened = error

    def _silence(self) -> float:
        oldest = next(iter(self._under_way.values()), None)
        return 0.0 if oldest is None else self._monotonic() - oldest.handed_over

    def _admit(self, size: int) -> None:
        if self._bytes + size > self._max_bytes:
            raise LogUnavailable("too much waits for the prediction log's disk, so no answer is given.")

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._append(self._take())
        finally:
            self._busy = False
            self._task = None

    def _take(self) -> list[_Waiting]:
        """Take the next rows that fit into one record: of one endpoint's state, with columns of equal types."""
        group = [self._waiting.popleft()]
        rows = len(group[0].batch.prediction_id)
        while self._waiting and self._waiting[0].kind == group[0].kind:
            rows += len(self._waiting[0].batch.prediction_id)
            if rows > _MOST_ROWS:
                break
            group.append(self._waiting.popleft())
        self._bytes -= sum(waiting.bytes for waiting in group)
        return group

    async def _append(self, group: list[_Waiting]) -> None:
        try:
            record = encode_predictions(_join([waiting.batch for waiting in group]))
            await self._sync("prediction", record, group[0].since)
        except Exception as error:  # noqa: BLE001 (whoever waits must be told, whatever it is)
            if len(group) > 1 and not isinstance(error, LogUnavailable):
                for waiting in group:  # one request's rows cannot be encoded: the others are not to suffer
                    await self._append([waiting])
                return
            for waiting in group:
                if not waiting.synced.done():
                    waiting.synced.set_exception(error)
        else:
            for waiting in group:
                if not waiting.synced.done():
                    waiting.synced.set_result(None)

    async def _sync(
        self, kind: str, record: bytes, arrived: float, meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        if self._stalled or self._writer is None:
            raise _unlogged(Unavailable(self.trouble))
        if self._sealer is not None:
            record = sealed(record, self._sealer)
        loop = asyncio.get_running_loop()
        synced: asyncio.Future[None] = loop.create_future()
        self._under_way[synced] = _Moments(arrived, self._monotonic())
        self._bytes += len(record)
        self._writer.append(record, lambda error: self._tell(loop, synced, len(record), error))
        meanwhile()
        await synced
        self._telemetry.appended(kind)

    def _tell(
        self, loop: asyncio.AbstractEventLoop, synced: asyncio.Future[None], size: int, error: Unavailable | None
    ) -> None:
        """Wake the caller, from the log's thread; the caller may have given up, and the loop may have ended."""
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._settle, synced, size, error)

    def _settle(self, synced: asyncio.Future[None], size: int, error: Unavailable | None) -> None:
        del self._under_way[synced]
        self._bytes -= size
        self._stalled = self._stalled and bool(self._under_way)
        if synced.done():
            return
        if error is None:
            synced.set_result(None)
        else:
            synced.set_exception(_unlogged(error))


def _unlogged(cause: Unavailable) -> LogUnavailable:
    error = LogUnavailable("the prediction log cannot be written, so no answer is given.")
    error.__cause__ = cause
    return error


def _in_words(error: BaseException | None) -> str:
    if error is None:
        return ""
    return str(getattr(error, "strerror", "") or type(error).__name__)


def _kind(batch: PredictionBatch) -> tuple[Any, ...]:
    """Return what the rows of one record must share."""
    if isinstance(batch.inputs, Block):
        return batch.endpoint[0], batch.revision[0], batch.inputs.names
    types = tuple((name, str(np.asarray(values).dtype)) for name, values in batch.inputs.items())
    return batch.endpoint[0], batch.revision[0], types


def _size(batch: PredictionBatch) -> int:
    """Return about how many bytes rows take in memory."""
    size = _ROW_BYTES * len(batch.prediction_id)
    if isinstance(batch.inputs, Block):
        return size + batch.inputs.matrix.nbytes
    for values in map(np.asarray, batch.inputs.values()):
        size += values.nbytes
        if values.dtype == object:
            size += sum(len(value) for value in values.tolist() if value is not None)
    return size


def _join(batches: list[PredictionBatch]) -> PredictionBatch:
    if len(batches) == 1:
        return batches[0]
    plain: dict[str, Any] = {
        field.name: join([getattr(batch, field.name) for batch in batches])
        for field in fields(PredictionBatch)
        if field.name not in {"inputs", "score"}
    }
    return PredictionBatch(
        **plain,
        score=np.concatenate([np.asarray(batch.score) for batch in batches]),
        inputs=concatenate([cast("Columns", batch.inputs) for batch in batches]),
    )


def _close(writer: SegmentWriter) -> None:
    try:
        writer.close()
    except Exception as error:  # noqa: BLE001 (what was acknowledged is on disk already)
        logger.warning("the segment did not close cleanly: %s", error)
