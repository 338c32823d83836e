"""Writing a candidate into MLflow: run, artifacts, MLflow model and, as the very last step, the version."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from mlprod_nb.registry import left_runs, python_runner, unfinished, versions
from mlprod_nb.registry.bundles import Bundle, canonical_json
from mlprod_nb.registry.versions import Candidate
from mlprod_nb.scratch import temporary_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MODEL_NAME = "model"
PARAMS = 100
PARAM_LENGTH = 500
TAG_LENGTH = 4_500


@dataclass
class Begun:
    """What was made so far, to be taken back where a later step fails."""

    run_id: str = ""
    run_artifacts: str = ""
    logged_model: str = ""
    model_artifacts: str = ""
    registered_model: str = ""


@dataclass(frozen=True)
class Entry:
    """What a version is made of.

    Attributes:
        name: The model's name.
        run_name: The run's name.
        run_tags: The run's tags.
        version_tags: The version's tags.
        note: The version's description.
        log: Logs parameters, metrics and artifacts to the run of an id.
        log_model: Logs the model in an experiment, and says so in what was begun.
    """

    name: str
    run_name: str
    run_tags: Mapping[str, str]
    version_tags: Mapping[str, str]
    note: str
    log: Callable[[str], None]
    log_model: Callable[[Begun, str], None]


def record(client: MlflowClient, candidate: Candidate, artifacts: Path) -> int:
    """Write a candidate and return the new version's number; on any failure everything is taken back."""
    entry = Entry(
        candidate.name,
        f"register {candidate.name}",
        _run_tags(candidate),
        _version_tags(candidate),
        candidate.note,
        log=lambda run: _log(client, run, candidate),
        log_model=lambda begun, home: _log_model(client, begun, home, candidate),
    )
    return make(client, entry, artifacts)


def make(client: MlflowClient, entry: Entry, artifacts: Path) -> int:
    """Make a version and return its number: run, model and, last, the version; on any failure all is taken back."""
    begun = Begun()
    with taken_back(client, begun):
        home = experiment(client, entry.name, artifacts)
        run = client.create_run(home, tags={**entry.run_tags, **left_runs.mark()}, run_name=entry.run_name)
        begun.run_id, begun.run_artifacts = run.info.run_id, run.info.artifact_uri
        entry.log(begun.run_id)
        entry.log_model(begun, home)
        client.set_terminated(begun.run_id)
        if not exists(client, entry.name):
            unfinished.begin(client, entry.name)
            begun.registered_model = entry.name
        version = client.create_model_version(
            entry.name,
            source=begun.model_artifacts,
            run_id=begun.run_id,
            tags=dict(entry.version_tags),
            description=entry.note,
            model_id=begun.logged_model,
        )
    with contextlib.suppress(Exception):  # the version is there: what killed processes left can wait
        unfinished.finish(client, entry.name, version.creation_timestamp)
        left_runs.end(client, home)
    return int(version.version)


@contextlib.contextmanager
def taken_back(client: MlflowClient, begun: Begun) -> Iterator[None]:
    """Take away what was made so far where the block fails."""
    try:
        yield
    except BaseException:  # an interrupted cell leaves nothing either
        take_back(client, begun)
        raise


def take_back(client: MlflowClient, begun: Begun) -> None:
    """Take away what was made; what cannot be is left."""
    with contextlib.suppress(Exception):
        if begun.registered_model and not client.search_model_versions(f"name = '{begun.registered_model}'"):
            client.delete_registered_model(begun.registered_model)
    with contextlib.suppress(Exception):
        if begun.logged_model:
            client.delete_logged_model(begun.logged_model)
    with contextlib.suppress(Exception):
        if begun.run_id:
            client.delete_run(begun.run_id)
    for address in (begun.run_artifacts, begun.model_artifacts):
        folder = _local(address)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def experiment(client: MlflowClient, name: str, artifacts: Path) -> str:
    """Return the id of a model's experiment, made where it is not there."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    server = client.tracking_uri.startswith(("http:", "https:", "databricks"))
    location = None if server else (artifacts / name).resolve().as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def exists(client: MlflowClient, name: str) -> bool:
    """Return whether there is a model of that name."""
    return bool(client.search_registered_models(f"name = '{name}'", max_results=1))


def log_values(client: MlflowClient, run_id: str, params: Mapping[str, str], metrics: Mapping[str, float]) -> None:
    """Log a run's parameters and metrics together: MLflow syncs its database for each call."""
    from mlflow.entities import Metric, Param

    now_ms = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(name, number, now_ms, 0) for name, number in metrics.items()],
        params=[Param(name, value) for name, value in params.items()],
    )


