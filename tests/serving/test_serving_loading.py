"""An ONNX model that ends the process which loads it ends one gateway worker once, and is refused with the reason."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from onnx import TensorProto, helper

from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.registry.bundles import ONNX_MODEL, Bundle, BundleStore
from mlprod_nb.serving.models.loading import LoadingNotes
from mlprod_nb.targets import local
from tests.serving.workshop import Workshop, body, forged, make_workshop

DEEP = 40_000
CRASHES = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
HANGS = (sys.executable, "-c", "import time; time.sleep(60)")
MUST_NOT_RUN = ("/nowhere/no-such-program",)


def deep_onnx() -> bytes:
    """Return a valid tree so deep that onnxruntime, which reads it by recursion, runs out of its stack."""
    branches = range(0, 2 * DEEP, 2)
    leaves = [*(branch + 1 for branch in branches), 2 * DEEP]
    nodes = sorted([*branches, *leaves])
    is_branch = [node % 2 == 0 and node < 2 * DEEP for node in nodes]
    tree = helper.make_node(
        "TreeEnsembleRegressor",
        ["distance"],
        ["variable"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0] * len(nodes),
        nodes_nodeids=nodes,
        nodes_featureids=[0] * len(nodes),
        nodes_modes=["BRANCH_LEQ" if branch else "LEAF" for branch in is_branch],
        nodes_values=[float(node) for node in nodes],
        nodes_truenodeids=[node + 2 if branch else 0 for node, branch in zip(nodes, is_branch, strict=True)],
        nodes_falsenodeids=[node + 1 if branch else 0 for node, branch in zip(nodes, is_branch, strict=True)],
        target_treeids=[0] * len(leaves),
        target_nodeids=leaves,
        target_ids=[0] * len(leaves),
        target_weights=[1.0] * len(leaves),
    )
    given = helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1])
    gives = helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, 1])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(helper.make_graph([tree], "g", [given], [gives]), opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def served(tmp_path: Path, serving_bundles: dict[str, Bundle]) -> Iterator[tuple[Workshop, str]]:
    shop = make_workshop(tmp_path / "workspace", serving_bundles)
    try:
        yield shop, local.start(shop.root).url
    finally:
        local.stop(shop.root)


def test_a_model_that_crashes_onnxruntime_is_refused_after_one_crash_and_others_serve(
    served: tuple[Workshop, str], tmp_path: Path
) -> None:
    shop, url = served
    assert shop.outcome(shop.propose("flights", shop.variant("champion"))).outcome == "active"
    folder = forged(shop.bundles["regression"], tmp_path, {ONNX_MODEL: deep_onnx()})
    BundleStore(shop.layout.bundles).add(folder)
    outcome = shop.outcome(shop.propose("delay", shop.variant("deep", bundle=folder.name)))
    assert outcome.outcome == "rejected"
    assert "a trial process was ended by SIGSEGV while it loaded it" in outcome.detail
    assert local.condition(shop.root).restarts == 1
    headers = {"Authorization": f"Bearer {shop.token()}"}
    reply = httpx.post(f"{url}/endpoints/flights/invocations", json=body(), headers=headers, timeout=20)
    assert reply.status_code == 200, reply.text


def left_behind(folder: Path, bundle: Bundle) -> Path:
    """Leave the note of a worker that was killed while it loaded a model."""
    folder.mkdir()
    note = folder / f"{bundle.digest}.killed"
    note.touch()
    return note


async def test_a_model_that_nobody_failed_on_is_loaded_without_a_trial(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    notes = LoadingNotes(tmp_path / "loading", "w", MUST_NOT_RUN)
    for _ in range(2):
        async with notes.note(serving_bundles["champion"], 5):
            assert len(list((tmp_path / "loading").iterdir())) == 1
    assert list((tmp_path / "loading").iterdir()) == []


async def test_a_note_that_was_left_costs_one_trial_where_the_model_is_good(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    bundle = serving_bundles["champion"]
    note = left_behind(tmp_path / "loading", bundle)
    async with LoadingNotes(tmp_path / "loading", "w").note(bundle, 60):
        assert not note.exists()
    async with LoadingNotes(tmp_path / "loading", "w", MUST_NOT_RUN).note(bundle, 60):
        pass


async def test_a_model_that_another_worker_is_just_loading_is_waited_for_and_needs_no_trial(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    one, other = (LoadingNotes(tmp_path / "loading", name, MUST_NOT_RUN) for name in ("one", "other"))
    order: list[str] = []

    async def load_second() -> None:
        async with other.note(serving_bundles["champion"], 5):
            order.append("second")

    async with one.note(serving_bundles["champion"], 5):
        second = asyncio.ensure_future(load_second())
        await asyncio.sleep(0)
        order.append("first")
    await second
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("command", "seconds", "words"), [(CRASHES, 60, "was ended by SIGSEGV"), (HANGS, 0.3, "within 0.3 s")]
)
async def test_a_model_that_ends_or_hangs_its_trial_is_not_loaded_and_the_note_stays(
    tmp_path: Path, serving_bundles: dict[str, Bundle], command: tuple[str, ...], seconds: float, words: str
) -> None:
    bundle = serving_bundles["champion"]
    note = left_behind(tmp_path / "loading", bundle)
    with pytest.raises(ExecutionFailed, match=words):
        async with LoadingNotes(tmp_path / "loading", "w", command).note(bundle, seconds):
            raise AssertionError("it is loaded")
    assert note.exists()
