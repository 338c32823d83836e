from __future__ import annotations

import io
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from mlprod_nb.errors import MlprodError, NotFound, Refused, UsageError
from tests.fake_workspace import Called, FakeWorkspace

HEAVY = {"pandas", "mlflow", "ipywidgets", "anywidget", "sqlalchemy", "numpy", "sklearn", "duckdb", "pyarrow"}


def ran(shell: InteractiveShell, cell: str) -> tuple[Any, str]:
    """Run a cell; return its value and what it showed."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        result = shell.run_cell(cell, store_history=True)
    if result.error_in_exec is not None:
        raise result.error_in_exec
    return result.result, output.getvalue()


def failed(shell: InteractiveShell, cell: str) -> tuple[BaseException, list[str]]:
    """Run a cell that fails; return the error and the lines it showed."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        error = shell.run_cell(cell, store_history=True).error_in_exec
    assert error is not None
    return error, output.getvalue().splitlines()


def test_a_line_returns_the_result_and_shows_its_text(shell: InteractiveShell) -> None:
    value, shown = ran(shell, "%mlprod deploy flights@champion --reason 'no gain'")
    assert isinstance(value, Called)
    assert value.arguments == {"version": "flights@champion", "endpoint": "", "reason": "no gain", "dry_run": False}
    assert "✓ OK: deploy was called." in shown


def test_alone_it_shows_the_status(shell: InteractiveShell) -> None:
    assert ran(shell, "%mlprod")[0].verb == "status"


def test_the_result_can_be_assigned_and_used(shell: InteractiveShell) -> None:
    value, shown = ran(shell, "x = %mlprod monitor flights")
    assert value is None
    assert shown == ""
    assert shell.user_ns["x"].verb == "monitor"


def test_a_trailing_semicolon_silences_but_an_assignment_still_gets_the_object(shell: InteractiveShell) -> None:
    for alone in ("%mlprod;", "april = 1\n%mlprod;\n", "%mlprod ;"):
        assert ran(shell, alone) == (None, ""), alone
    value, shown = ran(shell, "%mlprod monitor flights;")
    assert value is None
    assert shown == ""
    ran(shell, "y = %mlprod monitor flights;")
    assert shell.user_ns["y"].arguments["endpoint"] == "flights"


def test_variables_pass_as_the_very_objects(shell: InteractiveShell) -> None:
    ran(shell, "clf, X = object(), object()")
    value, _ = ran(shell, "%mlprod register flights --model $clf --data $X")
    assert value.arguments["model"] is shell.user_ns["clf"]
    assert value.arguments["data"] is shell.user_ns["X"]


