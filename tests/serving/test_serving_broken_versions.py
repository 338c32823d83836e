"""Versions broken in every way we know, deployed over one that serves under load: each is refused and says why."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mlprod_nb.errors import MlprodError
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.registry.bundles import MANIFEST, ONNX_MODEL, SIGNATURE, Bundle, BundleStore, Column, Signature
from mlprod_nb.serving.client import GatewayClient
from mlprod_nb.serving.errors import ModelFailed
from mlprod_nb.serving.models.runtime import OnnxRuntime
from mlprod_nb.settings import WorkerSettings
from mlprod_nb.store import revisions
from mlprod_nb.targets import local
from tests.serving.workshop import GOOD_SOURCE, Workshop, forged, make_workshop, with_source

LIMITS = "[model_worker]\nstart_timeout_seconds = 5\ncall_timeout_seconds = 2\nmemory_mib = 1536\n"
COLUMNS: dict[str, list[Any]] = {"distance": [100.0, 2900.0], "carrier": ["AA", "UA"]}


@dataclass(frozen=True)
class Broken:
    """One kind of a broken version.

    Attributes:
        reason: What the refusal says.
        source: What is run after a good model's source; the model is called ``model``, its class ``Model``.
    """

    reason: str
    source: str


PREDICT = "Model.predict = lambda self, frame: "
SCORES = "Model.predict_proba = lambda self, frame: "
PYTHON = {
    "import error": Broken("ImportError: cannot import name 'nothing'", "from json import nothing"),
    "missing package": Broken("No module named 'package_of_nobody'", "import package_of_nobody"),
    "not even Python": Broken("SyntaxError", "def :"),
    "hang at load": Broken("did not load the model within 5 s", "import time; time.sleep(60)"),
    "endless load": Broken("did not load the model within 5 s", "while True: pass"),
    "crash at load": Broken("was ended by SIGSEGV while it loaded", "import os; os.kill(os.getpid(), 11)"),
    "exit at load": Broken("ended with exit code 1 while it loaded", "raise SystemExit('no')"),
    "out of memory at load": Broken("MemoryError", "model.weights = bytearray(1 << 31)"),
    "no model": Broken("has no attribute 'predict'", "model = None"),
    "hang at the first call": Broken("did not answer", f"{PREDICT}__import__('time').sleep(60)"),
    "exit at the first call": Broken("ended with exit code 3", f"{PREDICT}__import__('os')._exit(3)"),
    "crash at the first call": Broken("SIGSEGV", f"{PREDICT}__import__('ctypes').string_at(0)"),
    "abort at the first call": Broken("was ended by SIGABRT", f"{PREDICT}__import__('os').abort()"),
    "out of memory at the first call": Broken("MemoryError", f"{PREDICT}bytearray(1 << 31)"),
    "exception at the first call": Broken("ZeroDivisionError: division by zero", f"{PREDICT}1 / 0"),
    "endless recursion": Broken("RecursionError", f"{PREDICT}self.predict(frame)"),
    "missing package at the first call": Broken("'package_of_nobody'", f"{PREDICT}__import__('package_of_nobody')"),
    "file of another machine": Broken("FileNotFoundError", f"{PREDICT}open('/nowhere/weights.bin')"),
    "a row too few": Broken(r"labels of the shape \(63,\)", f"{PREDICT}[1] * (len(frame) - 1)"),
    "labels of a wrong shape": Broken(r"labels of the shape \(64, 2\)", f"{PREDICT}np.ones((len(frame), 2))"),
    "scores of a wrong shape": Broken(r"probabilities of the shape \(64, 3\)", f"{SCORES}np.ones((len(frame), 3))"),
    "scores that are no numbers": Broken("disagrees", f"{SCORES}np.full((len(frame), 2), np.nan)\n{PREDICT}[1] * 64"),
    "scores that are texts": Broken("could not convert", f"{SCORES}[['a', 'b']] * len(frame)\n{PREDICT}[1] * 64"),
    "other scores": Broken("disagrees", f"{SCORES}np.full((len(frame), 2), 0.123)"),
    "labels that JSON cannot hold": Broken(
        "unsupported type|not JSON serializable", f"{PREDICT}np.array([object()] * len(frame))"
    ),
    "endless output": Broken("did not answer", f"{PREDICT}[print('noise' * 9999) for _ in iter(int, 1)]"),
    "a question on the terminal": Broken("EOFError", f"{PREDICT}input('which model?')"),
    "closed connections": Broken("ended with exit code 1", f"{PREDICT}__import__('os').closerange(3, 256)"),
    "noise on every connection": Broken(
        "wrote what is no message",
        "import os\ndef predict(self, frame):\n"
        "    for number in range(3, 64):\n"
        "        try: os.write(number, b'\\xff' * 64)\n"
        "        except OSError: pass\n"
        "    return [1] * len(frame)\nModel.predict = predict",
    ),
    "processes without end": Broken(
        "did not answer",
        "import subprocess, time\ndef predict(self, frame):\n"
        "    while time.sleep(0.05) is None: subprocess.Popen(['sleep', '60'])\nModel.predict = predict",
    ),
    "a signal to its group": Broken("was ended by SIGTERM", f"{PREDICT}__import__('os').killpg(0, 15)"),
}


def flipped(bundle: Path) -> None:
    whole = (bundle / ONNX_MODEL).read_bytes()
    rewrite(bundle / ONNX_MODEL, whole[:-1] + bytes([whole[-1] ^ 1]))


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


# What happens to a bundle that lies in the store.
DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "wrong digest": ("model.onnx does not match its digest", flipped),
    "missing file": ("model.onnx is missing", lambda bundle: (bundle / ONNX_MODEL).unlink()),
    "torn manifest": ("manifest.json cannot be read", lambda bundle: rewrite(bundle / MANIFEST, b'{"format":')),
    "a file too many": ("extra.pkl is not listed", lambda bundle: (bundle / "extra.pkl").write_bytes(b"")),
}

NUMBER = Column("distance", "double", nullable=False)


def constant_onnx() -> bytes:
    """Return a valid model that takes an input which is no column."""
    given = helper.make_tensor_value_info("altitude", TensorProto.FLOAT, [None, 1])
    gives = helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Identity", ["altitude"], ["value"])], "g", [given], [gives])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def endless_onnx() -> bytes:
    """Return a valid model that takes one step after the other, without an end."""

    def info(name: str, kind: int, shape: list[int | None]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    step = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["state"], ["next"])],
        "step",
        [
            info("at", TensorProto.INT64, []),
            info("go", TensorProto.BOOL, []),
            info("state", TensorProto.FLOAT, [None, 1]),
        ],
        [info("go_on", TensorProto.BOOL, []), info("next", TensorProto.FLOAT, [None, 1])],
    )
    loop = helper.make_node("Loop", ["", "yes", "distance"], ["value"], body=step)
    given, gives = (info(name, TensorProto.FLOAT, [None, 1]) for name in ("distance", "value"))
    graph = helper.make_graph([loop], "g", [given], [gives], [numpy_helper.from_array(np.array(True), "yes")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


# Bundles that are whole, and were never the model that they should be.
FORGED: dict[str, tuple[str, dict[str, bytes]]] = {
    "no ONNX": ("model.onnx cannot be loaded", {ONNX_MODEL: b"\x08\x08not a model"}),
    "ONNX of other columns": ("takes the input 'altitude'", {ONNX_MODEL: constant_onnx()}),
    "wrong signature": (
        "column|input|signature|fails",
        {SIGNATURE: Signature((NUMBER, Column("airline", "string", nullable=False))).to_json()},
    ),
    "torn signature": ("signature.json cannot be read", {SIGNATURE: b"{}"}),
    "torn warm-up rows": ("warmup.json cannot be read", {"warmup.json": b"[]"}),
}


class UnderLoad:
    """A gateway that serves a good version of a model, to callers that note every failure."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(3)]

    def __enter__(self) -> UnderLoad:
        local.start(self.shop.root)
        self.deployed("flights", "champion")
        self.deployed("others", "python")  # its model worker is forked where the broken ones are
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
        local.stop(self.shop.root)

    def deployed(self, endpoint: str, name: str) -> None:
        outcome = self.shop.outcome(self.shop.propose(endpoint, self.shop.variant(name)))
        assert outcome.outcome == "active", outcome.detail

    def refused(self, digest: str) -> str:
        """Deploy a bundle over the good version; return why it is refused."""
        before = self.answered.total()
        revision = self.shop.propose("flights", self.shop.variant("broken", version=99, bundle=digest))
        outcome = self.shop.outcome(revision)
        assert outcome.outcome == "rejected", outcome
        while self.answered.total() < before + 10:  # the good version answers on; a hang here is the test's timeout
            assert not self.failed
            time.sleep(0.005)
        assert not self.failed
        assert set(self.answered) == {"flights/1", "others/1"}
        return outcome.detail

    def _call(self) -> None:
        record = local.running(self.shop.root)
        assert record is not None
        with GatewayClient(record.url, self.shop.token("caller")) as gateway:
            while not self._stopping.wait(0.005):
                try:
                    flights = gateway.predict("flights", COLUMNS)["model_version"]
                    others = gateway.predict("others", {"distance": [1.0]})["model_version"]
                except MlprodError as error:
                    self.failed.append(str(error))
                else:
                    self.answered.update([*flights, *(f"others/{name.split('/')[1]}" for name in others)])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, serving_bundles: dict[str, Bundle]) -> Iterator[UnderLoad]:
    folder = tmp_path_factory.mktemp("broken")
    good = with_source(serving_bundles["python"], folder, GOOD_SOURCE)
    shop = make_workshop(folder / "workspace", {**serving_bundles, "python": good}, LIMITS)
    with UnderLoad(shop) as load:
        yield load
    log = PredictionLog(shop.layout.log)
    rows = log.predictions(log.pin("flights"))
    assert set(rows["version"].to_pylist()) == {1}
    with shop.store() as store, store.read() as connection:
        active = revisions.active(connection)["flights"]
    assert active.number == 1


