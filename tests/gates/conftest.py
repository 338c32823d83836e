from __future__ import annotations

import pytest

from mlprod_nb.registry.bundles import Bundle
from tests.registry import samples


@pytest.fixture(scope="session")
def onnx_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return samples.onnx_bundle(tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="session")
def python_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return samples.python_bundle(tmp_path_factory.mktemp("python"))
