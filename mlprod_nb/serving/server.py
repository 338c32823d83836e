"""One worker of the gateway: its parts put together, its limits on connections, its start and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import uvicorn
from starlette.applications import Starlette

from mlprod_nb import __version__
from mlprod_nb.clock import Clock
from mlprod_nb.prediction_log.keys import LogKeys
from mlprod_nb.registry.bundles import BundleStore
from mlprod_nb.serving.app import Gateway, Health, create_app
from mlprod_nb.serving.appending import LogAppender
from mlprod_nb.serving.auth import Gatekeeper
from mlprod_nb.serving.control import Control, Peers
from mlprod_nb.serving.dataplane import DataPlane
from mlprod_nb.serving.express import ExpressLane
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.listening import BACKLOG, Certificate
from mlprod_nb.serving.models.loaded import Shelf, Workbench
from mlprod_nb.serving.models.loading import LoadingNotes
from mlprod_nb.serving.report_site.routes import ReportRoutes
from mlprod_nb.serving.routes import RouteBook
from mlprod_nb.serving.supervision.link import Member, News
from mlprod_nb.serving.telemetry.failures import Failures
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.telemetry.refusals import Refusals
from mlprod_nb.serving.telemetry.shared_numbers import WRITE_SECONDS, SharedNumbers
from mlprod_nb.serving.telemetry.tracing import OpenTelemetry, Traced, tracing
from mlprod_nb.serving.turnstile import Turnstile, VariantLimits
from mlprod_nb.serving.wire.http import GatewayProtocol
from mlprod_nb.settings import Layout, Settings
from mlprod_nb.store import Store, gateways
from mlprod_nb.store.gateways import GatewayRecord, WorkerRecord

_MODEL_THREADS = 2
_DRAIN_SECONDS = 30
_RETRY_SECONDS = 1.0
_LOAD_SECONDS = 10.0
"""How long a worker that starts accepts nothing; then what still loads answers 503, and the other endpoints serve."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Process:
    """What one worker process of a gateway is started with.

    Attributes:
        layout: Where the workspace keeps its things.
        settings: The workspace's settings.
        gateway_id: Unique for each start; the same in all workers.
        clock: Gives the present moment.
        member: Its place under a supervisor; ``None`` where it is the gateway's only process.
    """

    layout: Layout
    settings: Settings
    gateway_id: str
    clock: Clock
    member: Member | None = None


def serve(process: Process, listener: socket.socket, url: str, files: Certificate | None) -> None:
    """Serve until a signal asks to end; requests under way are answered first."""
    app = create_gateway(process, url)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=GatewayProtocol.bound(app.state.lane, process.settings.gateway, app.state.tracing, app.state.telemetry),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        backlog=BACKLOG,
        ssl_certfile=files.cert if files else None,
        ssl_keyfile=files.key if files else None,
    )
    uvicorn.Server(config).run(sockets=[listener])