def forge(site: UnderLoad, like: str, files: dict[str, bytes]) -> Path:
    return forged(site.shop.bundles[like], site.shop.layout.bundles, files)


@pytest.mark.parametrize("kind", PYTHON)
def test_a_broken_python_model_is_refused_with_the_reason(site: UnderLoad, kind: str) -> None:
    broken = PYTHON[kind]
    source = f"{GOOD_SOURCE}\n{broken.source}\n"
    bundle = with_source(site.shop.bundles["python"], site.shop.layout.bundles, source)
    assert re.search(broken.reason, site.refused(bundle.digest))


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_bundle_is_refused_with_the_reason(site: UnderLoad, kind: str) -> None:
    reason, damage = DAMAGE[kind]
    bundle = forge(site, "challenger", {"profile.json": kind.encode()})
    damage(bundle)
    assert reason in site.refused(bundle.name)


@pytest.mark.parametrize("kind", FORGED)
def test_a_bundle_that_holds_another_model_is_refused_with_the_reason(site: UnderLoad, kind: str) -> None:
    reason, files = FORGED[kind]
    assert re.search(reason, site.refused(forge(site, "challenger", files).name))


def test_onnx_models_that_hang_in_warm_up_are_refused_and_keep_no_thread_from_requests(site: UnderLoad) -> None:
    shop, files = site.shop, {ONNX_MODEL: endless_onnx()}
    endless = [forge(site, "regression", {**files, "profile.json": b"%d" % number}).name for number in range(3)]
    proposed = [
        shop.propose(f"endless{number}", shop.variant("endless", version=number + 1, bundle=digest))
        for number, digest in enumerate(endless)
    ]
    record = local.running(shop.root)
    assert record is not None
    with GatewayClient(record.url, shop.token("caller")) as gateway:
        for rows in (1, 3, 9, 30, 90, 300):  # of a new size, so that it is not known to be quick and goes to a thread
            reply = gateway.predict("flights", {"distance": [1.0] * rows, "carrier": ["AA"] * rows})
            assert len(reply["scores"]) == rows
    for revision in proposed:
        outcome = shop.outcome(revision)
        assert outcome.outcome == "rejected"
        assert "did not answer its warm-up rows within 5 s" in outcome.detail


