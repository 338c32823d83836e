"""The control path: takes the revisions that verbs propose, loads them, decides, and swaps the route table."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from mlprod_nb.clock import Clock
from mlprod_nb.errors import MlprodError, Unavailable
from mlprod_nb.routing import EndpointSpec, Variant
from mlprod_nb.serving.models import LoadedModel, Shelf
from mlprod_nb.serving.routes import Hold, LiveEndpoint, RouteBook, RouteTable, live_endpoint
from mlprod_nb.serving.telemetry import Telemetry
from mlprod_nb.store import Revision, Store, revisions

POLL_SECONDS = 0.1
RETRY_SECONDS = 10.0
"""How often an active endpoint that did not load is tried again."""

logger = logging.getLogger(__name__)


class Control:
    """Keeps the route table equal to the newest active revisions.

    Guarantee: a revision is served only if this process decided it ``active``; of one that fails to load or was
    withdrawn meanwhile, no request is ever answered, and what was served before stays.

    Args:
        store: The state database.
        shelf: The open models.
        book: Where the route table is.
        telemetry: Told the revisions that serve.
        clock: Gives the present moment.
    """

    def __init__(self, store: Store, shelf: Shelf, book: RouteBook, telemetry: Telemetry, clock: Clock) -> None:
        self._store = store
        self._shelf = shelf
        self._book = book
        self._telemetry = telemetry
        self._clock = clock
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._retry_at = 0.0

    async def load_active(self) -> None:
        """Load what was active when the gateway last ran; what does not load is named by ``/health/ready``."""
        known = await asyncio.to_thread(self._active)
        await asyncio.gather(*(self._restore(revision) for revision in known.values()))

    async def run(self) -> None:
        """Look for new revisions until cancelled."""
        while True:
            try:
                await self.step()
            except MlprodError as error:
                logger.warning("the store cannot be asked for revisions: %s", error)
            except Exception:
                logger.exception("looking for revisions failed")
            await asyncio.sleep(POLL_SECONDS)

    async def step(self) -> None:
        """Begin to load each endpoint's oldest undecided revision, unless one of it is being loaded.

        Now and then, active endpoints that did not load are tried again.
        """
        for revision in await asyncio.to_thread(self._undecided):
            self._begin(revision.endpoint, self._take, revision)
        now = asyncio.get_running_loop().time()
        if self._book.table.unavailable and now >= self._retry_at:
            self._retry_at = now + RETRY_SECONDS
            for revision in (await asyncio.to_thread(self._active)).values():
                if revision.endpoint in self._book.table.unavailable:
                    self._begin(revision.endpoint, self._restore, revision)

    async def close(self) -> None:
        """Stop what is being loaded; its revision stays undecided."""
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, endpoint: str, work: Callable[[Revision], Coroutine[Any, Any, None]], revision: Revision) -> None:
        """Do one thing at a time for each endpoint; what finds it busy is found again at the next look."""
        if endpoint not in self._busy:
            task = asyncio.get_running_loop().create_task(work(revision))
            self._busy[endpoint] = task
            task.add_done_callback(partial(self._done, endpoint))

    def _done(self, endpoint: str, _: asyncio.Task[None]) -> None:
        del self._busy[endpoint]

    async def _restore(self, revision: Revision) -> None:
        assert revision.spec is not None
        digests = _digests(revision.spec)
        with self._shelf.pin(digests):
            try:
                live = await self._load(revision, revision.spec)
                self._swap(self._book.table.with_endpoint(live))
            except Exception as error:  # noqa: BLE001 (one endpoint that does not load must not keep the others away)
                reason = _reason(error)
                if self._book.table.unavailable.get(revision.endpoint) != reason:
                    logger.error("endpoint %s could not be loaded: %s", revision.endpoint, reason)
                self._swap(self._book.table.with_failure(revision.endpoint, reason))

    async def _take(self, revision: Revision) -> None:
        """Load one revision, decide it and swap."""
        digests = _digests(revision.spec) if revision.spec else []
        try:
            with self._shelf.pin(digests):
                await self._load_and_decide(revision)
        except Exception:
            logger.exception("endpoint %s: revision %d stays undecided", revision.endpoint, revision.number)
        finally:
            self._shelf.sweep(self._book.table.digests())

    async def _load_and_decide(self, revision: Revision) -> None:
        try:
            live = await self._load(revision, revision.spec) if revision.spec else None
        except Exception as error:  # noqa: BLE001 (whatever keeps a revision from loading rejects it)
            reason = _reason(error)
            won = await asyncio.to_thread(self._reject, revision, reason)
            logger.warning(
                "endpoint %s: revision %d rejected (%s): %s", revision.endpoint, revision.number, won, reason
            )
            return
        hold = Hold(revision.endpoint, asyncio.Event())
        try:
            if await asyncio.to_thread(self._activate, revision, hold):
                table = self._book.table
                self._swap(table.with_endpoint(live) if live else table.without(revision.endpoint))
                logger.info("endpoint %s: revision %d is active", revision.endpoint, revision.number)
        finally:
            self._book.release(hold)

    async def _load(self, revision: Revision, spec: EndpointSpec) -> LiveEndpoint:
        models = [await self._model(variant) for variant in spec.variants]
        shadows = [await self._model(variant) for variant in spec.shadows]
        return live_endpoint(spec, revision.number, tuple(models), tuple(shadows))

    async def _model(self, variant: Variant) -> LoadedModel:
        try:
            return await self._shelf.get(variant.bundle)
        except MlprodError as error:
            raise Unavailable(f"variant {variant.name!r} ({variant.model_version}): {error}") from error

    def _swap(self, table: RouteTable) -> None:
        self._book.table = table
        self._telemetry.serving({name: live.revision for name, live in table.endpoints.items()})

    def _active(self) -> dict[str, Revision]:
        with self._store.read() as connection:
            return revisions.active(connection)

    def _undecided(self) -> list[Revision]:
        with self._store.read() as connection:
            return revisions.undecided(connection)

    def _reject(self, revision: Revision, reason: str) -> bool:
        with self._store.write() as connection:
            return revisions.decide(connection, revision.id, "rejected", detail=reason, now=self._clock())

    def _activate(self, revision: Revision, hold: Hold) -> bool:
        """Decide in one transaction; hold the endpoint's requests from before its commit until the swap."""
        with self._store.write() as connection:
            won = revisions.decide(connection, revision.id, "active", detail="", now=self._clock())
            if won:
                self._book.hold(hold)
        return won


def _digests(spec: EndpointSpec) -> list[str]:
    return [variant.bundle for variant in (*spec.variants, *spec.shadows)]


def _reason(error: Exception) -> str:
    """Return one line that says what keeps a revision from being served."""
    text = str(error) if isinstance(error, MlprodError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]
