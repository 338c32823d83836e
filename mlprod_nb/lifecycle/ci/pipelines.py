"""Workflows for continuous integration: test the training notebooks, check the candidate, release it on merge.

Both providers run the same commands; a workflow holds nothing that a shell does not do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mlprod_nb import notebooks as notebook_files
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.lifecycle.ci.written import WrittenFile, write_or_keep
from mlprod_nb.lifecycle.context import Context

FILES = {"github": ".github/workflows/mlprod.yml", "gitlab": ".gitlab-ci.yml"}
#: Where it is not said, the release would look for the model in the checkout, whose workspace is empty.
_THERE = 'MLPROD_WORKSPACE="${MLPROD_WORKSPACE:?set this variable to the directory of the workspace on this machine}"'
_PLAIN = re.compile(r"[A-Za-z0-9_./*-]+")


@dataclass(frozen=True)
class Pipeline:
    """What to write, as :meth:`mlprod_nb.Workspace.ci_init` takes it."""

    provider: str
    model: str
    notebooks: str
    force: bool
    dry_run: bool


@dataclass(frozen=True)
class PipelineResult(WrittenFile):
    """A workflow, relative to the repository.

    Attributes:
        model: The model whose newest version is checked and released.
        notebooks: The training notebooks that are run.
    """

    model: str
    notebooks: str


def write(context: Context, wanted: Pipeline) -> PipelineResult:
    """Write a workflow into the repository that the workspace is in.

    Raises:
        NotFound: There is no such provider, model or notebook.
        UsageError: It is not said which model, or a name cannot stand in a shell's line.
    """
    if wanted.provider not in FILES:
        raise NotFound("provider", wanted.provider, FILES)
    model = wanted.model or _only_model(context)
    notebooks = wanted.notebooks or _training_notebooks(context)
    for what, text in (("model", model), ("notebooks", notebooks)):
        if not _PLAIN.fullmatch(text):
            raise UsageError(
                f"--{what} {text!r} cannot stand in a workflow.", hint="Letters, digits and _ . / * - can."
            )
    _refuse_unknown(context, model, notebooks, said=bool(wanted.notebooks))
    repository = _repository(context.root)
    path, folder = repository / FILES[wanted.provider], context.root.resolve().relative_to(repository).as_posix()
    commands = _commands(context.root, model, notebooks)
    text = (_github if wanted.provider == "github" else _gitlab)(model, folder, commands)
    kept = write_or_keep(context, path, text, force=wanted.force, dry_run=wanted.dry_run)
    return PipelineResult(FILES[wanted.provider], kept, wanted.dry_run, text, model, notebooks)


@dataclass(frozen=True)
class _Commands:
    install: str
    prepare: str
    test: str
    check: str
    release: str


def _commands(root: Path, model: str, notebooks: str) -> _Commands:
    wanted = "-r requirements.txt" if (root / "requirements.txt").is_file() else "mlprod_nb nbval pytest"
    return _Commands(
        install=f"python -m pip install {wanted}",
        prepare="mlprod init .",
        test=f"python -m pytest --nbval-lax --nbval-cell-timeout=900 --junitxml=notebooks.xml {notebooks}",
        check=f"mlprod check {model} --junit gates.xml",
        release=f"{_THERE} mlprod release {model} --reason",
    )


def _github(model: str, folder: str, commands: _Commands) -> str:
    return f"""\
# Written by: mlprod ci init github. Change it as you like; it is not written again unless you say --force.
name: mlprod
on:
  pull_request:
  push:
    branches: [main]
permissions:
  contents: read
concurrency: mlprod-{model}
defaults:
  run:
    working-directory: {folder}