async def test_a_model_that_hangs_in_warm_up_is_stopped_when_it_is_closed(site: UnderLoad) -> None:
    folder = forge(site, "regression", {ONNX_MODEL: endless_onnx(), "profile.json": b"stopped"})
    with ThreadPoolExecutor(1) as threads:
        runtime = OnnxRuntime(BundleStore(folder.parent).get(folder.name), threads)
        warming = asyncio.ensure_future(runtime.warm_up({"distance": np.ones(2)}, 2))
        await asyncio.sleep(0)
        await runtime.close()
        with pytest.raises(ModelFailed):
            await warming


def test_a_bundle_that_is_nowhere_is_refused_with_the_reason(site: UnderLoad) -> None:
    assert "there is no bundle '0000" in site.refused("0" * 64).lower()


def test_variants_that_do_not_fit_each_other_are_refused_with_the_reason(site: UnderLoad) -> None:
    shop = site.shop
    revision = shop.propose("flights", shop.variant("champion"), shop.variant("regression", version=98))
    outcome = shop.outcome(revision)
    assert (outcome.outcome, "is a regression" in outcome.detail) == ("rejected", True)


def test_by_default_every_reason_comes_within_ten_seconds() -> None:
    assert WorkerSettings().start_timeout_seconds + 1 < 10