def test_a_registration_knows_its_notebook_and_the_cells_that_ran(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/train.ipynb")
    ran(shell, "clf, X = 1, 2")
    ran(shell, "%mlprod register flights --model $clf --data $X")
    notebook = FakeWorkspace.callers[-1].notebook
    assert notebook.path == "/somewhere/train.ipynb"
    assert [(cell.execution_count, cell.source) for cell in notebook.cells] == [
        (1, "clf, X = 1, 2"),
        (2, "%mlprod register flights --model $clf --data $X"),
    ]
    monkeypatch.setenv("JPY_SESSION_NAME", "console-1")
    ran(shell, "%mlprod register flights --model $clf --data $X")
    assert FakeWorkspace.callers[-1].notebook.path == ""


def test_a_registration_knows_the_ids_of_cells_and_which_failed(shell: InteractiveShell) -> None:
    def run(cell: str, name: str) -> None:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            shell.run_cell(cell, store_history=True, cell_id=name)

    run("clf, X = 1, 2", "first")
    run("1 / 0", "second")
    run("%mlprod register flights --model $clf --data $X", "third")
    cells = FakeWorkspace.callers[-1].notebook.cells
    assert [(cell.id, cell.failed) for cell in cells] == [("first", False), ("second", True), ("third", False)]


def test_unloading_listens_to_no_cell_any_more(shell: InteractiveShell) -> None:
    shell.extension_manager.unload_extension("mlprod_nb")
    listening = [function for functions in shell.events.callbacks.values() for function in functions]
    assert not [function for function in listening if function.__module__.startswith("mlprod_nb")]


def test_a_functions_own_variables_pass_too(shell: InteractiveShell) -> None:
    cell = (
        "def f(inner):\n    return get_ipython().run_line_magic('mlprod', 'predict flights --data $inner')\nz = f([7])"
    )
    ran(shell, cell)
    assert shell.user_ns["z"].arguments["data"] == [7]


def test_a_cells_body_is_the_note_and_is_never_expanded(shell: InteractiveShell) -> None:
    ran(shell, "clf, X = 1, 2")
    value, _ = ran(shell, "%%mlprod register flights --model $clf --data $X\nFirst {1/0} $clf.\nSecond.")
    assert value.arguments["note"] == "First {1/0} $clf.\nSecond."


def test_a_hostile_name_runs_no_code(shell: InteractiveShell) -> None:
    ran(shell, "hits = []")
    value, _ = ran(shell, "%mlprod deploy '{hits.append(1)}' --reason '$(touch x) {hits.append(2)}'")
    assert value.arguments["version"] == "{hits.append(1)}"
    assert value.arguments["reason"] == "$(touch x) {hits.append(2)}"
    assert shell.user_ns["hits"] == []


@pytest.mark.parametrize(
    ("cell", "kind", "line"),
    [
        ("%mlprod deplyo x", NotFound, "mlprod: there is no verb 'deplyo'. Did you mean 'deploy'? See: %mlprod --help"),
        (
            "%mlprod status --everything",
            UsageError,
            "mlprod: there is no option of status '--everything'. There is: --help.",
        ),
        ("%%mlprod status\nhello", UsageError, "mlprod: status takes nothing from the cell's body."),
        (
            "%%mlprod promote x/2",
            UsageError,
            "mlprod: the body of the cell %%mlprod promote is empty. Write its reason",
        ),
        ("%%mlprod promote x/2\n\n  \n", UsageError, "mlprod: the body of the cell %%mlprod promote is empty."),
        ("%mlprod rollback flights --reason it's", UsageError, "mlprod: a quote is not closed in: rollback flights"),
    ],
)
def test_an_error_is_one_line(shell: InteractiveShell, cell: str, kind: type[MlprodError], line: str) -> None:
    error, shown = failed(shell, cell)
    assert isinstance(error, kind)
    assert len(shown) == 1
    assert shown[0].startswith(line)


def test_a_cell_without_a_body_runs_where_none_is_taken(shell: InteractiveShell) -> None:
    assert ran(shell, "%%mlprod status")[0].verb == "status"


def test_in_a_terminal_a_cell_waits_for_its_body(shell: InteractiveShell) -> None:
    assert shell.check_complete("%%mlprod register flights")[0] == "incomplete"
    assert shell.check_complete("%%mlprod register flights\nbetter\n\n")[0] == "complete"


def test_an_unknown_variable_names_the_nearest_of_the_users_own(shell: InteractiveShell) -> None:
    ran(shell, "april = 1")
    _, shown = failed(shell, "%mlprod predict flights --data $apirl")
    assert shown == ["mlprod: there is no variable '$apirl'. Did you mean '$april'? Run the cell that makes it first."]


def test_a_variable_without_its_dollar_is_told_with_it(shell: InteractiveShell) -> None:
    ran(shell, "april = 1")
    _, shown = failed(shell, "%mlprod predict flights --data april")
    assert shown == ["mlprod: --data: there is no file 'april'. Did you mean the notebook's variable '$april'?"]


def test_an_interrupt_while_the_grammar_still_loads_is_one_line_too(shell: InteractiveShell) -> None:
    class Interrupted(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            raise KeyboardInterrupt

    shell.magics_manager.registry["MLProd"]._loader = Interrupted()
    error, shown = failed(shell, "%mlprod status")
    assert type(error) is KeyboardInterrupt
    assert shown == ["mlprod: interrupted."]


def test_an_interrupt_is_one_line_and_still_an_interrupt(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeWorkspace, "raises", KeyboardInterrupt())
    error, shown = failed(shell, "%mlprod up")
    assert type(error) is KeyboardInterrupt
    assert shown == ["mlprod: interrupted."]


def test_a_fault_of_ours_is_one_line_too(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeWorkspace, "raises", ValueError("not\nmeant to be seen"))
    error, shown = failed(shell, "%mlprod up")
    assert type(error) is ValueError
    [line] = shown
    assert line.startswith(
        "mlprod: this is a fault of mlprod, please report it: ValueError: not meant to be seen (fake_workspace.py:"
    )
    assert line.endswith("More: %mlprod why")


def test_help_shows_lines_that_can_be_typed_in_a_cell(shell: InteractiveShell) -> None:
    page, _ = ran(shell, "%mlprod deploy --help")
    assert page.text.startswith("Usage: %mlprod deploy [OPTIONS] VERSION")
    assert "  %mlprod deploy flights@champion" in page.text


def test_help_is_a_result_and_no_error(shell: InteractiveShell) -> None:
    value, shown = ran(shell, "%mlprod deploy --help")
    assert "Examples:" in str(value)
    assert "mlprod deploy flights@champion" in shown


def test_a_dangerous_verb_with_nobody_to_ask_refuses(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    ran(shell, "%mlprod down")
    confirm = FakeWorkspace.callers[-1].confirm
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with redirect_stdout(io.StringIO()), pytest.raises(Refused, match=r"There is nobody to ask\. Say --yes\."):
        confirm("Stop the gateway?")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with redirect_stdout(io.StringIO()):
        assert confirm("Stop the gateway?") is True


def _snapshot(shell: InteractiveShell) -> dict[str, Any]:
    formatters = shell.display_formatter
    assert formatters is not None
    return {
        "magics": {kind: dict(found) for kind, found in shell.magics_manager.magics.items()},
        "registry": dict(shell.magics_manager.registry),
        "names": {name for name in shell.user_ns if not name.startswith("_i")},
        "hidden": {name for name in shell.user_ns_hidden if not name.startswith("_i")},
        "hooks": {name: repr(hook) for name, hook in shell.hooks.items()},
        "strdispatchers": {name: repr(dispatch) for name, dispatch in shell.strdispatchers.items()},
        "events": {name: list(callbacks) for name, callbacks in shell.events.callbacks.items()},
        "matchers": list(shell.Completer.custom_matchers),
        "transformers": (list(shell.input_transformers_cleanup), list(shell.input_transformers_post)),
        "ast": list(shell.ast_transformers),
        "handlers": dict(shell.custom_exceptions or ()) if isinstance(shell.custom_exceptions, dict) else None,
        "printers": [
            (dict(f.type_printers), dict(f.deferred_printers))
            for f in (
                *formatters.formatters.values(),
                formatters.mimebundle_formatter,
                formatters.ipython_display_formatter,
            )
        ],
        "configurables": list(shell.configurables),
        "displayhook": sys.displayhook,
    }


def test_unloading_leaves_the_shell_as_it_was(shell: InteractiveShell) -> None:
    shell.extension_manager.unload_extension("mlprod_nb")
    before = _snapshot(shell)
    for _ in range(2):
        shell.extension_manager.load_extension("mlprod_nb")
        assert _snapshot(shell) != before
        ran(shell, "value = %mlprod status")
        shell.user_ns.pop("value")
        shell.extension_manager.unload_extension("mlprod_nb")
        assert _snapshot(shell) == before


def test_in_a_kernel_errors_are_stored_as_one_line_and_unloading_leaves_no_panel() -> None:
    import nbformat
    from nbclient import NotebookClient

    printers = "get_ipython().display_formatter.ipython_display_formatter.deferred_printers"
    cells = [
        f"before = dict({printers})",
        "%load_ext mlprod_nb",
        "%mlprod deplyo flights",
        f"assert {printers} != before\n%unload_ext mlprod_nb\nassert {printers} == before",
        "%load_ext mlprod_nb\n%mlprod deploy --help",
        "%%mlprod promote flights/2",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, allow_errors=True).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert [len(found) for found in outputs] == [0, 0, 1, 0, 1, 1]
    assert outputs[2][0].ename == "NotFound"
    assert outputs[2][0].traceback == [
        "mlprod: there is no verb 'deplyo'. Did you mean 'deploy'? See: %mlprod --help",
    ]
    assert outputs[4][0].data["text/plain"].startswith("Usage: %mlprod deploy")
    assert outputs[5][0].evalue.startswith("the body of the cell %%mlprod promote is empty.")


def _fresh(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_doors_imports_nothing_heavy(tmp_path: Path) -> None:
    code = f"""
import sys
import mlprod_nb, mlprod_nb.magics
magics = {HEAVY!r} & set(sys.modules)
light = not {{"click", "pydantic", "mlprod_nb.workspace"}} & set(sys.modules)
import mlprod_nb.commands, mlprod_nb.cli, mlprod_nb.workspace, mlprod_nb.notebooks
light = light and "pydantic" not in sys.modules
print(sorted(magics | ({HEAVY!r} & set(sys.modules))), light)
"""
    assert _fresh(code, tmp_path) == "[] True"


def test_loading_is_fast_writes_nothing_and_asks_no_network(tmp_path: Path) -> None:
    code = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config(); config.HistoryManager.enabled = False
shell = InteractiveShell(config=config)
seen = []
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.startswith("socket."):
        seen.append((event, str(arguments)))
sys.dont_write_bytecode = True
sys.addaudithook(watch)
start = time.process_time()  # a busy machine takes nothing of it
shell.extension_manager.load_extension("mlprod_nb")
took = time.process_time() - start
assert not seen, seen
assert took < 0.3, took
"""
    _fresh(code, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_option_that_was_refused_does_not_keep_the_extension_from_being_loaded_again(
    shell: InteractiveShell,
) -> None:
    ran(shell, "%config MLProd.progress = 'fancy'")
    error, shown = failed(shell, "%reload_ext mlprod_nb")
    assert isinstance(error, UsageError)
    assert len(shown) == 1
    assert "'auto', 'lines', 'off'" in shown[0]
    ran(shell, "%load_ext mlprod_nb")
    assert ran(shell, "%mlprod status")[0].verb == "status"
    assert "MLProd.progress" in ran(shell, "%config MLProd")[1]


def test_config_sets_where_lines_work_and_how_they_tell_and_ask(shell: InteractiveShell, tmp_path: Path) -> None:
    _, shown = ran(shell, "%config MLProd")
    for name in ("workspace", "progress", "confirm"):
        assert f"MLProd.{name}=" in shown
    ran(shell, f"%config MLProd.workspace = {str(tmp_path)!r}")
    ran(shell, "%config MLProd.confirm = False")
    ran(shell, "%mlprod down")
    assert FakeWorkspace.starts[-1] == str(tmp_path)
    assert FakeWorkspace.callers[-1].confirm is None
    ran(shell, "%config MLProd.progress = 'off'")
    assert shell.magics_manager.registry["MLProd"].progress == "off"


def test_the_magics_own_help_teaches_with_examples(shell: InteractiveShell) -> None:
    found = shell.object_inspect("%mlprod")
    assert "%mlprod deploy flights@champion" in found["docstring"]
    assert "%mlprod why" in found["docstring"]
