"""The tables of ``mlprod.toml``, and how they are read."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from mlprod_nb.errors import UsageError, nearest
from mlprod_nb.settings import FILE_NAME, PREFIX
from mlprod_nb.settings.base import Secret, Table, key
from mlprod_nb.settings.faults import Location, WrongSetting
from mlprod_nb.settings.models import GateSettings as GateSettings
from mlprod_nb.settings.models import ModelSettings as ModelSettings
from mlprod_nb.settings.models import ProtectedAlias as ProtectedAlias
from mlprod_nb.settings.models import ReleaseSettings as ReleaseSettings
from mlprod_nb.settings.reading import read


@dataclass(frozen=True)
class GatewaySettings(Table):
    """``[gateway]``: the HTTP processes that answer predictions."""

    target: str = key("local", "Where they run: `local`, this machine; `ray`, a Ray cluster; or what a package adds.")
    host: str = key("127.0.0.1", "Address to listen on; loopback unless you change it.")
    port: int = key(0, "Port to listen on; 0 takes a free one and keeps it.", ge=0, le=65535)
    workers: int = key(1, "Worker processes that share the port; at most one a core helps.", ge=1, le=64)
    tls: bool = key(False, "Serve HTTPS with the workspace's own certificate.")
    max_body_bytes: int = key(8 * 1024 * 1024, "Largest request body.", ge=1024)
    request_timeout_seconds: float = key(30.0, "Deadline for receiving and answering one request.", gt=0)
    traces: str = key("", "Address that takes OpenTelemetry traces by OTLP over HTTP; empty: none.")
    trace_share: float = key(0.01, "Share of the requests traced whose caller is silent on it.", ge=0, le=1)
    max_batch_rows: int = key(2048, "Most rows in one micro-batch.", ge=1)
    max_waiting_rows: int = key(
        32_768, "Most rows that wait for one variant's model; what comes then is refused at once.", ge=1
    )


@dataclass(frozen=True)
class RaySettings(Table):
    """``[ray]``: the cluster that the gateway runs on with ``target = "ray"``."""

    address: str = key("auto", "Address of the cluster, as `10.0.0.1:6379`; auto: that of this machine's node.")
    cpus: float = key(0.0, "Cores that the gateway takes of its node; 0: one for each of its workers.", ge=0)


@dataclass(frozen=True)
class StoreSettings(Table):
    """``[store]``: the state database."""

    url: str = key("", "SQLAlchemy URL; empty: SQLite in the workspace's .mlprod directory.")


@dataclass(frozen=True)
class RegistrySettings(Table):
    """``[registry]``: the MLflow registry."""

    tracking_uri: str = key("", "MLflow tracking and registry URI; empty: SQLite in the workspace.")


@dataclass(frozen=True)
class ReportSettings(Table):
    """``[reports]``: executed notebooks and their pages."""

    timeout_seconds: float = key(900.0, "Wall-clock limit of one report notebook.", gt=0)
    memory_mib: int = key(4096, "Most memory that a report's kernel may take, MiB; 0: no limit.", ge=0)
    kernel: str = key("", "Jupyter kernel that reports run in; empty: the environment of mlprod itself.")
    keep_days: int = key(0, "Days after which a report's files go, unless approved; 0: never.", ge=0)
    keep: int = key(10, "How many of the newest of each endpoint and kind stay, however old.", ge=1)


@dataclass(frozen=True)
class WorkerSettings(Table):
    """``[model_worker]``: limits of the processes that serve what ONNX cannot express."""

    processes: int = key(1, "Model workers for each model and gateway worker.", ge=1, le=64)
    memory_mib: int = key(2048, "Address-space limit of one model worker, MiB.", ge=128)
    start_timeout_seconds: float = key(8.0, "Time a model has to load and to answer its warm-up rows.", gt=0)
    call_timeout_seconds: float = key(10.0, "Time a model worker has to answer one batch.", gt=0)


@dataclass(frozen=True)
class LogSettings(Table):
    """``[log]``: the prediction log."""

    reserve_mib: int = key(
        16, "Disk space that each gateway worker keeps and gives back when the disk is full, MiB.", ge=0
    )
    max_waiting_mib: int = key(
        64, "Most rows that wait for the disk in one worker, MiB; what comes then is refused at once.", ge=1
    )
    encrypt: bool = key(False, "Encrypt what is written to the log's files from now on.")
    keys: tuple[Secret, ...] = key(
        (),
        "Keys, the one to write with first, each of 64 hexadecimal digits. They are secrets: rather set"
        " MLPROD_LOG__KEYS, with spaces between them; empty: those of .mlprod/secrets/log.keys, which is made.",
        split=True,
    )
    keep_days: int = key(0, "Days after which predictions and feedback go, a day at a time; 0: never.", ge=0)


@dataclass(frozen=True)
class AlertSettings(Table):
    """``[alerts]``: whom alerts are sent to."""

    urls: tuple[Secret, ...] = key(
        (),
        "apprise's addresses. They hold secrets: rather set MLPROD_ALERTS__URLS, with spaces between them,"
        " or write them into .mlprod/secrets/alerts.urls, one a line.",
        split=True,
    )
    timeout_seconds: float = key(10.0, "Time that a message has to arrive.", gt=0, le=120)
    pages: str = key("", "Address at which the workspace's directory is served, for links to reports.")


@dataclass(frozen=True)
class SchedulerSettings(Table):
    """``[scheduler]``: who runs the jobs."""

    enabled: bool = key(True, "Whether up starts the scheduler; not where an outside one runs the jobs.")


@dataclass(frozen=True)
class RetrainingSettings(Table):
    """``[retraining]``: how new versions are trained."""

    notebook: str = key(
        "", "The training notebook; empty: the one that registered the version, or notebooks/retrain.ipynb."
    )
    window: str = key("28d", "How long the recent window is.")
    timeout_seconds: float = key(3600.0, "Wall-clock limit of one training notebook.", gt=0)


@dataclass(frozen=True)
class MonitorSettings(Table):
    """``[endpoints.NAME.monitor]``: how an endpoint is watched, and what is done when something is wrong."""

    yearly_alpha: float = key(
        0.05, "Chance of at least one false alarm in a year of looks at data that never change.", gt=0, lt=1
    )
    looks_per_year: int = key(
        52, "How many looks a year are planned; each spends an equal part of the year's.", ge=1, le=1_000_000
    )
    alert_on: Literal["alarm", "warn"] = key("alarm", "From which grade on a cause raises an alert.")
    segments: tuple[str, ...] = key(
        (), "SQL expressions over input columns, as carrier or hour >= 18, in whose segments it is judged."
    )
    fairness: tuple[str, ...] = key((), "Input columns whose groups are compared: rates and accuracy.")
    on_drift: Literal["alert", "retrain", "fallback", "rollback"] = key(
        "alert",
        "What is done about an alert: telling people; besides, training a challenger, serving a robust"
        " version, or going back to the revision before.",
    )
    fallback: str = key("", "The robust version, as flights/2 or flights@robust.")
    retrain_mode: Literal["recent", "full", "weighted"] = key(
        "recent", "What a retraining trains on: the recent window, all history, or that weighted by it."
    )

    def check(self) -> None:
        """See whether a fallback is named."""
        if self.on_drift == "fallback" and not self.fallback:
            raise ValueError('on_drift = "fallback" needs fallback = "MODEL/VERSION"')


@dataclass(frozen=True)
class EndpointSettings(Table):
    """``[endpoints.NAME]``: what holds for one endpoint.

    Guarantee: with ``durability = "synced"``, an answer that does not say ``logged: false`` survives a power loss; with
    ``"process"``, it survives the end of every process, ``kill -9`` included, and not a power loss.
    """

    durability: Literal["synced", "process"] = key(
        "synced", "Where a prediction is before it is answered: on the disk, or with the operating system."
    )
    on_log_failure: Literal["refuse", "answer"] = key(
        "refuse", "What is done where the log cannot be written: 503, or an answer that is not logged."
    )
    max_requests: int = key(
        0, "Most requests under way at once in each gateway worker; more get 429. 0: no such limit.", ge=0
    )
    max_rows: dict[str, int] = key(
        dict,
        "Most rows that may be with a variant's model at once in each gateway worker, by variant; more get"
        " 429, and a shadow leaves them out.",
        gt=0,
    )
    monitor: MonitorSettings = MonitorSettings()


@dataclass(frozen=True)
class Settings(Table):
    """All settings of one workspace."""

    name: str = key("", "The workspace's name; empty: its directory's name.")
    gateway: GatewaySettings = GatewaySettings()
    ray: RaySettings = RaySettings()
    store: StoreSettings = StoreSettings()
    registry: RegistrySettings = RegistrySettings()
    reports: ReportSettings = ReportSettings()
    model_worker: WorkerSettings = WorkerSettings()
    log: LogSettings = LogSettings()
    alerts: AlertSettings = AlertSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    retraining: RetrainingSettings = RetrainingSettings()
    endpoints: dict[str, EndpointSettings] = field(default_factory=dict)
    models: dict[str, ModelSettings] = field(default_factory=dict)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = key(
        "INFO", "From which severity on the gateway and the scheduler write a line to their own logs."
    )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the settings that a file says, or that :meth:`to_dict` returned.

        Raises:
            WrongSetting: A key or a value is none of those that may be.
        """
        return read(cls, data)

    def endpoint(self, name: str) -> EndpointSettings:
        """Return what holds for an endpoint; the defaults where nothing is set."""
        return self.endpoints.get(name, EndpointSettings())

    def model(self, name: str) -> ModelSettings:
        """Return what holds for a model; the defaults where nothing is set."""
        return self.models.get(name, ModelSettings())

    def strangers(self, endpoints: Collection[str]) -> list[str]:
        """Return a sentence on each table of an endpoint that does not exist, with the nearest that does."""
        return _strangers(self.endpoints, endpoints, "endpoints", "endpoint that is deployed")

    def unknown_models(self, models: Collection[str]) -> list[str]:
        """Return a sentence on each table of a model that does not exist: what it protects is not protected."""
        return _strangers(self.models, models, "models", "model that is registered")


