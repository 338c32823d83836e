"""Kernels forked by a nursery are as strict as those that are started: each new, each bounded, nothing of it left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mlprod_nb import notebooks
from mlprod_nb.notebooks.execution import MARK
from tests.notebook_files import code, write
from tests.notebooks.executions import alive, printed, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a nursery is on Linux only")
BEGIN = "import os, signal\nprint(os.getpid(), flush=True)"


@pytest.fixture(scope="module")
def nursery() -> Iterator[notebooks.Nursery]:
    with notebooks.Nursery() as opened:
        yield opened


def run(nursery: notebooks.Nursery, folder: Path, *sources: str, limit: float = 120.0) -> list[str]:
    """Execute cells in a fork, and return what each prints."""
    path = write(folder / "in.ipynb", code("top: int = 1", "parameters"), *map(code, sources))
    within = notebooks.Surroundings(nursery=nursery, memory_mib=1024)
    notebooks.execute(path, folder / "out.ipynb", {}, timeout_seconds=limit, cwd=folder, within=within)
    return printed(folder)


def test_each_execution_has_a_kernel_of_its_own_that_has_run_nothing(
    nursery: notebooks.Nursery, tmp_path: Path
) -> None:
    look = (
        "import json, os, random, sys\nimport numpy as np\n"
        "seen = getattr(sys, 'seen', False)\nsys.seen = True\n"
        "drawn = random.random(), np.random.rand()\n"
        "print(json.dumps([os.getpid(), seen, *drawn, os.getcwd(), __name__, sys.executable]))"
    )
    first, second = (json.loads(run(nursery, tmp_path, look)[1]) for _ in range(2))
    assert first[0] != second[0]
    assert [first[1], second[1]] == [False, False]
    assert first[2] != second[2]
    assert first[3] != second[3]
    assert first[4:] == second[4:] == [str(tmp_path), "__main__", sys.executable]
    assert not alive(first[0])


def test_two_at_a_time_are_forks_of_their_own_and_share_nothing(nursery: notebooks.Nursery, tmp_path: Path) -> None:
    names = ("one", "other")
    for name in names:
        (tmp_path / name).mkdir()

    def meet(name: str) -> str:
        # Each waits in its first cell for the other: one after the other would reach the limit.
        (wanted,) = set(names) - {name}
        leave = f"import os, sys, time\nopen('../at-{name}', 'w').close()\nsys.seen = os.environ['SEEN'] = '{name}'"
        wait = f"while not os.path.exists('../at-{wanted}'):\n    time.sleep(0.01)\nprint(sys.seen, os.environ['SEEN'])"
        return run(nursery, tmp_path / name, leave, wait)[2]

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(meet, names)) == ["one one\n", "other other\n"]
    assert "SEEN" not in run(nursery, tmp_path, "import os\nprint(sorted(os.environ))")[1]


def test_what_a_fork_starts_carries_its_mark_and_is_ended_even_where_it_left_its_parents(
    nursery: notebooks.Nursery, tmp_path: Path
) -> None:
    leave = (
        "import os, time\nread, write = os.pipe()\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        os.write(write, str(os.getpid()).encode())\n        time.sleep(600)\n    os._exit(0)\n"
        "print(os.read(read, 20).decode())"
    )
    mark = "import os, subprocess\nprint(os.environ['" + MARK + "'])\nprint(subprocess.Popen(['sleep', '600']).pid)"
    _, one, other = run(nursery, tmp_path, leave, mark)
    marked, pid = other.split()
    assert len(marked) == 32
    assert set(marked) != {"0"}
    assert not alive(int(one))
    assert not alive(int(pid))


ENDINGS: dict[str, tuple[str, str, float]] = {
    "raised": ("1 / 0", "error", 120.0),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "died", 120.0),
    "crashed": ("import ctypes\nctypes.string_at(0)", "died", 120.0),
    "out of memory": ("b'x' * 2**33", "memory", 120.0),
    "hung": ("import ctypes\nctypes.PyDLL(None).sleep(600)", "timeout", 15.0),
}


@pytest.mark.parametrize(("source", "reason", "limit"), ENDINGS.values(), ids=list(ENDINGS))
def test_a_fork_that_ends_early_is_told_kept_and_gone_and_the_next_one_runs(
    nursery: notebooks.Nursery, tmp_path: Path, source: str, reason: str, limit: float
) -> None:
    with pytest.raises(notebooks.NotebookFailed) as caught:
        run(nursery, tmp_path, BEGIN, source, "print('never')", limit=limit)
    assert (caught.value.reason, caught.value.cell_index) == (reason, 2)
    begun = printed(tmp_path)[1]
    assert not alive(int(begun.split()[0]))
    assert run(nursery, tmp_path, "print('still')")[1] == "still\n"


def test_a_kernel_that_is_named_is_not_forked(nursery: notebooks.Nursery, tmp_path: Path) -> None:
    path = write(tmp_path / "in.ipynb", code("print(1)"))
    within = notebooks.Surroundings(nursery=nursery, kernel="python3")
    notebooks.execute(path, tmp_path / "out.ipynb", {}, timeout_seconds=120, cwd=tmp_path, within=within)
    assert printed(tmp_path) == ["1\n"]


def test_a_nursery_that_was_killed_is_done_without(tmp_path: Path) -> None:
    with notebooks.Nursery() as opened:
        assert run(opened, tmp_path, "print('forked')")[1] == "forked\n"
        assert opened._process is not None
        opened._process.kill()
        assert run(opened, tmp_path, "print('started')")[1] == "started\n"


def test_a_caller_that_is_killed_leaves_neither_nursery_nor_fork(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ipynb", code(f"{BEGIN}\nopen(f'{{os.getpid()}}.pid', 'w').close()\nsignal.pause()"))
    program = (
        "import sys\nfrom concurrent.futures import ThreadPoolExecutor\nfrom pathlib import Path\n"
        "from mlprod_nb import notebooks\nfolder = Path(sys.argv[1])\n"
        "with notebooks.Nursery() as nursery, ThreadPoolExecutor(2) as threads:\n"
        "    within = notebooks.Surroundings(nursery=nursery)\n"
        "    for number in range(2):\n"
        f"        threads.submit(notebooks.execute, Path({str(path)!r}), folder / f'out-{{number}}.ipynb', {{}}, "
        "timeout_seconds=300, cwd=folder, within=within)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    below = [process.pid for process in psutil.Process(caller.pid).children(recursive=True)]
    assert {int(file.stem) for file in tmp_path.glob("*.pid")} <= set(below)
    caller.kill()
    caller.wait()
    until(lambda: not any(map(alive, below)))