def create_gateway(process: Process, url: str) -> Starlette:
    """Put a worker's parts together; they start and end with the application."""
    settings, layout, member = process.settings, process.layout, process.member
    store = Store(settings.store.url or Store.sqlite_url(layout.database))
    store.migrate()
    slot = member.slot if member else 0
    telemetry = Telemetry(
        SharedNumbers(layout.metrics, slot) if member else None,
        Refusals(layout.refusals, slot, process.clock),
        Failures(layout.failures, slot, process.clock),
    )
    threads = ThreadPoolExecutor(_MODEL_THREADS, thread_name_prefix="model")
    workbench = Workbench(
        bundles=BundleStore(layout.bundles),
        threads=threads,
        worker=settings.model_worker,
        max_batch_rows=settings.gateway.max_batch_rows,
        max_waiting_rows=settings.gateway.max_waiting_rows,
        observe_batch=telemetry.observe_batches,
        notes=LoadingNotes(layout.loading, member.id if member else uuid.uuid4().hex),
    )
    shelf = Shelf(lambda digest: asyncio.ensure_future(workbench.load(digest)))
    book = RouteBook()
    telemetry.watch_queues(book.waiting_rows)
    traces = tracing(settings.gateway, process.gateway_id)
    sealer = LogKeys.of(layout, settings.log).sealer()
    log = LogAppender(layout.log, telemetry, settings.log, settings.endpoints, slot=slot, sealer=sealer)
    limits = {name: each.max_requests for name, each in settings.endpoints.items() if each.max_requests}
    variant_limits = VariantLimits({name: each.max_rows for name, each in settings.endpoints.items()})
    plane = DataPlane(
        log, telemetry, Identifiers(), tracing=traces, turnstile=Turnstile(limits), variant_limits=variant_limits
    )
    gatekeeper = Gatekeeper(store, process.clock)
    gateway = Gateway(
        book=book,
        plane=plane,
        gatekeeper=gatekeeper,
        telemetry=telemetry,
        health=Health(process.gateway_id, version=member.version if member else __version__),
        settings=settings.gateway,
        clock=process.clock,
        reports=ReportRoutes(store, layout.root, settings, gatekeeper, process.clock),
    )
    lane = ExpressLane(book, plane, gateway.gatekeeper, telemetry, process.clock)
    peers = Peers(_worker_record(process), set())
    control = Control(store, shelf, book, telemetry, process.clock, peers)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        record = GatewayRecord(process.gateway_id, member.supervisor if member else os.getpid(), url, process.clock())
        starting = asyncio.ensure_future(_start(gateway, control, store, record, settings))
        watching = [asyncio.ensure_future(plane.log.run()), asyncio.ensure_future(_share(telemetry))]
        if member:
            watching.append(asyncio.ensure_future(member.link.follow(partial(_hear, gateway.health, peers))))
            await _wait_until_loaded(gateway.health)
        try:
            yield
        finally:
            gateway.health.status = "draining"
            for task in (starting, *watching):
                task.cancel()
            await asyncio.gather(starting, *watching, return_exceptions=True)
            await control.close()
            await lane.close()
            await plane.close()
            await shelf.close()
            await asyncio.to_thread(plane.log.close)
            await asyncio.to_thread(_leave, store, process, peers)
            telemetry.share(last=True)
            await asyncio.to_thread(traces.close)
            threads.shutdown()
            store.close()

    app = create_app(gateway, lifespan)
    app.state.lane, app.state.tracing, app.state.telemetry = lane, traces, telemetry
    if isinstance(traces, OpenTelemetry):
        app.add_middleware(Traced, tracing=traces)
    return app


async def _start(gateway: Gateway, control: Control, store: Store, record: GatewayRecord, settings: Settings) -> None:
    """Load what was active, say that the gateway answers, then follow the store."""
    while True:
        try:
            await control.load_active()
            await asyncio.to_thread(_announce, store, record)
            break
        except Exception as error:  # noqa: BLE001 (the store may be away for a while; readiness says "starting")
            logger.warning("the gateway cannot start yet: %s: %s", type(error).__name__, error)
            await asyncio.sleep(_RETRY_SECONDS)
    gateway.health.status = "serving"
    gateway.health.started.set()
    logger.info("gateway %s answers at %s", record.id, record.url)
    for sentence in settings.strangers({*gateway.book.table.endpoints, *gateway.book.table.unavailable}):
        logger.warning("%s", sentence)
    await control.run()


def _announce(store: Store, record: GatewayRecord) -> None:
    with store.write() as connection:
        gateways.announce(connection, record)


def _leave(store: Store, process: Process, peers: Peers) -> None:
    with store.write() as connection:
        gateways.leave(connection, peers.worker, now=process.clock())


def _worker_record(process: Process) -> WorkerRecord:
    member = process.member
    key, slot = (member.id, member.slot) if member else (uuid.uuid4().hex, 0)
    return WorkerRecord(key, process.gateway_id, slot, os.getpid(), process.clock())


def _hear(health: Health, peers: Peers, news: News) -> None:
    """Take note of what the supervisor says of the workers."""
    peers.dead.update(news.dead)
    health.workers = news.workers
    health.restarts = news.restarts
    health.troubles = tuple(news.troubles)


async def _wait_until_loaded(health: Health) -> None:
    """Let a worker accept no connection that a sibling could answer better, for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LOAD_SECONDS):
            await health.started.wait()


async def _share(telemetry: Telemetry) -> None:
    while True:
        telemetry.share()
        await asyncio.sleep(WRITE_SECONDS)
