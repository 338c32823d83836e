"""The tables of ``mlprod.toml``, and how they are read."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, SecretStr, ValidationError, field_validator, model_validator

from mlprod_nb.errors import UsageError, nearest
from mlprod_nb.settings import FILE_NAME, PREFIX
from mlprod_nb.settings.base import Table
from mlprod_nb.settings.faults import told
from mlprod_nb.settings.models import GateSettings as GateSettings
from mlprod_nb.settings.models import ModelSettings as ModelSettings
from mlprod_nb.settings.models import ProtectedAlias as ProtectedAlias
from mlprod_nb.settings.models import ReleaseSettings as ReleaseSettings


class GatewaySettings(Table):
    """``[gateway]``: the HTTP processes that answer predictions."""

    host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you change it.")
    port: int = Field(0, ge=0, le=65535, description="Port to listen on; 0 takes a free one and keeps it.")
    workers: int = Field(1, ge=1, le=64, description="Worker processes that share the port; at most one a core helps.")
    tls: bool = Field(False, description="Serve HTTPS with the workspace's own certificate.")
    max_body_bytes: int = Field(8 * 1024 * 1024, ge=1024, description="Largest request body.")
    request_timeout_seconds: float = Field(30.0, gt=0, description="Deadline for receiving and answering one request.")
    traces: str = Field("", description="Address that takes OpenTelemetry traces by OTLP over HTTP; empty: none.")
    trace_share: float = Field(
        0.01, ge=0, le=1, description="Share of the requests traced whose caller is silent on it."
    )
    max_batch_rows: int = Field(2048, ge=1, description="Most rows in one micro-batch.")
    max_waiting_rows: int = Field(
        32_768, ge=1, description="Most rows that wait for one variant's model; what comes then is refused at once."
    )


class StoreSettings(Table):
    """``[store]``: the state database."""

    url: str = Field("", description="SQLAlchemy URL; empty: SQLite in the workspace's .mlprod directory.")


class RegistrySettings(Table):
    """``[registry]``: the MLflow registry."""

    tracking_uri: str = Field("", description="MLflow tracking and registry URI; empty: SQLite in the workspace.")


class ReportSettings(Table):
    """``[reports]``: executed notebooks and their pages."""

    timeout_seconds: float = Field(900.0, gt=0, description="Wall-clock limit of one report notebook.")
    memory_mib: int = Field(4096, ge=0, description="Most memory that a report's kernel may take, MiB; 0: no limit.")
    kernel: str = Field("", description="Jupyter kernel that reports run in; empty: the environment of mlprod itself.")
    keep_days: int = Field(0, ge=0, description="Days after which a report's files go, unless approved; 0: never.")
    keep: int = Field(10, ge=1, description="How many of the newest of each endpoint and kind stay, however old.")


class WorkerSettings(Table):
    """``[model_worker]``: limits of the processes that serve what ONNX cannot express."""

    processes: int = Field(1, ge=1, le=64, description="Model workers for each model and gateway worker.")
    memory_mib: int = Field(2048, ge=128, description="Address-space limit of one model worker, MiB.")
    start_timeout_seconds: float = Field(
        8.0, gt=0, description="Time a model has to load and to answer its warm-up rows."
    )
    call_timeout_seconds: float = Field(10.0, gt=0, description="Time a model worker has to answer one batch.")


class LogSettings(Table):
    """``[log]``: the prediction log."""

    reserve_mib: int = Field(
        16, ge=0, description="Disk space that each gateway worker keeps and gives back when the disk is full, MiB."
    )
    max_waiting_mib: int = Field(
        64, ge=1, description="Most rows that wait for the disk in one worker, MiB; what comes then is refused at once."
    )


class AlertSettings(Table):
    """``[alerts]``: whom alerts are sent to."""

    urls: tuple[SecretStr, ...] = Field(
        (),
        description="apprise's addresses. They hold secrets: rather set MLPROD_ALERTS__URLS, with spaces between them,"
        " or write them into .mlprod/secrets/alerts.urls, one a line.",
    )
    timeout_seconds: float = Field(10.0, gt=0, le=120, description="Time that a message has to arrive.")
    pages: str = Field("", description="Address at which the workspace's directory is served, for links to reports.")

    @field_validator("urls", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return value.split() if isinstance(value, str) else value


class SchedulerSettings(Table):
    """``[scheduler]``: who runs the jobs."""

    enabled: bool = Field(True, description="Whether up starts the scheduler; not where an outside one runs the jobs.")


class RetrainingSettings(Table):
    """``[retraining]``: how new versions are trained."""

    notebook: str = Field(
        "", description="The training notebook; empty: the one that registered the version, or notebooks/retrain.ipynb."
    )
    window: str = Field("28d", description="How long the recent window is.")
    timeout_seconds: float = Field(3600.0, gt=0, description="Wall-clock limit of one training notebook.")


class MonitorSettings(Table):
    """``[endpoints.NAME.monitor]``: how an endpoint is watched, and what is done when something is wrong."""

    yearly_alpha: float = Field(
        0.05, gt=0, lt=1, description="Chance of at least one false alarm in a year of looks at data that never change."
    )
    looks_per_year: int = Field(
        52,
        ge=1,
        le=1_000_000,
        description="How many looks a year are planned; each spends an equal part of the year's.",
    )
    alert_on: Literal["alarm", "warn"] = Field("alarm", description="From which grade on a cause raises an alert.")
    segments: tuple[str, ...] = Field(
        (), description="SQL expressions over input columns, as carrier or hour >= 18, in whose segments it is judged."
    )
    fairness: tuple[str, ...] = Field((), description="Input columns whose groups are compared: rates and accuracy.")
    on_drift: Literal["alert", "retrain", "fallback", "rollback"] = Field(
        "alert",
        description="What is done about an alert: telling people; besides, training a challenger, serving a robust"
        " version, or going back to the revision before.",
    )
    fallback: str = Field("", description="The robust version, as flights/2 or flights@robust.")
    retrain_mode: Literal["recent", "full", "weighted"] = Field(
        "recent", description="What a retraining trains on: the recent window, all history, or that weighted by it."
    )

    @model_validator(mode="after")
    def _names_its_fallback(self) -> Self:
        if self.on_drift == "fallback" and not self.fallback:
            raise ValueError('on_drift = "fallback" needs fallback = "MODEL/VERSION"')
        return self


class EndpointSettings(Table):
    """``[endpoints.NAME]``: what holds for one endpoint.

    Guarantee: with ``durability = "synced"``, an answer that does not say ``logged: false`` survives a power loss; with
    ``"process"``, it survives the end of every process, ``kill -9`` included, and not a power loss.
    """

    durability: Literal["synced", "process"] = Field(
        "synced", description="Where a prediction is before it is answered: on the disk, or with the operating system."
    )
    on_log_failure: Literal["refuse", "answer"] = Field(
        "refuse", description="What is done where the log cannot be written: 503, or an answer that is not logged."
    )
    max_requests: int = Field(
        0, ge=0, description="Most requests under way at once in each gateway worker; more get 429. 0: no such limit."
    )
    max_rows: dict[str, PositiveInt] = Field(
        default_factory=dict,
        description="Most rows that may be with a variant's model at once in each gateway worker, by variant; more get"
        " 429, and a shadow leaves them out.",
    )
    monitor: MonitorSettings = MonitorSettings()


class Settings(Table):
    """All settings of one workspace."""

    name: str = Field("", description="The workspace's name; empty: its directory's name.")
    gateway: GatewaySettings = GatewaySettings()
    store: StoreSettings = StoreSettings()
    registry: RegistrySettings = RegistrySettings()
    reports: ReportSettings = ReportSettings()
    model_worker: WorkerSettings = WorkerSettings()
    log: LogSettings = LogSettings()
    alerts: AlertSettings = AlertSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    retraining: RetrainingSettings = RetrainingSettings()
    endpoints: dict[str, EndpointSettings] = Field(default_factory=dict)
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="From which severity on the gateway and the scheduler write a line to their own logs."
    )

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
        return Settings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        fault, hint = told(first, Settings)
        raise UsageError(f"{_source(first['loc'], variables)}: {fault}", hint=hint) from None


def _source(location: tuple[int | str, ...], variables: Mapping[tuple[str, ...], str]) -> str:
    """Return where a key was set: the variable that did, or the file and the key."""
    parts = tuple(str(part) for part in location)
    whole = (variables.get(parts[:length], "") for length in range(len(parts), 0, -1))
    return next(filter(None, whole), f"{FILE_NAME}: {'.'.join(parts)}")


def _set(data: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        if not isinstance(data.get(part), dict):  # what is no table gives way; a variable wins over the file
            data[part] = {}
        data = data[part]
    data[path[-1]] = value
