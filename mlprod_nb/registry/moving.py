"""What an archive takes from the registry, and how it becomes a version there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlprod_nb.registry import archives, models, originals, recording, versions
from mlprod_nb.registry.archives import Archive, Facts, Origin
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.models import Registry
from mlprod_nb.registry.quiet import answering
from mlprod_nb.registry.versions import ModelVersion
from mlprod_nb.scratch import temporary_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Where an imported version keeps what was found and approved where it comes from: shown, never counted.
ORIGIN_ARTIFACT = "origin"
_ARRIVAL_TAG = "mlprod.arrival"
_MODEL_NAME = "model"


@dataclass(frozen=True)
class Arrival:
    """An unpacked archive on its way to a version.

    Attributes:
        name: The model's name here.
        folder: The unpacked files.
        archive: What the archive says.
        bundle: Its bundle, verified.
        author: Who imports it.
    """

    name: str
    folder: Path
    archive: Archive
    bundle: Bundle
    author: str

    @property
    def mark(self) -> str:
        """What tells the run of this arrival from others, in one word."""
        origin = self.archive.facts.origin
        return f"{origin.workspace}-{origin.version.replace('/', '-')}-{self.bundle.digest}"


def gather(registry: Registry, version: ModelVersion, folder: Path) -> dict[str, str]:
    """Bring a version's files into an empty folder, as an archive holds them; return its run's parameters.

    Raises:
        Corrupt: Its model cannot be fetched.
        Unavailable: The registry does not answer.
    """
    wanted = {*archives.FOLDERS, *archives.FILES} - {archives.MODEL, archives.HISTORY}
    with temporary_folder("work") as scratch:
        shutil.copytree(originals.fetch(registry, version, scratch), folder / archives.MODEL)
    with answering():
        for entry in registry.client.list_artifacts(version.run_id):
            if entry.path in wanted:
                registry.client.download_artifacts(version.run_id, entry.path, str(folder))
        return dict(registry.client.get_run(version.run_id).data.params)


def find(registry: Registry, name: str, facts: Facts) -> ModelVersion | None:
    """Return the version that an archive of this origin became before, or ``None``."""
    if name not in registry.models():
        return None
    here = (version for version in registry.versions(name) if version.bundle == facts.bundle)
    return next((version for version in here if _same(version.origin, facts.origin)), None)


def record(registry: Registry, arrival: Arrival) -> ModelVersion:
    """Make a version of an archive; the version itself is made last, and on any failure nothing is left.

    Runs that an import of the same archive left when it was killed are taken away.
    """
    models.check_name(arrival.name)
    with answering():
        _clear(registry.client, arrival)
        number = _record(registry.client, arrival, registry.artifacts)
    return registry.resolve(f"{arrival.name}/{number}")


def _same(found: Origin | None, wanted: Origin) -> bool:
    return found is not None and (found.workspace, found.version) == (wanted.workspace, wanted.version)


def _clear(client: MlflowClient, arrival: Arrival) -> None:
    """Take away what a killed import left: it has no version, so nothing needs it."""
    experiment = client.get_experiment_by_name(arrival.name)
    if experiment is None:
        return
    mine = f"tags.`{_ARRIVAL_TAG}` = '{arrival.mark}'"
    for run in client.search_runs([experiment.experiment_id], mine):
        if client.search_model_versions(f"run_id = '{run.info.run_id}'"):
            continue
        begun = recording.Begun(run_id=run.info.run_id, run_artifacts=run.info.artifact_uri)
        for logged in client.search_logged_models([experiment.experiment_id], f"source_run_id = '{run.info.run_id}'"):
            begun.logged_model, begun.model_artifacts = logged.model_id, logged.artifact_location
        recording.take_back(client, begun)


def _record(client: MlflowClient, arrival: Arrival, artifacts: Path) -> int:
    facts = arrival.archive.facts
    entry = recording.Entry(
        arrival.name,
        f"import {facts.origin.version}",
        _run_tags(arrival),
        _version_tags(arrival),
        facts.note,
        log=lambda run: _log(client, run, arrival),
        log_model=lambda begun, home: _log_model(client, begun, home, arrival.folder / archives.MODEL),
    )
    return recording.make(client, entry, artifacts)


def _log(client: MlflowClient, run_id: str, arrival: Arrival) -> None:
    facts, folder = arrival.archive.facts, arrival.folder
    params = {name: value[: recording.PARAM_LENGTH] for name, value in list(facts.params.items())[: recording.PARAMS]}
    recording.log_values(client, run_id, params, facts.metrics)
    for name in archives.FILES:
        if (folder / name).is_file():
            place = ORIGIN_ARTIFACT if name == archives.HISTORY else None
            client.log_artifact(run_id, str(folder / name), place)
    for name in (archives.BUNDLE, archives.HELD_OUT, archives.GATES):
        if (folder / name).is_dir():
            place = f"{ORIGIN_ARTIFACT}/{name}" if name == archives.GATES else name
            client.log_artifacts(run_id, str(folder / name), place)


def _log_model(client: MlflowClient, begun: recording.Begun, experiment: str, folder: Path) -> None:
    """Log the model as it is, under its new ids: its description is data, and no code of it runs."""
    from mlflow.models import Model

    logged = client.create_logged_model(experiment, name=_MODEL_NAME, source_run_id=begun.run_id)
    begun.logged_model, begun.model_artifacts = logged.model_id, logged.artifact_location
    description = Model.load(str(folder))
    description.run_id, description.model_id = begun.run_id, logged.model_id
    description.model_uuid, description.artifact_path = logged.model_id, logged.artifact_location
    description.save(str(folder / "MLmodel"))
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")


def _run_tags(arrival: Arrival) -> dict[str, str]:
    facts = arrival.archive.facts
    tags = {
        "mlflow.user": arrival.author,
        "mlflow.note.content": facts.note,
        versions.BUNDLE_TAG: arrival.bundle.digest,
        versions.ORIGIN_TAG: facts.origin.to_text(),
        _ARRIVAL_TAG: arrival.mark,
    }
    return {name: value[: recording.TAG_LENGTH] for name, value in tags.items()}


def _version_tags(arrival: Arrival) -> dict[str, str]:
    facts = arrival.archive.facts
    return {
        **recording.bundle_tags(arrival.bundle, facts.metrics),
        versions.AUTHOR_TAG: arrival.author,
        versions.ORIGIN_TAG: facts.origin.to_text(),
    }
