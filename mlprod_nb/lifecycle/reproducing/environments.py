"""Environments made of a version's recorded packages, kept under ``.mlprod`` by the digest of what is in them.

An environment counts once its list of packages is written, which is the last thing; one that was left half made is
made anew. mlprod itself is this one, whichever was recorded: what it speaks with its notebooks is its own.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlprod_nb
from mlprod_nb import locks
from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.registry.lineage import Lineage

LIMIT_SECONDS = 3600.0
OWN = "mlprod-nb"
_COMPLETE = "packages.json"
_MISSING = re.compile(r"No matching distribution found for ([A-Za-z0-9._-]+)==")
_MOST_MISSING = 10
Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Environment:
    """What a notebook runs in.

    Attributes:
        name: In words.
        interpreter: Its Python; empty: this one.
        sources: Where it finds this package; ``None``: it is installed.
        said: What there is to say of it.
    """

    name: str
    interpreter: str = ""
    sources: Path | None = None
    said: tuple[str, ...] = ()


def find(context: Context, lineage: Lineage, scratch: Path, *, rebuilt: bool) -> Environment:
    """Return this environment, or the one that a version was made in, made anew where it is not kept.

    Args:
        context: The workspace.
        lineage: What was recorded with the version.
        scratch: A folder for the time of the execution.
        rebuilt: Whether the recorded packages are wanted.

    Raises:
        ExecutionFailed: The recorded packages cannot be installed.
    """
    if not rebuilt:
        return Environment("this one")
    said = []
    interpreter = _interpreter(lineage.python)
    if not interpreter:
        said.append(
            f"Python {lineage.python} was recorded and is not installed; it runs in {platform.python_version()}."
        )
    python, missing = make(
        context.layout.state / "environments", interpreter or sys.executable, lineage.packages, context.progress.step
    )
    if missing:
        said.append(f"not to be had from the package index, so left out: {', '.join(missing)}.")
    sources = scratch / "sources"
    here = Path(mlprod_nb.__file__).parent
    shutil.copytree(here, sources / here.name, ignore=shutil.ignore_patterns("__pycache__"))
    return Environment("made of the recorded packages", str(python), sources, tuple(said))


def make(
    folder: Path, interpreter: str, packages: Mapping[str, str], tell: Callable[[str], None], run: Run | None = None
) -> tuple[Path, tuple[str, ...]]:
    """Return the Python of an environment that has these packages, and those that could not be had.

    Args:
        folder: Where environments are kept.
        interpreter: The Python to make it with.
        packages: Names and versions.
        tell: Hears what is done.
        run: Runs one command; by default as a process.

    Raises:
        ExecutionFailed: It cannot be made.
    """
    wanted = {name: version for name, version in packages.items() if _normal(name) != OWN}
    described = json.dumps([interpreter, sorted(wanted.items())]).encode()
    place = folder / hashlib.sha256(described).hexdigest()[:16]
    complete = place / _COMPLETE
    folder.mkdir(parents=True, exist_ok=True)
    with locks.held(folder / f"{place.name}.lock"):
        if not complete.is_file():
            tell(f"making an environment of {len(wanted)} packages")
            missing = _make(place, interpreter, wanted, run or _run)
            complete.write_text(json.dumps({"missing": missing}), encoding="utf-8")
        return place / "bin" / "python", tuple(json.loads(complete.read_text(encoding="utf-8"))["missing"])


def _make(place: Path, interpreter: str, wanted: Mapping[str, str], run: Run) -> list[str]:
    """Make an environment; what the package index does not have is left out, and returned."""
    _checked(run([interpreter, "-m", "venv", "--clear", str(place)]), "no environment can be made")
    left, missing = dict(wanted), list[str]()
    listed = place / "requirements.txt"
    while True:
        listed.write_text("".join(f"{name}=={version}\n" for name, version in left.items()), encoding="utf-8")
        # Each package is named with its version, so nothing is left to resolve.
        words = ["install", "-q", "--disable-pip-version-check", "--no-deps", "-r", str(listed)]
        done = run([str(place / "bin" / "python"), "-m", "pip", *words])
        found = _MISSING.search(done.stderr) if done.returncode else None
        name = next((name for name in left if found and _normal(name) == _normal(found[1])), "")
        if not name or len(missing) == _MOST_MISSING:
            _checked(done, "the recorded packages cannot be installed")
            return missing
        missing.append(f"{name} {left.pop(name)}")


def _interpreter(recorded: str) -> str:
    """Return a Python of the recorded release, as 3.11; empty where none is installed."""
    release = ".".join(recorded.split(".")[:2])
    if release == ".".join(platform.python_version_tuple()[:2]):
        return sys.executable
    return shutil.which(f"python{release}") or ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _checked(done: subprocess.CompletedProcess[str], problem: str) -> None:
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines
        why = errors[-1].removeprefix("ERROR:").strip().rstrip(".") if errors else f"exit code {done.returncode}"
        raise ExecutionFailed(f"{problem}: {why}.", hint="Reproduce it in this environment: leave --environment out.")


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 (our own interpreter)
            words,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ExecutionFailed(f"making the environment took longer than {LIMIT_SECONDS:g} s.") from None
