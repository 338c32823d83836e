from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlprod_nb.registry.lineage import (
    LARGEST_DIFF,
    ExecutedCell,
    Lineage,
    NotebookContext,
    capture,
    fingerprint,
    git_state,
    hyperparameters,
)
from tests.registry.samples import classifier, flights

NOTEBOOK = NotebookContext("train.ipynb", (ExecutedCell(3, "clf.fit(X, y)"), ExecutedCell(1, "import é")))


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, timeout=30)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "-q", "-b", "main")
    _git(tmp_path, "config", "user.email", "a@example.org")
    _git(tmp_path, "config", "user.name", "A")
    (tmp_path / "a.py").write_text("x = 1\n")
    _git(tmp_path, "add", "a.py")
    _git(tmp_path, "commit", "-q", "-m", "Begin")
    return tmp_path


def test_a_lineage_is_read_as_it_was_written(repository: Path) -> None:
    frame, late = flights(20, missing=True)
    lineage = capture(frame, late, notebook=NOTEBOOK, cwd=repository)
    assert Lineage.from_json(lineage.to_json()) == lineage
    assert lineage.notebook == NOTEBOOK
    assert lineage.python == platform.python_version()
    assert lineage.packages["numpy"] == importlib.metadata.version("numpy")
    assert [column.name for column in lineage.data.columns] == list(frame.columns)


def test_packages_that_came_changed_and_went_in_a_running_process_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)

    def packages() -> dict[str, str]:
        return capture(pd.DataFrame({"a": [1]}), cwd=tmp_path).packages

    before = packages()
    about = _installed(tmp_path, "wings", "1.0")
    assert packages() == before | {"wings": "1.0"}
    shutil.rmtree(about)
    _installed(tmp_path, "wings", "2.0")
    assert packages() == before | {"wings": "2.0"}
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    assert packages() == before


def _installed(folder: Path, name: str, version: str) -> Path:
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return about


def test_a_clean_repository_gives_commit_and_branch(repository: Path) -> None:
    state = git_state(repository)
    assert len(state.commit) == 40
    assert (state.dirty, state.branch) == (False, "main")


def test_a_changed_file_makes_the_repository_dirty_and_a_new_one_does_not(repository: Path) -> None:
    (repository / "new.txt").write_text("x")
    assert not git_state(repository).dirty
    (repository / "a.py").write_text("x = 2\n")
    assert git_state(repository).dirty


def test_outside_a_repository_git_is_empty(tmp_path: Path) -> None:
    assert git_state(tmp_path).commit == ""
    assert git_state(tmp_path / "missing").commit == ""


def test_without_git_the_lineage_is_there_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert capture(pd.DataFrame({"a": [1]}), cwd=tmp_path).git.commit == ""


def test_the_fingerprint_is_the_same_in_every_process_and_version() -> None:
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, None], "s": ["a", None], "b": [True, False]})
    assert fingerprint(frame, ["late", "on time"]).digest == (
        "da624a10f94d7a325a9f5395a030dc90cb2d3914ff9e8832e36af71b7a1399f3"
    )


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_the_fingerprint_depends_on_texts_and_not_on_how_they_are_kept(dtype: Any) -> None:
    frame = pd.DataFrame({"s": ["a", "b", None]})
    assert fingerprint(frame.astype(dtype)).digest == fingerprint(frame).digest


