from __future__ import annotations

from pathlib import Path

import pytest

from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.models import Registry
from tests.registry import samples


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One registry for all tests, since making its database takes seconds; each test takes a model name of its own."""
    root = tmp_path_factory.mktemp("registry")
    return Registry(f"sqlite:///{root}/state/mlflow.db", root / "artifacts")


@pytest.fixture(scope="session")
def onnx_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return samples.onnx_bundle(tmp_path_factory.mktemp("onnx"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bundle"