def _log(client: MlflowClient, run_id: str, candidate: Candidate) -> None:
    log_values(client, run_id, _params(candidate.model), candidate.metrics)
    with temporary_folder("work") as scratch:
        for name, content in {versions.LINEAGE_ARTIFACT: candidate.lineage.to_json(), **candidate.artifacts}.items():
            (scratch / name).write_bytes(content)
            client.log_artifact(run_id, str(scratch / name))
    client.log_artifacts(run_id, str(candidate.bundle.path), versions.BUNDLE_ARTIFACT)
    for name, folder in candidate.attachments.items():
        client.log_artifacts(run_id, str(folder), name)


def _log_model(client: MlflowClient, begun: Begun, experiment: str, candidate: Candidate) -> None:
    from mlflow.models import Model

    logged = client.create_logged_model(experiment, name=_MODEL_NAME, source_run_id=begun.run_id)
    begun.logged_model, begun.model_artifacts = logged.model_id, logged.artifact_location
    description = Model(
        artifact_path=logged.artifact_location,
        run_id=begun.run_id,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
    )
    with temporary_folder("work") as scratch:
        folder = scratch / _MODEL_NAME
        python_runner.save_model(candidate.model, candidate.bundle.signature, folder, mlflow_model=description)
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")


def _params(model: Any) -> dict[str, str]:
    """Return the last step's parameters, so many and so long as MLflow's page stays readable."""
    steps = getattr(model, "steps", None)
    estimator = steps[-1][1] if steps else model
    found = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    params = {"estimator": type(estimator).__name__}
    for name, value in list(found.items())[:PARAMS]:
        params[str(name)] = str(value)[:PARAM_LENGTH]
    return params


def _run_tags(candidate: Candidate) -> dict[str, str]:
    lineage = candidate.lineage
    tags = {
        "mlflow.user": candidate.author,
        "mlflow.note.content": candidate.note,
        versions.BUNDLE_TAG: candidate.bundle.digest,
        "mlprod.data": lineage.data.digest,
    }
    if lineage.git.commit:
        tags |= {"mlflow.source.git.commit": lineage.git.commit, "mlprod.git.dirty": str(lineage.git.dirty).lower()}
        tags |= {"mlflow.source.git.branch": lineage.git.branch} if lineage.git.branch else {}
    if lineage.notebook is not None and lineage.notebook.path:
        tags |= {"mlflow.source.name": lineage.notebook.path, "mlflow.source.type": "NOTEBOOK"}
    return {name: value[:TAG_LENGTH] for name, value in tags.items()}


def _version_tags(candidate: Candidate) -> dict[str, str]:
    return {
        **bundle_tags(candidate.bundle, candidate.metrics),
        versions.AUTHOR_TAG: candidate.author,
        **({versions.EXECUTION_TAG: candidate.execution} if candidate.execution else {}),
    }


def bundle_tags(bundle: Bundle, metrics: Mapping[str, float]) -> dict[str, str]:
    """Return a version's tags that tell of its bundle and of its performance on the reference data."""
    finite = {name: float(number) for name, number in metrics.items() if math.isfinite(number)}
    return {
        versions.BUNDLE_TAG: bundle.digest,
        versions.RUNTIME_TAG: bundle.manifest.runtime,
        versions.REASON_TAG: bundle.manifest.runtime_reason[:TAG_LENGTH],
        versions.METRICS_TAG: canonical_json(finite).decode(),
    }


def _local(address: str) -> Path | None:
    parts = urlparse(address)
    return Path(url2pathname(parts.path)) if address and parts.scheme in ("", "file") else None
