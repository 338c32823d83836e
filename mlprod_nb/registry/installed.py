"""The packages that are installed. Reading their metadata takes a tenth of a second, so it is done once a process."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
from functools import lru_cache
from pathlib import Path


def installed() -> dict[str, str]:
    """Return every installed distribution and its version, as they are now."""
    places = (Path(entry).absolute() for entry in sys.path)
    return dict(_read(tuple((place, _changed_ns(place)) for place in places)))


@lru_cache(maxsize=1)
def _read(places: tuple[tuple[Path, int], ...]) -> tuple[tuple[str, str], ...]:  # noqa: ARG001 (the cache's key)
    """Read the metadata, anew where the import path or a folder on it changed.

    Whatever is installed, upgraded or removed makes or removes a folder there.
    """
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        about = distribution.metadata  # parsed at each use
        if about["Name"]:  # a half-removed package has none
            found.setdefault(str(about["Name"]), str(about["Version"]))
    return tuple(sorted(found.items(), key=lambda item: item[0].lower()))


def _changed_ns(place: Path) -> int:
    """Return when a folder last got or lost an entry, nanoseconds since 1970; 0 where it is not there."""
    with contextlib.suppress(OSError):
        return place.stat().st_mtime_ns
    return 0
