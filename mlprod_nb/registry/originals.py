"""The models themselves as MLflow keeps them, and the rows that they were logged with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import Corrupt
from mlprod_nb.registry.models import Registry
from mlprod_nb.registry.quiet import answering, one_line
from mlprod_nb.registry.versions import ModelVersion
from mlprod_nb.scratch import temporary_folder

if TYPE_CHECKING:
    import pandas as pd

_LOGGED = "models:/"


def load(registry: Registry, version: ModelVersion) -> Any:
    """Return a version's model itself; this runs code from it.

    Raises:
        Corrupt: It cannot be fetched or loaded.
    """
    from mlprod_nb.registry import python_runner

    with temporary_folder("work") as scratch:
        return python_runner.load_model(fetch(registry, version, scratch))


def input_example(registry: Registry, version: ModelVersion) -> pd.DataFrame | None:
    """Return the example rows that a version was logged with, or ``None`` where they are no frame.

    Raises:
        Corrupt: The version cannot be fetched.
    """
    import pandas as pd

    with temporary_folder("work") as scratch:
        folder = str(fetch(registry, version, scratch))
        with answering():
            from mlflow.exceptions import MlflowException
            from mlflow.models import Model

            try:
                found = Model.load(folder).load_input_example(folder)
            except (MlflowException, OSError, ValueError):
                return None
    return found if isinstance(found, pd.DataFrame) else None


def fetch(registry: Registry, version: ModelVersion, scratch: Path) -> Path:
    """Bring a version's MLflow model into a folder.

    Raises:
        Corrupt: It cannot be fetched.
    """
    with answering():
        import mlflow.artifacts
        from mlflow.exceptions import MlflowException

        source = registry.client.get_model_version(version.model, str(version.version)).source
        try:
            # Plain MLflow names the logged model, which MLflow looks up in its global registry, not in this one.
            if source.startswith(f"{_LOGGED}m-"):
                source = registry.client.get_logged_model(source.removeprefix(_LOGGED)).artifact_location
            path = mlflow.artifacts.download_artifacts(
                artifact_uri=source, dst_path=str(scratch), tracking_uri=registry.tracking_uri
            )
        except (MlflowException, OSError) as error:
            raise Corrupt(f"{version.ref} cannot be fetched from the registry: {one_line(error)}") from None
    return Path(path)
