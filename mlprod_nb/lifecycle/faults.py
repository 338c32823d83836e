"""The errors of late, kept for ``why``: what failed, beneath what, where, at which request, beside which log.

An error is one line for the user. Its detail is written to a small file of the workspace, which holds the last few.
Names of variables and their values are not in it, nor are passwords in addresses.
"""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from mlprod_nb.clock import iso
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.results import Result, Section
from mlprod_nb.settings import Layout

_KEPT = 20
_LINES = 12
_LONGEST = 2_000
_MISTYPED = frozenset((UsageError.__name__, NotFound.__name__))
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^@/\s]+@")
_TOKEN = re.compile(r"(?i)(bearer\s+)\S+")


@dataclass(frozen=True)
class Beneath:
    """One error of a chain.

    Attributes:
        error: Its class.
        message: What it says.
        where: File, line and function that raised it.
    """

    error: str
    message: str
    where: str


@dataclass(frozen=True)
class WhyResult(Result):
    """The detail of the last error.

    Attributes:
        command: The line that failed; empty where nothing has failed.
        at: When.
        chain: The error, and those that led to it.
        request: The last request to a server, where there was one.
        log: The log that was written to last, relative to the workspace.
        log_end: Its last lines.
    """

    command: str = ""
    at: str = ""
    chain: tuple[Beneath, ...] = ()
    request: str = ""
    log: str = ""
    log_end: tuple[str, ...] = ()
    _frame_field: ClassVar[str] = "chain"

    def headline(self) -> str:
        """Say what failed."""
        if not self.chain:
            return "Nothing has failed here yet."
        return f"{self.command} failed at {self.at}: {self.chain[0].message}"

    def sections(self) -> tuple[Section, ...]:
        """Show the chain, the request, and the log's end."""
        if not self.chain:
            return ()
        rows = tuple((row.error, row.message, row.where) for row in self.chain)
        facts = (("request", self.request),) if self.request else ()
        log = (Section(f"end of {self.log}", (), tuple(("", line) for line in self.log_end)),) if self.log_end else ()
        return (
            *((Section("", (), facts),) if facts else ()),
            Section("errors", ("error", "message", "where"), rows),
            *log,
        )


def note(layout: Layout, error: BaseException, command: str, at: datetime) -> None:
    """Write an error down; where it cannot be, nothing happens: the error itself is told all the same."""
    if not layout.state.is_dir():
        return
    chain = list(_chain(error))
    record = {
        "session": os.getpid(),
        "command": _hidden(command),
        "at": iso(at),
        "chain": [asdict(Beneath(type(e).__name__, _hidden(str(e)), _where(e))) for e in chain],
        "request": next(filter(None, map(_request, chain)), ""),
    }
    with suppress(OSError):
        layout.run.mkdir(parents=True, exist_ok=True)
        kept = [*_lines(layout.faults)[1 - _KEPT :], json.dumps(record)]
        temporary = layout.faults.with_name(f"{layout.faults.name}.{os.getpid()}")
        temporary.write_text("\n".join(kept) + "\n", encoding="utf-8")
        temporary.replace(layout.faults)


def why(layout: Layout) -> WhyResult:
    """Return the detail of this process's last error; of the workspace's where this one had none."""
    records = list(_records(layout))
    mine = [record for record in records if record["session"] == os.getpid()]
    last = next(reversed(mine or records), None)
    if last is None:
        return WhyResult()
    chain = tuple(Beneath(**row) for row in last["chain"])
    # A line that was mistyped has nothing to do with what a server wrote.
    mistyped = chain[0].error in _MISTYPED and not last["request"]
    log, end = ("", ()) if mistyped else _log(layout)
    return WhyResult(last["command"], last["at"], chain, last["request"], log, end)


def _records(layout: Layout) -> Iterator[dict[str, Any]]:
    for line in _lines(layout.faults):
        with suppress(ValueError):
            yield json.loads(line)


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, or during; what is hidden from the user's line too."""
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or now.__context__


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    return f"{Path(last.filename).name}:{last.lineno} in {last.name}"


def _request(error: BaseException) -> str:
    """Return the request that an HTTP client's error carries."""
    with suppress(Exception):  # httpx's property raises where there is none
        request = error.request  # type: ignore[attr-defined]
        return _hidden(f"{request.method} {request.url}")
    return ""


def _hidden(text: str) -> str:
    return _TOKEN.sub(r"\1…", _PASSWORD.sub(r"\1…@", text))[:_LONGEST]


def _log(layout: Layout) -> tuple[str, tuple[str, ...]]:
    """Return the log of the workspace's processes that was written to last, and its end."""
    with suppress(OSError, ValueError):
        newest = max(layout.run.glob("*.log"), key=lambda path: path.stat().st_mtime)
        return newest.relative_to(layout.root).as_posix(), tuple(_hidden(line) for line in _lines(newest)[-_LINES:])
    return "", ()
