"""The supervisor has the prediction log compacted, and what it was told to run after that; nothing of it harms it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlprod_nb.prediction_log.schema import encode_predictions
from mlprod_nb.settings import FILE_NAME, Layout
from tests.prediction_log.batches import predictions, write
from tests.serving.workshop import until

ROOT = Path(__file__).parents[2]
SUPERVISOR = """
import json, sys
from mlprod_nb.serving.supervision import supervisor

supervisor.COMPACT_SECONDS = 0.5
sys.exit(supervisor.Supervisor(json.loads(sys.argv[1])).run())
"""


@contextmanager
def supervised(root: Path, then: str) -> Iterator[Path]:
    """Run a supervisor without workers that compacts all the time; yield the file that it writes to."""
    (root / FILE_NAME).touch()
    Layout(root).state.mkdir()
    (root / "after.py").write_text(then)
    said = root / "said"
    with socket.socket() as listener, said.open("wb") as log:
        plan = {"root": str(root), "workers": 0, "listener": listener.fileno(), "after_compaction": "after"}
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, json.dumps(plan)],
            pass_fds=(listener.fileno(),),
            stderr=log,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{root}"},
        )
        try:
            yield said
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait(60)


def bodies(said: Path) -> list[str]:
    return [json.loads(line)["body"] for line in said.read_text().splitlines() if line.startswith("{")]


def test_what_was_told_runs_after_a_compaction_at_its_low_priority(tmp_path: Path) -> None:
    then = "import os, sys\nopen('done.txt', 'w').write(f'{os.nice(0)} {sys.argv[1:]}')\n"
    with supervised(tmp_path, f"import os\nos.chdir({str(tmp_path)!r})\n{then}"):
        write(Layout(tmp_path).log, encode_predictions(predictions(["a"])))
        done = tmp_path / "done.txt"
        until(lambda: done.exists() and bool(done.read_text()), 120)
    assert done.read_text() == f"10 {['--root', str(tmp_path)]}"


def test_a_compaction_follows_one_after_which_something_was_killed_and_the_log_says_so(tmp_path: Path) -> None:
    killed = "the compaction of the prediction log, or what was to come then, was ended by SIGKILL"
    with supervised(tmp_path, "import os\nos.kill(os.getpid(), 9)\n") as said:
        for number in (1, 2):
            write(Layout(tmp_path).log, encode_predictions(predictions([f"p{number}"])))
            until(lambda wanted=number: bodies(said).count(killed) == wanted, 120)  # type: ignore[misc]
        assert bodies(said) == 2 * ["1 row of 1 segment went into 1 file", killed]
