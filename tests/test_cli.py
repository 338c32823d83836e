from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from mlprod_nb import cli
from mlprod_nb.errors import AccessDenied, Unavailable
from tests.fake_workspace import FakeWorkspace


def shell(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlprod_nb.cli", *words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class _No(FakeWorkspace):
    status_of_all: ClassVar[str] = "alarm"


class _Denied(FakeWorkspace):
    raises: ClassVar[BaseException] = AccessDenied("a viewer may not deploy.", hint="Ask an operator.")


class _Down(FakeWorkspace):
    raises: ClassVar[BaseException] = Unavailable("the gateway does not answer.")


class _Broken(FakeWorkspace):
    raises: ClassVar[BaseException] = KeyError("a\nb")


class _Interrupted(FakeWorkspace):
    raises: ClassVar[BaseException] = KeyboardInterrupt()


@pytest.mark.parametrize(
    ("facade", "words", "code", "error"),
    [
        (FakeWorkspace, ["status"], 0, ""),
        (FakeWorkspace, [], 0, ""),
        (_No, ["monitor", "flights"], 1, ""),
        (
            FakeWorkspace,
            ["stauts"],
            2,
            "mlprod: there is no verb 'stauts'. Did you mean 'status'? See: mlprod --help\n",
        ),
        (_Denied, ["deploy", "flights/1"], 3, "mlprod: a viewer may not deploy. Ask an operator.\n"),
        (_Down, ["deploy", "flights/1"], 3, "mlprod: the gateway does not answer.\n"),
        (_Interrupted, ["up"], 130, "mlprod: interrupted.\n"),
    ],
)
def test_exit_codes_tell_done_no_wrong_and_failed(
    facade: type[FakeWorkspace], words: list[str], code: int, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words, facade=facade) == code
    assert capsys.readouterr().err == error


def test_a_fault_of_ours_is_one_line_that_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"], facade=_Broken) == 3
    error = capsys.readouterr().err
    assert error.startswith(
        "mlprod: this is a fault of mlprod, please report it: KeyError: 'a\\nb' (fake_workspace.py:"
    )
    assert error.count("\n") == 1


def test_the_result_is_text_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["deploy", "flights/1"], facade=FakeWorkspace)
    assert capsys.readouterr().out.startswith("✓ OK: deploy was called.\n")
    cli.main(["deploy", "flights/1", "--json"], facade=FakeWorkspace)
    assert json.loads(capsys.readouterr().out)["arguments"]["version"] == "flights/1"


def test_the_shell_without_a_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    done = shell("status", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.endswith("Make one with: mlprod init\n")
    assert done.stderr.count("\n") == 1


def test_the_line_to_run_next_is_one_for_a_shell(tmp_path: Path) -> None:
    shell("init", cwd=tmp_path)
    done = shell("status", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "Next: mlprod up"


def test_help_needs_no_workspace(tmp_path: Path) -> None:
    done = shell("deploy", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "mlprod deploy flights@champion" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_shell_s_process_ends_without_a_search_of_all_that_it_imported_for_garbage(tmp_path: Path) -> None:
    code = "import gc, sys; from mlprod_nb import cli; code = cli.main(); print(code, gc.get_freeze_count() > 0)"
    ended = subprocess.run(
        [sys.executable, "-c", code, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.splitlines()[-1] == "0 True"


def test_a_shell_s_process_that_used_duckdb_ends_in_silence(tmp_path: Path) -> None:
    code = "import sys; from mlprod_nb import cli; import duckdb; duckdb.sql('select 1').fetchall(); cli.main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stderr == ""


def test_a_verb_imports_nothing_that_answers_tab() -> None:
    code = "import sys; from mlprod_nb import cli; print('mlprod_nb.commands.shells' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_clicks_own_completion_knows_the_verbs_and_options(tmp_path: Path) -> None:
    def suggestions(words: str, index: int) -> list[str]:
        variables = {"_MLPROD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        return [line.partition(",")[2] for line in shell(cwd=tmp_path, **variables).stdout.splitlines()]

    assert suggestions("mlprod de", 1) == ["deploy"]
    assert "--reason" in suggestions("mlprod deploy --", 2)
    assert suggestions("mlprod abtest st", 2) == ["start", "stop"]


def test_a_dangerous_verb_without_a_terminal_has_nobody_to_ask() -> None:
    FakeWorkspace.callers.clear()
    cli.main(["down"], facade=FakeWorkspace)
    assert FakeWorkspace.callers[-1].confirm is None
