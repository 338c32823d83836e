"""A disk in memory that can lose its power at any write, and then keeps what it must and tears the rest; or be full."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

from mlprod_nb.prediction_log.storage import NoRoom


class PowerLoss(OSError):
    """The power is gone."""


class CrashDisk:
    """A disk for segments.

    Args:
        dies_at: The step (a create, write, sync, remove or allocate, counted from 0) before which the power goes;
            ``None``: never.
        fails_at: The step that fails once, with the power on.
        error: The number of the error that it fails with.
        room: How many bytes fit on the disk; ``None``: any number.
    """

    def __init__(
        self,
        *,
        dies_at: int | None = None,
        fails_at: int | None = None,
        error: int = errno.EIO,
        room: int | None = None,
    ) -> None:
        self.dies_at = dies_at
        self.fails_at = fails_at
        self.error = error
        self.room = room
        self.steps: list[str] = []
        self.files: dict[str, CrashFile] = {}
        self.allocated: dict[str, int] = {}

    def step(self, name: str) -> None:
        """Count one step; raise where the power goes or the step fails."""
        number = len(self.steps)
        if self.dies_at is not None and number >= self.dies_at:
            raise PowerLoss("no power")
        self.steps.append(name)
        if number == self.fails_at:
            raise OSError(self.error, os.strerror(self.error))

    def names(self, folder: Path) -> list[str]:
        """Return the files' names."""
        return sorted({*self.files, *self.allocated})

    def is_open(self, path: Path) -> bool:
        """Return whether the file was not closed yet."""
        return not self.files[path.name].closed

    def create(self, path: Path) -> CrashFile:
        """Make a file whose name is durable at once, as the protocol asks."""
        try:
            self.step("create")
        except OSError as error:
            raise (NoRoom() if error.errno == errno.ENOSPC else error) from None
        self.files[path.name] = CrashFile(self)
        return self.files[path.name]

    def remove(self, path: Path) -> None:
        """Remove a file, durably."""
        self.step("remove")
        self.files.pop(path.name, None)
        self.allocated.pop(path.name, None)

    def allocate(self, path: Path, size: int) -> None:
        """Take space."""
        self.step("allocate")
        if self.free(path.parent) < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.allocated[path.name] = size

    def free(self, folder: Path) -> int:
        """Return the room that is left."""
        used = sum(len(file.synced) + len(file.unsynced) for file in self.files.values())
        return 2**62 if self.room is None else self.room - used - sum(self.allocated.values())

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
        """Append bytes and make them durable; the power can go when half are written, and when all are.

        A write that finds no room, or fails for want of it, has written and synced what there was room for, or half. A
        sync that fails leaves what it may.
        """
        fits = max(0, min(len(data), self.disk.free(Path())))
        if fits < len(data):
            self._keep(data[:fits])
            raise NoRoom(fits)
        self.unsynced += data[: len(data) // 2]
        try:
            self.disk.step("write")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._keep(b"")
            raise NoRoom(len(data) // 2) from None
        self.unsynced += data[len(data) // 2 :]
        self.disk.step("sync")
        self._keep(b"")

    def close(self) -> None:
        """Close."""
        self.closed += 1

    def _keep(self, data: bytes) -> None:
        self.synced += self.unsynced + data
        self.unsynced.clear()
