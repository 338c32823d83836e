"""The gateway under strain: a million requests, clients that trickle, and ten times the load."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from benchmarks import wrk
from benchmarks.servers import Running

_TRICKLE_SECONDS = 0.2
_MOMENTS = 20
_HEAD = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"


@dataclass(frozen=True)
class Strain:
    """What one strain gave; each is a ratio or a growth within one run.

    Attributes:
        what: The strain in words.
        figure: The measured value.
        goal: What it is to be.
    """

    what: str
    figure: str
    goal: str


def all_of(folder: Path, running: Running, *, requests: int, seconds: int) -> Iterator[Strain]:
    """Strain a gateway in every way, one after the other.

    Args:
        folder: Holds the bodies.
        running: The gateway.
        requests: How many requests the memory is watched over.
        seconds: How long each of the other loads takes.
    """
    yield _overload(folder, running, seconds)
    yield _slow_clients(folder, running, seconds)
    yield _memory(folder, running, requests)


def _memory(folder: Path, running: Running, requests: int) -> Strain:
    wrk.load(folder, running, rows=1, connections=64, seconds=15)
    before, answered = running.memory_mb, 0
    while answered < requests:
        answered += wrk.load(folder, running, rows=1, connections=64, seconds=10).answered
    growth = (running.memory_mb - before) * 1e6 / 2**20 / (answered / 1e6)
    return Strain(f"memory growth over {answered:,} requests", f"{growth:.2f} MiB a million", "at most 1 MiB")


def _slow_clients(folder: Path, running: Running, seconds: int) -> Strain:
    alone, beside = [], []
    for _ in range(3):
        alone.append(wrk.load(folder, running, rows=1, connections=16, seconds=seconds).p99_ms)
        with trickling(running, 100):
            beside.append(wrk.load(folder, running, rows=1, connections=16, seconds=seconds).p99_ms)
    ratio = median(beside) / median(alone)
    return Strain("p99 beside 100 clients that trickle their requests, to p99 without", f"{ratio:.2f}", "at most 1.2")


def _overload(folder: Path, running: Running, seconds: int) -> Strain:
    peak, over = [], []
    for _ in range(3):
        peak.append(wrk.load(folder, running, rows=1, connections=64, seconds=seconds).good_per_second)
        over.append(wrk.load(folder, running, rows=1, connections=640, seconds=seconds).good_per_second)
    ratio = median(over) / median(peak)
    return Strain("good answers a second of 640 connections, to those of 64", f"{ratio:.2f}", "at least 0.9")


@contextmanager
def trickling(running: Running, connections: int) -> Iterator[None]:
    """Hold connections that send one byte of a request every 0.2 s, each at its own moment; one cut is opened again."""
    ended = threading.Event()
    thread = threading.Thread(target=_trickle, args=(running, connections, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _trickle(running: Running, connections: int, ended: threading.Event) -> None:
    address = urlsplit(running.url)
    head = _HEAD % running.path.encode()
    with selectors.DefaultSelector() as selector:
        sent: dict[socket.socket, int] = {}
        for moment in cycle(range(_MOMENTS)):
            if ended.wait(_TRICKLE_SECONDS / _MOMENTS):
                break
            for _ in range(connections - len(sent)):
                client = socket.create_connection((str(address.hostname), int(address.port or 80)))
                client.setblocking(False)
                selector.register(client, selectors.EVENT_READ)
                sent[client] = 0
            cut = [key.fileobj for key, _ in selector.select(0)]
            for client in [each for each in sent if each.fileno() % _MOMENTS == moment]:
                # Half of them are slow with the head, half with the body.
                begin = len(head) if client.fileno() % 2 and not sent[client] else 1
                with suppress(OSError):
                    client.send((head + b" " * 4000)[sent[client] : sent[client] + begin])
                sent[client] += begin
                if client in cut:
                    selector.unregister(client)
                    client.close()
                    del sent[client]
        for client in sent:
            client.close()
