"""Notebooks are found, their parameters checked, and their executions end: in time, and with nothing left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlprod_nb import assets, notebooks
from mlprod_nb.errors import ExecutionFailed, InvalidInput, NotFound, Refused, UsageError
from mlprod_nb.notebooks.execution import LARGEST_NOTEBOOK, MARK
from mlprod_nb.progress import Silence
from tests.notebook_files import code, notebook, text, write
from tests.notebooks.executions import alive

LIMIT = 120.0


def run(path: Path, parameters: dict[str, Any] | None = None, limit: float = LIMIT) -> notebooks.Execution:
    return notebooks.execute(
        path, path.with_name("out.ipynb"), parameters or {}, timeout_seconds=limit, cwd=path.parent
    )


def failed(path: Path, limit: float = LIMIT) -> notebooks.NotebookFailed:
    with pytest.raises(notebooks.NotebookFailed) as caught:
        run(path, limit=limit)
    assert caught.value.notebook.is_file()
    return caught.value


def printed(path: Path) -> list[str]:
    cells = notebooks.read(path)["cells"]
    return ["".join("".join(o.get("text", "")) for o in cell.get("outputs", ())) for cell in cells]


def check(source: str, parameters: dict[str, Any]) -> None:
    notebooks.check(parameters, notebooks.declared(notebook(code(source, "parameters"))))


# -- execution ---------------------------------------------------------------------------------------------------------


def test_a_notebook_gets_its_parameters_exactly_in_this_interpreter_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A user's own kernel of the same name, which must not be taken.
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": ["/bin/false", "{connection_file}"], "display_name": "P", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    hostile = 'it\'s "quoted" \\ {braces} $x\n%magic é漢😀\t\x00'
    path = write(
        tmp_path / "in.ipynb",
        code("words: str = 'a = b'\nnumbers: list[float] = []\nsame: int = 7", "parameters"),
        code("import json, os, sys\nprint(json.dumps([words, numbers, same, sys.executable, os.getcwd()]))"),
        code("import subprocess\nprint(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"),
    )
    execution = run(path, {"words": hostile, "numbers": [1, 2.5]})
    told, pid = (line for line in printed(execution.notebook) if line)
    assert json.loads(told) == [hostile, [1, 2.5], 7, sys.executable, str(tmp_path)]
    assert not alive(int(pid))
    assert execution.source_sha256 == notebooks.sha256(path)
    metadata = notebooks.read(execution.notebook)["metadata"]["papermill"]
    assert "environment_variables" not in metadata
    assert str(tmp_path) not in json.dumps(metadata)


def test_a_kernel_starts_without_a_debugger_and_a_notebook_can_still_import_one(tmp_path: Path) -> None:
    source = "import sys\nprint('debugpy' in sys.modules)\nimport debugpy\nprint(debugpy.__name__)"
    execution = run(write(tmp_path / "in.ipynb", code(source)))
    assert printed(execution.notebook) == ["False\ndebugpy\n"]


def test_who_listens_is_told_which_cell_is_reached(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []

    class Listener(Silence):
        def at(self, done: int, total: int) -> None:
            heard.append((done, total))
            (tmp_path / "go").touch()

    waiting = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)"
    path = write(tmp_path / "in.ipynb", code("a = 1"), code(waiting), code("b = 2"))
    within = notebooks.Surroundings(progress=Listener())
    notebooks.execute(path, tmp_path / "out.ipynb", {}, timeout_seconds=LIMIT, cwd=tmp_path, within=within)
    assert heard[0] in ((1, 3), (2, 3))
    assert heard == sorted(heard)


def test_a_raising_cell_is_named_and_the_rest_marked_as_not_run(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ipynb", text("# Title"), code("print('kept')"), code("1 / 0"), code("print('never')"))
    error = failed(path)
    assert (error.reason, error.cell_index, error.error_name) == ("error", 2, "ZeroDivisionError")
    assert error.error_message == "division by zero"
    assert isinstance(error, ExecutionFailed)
    assert "cell 3 of out.ipynb failed: ZeroDivisionError: division by zero" in str(error)
    cells = notebooks.read(error.notebook)["cells"]
    assert [cell["metadata"]["papermill"]["status"] for cell in cells] == [
        "completed",
        "completed",
        "failed",
        "pending",
    ]
    assert printed(error.notebook)[1] == "kept\n"


def test_a_hung_cell_ends_at_the_limit_with_its_output_kept_and_no_process_left(tmp_path: Path) -> None:
    path = write(
        tmp_path / "in.ipynb",
        code("import os\nprint(os.getpid(), os.getppid(), flush=True)"),
        code("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('so far', flush=True)"),
        code("print('hanging', flush=True)\nwhile True:\n    time.sleep(600)"),
    )
    start = time.monotonic()
    error = failed(path, limit=20)
    assert time.monotonic() - start < 40
    assert (error.reason, error.cell_index) == ("timeout", 2)
    shown = printed(error.notebook)
    assert shown[1:] == ["so far\n", "hanging\n"]
    assert not any(alive(int(pid)) for pid in shown[0].split())


def test_a_kernel_that_dies_is_told_with_its_cell(tmp_path: Path) -> None:
    error = failed(write(tmp_path / "in.ipynb", code("x = 1"), code("import os\nos._exit(3)"), code("x")))
    assert (error.reason, error.cell_index) == ("died", 1)
    assert "cell 2 of out.ipynb ended because its kernel died" in str(error)


def test_endless_output_is_stopped_long_before_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ipynb", code("1"), code("while True:\n    print('x' * 100_000)"), code("2"))
    error = failed(path)
    assert (error.reason, error.cell_index) == ("output", 1)
    assert "cell 2 of out.ipynb was stopped: it made more than 32 MiB of output" in str(error)
    assert error.seconds < LIMIT / 2


@pytest.mark.parametrize(
    "source",
    [
        "import time\nfor _ in range(40): print('x' * 2**20)\ntime.sleep(600)",
        "from IPython.display import HTML, display\nwhile True: display(HTML('x' * 100_000))",
    ],
    ids=["printed and then silent", "displayed without end"],
)
def test_output_is_counted_as_it_arrives_and_what_came_before_is_kept(tmp_path: Path, source: str) -> None:
    error = failed(write(tmp_path / "in.ipynb", code(source), code("2")))
    assert (error.reason, error.cell_index) == ("output", 0)
    kept = notebooks.read(error.notebook)["cells"]
    assert kept[0]["outputs"]
    assert not kept[1]["outputs"]
    assert error.notebook.stat().st_size < 2 * LARGEST_NOTEBOOK


def test_a_caller_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ipynb", code("import time, pathlib\npathlib.Path('begun').touch()\ntime.sleep(600)"))
    call = f"import pathlib, tests.test_notebooks as t; t.run(pathlib.Path({str(path)!r}))"
    caller = subprocess.Popen([sys.executable, "-c", call], cwd=Path(__file__).parents[1])
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    below = psutil.Process(caller.pid).children(recursive=True)
    assert len(below) >= 2
    caller.kill()
    caller.wait()
    _, left = psutil.wait_procs(below, timeout=60)
    assert left == []


def test_the_runner_ends_by_itself_and_complains_of_nothing(tmp_path: Path) -> None:
    write(tmp_path / "source.ipynb", code("print(1)"))
    spec = {"parameters": {}, "cwd": str(tmp_path), "kernel": "", "interpreter": "", "variables": {}, "memory_mib": 0}
    (tmp_path / "spec.json").write_text(json.dumps({**spec, "mark": "0" * 32}), encoding="utf-8")
    (tmp_path / "outcome.json").write_bytes(b" " * 4096)
    # Its input stays open, as the caller's does: a thread of it waits there until the end.
    command = [sys.executable, "-m", "mlprod_nb.notebooks", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as runner:
        assert runner.stdout is not None
        said = runner.stdout.read()
        assert (runner.wait(LIMIT), said) == (0, b"")
    assert json.loads((tmp_path / "outcome.json").read_text())["reason"] is None


def test_the_mark_of_an_execution_is_no_setting() -> None:
    assert not MARK.startswith("MLPROD_")
    assert MARK not in os.environ


# -- parameters --------------------------------------------------------------------------------------------------------


def test_an_unknown_parameter_names_the_nearest_and_nothing_is_run(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ipynb", code("endpoint: str = ''", "parameters"), code("raise SystemExit"))
    with pytest.raises(NotFound, match=r"there is no parameter 'endpiont'. Did you mean 'endpoint'"):
        run(path, {"endpiont": "flights"})
    assert not (tmp_path / "out.ipynb").exists()


def test_a_notebook_without_a_parameters_cell_takes_none() -> None:
    with pytest.raises(NotFound, match="no cell tagged 'parameters'"):
        notebooks.check({"x": 1}, notebooks.declared(notebook(code("x = 1"))))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("x: int = 1", 2),
        ("x: float = 1.0", 2),
        ("x: str | None = None", None),
        ("x: Optional[str] = None", "a"),
        ("x: 'list[str]' = []", ["a"]),
        ("x: dict[str, list[int]] = {}", {"a": [1]}),
        ("x: Literal['a', 'b'] = 'a'", "b"),
        ("x = []  # type: list[int]", [1]),
        ("x = 24 * 7", "anything"),
        ("x = None", 3),
        ("x: int", 1),
        ("x: Any = 1", {"a": None}),
    ],
)
def test_a_value_that_fits_its_type_passes(source: str, value: object) -> None:
    check(source, {"x": value})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("x: int = 1", "2"),
        ("x: int = 1", True),
        ("x: int = 1", 2.0),
        ("x: bool = True", 1),
        ("x: str = ''", None),
        ("x: list[str] = []", ["a", 1]),
        ("x: dict[str, int] = {}", {"a": "b"}),
        ("x: Literal['a', 'b'] = 'a'", "c"),
        ("x = 1", "one"),
        ("x = ''  # type: str", 1),
        ("x = []  # type: list[int]", ["1"]),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_parameter_and_its_type(source: str, value: object) -> None:
    with pytest.raises(UsageError, match="parameter 'x' must be"):
        check(source, {"x": value})


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": {1, 2}}, float("nan"), [float("inf")], b"bytes", Path("x")])
def test_a_value_that_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="which a notebook cannot be given"):
        check("x: Any = 1", {"x": value})


def test_a_type_that_cannot_be_checked_is_refused() -> None:
    with pytest.raises(InvalidInput, match="has the type 'Path', which cannot be checked"):
        check("x: Path = None", {"x": "a"})


def test_a_required_parameter_must_be_given() -> None:
    with pytest.raises(UsageError, match="parameter 'days' has no default"):
        check("days: int", {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "a"),
        ("db_password", "a"),
        ("apiToken", "a"),
        ("api_key", "a"),
        ("CLIENT_SECRET", "a"),
        ("note", "mlp_AAAAAAAAAAAA"),
        ("note", ["fine", {"key": "mlp_AAAA"}]),
        ("note", {"mlp_AAAA": 1}),
        ("note", "postgresql://ann:hunter2@db/mlprod"),
        ("note", "-----BEGIN RSA PRIVATE KEY-----"),
    ],
)
def test_what_looks_like_a_secret_is_refused_and_not_repeated(name: str, value: object) -> None:
    with pytest.raises(Refused, match="looks like a secret") as caught:
        check(f"{name}: Any = None", {name: value})
    assert "hunter2" not in str(caught.value)
    assert "AAAA" not in str(caught.value)


def test_names_that_only_resemble_secrets_pass() -> None:
    check(
        "max_tokens: int = 1\nsecretary: str = ''\nmonkey: str = ''", {"max_tokens": 2, "secretary": "a", "monkey": "b"}
    )


def test_papermill_sees_the_same_parameters_in_the_notebooks_that_ship() -> None:
    from papermill import inspect_notebook

    shipped = sorted(assets.folder("notebooks").glob("*_report.ipynb"))
    assert shipped
    for path in shipped:
        ours = notebooks.declared(notebooks.read(path))
        theirs = inspect_notebook(path)
        assert {p.name: p.annotation for p in ours.values()} == {
            name: facts["inferred_type_name"] for name, facts in theirs.items()
        }


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_notebook_is_found_in_the_workspace_before_what_ships(tmp_path: Path) -> None:
    own = write(tmp_path / "notebooks" / "drift_report.ipynb", text("mine"))
    assert notebooks.find("drift_report", root=tmp_path) == own
    with pytest.raises(NotFound, match="Did you mean 'drift_report'"):
        notebooks.find("drfit_report", root=tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"nbformat": 3, "worksheets": []}', "\x00"])
def test_a_file_that_is_no_notebook_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "in.ipynb").write_text(content)
    with pytest.raises(InvalidInput, match=r"in.ipynb is not a notebook"):
        run(tmp_path / "in.ipynb")


def test_a_missing_notebook_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "weekly.ipynb", text("x"))
    with pytest.raises(NotFound, match=r"there is no notebook 'weakly.ipynb'. Did you mean 'weekly.ipynb'"):
        run(tmp_path / "weakly.ipynb")
