"""ONNX models in the gateway's process: quick batches on the event loop, others on a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pytest

from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.onnx_runner import OnnxRunner
from mlprod_nb.serving.models.runtime import OnnxRuntime, Pace


class CountingThreads(Executor):
    """Runs what it is given at once, and counts it."""

    def __init__(self) -> None:
        self.given = 0

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        self.given += 1
        future: Future[Any] = Future()
        future.set_result(call(*arguments, **options))
        return future


async def test_a_batch_that_only_waits_for_other_threads_is_scored_on_the_event_loop(
    serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, never = OnnxRunner.run, threading.Event()

    def run_late(runner: OnnxRunner, columns: Any) -> Any:
        never.wait(0.002)  # takes no processor time, as waiting for the interpreter takes none
        return run(runner, columns)

    monkeypatch.setattr(OnnxRunner, "run", run_late)
    threads = CountingThreads()
    runtime = OnnxRuntime(serving_bundles["regression"], threads)
    for _ in range(40):  # the first ones make ready what later ones use
        before = threads.given
        await runtime.score({"distance": np.ones(3)}, 3)
    assert threads.given == before > 0


async def test_a_batch_of_a_size_that_is_not_known_goes_to_a_thread(serving_bundles: dict[str, Bundle]) -> None:
    threads = CountingThreads()
    runtime = OnnxRuntime(serving_bundles["regression"], threads)
    for number, rows in enumerate((1, 2, 4, 8)):
        assert threads.given == number
        await runtime.score({"distance": np.ones(rows)}, rows)


def test_what_is_slow_at_one_size_may_be_quick_at_another_and_becomes_quick_when_it_speeds_up() -> None:
    pace = Pace()
    pace.learn(100, 0.01)
    pace.learn(1, 1e-5)
    assert [pace.quick(rows) for rows in (1, 64, 100, 127, 128)] == [True, False, False, False, False]
    for _ in range(30):
        pace.learn(100, 1e-5)
    assert pace.quick(64)
    assert not pace.quick(128)