def _strangers(named: Collection[str], known: Collection[str], table: str, what: str) -> list[str]:
    found = []
    for name in sorted(set(named) - set(known)):
        suggestion = nearest(name, known)
        hint = f" Did you mean {suggestion!r}?" if suggestion else ""
        found.append(f"{FILE_NAME}: [{table}.{name}] is about no {what}.{hint}")
    return found


def load(root: Path) -> Settings:
    """Read a workspace's settings.

    Raises:
        UsageError: The file or a variable is malformed; the message names the key and the nearest right one.
    """
    file = root / FILE_NAME
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not valid TOML: {error}.") from None
    variables = {
        tuple(name.removeprefix(PREFIX).lower().split("__")): name
        for name in os.environ
        if name.startswith(PREFIX) and name != f"{PREFIX}WORKSPACE"
    }
    for path, name in variables.items():
        _set(data, list(path), os.environ[name])
    try:
        return Settings.from_dict(data)
    except WrongSetting as error:
        raise UsageError(f"{_source(error.location, variables)}: {error.fault}", hint=error.hint) from None


def _source(location: Location, variables: Mapping[tuple[str, ...], str]) -> str:
    """Return where a key was set: the variable that did, or the file and the key."""
    whole = (variables.get(location[:length], "") for length in range(len(location), 0, -1))
    return next(filter(None, whole), f"{FILE_NAME}: {'.'.join(location)}")


def _set(data: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        if not isinstance(data.get(part), dict):  # what is no table gives way; a variable wins over the file
            data[part] = {}
        data = data[part]
    data[path[-1]] = value
