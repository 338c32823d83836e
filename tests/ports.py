"""A port for a server that is only about to start, or starts again: nobody else is given it meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from mlprod_nb.settings import Layout


@contextmanager
def reserved() -> Iterator[int]:
    """Yield a port of the loopback on which a server of ours can listen, and which the system gives to nobody.

    A socket is bound to it and does not listen. Who asks the system for any port is given another one then, and who
    names this one and sets ``SO_REUSEADDR``, as servers do, can have it.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def kept(layout: Layout) -> Iterator[int]:
    """Reserve a port as the one that a workspace's gateway had last time, so that it has the same at every start."""
    with reserved() as port:
        layout.run.mkdir(parents=True, exist_ok=True)
        (layout.run / "port").write_text(f"{port}\n", encoding="utf-8")
        yield port
