"""Extensions: what installed packages add, by entry-point group, such as gates, detectors and metrics."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, distributions
from typing import Any

from mlprod_nb.errors import UsageError

_FILE = "entry_points.txt"


def load(group: str) -> dict[str, Any]:
    """Return what installed packages offer in a group, by name, sorted; a class is made into an object.

    Raises:
        UsageError: One cannot be loaded; the message names its package.
    """
    found = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            loaded = point.load()
            found[point.name] = loaded() if isinstance(loaded, type) else loaded
        except Exception as error:  # importing a stranger's module raises anything
            told = " ".join(str(error).split())[:300] or type(error).__name__
            raise UsageError(
                f"{point.name!r} ({point.value}), which {_package(point)} adds to {group}, cannot be loaded: {told}.",
                hint="Mend or uninstall that package.",
            ) from error
    return found


def entry_points(*, group: str) -> list[EntryPoint]:
    """Return a group's entry points of the packages that Python would import.

    Python's own function reads and parses what every installed package says of itself, which takes longer than to
    count a million rows; the few that name the group can be told by their text.
    """
    found: dict[str, EntryPoint] = {}
    for package in distributions():
        if f"[{group}]" not in (package.read_text(_FILE) or ""):
            continue
        with suppress(PackageNotFoundError):
            first = distribution(package.name)  # an older copy further down the path is none
            found |= {point.name: point for point in first.entry_points if point.group == group}
    return list(found.values())


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "a package"
