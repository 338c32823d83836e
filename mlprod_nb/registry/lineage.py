"""Where a version comes from: code, notebook, packages and data.

Everything is captured without asking the network and without failing: what is not there, such as a git repository, is
left empty.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.registry.bundles import Column, Signature, canonical_json
from mlprod_nb.registry.installed import installed

if TYPE_CHECKING:
    import pandas as pd

LARGEST_DIFF = 128 * 1024
"""Characters of a diff that are kept."""
_GIT_TIMEOUT_SECONDS = 5.0
_LONGEST_PARAMETER = 500
_MOST_PARAMETERS = 1000
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True)
class ExecutedCell:
    """One cell as it was run.

    Attributes:
        execution_count: The number in the cell's brackets.
        source: Its text.
        id: The cell's id in its notebook; empty where the front end tells none.
        failed: Whether it raised.
        at: When it began, seconds since 1970; 0 where that is not known.
    """

    execution_count: int
    source: str
    id: str = ""
    failed: bool = False
    at: float = 0.0


@dataclass(frozen=True)
class NotebookContext:
    """What is known of the notebook that registers.

    The door gives the first two; registering adds the rest.

    Attributes:
        path: The notebook's file, or empty where it is not known.
        cells: The cells that were run, in the order of their execution.
        kept: What is kept of it as ``notebook.ipynb``: ``"saved"``, the file; ``"cells"``, the cells as they ran,
            where no file holds them; ``"executed"``, what an execution was given; empty: nothing.
        sha256: Digest of the file; empty where there is none.
        registers: Index of the cell that registers in what is kept, or ``None`` where that is not known.
        parameters: What an execution was given for its parameters cell.
        remarks: What does not agree between the notebook and what ran, in sentences.
        folder: The directory that it ran in, relative to the workspace where it is below it.
    """

    path: str
    cells: tuple[ExecutedCell, ...]
    kept: str = ""
    sha256: str = ""
    registers: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    folder: str = ""

    @property
    def clean(self) -> bool:
        """Whether it ran from top to bottom in a fresh kernel."""
        return self.kept == "executed"


@dataclass(frozen=True)
class GitState:
    """The state of the git repository.

    Attributes:
        commit: The full commit id; empty outside a repository.
        dirty: Whether tracked files differ from the commit.
        branch: The branch; empty where none is checked out.
        diff: How tracked files differ from the commit, as a unified diff, at most its first ``LARGEST_DIFF``
            characters, by whole lines.
        diff_lines: How many lines the whole diff has.
    """

    commit: str = ""
    dirty: bool = False
    branch: str = ""
    diff: str = ""
    diff_lines: int = 0


@dataclass(frozen=True)
class DataFingerprint:
    """What identifies the reference data.

    Attributes:
        digest: SHA-256 over names, types, values and their order, in hex; equal data have equal digests in every
            process and under every version of pandas.
        target_digest: The same of the target; empty without one.
        rows: How many rows.
        columns: Names, types and whether values are missing.
        source: Where the data came from, in words; empty where nobody said.
        source_sha256: Digest of the file that they came from; empty where it was none.
    """

    digest: str
    target_digest: str
    rows: int
    columns: tuple[Column, ...]
    source: str = ""
    source_sha256: str = ""


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
        parameters: The model's hyper-parameters, as text, those of a pipeline's steps by ``step__name``.
    """

    git: GitState
    python: str
    platform: str
    packages: dict[str, str]
    data: DataFingerprint
    notebook: NotebookContext | None
    parameters: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the lineage as canonical JSON."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Lineage:
        """Read what :meth:`to_json` gave."""
        data: dict[str, Any] = json.loads(text)
        prints, notebook = data["data"], data["notebook"]
        columns = tuple(Column(**column) for column in prints.pop("columns"))
        if notebook is not None:
            notebook |= {"cells": tuple(ExecutedCell(**cell) for cell in notebook["cells"])}
            notebook |= {"remarks": tuple(notebook.get("remarks", ()))}
        return cls(
            git=GitState(**data["git"]),
            python=data["python"],
            platform=data["platform"],
            packages=dict(data["packages"]),
            data=DataFingerprint(columns=columns, **prints),
            notebook=None if notebook is None else NotebookContext(**notebook),
            parameters=dict(data.get("parameters", {})),
        )


def capture(
    frame: Any, target: Any = None, *, model: Any = None, notebook: NotebookContext | None = None, cwd: Path
) -> Lineage:
    """Find out where a version comes from.

    Args:
        frame: The reference data.
        target: The true outcomes, or ``None``.
        model: The fitted model.
        notebook: What is known of the notebook.
        cwd: Where to look for a git repository.
    """
    return Lineage(
        git=git_state(cwd),
        python=platform.python_version(),
        platform=platform.platform(),
        packages=installed(),
        data=fingerprint(frame, target),
        notebook=notebook,
        parameters=hyperparameters(model),
    )


def git_state(cwd: Path) -> GitState:
    """Return the state of the git repository around a directory; empty where there is none, or no git."""
    commit = _git(cwd, "rev-parse", "HEAD")
    if not commit:
        return GitState()
    dirty = bool(_git(cwd, "status", "--porcelain", "--untracked-files=no"))
    diff = _git(cwd, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD") if dirty else ""
    kept = diff if len(diff) <= LARGEST_DIFF else diff[:LARGEST_DIFF].rpartition("\n")[0]
    return GitState(commit, dirty, _git(cwd, "branch", "--show-current"), kept, len(diff.splitlines()))


def hyperparameters(model: Any) -> dict[str, str]:
    """Return a model's hyper-parameters as text; an estimator among them is named by its class.

    A place in memory is left out of the text, so that equal models have equal parameters.
    """
    try:
        found = model.get_params(deep=True)
    except Exception:  # noqa: BLE001 (a model of any kind: what it cannot tell is not known)
        found = {}
    estimator = {} if model is None else {"estimator": type(model).__name__}
    texts = {str(name): _parameter(value) for name, value in sorted(found.items())[:_MOST_PARAMETERS]}
    return estimator | texts


def _parameter(value: Any) -> str:
    if hasattr(value, "get_params"):
        return type(value).__name__
    if isinstance(value, list | tuple):
        return f"[{', '.join(_parameter(item) for item in value)}]"[:_LONGEST_PARAMETER]
    return _ADDRESS.sub("", " ".join(repr(value).split()))[:_LONGEST_PARAMETER]


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


def _git(cwd: Path, *arguments: str) -> str:
    command: Sequence[str] = ("git", "-C", str(cwd), "-c", "core.fsmonitor=false", "--no-optional-locks", *arguments)
    try:
        done = subprocess.run(  # noqa: S603 (fixed words, no shell)
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_TIMEOUT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
