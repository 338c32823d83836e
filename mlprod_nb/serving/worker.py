"""Model workers: one process a model that ONNX cannot express, killed and replaced where it crashes or hangs.

The messages are described in ``mlprod_nb/model_worker.py``, which this module starts and never imports.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mlprod_nb.registry.bundles import PYTHON_MODEL, Bundle, Signature
from mlprod_nb.serving.batching import Scores
from mlprod_nb.serving.columns import Columns
from mlprod_nb.serving.errors import ModelFailed, ModelUnavailable
from mlprod_nb.settings import WorkerSettings

_LENGTH_BYTES = 4
_END_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 30.0
_LARGEST_REPLY = 1 << 28
_GONE = (asyncio.IncompleteReadError, ConnectionError, TimeoutError, orjson.JSONDecodeError)

logger = logging.getLogger(__name__)


class WorkerRuntime:
    """A model in a model worker; one call at a time. Make it with :meth:`start`.

    Guarantee: a caller gets the reply to its own rows or an error. A call that was sent is waited for even where its
    caller is gone, so that no reply is left for the next one.

    Args:
        bundle: A bundle whose runtime is ``"python"``.
        settings: The worker's limits.
    """

    def __init__(self, bundle: Bundle, settings: WorkerSettings) -> None:
        self._bundle = bundle
        self._settings = settings
        self._worker: _Worker | None = None
        self._turn = asyncio.Lock()
        self._call: asyncio.Task[dict[str, Any]] | None = None
        self._replacing: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, bundle: Bundle, settings: WorkerSettings) -> WorkerRuntime:
        """Start the worker and wait until it has loaded its model.

        Raises:
            ModelUnavailable: It does not load the model, or not in time.
        """
        runtime = cls(bundle, settings)
        runtime._worker = await _Worker.start(bundle, settings)
        return runtime

    @property
    def pid(self) -> int | None:
        """The worker's process id, or ``None`` while it is being replaced."""
        return None if self._worker is None else self._worker.process.pid

    async def score(self, columns: Columns, rows: int) -> Scores:
        """Return the scores of some rows."""
        message = _message(columns, rows, self._bundle.signature)
        async with self._turn:
            if self._call is not None:
                await asyncio.wait((self._call,))
            self._call = asyncio.get_running_loop().create_task(self._ask(message))
            reply = await asyncio.shield(self._call)
        if "error" in reply:
            logger.error("bundle %s: the model fails: %s", self._bundle.digest[:12], reply["error"])
            raise ModelFailed("the model fails on these rows.")
        return Scores(reply["predictions"], np.asarray(reply["scores"], dtype=np.float64))

    async def close(self) -> None:
        """End the worker."""
        if self._call is not None:
            self._call.cancel()
            await asyncio.gather(self._call, return_exceptions=True)
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)
        if self._worker is not None:
            await self._worker.end()
            self._worker = None

    async def _ask(self, message: bytes) -> dict[str, Any]:
        """Send a message and return its reply; replace the worker where none comes in time."""
        worker = self._worker
        if worker is None:
            raise ModelUnavailable("the model worker is being replaced.", hint="Try again in a moment.")
        try:
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                return await worker.call(message)
        except _GONE as error:
            self._replace(worker, error)
            raise ModelUnavailable("the model worker ended or hung.", hint="It is being replaced.") from None

    def _replace(self, worker: _Worker, error: BaseException) -> None:
        logger.warning(
            "bundle %s: model worker %d is replaced (%s)",
            self._bundle.digest[:12],
            worker.process.pid,
            type(error).__name__,
        )
        self._worker = None
        self._replacing = asyncio.get_running_loop().create_task(self._start_anew(worker))

    async def _start_anew(self, dead: _Worker) -> None:
        await dead.kill()
        pause = 1.0
        while True:
            try:
                self._worker = await _Worker.start(self._bundle, self._settings)
            except ModelUnavailable as error:
                logger.warning("bundle %s: %s", self._bundle.digest[:12], error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                return


class _Worker:
    """One running worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, bundle: Bundle, settings: WorkerSettings) -> _Worker:
        command = [sys.executable, "-m", "mlprod_nb.model_worker", str(bundle.path / PYTHON_MODEL)]
        process = await asyncio.create_subprocess_exec(
            *command,
            f"--memory-mib={settings.memory_mib}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        worker = cls(process)
        hello = orjson.dumps({"task": bundle.manifest.task, "classes": bundle.manifest.classes})
        try:
            async with asyncio.timeout(settings.start_timeout_seconds):
                reply = await worker.call(hello)
        except TimeoutError:
            reply = {"error": f"it did not load within {settings.start_timeout_seconds:g} s"}
        except _GONE:
            reply = {"error": "its process ended while loading"}
        except BaseException:
            await worker.kill()
            raise
        if "error" in reply:
            await worker.kill()
            raise ModelUnavailable(f"the model worker cannot load the model: {reply['error']}.")
        return worker

    async def call(self, message: bytes) -> dict[str, Any]:
        """Send one message and return the reply."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)
        await self.process.stdin.drain()
        length = int.from_bytes(await self.process.stdout.readexactly(_LENGTH_BYTES), "big")
        if length > _LARGEST_REPLY:  # the gateway's memory is not the model's to fill
            raise ConnectionError("the reply is too long")
        reply: dict[str, Any] = orjson.loads(await self.process.stdout.readexactly(length))
        return reply

    async def end(self) -> None:
        """Close the worker's input, which ends it; kill it where it does not end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self.process.wait()
        except TimeoutError:
            await self.kill()
        else:
            self._kill_group()

    async def kill(self) -> None:
        """Kill the worker at once, with every process that the model's code started in its session's group."""
        self._kill_group()
        if self.process.stdin is not None:
            self.process.stdin.close()
        await self.process.wait()

    def _kill_group(self) -> None:
        """Kill what is left of the group; its number is not given anew while a member lives."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _message(columns: Columns, rows: int, signature: Signature) -> bytes:
    parts = [
        {"name": column.name, "type": column.type, "values": _plain(columns[column.name])}
        for column in signature.columns
    ]
    return orjson.dumps({"rows": rows, "columns": parts}, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(values: NDArray[Any]) -> Any:
    """Return what orjson writes: numeric arrays as they are (NaN becomes null), others as lists."""
    return np.ascontiguousarray(values) if values.dtype.kind in "fib" else values.tolist()