CHANGES: dict[str, Any] = {
    "a value": lambda frame: frame.assign(hour=[9, *frame["hour"][1:]]),
    "a text": lambda frame: frame.assign(carrier=["ZZ", *frame["carrier"][1:]]),
    "the order of rows": lambda frame: frame.iloc[::-1],
    "the order of columns": lambda frame: frame[frame.columns[::-1]],
    "a name": lambda frame: frame.rename(columns={"hour": "hours"}),
    "a type": lambda frame: frame.assign(hour=frame["hour"].astype(float)),
    "a missing value": lambda frame: frame.assign(distance=[np.nan, *frame["distance"][1:]]),
    "fewer rows": lambda frame: frame.iloc[:-1],
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_changes_with(change: str) -> None:
    frame, _ = flights(10)
    frame["hour"] = range(10)
    assert fingerprint(CHANGES[change](frame)).digest != fingerprint(frame).digest


def test_the_index_does_not_change_the_fingerprint() -> None:
    frame, _ = flights(10)
    assert fingerprint(frame.set_index(np.arange(10) + 5)).digest == fingerprint(frame).digest


def test_texts_that_are_spelled_alike_when_joined_differ() -> None:
    one, two = pd.DataFrame({"s": ["ab", "c"]}), pd.DataFrame({"s": ["a", "bc"]})
    assert fingerprint(one).digest != fingerprint(two).digest
    empty, missing = pd.DataFrame({"s": ["", "a"]}), pd.DataFrame({"s": [None, "a"]})
    assert fingerprint(empty).digest != fingerprint(missing).digest


def test_the_target_has_a_fingerprint_of_its_own() -> None:
    frame, late = flights(10)
    one, two = fingerprint(frame, late), fingerprint(frame, ~late)
    assert one.digest == two.digest
    assert one.target_digest != two.target_digest
    assert fingerprint(frame).target_digest == ""


def test_notebook_contexts_load_without_pandas() -> None:
    code = "import sys; import mlprod_nb.registry.lineage; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_a_lineage_from_before_is_read() -> None:
    frame, late = flights(20)
    old = json.loads(capture(frame, late, notebook=NOTEBOOK, cwd=Path("/")).to_json())
    del old["parameters"], old["git"]["diff"], old["git"]["diff_lines"], old["data"]["source"]
    old["notebook"] = {"path": "train.ipynb", "cells": [{"execution_count": 1, "source": "x"}]}
    lineage = Lineage.from_json(json.dumps(old))
    assert lineage.notebook == NotebookContext("train.ipynb", (ExecutedCell(1, "x"),))
    assert lineage.parameters == {}


def test_the_diff_of_tracked_files_is_kept_up_to_a_limit_by_whole_lines(repository: Path) -> None:
    (repository / "a.py").write_text("x = 2\n")
    state = git_state(repository)
    assert state.diff.endswith("-x = 1\n+x = 2")
    assert state.diff_lines == len(state.diff.splitlines())
    (repository / "a.py").write_text("é = 1\n" * LARGEST_DIFF)
    state = git_state(repository)
    assert len(state.diff) <= LARGEST_DIFF
    assert state.diff.endswith("+é = 1")
    assert state.diff_lines > LARGEST_DIFF


def test_a_diff_runs_no_program_that_the_repository_names(repository: Path) -> None:
    _git(repository, "config", "diff.external", "touch ran; false")
    _git(repository, "config", "core.fsmonitor", "touch ran; false")
    (repository / "a.py").write_text("x = 2\n")
    assert "+x = 2" in git_state(repository).diff
    assert not (repository / "ran").exists()


def test_hyper_parameters_are_text_and_equal_for_equal_models() -> None:
    frame, late = flights(200)
    one, other = hyperparameters(classifier(frame, late)), hyperparameters(classifier(frame, late))
    assert one == other
    assert (one["estimator"], one["logisticregression"], one["logisticregression__C"]) == (
        "Pipeline",
        "LogisticRegression",
        "1.0",
    )
    assert hyperparameters(make_pipeline(FunctionTransformer(lambda x: x)))["functiontransformer__func"].endswith(
        "<lambda>>"
    )
    assert hyperparameters(object()) == {"estimator": "object"}
    assert hyperparameters(None) == {}


HOLDINGS: dict[str, Any] = {
    "Parquet": lambda frame, path: _through_parquet(frame, path),
    "CSV": lambda frame, path: _through_csv(frame, path),
    "Arrow's types": lambda frame, path: frame.convert_dtypes(dtype_backend="pyarrow"),
    "pandas' types": lambda frame, path: frame.convert_dtypes(dtype_backend="numpy_nullable"),
    "small types": lambda frame, path: frame.astype({"hour": "int8", "carrier": "category"}),
    "objects": lambda frame, path: frame.astype(object),
    "columns in one block": lambda frame, path: pd.concat([frame[:5], frame[5:]]),
}


def _through_parquet(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    frame.to_parquet(path / "a.parquet")
    return pd.read_parquet(path / "a.parquet")


def _through_csv(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    frame.to_csv(path / "a.csv", index=False)
    return pd.read_csv(path / "a.csv", engine="pyarrow")


@pytest.mark.parametrize("missing", [False, True], ids=["whole", "missing values"])
@pytest.mark.parametrize("held", HOLDINGS)
def test_equal_data_have_one_fingerprint_however_they_are_held(held: str, missing: bool, tmp_path: Path) -> None:
    frame, late = flights(40, missing=missing)
    other = HOLDINGS[held](frame, tmp_path)
    assert fingerprint(other, pd.Series(late)) == fingerprint(frame, late.tolist())


def test_an_array_and_a_frame_of_its_columns_have_one_fingerprint() -> None:
    array = np.arange(6.0).reshape(3, 2)
    assert fingerprint(array).digest == fingerprint(pd.DataFrame({"x0": array[:, 0], "x1": array[:, 1]})).digest
