"""Where the gateway listens: its socket, its URL and its certificate."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from mlprod_nb.clock import Clock
from mlprod_nb.errors import Refused
from mlprod_nb.settings import GatewaySettings, Layout

BACKLOG = 1024


@dataclass(frozen=True)
class Certificate:
    """Files to serve HTTPS with.

    Attributes:
        cert: The certificate's path.
        key: Its key's path.
    """

    cert: str
    key: str


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
    kept = kept_port(layout)
    if kept is not None:
        with contextlib.suppress(OSError, OverflowError):  # taken by another program meanwhile
            return _bind(settings.host, kept)
    try:
        listener = _bind(settings.host, 0)
    except OSError as error:
        raise Refused(
            f"the gateway cannot listen on {settings.host}: {error.strerror}.",
            hint="Set host under [gateway] in mlprod.toml.",
        ) from None
    layout.run.mkdir(parents=True, exist_ok=True)
    _port_file(layout).write_text(f"{listener.getsockname()[1]}\n", encoding="utf-8")
    return listener


def kept_port(layout: Layout) -> int | None:
    """Return the free port that was taken last time; ``None`` where none was."""
    try:
        return int(_port_file(layout).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _port_file(layout: Layout) -> Path:
    return layout.run / "port"


def url_of(listener: socket.socket, settings: GatewaySettings, address: str = "") -> str:
    """Return the URL for callers.

    Args:
        listener: The bound socket.
        settings: The gateway's.
        address: What stands for an address that means all; empty: the loopback.
    """
    host, port = listener.getsockname()[:2]
    return f"{'https' if settings.tls else 'http'}://{_url_host(settings.host, host, address)}:{port}"


def certificate(settings: GatewaySettings, layout: Layout, clock: Clock, address: str = "") -> Certificate | None:
    """Return the workspace's own certificate, made where it is missing; ``None`` without TLS."""
    if not settings.tls:
        return None
    from mlprod_nb.access.tls import ensure_certificate

    hosts = sorted({settings.host, address, "127.0.0.1", "::1", "localhost"} - {"0.0.0.0", "::", ""})  # noqa: S104
    files = ensure_certificate(layout.tls, hosts, now=clock())
    return Certificate(str(files.cert), str(files.key))


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.set_inheritable(False)
    return listener


def _url_host(wanted: str, bound: str, address: str) -> str:
    if wanted in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        if address:
            return f"[{address}]" if ":" in address else address
        return "127.0.0.1" if wanted == "0.0.0.0" else "[::1]"  # noqa: S104
    if ":" in bound:
        return f"[{bound}]"
    return wanted
