"""Registered models without a version, which a killed process left.

MLflow wants a registered model before its first version, so a process that is killed between the two leaves an empty
one. It carries a mark until its first version is there: with the mark and without a version it is no model here, and
the next version of any model takes it away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MARK = "mlprod.unfinished"
_SAFE_MS = 3_600_000


def begin(client: MlflowClient, name: str) -> None:
    """Make a registered model that counts once it has a version."""
    client.create_registered_model(name, tags={_MARK: "true"})


def finish(client: MlflowClient, name: str, now_ms: int) -> None:
    """Take a model's mark away, since it has a version now; and the models that killed processes left.

    Args:
        client: MLflow's client.
        name: The model's name.
        now_ms: The moment by the registry's own clock, milliseconds since 1970. Only models that were begun an hour
            before are taken away: a younger one may be another process's, which makes its version just now.
    """
    for model in client.search_registered_models(f"tags.`{_MARK}` = 'true'"):
        if model.name == name:
            client.delete_registered_model_tag(name, _MARK)
        elif model.creation_timestamp < now_ms - _SAFE_MS and not _has_version(client, model.name):
            client.delete_registered_model(model.name)


def is_left(client: MlflowClient, model: Any) -> bool:
    """Return whether MLflow's registered model was begun and has no version."""
    return _MARK in model.tags and not _has_version(client, model.name)


def _has_version(client: MlflowClient, name: str) -> bool:
    return bool(client.search_model_versions(f"name = '{name}'", max_results=1))
