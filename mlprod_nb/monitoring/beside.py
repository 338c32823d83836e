"""The tests of all columns together, in a process of their own that begins before their rows are read.

What they stand on, scikit-learn and ``scipy.stats``, takes longer to import than all else that a look does. So where
there is a second core, another process imports it while the look reads and counts:
``python -m mlprod_nb.monitoring.beside``. Two samples of rows go to its standard input and the comparisons come from
its standard output, pickled: it is this very code on this very machine, so what it says is what would have been
computed here. Where it says nothing, it is computed here.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from mlprod_nb.monitoring.detectors.rows import JointComparison, RowDetector, Samples
from mlprod_nb.monitoring.joint import BUILT_IN

_IMPORTED = "sklearn.ensemble"


class Beside:
    """Built-in detectors of rows that compute in another process, which is there for its block and for one look.

    Args:
        wanted: Whether they will be asked; nothing is started otherwise, nor where it would gain nothing.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self._wanted = wanted and _gains()
        self._process: subprocess.Popen[bytes] | None = None
        self._found: Mapping[str, JointComparison] = {}
        self._asked: tuple[Samples, int] | None = None

    def __enter__(self) -> Self:
        if self._wanted:
            try:
                self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                    [sys.executable, "-P", "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            except OSError:
                self._process = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def detectors(self, chosen: Iterable[RowDetector]) -> tuple[RowDetector, ...]:
        """Return detectors of which the built-in ones compute there; those of other packages stay as they are."""
        return tuple(_There(one, self) if BUILT_IN.get(one.name) is one else one for one in chosen)

    def found(self, name: str, samples: Samples, seed: int) -> JointComparison | None:
        """Return what a detector said there of two samples; ``None`` where the process said nothing, or of others."""
        if self._process is not None:
            self._asked, self._found = (samples, seed), _answer(self._process, samples, seed)
            self._end()
        of_these = self._asked is not None and self._asked[0] is samples and self._asked[1] == seed
        return self._found.get(name) if of_these else None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


@dataclass(frozen=True)
class _There:
    """A detector that is asked in the other process first."""

    detector: RowDetector
    beside: Beside

    @property
    def name(self) -> str:
        return self.detector.name

    @property
    def floor(self) -> float:
        return self.detector.floor

    def compare(self, samples: Samples, seed: int) -> JointComparison:
        return self.beside.found(self.name, samples, seed) or self.detector.compare(samples, seed)


def _gains() -> bool:
    """Return whether another process would be ready sooner: this one has yet to import, and has a second core."""
    if _IMPORTED in sys.modules:
        return False
    cores = os.sched_getaffinity(0) if sys.platform == "linux" else range(os.cpu_count() or 1)
    return len(cores) > 1


def _answer(process: subprocess.Popen[bytes], samples: Samples, seed: int) -> Mapping[str, JointComparison]:
    """Return what a process says of two samples; nothing where it ended without an answer."""
    said, _ = process.communicate(pickle.dumps((samples, seed)))
    if process.returncode or not said:
        return {}
    found: Mapping[str, JointComparison] = pickle.loads(said)  # noqa: S301 (our own process)
    return found


def main() -> None:
    """Import, then compare what comes."""
    import sklearn.ensemble  # noqa: F401

    asked = sys.stdin.buffer.read()
    if asked:
        samples, seed = pickle.loads(asked)  # noqa: S301 (our own starter)
        found = {name: detector.compare(samples, seed) for name, detector in BUILT_IN.items()}
        sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    main()
