from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.jupyterlab import Server, jupyterlab
from tools import labextension

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built() -> Path:
    """The built extension, current; without npm nobody can build it, and with npm it must be."""
    problem = labextension.trouble(ROOT)
    if problem and shutil.which("npm") is None:
        pytest.skip(f"npm is missing. {problem}")
    assert not problem, problem
    return ROOT / labextension.BUILT


@pytest.fixture(scope="session")
def wheel(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build(folder, required=True)
    (file,) = folder.glob("*.whl")
    return file


def build(folder: Path, *, root: Path = ROOT, required: bool = False) -> subprocess.CompletedProcess[str]:
    """Build the wheel of a source tree into a folder."""
    environment = {**os.environ, "MLPROD_LABEXTENSION": "required" if required else ""}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="session")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix into which pip installed the wheel, and nothing else was done."""
    folder = tmp_path_factory.mktemp("prefix")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--prefix", str(folder)]
    subprocess.run([*install, "--ignore-installed", str(wheel)], check=True, timeout=120)
    return folder


@pytest.fixture(scope="session")
def server(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyterlab(tmp_path_factory.mktemp("lab"), installed=prefix) as running:
        yield running
