"""A disk in memory that can lose its power at any write, and then keeps what it must and tears the rest."""

from __future__ import annotations

import random
from pathlib import Path


class PowerLoss(OSError):
    """The power is gone."""


class CrashDisk:
    """A disk for segments.

    Args:
        dies_at: The step (a create, write or sync, counted from 0) before which the power goes; ``None``: never.
        fails_at: The step that fails once, with the power on.
    """

    def __init__(self, *, dies_at: int | None = None, fails_at: int | None = None) -> None:
        self.dies_at = dies_at
        self.fails_at = fails_at
        self.steps: list[str] = []
        self.files: dict[str, CrashFile] = {}

    def step(self, name: str) -> None:
        """Count one step; raise where the power goes or the step fails."""
        number = len(self.steps)
        if self.dies_at is not None and number >= self.dies_at:
            raise PowerLoss("no power")
        self.steps.append(name)
        if number == self.fails_at:
            raise OSError(5, "Input/output error")

    def names(self, folder: Path) -> list[str]:
        """Return the files' names."""
        return sorted(self.files)

    def is_open(self, path: Path) -> bool:
        """Return whether the file was not closed yet."""
        return not self.files[path.name].closed

    def create(self, path: Path) -> CrashFile:
        """Make a file whose name is durable at once, as the protocol asks."""
        self.step("create")
        self.files[path.name] = CrashFile(self)
        return self.files[path.name]

    def after_power_loss(self, folder: Path, chance: random.Random) -> None:
        """Write what is left to a real folder: what was synced, and any part of the rest, torn or filled with zeros."""
        folder.mkdir()
        for name, file in self.files.items():
            rest = bytes(file.unsynced)
            kept = rest[: chance.randint(0, len(rest))]
            if chance.random() < 0.3:
                kept += bytes(chance.randint(0, len(rest) - len(kept)))
            (folder / name).write_bytes(bytes(file.synced) + kept)


class CrashFile:
    """A file on the crash disk."""

    def __init__(self, disk: CrashDisk) -> None:
        self.disk = disk
        self.synced = bytearray()
        self.unsynced = bytearray()
        self.closed = 0

    def append(self, data: bytes) -> None:
        """Append bytes and make them durable; the power can go when half are written, and when all are."""
        self.unsynced += data[: len(data) // 2]
        self.disk.step("write")
        self.unsynced += data[len(data) // 2 :]
        self.disk.step("sync")
        self.synced += self.unsynced
        self.unsynced.clear()

    def close(self) -> None:
        """Close."""
        self.closed += 1
