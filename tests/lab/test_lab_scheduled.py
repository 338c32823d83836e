"""Notebooks that jupyter-scheduler runs by our strict runner; by jupyter-scheduler itself where it is installed."""

from __future__ import annotations

import enum
import importlib
import importlib.util
import json
import sys
import types
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import ExecutionFailed, NotFound, Refused, UsageError
from mlprod_nb.lab import scheduled
from tests.browser.jupyterlab import Server, jupyterlab, wait_until
from tests.lifecycle.conftest import Site, make_site
from tests.notebook_files import PARAMETERS, code, text, verdict, write

SUM = "first: int = 1\nname: str = 'none'\nquick: bool = True"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace whose endpoint has answered, with a report of its own."""
    site = make_site(tmp_path_factory.mktemp("site"))
    workspace = site.workspace
    workspace.up()
    workspace.deploy("flights@champion")
    site.ask("flights", rows=30)
    own_report(workspace.root, verdict("alarm", "all moved."))
    yield site
    workspace.down(yes=True)
    workspace.context.store.close()


def own_report(folder: Path, *cells: dict[str, Any]) -> Path:
    return write(folder / "notebooks" / "look_report.ipynb", text("# Own"), code(PARAMETERS, "parameters"), *cells)


def job(source: Path, root: Path, folder: Path, **parameters: str) -> scheduled.Job:
    """A job as a scheduler makes it: of a copy of the notebook, its outputs beside the copy."""
    copy = folder / source.name
    copy.write_bytes(source.read_bytes())
    outputs = {form: folder / f"out.{form}" for form in scheduled.FORMS}
    return scheduled.Job(copy, root, root, parameters, outputs)


def test_a_report_s_job_is_the_verb_report_and_an_alarm_is_no_failure(site: Site, tmp_path: Path) -> None:
    root = site.workspace.root
    asked = job(root / "notebooks" / "look_report.ipynb", root, tmp_path, endpoint="'flights'", since="2000-01-01")
    scheduled.run(asked)
    page = asked.outputs["html"].read_text(encoding="utf-8")
    assert "All moved" in page
    assert "look" in (root / "reports" / "index.html").read_text(encoding="utf-8")
    kept = next((root / "reports" / "flights" / "look").iterdir())
    assert asked.outputs["ipynb"].read_bytes() == (kept / "report.ipynb").read_bytes()
    assert (kept / "verdict.json").is_file()


def test_another_notebook_under_a_report_s_name_is_refused(site: Site, tmp_path: Path) -> None:
    other = own_report(tmp_path, verdict("ok", "nothing moved."))
    with pytest.raises(Refused, match=r"look_report\.ipynb is not the notebook that the workspace runs as its look"):
        scheduled.run(job(other, site.workspace.root, tmp_path, endpoint="flights"))


def test_a_report_without_a_verdict_fails_and_leaves_its_page(site: Site, tmp_path: Path) -> None:
    silent = write(site.workspace.root / "silent_report.ipynb", code(PARAMETERS, "parameters"), code("1 + 1"))
    asked = job(silent, site.workspace.root, tmp_path, endpoint="flights")
    with pytest.raises(ExecutionFailed, match="it shows none"):
        scheduled.run(asked)
    assert "came to no verdict" in asked.outputs["html"].read_text(encoding="utf-8")


def test_any_other_notebook_runs_in_a_fresh_kernel_and_owes_no_verdict(tmp_path: Path) -> None:
    source = write(tmp_path / "in" / "sum.ipynb", code(SUM, "parameters"), code("print(first + 1, name, quick)"))
    asked = job(source, tmp_path, tmp_path, first="41", name="7", quick="False")
    scheduled.run(asked)
    assert "42 7 False" in asked.outputs["ipynb"].read_text(encoding="utf-8")
    page = asked.outputs["html"].read_text(encoding="utf-8")
    assert "42 7 False" in page
    assert "verdict" not in page.partition("<main")[2]


def test_a_cell_that_fails_keeps_what_there_is(tmp_path: Path) -> None:
    source = write(tmp_path / "in" / "sum.ipynb", code("print('so far')"), code("1 / 0"))
    asked = job(source, tmp_path, tmp_path)
    with pytest.raises(ExecutionFailed, match=r"cell 2 of sum\.ipynb failed: ZeroDivisionError"):
        scheduled.run(asked)
    assert "so far" in asked.outputs["html"].read_text(encoding="utf-8")
    assert "ZeroDivisionError" in asked.outputs["ipynb"].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"frist": "1"}, NotFound, "'first'"),
        ({"first": "many"}, UsageError, "must be int"),
        ({"name": "mlp_secret"}, Refused, "looks like a secret"),
    ],
)
def test_parameters_are_checked_before_anything_runs(
    tmp_path: Path, parameters: dict[str, str], error: type[Exception], said: str
) -> None:
    source = write(tmp_path / "in" / "sum.ipynb", code(SUM, "parameters"))
    asked = job(source, tmp_path, tmp_path, **parameters)
    with pytest.raises(error, match=said):
        scheduled.run(asked)
    assert not asked.outputs["ipynb"].exists()


def test_a_form_that_is_not_made_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "in" / "sum.ipynb", code("1"))
    with pytest.raises(NotFound, match="form of output 'pdf'"):
        scheduled.run(scheduled.Job(source, tmp_path, tmp_path, {}, {"pdf": tmp_path / "out.pdf"}))


def test_the_workspace_s_limit_holds(tmp_path: Path) -> None:
    Workspace.init(str(tmp_path / "ws"))
    with (tmp_path / "ws" / "mlprod.toml").open("a", encoding="utf-8") as file:
        file.write("\n[reports]\ntimeout_seconds = 4\n")
    source = write(tmp_path / "in" / "long.ipynb", code("import threading; threading.Event().wait()"))
    with pytest.raises(ExecutionFailed, match="reached the limit of 4 s"):
        scheduled.run(job(source, tmp_path / "ws", tmp_path))


# jupyter-scheduler's side, as far as the door knows it.


class FakeFeature(enum.StrEnum):
    job_name = "job_name"
    parameters = "parameters"
    output_formats = "output_formats"
    stop_job = "stop_job"
    delete_job = "delete_job"
    tags = "tags"


@dataclass
class FakeModel:
    parameters: dict[str, str] | None = None
    package_input_folder: bool | None = None


@dataclass
class FakeManager:
    """What jupyter-scheduler's base class is to those that it calls."""

    job_id: str
    root_dir: str
    db_url: str
    staging_paths: dict[str, str]
    model: FakeModel = field(default_factory=FakeModel)
    ended: str = ""

    def execute(self) -> None:
        raise NotImplementedError

    def process(self) -> None:
        try:
            self.execute()
        except Exception as error:  # noqa: BLE001 (as theirs)
            self.ended = f"FAILED {error}"
        else:
            self.ended = "COMPLETED"


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """The door's class upon a fake of its base."""
    executors, models = types.ModuleType("jupyter_scheduler.executors"), types.ModuleType("jupyter_scheduler.models")
    executors.__dict__["ExecutionManager"], models.__dict__["JobFeature"] = FakeManager, FakeFeature
    package = types.ModuleType("jupyter_scheduler")
    name = "mlprod_nb.lab.execution_manager"
    with monkeypatch.context() as patched:
        for module in (package, executors, models):
            patched.setitem(sys.modules, module.__name__, module)
        patched.delitem(sys.modules, name, raising=False)
        yield importlib.import_module(name).StrictExecutionManager
        sys.modules.pop(name, None)


