"""What a supervisor and its workers tell each other, over one socket a worker; standard library only.

A worker sends a byte a beat from its event loop; the supervisor answers with lines of JSON, each the whole news. A
worker whose supervisor is gone ends at once: what it acknowledged is on disk, and its port must become free.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields

BEAT_SECONDS = 0.25
_BEAT = b"."
_ORPHANED = 70


@dataclass(frozen=True)
class News:
    """What the supervisor knows of all workers.

    Attributes:
        workers: How many run.
        restarts: How many were replaced since the gateway started.
        dead: Ids of workers that ended, the newest last.
        troubles: Why workers do not run, each a sentence.
    """

    workers: int = 1
    restarts: int = 0
    dead: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def line(self) -> bytes:
        """Return the news as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> News:
        """Read a line, also that of a supervisor of another version, which says more or less."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in json.loads(line).items() if name in known})


class Link:
    """A worker's end of the socket to its supervisor.

    Args:
        end: The socket.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._heard = b""

    async def follow(self, hear: Callable[[News], None]) -> None:
        """Beat and hear the news until cancelled; end the process where the supervisor is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._end, self._read, hear)
        try:
            while True:
                self._beat()
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            loop.remove_reader(self._end)

    def _beat(self) -> None:
        try:
            self._end.send(_BEAT)
        except BlockingIOError:
            pass  # the supervisor is late, and finds enough beats when it looks
        except OSError:
            os._exit(_ORPHANED)

    def _read(self, hear: Callable[[News], None]) -> None:
        try:
            data = self._end.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            os._exit(_ORPHANED)
        *lines, self._heard = (self._heard + data).split(b"\n")
        if lines:
            hear(News.read(lines[-1]))


@dataclass(frozen=True)
class Member:
    """A worker's place under its supervisor.

    Attributes:
        id: Unique for each start of a worker.
        slot: Its place, from 0.
        supervisor: The supervisor's process id.
        link: Its socket to the supervisor.
        version: The version of mlprod_nb that the supervisor runs by; empty for one too old to say so. A worker that
            is replaced after an upgrade runs by a newer one.
    """

    id: str
    slot: int
    supervisor: int
    link: Link
    version: str = ""
