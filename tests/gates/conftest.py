from __future__ import annotations

import importlib.metadata

import pytest

from mlprod_nb.gates import HeldOut, Inspection, Surroundings
from mlprod_nb.registry.bundles import Bundle
from tests.registry import samples


@pytest.fixture(scope="session")
def onnx_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return samples.onnx_bundle(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="session")
def python_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return samples.python_bundle(tmp_path_factory.mktemp("python"))


@pytest.fixture(scope="session")
def surroundings(onnx_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Surroundings:
    """Fresh rows of the same kind, and a champion that looks at less."""
    frame, late = samples.flights(2_000, seed=1)
    champion = samples.weak_bundle(tmp_path_factory.mktemp("champion"))
    root = tmp_path_factory.mktemp("root")
    (root / "osv.json").write_text('{"vulns": []}', encoding="utf-8")
    return Surroundings(
        HeldOut(frame, late.tolist(), "made up"),
        Inspection(champion, "flights/1"),
        packages={name: importlib.metadata.version(name) for name in ("numpy", "pandas", "onnxruntime")},
        root=root,
    )