def staged(folder: Path, *cells: dict[str, Any]) -> dict[str, str]:
    """Paths as jupyter-scheduler hands them over."""
    return {
        "ipynb": str(folder / "o.ipynb"),
        "html": str(folder / "o.html"),
        "input": str(write(folder / "i.ipynb", *cells)),
    }


def test_the_door_hands_a_job_over_and_its_end_back(manager: Callable[..., Any], tmp_path: Path) -> None:
    paths = staged(tmp_path / "staging", code(SUM, "parameters"), code("import os; print(first, os.getcwd())"))
    root = tmp_path / "root"
    root.mkdir()
    done = manager("1", str(root), "", paths, FakeModel({"first": "5"}))
    done.process()
    assert done.ended == "COMPLETED"
    assert f"5 {root}" in Path(paths["html"]).read_text(encoding="utf-8")
    packaged = manager("2", str(root), "", paths, FakeModel({"first": "many"}, package_input_folder=True))
    packaged.process()
    assert packaged.ended == "FAILED parameter 'first' must be int, not str 'many'."


def test_the_door_says_what_it_supports(manager: Any) -> None:
    assert manager.supported_features(manager)[FakeFeature.parameters] is True
    assert manager.supported_features(manager)[FakeFeature.tags] is False
    assert manager.validate(manager, "a/b.ipynb")
    assert not manager.validate(manager, "a/b.py")


