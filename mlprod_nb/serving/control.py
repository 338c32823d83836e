"""The control path: takes the revisions that verbs propose, loads them, decides with the other workers, and swaps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from mlprod_nb.clock import Clock
from mlprod_nb.errors import MlprodError, Unavailable
from mlprod_nb.routing import EndpointSpec, Variant
from mlprod_nb.serving.models.loaded import LoadedModel, Shelf
from mlprod_nb.serving.routes import Hold, LiveEndpoint, RouteBook, RouteTable, live_endpoint
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.watching import Watch
from mlprod_nb.store import Revision, Store, gateways, revisions
from mlprod_nb.store.gateways import WorkerRecord

RETRY_SECONDS = 10.0
"""How often an active endpoint that did not load is tried again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Peers:
    """What a worker knows of itself and of the others.

    Attributes:
        worker: This worker.
        dead: Ids of workers that the supervisor saw end.
    """

    worker: WorkerRecord
    dead: set[str]


@dataclass(frozen=True)
class _Ready:
    """A revision that this worker has loaded and that is not decided yet; its models stay open meanwhile."""

    revision: Revision
    live: LiveEndpoint | None
    pins: ExitStack


class Control:
    """Keeps the route table equal to the newest active revisions.

    Guarantee: a revision is served only once it was decided ``active``, which takes that every living worker of the
    gateway has loaded it; of one that fails to load in any of them, was withdrawn meanwhile, or waited already when
    this gateway started, no request is ever answered, and what was served before stays. Once this worker has settled
    on a revision, no request that it answers meets the one before.

    Args:
        store: The state database.
        shelf: The open models.
        book: Where the route table is.
        telemetry: Told the revisions that serve.
        clock: Gives the present moment.
        peers: This worker, and which others are known to have ended.
    """

    def __init__(
        self, store: Store, shelf: Shelf, book: RouteBook, telemetry: Telemetry, clock: Clock, peers: Peers
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._book = book
        self._telemetry = telemetry
        self._clock = clock
        self._peers = peers
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._ready: dict[int, _Ready] = {}
        self._refused: set[int] = set()
        self._newest: dict[str, Revision] = {}
        self._settled: dict[str, int] = {}
        self._kept: dict[str, list[str]] = {}
        self._buried: set[str] = set()
        self._joined = False
        self._decided = 0
        self._retry_at = 0.0
        self._watch = Watch(store.mark)

    async def load_active(self) -> None:
        """Join the gateway's workers and load what is active; what does not load is named by ``/health/ready``.

        What is active is read after this worker joined: what is decided later is not decided without it.
        """
        if not self._joined:
            await self._read_to_load()  # a store on a full disk can be read: what is asked for is known, and told so
            await asyncio.to_thread(self._join)
            self._joined = True
        await self._read_to_load()
        await asyncio.gather(*(self._follow(revision) for revision in self._newest.values()))

    async def run(self) -> None:
        """Look for new revisions until cancelled."""
        while True:
            try:
                await self.step()
            except MlprodError as error:
                logger.warning("the store cannot be asked for revisions: %s", error)
            except Exception:
                logger.exception("looking for revisions failed")
            await asyncio.sleep(self._watch.pause)

    async def step(self) -> None:
        """Begin what is next for each endpoint, unless something of it is under way.

        That is to load its oldest undecided revision, to decide it where the others have loaded it meanwhile, or to
        follow what another worker decided. Now and then, active endpoints that did not load are tried again. A store
        that nobody has written to is left alone.
        """
        self._retry()
        now = asyncio.get_running_loop().time()
        if self._watch.still(now) and not self._peers.dead - self._buried:
            return
        if self._peers.dead - self._buried:
            await asyncio.to_thread(self._bury, frozenset(self._peers.dead))
        count, undecided, complete = await asyncio.to_thread(self._look)
        if count != self._decided:
            await self._read_newest()
        self._forget_decided({revision.id for revision in undecided})
        for endpoint, revision in self._newest.items():
            # What was decided here while this looked is newer than what it saw, and is not taken back.
            if self._settled.get(endpoint, 0) < revision.id:
                self._begin(endpoint, self._follow, revision)
        for revision in _oldest(undecided):
            if revision.id in complete:
                self._begin(revision.endpoint, self._decide, revision)
            elif revision.id not in self._ready and revision.id not in self._refused:
                self._begin(revision.endpoint, self._take, revision)
        self._watch.looked(now, calm=not (undecided or self._busy or self._ready))

    async def close(self) -> None:
        """Stop what is being loaded; its revision stays undecided."""
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, endpoint: str, work: Callable[[Revision], Coroutine[Any, Any, None]], revision: Revision) -> None:
        """Do one thing at a time for each endpoint; what finds it busy is found again at the next look."""
        if endpoint not in self._busy:
            task = asyncio.get_running_loop().create_task(self._guarded(work, revision))
            self._busy[endpoint] = task
            task.add_done_callback(partial(self._done, endpoint))

    def _done(self, endpoint: str, _: asyncio.Task[None]) -> None:
        del self._busy[endpoint]

    async def _guarded(self, work: Callable[[Revision], Coroutine[Any, Any, None]], revision: Revision) -> None:
        try:
            await work(revision)
        except Exception:
            logger.exception("endpoint %s: revision %d waits", revision.endpoint, revision.number)
        finally:
            self._sweep()

    def _retry(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._book.table.unavailable and now >= self._retry_at:
            self._retry_at = now + RETRY_SECONDS
            for endpoint in self._book.table.unavailable:
                if endpoint in self._newest:
                    self._begin(endpoint, self._follow, self._newest[endpoint])

    async def _take(self, revision: Revision) -> None:
        """Load a proposed revision and say so; the worker that is the last to say so decides."""
        with ExitStack() as pins:
            pins.enter_context(self._shelf.pin(_digests(revision.spec)))
            try:
                live = await self._load(revision, revision.spec) if revision.spec else None
            except Exception as error:  # noqa: BLE001 (whatever keeps a revision from loading rejects it)
                reason = _reason(error)
                won = await asyncio.to_thread(self._reject, revision, reason)
                self._refused.add(revision.id)
                logger.warning(
                    "endpoint %s: revision %d rejected (%s): %s", revision.endpoint, revision.number, won, reason
                )
                return
            self._ready[revision.id] = _Ready(revision, live, pins.pop_all())
        await self._decide(revision)

    async def _decide(self, revision: Revision) -> None:
        """Acknowledge a revision that is loaded; decide it and swap, if every other worker has acknowledged it."""
        hold = Hold(revision.endpoint, asyncio.Event())
        try:
            if await asyncio.to_thread(self._activate, revision, hold):
                self._serve(revision, self._ready[revision.id].live)
                self._settled[revision.endpoint] = revision.id
        finally:
            self._book.release(hold)

    async def _follow(self, revision: Revision) -> None:
        """Serve what is active; of an endpoint that does not load, nothing."""
        ready = self._ready.get(revision.id)
        with self._shelf.pin(_digests(revision.spec)):
            try:
                live = ready.live if ready else await self._load(revision, revision.spec) if revision.spec else None
                self._serve(revision, live)
            except Exception as error:  # noqa: BLE001 (one endpoint that does not load must not keep the others away)
                reason = _reason(error)
                if self._book.table.unavailable.get(revision.endpoint) != reason:
                    logger.error("endpoint %s could not be loaded: %s", revision.endpoint, reason)
                self._swap(self._book.table.without(revision.endpoint).with_failure(revision.endpoint, reason))
        await asyncio.to_thread(self._settle, revision)
        self._settled[revision.endpoint] = revision.id

    def _serve(self, revision: Revision, live: LiveEndpoint | None) -> None:
        before = self._book.table.endpoints.get(revision.endpoint)
        if live is None:
            self._kept.pop(revision.endpoint, None)
        elif before is not None and not set(_digests(before.spec)) <= set(_digests(live.spec)):
            # A rollback finds the models of the state before still open: a model worker takes seconds to start.
            self._kept[revision.endpoint] = _digests(before.spec)
        table = self._book.table
        self._swap(table.with_endpoint(live) if live else table.without(revision.endpoint))
        logger.info("endpoint %s: revision %d is active", revision.endpoint, revision.number)

    def _forget_decided(self, undecided: set[int]) -> None:
        """Let go of what was loaded for revisions that are decided, and not about to be followed."""
        self._refused &= undecided
        for number, ready in list(self._ready.items()):
            revision = ready.revision
            awaited = self._newest.get(revision.endpoint)
            follows = awaited is not None and awaited.id == number and self._settled.get(revision.endpoint) != number
            if number not in undecided and not follows and revision.endpoint not in self._busy:
                del self._ready[number]
                ready.pins.close()
                self._sweep()

    def _sweep(self) -> None:
        kept = {digest for digests in self._kept.values() for digest in digests}
        self._shelf.sweep(self._book.table.digests() | kept)

    async def _load(self, revision: Revision, spec: EndpointSpec) -> LiveEndpoint:
        models = tuple(await asyncio.gather(*map(self._model, (*spec.variants, *spec.shadows))))
        count = len(spec.variants)
        return live_endpoint(spec, revision.number, models[:count], models[count:])

    async def _model(self, variant: Variant) -> LoadedModel:
        try:
            return await self._shelf.get(variant.bundle)
        except MlprodError as error:
            raise Unavailable(f"variant {variant.name!r} ({variant.model_version}): {error}") from error

    def _swap(self, table: RouteTable) -> None:
        self._book.table = table
        self._telemetry.serving({name: live.revision for name, live in table.endpoints.items()})
        for name, live in table.endpoints.items():
            variants, shadows = live.spec.variants, live.spec.shadows
            self._telemetry.expect(name, (variant.name for variant in variants), (shadow.name for shadow in shadows))

    async def _read_to_load(self) -> None:
        await self._read_newest()
        for endpoint in (name for name, revision in self._newest.items() if revision.spec):
            self._book.table = self._book.table.with_failure(endpoint, "it is still being loaded")

    async def _read_newest(self) -> None:
        self._decided, self._newest = await asyncio.to_thread(self._read)

    def _read(self) -> tuple[int, dict[str, Revision]]:
        with self._store.read() as connection:
            # Counted first: what is decided between the two is found again at the next look.
            return revisions.decided(connection), revisions.newest_active(connection)

    def _look(self) -> tuple[int, list[Revision], set[int]]:
        """Return how many revisions are decided, which are not, and which of these every worker has loaded."""
        gateway = self._peers.worker.gateway_id
        with self._store.read() as connection:
            count, waiting = revisions.decided(connection), revisions.undecided(connection)
            ready = [revision.id for revision in waiting if revision.id in self._ready]
            return count, waiting, {key for key in ready if revisions.all_loaded(connection, key, gateway)}

    def _join(self) -> None:
        with self._store.write() as connection:
            if gateways.join(connection, self._peers.worker):
                revisions.abandon(connection, now=self._clock())

    def _bury(self, dead: Collection[str]) -> None:
        with self._store.write() as connection:
            gateways.bury(connection, dead, now=self._clock())
        self._buried.update(dead)

    def _reject(self, revision: Revision, reason: str) -> bool:
        with self._store.write() as connection:
            return revisions.decide(connection, revision.id, "rejected", detail=reason, now=self._clock())

    def _settle(self, revision: Revision) -> None:
        with self._store.write() as connection:
            revisions.acknowledge(connection, revision.id, self._peers.worker.id, settled=self._clock())

    def _activate(self, revision: Revision, hold: Hold) -> bool:
        """Acknowledge in one transaction, and where this completes the workers, decide and settle in the same.

        The endpoint's requests are held from before the moment of the decision until the swap, so this worker settles
        with it.
        """
        worker = self._peers.worker
        with self._store.write() as connection:
            revisions.acknowledge(connection, revision.id, worker.id, loaded=self._clock())
            if not revisions.all_loaded(connection, revision.id, worker.gateway_id):
                return False
            self._book.hold(hold)
            now = self._clock()
            won = revisions.decide(connection, revision.id, "active", detail="", now=now)
            if won:
                revisions.acknowledge(connection, revision.id, worker.id, settled=now)
        return won


def _oldest(undecided: list[Revision]) -> list[Revision]:
    """Return each endpoint's oldest revision."""
    oldest: dict[str, Revision] = {}
    for revision in undecided:
        oldest.setdefault(revision.endpoint, revision)
    return list(oldest.values())


def _digests(spec: EndpointSpec | None) -> list[str]:
    return [variant.bundle for variant in (*spec.variants, *spec.shadows)] if spec else []


def _reason(error: Exception) -> str:
    """Return one line that says what keeps a revision from being served."""
    text = str(error) if isinstance(error, MlprodError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]
