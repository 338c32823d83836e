"""Every error a user can meet, as a tree.

    MlprodError                 something a user should read
    ├─ UsageError               the command line or call is wrong                     (exit 2)
    │  └─ NotFound              a name that does not exist, with the nearest that does (exit 2)
    ├─ Refused                  understood, and not allowed in this state             (exit 3)
    │  └─ AccessDenied          the caller's role does not allow it                   (exit 3)
    ├─ InvalidInput             data that does not fit a signature                    (exit 2)
    ├─ Unavailable              a part that should answer does not                    (exit 3)
    ├─ Corrupt                  stored bytes that do not match their digest           (exit 3)
    ├─ MissingExtra             an optional package that is not installed             (exit 3)
    └─ ExecutionFailed          a notebook or model that failed while running         (exit 3)

An error carries its facts as attributes; the message is made of them and ends with what to do next.
In a notebook an error is one line (``_render_traceback_``), stored in the cell and failing papermill and
nbval as any exception does.
"""

from __future__ import annotations

import difflib
import errno
import re
import traceback
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import ClassVar

_LONGEST_NAME = 256
_SHELL_LINE = re.compile(r"(?<![%\w])mlprod (?=[a-z]|--help)")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class MlprodError(Exception):
    """Something went wrong that a user can understand and act upon.

    Args:
        message: One sentence that names the thing at fault.
        hint: What to do next, or empty.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def _render_traceback_(self) -> list[str]:
        hint = _SHELL_LINE.sub("%mlprod ", self.hint)  # so that the line can be pasted into a cell
        return [f"mlprod: {self.message} {hint}".rstrip()]


class UsageError(MlprodError):
    """The command line or the call is wrong."""

    exit_code = 2


class NotFound(UsageError):
    """A name does not exist; the message names the nearest one that does.

    Args:
        kind: What the name was meant to be: ``"model"``, ``"alias"``, ``"endpoint"``, …
        name: The name as given.
        known: The names that exist.
        hint: What to do next; the known names where empty.
        besides: What else can be done, whatever the rest says.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), *, hint: str = "", besides: str = "") -> None:
        self.kind = kind
        self.name = name
        self.known = sorted(set(known))
        self.nearest = nearest(name, self.known)
        message = f"there is no {kind} {name!r}."
        if self.nearest:
            message += f" Did you mean {self.nearest!r}?"
        elif self.known and not hint:
            shown = ", ".join(self.known[:8]) + (", …" if len(self.known) > 8 else "")
            hint = f"There is: {shown}."
        super().__init__(message, hint=f"{hint} {besides}".strip())


class Refused(MlprodError):
    """The request is understood and not allowed in the present state."""


class AccessDenied(Refused):
    """The caller's role does not allow the action."""


class InvalidInput(MlprodError):
    """Data do not fit the model's signature.

    Args:
        message: One sentence.
        column: The column at fault, or empty.
        row: The row at fault, counted from 0, or ``None``.
    """

    exit_code = 2

    def __init__(self, message: str, *, column: str = "", row: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.column = column
        self.row = row


class Unavailable(MlprodError):
    """A part that should answer does not."""


class Corrupt(MlprodError):
    """Stored bytes do not match their digest or checksum."""


class MissingExtra(MlprodError):
    """An optional package is not installed.

    Args:
        package: The import name.
        extra: The extra of mlprod_nb that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package} is not installed.", hint=f'Install it with: pip install "mlprod_nb[{extra}]"')


class ExecutionFailed(MlprodError):
    """A notebook or a model failed while running."""


def unexpected(error: Exception) -> str:
    """Say in one line what broke, of an error that no verb expects: the system's no, or else where we are at fault."""
    if isinstance(error, OSError) and error.errno in _FULL:
        what = f"{error.filename} cannot be written" if error.filename else "the disk is full"
        return f"{what}: {error.strerror}. Make room, and run it again."
    if isinstance(error, OSError) and error.errno in _FORBIDDEN and error.filename:
        return f"{error.filename} cannot be used: {error.strerror}. Give the right to it, or use another folder."
    message = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"this is a fault of mlprod, please report it: {type(error).__name__}: {message}{where}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name nearest to ``name``, or an empty string where none is near.

    Of several that are equally near, it is the one that begins alike.
    """
    if len(name) > _LONGEST_NAME:  # comparing takes time that grows with it, and whoever sends it need not be a friend
        return ""
    by_lower = {candidate.lower(): candidate for candidate in known}
    wanted = name.lower()
    close = difflib.get_close_matches(wanted, list(by_lower), n=max(len(by_lower), 1), cutoff=0.6)

    def likeness(candidate: str) -> tuple[float, int]:
        ratio = difflib.SequenceMatcher(a=candidate, b=wanted).ratio()
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(candidate, wanted, strict=False))
        return ratio, len(list(alike))

    return by_lower[max(close, key=likeness)] if close else ""
