"""Model workers: their messages and limits, the nursery that forks them, the runtime that replaces them."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil
import pytest

from mlprod_nb import model_worker
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving.errors import ModelFailed, ModelUnavailable
from mlprod_nb.serving.models.batching import Batcher
from mlprod_nb.serving.models.loaded import LoadedModel, Station
from mlprod_nb.serving.models.nursery import ModelWorker, Nursery
from mlprod_nb.serving.models.worker import WorkerRuntime
from mlprod_nb.settings import WorkerSettings
from tests.serving.oddity import Oddity
from tests.serving.workshop import GOOD_SOURCE, make_odd_bundle, until, with_source

# Inside the tests' own process: mlflow's imports warn of what they will change.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_odd_bundle(tmp_path_factory.mktemp("odd") / "bundle")


def message(**data: Any) -> bytes:
    text = orjson.dumps(data)
    return len(text).to_bytes(4, "big") + text


def hello(folder: Path, memory_mib: int = 4096) -> bytes:
    return message(folder=str(folder), task="classification", classes=[0, 1], memory_mib=memory_mib)


def rows(*values: float | None) -> bytes:
    return message(rows=len(values), columns=[{"name": "distance", "type": "double", "values": list(values)}])


def replies(stream: bytes) -> list[dict[str, Any]]:
    found = []
    while stream:
        length = int.from_bytes(stream[:4], "big")
        found.append(orjson.loads(stream[4 : 4 + length]))
        stream = stream[4 + length :]
    return found


def test_it_loads_answers_tells_errors_and_ends_with_its_input(odd: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_worker, "_limit", lambda _: None)
    sent = io.BytesIO(hello(odd.path / "python_model") + rows(0.0, 1000.0) + rows(Oddity.FAILS) + rows(2000.0))
    got = io.BytesIO()
    assert model_worker.serve(sent, got) == 0
    ready, first, failed, last = replies(got.getvalue())
    assert ready == {"ready": True}
    assert first["predictions"] == [0, 1]
    assert first["scores"] == pytest.approx([0.5, 0.731059], abs=1e-6)
    assert failed["error"].startswith("RuntimeError")
    assert last["predictions"] == [1]


def test_a_model_that_does_not_load_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_worker, "_limit", lambda _: None)
    got = io.BytesIO()
    assert model_worker.serve(io.BytesIO(hello(tmp_path)), got) == 1
    assert "error" in replies(got.getvalue())[0]


@asynccontextmanager
async def forked(bundle: Bundle, memory_mib: int = 4096) -> AsyncIterator[ModelWorker]:
    """Give a worker that has loaded a bundle's model."""
    nursery = Nursery()
    nursery.need()
    worker = await nursery.fork()
    assert await worker.call(hello(bundle.path / "python_model", memory_mib)[4:]) == {"ready": True}
    yield worker
    await worker.end()
    assert not psutil.pid_exists(worker.pid)
    pid = nursery.pid
    assert pid is not None
    await nursery.leave()
    assert not psutil.pid_exists(pid)


