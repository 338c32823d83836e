"""Writing to the prediction log: each endpoint at its durability, with a reserve, and recovery after a failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from mlprod_nb.prediction_log.keys import Sealer
from mlprod_nb.prediction_log.reserve import Reserve
from mlprod_nb.prediction_log.schema import FeedbackBatch, PredictionBatch
from mlprod_nb.prediction_log.segments import SegmentWriter
from mlprod_nb.prediction_log.storage import DiskStorage, Storage
from mlprod_nb.serving.log_channel import LogChannel
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.settings import EndpointSettings, LogSettings

RETRY_SECONDS = 1.0
LEAST_FREE = 1024 * 1024
"""A full disk with less room than this is not written again: the next record would fail, and leave a file behind."""

_MIB = 1024 * 1024
_STATES: tuple[Literal["ok", "on_reserve", "failed"], ...] = ("ok", "on_reserve", "failed")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogCondition:
    """Whether the log can be written.

    Attributes:
        state: ``"ok"``; ``"on_reserve"``: yes, and the disk has no room for the reserve; ``"failed"``: no.
        reason: Why, in words that name no path; empty where it is ``"ok"``.
    """

    state: Literal["ok", "on_reserve", "failed"] = "ok"
    reason: str = ""


class LogAppender:
    """Appends rows and returns when they are where their endpoint wants them.

    Guarantee: when :meth:`predictions` returns, rows of an endpoint whose durability is ``"synced"`` are on the disk
    and survive a power loss; rows of a ``"process"`` endpoint are with the operating system and survive ``kill -9``,
    but no power loss. The two never share a segment, since a power loss may tear holes into the latter's.

    After a failed sync a segment is never written again, since what the disk holds is unknown; every second :meth:`run`
    tries to open another, and to keep the reserve again that was given back to a full disk.

    Args:
        folder: Where the segments are.
        telemetry: Counts the records.
        log: The reserve's size, and how much may wait.
        endpoints: The settings of endpoints; those of others are the defaults.
        slot: The worker's place in its gateway.
        sealer: Seals each record before it goes to the disk; ``None``: they go in clear.
        open_storage: Opens the disk; called with ``synced=True``, and with ``synced=False`` where an endpoint asks.
    """

    def __init__(
        self,
        folder: Path,
        telemetry: Telemetry,
        log: LogSettings | None = None,
        endpoints: Mapping[str, EndpointSettings] | None = None,
        *,
        slot: int = 0,
        sealer: Sealer | None = None,
        open_storage: Callable[..., Storage] = DiskStorage,
    ) -> None:
        log, endpoints = log or LogSettings(), endpoints or {}
        self._folder = folder
        self._telemetry = telemetry
        self._sealer = sealer
        self._storage = open_storage(synced=True)
        self._reserve = Reserve(folder, log.reserve_mib * _MIB, slot=slot, storage=self._storage)
        self._reserve_words = f"the log's reserve of {log.reserve_mib} MiB"
        self._unlogged = frozenset(name for name, each in endpoints.items() if each.on_log_failure == "answer")
        unsynced = [name for name, each in endpoints.items() if each.durability == "process"]
        self._synced = self._channel(self._storage, log)
        self._unsynced = dict.fromkeys(unsynced, self._channel(open_storage(synced=False), log)) if unsynced else {}
        self._channels = [self._synced, *list(self._unsynced.values())[:1]]
        self._told = LogCondition()
        self._keep_reserve()
        telemetry.log_lag.set_function(lambda: max(channel.lag() for channel in self._channels))
        telemetry.log_queue.set_function(lambda: sum(channel.depth for channel in self._channels))
        telemetry.log_state.set_function(lambda: _STATES.index(self.condition.state))

    @property
    def condition(self) -> LogCondition:
        """Whether the log can be written now."""
        for channel in self._channels:
            if trouble := channel.trouble:
                return LogCondition("failed", trouble)
        if self._reserve.whole:
            return LogCondition()
        why = "is in use" if self._reserve.given_back else "finds no room"
        return LogCondition("on_reserve", f"the disk is full: {self._reserve_words} {why}")

    def condition_of_all(self) -> LogCondition:
        """Return the worst condition of all workers of the gateway, the others' as of half a second ago."""
        own = self.condition
        others = self._telemetry.log_states()
        slot = max(others, key=lambda slot: others[slot], default=None)
        if slot is None or others[slot] <= _STATES.index(own.state):
            return own
        state = _STATES[int(others[slot])]
        return LogCondition(state, f"worker {slot} {'cannot write it' if state == 'failed' else 'is on its reserve'}")

    def answers_unlogged(self, endpoint: str) -> bool:
        """Return whether an endpoint answers where its rows cannot be logged."""
        return endpoint in self._unlogged

    async def predictions(self, batch: PredictionBatch, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Append rows; return when they are as durable as their endpoint wants them.

        Args:
            batch: The rows.
            meanwhile: Called once the rows are on their way; must not raise.

        Raises:
            LogUnavailable: They could not be written or synced, or too much waits.
        """
        await self._unsynced.get(batch.endpoint[0], self._synced).predictions(batch, meanwhile)

    async def feedback(self, batch: FeedbackBatch) -> None:
        """Append feedback; return when it is as durable as its endpoint wants it.

        Raises:
            LogUnavailable: It could not be written or synced, or too much waits.
        """
        await self._unsynced.get(batch.endpoint[0], self._synced).feedback(batch)

    async def run(self) -> None:
        """Look after the log every second; until cancelled."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Give up on a disk that does not answer, open a segment for one that failed, keep the reserve again."""
        for channel in self._channels:
            channel.give_up()
        self._say()
        broken = [channel for channel in self._channels if channel.broken]
        if broken:
            room = await asyncio.to_thread(self._has_room)
            for channel in broken if room else ():
                await channel.reopen()
        if not self._reserve.whole:
            await asyncio.to_thread(self._keep_reserve)
        self._say()

    def close(self) -> None:
        """Sync what waits, close the segments and free the reserve."""
        for channel in self._channels:
            channel.close()
        try:
            self._reserve.close()
        except OSError as error:
            logger.warning("the log's reserve could not be removed: %s", error)

    def _channel(self, storage: Storage, log: LogSettings) -> LogChannel:
        open_writer = partial(
            SegmentWriter,
            self._folder,
            storage=storage,
            reserve=self._reserve,
            observe=self._telemetry.log_sync.observe,
        )
        return LogChannel(open_writer, self._telemetry, max_bytes=log.max_waiting_mib * _MIB, sealer=self._sealer)

    def _has_room(self) -> bool:
        try:
            return self._storage.free(self._folder) >= LEAST_FREE
        except OSError:
            return True  # a folder that is gone is made again by whoever opens a segment

    def _keep_reserve(self) -> None:
        try:
            self._reserve.make()
        except OSError as error:
            logger.warning("%s cannot be kept: %s", self._reserve_words, error.strerror)

    def _say(self) -> None:
        """Log a change of the condition, once."""
        now = self.condition
        if now.state == self._told.state:
            return
        self._told = now
        if now.state == "failed":
            self._telemetry.log_failures.inc()
            logger.error("the prediction log cannot be written: %s", now.reason)
        elif now.state == "on_reserve":
            logger.warning("%s", now.reason)
        else:
            logger.warning("the prediction log can be written and has its reserve again")
