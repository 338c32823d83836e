"""The gateway's side of ``mlprod_nb/model_worker.py``, which is started here and never imported: forks, messages, ends.

The import is what makes a model worker slow to start, so one process imports and every worker is forked from it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson

from mlprod_nb.serving.errors import ModelUnavailable

_COMMAND = (sys.executable, "-m", "mlprod_nb.model_worker")
_FORK = b"+"
_OVER = "the process that model workers are forked from ended."
_LENGTH_BYTES = 4
_LARGEST_REPLY = 1 << 28
_END_SECONDS = 2.0
_TOLD_SECONDS = 1.0
_START_SECONDS = 60.0


class Garbled(Exception):
    """A worker wrote what is no message."""


GONE = (asyncio.IncompleteReadError, ConnectionError, Garbled)
"""What a call raises whose worker has ended, or makes no sense."""


class ModelWorker:
    """One running worker process. :meth:`Nursery.fork` makes it.

    Args:
        pid: Its process id.
        ended: Its exit code, once it has ended: below 0 the number of a signal.
        reader: Its replies.
        writer: Takes its messages.
    """

    def __init__(
        self, pid: int, ended: asyncio.Future[int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = pid
        self.ended = ended
        self._reader = reader
        self._writer = writer

    async def call(self, message: bytes) -> dict[str, Any]:
        """Send one message and return the reply; a call that is begun must be waited for, or the worker killed."""
        self._writer.write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)
        await self._writer.drain()
        length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
        if length > _LARGEST_REPLY:  # the gateway's memory is not the model's to fill
            raise Garbled
        reply = _read(await self._reader.readexactly(length))
        if not isinstance(reply, dict):
            raise Garbled
        return reply

    async def fate(self, error: Exception | None = None) -> str:
        """Say how the worker ended, as ``was ended by SIGSEGV``; wait a moment to be told.

        Args:
            error: What a call raised.
        """
        if isinstance(error, Garbled):
            return "wrote what is no message"
        await asyncio.wait((self.ended,), timeout=_TOLD_SECONDS)
        if not self.ended.done():
            return "closed its connection"
        code = self.ended.result()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def end(self) -> None:
        """Close the worker's input, which ends it; kill it where it does not end."""
        self._writer.close()
        await asyncio.wait((self.ended,), timeout=_END_SECONDS)
        await self.kill()

    async def kill(self) -> None:
        """Kill the worker at once; the nursery does so with every process that the model's code has started."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            await asyncio.wait((self.ended,), timeout=_END_SECONDS)
        self._writer.close()


def _read(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Garbled from None


class Nursery:
    """The process that model workers are forked from: started when first needed, ended with the last that needs it."""

    def __init__(self) -> None:
        self._starting = asyncio.Lock()
        self._running: _Process | None = None
        self._needed = 0

    @property
    def pid(self) -> int | None:
        """The process id, or ``None`` where nothing runs."""
        return None if self._running is None else self._running.process.pid

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Have the process run in the block, so that what is done there need not wait for its imports.

        Raises:
            ModelUnavailable: The process cannot be started.
        """
        self.need()
        try:
            async with self._starting:
                await self._start()
            yield
        finally:
            await self.leave()

    def need(self) -> None:
        """Keep the process, once it runs, until :meth:`leave`."""
        self._needed += 1

    async def leave(self) -> None:
        """End the process where nobody needs it any more."""
        self._needed -= 1
        async with self._starting:
            if self._needed == 0 and self._running is not None:
                running, self._running = self._running, None
                await running.end()

    async def fork(self) -> ModelWorker:
        """Return a new worker, which waits for its first message.

        Raises:
            ModelUnavailable: The process cannot be started, or ended.
        """
        async with self._starting:
            return await (await self._start()).fork()

    async def _start(self) -> _Process:
        if self._running is None or self._running.over:
            self._running = await _Process.start()
        return self._running


class _Process:
    """A running nursery."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self.process = process
        self.over = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._control = control
        self._asked: deque[asyncio.Future[int]] = deque()
        self._workers: dict[int, asyncio.Future[int]] = {}
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    async def start(cls) -> _Process:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(*_COMMAND, stdin=theirs.fileno(), start_new_session=True)
        started = cls(process, ours)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await started.ready
        except BaseException as error:
            with suppress(ProcessLookupError):
                process.kill()
            await started.end()
            if isinstance(error, TimeoutError):
                raise ModelUnavailable(_OVER, hint="Try again in a moment.") from None
            raise
        return started

    async def fork(self) -> ModelWorker:
        ours, theirs = socket.socketpair()
        asked = asyncio.get_running_loop().create_future()
        try:
            with theirs:
                socket.send_fds(self._control, [_FORK], [theirs.fileno()])
            self._asked.append(asked)
            pid = await asked
        except BaseException as error:  # a worker that is forked all the same finds its socket closed, and ends
            ours.close()
            if isinstance(error, OSError):
                raise ModelUnavailable(_OVER, hint="Try again in a moment.") from None
            raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        return ModelWorker(pid, self._workers[pid], reader, writer)

    async def end(self) -> None:
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        await self.process.wait()
        await self._listening

    async def _listen(self) -> None:
        """Hear which workers were forked and how they ended, until the process itself ends and they with it."""
        loop = asyncio.get_running_loop()
        heard = b""
        with suppress(OSError):
            while data := await loop.sock_recv(self._control, 4096):
                *lines, heard = (heard + data).split(b"\n")
                for line in lines:
                    self._hear(*line.split())
        await self.process.wait()
        self.over = True
        self._control.close()
        awaited: list[asyncio.Future[Any]] = [self.ready, *self._asked]
        for future in awaited:
            if not future.done():
                future.set_exception(ModelUnavailable(_OVER, hint="Try again in a moment."))
        for ended in self._workers.values():
            ended.set_result(-signal.SIGKILL)

    def _hear(self, word: bytes, pid: bytes = b"", code: bytes = b"") -> None:
        if word == b"ready":
            if not self.ready.done():
                self.ready.set_result(None)
            return
        if word == b"ended":
            self._workers.pop(int(pid)).set_result(int(code))
            return
        self._workers[int(pid)] = asyncio.get_running_loop().create_future()
        asked = self._asked.popleft()
        if not asked.done():
            asked.set_result(int(pid))