async def test_what_a_model_prints_comes_neither_between_the_messages_nor_without_end(
    odd: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = "\nimport sys\nModel.predict = lambda self, frame: print('noise' * 200_000) or [len(sys.stdin.read())]\n"
    async with forked(with_source(odd, tmp_path, GOOD_SOURCE + noise)) as worker:
        for _ in range(3):
            assert (await worker.call(rows(0.0)[4:])) == {"predictions": [0], "scores": [0.5]}
    printed = capfd.readouterr().err
    assert "noise" in printed
    assert "prints more than is kept" in printed
    assert len(printed) < 1_000_000


async def test_a_worker_may_not_take_more_memory_than_its_limit(odd: Bundle, tmp_path: Path) -> None:
    greed = "\nModel.predict = lambda self, frame: bytearray(1 << 30)\n"
    async with forked(with_source(odd, tmp_path, GOOD_SOURCE + greed), memory_mib=1024) as worker:
        assert (await worker.call(rows(0.0)[4:]))["error"].startswith("MemoryError")


async def test_two_workers_draw_numbers_of_their_own(odd: Bundle, tmp_path: Path) -> None:
    dice = "\nModel.predict_proba = lambda self, frame: np.random.uniform(size=(len(frame), 2))\n"
    dice += "Model.predict = lambda self, frame: [1] * len(frame)\n"
    bundle = with_source(odd, tmp_path, GOOD_SOURCE + dice)
    drawn = []
    nursery = Nursery()
    nursery.need()
    for _ in range(2):
        worker = await nursery.fork()
        await worker.call(hello(bundle.path / "python_model")[4:])
        drawn.append((await worker.call(rows(0.0)[4:]))["scores"])
        await worker.end()
    await nursery.leave()
    assert drawn[0] != drawn[1]


async def test_what_a_model_started_ends_with_its_worker(odd: Bundle, tmp_path: Path) -> None:
    children = "\nimport subprocess\nmodel.classes_ = [subprocess.Popen(['sleep', '60']) for _ in range(5)]\n"
    async with forked(with_source(odd, tmp_path, GOOD_SOURCE + children)) as worker:
        sleepers = psutil.Process(worker.pid).children()
        assert len(sleepers) == 5
        await worker.kill()
        psutil.wait_procs(sleepers, 10)
    assert not any(sleeper.is_running() and sleeper.status() != psutil.STATUS_ZOMBIE for sleeper in sleepers)


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


def test_a_frame_of_numbers_is_made_at_once_and_is_the_same() -> None:
    columns = [{"name": name, "type": "double", "values": [None, number]} for name, number in (("x", 1.0), ("y", 2))]
    at_once = model_worker._frame(columns)
    one_by_one = model_worker._frame([*columns, {"name": "n", "type": "long", "values": [1, 2]}])
    assert at_once.equals(one_by_one[["x", "y"]])
    assert [str(dtype) for dtype in at_once.dtypes] == ["float64", "float64"]


async def ask(runtime: WorkerRuntime, *values: float) -> Any:
    return (await runtime.score({"distance": np.array(values)}, len(values))).predictions


async def test_a_worker_that_crashes_or_hangs_is_killed_and_replaced(
    odd: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = await WorkerRuntime.start(odd, WorkerSettings(), Nursery())
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
        with monkeypatch.context() as patched:  # a limit that only what hangs meets
            patched.setattr(runtime, "_settings", WorkerSettings(call_timeout_seconds=0.1))
            with pytest.raises(ModelUnavailable, match=r"did not answer within 0\.1 s"):
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
    runtime = await WorkerRuntime.start(odd, WorkerSettings(), Nursery())
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


async def test_an_idle_worker_that_ends_is_replaced_before_anyone_asks(odd: Bundle) -> None:
    runtime = await WorkerRuntime.start(odd, WorkerSettings(), Nursery())
    try:
        first = runtime.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await replaced(runtime, first)
        assert await ask(runtime, 1000.0) == [1]
    finally:
        await runtime.close()


async def test_the_nursery_is_started_anew_with_its_workers(odd: Bundle) -> None:
    nursery = Nursery()
    runtime = await WorkerRuntime.start(odd, WorkerSettings(), nursery)
    try:
        before, first = nursery.pid, runtime.pid
        assert before is not None
        assert first is not None
        os.kill(before, signal.SIGKILL)
        await replaced(runtime, first)
        assert nursery.pid != before
        assert await ask(runtime, 1000.0) == [1]
    finally:
        await runtime.close()
    assert nursery.pid is None


def admits(runtime: WorkerRuntime) -> bool:
    try:
        runtime.admit()
    except ModelUnavailable:
        return False
    return True


async def test_whoever_comes_while_a_worker_hangs_is_refused_at_once(odd: Bundle) -> None:
    runtime = await WorkerRuntime.start(odd, WorkerSettings(call_timeout_seconds=3.0), Nursery())
    model = LoadedModel(
        odd, [Station(runtime, Batcher(runtime.score, max_rows=8, max_waiting_rows=9, observe=lambda _: None))]
    )
    try:
        hung = asyncio.ensure_future(model.score({"distance": np.array([Oddity.HANGS])}, 1))
        while not hung.done() and admits(runtime):
            await asyncio.sleep(0.01)
        assert not hung.done()
        with pytest.raises(ModelUnavailable, match="has not answered"):
            await model.score({"distance": np.array([1000.0])}, 1)
        with pytest.raises(ModelUnavailable, match="did not answer within 3 s"):
            await hung
        async with asyncio.timeout(20):
            while runtime.pid is None:
                await asyncio.sleep(0.01)
        assert (await model.score({"distance": np.array([1000.0])}, 1)).predictions == [1]
    finally:
        await runtime.close()


@pytest.mark.parametrize(
    ("ending", "seconds", "told"),
    [
        ("os._exit(3)", 60, "ended with exit code 3 while it loaded the model"),
        ("os.kill(os.getpid(), 11)", 60, "was ended by SIGSEGV while it loaded the model"),
        ("import nothing_of_the_kind", 60, "cannot load the model: ModuleNotFoundError: No module named"),
        ("import time; time.sleep(60)", 0.5, "did not load the model within 0.5 s"),
    ],
)
async def test_a_model_that_does_not_load_is_refused_with_the_reason(
    odd: Bundle, tmp_path: Path, ending: str, seconds: float, told: str
) -> None:
    broken = with_source(odd, tmp_path, f"import os\n{ending}\n")
    nursery = Nursery()
    with pytest.raises(ModelUnavailable, match=told):
        await WorkerRuntime.start(broken, WorkerSettings(start_timeout_seconds=seconds), nursery)
    assert nursery.pid is None


async def test_the_workers_end_with_a_gateway_that_is_killed(odd: Bundle) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from mlprod_nb.registry.bundles import read_bundle\n"
        "from mlprod_nb.serving.models.nursery import Nursery\n"
        "from mlprod_nb.serving.models.worker import WorkerRuntime\n"
        "from mlprod_nb.settings import WorkerSettings\n"
        "async def main():\n"
        "    nursery = Nursery()\n"
        "    runtime = await WorkerRuntime.start(read_bundle(Path(sys.argv[1])), WorkerSettings(), nursery)\n"
        "    print(nursery.pid, runtime.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    gateway = subprocess.Popen([sys.executable, "-c", script, str(odd.path)], stdout=subprocess.PIPE)
    assert gateway.stdout is not None
    family = [psutil.Process(int(pid)) for pid in gateway.stdout.readline().split()]
    os.kill(gateway.pid, signal.SIGKILL)
    gateway.wait()
    gateway.stdout.close()
    until(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family))
