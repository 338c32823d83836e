"""Folders that are added to a version after it was registered, such as gate reports.

They lie beside the version's own artifacts in its MLflow run, below a name of their own, and are never written twice.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlprod_nb.errors import Corrupt, NotFound
from mlprod_nb.registry import recording
from mlprod_nb.registry.models import Registry
from mlprod_nb.registry.quiet import answering, one_line
from mlprod_nb.registry.versions import RUN_TAG, ModelVersion
from mlprod_nb.scratch import temporary_folder


def attach(registry: Registry, version: ModelVersion, folder: Path, name: str) -> None:
    """Add a folder's files to a version.

    Args:
        registry: The registry.
        version: The version.
        folder: Its files are copied.
        name: Where they go, as ``gates/3fa9c1d2``.

    Raises:
        Unavailable: The registry does not answer, or its artifacts cannot be written.
    """
    registry.change()
    with answering():
        registry.client.log_artifacts(version.run_id, str(folder), name)


def housed(registry: Registry, version: ModelVersion) -> ModelVersion:
    """Return a version with a run to attach to; one that MLflow logged outside of any run gets one.

    Raises:
        Unavailable: The registry does not answer.
    """
    if version.run_id:
        return version
    registry.change()
    with answering():
        home = recording.experiment(registry.client, version.model, registry.artifacts)
        run = registry.client.create_run(home, run_name=version.ref)
        registry.client.set_terminated(run.info.run_id)
    tag(registry, version, RUN_TAG, run.info.run_id)
    return replace(version, run_id=run.info.run_id)


def attached(registry: Registry, version: ModelVersion, name: str, folder: Path) -> Path:
    """Bring what was attached under a name into a folder, and return where it lies.

    Raises:
        NotFound: Nothing of that name is attached to the version.
    """
    with answering():
        from mlflow.exceptions import MlflowException

        try:
            path = Path(registry.client.download_artifacts(version.run_id, name, str(folder)))
        except (MlflowException, OSError):
            raise NotFound(f"attachment of {version.ref}", name) from None
    if not path.exists():
        raise NotFound(f"attachment of {version.ref}", name)
    return path


def read(registry: Registry, version: ModelVersion, name: str) -> bytes:
    """Return the bytes of one attached file.

    Raises:
        NotFound: No such file is attached to the version.
        Corrupt: It cannot be read.
    """
    with temporary_folder("work") as scratch:
        path = attached(registry, version, name, scratch)
        try:
            return path.read_bytes()
        except OSError as error:
            raise Corrupt(f"{name} of {version.ref} cannot be read: {one_line(error)}") from None


def tag(registry: Registry, version: ModelVersion, key: str, value: str) -> None:
    """Set a tag on a version."""
    registry.change()
    with answering():
        registry.client.set_model_version_tag(version.model, str(version.version), key, value)
