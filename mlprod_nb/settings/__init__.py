"""Settings of a workspace: ``mlprod.toml``, over which ``MLPROD_*`` variables win.

This is the only package that reads the environment. A variable is named after the table and key it sets, as
``MLPROD_GATEWAY__PORT=8080`` sets ``port`` in ``[gateway]``. The tables load when first used: what checks them takes
longer to import than all that a shell needs before it knows which verb it runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import NotFound
from mlprod_nb.settings.executions import CANDIDATES as CANDIDATES
from mlprod_nb.settings.executions import EXECUTION as EXECUTION
from mlprod_nb.settings.executions import EXECUTION_FOLDER as EXECUTION_FOLDER
from mlprod_nb.settings.executions import candidates_folder as candidates_folder
from mlprod_nb.settings.executions import execution as execution
from mlprod_nb.settings.executions import execution_folder as execution_folder
from mlprod_nb.settings.executions import for_execution as for_execution

if TYPE_CHECKING:
    from mlprod_nb.settings.tables import AlertSettings as AlertSettings
    from mlprod_nb.settings.tables import EndpointSettings as EndpointSettings
    from mlprod_nb.settings.tables import GateSettings as GateSettings
    from mlprod_nb.settings.tables import GatewaySettings as GatewaySettings
    from mlprod_nb.settings.tables import LogSettings as LogSettings
    from mlprod_nb.settings.tables import ModelSettings as ModelSettings
    from mlprod_nb.settings.tables import MonitorSettings as MonitorSettings
    from mlprod_nb.settings.tables import ProtectedAlias as ProtectedAlias
    from mlprod_nb.settings.tables import RaySettings as RaySettings
    from mlprod_nb.settings.tables import RegistrySettings as RegistrySettings
    from mlprod_nb.settings.tables import ReleaseSettings as ReleaseSettings
    from mlprod_nb.settings.tables import ReportSettings as ReportSettings
    from mlprod_nb.settings.tables import RetrainingSettings as RetrainingSettings
    from mlprod_nb.settings.tables import SchedulerSettings as SchedulerSettings
    from mlprod_nb.settings.tables import Settings as Settings
    from mlprod_nb.settings.tables import StoreSettings as StoreSettings
    from mlprod_nb.settings.tables import WorkerSettings as WorkerSettings
    from mlprod_nb.settings.tables import load as load

FILE_NAME = "mlprod.toml"
PREFIX = "MLPROD_"
_WORKSPACE = f"{PREFIX}WORKSPACE"
#: Where the scheduler runs a job: the run's number and its workspace. Not MLPROD_…, which would be a setting.
JOB = "_MLPROD_JOB"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not by "from … import": that asks the package for the module first, which is this function.
    tables = import_module("mlprod_nb.settings.tables")
    return tables if name == "tables" else getattr(tables, name)


class Layout:
    """Where a workspace keeps its things, all below its root.

    Args:
        root: The directory that holds ``mlprod.toml``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings_file = root / FILE_NAME
        self.state = root / ".mlprod"
        self.database = self.state / "state.db"
        self.identity = self.state / "identity"
        self.mlflow_database = self.state / "mlflow.db"
        self.artifacts = self.state / "artifacts"
        self.bundles = self.state / "bundles"
        self.alibi = self.state / "alibi"
        self.log = self.state / "log"
        self.secrets = self.state / "secrets"
        self.tls = self.state / "tls"
        self.run = self.state / "run"
        self.gateway_lock = self.run / "supervisor.lock"
        self.background = self.state / "background"
        self.names = self.run / "names.json"
        self.faults = self.run / "errors.jsonl"
        self.metrics = self.run / "metrics"
        self.loading = self.run / "loading"
        self.refusals = self.state / "refusals"
        self.failures = self.state / "failures"
        self.reports = root / "reports"


def find_root(start: Path) -> Path | None:
    """Return the nearest directory at or above ``start`` that holds ``mlprod.toml``, or ``None``."""
    here = start.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / FILE_NAME).is_file()), None)


def root_for(folder: Path) -> Path | None:
    """Return the workspace's root for a notebook in a folder, as its kernel would find it, or ``None``."""
    return find_root(Path(os.environ.get(_WORKSPACE) or folder))


def open_root(start: Path | None = None) -> Path:
    """Return the workspace's root for a directory (by default ``MLPROD_WORKSPACE`` or the current one).

    Raises:
        NotFound: No workspace is there.
    """
    begin = start or Path(os.environ.get(_WORKSPACE) or Path.cwd())
    root = find_root(begin)
    if root is None:
        raise NotFound("workspace at or above", str(begin), hint="Make one with: mlprod init")
    return root


def notebook_path() -> str:
    """Return the file of this kernel's notebook, as the server that started it says; empty where none did."""
    name = os.environ.get("JPY_SESSION_NAME", "")
    return name if name.endswith(".ipynb") else ""


def completing() -> str:
    """Return what a shell's completion asks of this process; empty where it does not."""
    return os.environ.get("_MLPROD_COMPLETE", "")


def variables() -> dict[str, str]:
    """Return the variables of this process that are settings, for a process on another machine."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX) and name != _WORKSPACE}


def adopt(given: Mapping[str, str]) -> None:
    """Let the variables of another process, as :func:`variables` gave them, be the settings of this one and its own."""
    for name in variables():
        del os.environ[name]
    os.environ.update(given)


def in_a_job() -> bool:
    """Return whether the scheduler runs this process."""
    return JOB in os.environ


def step_summary() -> str:
    """Return the file that GitHub Actions shows as the summary of a step; empty elsewhere."""
    return os.environ.get("GITHUB_STEP_SUMMARY", "")


def for_counting() -> None:
    """Set what pyarrow and numpy read when they are first imported, for a process that counts rows of the log.

    pyarrow's own pool keeps more of what was needed for a moment than a look may take; and a thread reads while another
    counts, which OpenBLAS would divide again: that takes twice the processor's time. What is set already stays.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def for_ray() -> None:
    """Set what Ray reads when it is imported: a token that is there is shown to the cluster. What is set already stays.

    A cluster asks for one by default, and a program shows it only where it is told to.
    """
    given = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    if given or (Path.home() / ".ray" / "auth_token").is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def job_mark(run: int, root: Path) -> str:
    """Return what the scheduler sets :data:`JOB` to."""
    return f"{run} {root.resolve()}"


def job_run(root: Path) -> int | None:
    """Return the number of the run that a workspace's scheduler started this process for, or ``None``."""
    number, _, where = os.environ.get(JOB, "").partition(" ")
    return int(number) if number.isdigit() and where == str(root.resolve()) else None


def outliving() -> dict[str, str]:
    """Return the environment for a process that may outlive this one: in a job still, where it is, and of no run.

    What is of a run is refused every write once the run has ended.
    """
    return os.environ | {JOB: ""} if in_a_job() else dict(os.environ)
