"""A workspace that was moved or copied: each has its own versions, and no copy touches the original."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlprod_nb import Workspace
from tests.lifecycle.conftest import Site, make_site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("site"))
    yield site
    site.workspace.context.store.close()


def files(root: Path) -> set[Path]:
    return set((root / ".mlprod" / "artifacts").rglob("*"))


def bundle_of(workspace: Workspace, version: str, folder: Path) -> str:
    """Return the digest of a bundle that is fetched from the registry, not from what was fetched before."""
    from mlprod_nb.registry.bundles import BundleStore

    registry = workspace.context.registry
    return registry.fetch_bundle(registry.resolve(version), BundleStore(folder)).digest


def test_a_copy_registers_its_versions_into_its_own_directory(site: Site, tmp_path: Path) -> None:
    root = tmp_path / "a copy"
    shutil.copytree(site.workspace.root, root)
    before, own = files(site.workspace.root), files(root)
    made = Workspace.open(root).register("flights", model=site.model, data=site.data, target=site.target)
    assert files(site.workspace.root) == before
    assert len(files(root)) > len(own)
    assert bundle_of(Workspace.open(root), made.version, tmp_path / "fetched")


def test_a_workspace_that_was_moved_finds_what_it_registered(site: Site, tmp_path: Path) -> None:
    first, moved = tmp_path / "first", tmp_path / "moved"
    shutil.copytree(site.workspace.root, first)
    digest = bundle_of(Workspace.open(first), "flights/1", tmp_path / "there")
    first.rename(moved)
    assert bundle_of(Workspace.open(moved), "flights/1", tmp_path / "here") == digest
    assert Workspace.open(moved).register("flights", model=site.model, data=site.data, target=site.target).version
    assert not first.exists()


def test_a_registry_that_is_where_it_was_is_not_written(site: Site) -> None:
    database = site.workspace.context.layout.mlflow_database
    before = database.stat().st_mtime_ns
    assert Workspace.open(site.workspace.root).context.registry.models()
    assert database.stat().st_mtime_ns == before
