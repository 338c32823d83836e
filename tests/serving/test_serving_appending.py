"""Appending to the prediction log."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.schema import PredictionBatch
from mlprod_nb.serving.appending import LogAppender
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.telemetry import Telemetry

NOW = datetime(2013, 4, 1, tzinfo=UTC)
IDS = Identifiers()


def batch(*values: float, revision: int = 1, **inputs: Any) -> PredictionBatch:
    n = len(values)
    return PredictionBatch(
        prediction_id=IDS.take(n),
        request_id=[IDS.new()] * n,
        endpoint=["flights"] * n,
        revision=[revision] * n,
        variant=["champion"] * n,
        model=["flights"] * n,
        version=[1] * n,
        shadow=[False] * n,
        unit=[None] * n,
        event_time=[NOW] * n,
        received_at=[NOW] * n,
        latency_ms=[1.0] * n,
        prediction=["1"] * n,
        score=np.array(values),
        inputs={"x": np.array(values), **inputs},
    )


def appends(telemetry: Telemetry) -> float:
    lines = telemetry.text().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith('mlprod_log_appends_total{kind="pred'))


async def test_rows_that_arrive_together_share_records_and_are_all_there(tmp_path: Path) -> None:
    telemetry = Telemetry()
    log = LogAppender(tmp_path, telemetry)
    batches = [batch(float(i), i + 0.5, revision=1 + (i > 50)) for i in range(100)]
    await asyncio.gather(*(log.predictions(each) for each in batches))
    log.close()
    assert appends(telemetry) <= 4
    reader = PredictionLog(tmp_path)
    rows = reader.predictions(reader.pin("flights")).to_pylist()
    found = {row["prediction_id"]: (row["inputs"]["x"], row["score"], row["revision"]) for row in rows}
    assert len(rows) == 200
    for i, each in enumerate(batches):
        for place, value in enumerate((float(i), i + 0.5)):
            assert found[each.prediction_id[place]] == (value, value, 1 + (i > 50))


async def test_rows_that_cannot_be_encoded_do_not_take_others_with_them(tmp_path: Path) -> None:
    log = LogAppender(tmp_path, Telemetry())
    bad = batch(1.0)
    object.__setattr__(bad, "unit", ["\ud800"])
    found = await asyncio.gather(
        *(log.predictions(each) for each in (batch(1.0), batch(1.0), bad, batch(2.0))), return_exceptions=True
    )
    log.close()
    assert [isinstance(each, Exception) for each in found] == [False, False, True, False]


async def test_a_caller_that_gives_up_does_not_stop_the_log(tmp_path: Path) -> None:
    log = LogAppender(tmp_path, Telemetry())
    tasks = [asyncio.ensure_future(log.predictions(batch(float(i)))) for i in range(5)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[3].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await log.predictions(batch(9.0))
    log.close()
    assert not log.failed


async def test_a_log_that_failed_goes_on_in_a_new_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogAppender(tmp_path, Telemetry())
    first = log._writer
    monkeypatch.setattr(first, "_append", _full)
    with pytest.raises(Exception, match="cannot be written"):
        await log.predictions(batch(1.0))
    failures = [log.failed]
    await log._reopen()
    await log.predictions(batch(2.0))
    log.close()
    assert [*failures, log.failed] == [True, False]


def _full(data: bytes) -> None:
    raise OSError(28, "No space left on device")
