"""Micro-batches."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from mlprod_nb.serving.columns import Columns
from mlprod_nb.serving.errors import ModelFailed, ModelUnavailable
from mlprod_nb.serving.models.batching import Batcher, Scores


class Model:
    """Adds one; waits until it is let go; fails on negative values."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go = asyncio.Event()
        self.go.set()

    async def score(self, columns: Columns, rows: int) -> Scores:
        await self.go.wait()
        values = columns["x"]
        assert len(values) == rows
        self.batches.append(rows)
        if (values == -9).any():
            raise ModelUnavailable("ended.")
        if (values < 0).any():
            raise ModelFailed("negative.")
        return Scores((values + 1).tolist(), (values + 1).astype(np.float64))


def batcher(model: Model, **options: Any) -> Batcher:
    chosen: dict[str, Any] = {"max_rows": 8, "max_waiting_rows": 100, "observe": lambda rows: None} | options
    return Batcher(model.score, **chosen)


def column(*values: float) -> tuple[Columns, int]:
    return {"x": np.array(values)}, len(values)


async def test_an_idle_model_takes_one_row_at_once() -> None:
    model = Model()
    assert (await batcher(model).score(*column(1.0))).predictions == [2.0]
    assert model.batches == [1]


async def test_requests_that_arrive_while_a_batch_runs_go_together_and_get_their_own_rows() -> None:
    model = Model()
    model.go.clear()
    batches = batcher(model)
    tasks = [asyncio.ensure_future(batches.score(*column(float(i), float(i) + 0.5))) for i in range(4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    model.go.set()
    found = await asyncio.gather(*tasks)
    assert [scores.predictions for scores in found] == [[i + 1.0, i + 1.5] for i in range(4)]
    assert sum(model.batches) == 8
    assert len(model.batches) < 4


async def test_a_large_request_goes_in_parts_and_comes_back_whole() -> None:
    model = Model()
    scores = await batcher(model).score(*column(*np.arange(20.0)))
    assert scores.scores.tolist() == list(np.arange(20.0) + 1)
    assert model.batches == [8, 8, 4]


async def test_no_batch_is_larger_than_the_bound() -> None:
    model = Model()
    seen: list[int] = []
    batches = batcher(model, observe=seen.append)
    await asyncio.gather(*(batches.score(*column(*np.arange(5.0))) for _ in range(9)))
    assert max(seen) <= 8
    assert sum(seen) == 45


async def test_only_the_request_that_the_model_fails_on_fails() -> None:
    model = Model()
    model.go.clear()
    batches = batcher(model)
    tasks = [asyncio.ensure_future(batches.score(*column(value))) for value in (1.0, -1.0, 2.0)]
    await asyncio.sleep(0)
    model.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[1], ModelFailed)
    assert [getattr(scores, "predictions", None) for scores in (found[0], found[2])] == [[2.0], [3.0]]


async def test_a_model_that_ended_is_not_asked_again_for_the_same_batch() -> None:
    model = Model()
    with pytest.raises(ModelUnavailable):
        await batcher(model).score(*column(-9.0))
    assert model.batches == [1]


async def test_too_many_waiting_rows_are_refused_and_the_others_answered() -> None:
    model = Model()
    model.go.clear()
    batches = batcher(model, max_waiting_rows=10)
    tasks = [asyncio.ensure_future(batches.score(*column(*np.arange(5.0)))) for _ in range(4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    model.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(scores, ModelUnavailable) for scores in found) >= 1
    assert sum(isinstance(scores, Scores) for scores in found) >= 2


async def test_a_caller_that_gives_up_does_not_disturb_the_others() -> None:
    model = Model()
    model.go.clear()
    batches = batcher(model)
    tasks = [asyncio.ensure_future(batches.score(*column(float(i)))) for i in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    model.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert isinstance(found[0], Scores)
    assert isinstance(found[2], Scores)
    assert found[2].predictions == [3.0]
