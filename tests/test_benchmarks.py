"""Benchmarks beside other servers: what the page says where a server is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import mlserver, model_worker
from benchmarks.model_worker import OURS, PEER, SPLIT, TENSORS, Load
from benchmarks.wrk import Outcome


def load(server: str, request: str, model: str, per_second: int) -> Load:
    return Load(server, request, model, Outcome(per_second, 1.0, 2.0, 3.0, 0, 0), 1.0)


def test_each_row_of_ours_has_its_ratio_to_the_peer_with_the_same_model() -> None:
    loads = [
        load(PEER, TENSORS, "forest", 250),
        load(OURS, TENSORS, "forest", 500),
        load(OURS, SPLIT, "forest", 1000),
        load(PEER, TENSORS, "boosting", 100),
        load(OURS, TENSORS, "boosting", 1000),
    ]
    ratios = [line.split("|")[-2].strip() for line in model_worker.render(loads, "")[-5:]]
    assert ratios == ["", "2.0", "4.0", "", "10.0"]


def test_a_peer_that_cannot_be_installed_is_a_row_that_says_why() -> None:
    *_, ours, peer = model_worker.render([load(OURS, TENSORS, "forest", 500)], "No matching distribution found")
    assert ours.startswith(f"| {OURS} | {TENSORS} | forest | 500 |")
    assert peer.startswith(f"| {PEER} | {TENSORS} | could not be installed here: No matching distribution found |")
    assert ours.count("|") == peer.count("|")


def test_a_package_that_no_index_has_is_told_by_pips_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(mlserver.NotInstalled, match="No matching distribution found for mlserver"):
        mlserver.install(tmp_path / "environment")
    assert not (tmp_path / "environment" / "ready").exists()


def test_an_environment_that_is_ready_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ready").write_text("\n".join(mlserver.PACKAGES), encoding="utf-8")
    (tmp_path / "kept").touch()
    assert mlserver.install(tmp_path) == tmp_path / "bin" / "python"
    assert (tmp_path / "kept").exists()
