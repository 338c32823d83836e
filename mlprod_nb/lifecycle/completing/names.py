"""The names that a line can hold, in one small file, so that TAB asks neither the database nor the registry.

The file is written by a process of its own (:mod:`.naming`) and read here with the standard library alone. It may be a
moment behind; whoever reads it and finds it behind has it written anew, and does not wait.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mlprod_nb.settings import Layout

#: What a database elsewhere holds is asked for again after so long.
_OLD_SECONDS = 30.0
_LONGEST_SECONDS = 120.0


@dataclass(frozen=True)
class Names:
    """What there is, by name.

    Attributes:
        models: Each model's versions, as ``flights/3``, newest first.
        aliases: Each model's aliases, as ``flights@champion``.
        endpoints: The endpoints.
        variants: Each endpoint's variants.
        columns: Each endpoint's input columns.
        revisions: Each endpoint's revisions that have served, newest first.
        alerts: What each alert that is not over says, by its number.
        jobs: What each job runs, by its number.
        reports: What each report is, by its digest's first characters.
        holders: Who holds tokens.
        kinds: The kinds of reports.
        panels: The panels.
        tasks: What each task in the background runs, by its number.
    """

    models: dict[str, list[str]] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    endpoints: list[str] = field(default_factory=list)
    variants: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)
    revisions: dict[str, list[str]] = field(default_factory=dict)
    alerts: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)
    holders: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    panels: list[str] = field(default_factory=list)
    tasks: dict[str, str] = field(default_factory=dict)


def read(layout: Layout) -> Names:
    """Return the names as they were last written; none where they never were."""
    try:
        return Names(**json.loads(layout.names.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Names()


def write(layout: Layout, names: Names, *, as_of_ns: int | None = None) -> None:
    """Write the names, whole or not at all.

    Args:
        layout: Where.
        names: What there is.
        as_of_ns: When they began to be read, by the file system's clock: a change while they were read came after
            it, and so finds them behind. ``None``: now.
    """
    layout.run.mkdir(parents=True, exist_ok=True)
    temporary = layout.names.with_suffix(".writing")
    temporary.write_text(json.dumps(asdict(names)), encoding="utf-8")
    if as_of_ns is not None:
        os.utime(temporary, ns=(as_of_ns, as_of_ns))
    temporary.replace(layout.names)


def behind(layout: Layout) -> bool:
    """Return whether something has changed since the names were written, or may have."""
    written = _changed_at(layout.names)
    files = (layout.database, layout.mlflow_database)
    here = [_changed_at(path.with_name(path.name + end)) for path in files for end in ("", "-wal")]
    # A database elsewhere cannot be seen to change.
    elsewhere = not (layout.database.exists() and layout.mlflow_database.exists())
    # A change within the same tick of the file system's clock may have come after.
    return written <= max(here) or (elsewhere and time.time() - written > _OLD_SECONDS)


def renew(layout: Layout) -> subprocess.Popen[bytes]:
    """Have the names written anew by a process that nobody waits for; two at once are one."""
    return subprocess.Popen(  # noqa: S603 (our own module, arguments as a list)
        [sys.executable, "-P", "-m", "mlprod_nb.lifecycle.completing.naming", str(layout.root)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class Renewing:
    """Keeps the names fresh for a door that lives long; at most one process at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = 0.0

    def read(self, layout: Layout) -> Names:
        """Return the names; where they are behind, those of a moment later will be newer."""
        process = self._process
        if process is not None and process.poll() is None and time.monotonic() - self._begun > _LONGEST_SECONDS:
            process.kill()
        if (process is None or process.poll() is not None) and behind(layout):
            self._process, self._begun = renew(layout), time.monotonic()
        return read(layout)

    def end(self) -> None:
        """Leave no process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _changed_at(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
