"""How long the machine kept a process waiting, which is not to be blamed for that silence; standard library only."""

from __future__ import annotations

from pathlib import Path

_NANOSECONDS = 1e-9


class Starvation:
    """Tells how long the threads of a process waited for a processor, or for a disk where signals do not reach them.

    A thread of an event loop that hangs runs, sleeps or is stopped. One that is kept waiting is ready to run and does
    not, or is in the kernel for a page: on a loaded machine that takes a second at times, and a successor would be
    kept waiting, too. Where the system does not tell (no Linux), nobody waits.

    Args:
        pid: The process.
        proc: Where the system tells of its processes.
    """

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self._tasks = proc / str(pid) / "task"
        self._waited: dict[str, int] = {}

    def since(self, elapsed: float) -> float:
        """Return for how many of the last seconds the process was kept waiting; to be asked again and again.

        Args:
            elapsed: How long ago this was asked before, seconds.
        """
        waited, blocked = self._look()
        longest = max((waited[task] - self._waited.get(task, waited[task]) for task in waited), default=0)
        self._waited = waited
        return elapsed if blocked else min(elapsed, longest * _NANOSECONDS)

    def _look(self) -> tuple[dict[str, int], bool]:
        """Return how long each thread has waited for a processor so far, ns, and whether one waits for a disk now."""
        waited: dict[str, int] = {}
        blocked = False
        try:
            for task in self._tasks.iterdir():
                waited[task.name] = int((task / "schedstat").read_text().split()[1])
                blocked |= (task / "stat").read_text().rpartition(")")[2].split()[0] == "D"
        except (OSError, ValueError, IndexError):
            return waited, False
        return waited, blocked
