"""Temporary folders: gone at the end, and after a kill as soon as another is asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mlprod_nb import scratch

HOLDING = """
import sys
from mlprod_nb import scratch
with scratch.temporary_folder("test") as place:
    (place / "large").write_text("data")
    print(place, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary folders, here and in processes that are started."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_folder_is_gone_at_the_end(temporary: Path) -> None:
    with scratch.temporary_folder("test") as place:
        assert place.parent.parent == temporary
        assert list(place.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_taken_away_and_what_a_living_one_holds_is_not(temporary: Path) -> None:
    command = [sys.executable, "-c", HOLDING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        with scratch.temporary_folder("test"):
            assert (left / "large").is_file()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with scratch.temporary_folder("other"):
        assert left.parent.is_dir(), "each kind sees to its own"
    with scratch.temporary_folder("test"):
        assert not left.parent.exists()


def test_a_folder_that_is_being_made_and_a_link_are_left_alone(temporary: Path) -> None:
    begun, other = temporary / "mlprod-test-begun", temporary / "elsewhere"
    begun.mkdir()
    other.mkdir()
    (other / ".held").touch()
    (temporary / "mlprod-test-link").symlink_to(other)
    with scratch.temporary_folder("test"):
        assert begun.is_dir()
        assert (other / ".held").exists()


def test_no_other_module_makes_a_temporary_folder_that_a_kill_would_leave() -> None:
    package = Path(scratch.__file__).parent
    sources = {file: file.read_text(encoding="utf-8") for file in package.rglob("*.py")}
    assert [file.name for file, text in sources.items() if "TemporaryDirectory(" in text] == ["scratch.py"]
