"""The tests of all columns together in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

import numpy as np
import psutil
import pytest

from mlprod_nb.monitoring import beside, joint
from mlprod_nb.monitoring.beside import Beside
from mlprod_nb.monitoring.detectors.rows import JointComparison, RowDetector, Samples, read


def rows(*, shift: float = 0.7) -> Samples:
    random = np.random.default_rng(4)
    sides = [
        {"x": random.normal(more, 1, 300), "g": random.choice(np.array(["a", "b", None], dtype=object), 300)}
        for more in (0.0, shift)
    ]
    return read({"x": "number", "g": "category"}, *sides)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.fixture
def gaining(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process gain from another, as where it has imported nothing yet."""
    monkeypatch.setattr(beside, "_gains", lambda: True)


def compared(detectors: Iterable[RowDetector], samples: Samples, seed: int) -> list[JointComparison]:
    return [detector.compare(samples, seed) for detector in detectors]


@pytest.mark.usefixtures("gaining")
def test_the_other_process_says_what_would_be_computed_here_and_is_gone_then() -> None:
    before, samples, chosen = children(), rows(), joint.choose()
    with Beside() as there:
        assert children() > before
        detectors = there.detectors(chosen)
        found = compared(detectors, samples, 3)
        assert children() == before
        assert compared(detectors, samples, 4) == compared(chosen, samples, 4)
    assert found == compared(chosen, samples, 3)
    assert [one.name for one in detectors] == [one.name for one in chosen]
    assert [one.floor for one in detectors] == [one.floor for one in chosen]


@pytest.mark.usefixtures("gaining")
def test_a_process_that_is_killed_is_made_up_for_here() -> None:
    before, samples, chosen = children(), rows(shift=0), joint.choose()
    with Beside() as there:
        for pid in children() - before:
            psutil.Process(pid).kill()
        assert compared(there.detectors(chosen), samples, 0) == compared(chosen, samples, 0)


@pytest.mark.usefixtures("gaining")
def test_a_detector_of_another_package_computes_here() -> None:
    class Own:
        name, floor = "mmd", 0.0

        def compare(self, samples: Samples, seed: int) -> JointComparison:
            return JointComparison(reason="mine")

    with Beside() as there:
        assert there.detectors([Own()])[0].compare(rows(), 0).reason == "mine"


@pytest.mark.usefixtures("gaining")
def test_a_look_that_fails_or_does_not_ask_leaves_no_process() -> None:
    before = children()
    with pytest.raises(ValueError, match="unreadable"), Beside():
        raise ValueError("unreadable")
    with Beside():
        pass
    assert children() == before


def test_none_is_started_where_it_is_not_wanted_or_gains_nothing() -> None:
    import sklearn.ensemble  # noqa: F401

    before = children()
    with Beside(), Beside(wanted=False):
        assert children() == before


def test_the_other_process_takes_no_module_from_the_folder_it_runs_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "numpy.py").write_text("raise SystemExit(7)", encoding="utf-8")
    command = [sys.executable, "-P", "-m", beside.__name__]
    assert subprocess.run(command, cwd=folder, input=b"", capture_output=True, check=False).returncode == 0
