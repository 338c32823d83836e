"""TAB: what it offers, that nothing can make it wait, and that the shells get the same."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from mlprod_nb import Workspace, commands
from mlprod_nb.commands import values
from mlprod_nb.errors import NotFound, Unavailable
from mlprod_nb.lifecycle.completing import names, naming
from mlprod_nb.lifecycle.completing.names import Names
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.settings import Layout

KNOWN = Names(
    models={"flights": ["flights/2", "flights/1"], "fares": ["fares/1"]},
    aliases={"flights": ["flights@champion", "flights@challenger"]},
    endpoints=["flights", "flights-eu"],
    variants={"flights": ["champion"]},
    columns={"flights": ["distance", "hour"]},
    revisions={"flights": ["3", "2", "1"]},
    alerts={"4": "performance fell"},
    jobs={"1": "report flights drift"},
    reports={"3fa9c1d2abcd": "flights drift: ok"},
    holders=["booking-service"],
    kinds=["abtest", "drift", "own", "performance"],
    tasks={"7": "report flights drift"},
)


def texts(line: str, folder: Path = Path("/nowhere")) -> list[str]:
    words, fragment = commands.typed(line)
    found = commands.complete(words, fragment, ["clf", "X"], KNOWN, folder)
    return [suggestion.text for suggestion in found if suggestion.kind not in ("option", "verb")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deploy fl", ["flights@champion", "flights@challenger", "flights/2", "flights/1"]),
        ("deploy flights/2 --endpoint ", ["flights", "flights-eu"]),
        ("deploy flights/2 --endpoint=flights-", ["--endpoint=flights-eu"]),
        ("deploy --endpoint flights fa", ["fares/1"]),
        ("promote flights/2 --alias ch", ["champion", "challenger"]),
        ("models f", ["flights", "fares"]),
        ("register fl", ["flights"]),
        ("register flights --model $c", ["$clf"]),
        ("monitor ", ["flights", "flights-eu"]),
        ("monitor flights --detectors k", ["ks"]),
        ("monitor flights --detectors ks,was", ["ks,wasserstein"]),
        ("monitor flights --drill d", ["distance"]),
        ("route flights ", ["champion=", "challenger="]),
        ("route flights champion=50 ", ["challenger="]),
        ("route flights champion=50 --unit ", ["distance", "hour"]),
        ("rollback flights --to ", ["3", "2", "1"]),
        ("rollback flights --reason ", []),
        ("report flights ", ["abtest", "drift", "own", "performance"]),
        ("report flights drift ", []),
        ("approve ", ["3fa9c1d2abcd"]),
        ("replay 3fa9c1d2abcd --model flights/", ["flights/2", "flights/1"]),
        ("alerts acknowledge ", ["4"]),
        ("schedule run ", ["1"]),
        ("retrain flights --mode w", ["weighted"]),
        ("access grant somebody --role o", ["operator"]),
        ("access revoke ", ["booking-service"]),
        ("abtest start flights --treatment ", ["champion"]),
        ("abtest start flights --method p", ["planned", "paired"]),
        ("abtest start flights --guardrails brier,rm", ["brier,rmse"]),
        ("feedback flights --kind ", ["label", "reward", "interaction"]),
        ('logs flights --where "', ["distance", "hour"]),
        ("completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_a_word_is_completed_by_what_it_can_be(line: str, expected: list[str]) -> None:
    assert texts(line) == expected


def test_files_are_completed_by_folders_and_the_kinds_that_fit(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("april.csv", "may flights.parquet", "notes.txt", ".hidden.csv", "data/june.csv"):
        (tmp_path / name).touch()
    assert texts("predict flights --data ", tmp_path) == ["april.csv", "data/", "'may flights.parquet'", "$X", "$clf"]
    assert texts("predict flights --data data/", tmp_path) == ["data/june.csv"]


def test_a_suggestion_says_what_it_is() -> None:
    (found,) = commands.complete(["schedule", "run"], "1", known=KNOWN)
    assert found.help == "report flights drift"
    (verb,) = commands.complete([], "deplo")
    assert verb.help == "Serve a version at an endpoint, with all of its traffic."


def test_every_table_of_values_is_of_a_parameter_that_exists() -> None:
    every = {p.name for verb in commands.verbs().values() for p in verb.parameters}
    every |= {f"{verb.name} {p.name}" for verb in commands.verbs().values() for p in verb.parameters}
    assert values.known_parameters() - every == set()


FREE = {
    *(
        "reason",
        "note",
        "since",
        "until",
        "pinned",
        "limit",
        "prediction_id",
        "prediction_ids",
        "effect",
        "power",
        "alpha",
        "design",
    ),
    *("minimal_effect", "maximum_days", "runs", "cron", "command", "timezone", "timeout", "expires", "source"),
    *("access grant name", "init name", "feedback name", "report new name", "sentence", "action", "alibi_with"),
    *(
        "parameters",
        "abtest plan metrics",
        "kernel",
        "last",
        "junit",
        "reproduce tolerance",
        "summary",
        "retries",
        "retry_after",
        "catch_up",
        "audit verify head",
    ),
}


def test_the_choices_are_those_of_the_modules_that_read_them() -> None:
    from mlprod_nb.abtest import metrics
    from mlprod_nb.abtest.design import METHODS
    from mlprod_nb.access.rights import ROLES
    from mlprod_nb.lifecycle.completing.shells import SHELLS
    from mlprod_nb.lifecycle.templates import TEMPLATES
    from mlprod_nb.lifecycle.training import MODES
    from mlprod_nb.monitoring.detectors import BUILT_IN
    from mlprod_nb.scheduler import OVERLAPS, export
    from mlprod_nb.serving.protocols.feedback import KINDS

    choices = {name: set(words) for name, words in values.CHOICES.items()}
    assert choices["role"] == set(ROLES)
    assert choices["mode"] == set(MODES)
    assert choices["method"] == set(METHODS)
    assert choices["feedback kind"] == set(KINDS)
    assert choices["shell"] == set(SHELLS)
    assert choices["overlap"] == set(OVERLAPS)
    assert choices["schedule export kind"] == set(export.KINDS)
    assert choices["notebook name"] == set(TEMPLATES)
    assert set(values.METRICS) == set(metrics.BUILT_IN)
    assert set(values.DETECTORS) == set(BUILT_IN)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("named")
    Workspace.init(str(folder))
    workspace = Workspace.open(folder)
    workspace.schedule_add("0 6 * * 1", "report flights drift")
    workspace.access_grant("booking-service")
    workspace.context.store.close()
    names.write(Layout(folder), KNOWN)
    return folder


class _Slow:
    """A registry that answers after ten minutes, or never."""

    def models(self) -> tuple[str, ...]:
        raise Unavailable("the MLflow registry does not answer.")


def test_the_names_are_those_of_the_database_and_the_registry(root: Path) -> None:
    context = Workspace.open(root).context
    found = naming.collect(context)
    assert found.jobs == {"1": "report flights drift"}
    assert found.holders == ["booking-service", "local"]
    assert {"drift", "performance", "abtest"} <= set(found.kinds)
    context.store.close()


def test_a_registry_that_is_away_leaves_what_the_database_knows(root: Path) -> None:
    context = Workspace.open(root).context
    context.__dict__["registry"] = _Slow()
    with pytest.raises(Unavailable):
        naming.with_registry(context, naming.collect(context))
    context.store.close()


def test_names_are_behind_when_a_database_changed_after_them(root: Path) -> None:
    layout = Layout(root)
    layout.mlflow_database.touch()
    os.utime(layout.names, (4e9, 4e9))
    assert not names.behind(layout)
    os.utime(layout.names, (1e9, 1e9))
    assert names.behind(layout)
    layout.mlflow_database.unlink()


def test_a_process_of_its_own_writes_the_names_anew(root: Path, tmp_path: Path) -> None:
    layout = Layout(root)
    layout.names.unlink()
    renewing = names.Renewing()
    deadline = time.monotonic() + 120
    while not renewing.read(layout).jobs and time.monotonic() < deadline:
        time.sleep(0.05)
    assert names.read(layout).holders == ["booking-service", "local"]
    renewing.end()
    names.write(layout, KNOWN)


def test_a_change_while_the_names_are_read_leaves_them_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(root)
    monkeypatch.setattr(naming, "with_registry", lambda _, found: found)
    assert naming.main(root) == 0
    written = layout.names.stat().st_mtime_ns

    def changed_meanwhile(_: Context, found: Names) -> Names:
        layout.mlflow_database.touch()
        return found

    monkeypatch.setattr(naming, "with_registry", changed_meanwhile)
    assert naming.main(root) == 0
    assert layout.names.stat().st_mtime_ns > written
    assert names.behind(layout)
    layout.mlflow_database.unlink()
    names.write(layout, KNOWN)


def test_a_damaged_file_of_names_is_none(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.run.mkdir(parents=True)
    for text in ("", "{", "[1]", '{"strange": 1}'):
        layout.names.write_text(text)
        assert names.read(layout) == Names()


@pytest.fixture
def shell(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("MLPROD_WORKSPACE", str(root))
    # A process that renews the names would sleep for an hour.
    monkeypatch.setattr(names, "renew", lambda layout: subprocess.Popen(["sleep", "3600"]))
    hook = sys.displayhook
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    shell.extension_manager.load_extension("mlprod_nb")
    yield shell
    shell.extension_manager.unload_extension("mlprod_nb")
    sys.displayhook = hook


def tab(shell: InteractiveShell, text: str) -> list[str]:
    with provisionalcompleter():
        return [c.text for c in shell.Completer.completions(text, len(text)) if c.type == "name"]


@pytest.mark.parametrize("prefix", ["%mlprod ", "x = %mlprod ", "%%mlprod ", "y = 1\nx = %mlprod "])
def test_the_notebook_offers_the_workspaces_names(shell: InteractiveShell, root: Path, prefix: str) -> None:
    os.utime(Layout(root).names, (1e9, 1e9))  # behind, so that a renewal is under way
    assert set(tab(shell, f"{prefix}deploy flights/")) == {"flights/2", "flights/1"}
    assert set(tab(shell, f"{prefix}monitor fl")) == {"flights", "flights-eu"}


def test_unloading_ends_the_process_that_renews(shell: InteractiveShell, root: Path) -> None:
    os.utime(Layout(root).names, (1e9, 1e9))
    tab(shell, "%mlprod monitor fl")
    magics = shell.magics_manager.registry["MLProd"]
    process = magics._renewing._process
    assert process.poll() is None
    shell.extension_manager.unload_extension("mlprod_nb")
    assert process.poll() is not None
    shell.extension_manager.load_extension("mlprod_nb")


def asked(shell: str, root: Path, words: str, index: int | str) -> list[str]:
    variables = {"_MLPROD_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
    done = subprocess.run(
        [sys.executable, "-m", "mlprod_nb.cli"],
        env={**os.environ, **variables, "MLPROD_WORKSPACE": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture
def unshared(tmp_path: Path) -> Path:
    """A workspace of the test's own: in ``root`` a renewal that an earlier test left may write over the names."""
    folder = tmp_path / "named"
    Workspace.init(str(folder))
    names.write(Layout(folder), KNOWN)
    return folder


