"""The model worker: its messages, its limits, and the runtime that kills and replaces it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil
import pytest

from mlprod_nb import model_worker
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.conversion import build_bundle, prepare
from mlprod_nb.serving.errors import ModelFailed, ModelUnavailable
from mlprod_nb.serving.worker import WorkerRuntime
from mlprod_nb.settings import WorkerSettings
from tests.serving.workshop import ROWS, Oddity, training_frame, until

# Inside the tests' own process: mlflow's imports warn of what they will change.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    frame = training_frame()[["distance"]]
    prepared = prepare(Oddity().fit(frame, [0, 1] * (ROWS // 2)), frame)
    return build_bundle(prepared, folder=tmp_path_factory.mktemp("odd") / "bundle", profile=b"{}")


def message(**data: Any) -> bytes:
    text = orjson.dumps(data)
    return len(text).to_bytes(4, "big") + text


def rows(*values: float | None) -> bytes:
    return message(rows=len(values), columns=[{"name": "distance", "type": "double", "values": list(values)}])


def replies(stream: bytes) -> list[dict[str, Any]]:
    found = []
    while stream:
        length = int.from_bytes(stream[:4], "big")
        found.append(orjson.loads(stream[4 : 4 + length]))
        stream = stream[4 + length :]
    return found


def test_it_loads_answers_tells_errors_and_ends_with_its_input(odd: Bundle) -> None:
    hello = message(task="classification", classes=[0, 1])
    sent = io.BytesIO(hello + rows(0.0, 1000.0) + rows(Oddity.FAILS) + rows(2000.0))
    got = io.BytesIO()
    assert model_worker.serve(odd.path / "python_model", sent, got) == 0
    ready, first, failed, last = replies(got.getvalue())
    assert ready == {"ready": True}
    assert first["predictions"] == [0, 1]
    assert first["scores"] == pytest.approx([0.5, 0.731059], abs=1e-6)
    assert failed["error"].startswith("RuntimeError")
    assert last["predictions"] == [1]


def test_a_model_that_does_not_load_is_told(tmp_path: Path) -> None:
    got = io.BytesIO()
    sent = io.BytesIO(message(task="regression", classes=[]))
    assert model_worker.serve(tmp_path, sent, got) == 1
    assert "error" in replies(got.getvalue())[0]


def test_what_the_model_prints_does_not_come_between_the_messages(tmp_path: Path) -> None:
    script = (
        "import sys; from mlprod_nb import model_worker\n"
        "model_worker.load = lambda *_: lambda message: print('noise') or {'predictions': [1], 'scores': [1.0]}\n"
        "sys.exit(model_worker.main([sys.argv[1], '--memory-mib=1024']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        input=message(task="regression", classes=[]) + rows(1.0),
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert replies(done.stdout) == [{"ready": True}, {"predictions": [1], "scores": [1.0]}]
    assert b"noise" in done.stderr


def test_a_worker_may_not_take_more_memory_than_its_limit(tmp_path: Path) -> None:
    script = (
        "import sys; from mlprod_nb import model_worker\n"
        "model_worker.load = lambda *_: lambda message: {'size': len(bytearray(1 << 30))}\n"
        "sys.exit(model_worker.main([sys.argv[1], '--memory-mib=512']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        input=message(task="regression", classes=[]) + rows(1.0),
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert replies(done.stdout)[1]["error"].startswith("MemoryError")


def test_missing_values_reach_the_model_as_nan() -> None:
    frame = model_worker._frame(
        [
            {"name": "x", "type": "double", "values": [None, 1.0]},
            {"name": "n", "type": "long", "values": [1, 2]},
            {"name": "m", "type": "long", "values": [1, None]},
            {"name": "c", "type": "string", "values": ["a", None]},
            {"name": "b", "type": "boolean", "values": [True, False]},
        ]
    )
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "int64", "float64", "object", "bool"]
    assert frame.isna().sum().tolist() == [1, 0, 1, 1, 0]


async def ask(runtime: WorkerRuntime, *values: float) -> Any:
    return (await runtime.score({"distance": np.array(values)}, len(values))).predictions


async def test_a_worker_that_crashes_or_hangs_is_killed_and_replaced(odd: Bundle) -> None:
    runtime = await WorkerRuntime.start(odd, WorkerSettings(call_timeout_seconds=1.0))
    try:
        assert await ask(runtime, 1000.0) == [1]
        first = runtime.pid
        assert first is not None
        with pytest.raises(ModelFailed) as failed:
            await ask(runtime, Oddity.FAILS)
        assert "/etc" not in str(failed.value)
        assert runtime.pid == first
        with pytest.raises(ModelUnavailable):
            await ask(runtime, Oddity.ENDS)
        with pytest.raises(ModelUnavailable, match="being replaced"):
            await ask(runtime, 1000.0)
        second = await replaced(runtime, first)
        with pytest.raises(ModelUnavailable):
            await ask(runtime, Oddity.HANGS)
        await replaced(runtime, second)
        assert not psutil.pid_exists(second)
        assert await ask(runtime, 1000.0) == [1]
    finally:
        last = runtime.pid
        await runtime.close()
    assert last is None or not psutil.pid_exists(last)


async def replaced(runtime: WorkerRuntime, before: int) -> int:
    async with asyncio.timeout(60):
        while runtime.pid in (None, before):
            await asyncio.sleep(0.02)
    assert runtime.pid is not None
    return runtime.pid


async def test_a_caller_that_gives_up_leaves_its_reply_to_nobody(odd: Bundle) -> None:
    runtime = await WorkerRuntime.start(odd, WorkerSettings())
    try:
        for _ in range(3):
            gone = asyncio.ensure_future(ask(runtime, Oddity.DAWDLES, -500.0))
            await asyncio.sleep(0.05)  # it is under way, or, on a busy machine, only about to be: both are given up
            gone.cancel()
            waiting = asyncio.ensure_future(ask(runtime, Oddity.DAWDLES))
            await asyncio.sleep(0)
            waiting.cancel()
            assert await ask(runtime, 1000.0) == [1]
            assert await ask(runtime, -1000.0, 1000.0) == [0, 1]
        assert gone.cancelled()
        assert waiting.cancelled()
    finally:
        await runtime.close()


async def test_a_model_that_takes_too_long_to_load_is_refused(odd: Bundle) -> None:
    with pytest.raises(ModelUnavailable, match=r"did not load within 0\.05 s"):
        await WorkerRuntime.start(odd, WorkerSettings(start_timeout_seconds=0.05))


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = 'from mlprod_nb import model_worker; import sys, time; model_worker._limit(1024); "
        "print(1, flush=True); time.sleep(60)'\n"
        "worker = subprocess.Popen([sys.executable, '-c', child], stdout=subprocess.PIPE, start_new_session=True)\n"
        "worker.stdout.read(1); print(worker.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE)
