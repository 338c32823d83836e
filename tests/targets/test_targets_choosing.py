"""Which target runs a workspace's gateway: the one that is set, and until it ends the one that started it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mlprod_nb import Workspace, targets
from mlprod_nb.errors import NotFound
from mlprod_nb.targets import local
from tests.packages import install
from tests.targets.elsewhere import Elsewhere

MODULE = "from tests.targets.elsewhere import Elsewhere\nelsewhere = Elsewhere()\n"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    install(
        tmp_path, "[mlprod_nb.targets]\nelsewhere = their_checks:elsewhere\nlocal = their_checks:elsewhere\n", MODULE
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_checks", raising=False)
    found = targets.get("elsewhere")
    assert isinstance(found, Elsewhere)
    return found


def choose(root: Path, name: str) -> None:
    (root / "mlprod.toml").write_text(f'[gateway]\ntarget = "{name}"\n[scheduler]\nenabled = false\n', encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    Workspace.init(str(root))
    choose(root, "elsewhere")
    return root


def test_an_unknown_target_is_told_with_the_nearest_and_where_it_is_set(root: Path) -> None:
    choose(root, "locl")
    with pytest.raises(NotFound, match=r"Did you mean 'local'\? Set target under \[gateway\] in mlprod\.toml"):
        targets.start(root)
    with pytest.raises(NotFound, match="no target 'locl'"):
        Workspace.open(root).up()


def test_a_target_of_an_installed_package_serves_the_verbs_and_replaces_no_built_in_one(
    root: Path, elsewhere: Elsewhere
) -> None:
    assert targets.get("local") is local
    workspace = Workspace.open(root)
    assert workspace.up().url == "http://elsewhere.test:80"
    assert workspace.up().already_running
    status = workspace.status()
    assert (status.gateway.workers, status.gateway.place) == (3, "elsewhere")
    assert workspace.down(yes=True).stopped == ("gateway",)
    assert not workspace.status().gateway.running


def test_a_gateway_that_runs_is_found_and_stopped_by_the_target_that_started_it_whatever_is_set_since(
    root: Path, elsewhere: Elsewhere
) -> None:
    record = targets.start(root)
    choose(root, "local")
    assert targets.start(root) is record
    assert targets.of(root) is elsewhere
    assert Workspace.open(root).down(yes=True).stopped == ("gateway",)


def test_one_that_does_not_answer_is_given_up_by_its_target_before_another_one_starts(
    root: Path, elsewhere: Elsewhere
) -> None:
    targets.start(root)
    elsewhere.record = None
    choose(root, "local")
    try:
        targets.start(root)
        assert elsewhere.stops == 1
        assert targets.of(root) is local
    finally:
        local.stop(root)
