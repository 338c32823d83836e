"""What runs a bundle's model: ONNX in the gateway's own process, anything else in a model worker."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol

from mlprod_nb.errors import MlprodError
from mlprod_nb.registry import onnx_runner
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving.columns import Columns
from mlprod_nb.serving.errors import ModelFailed
from mlprod_nb.serving.models.batching import Scores
from mlprod_nb.serving.models.nursery import Nursery
from mlprod_nb.serving.models.worker import WorkerRuntime
from mlprod_nb.settings import WorkerSettings


class Runtime(Protocol):
    """A loaded model."""

    def admit(self) -> None:
        """Let another caller in.

        Raises:
            ModelUnavailable: The model would keep the caller waiting for too long.
        """

    async def score(self, columns: Columns, rows: int) -> Scores:
        """Return the scores of some rows; every array has the shape ``(rows,)``.

        Raises:
            ModelFailed: The model fails on these rows.
            ModelUnavailable: The model cannot answer now.
        """

    async def warm_up(self, columns: Columns, rows: int) -> Scores:
        """Do what :meth:`score` does before the model answers any request, of which none waits for it."""

    async def close(self) -> None:
        """Free what the model holds."""


_AT_ONCE_SECONDS = 1e-3
"""A batch that takes no longer is scored on the event loop itself.

A thread's two changes, and its waiting for the interpreter, cost about as much; others wait no longer for the loop.
"""
_NEWEST = 0.2


class Pace:
    """How much processor time a model takes for batches of about so many rows, learnt while it works.

    The clock would count what a batch on a thread waits for the interpreter, too, and so could keep it there.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def quick(self, rows: int) -> bool:
        """Return whether so many rows are known to take hardly any time."""
        return self._seconds.get(rows.bit_length(), 1.0) <= _AT_ONCE_SECONDS

    def learn(self, rows: int, seconds: float) -> None:
        """Take note of one batch."""
        known = self._seconds.get(rows.bit_length(), seconds)
        self._seconds[rows.bit_length()] = known + _NEWEST * (seconds - known)


class OnnxRuntime:
    """An ONNX model: quick batches at once, others on a thread so that the gateway goes on reading requests.

    Args:
        bundle: A bundle whose runtime is ``"onnx"``.
        threads: Where models run.

    Raises:
        Corrupt: The model cannot be loaded.
    """

    def __init__(self, bundle: Bundle, threads: Executor) -> None:
        self._runner = onnx_runner.OnnxRunner(bundle)
        self._manifest = bundle.manifest
        self._threads = threads
        self._pace = Pace()

    def admit(self) -> None:
        """Let everyone in: a model that answered its warm-up rows does not hang."""

    async def score(self, columns: Columns, rows: int) -> Scores:
        """Return the scores of some rows."""
        if self._pace.quick(rows):
            return self._score(columns, rows)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._score, columns, rows)

    async def warm_up(self, columns: Columns, rows: int) -> Scores:
        """Return the scores of the warm-up rows, on a thread of its own: an endless loop keeps none of the others."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="warm-up")
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, self._score, columns, rows)
        finally:
            thread.shutdown(wait=False)

    async def close(self) -> None:
        """End what the model is still at; the session goes with its last reference."""
        self._runner.stop()

    def _score(self, columns: Columns, rows: int) -> Scores:
        began = time.thread_time()
        try:
            output = self._runner.run(columns)
        except MlprodError as error:
            raise ModelFailed("the model fails on these rows.") from error
        self._pace.learn(rows, time.thread_time() - began)
        scores = onnx_runner.scores(self._manifest.task, self._manifest.classes, output)
        labels = output[0]
        return Scores(scores.tolist() if labels is None else labels.tolist(), scores)


async def open_runtime(bundle: Bundle, threads: Executor, settings: WorkerSettings, nursery: Nursery) -> Runtime:
    """Load a bundle's model.

    Raises:
        Corrupt: The ONNX model cannot be loaded.
        ModelUnavailable: The model worker does not start.
    """
    if bundle.manifest.runtime == "python":
        return await WorkerRuntime.start(bundle, settings, nursery)
    return await asyncio.to_thread(OnnxRuntime, bundle, threads)  # beside the threads that answer requests
