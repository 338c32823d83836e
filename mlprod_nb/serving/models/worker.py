"""A model that ONNX cannot express, in a model worker that is killed and replaced where it crashes or hangs."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.registry.bundles import PYTHON_MODEL, Bundle, Signature
from mlprod_nb.serving.columns import Columns
from mlprod_nb.serving.errors import ModelFailed, ModelUnavailable
from mlprod_nb.serving.models.batching import Scores
from mlprod_nb.serving.models.nursery import GONE, ModelWorker, Nursery
from mlprod_nb.settings import WorkerSettings

_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_LATE_SECONDS = 1.0
_LATE_TIMES = 4.0
_FORGETS = 0.9

logger = logging.getLogger(__name__)


class WorkerRuntime:
    """A model in a model worker; one call at a time. Make it with :meth:`start`.

    Guarantee: a caller gets the reply to its own rows or an error. A call that was sent is waited for even where its
    caller is gone, so that no reply is left for the next one. A worker that ends is replaced at once, also where nobody
    asks it anything; one that does not answer within its limit is killed first.

    Args:
        bundle: A bundle whose runtime is ``"python"``.
        settings: The worker's limits.
        nursery: Starts workers.
    """

    def __init__(self, bundle: Bundle, settings: WorkerSettings, nursery: Nursery) -> None:
        self._bundle = bundle
        self._settings = settings
        self._nursery = nursery
        self._worker: ModelWorker | None = None
        self._turn = asyncio.Lock()
        self._call: asyncio.Task[dict[str, Any]] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._began: float | None = None
        self._slowest = 0.0

    @classmethod
    async def start(cls, bundle: Bundle, settings: WorkerSettings, nursery: Nursery) -> WorkerRuntime:
        """Start the worker and wait until it has loaded its model.

        Raises:
            ModelUnavailable: It does not load the model, or not in time.
        """
        runtime = cls(bundle, settings, nursery)
        nursery.need()
        try:
            runtime._worker = worker = await runtime._load()
        except BaseException:
            await nursery.leave()
            raise
        runtime._keeping = asyncio.get_running_loop().create_task(runtime._keep(worker))
        return runtime

    @property
    def pid(self) -> int | None:
        """The worker's process id, or ``None`` while it is being replaced."""
        return None if self._worker is None else self._worker.pid

    def admit(self) -> None:
        """Refuse whom the worker keeps waiting: it is being replaced, or takes far longer than it has so far.

        Raises:
            ModelUnavailable: So it is.
        """
        if self._worker is None:
            raise ModelUnavailable("the model worker is being replaced.", hint="Try again in a moment.")
        if self._began is not None:
            taken = time.monotonic() - self._began
            if taken > max(_LATE_SECONDS, _LATE_TIMES * self._slowest):
                raise ModelUnavailable(
                    f"the model worker has not answered for {taken:.1f} s.",
                    hint=f"It is replaced after {self._settings.call_timeout_seconds:g} s.",
                )

    async def score(self, columns: Columns, rows: int) -> Scores:
        """Return the scores of some rows."""
        message = _message(columns, rows, self._bundle.signature)
        async with self._turn:
            if self._call is not None:
                await asyncio.wait((self._call,))
            self._call = asyncio.get_running_loop().create_task(self._ask(message))
            reply = await asyncio.shield(self._call)
        if "error" in reply:
            raise ModelFailed("the model fails on these rows.") from ExecutionFailed(str(reply["error"]))
        return Scores(reply["predictions"], np.asarray(reply["scores"], dtype=np.float64))

    async def warm_up(self, columns: Columns, rows: int) -> Scores:
        """Return the scores of the warm-up rows."""
        return await self.score(columns, rows)

    async def close(self) -> None:
        """End the worker."""
        for task in (self._call, self._keeping):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        if self._worker is not None:
            await self._worker.end()
            self._worker = None
        await self._nursery.leave()

    async def _ask(self, message: bytes) -> dict[str, Any]:
        """Send a message and return its reply; kill the worker where none comes in time."""
        worker = self._worker
        if worker is None:
            raise ModelUnavailable("the model worker is being replaced.", hint="Try again in a moment.")
        self._began = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                reply = await worker.call(message)
        except TimeoutError:
            fate = f"did not answer within {self._settings.call_timeout_seconds:g} s"
        except GONE as error:
            fate = await worker.fate(error)
        else:
            self._slowest = max(_FORGETS * self._slowest, time.monotonic() - self._began)
            return reply
        finally:
            self._began = None
        self._worker = None if self._worker is worker else self._worker
        await worker.kill()
        raise ModelUnavailable(f"the model worker {fate}.", hint="It is being replaced.")

    async def _keep(self, worker: ModelWorker) -> None:
        """Replace the worker whenever it has ended; pause where it does not live long, longer where none loads."""
        name = self._bundle.digest[:12]
        while True:
            loaded_at = time.monotonic()
            await asyncio.wait((worker.ended,))
            self._worker = None
            logger.warning("bundle %s: model worker %d %s and is replaced", name, worker.pid, await worker.fate())
            await worker.kill()
            pause = _PAUSE_SECONDS
            if time.monotonic() - loaded_at < pause:
                await asyncio.sleep(pause)
            while self._worker is None:
                try:
                    self._worker = worker = await self._load()
                except ModelUnavailable as error:
                    logger.warning("bundle %s: %s", name, error)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _load(self) -> ModelWorker:
        """Return a new worker that has loaded the model."""
        manifest, limit = self._bundle.manifest, self._settings.start_timeout_seconds
        hello = {
            "folder": str(self._bundle.path / PYTHON_MODEL),
            "task": manifest.task,
            "classes": manifest.classes,
            "memory_mib": self._settings.memory_mib,
        }
        worker = await self._nursery.fork()
        loaded = False
        try:
            async with asyncio.timeout(limit):
                reply = await worker.call(orjson.dumps(hello))
            loaded = "error" not in reply
            reason = f"cannot load the model: {reply.get('error')}"
        except TimeoutError:
            reason = f"did not load the model within {limit:g} s"
        except GONE as error:
            reason = f"{await worker.fate(error)} while it loaded the model"
        finally:
            if not loaded:
                await worker.kill()
        if not loaded:
            raise ModelUnavailable(f"the model worker {reason}.")
        return worker


def _message(columns: Columns, rows: int, signature: Signature) -> bytes:
    parts = [
        {"name": column.name, "type": column.type, "values": _plain(columns[column.name])}
        for column in signature.columns
    ]
    return orjson.dumps({"rows": rows, "columns": parts}, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(values: NDArray[Any]) -> Any:
    """Return what orjson writes: numeric arrays as they are (NaN becomes null), others as lists."""
    return np.ascontiguousarray(values) if values.dtype.kind in "fib" else values.tolist()
