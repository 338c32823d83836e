"""Space on the log's disk that nobody else can take, given back when the disk is full."""

from __future__ import annotations

import threading
from pathlib import Path

from mlprod_nb.prediction_log.storage import DiskStorage, Storage

_SUFFIX = ".reserve"


class Reserve:
    """A file of a gateway worker beside the segments, which only takes up space.

    Guarantee: from the moment that it is whole, this much can be written after the disk has become full, as long as
    nobody else takes what is given back.

    Args:
        folder: The log's folder.
        size: How many bytes to keep; 0: none.
        slot: The worker's place in its gateway; the file of one that was killed is taken over by its successor.
        storage: The disk.
    """

    def __init__(self, folder: Path, size: int, *, slot: int = 0, storage: Storage | None = None) -> None:
        self._folder = folder
        self._path = folder / f"{slot}{_SUFFIX}"
        self._size = size
        self._storage = storage or DiskStorage()
        self._lock = threading.Lock()
        self._whole = False
        self._given_back = 0

    @property
    def whole(self) -> bool:
        """Whether the space is kept now, or none is to be."""
        return self._whole or not self._size

    @property
    def given_back(self) -> int:
        """How many times the space was given back."""
        return self._given_back

    def make(self) -> bool:
        """Keep the space, where as much again stays free; return whether it is kept.

        Raises:
            OSError: The disk cannot be asked, or says no.
        """
        with self._lock:
            if not self.whole:
                # What a killed worker kept is counted as free: it is this one's now.
                kept = self._size if self._is_there() else 0
                if self._storage.free(self._folder) + kept >= 2 * self._size:
                    self._storage.allocate(self._path, self._size)
                    self._whole = True
            return self.whole

    def give_back(self, seen: int) -> bool:
        """Free the space; return whether there is more room than when :attr:`given_back` was ``seen``."""
        with self._lock:
            if self._whole:
                self._whole = False
                self._storage.remove(self._path)
                self._given_back += 1
            return self._given_back > seen

    def close(self) -> None:
        """Free the space of a gateway that ends."""
        with self._lock:
            self._whole = False
            if self._is_there():
                self._storage.remove(self._path)

    def _is_there(self) -> bool:
        return self._path.name in self._storage.names(self._folder)
