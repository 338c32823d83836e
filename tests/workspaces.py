"""New workspaces for tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mlprod_nb import Workspace
from mlprod_nb.registry.models import Registry
from mlprod_nb.settings import Layout


def new_workspace(root: Path) -> Workspace:
    """Make a workspace with a registry in which there is nothing."""
    Workspace.init(str(root))
    Layout(root).mlflow_database.write_bytes(empty_registry())
    return Workspace.open(root)


@cache
def empty_registry() -> bytes:
    """Return the database of an empty registry, made once: MLflow makes it by dozens of migrations."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "mlflow.db"
        assert Registry(f"sqlite:///{database}", Path(folder)).models() == ()
        return database.read_bytes()
