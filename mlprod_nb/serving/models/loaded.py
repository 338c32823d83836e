"""Loaded models: read, verified, warmed, shared by digest, and closed after their last request."""

from __future__ import annotations

import asyncio
import ctypes
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

import numpy as np

from mlprod_nb.columns import select
from mlprod_nb.errors import ExecutionFailed, MlprodError
from mlprod_nb.registry.bundles import Bundle, BundleStore
from mlprod_nb.registry.onnx_runner import largest_difference
from mlprod_nb.serving.columns import Columns, typed
from mlprod_nb.serving.errors import ModelFailed, ModelUnavailable
from mlprod_nb.serving.models.batching import Batcher, Scores
from mlprod_nb.serving.models.loading import LoadingNotes
from mlprod_nb.serving.models.nursery import Nursery
from mlprod_nb.serving.models.runtime import Runtime, open_runtime
from mlprod_nb.settings import WorkerSettings

TOLERANCE = 2e-5
"""How far a score may lie from the original model's on the warm-up rows; relative for a regression."""


class Station:
    """One way through a model: what runs it, and what joins the rows that wait for that.

    Args:
        runtime: What runs the model.
        batcher: Joins the rows.
    """

    def __init__(self, runtime: Runtime, batcher: Batcher) -> None:
        self.runtime = runtime
        self.batcher = batcher
        self.rows = 0

    async def score(self, columns: Columns, rows: int) -> Scores:
        """Return the scores of some rows, and count them while they are here."""
        self.rows += rows
        try:
            return await self.batcher.score(columns, rows)
        finally:
            self.rows -= rows


class LoadedModel:
    """A model that is ready to answer.

    Args:
        bundle: What it was loaded from.
        stations: One for each process that runs it; one where the gateway runs it itself.
    """

    def __init__(self, bundle: Bundle, stations: Sequence[Station]) -> None:
        self.bundle = bundle
        self.stations = stations
        self._names = bundle.signature.names
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting_rows(self) -> int:
        """How many rows wait for this model."""
        return sum(station.batcher.waiting_rows for station in self.stations)

    async def score(self, columns: Columns, rows: int) -> Scores:
        """Return the scores of some rows; columns that the model does not take are left out.

        Raises:
            ModelUnavailable: The model cannot answer now, or would keep the caller waiting for too long.
            ModelFailed: The model fails on these rows.
        """
        return await self._freest().score(select(columns, self._names), rows)

    def _freest(self) -> Station:
        """Return the station with the fewest rows of those that let a caller in."""
        stations = sorted(self.stations, key=lambda station: station.rows) if len(self.stations) > 1 else self.stations
        for station in stations[:-1]:
            with suppress(ModelUnavailable):
                station.runtime.admit()
                return station
        stations[-1].runtime.admit()
        return stations[-1]

    def take_lease(self) -> None:
        """Keep the model open until the lease is returned."""
        self._leases += 1
        self._idle.clear()

    def return_lease(self) -> None:
        """Let the model be closed, unless another lease is out."""
        self._leases -= 1
        if self._leases == 0:
            self._idle.set()

    async def close_when_idle(self) -> None:
        """Wait for the last request, then free what the model holds."""
        await self._idle.wait()
        await asyncio.gather(*(station.runtime.close() for station in self.stations))


class Lease:
    """Keeps models open from now to its end.

    Args:
        models: The models.
    """

    __slots__ = ("_models",)

    def __init__(self, models: Sequence[LoadedModel]) -> None:
        self._models = models
        for model in models:
            model.take_lease()

    def end(self) -> None:
        """Let the models be closed; the second time, do nothing."""
        models, self._models = self._models, ()
        for model in models:
            model.return_lease()

    def __enter__(self) -> Lease:
        """Return the lease."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the lease."""
        self.end()


