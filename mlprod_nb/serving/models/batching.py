"""Micro-batches that form while the one before runs: no row waits for a clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import Columns, concatenate, take
from mlprod_nb.serving.errors import ModelUnavailable


@dataclass(frozen=True)
class Scores:
    """What a model says of some rows.

    Attributes:
        predictions: The predicted label (classification) or value (regression) of each row.
        scores: The score of each row, float64, shape ``(rows,)``.
    """

    predictions: list[Any]
    scores: NDArray[np.float64]

    def part(self, start: int, stop: int) -> Scores:
        """Return the scores of the rows ``start`` to ``stop``, the last excluded."""
        return Scores(self.predictions[start:stop], self.scores[start:stop])


ScoreRows = Callable[[Columns, int], Awaitable[Scores]]


@dataclass(frozen=True)
class _Waiting:
    columns: Columns
    rows: int
    scores: asyncio.Future[Scores]


class Batcher:
    """Joins the rows of requests that wait for one model.

    An idle model takes a request at once. While it works, the requests that arrive wait together and go to it as one
    batch. A failure of a joint batch is not everyone's: its requests are tried again one by one, so that only the
    request that the model fails on fails.

    Args:
        score: Scores a batch of rows.
        max_rows: Most rows in one batch; a larger request goes in parts.
        max_waiting_rows: Most rows that may wait.
        observe: Told the number of rows of each batch.
    """

    def __init__(
        self, score: ScoreRows, *, max_rows: int, max_waiting_rows: int, observe: Callable[[int], None]
    ) -> None:
        self._score_rows = score
        self._max_rows = max_rows
        self._max_waiting_rows = max_waiting_rows
        self._observe = observe
        self._waiting: deque[_Waiting] = deque()
        self._waiting_rows = 0
        self._busy = False
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting_rows(self) -> int:
        """How many rows wait for the model."""
        return self._waiting_rows

    async def score(self, columns: Columns, rows: int) -> Scores:
        """Return the scores of some rows.

        Args:
            columns: One array a column, each of shape ``(rows,)``.
            rows: How many rows.

        Raises:
            ModelUnavailable: The model cannot answer now, or too many rows wait for it.
            ModelFailed: The model fails on these rows.
        """
        if rows > self._max_rows:
            bounds = range(0, rows, self._max_rows)
            parts = [
                await self.score(take(columns, slice(i, i + self._max_rows)), min(self._max_rows, rows - i))
                for i in bounds
            ]
            return _join(parts)
        if not self._busy:
            return await self._score_alone(columns, rows)
        if self._waiting and self._waiting_rows + rows > self._max_waiting_rows:
            raise ModelUnavailable("too many rows wait for this model.", hint="Try again in a moment.")
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(columns, rows, future))
        self._waiting_rows += rows
        return await future

    async def _score_alone(self, columns: Columns, rows: int) -> Scores:
        """Score at once, in the caller's own task; what arrives meanwhile waits, and goes on in a task."""
        self._busy = True
        self._observe(rows)
        try:
            return await self._score_rows(columns, rows)
        finally:
            self._busy = bool(self._waiting)
            if self._busy:
                self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                if batch := self._take():
                    await self._answer(batch)
        finally:
            self._busy = False
            self._task = None

    def _take(self) -> list[_Waiting]:
        """Take as many waiting requests as fit into one batch; those whose caller is gone are dropped."""
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting and rows + self._waiting[0].rows <= self._max_rows:
            request = self._waiting.popleft()
            self._waiting_rows -= request.rows
            if not request.scores.done():
                batch.append(request)
                rows += request.rows
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        rows = sum(request.rows for request in batch)
        columns = batch[0].columns if len(batch) == 1 else concatenate([request.columns for request in batch])
        self._observe(rows)
        try:
            scores = await self._score_rows(columns, rows)
        except ModelUnavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 (whatever a model raises belongs to the request that caused it)
            if len(batch) == 1:
                _fail(batch, error)
                return
            for request in batch:
                await self._answer([request])
        else:
            start = 0
            for request in batch:
                if not request.scores.done():
                    request.scores.set_result(scores.part(start, start + request.rows))
                start += request.rows


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for request in batch:
        if not request.scores.done():
            request.scores.set_exception(error)


def _join(parts: list[Scores]) -> Scores:
    return Scores(
        [prediction for part in parts for prediction in part.predictions],
        np.concatenate([part.scores for part in parts]),
    )
