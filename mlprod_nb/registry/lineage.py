"""Where a version comes from: code, notebook, packages and data.

Everything is captured without asking the network and without failing: what is not there, such as a git repository, is
left empty.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.registry.bundles import Column, Signature, canonical_json

if TYPE_CHECKING:
    import pandas as pd

_GIT_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class ExecutedCell:
    """One cell as it was run.

    Attributes:
        execution_count: The number in the cell's brackets.
        source: Its text.
    """

    execution_count: int
    source: str


@dataclass(frozen=True)
class NotebookContext:
    """What the notebook door knows of its notebook.

    Attributes:
        path: The notebook's file, or empty where it is not known.
        cells: The cells that were run, in the order of their execution.
    """

    path: str
    cells: tuple[ExecutedCell, ...]


@dataclass(frozen=True)
class GitState:
    """The state of the git repository.

    Attributes:
        commit: The full commit id; empty outside a repository.
        dirty: Whether tracked files differ from the commit.
        branch: The branch; empty where none is checked out.
    """

    commit: str = ""
    dirty: bool = False
    branch: str = ""


@dataclass(frozen=True)
class DataFingerprint:
    """What identifies the reference data.

    Attributes:
        digest: SHA-256 over names, types, values and their order, in hex; equal data have equal digests in every
            process and under every version of pandas.
        target_digest: The same of the target; empty without one.
        rows: How many rows.
        columns: Names, types and whether values are missing.
    """

    digest: str
    target_digest: str
    rows: int
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Lineage:
    """Where a version comes from.

    Attributes:
        git: The repository around the workspace.
        python: Python's version.
        platform: Operating system and processor.
        packages: Every installed distribution and its version.
        data: The reference data's fingerprint.
        notebook: The notebook and its executed cells, or ``None``.
    """

    git: GitState
    python: str
    platform: str
    packages: dict[str, str]
    data: DataFingerprint
    notebook: NotebookContext | None

    def to_json(self) -> bytes:
        """Return the lineage as canonical JSON."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Lineage:
        """Read what :meth:`to_json` gave."""
        data: dict[str, Any] = json.loads(text)
        prints, notebook = data["data"], data["notebook"]
        columns = tuple(Column(**column) for column in prints.pop("columns"))
        return cls(
            git=GitState(**data["git"]),
            python=data["python"],
            platform=data["platform"],
            packages=dict(data["packages"]),
            data=DataFingerprint(columns=columns, **prints),
            notebook=None
            if notebook is None
            else NotebookContext(notebook["path"], tuple(ExecutedCell(**cell) for cell in notebook["cells"])),
        )


def capture(frame: Any, target: Any = None, *, notebook: NotebookContext | None = None, cwd: Path) -> Lineage:
    """Find out where a version comes from.

    Args:
        frame: The reference data.
        target: The true outcomes, or ``None``.
        notebook: What the notebook door knows.
        cwd: Where to look for a git repository.
    """
    return Lineage(
        git=git_state(cwd),
        python=platform.python_version(),
        platform=platform.platform(),
        packages=_packages(),
        data=fingerprint(frame, target),
        notebook=notebook,
    )


def git_state(cwd: Path) -> GitState:
    """Return the state of the git repository around a directory; empty where there is none, or no git."""
    commit = _git(cwd, "rev-parse", "HEAD")
    if not commit:
        return GitState()
    dirty = bool(_git(cwd, "status", "--porcelain", "--untracked-files=no"))
    return GitState(commit, dirty, _git(cwd, "branch", "--show-current"))


def fingerprint(data: Any, target: Any = None) -> DataFingerprint:
    """Return the fingerprint of reference data, order of rows and columns included.

    Raises:
        InvalidInput: The data has no signature.
    """
    from mlprod_nb.registry.signatures import as_frame, infer, to_columns

    frame = as_frame(data)
    signature = infer(frame)
    digest = _hash(signature, to_columns(frame, signature))
    return DataFingerprint(digest, _target_digest(target), len(frame), signature.columns)


def _target_digest(target: Any) -> str:
    if target is None:
        return ""
    import pandas as pd

    values: pd.DataFrame = pd.DataFrame({"target": pd.Series(np.asarray(target).reshape(-1))})
    if values.empty:
        return ""
    from mlprod_nb.registry.signatures import infer, to_columns

    signature = infer(values)
    return _hash(signature, to_columns(values, signature))


def _hash(signature: Signature, columns: dict[str, NDArray[Any]]) -> str:
    """Hash the values themselves, since the layout of a frame in memory changes between versions of pandas."""
    digest = hashlib.sha256(signature.to_json())
    for column in signature.columns:
        values = columns[column.name]
        if column.type == "string":
            digest.update(_string_bytes(values))
        else:
            numbers = np.ascontiguousarray(values, dtype="<f8" if values.dtype.kind == "f" else "<i8")
            if numbers.dtype.kind == "f":
                numbers = np.where(np.isnan(numbers), np.nan, numbers + 0.0)  # one NaN, one zero
            digest.update(len(numbers).to_bytes(8, "little"))
            digest.update(numbers.tobytes())
    return digest.hexdigest()


def _string_bytes(values: NDArray[Any]) -> bytes:
    """Return texts with their lengths before them, so that no two columns are spelled alike; −1 is a missing text."""
    texts = [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else None for value in values]
    lengths = np.array([-1 if text is None else len(text) for text in texts], dtype="<i8")
    return len(texts).to_bytes(8, "little") + lengths.tobytes() + b"".join(text for text in texts if text)


def _packages() -> dict[str, str]:
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a half-removed package has none
            found.setdefault(str(name), str(distribution.version))
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _git(cwd: Path, *arguments: str) -> str:
    command: Sequence[str] = ("git", "-C", str(cwd), "--no-optional-locks", *arguments)
    try:
        done = subprocess.run(  # noqa: S603 (fixed words, no shell)
            command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
