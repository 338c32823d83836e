"""The gateway on a Ray cluster: which node may take it, what keeps it there, and what is told of what goes wrong."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlprod_nb import settings
from mlprod_nb.errors import MissingExtra, Refused, Unavailable
from mlprod_nb.processes import wait_for
from mlprod_nb.settings import Layout, Settings
from mlprod_nb.targets import ray
from mlprod_nb.targets.ray import note, placing
from mlprod_nb.targets.ray.keeper import Errand, Keeper, Node
from tests import ports
from tests.serving.workshop import make_workshop

HERE, THERE = "10.0.0.1", "10.0.0.2"
NODES = {HERE: 4.0, THERE: 8.0}
POSTGRES = {"url": "postgresql://db.test/state"}
PATIENCE = 60.0


def given(
    host: str = "127.0.0.1", *, workers: int = 1, cpus: float = 0.0, store: dict[str, str] | None = None
) -> Settings:
    gateway = {"host": host, "workers": workers}
    return Settings.from_dict({"gateway": gateway, "ray": {"cpus": cpus}, "store": store or {}})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize("store", [{}, POSTGRES])
def test_what_listens_on_the_loopback_stays_on_the_machine_of_its_callers(host: str, store: dict[str, str]) -> None:
    assert placing.choose(given(host, store=store), NODES, HERE) == HERE
    assert placing.bound_to_this_machine(given(host, store=store))


def test_what_listens_on_all_addresses_may_be_on_any_node_if_its_state_is_not_in_sqlite() -> None:
    assert placing.choose(given("0.0.0.0", store=POSTGRES), NODES, HERE) == ""
    assert not placing.bound_to_this_machine(given("0.0.0.0", store=POSTGRES))
    assert placing.choose(given("0.0.0.0"), NODES, HERE) == HERE
    assert placing.choose(given("::", store={"url": "sqlite:////srv/state.db"}), NODES, HERE) == HERE


def test_an_address_is_that_of_the_node_that_takes_it() -> None:
    assert placing.choose(given(THERE, store=POSTGRES), NODES, HERE) == THERE
    assert placing.choose(given(HERE), NODES, HERE) == HERE
    with pytest.raises(Refused, match=r"address 10\.0\.0\.9, .* that of a node: 10\.0\.0\.1, 10\.0\.0\.2\."):
        placing.choose(given("10.0.0.9", store=POSTGRES), NODES, HERE)
    with pytest.raises(Refused, match=r"node 10\.0\.0\.2: its state is in SQLite.*Postgres"):
        placing.choose(given(THERE), NODES, HERE)


def test_more_cores_than_a_node_has_are_refused_at_once() -> None:
    assert placing.cpus(given(workers=3)) == 3
    assert placing.cpus(given(workers=3, cpus=0.5)) == 0.5
    assert placing.choose(given("0.0.0.0", workers=8, store=POSTGRES), NODES, HERE) == ""
    with pytest.raises(Refused, match=r"to take 5 cores, and Ray gives 4 of node 10\.0\.0\.1\. Set cpus under \[ray\]"):
        placing.choose(given(workers=5), NODES, HERE)
    with pytest.raises(Refused, match=r"Ray gives 8 of node 10\.0\.0\.2"):
        placing.choose(given("0.0.0.0", cpus=9, store=POSTGRES), NODES, HERE)


def test_the_settings_of_whoever_starts_it_go_with_it_and_those_of_the_node_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLPROD_GATEWAY__PORT", "8080")
    monkeypatch.setenv("MLPROD_WORKSPACE", "/srv/flights")
    carried = settings.variables()
    assert carried == {"MLPROD_GATEWAY__PORT": "8080"}
    monkeypatch.setenv("MLPROD_GATEWAY__HOST", "0.0.0.0")
    monkeypatch.delenv("MLPROD_GATEWAY__PORT")
    settings.adopt(carried)
    assert settings.variables() == carried


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workshop(tmp_path / "workspace", {}).root


class Process:
    """A process that a keeper would end."""

    def __init__(self) -> None:
        self.left = threading.Event()

    def leave(self, code: int) -> None:
        assert code == 1
        self.left.set()


def keep(root: Path, *, again: bool = False, process: Process | None = None) -> Keeper:
    errand = Errand(note.claim(root).id, str(root), "", {})
    leave: Callable[[int], object] = (process or Process()).leave
    return Keeper(errand, Node("127.0.0.1", "here"), again=again, leave=leave, pause_seconds=0.0)


def supervisor(keeper: Keeper) -> psutil.Process:
    assert wait_for(lambda: bool(keeper.state().url), PATIENCE), keeper.state()
    (found,) = [
        each for each in psutil.Process().children() if "mlprod_nb.serving.supervision.supervisor" in each.cmdline()
    ]
    return found


def test_a_keeper_runs_the_gateway_notes_its_node_and_ends_it(root: Path) -> None:
    process = Process()
    keeper = keep(root, process=process)
    gateway = supervisor(keeper)
    try:
        found = ray.running(root)
        assert found is not None
        assert (found.url, found.pid) == (keeper.state().url, gateway.pid)
        assert ray.condition(root).place == "on Ray node 127.0.0.1 (here)"
    finally:
        keeper.stop()
    assert not gateway.is_running()
    assert not process.left.is_set()


def test_where_the_gateway_ends_by_itself_its_keeper_does_so_that_ray_starts_both_again(root: Path) -> None:
    process = Process()
    supervisor(keep(root, process=process)).kill()
    assert process.left.wait(PATIENCE)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with the one that started it")
def test_a_gateway_ends_with_its_keeper_whatever_ends_that(root: Path) -> None:
    errand = Errand(note.claim(root).id, str(root), "", {})
    code = f"""
