"""Environments made of recorded packages: kept by what is in them, whole or made anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.lifecycle.reproducing import environments

PACKAGES = {"numpy": "2.1.0", "mlprod_nb": "0.1.0", "own_tools": "3", "pandas": "2.2.3"}


@dataclass
class Pip:
    """Stands in for venv and pip: remembers what it was asked to install, and lacks some packages."""

    lacks: tuple[str, ...] = ()
    fails: str = ""
    installed: list[list[str]] = field(default_factory=list)
    commands: int = 0

    def __call__(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.commands += 1
        if "venv" in words:
            Path(words[-1]).mkdir(parents=True, exist_ok=True)
            return subprocess.CompletedProcess(words, 0, "", "")
        lines = Path(words[-1]).read_text().split()
        self.installed.append(lines)
        missing = next((line for line in lines if line.split("==")[0] in self.lacks), "")
        error = f"ERROR: No matching distribution found for {missing.replace('_', '-')}" if missing else self.fails
        return subprocess.CompletedProcess(words, 1 if error else 0, "", f"noise\n{error}\n[notice] update pip\n")


def made(folder: Path, pip: Pip, packages: dict[str, str] = PACKAGES) -> tuple[Path, tuple[str, ...]]:
    return environments.make(folder, sys.executable, packages, lambda said: None, pip)


def test_an_environment_is_made_once_and_kept_by_what_is_in_it(tmp_path: Path) -> None:
    pip = Pip()
    python, missing = made(tmp_path, pip)
    assert (missing, pip.installed) == ((), [["numpy==2.1.0", "own_tools==3", "pandas==2.2.3"]])
    assert made(tmp_path, pip) == (python, ())
    assert pip.commands == 2
    assert made(tmp_path, pip, {**PACKAGES, "numpy": "2.1.1"})[0] != python


def test_what_the_package_index_does_not_have_is_left_out_and_named_each_time(tmp_path: Path) -> None:
    pip = Pip(lacks=("own_tools",))
    assert made(tmp_path, pip)[1] == ("own_tools 3",)
    assert pip.installed[-1] == ["numpy==2.1.0", "pandas==2.2.3"]
    assert made(tmp_path, pip)[1] == ("own_tools 3",)


def test_one_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    with pytest.raises(ExecutionFailed, match=r"cannot be installed: no space left\. Reproduce it in this environment"):
        made(tmp_path, Pip(fails="ERROR: no space left"))
    pip = Pip()
    assert made(tmp_path, pip)[1] == ()
    assert pip.commands == 2