def test_the_shells_are_answered_in_their_own_forms(unshared: Path) -> None:
    assert asked("bash", unshared, "mlprod deploy flights/", 2) == ["plain,flights/2", "plain,flights/1"]
    assert asked("zsh", unshared, "mlprod schedule run ", 3)[:3] == ["plain", "1", "report flights drift"]
    assert "plain,1\treport flights drift" in asked("fish", unshared, "mlprod schedule run ", "")


SCRIPTS = {
    "bash": """
eval "$(mlprod completion bash)"
COMP_LINE='mlprod deploy flights@chal' COMP_POINT=26 COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
_mlprod_completion mlprod; printf '%s\\n' "${COMPREPLY[@]}"
""",
    "zsh": """
autoload -Uz compinit; compinit -u; eval "$(mlprod completion zsh)"; whence -w _mlprod_completion
""",
    "fish": """
mlprod completion fish | source; complete -C 'mlprod deploy flights/'
""",
}


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_a_real_shell_completes(unshared: Path, tmp_path: Path, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    program = tmp_path / "mlprod"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlprod_nb.cli "$@"\n')
    program.chmod(0o755)
    environment: dict[str, Any] = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"MLPROD_WORKSPACE": str(unshared), "HOME": str(tmp_path)}
    done = subprocess.run(
        [name, "-c", SCRIPTS[name]], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    # readline takes "@chal" for the word, and leaves what stands before it.
    wanted = {"bash": "@challenger\n", "zsh": "_mlprod_completion: function\n", "fish": "flights/1"}[name]
    assert wanted in done.stdout


def test_an_unknown_shell_is_answered_by_the_nearest() -> None:
    with pytest.raises(NotFound, match="Did you mean 'bash'"):
        Workspace.completion("bsh")


def test_free_text_is_chosen_on_purpose() -> None:
    left = set()
    for verb in commands.verbs().values():
        for parameter in verb.parameters:
            names_of = {parameter.name, f"{verb.name} {parameter.name}"}
            flag = parameter.annotation == "bool" and parameter.kind is inspect.Parameter.KEYWORD_ONLY
            if not flag and not names_of & (values.known_parameters() | FREE):
                left.add(f"{verb.name} {parameter.name}")
    assert left == set(), "say in commands/values.py what it can be, or here that it is free text"
