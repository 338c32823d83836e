"""Workflows for continuous integration: what is written, what is kept, and each step's commands run for real."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
import yaml

from mlprod_nb import Workspace
from mlprod_nb.errors import NotFound, UsageError
from tests.lifecycle.conftest import Site, make_site

TRAIN = """
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

random = np.random.default_rng(9)
X = pd.DataFrame({"distance": random.normal(900, 300, 800), "hour": random.integers(5, 23, 800)})
y = (X["hour"] / 23 + random.normal(0, 0.3, 800) > 0.7).astype(int)
clf = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[:500], y[:500])
X_train, y_train, X_test, y_test = X[:500], y[:500], X[500:], y[500:]
"""
REGISTER = (
    "%mlprod register flights --model $clf --data $X_train --target $y_train --holdout $X_test --holdout-target $y_test"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("ci"))
    (site.workspace.root / "mlprod.toml").write_text(
        'name = "ci"\n[models.flights.gates.latency]\nlimit_ms = 5000.0\n', encoding="utf-8"
    )
    folder = site.workspace.root / "notebooks"
    folder.mkdir()
    cells = [nbformat.v4.new_code_cell(text) for text in (TRAIN, "%load_ext mlprod_nb", REGISTER)]
    for cell in cells:
        cell.metadata["tags"] = ["nbval-ignore-output"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "train.ipynb")
    site.workspace.up()
    site.workspace.deploy("flights@champion")
    site.workspace.predict("flights", data=site.data[:50])
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


def steps(workflow: dict[str, Any]) -> list[str]:
    """Return the commands of a workflow in the order in which they run."""
    if "jobs" in workflow:
        return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    return [line for job in ("candidate", "release") for line in workflow[job]["script"] if line != "cd ."]


def written(workspace: Workspace, provider: str, **options: Any) -> dict[str, Any]:
    result = workspace.ci_init(provider, model="flights", **options)
    text = (workspace.root / result.file).read_text(encoding="utf-8")
    assert text == result.text
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.mark.slow
def test_each_step_of_the_workflow_runs(site: Site, tmp_path: Path) -> None:
    workflow = written(site.workspace, "github", notebooks="notebooks/train.ipynb", force=True)
    commands = steps(workflow)
    assert len(commands) == 5
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    summary = tmp_path / "summary.md"
    known = {"PATH": tools, "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_SHA": "0123abc"}
    known["MLPROD_WORKSPACE"] = str(site.workspace.root)
    for command in commands:
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", command],
            cwd=site.workspace.root,
            env={**os.environ, **known},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    suite = ElementTree.parse(site.workspace.root / "gates.xml").getroot().find("testsuite")
    assert suite is not None
    assert suite.get("name") == "gates of flights/3"
    assert {case.get("name") for case in suite.iter("testcase")} >= {"champion", "segments", "calibration"}
    assert "flights/3" in summary.read_text(encoding="utf-8")
    assert "flights/3" in str(site.workspace.release_show("flights"))


def test_a_release_on_a_machine_that_does_not_say_where_its_workspace_is_says_which_variable_is_missing(
    site: Site,
) -> None:
    release = steps(written(site.workspace, "gitlab", force=True))[-1]
    known = {name: value for name, value in os.environ.items() if name != "MLPROD_WORKSPACE"}
    done = subprocess.run(["sh", "-ec", release], env=known, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "MLPROD_WORKSPACE: set this variable to the directory of the workspace on this machine" in done.stderr


def test_both_providers_run_the_same_commands(site: Site) -> None:
    github = steps(written(site.workspace, "github", force=True))
    gitlab = steps(written(site.workspace, "gitlab", force=True))
    assert [line.replace("CI_COMMIT_SHA", "GITHUB_SHA") for line in gitlab] == github


def test_a_file_that_is_there_is_kept_unless_forced(site: Site) -> None:
    first = site.workspace.ci_init("github", model="flights", force=True)
    path = site.workspace.root / first.file
    path.write_text("name: mine\n", encoding="utf-8")
    kept = site.workspace.ci_init("github")
    assert kept.kept
    assert "stays as it is; --force writes it anew" in str(kept)
    assert path.read_text(encoding="utf-8") == "name: mine\n"
    assert not site.workspace.ci_init("github", force=True).kept
    assert path.read_text(encoding="utf-8") == first.text


def test_a_dry_run_shows_the_file_and_writes_nothing(site: Site) -> None:
    path = site.workspace.root / ".gitlab-ci.yml"
    path.unlink(missing_ok=True)
    shown = str(site.workspace.ci_init("gitlab", dry_run=True))
    assert not path.exists()
    assert "would be written (dry run, nothing changed)" in shown
    assert "mlprod check flights --junit gates.xml" in shown


def test_a_workspace_within_a_repository_has_its_workflow_at_the_top(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    Workspace.init(str(tmp_path / "models"))
    (tmp_path / "models" / "requirements.txt").write_text("mlprod_nb\n", encoding="utf-8")
    (tmp_path / "models" / "train.ipynb").write_text("{}", encoding="utf-8")
    workspace = Workspace.open(tmp_path / "models")
    workspace.ci_init("github", model="flights", notebooks="train.ipynb")
    workflow = yaml.safe_load((tmp_path / ".github" / "workflows" / "mlprod.yml").read_text(encoding="utf-8"))
    assert workflow["defaults"]["run"]["working-directory"] == "models"
    assert steps(workflow)[0] == "python -m pip install -r requirements.txt"


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"provider": "githb"}, NotFound, "no provider 'githb'. Did you mean 'github'"),
        ({"provider": "github"}, UsageError, "it is not said which model"),
        ({"provider": "github", "model": "a; rm"}, UsageError, "--model 'a; rm' cannot stand in a workflow"),
        ({"provider": "gitlab", "model": "a", "notebooks": "$(id)"}, UsageError, "--notebooks '$(id)' cannot stand"),
    ],
)
def test_what_cannot_be_written_is_refused(
    options: dict[str, Any], kind: type[Exception], words: str, tmp_path: Path
) -> None:
    Workspace.init(str(tmp_path))
    with pytest.raises(kind) as caught:
        Workspace.open(tmp_path).ci_init(**options)
    assert words in str(caught.value)
    assert not (tmp_path / ".github").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "fligths"}, "there is no model 'fligths'. Did you mean 'flights'?"),
        (
            {"model": "cabs"},
            "there is no model 'cabs'. There is: flights. A new one: write [models.cabs] into mlprod.toml",
        ),
        ({"notebooks": "trian.ipynb"}, "there is no notebook 'trian.ipynb'. Did you mean 'lab/train.ipynb'?"),
        ({"notebooks": "nowhere/*.ipynb"}, "there is no notebook 'nowhere/*.ipynb'. There is: lab/train.ipynb."),
        ({"notebooks": "mlprod.toml"}, "there is no notebook 'mlprod.toml'."),
        ({"notebooks": "/lab/train.ipynb"}, "there is no notebook '/lab/train.ipynb'. Did you mean 'lab/train.ipynb'?"),
        ({}, "there is no notebook 'notebooks/*.ipynb'. There is: lab/train.ipynb. Say --notebooks."),
    ],
)
def test_a_workflow_of_a_model_or_a_notebook_that_does_not_exist_is_not_written(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    Workspace.init(str(tmp_path))
    (tmp_path / "mlprod.toml").write_text('name = "ci"\n[models.flights.gates]\n', encoding="utf-8")
    for folder in ("lab", "reports", ".ipynb_checkpoints"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "train.ipynb").write_text("{}", encoding="utf-8")
    with pytest.raises(NotFound) as caught:
        Workspace.open(tmp_path).ci_init("gitlab", **options)
    assert words in str(caught.value)
    assert not (tmp_path / ".gitlab-ci.yml").exists()


@pytest.mark.parametrize("notebooks", ["lab", "lab/*.ipynb", "lab/train.ipynb", "la*/train.ipynb"])
def test_notebooks_are_files_patterns_or_folders(notebooks: str, tmp_path: Path) -> None:
    Workspace.init(str(tmp_path))
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "train.ipynb").write_text("{}", encoding="utf-8")
    assert Workspace.open(tmp_path).ci_init("gitlab", model="flights", notebooks=notebooks).notebooks == notebooks


def test_the_notebook_that_the_settings_name_by_its_stem_is_run_by_its_path(tmp_path: Path) -> None:
    Workspace.init(str(tmp_path))
    (tmp_path / "mlprod.toml").write_text('name = "ci"\n[retraining]\nnotebook = "monthly"\n', encoding="utf-8")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "monthly.ipynb").write_text("{}", encoding="utf-8")
    written = Workspace.open(tmp_path).ci_init("gitlab", model="flights")
    assert written.notebooks == "notebooks/monthly.ipynb"
