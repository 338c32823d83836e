"""The gateway as a process: its parts put together, its socket, its limits on connections, its start and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlprod_nb.clock import Clock
from mlprod_nb.errors import Refused
from mlprod_nb.registry.bundles import BundleStore
from mlprod_nb.serving.app import Gateway, Health, create_app
from mlprod_nb.serving.appending import LogAppender
from mlprod_nb.serving.auth import Gatekeeper
from mlprod_nb.serving.control import Control
from mlprod_nb.serving.dataplane import DataPlane
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.models import Shelf, Workbench
from mlprod_nb.serving.routes import RouteBook
from mlprod_nb.serving.telemetry import Telemetry
from mlprod_nb.settings import GatewaySettings, Layout, Settings
from mlprod_nb.store import Store, gateways
from mlprod_nb.store.gateways import GatewayRecord

_MODEL_THREADS = 2
_HEADER_SECONDS = 10
_DRAIN_SECONDS = 30
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 1024
_RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Process:
    """What one gateway process is started with.

    Attributes:
        layout: Where the workspace keeps its things.
        settings: The workspace's settings.
        gateway_id: Unique for each start.
        clock: Gives the present moment.
    """

    layout: Layout
    settings: Settings
    gateway_id: str
    clock: Clock


def run(process: Process) -> None:
    """Serve until a signal asks to end; requests under way are answered first.

    Raises:
        Refused: The port is in use.
    """
    listener = listen(process.settings.gateway, process.layout)
    tls = _tls(process)
    host, port = listener.getsockname()[:2]
    url = f"{'https' if tls else 'http'}://{_url_host(process.settings.gateway.host, host)}:{port}"
    config = uvicorn.Config(
        create_gateway(process, url),
        loop="uvloop",
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        backlog=_BACKLOG,
        **tls,
    )
    uvicorn.Server(config).run(sockets=[listener])


def create_gateway(process: Process, url: str) -> Starlette:
    """Put the gateway's parts together; they start and end with the application."""
    settings, layout = process.settings, process.layout
    store = Store(settings.store.url or Store.sqlite_url(layout.database))
    store.migrate()
    telemetry = Telemetry()
    threads = ThreadPoolExecutor(_MODEL_THREADS, thread_name_prefix="model")
    workbench = Workbench(
        bundles=BundleStore(layout.bundles),
        threads=threads,
        worker=settings.model_worker,
        max_batch_rows=settings.gateway.max_batch_rows,
        observe_batch=telemetry.batch_rows.observe,
    )
    shelf = Shelf(lambda digest: asyncio.ensure_future(workbench.load(digest)))
    book = RouteBook()
    plane = DataPlane(LogAppender(layout.log, telemetry), telemetry, Identifiers())
    gateway = Gateway(
        book=book,
        plane=plane,
        gatekeeper=Gatekeeper(store, process.clock),
        telemetry=telemetry,
        health=Health(process.gateway_id),
        settings=settings.gateway,
        clock=process.clock,
    )
    control = Control(store, shelf, book, telemetry, process.clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        record = GatewayRecord(process.gateway_id, os.getpid(), url, process.clock())
        starting = asyncio.ensure_future(_start(gateway, control, store, record))
        watching = [asyncio.ensure_future(plane.log.run())]
        try:
            yield
        finally:
            gateway.health.status = "draining"
            for task in (starting, *watching):
                task.cancel()
            await asyncio.gather(starting, *watching, return_exceptions=True)
            await control.close()
            await plane.close()
            await shelf.close()
            await asyncio.to_thread(plane.log.close)
            await asyncio.to_thread(_retire, store, process)
            threads.shutdown()
            store.close()

    return create_app(gateway, lifespan)


def listen(settings: GatewaySettings, layout: Layout) -> socket.socket:
    """Return a bound socket; where the port is free to choose, the one taken last time if it can be had.

    Raises:
        Refused: The port that the settings name is in use, or the address is not this machine's.
    """
    if settings.port:
        try:
            return _bind(settings.host, settings.port)
        except OSError as error:
            raise Refused(
                f"the gateway cannot listen on {settings.host} port {settings.port}: {error.strerror}.",
                hint="Free it, or set another port (0 takes a free one) under [gateway] in mlprod.toml.",
            ) from None
    kept = layout.run / "port"
    try:
        return _bind(settings.host, int(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError, OverflowError):
        pass  # never kept, or taken by another program meanwhile
    try:
        listener = _bind(settings.host, 0)
    except OSError as error:
        raise Refused(
            f"the gateway cannot listen on {settings.host}: {error.strerror}.",
            hint="Set host under [gateway] in mlprod.toml.",
        ) from None
    layout.run.mkdir(parents=True, exist_ok=True)
    kept.write_text(f"{listener.getsockname()[1]}\n", encoding="utf-8")
    return listener


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a deadline for a request's head, which uvicorn itself does not have.

    The body's deadline is the application's. A connection that has sent no whole head in time is closed.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the deadline of the first request."""
        super().connection_made(transport)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._end_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start the deadline of a later request."""
        if self._deadline is None:
            self._start_deadline()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End the deadline: the head is there."""
        self._end_deadline()
        super().on_headers_complete()

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def _start(gateway: Gateway, control: Control, store: Store, record: GatewayRecord) -> None:
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
    logger.info("gateway %s answers at %s", record.id, record.url)
    await control.run()


def _announce(store: Store, record: GatewayRecord) -> None:
    with store.write() as connection:
        gateways.announce(connection, record)


def _retire(store: Store, process: Process) -> None:
    with store.write() as connection:
        gateways.retire(connection, process.gateway_id, now=process.clock())


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.set_inheritable(False)
    return listener


def _url_host(wanted: str, bound: str) -> str:
    """Return the host that local callers use: of an address that means all, the loopback."""
    if wanted in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        return "127.0.0.1" if wanted == "0.0.0.0" else "[::1]"  # noqa: S104
    if ":" in bound:
        return f"[{bound}]"
    return wanted


def _tls(process: Process) -> dict[str, Any]:
    if not process.settings.gateway.tls:
        return {}
    from mlprod_nb.access.tls import ensure_certificate

    hosts = sorted({process.settings.gateway.host, "127.0.0.1", "::1", "localhost"} - {"0.0.0.0", "::"})  # noqa: S104
    files = ensure_certificate(process.layout.tls, hosts, now=process.clock())
    return {"ssl_certfile": Path(files.cert), "ssl_keyfile": Path(files.key)}
