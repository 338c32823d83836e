"""Writing to the prediction log: rows of several requests in one record, and recovery where it could not be written."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np

from mlprod_nb.columns import Block, Columns, concatenate, join
from mlprod_nb.errors import Unavailable
from mlprod_nb.prediction_log.schema import FeedbackBatch, PredictionBatch, encode_feedback, encode_predictions
from mlprod_nb.prediction_log.segments import SegmentWriter
from mlprod_nb.serving.errors import LogUnavailable
from mlprod_nb.serving.telemetry import Telemetry

_RETRY_SECONDS = 1.0
_MOST_ROWS = 4096

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting:
    batch: PredictionBatch
    kind: tuple[Any, ...]
    synced: asyncio.Future[None]


class LogAppender:
    """Appends rows and returns when they are on disk.

    While one group of rows is encoded and synced, the rows of the requests that arrive wait together for the next; a
    lone request waits for nobody. After a failed sync a segment is never written again, since what the disk holds is
    unknown; every second :meth:`run` tries to open another.

    Args:
        folder: Where the segments are.
        telemetry: Counts the records.
        open_writer: Opens a segment.
    """

    def __init__(
        self, folder: Path, telemetry: Telemetry, open_writer: Callable[[Path], SegmentWriter] = SegmentWriter
    ) -> None:
        self._folder = folder
        self._telemetry = telemetry
        self._open_writer = open_writer
        self._writer = open_writer(folder)
        self._waiting: deque[_Waiting] = deque()
        self._busy = False
        self._task: asyncio.Task[None] | None = None

    @property
    def failed(self) -> bool:
        """Whether the log cannot be written now."""
        return self._writer.failed is not None

    async def predictions(self, batch: PredictionBatch) -> None:
        """Append rows; return when they are synced to disk.

        Raises:
            LogUnavailable: They could not be written or synced.
        """
        if self._busy:
            waiting = _Waiting(batch, _kind(batch), asyncio.get_running_loop().create_future())
            self._waiting.append(waiting)
            await waiting.synced
            return
        self._busy = True
        try:
            await self._sync("prediction", encode_predictions(batch))
        finally:  # what arrived meanwhile goes on in a task
            self._busy = bool(self._waiting)
            if self._busy:
                self._task = asyncio.get_running_loop().create_task(self._run())

    async def feedback(self, batch: FeedbackBatch) -> None:
        """Append feedback; return when it is synced to disk.

        Raises:
            LogUnavailable: It could not be written or synced.
        """
        await self._sync("feedback", encode_feedback(batch))

    async def run(self) -> None:
        """Open another segment after a failure; until cancelled."""
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            if self.failed:
                await self._reopen()

    def close(self) -> None:
        """Sync what waits and close the segment."""
        _close(self._writer)

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
        return group

    async def _append(self, group: list[_Waiting]) -> None:
        try:
            record = encode_predictions(_join([waiting.batch for waiting in group]))
            await self._sync("prediction", record)
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

    async def _sync(self, kind: str, record: bytes) -> None:
        loop = asyncio.get_running_loop()
        synced: asyncio.Future[None] = loop.create_future()
        self._writer.append(record, lambda error: _tell(loop, synced, error))
        try:
            await synced
        except Unavailable as error:
            logger.error("%s", error)
            raise LogUnavailable("the prediction log cannot be written, so no answer is given.") from error
        self._telemetry.log_appends.labels(kind).inc()

    async def _reopen(self) -> None:
        broken = self._writer
        try:
            self._writer = await asyncio.to_thread(self._open_writer, self._folder)
        except Exception as error:  # noqa: BLE001 (a disk that is full or gone; the next try may succeed)
            logger.warning("no new segment can be opened: %s", error)
            return
        logger.warning("the prediction log goes on in a new segment")
        await asyncio.to_thread(_close, broken)


def _tell(loop: asyncio.AbstractEventLoop, synced: asyncio.Future[None], error: Unavailable | None) -> None:
    """Wake the caller, from the log's thread; the caller may have given up, and the loop may have ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, synced, error)


def _settle(synced: asyncio.Future[None], error: Unavailable | None) -> None:
    if synced.done():
        return
    if error is None:
        synced.set_result(None)
    else:
        synced.set_exception(error)


def _kind(batch: PredictionBatch) -> tuple[Any, ...]:
    """Return what the rows of one record must share."""
    if isinstance(batch.inputs, Block):
        return batch.endpoint[0], batch.revision[0], batch.inputs.names
    types = tuple((name, str(np.asarray(values).dtype)) for name, values in batch.inputs.items())
    return batch.endpoint[0], batch.revision[0], types


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