from mlprod_nb.targets.ray.keeper import Errand, Keeper, Node
keeper = Keeper({errand!r}, Node("127.0.0.1", ""), again=False)
while not keeper.state().url: keeper._thread.join(0.05)
print("answers", flush=True)
keeper._thread.join()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "answers\n"
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    assert len(below) > 1
    assert psutil.wait_procs(below, timeout=PATIENCE)[1] == []
    note.remove(root)  # so that nobody waits for Ray to start it again
    assert ray.running(root) is None


def test_a_node_that_does_not_see_the_workspace_is_named_with_the_path(root: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    note.claim(root)
    keeper = Keeper(Errand("1", str(away), "", {}), Node(THERE, "b"), again=False)
    said = rf"Ray node {THERE} \(b\) does not see the workspace {away}: it must lie on storage that the nodes share"
    assert wait_for(lambda: bool(keeper.state().problem), PATIENCE)
    with pytest.raises(Unavailable, match=said):
        raise Unavailable(keeper.state().problem)
    another = Keeper(Errand("another folder", str(root), "", {}), Node(THERE, "b"), again=False)
    assert wait_for(lambda: "does not see the workspace" in another.state().problem, PATIENCE)


def test_one_that_was_started_again_and_does_not_see_it_leaves_so_that_ray_tries_another_node(tmp_path: Path) -> None:
    process = Process()
    Keeper(
        Errand("1", str(tmp_path / "away"), "", {}), Node(THERE, "b"), again=True, leave=process.leave, pause_seconds=0
    )
    assert process.left.wait(PATIENCE)


def test_a_gateway_that_was_stopped_is_not_started_again(root: Path) -> None:
    with pytest.raises(Unavailable, match="was stopped"):
        Keeper(Errand("1", str(root), "", {}), Node(HERE, ""), again=True)


def test_several_that_claim_a_workspace_at_once_have_one_note(root: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: note.claim(root).id, range(32)))) == 1
    assert [file.name for file in note.file_of(root).parent.glob("ray*")] == ["ray.json"]


def test_a_note_that_came_with_a_copy_is_none(root: Path, tmp_path: Path) -> None:
    original = note.claim(root)
    shutil.copytree(root, tmp_path / "copy")
    assert note.read(tmp_path / "copy") is None
    assert note.claim(tmp_path / "copy").id != original.id
    assert note.claim(root) == note.read(root)


def test_without_ray_the_extra_that_brings_it_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'ray is not installed\. Install it with: pip install "mlprod_nb\[ray\]"'):
        ray.start(root)
    assert note.read(root) is None


def test_what_goes_wrong_on_the_clusters_side_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answering(found: dict[str, Any], said: str = "") -> None:
        done = subprocess.CompletedProcess([], 0, f"noise\n{json.dumps(found)}\n" if found else "", said)
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    answering({"error": "Refused", "message": "no node has it.", "hint": "Set host."})
    with pytest.raises(Refused, match=r"^no node has it\. Set host\.$"):
        ray.start(root)
    answering({}, "Traceback\nSegmentation fault\n\n")
    with pytest.raises(Unavailable, match=r"Ray did not do what it was asked: Segmentation fault\."):
        ray.start(root)


def test_an_actor_that_is_killed_comes_back_with_its_gateway_and_one_that_was_stopped_does_not(
    root: Path, ray_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "mlprod.toml").write_text(f'[ray]\naddress = "{ray_cluster}"\n', encoding="utf-8")
    # Where the state is, the actor and the gateway below it must learn from whoever starts them.
    state = tmp_path / "state.db"
    Layout(root).database.rename(state)
    monkeypatch.setenv("MLPROD_STORE__URL", f"sqlite:///{state}")
    first = ray.start(root)
    try:
        gateway = psutil.Process(first.pid)
        actor = gateway.parent()
        assert actor is not None
        actor.kill()
        assert psutil.wait_procs([actor, gateway], timeout=PATIENCE)[1] == []
        assert wait_for(lambda: ray.running(root) is not None, PATIENCE)
        found = ray.running(root)
        assert found is not None
        assert found == ray.start(root)
        assert found.id != first.id
        assert found.url == first.url
        successor = psutil.Process(found.pid).parent()
        assert successor is not None
    finally:
        assert ray.stop(root)
    assert psutil.wait_procs([actor, successor], timeout=PATIENCE)[1] == []
    assert ray.running(root) is None


def test_a_cluster_that_is_not_there_is_told_with_how_to_start_one(root: Path, ray_cluster: str) -> None:
    with ports.reserved() as port:
        (root / "mlprod.toml").write_text(f'[ray]\naddress = "127.0.0.1:{port}"\n', encoding="utf-8")
        with pytest.raises(Unavailable, match=r"cannot be reached: Connection refused\. Start one with: ray start"):
            ray.start(root)
    assert note.read(root) is None