jobs:
  candidate:
    runs-on: ubuntu-latest
    env:
      # A pull request is tried in a workspace of its own; what is merged goes into the registry that all share.
      MLPROD_REGISTRY__TRACKING_URI: >-
        ${{{{ github.event_name == 'push' && secrets.MLPROD_REGISTRY__TRACKING_URI || '' }}}}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - name: Install
        run: {commands.install}
      - name: Make the workspace
        run: {commands.prepare}
      - name: Run the training notebooks, which register the candidate
        run: {commands.test}
      - name: Check the candidate
        run: {commands.check}
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: gates
          path: |
            {folder}/gates.xml
            {folder}/notebooks.xml
            {folder}/reports/
          if-no-files-found: ignore
  release:
    needs: candidate
    if: github.event_name == 'push'
    # The machine on which the gateway runs, with the workspace's directory in the variable MLPROD_WORKSPACE.
    runs-on: [self-hosted, mlprod]
    env:
      MLPROD_WORKSPACE: ${{{{ vars.MLPROD_WORKSPACE }}}}
    defaults:
      run:
        working-directory: .
    steps:
      - name: Release the candidate
        run: {commands.release} "merge of $GITHUB_SHA"
"""


def _gitlab(model: str, folder: str, commands: _Commands) -> str:
    return f"""\
# Written by: mlprod ci init gitlab. Change it as you like; it is not written again unless you say --force.
stages: [candidate, release]
candidate:
  stage: candidate
  image: python:3.11
  resource_group: mlprod-{model}
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  # Set MLPROD_REGISTRY__TRACKING_URI as a protected variable: only what is merged goes into the registry all share.
  script:
    - cd {folder}
    - {commands.install}
    - {commands.prepare}
    - {commands.test}
    - {commands.check}
  artifacts:
    when: always
    paths: [{folder}/reports/]
    reports:
      junit: [{folder}/gates.xml, {folder}/notebooks.xml]
release:
  stage: release
  # The machine on which the gateway runs, with the workspace's directory in the variable MLPROD_WORKSPACE.
  tags: [mlprod]
  resource_group: mlprod-{model}
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  script:
    - {commands.release} "merge of $CI_COMMIT_SHA"
"""


def _only_model(context: Context) -> str:
    """Return the one model that there is."""
    known = sorted(_models(context))
    if len(known) == 1:
        return known[0]
    raise UsageError(
        "it is not said which model the workflow checks.",
        hint=f"Say --model, one of: {', '.join(known)}." if known else "Say --model NAME.",
    )


def _models(context: Context) -> set[str]:
    return {*context.settings.models, *context.registry.models()}


def _training_notebooks(context: Context) -> str:
    """Return the notebook that the settings name, by its path, or the usual place."""
    name = context.settings.retraining.notebook
    path = notebook_files.find(name, root=context.root) if name else None
    inside = path is not None and path.is_relative_to(context.root)
    return path.relative_to(context.root).as_posix() if path and inside else "notebooks/*.ipynb"


def _refuse_unknown(context: Context, model: str, notebooks: str, *, said: bool) -> None:
    """Refuse a model or notebooks that are not there: their workflow would fail at its first run.

    Raises:
        NotFound: There is a model, but not this one; or no notebook of that name.
    """
    if (models := _models(context)) and model not in models:  # the first model of all may be the workflow's to make
        raise NotFound("model", model, models, besides=f"A new one: write [models.{model}] into mlprod.toml.")
    if Path(notebooks).is_absolute() or not any(map(_holds_notebooks, context.root.glob(notebooks))):
        raise NotFound("notebook", notebooks, _notebooks(context.root), besides="" if said else "Say --notebooks.")


def _holds_notebooks(path: Path) -> bool:
    return any(path.rglob("*.ipynb")) if path.is_dir() else path.suffix == ".ipynb"


def _notebooks(root: Path) -> list[str]:
    """Return the notebooks of a workspace that people wrote, as paths within it; at most two folders down."""
    found = (path.relative_to(root) for depth in ("", "*/", "*/*/") for path in root.glob(f"{depth}*.ipynb"))
    return [path.as_posix() for path in found if path.parts[0] != "reports" and path.as_posix()[0] != "."]


def _repository(root: Path) -> Path:
    """Return the nearest directory at or above the workspace that holds a git repository; else the workspace itself."""
    here = root.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
