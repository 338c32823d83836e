"""Writing to the prediction log, and recovering where it could not be written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from mlprod_nb.prediction_log.segments import SegmentWriter
from mlprod_nb.serving.errors import LogUnavailable
from mlprod_nb.serving.telemetry import Telemetry

_RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class LogAppender:
    """Appends records and returns when they are on disk.

    After a failed sync a segment is never written again, since what the disk holds is unknown; every second
    :meth:`run` tries to open another.

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

    @property
    def failed(self) -> bool:
        """Whether the log cannot be written now."""
        return self._writer.failed is not None

    async def append(self, kind: str, record: bytes) -> None:
        """Append one record; return when it is synced to disk.

        Raises:
            LogUnavailable: It could not be written or synced.
        """
        try:
            # Shielded: a caller that gives up must not take the record from the writer's hands.
            await asyncio.shield(asyncio.wrap_future(self._writer.append(record)))
        except Exception as error:
            logger.error("the prediction log cannot be written: %s", error)
            raise LogUnavailable("the prediction log cannot be written, so no answer is given.") from error
        self._telemetry.log_appends.labels(kind).inc()

    async def run(self) -> None:
        """Open another segment after a failure; until cancelled."""
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            if self.failed:
                await self._reopen()

    async def _reopen(self) -> None:
        broken = self._writer
        try:
            self._writer = await asyncio.to_thread(self._open_writer, self._folder)
        except Exception as error:  # noqa: BLE001 (a disk that is full or gone; the next try may succeed)
            logger.warning("no new segment can be opened: %s", error)
            return
        logger.warning("the prediction log goes on in a new segment")
        await asyncio.to_thread(_close, broken)

    def close(self) -> None:
        """Sync what waits and close the segment."""
        _close(self._writer)


def _close(writer: SegmentWriter) -> None:
    try:
        writer.close()
    except Exception as error:  # noqa: BLE001 (what was acknowledged is on disk already)
        logger.warning("the segment did not close cleanly: %s", error)
