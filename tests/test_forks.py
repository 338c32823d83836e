from __future__ import annotations

import signal
import socket
import subprocess

import psutil
import pytest

from mlprod_nb.processes import identity, wait_for
from tests.forks import Forks


def test_a_command_has_words_input_and_outputs_of_its_own(forks: Forks) -> None:
    code = "import sys; print(sys.argv[1:], input()); print('aside', file=sys.stderr)"
    done = subprocess.run([forks.python, "-c", code, "a b"], input="c\n", capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("['a b'] c\n", "aside\n", 0)


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("raise SystemExit(3)", 3),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_a_command_ends_as_its_fork_does(forks: Forks, code: str, ended: int) -> None:
    assert subprocess.run([forks.python, "-c", code], stderr=subprocess.DEVNULL, timeout=60).returncode == ended


def test_a_fork_ends_with_its_caller(forks: Forks) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with subprocess.Popen([forks.python, "-c", code], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        fork = int(caller.stdout.readline())
        assert identity(fork)
        caller.kill()
    assert wait_for(lambda: not identity(fork), 30)


def test_a_caller_that_ends_before_it_has_asked_leaves_no_fork(forks: Forks) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(forks.python.parent / "forks.socket"))
        socket.send_fds(caller, [(100).to_bytes(4, "big")], [0, 1, 2])
    subprocess.run([forks.python, "-c", ""], check=True, timeout=60)  # whose turn comes after that caller's
    (server,) = [child for child in psutil.Process().children() if "tests.forks" in child.cmdline()]
    assert wait_for(lambda: all(fork.status() == psutil.STATUS_ZOMBIE for fork in server.children()), 30)


def test_mlprod_is_the_shells_own(forks: Forks) -> None:
    done = subprocess.run([forks.tools / "mlprod", "stauts"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Did you mean 'status'?" in done.stderr