@dataclass(frozen=True)
class Workbench:
    """What models are loaded with.

    Attributes:
        bundles: Where the bundles are.
        threads: Where ONNX models run.
        worker: The limits of model workers.
        max_batch_rows: Most rows in one micro-batch.
        max_waiting_rows: Most rows that wait for one process of a model.
        observe_batch: Gives, for a bundle's digest, what is told the number of rows of each micro-batch.
        nursery: Starts model workers.
        notes: Of what is being loaded in this process; ``None``: none are kept.
    """

    bundles: BundleStore
    threads: Executor
    worker: WorkerSettings
    max_batch_rows: int
    max_waiting_rows: int
    observe_batch: Callable[[str], Callable[[int], None]]
    nursery: Nursery = field(default_factory=Nursery)
    notes: LoadingNotes | None = None

    async def load(self, digest: str) -> LoadedModel:
        """Read and verify a bundle, load its model and compare it with the original's scores.

        Raises:
            MlprodError: The bundle is not there, is damaged, does not load, does not agree, or not in time.
        """
        bundle = await asyncio.to_thread(self.bundles.get, digest)
        if bundle.manifest.runtime == "onnx":
            async with self.notes.note(bundle, self.worker.start_timeout_seconds) if self.notes else nullcontext():
                loaded = await self._open(bundle, 1)
            await asyncio.to_thread(_give_back_memory)
            return loaded
        async with self.nursery.ready():
            return await self._open(bundle, self.worker.processes)

    async def _open(self, bundle: Bundle, count: int) -> LoadedModel:
        deadline = asyncio.get_running_loop().time() + self.worker.start_timeout_seconds
        opening = [asyncio.ensure_future(self._open_station(bundle, deadline)) for _ in range(count)]
        try:
            return LoadedModel(bundle, await asyncio.gather(*opening))
        except BaseException:
            for station in opening:
                station.cancel()
            for opened in await asyncio.gather(*opening, return_exceptions=True):
                if isinstance(opened, Station):
                    await opened.runtime.close()
            raise

    async def _open_station(self, bundle: Bundle, deadline: float) -> Station:
        runtime = await open_runtime(bundle, self.threads, self.worker, self.nursery)
        try:
            async with asyncio.timeout_at(deadline):
                await _warm(bundle, runtime)
        except BaseException as error:
            await runtime.close()
            if isinstance(error, TimeoutError):
                limit = self.worker.start_timeout_seconds
                raise ModelUnavailable(f"it did not answer its warm-up rows within {limit:g} s of its start.") from None
            raise
        batcher = Batcher(
            runtime.score,
            max_rows=self.max_batch_rows,
            max_waiting_rows=self.max_waiting_rows,
            observe=self.observe_batch(bundle.digest),
        )
        return Station(runtime, batcher)


def _give_back_memory() -> None:
    """Give the system what loading took and freed: 28 MB for a forest of 100, which glibc would keep."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Shelf:
    """The models that are open, one a digest; what no route needs is closed after its last request.

    Args:
        load: Opens a model by its bundle's digest.
    """

    def __init__(self, load: Callable[[str], asyncio.Future[LoadedModel]]) -> None:
        self._load = load
        self._models: dict[str, asyncio.Future[LoadedModel]] = {}
        self._pins: Counter[str] = Counter()
        self._closing: set[asyncio.Task[None]] = set()

    @contextmanager
    def pin(self, digests: Collection[str]) -> Iterator[None]:
        """Keep models open while a route that needs them is being made."""
        self._pins.update(digests)
        try:
            yield
        finally:
            self._pins.subtract(digests)

    async def get(self, digest: str) -> LoadedModel:
        """Return an open model, loading it where needed; the caller has pinned the digest."""
        if digest not in self._models:
            self._models[digest] = self._load(digest)
        loading = self._models[digest]
        try:
            return await asyncio.shield(loading)
        except BaseException:
            if loading.done() and self._models.get(digest) is loading:
                del self._models[digest]
            raise

    def sweep(self, needed: Collection[str]) -> None:
        """Close every model that is neither needed nor pinned, after its last request."""
        for digest in [d for d in self._models if d not in needed and not self._pins[d]]:
            loading = self._models.pop(digest)
            task = asyncio.get_running_loop().create_task(_close(loading))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every model after its last request."""
        self._pins.clear()
        self.sweep(())
        await asyncio.gather(*self._closing, return_exceptions=True)


async def _close(loading: asyncio.Future[LoadedModel]) -> None:
    try:
        model = await loading
    except MlprodError:  # it never opened, and whoever asked for it was told
        return
    await model.close_when_idle()


async def _warm(bundle: Bundle, runtime: Runtime) -> None:
    """Answer the warm-up rows, and compare with what the original model said of them."""
    columns, expected = bundle.warmup()
    rows = len(expected)
    if rows == 0:
        return
    try:
        found = await runtime.warm_up(typed(columns, rows, bundle.signature), rows)
    except ModelFailed as error:  # who deploys may read what callers are not told
        raise ExecutionFailed(f"the model fails on the warm-up rows: {error.__cause__ or error.message}") from None
    except ModelUnavailable as error:
        raise ExecutionFailed(f"on the warm-up rows {error.message}") from None
    if found.scores.shape != (rows,) or len(found.predictions) != rows:
        raise ExecutionFailed(
            f"the bundle gives {len(found.predictions)} predictions and scores of the shape {found.scores.shape} "
            f"for {rows} warm-up rows.",
            hint="Register the model again.",
        )
    distance = largest_difference(bundle.manifest.task, np.asarray(expected, dtype=np.float64), found.scores)
    if not distance <= TOLERANCE:  # a distance that is not a number is a disagreement too
        raise ExecutionFailed(
            f"the bundle disagrees with the original model on the warm-up rows, by {distance:.2g}.",
            hint="Register the model again.",
        )
