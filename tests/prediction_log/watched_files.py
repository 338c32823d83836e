"""A disk for the compaction that tells of each of its steps, and one that can lose its power at any of them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from mlprod_nb.prediction_log.files import DiskFiles


class WatchedFiles(DiskFiles):
    """A real disk that calls a function at each step with its name.

    Args:
        point: Called with ``writing``, ``half written`` and ``written``, ``renaming`` and ``renamed``, ``removing`` and
            ``removed``, ``syncing`` and ``synced``; it may kill the process, or raise.
    """

    def __init__(self, point: Callable[[str], None]) -> None:
        self.point = point

    def write(self, path: Path, content: bytes) -> None:
        self.point("writing")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[: len(content) // 2])
        self.point("half written")
        path.unlink()
        super().write(path, content)
        self.point("written")

    def rename(self, path: Path, target: Path) -> None:
        self.point("renaming")
        super().rename(path, target)
        self.point("renamed")

    def remove(self, path: Path) -> None:
        self.point("removing")
        super().remove(path)
        self.point("removed")

    def sync(self, folder: Path) -> None:
        self.point("syncing")
        super().sync(folder)
        self.point("synced")


class PowerLoss(BaseException):
    """The power is gone; nothing that handles a failure can run."""


class CrashFiles(WatchedFiles):
    """A real disk that knows what of it would survive a power loss.

    The bytes of a file that was written survive; of a name that was made, changed or taken away since its folder was
    synced, either state may.

    Args:
        folder: What is on the disk already; it survives.
        dies_at: The step, counted from 0, at which the power goes.
    """

    def __init__(self, folder: Path, *, dies_at: int) -> None:
        super().__init__(self._count)
        self._folder = folder
        self._left = dies_at
        self._durable: dict[Path, dict[str, bytes | None]] = {}
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                self._durable[path] = _names(path)

    def _count(self, name: str) -> None:
        if self._left == 0:
            raise PowerLoss
        self._left -= 1

    def sync(self, folder: Path) -> None:
        super().sync(folder)
        self._durable[folder] = _names(folder)

    def after_power_loss(self, target: Path, chance: random.Random) -> None:
        """Write what is left to another folder."""
        self._restore(self._folder, target, chance)

    def _restore(self, folder: Path, target: Path, chance: random.Random) -> None:
        target.mkdir()
        now, durable = _names(folder), self._durable.get(folder, {})
        for name in sorted(now.keys() | durable.keys()):
            state = now if now.get(name, b"") == durable.get(name, b"") or chance.random() < 0.5 else durable
            if name in state:
                content = state[name]
                if content is None:
                    self._restore(folder / name, target / name, chance)
                else:
                    (target / name).write_bytes(content)


def _names(folder: Path) -> dict[str, bytes | None]:
    """Return what a folder holds: files with their bytes, folders with ``None``."""
    return {path.name: None if path.is_dir() else path.read_bytes() for path in folder.iterdir()}


def kill_at(step: int) -> Callable[[str], None]:
    """Return what ends this process at a step, counted from 0, as ``kill -9`` does."""
    left = iter(range(step, -1, -1))

    def point(name: str) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), 9)

    return point