# jupyter-scheduler itself.


@pytest.fixture(scope="module")
def server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab whose jobs run by the strict runner; its directory holds the workspace."""
    if importlib.util.find_spec("jupyter_scheduler") is None:
        pytest.skip("jupyter-scheduler is not installed: pip install 'mlprod_nb[jupyter-scheduler]'")
    folder = tmp_path_factory.mktemp("scheduler")
    configuration = folder / "jupyter_config_dir" / "jupyter_server_config.json"
    configuration.parent.mkdir()
    (folder / "jupyter_data_dir").mkdir()  # jupyter-scheduler keeps its database there, and does not make it
    door = "mlprod_nb.lab.execution_manager.StrictExecutionManager"
    said = {
        "ServerApp": {"jpserver_extensions": {"jupyter_scheduler": True}},
        "Scheduler": {"execution_manager_class": door},
    }
    configuration.write_text(json.dumps(said), encoding="utf-8")
    with jupyterlab(folder, in_root=True) as running:
        (running.root / "flights").symlink_to(site.workspace.root)
        yield running


def ask(server: Server, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(f"{server.url}/scheduler/{path}", data=json.dumps(body).encode() if body else None)
    request.add_header("Authorization", f"token {server.token}")
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply) if reply.status == 200 else None


def ended(server: Server, notebook: str, **parameters: str) -> dict[str, Any]:
    """Create a job and wait for its end."""
    environment = ask(server, "runtime_environments")[0]["name"]
    made = ask(
        server,
        "jobs",
        {
            "name": "look",
            "input_uri": notebook,
            "runtime_environment_name": environment,
            "output_formats": ["ipynb", "html"],
            "parameters": parameters,
        },
    )
    over = ("COMPLETED", "FAILED")  # a job that has not begun is STOPPED there
    path = f"jobs/{made['job_id']}"
    wait_until(lambda: ask(server, path)["status"] in over, seconds=120, what="the job")
    found: dict[str, Any] = ask(server, path)
    return found


@pytest.mark.slow
def test_jupyter_scheduler_runs_a_report_and_its_outputs_are_downloaded(server: Server) -> None:
    found = ended(server, "flights/notebooks/look_report.ipynb", workspace="flights", endpoint="flights")
    assert found["status"] == "COMPLETED", found
    ask(server, f"jobs/{found['job_id']}/download_files")
    wait_until(lambda: _outputs(server), seconds=30, what="the downloads")
    assert "All moved" in _outputs(server)[0].read_text(encoding="utf-8")


def _outputs(server: Server) -> list[Path]:
    return list((server.root / "jobs").rglob("*.html"))


@pytest.mark.slow
def test_jupyter_scheduler_tells_why_a_job_failed(server: Server) -> None:
    found = ended(server, "flights/notebooks/look_report.ipynb", workspace="flights", endpoint="fligths")
    assert found["status"] == "FAILED"
    assert "'flights'" in found["status_message"]
