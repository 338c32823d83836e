"""A version that was exported from one workspace and imported into another is the same version, and trusted anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlprod_nb import Workspace
from mlprod_nb.errors import Corrupt, NotFound, Refused
from mlprod_nb.lifecycle.alias_moves import protecting
from mlprod_nb.lifecycle.alias_moves.aliases import planned
from mlprod_nb.lifecycle.checking import gating
from mlprod_nb.lifecycle.context import Caller
from tests.forks import Forks
from tests.lifecycle.conftest import Site, make_site
from tests.lifecycle.moving_process import MARKS
from tests.workspaces import new_workspace

#: Of the steps at which an import can be killed, those that every run tries; the others are tried on request.
SAMPLE = ("log_model_artifacts", "create_model_version", "_write_down")


@dataclass(frozen=True)
class Move:
    """Two workspaces, and what goes from one to the other."""

    source: Site
    target: Workspace
    fast: Path
    slow: Path


@pytest.fixture(scope="module")
def move(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Move]:
    """One workspace with a checked, approved version and one that needs a model worker; another, empty."""
    folder = tmp_path_factory.mktemp("move")
    source = make_site(folder / "source")
    ann = Workspace(source.workspace.root, caller=Caller("ann"))
    ann.register("flights", model=source.model, data=source.data, target=source.target, snapshot=True, note="third")
    slow = make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression()).fit(source.data, source.target)
    ann.register("slow", model=slow, data=source.data, target=source.target)
    digest = ann.check("flights/3").digest
    source.workspace.approve(digest, reason="read it")
    archives = folder / "flights-3.zip", folder / "slow-1.zip"
    source.workspace.export("flights/3", to=str(archives[0]))
    source.workspace.export("slow/1", to=str(archives[1]))
    new_workspace(folder / "target")
    target = Workspace(folder / "target", caller=Caller("bob", command="mlprod import flights-3.zip"))
    yield Move(source, target, *archives)
    for workspace in (source.workspace, ann, target):
        workspace.context.store.close()


@pytest.fixture(scope="module")
def moved(move: Move) -> Move:
    """Both archives imported."""
    move.target.import_(str(move.fast))
    move.target.import_(str(move.slow))
    return move


def test_an_imported_version_deploys_and_answers_as_the_original(moved: Move) -> None:
    source, target = moved.source.workspace, moved.target
    rows = moved.source.data[:50]
    try:
        source.up()
        target.up()
        for there, here, runtime in (("flights/3", "flights/1", "onnx"), ("slow/1", "slow/1", "python")):
            assert target.context.registry.resolve(here).runtime == runtime
            source.deploy(there)
            target.deploy(here)
            name = here.partition("/")[0]
            before, after = source.predict(name, data=rows), target.predict(name, data=rows)
            assert set(after.model_version) == {here}
            assert list(after.predictions) == list(before.predictions)
        told = [move for move in target.history("flights").moves if move.what == "flights/1"]
        assert [(one.after, one.actor, one.reason) for one in told] == [
            ("imported: flights/3 of source", "bob", "third")
        ]
    finally:
        source.down(yes=True)
        target.down(yes=True)


def test_the_original_itself_comes_along_with_its_records(moved: Move) -> None:
    registry, there = moved.target.context.registry, moved.source.workspace.context.registry
    here, before = registry.resolve("flights/1"), there.resolve("flights/3")
    assert (here.bundle, here.note, here.metrics) == (before.bundle, before.note, before.metrics)
    assert registry.lineage(here) == there.lineage(before)
    answers = [r.load(v).predict_proba(moved.source.data) for r, v in ((registry, here), (there, before))]
    np.testing.assert_array_equal(*answers)
    kept = {entry.path for entry in registry.client.list_artifacts(here.run_id)}
    assert kept == {"bundle", "data.parquet", "lineage.json", "origin"}
    params = registry.client.get_run(here.run_id).data.params
    assert params == there.client.get_run(before.run_id).data.params


def test_models_tell_where_a_version_is_from_and_the_trail_which_archive_it_was(moved: Move) -> None:
    assert [row.origin for row in moved.target.models("flights").versions] == ["flights/3 of source"]
    assert {row.origin for row in moved.source.workspace.models("flights").versions} == {""}
    exported = [e for e in moved.source.workspace.audit_show(limit=100).entries if e.action == "export"]
    imported = [e for e in moved.target.audit_show(limit=100).entries if e.action == "import"]
    assert [e.subject for e in imported] == ["slow/1", "flights/1"]
    assert [e.detail.split()[0] for e in imported] == [e.detail for e in exported]
    assert moved.target.audit_verify().exit_code == 0


def test_reports_and_approvals_are_history_and_count_for_nothing(moved: Move) -> None:
    context = moved.target.context
    here = context.registry.resolve("flights/1")
    again = moved.target.import_(str(moved.fast))
    assert [(one.report[:5], one.status, len(one.approved_by)) for one in again.reports_there] == [("gates", "ok", 1)]
    assert (here.gate_report, here.author) == ("", "bob")
    assert not gating.standing(context, here).passes
    with pytest.raises(NotFound):
        moved.target.approve(again.reports_there[0].report.split()[1], reason="it was approved there")


def test_neither_who_imports_a_version_nor_its_author_there_approves_it(moved: Move) -> None:
    file = moved.target.root / "mlprod.toml"
    before = file.read_text(encoding="utf-8")
    file.write_text(before + "\n[models.flights.protected.champion]\napprovals = 1\n", encoding="utf-8")
    try:
        ann = Workspace(moved.target.root, caller=Caller("ann"))
        digest = ann.check("flights/1").digest
        for actor in ("ann", "bob"):
            given = Workspace(moved.target.root, caller=Caller(actor)).approve(digest, reason="my own work")
            assert f"An approval by {actor} does not count for flights@champion: {actor} registered" in str(given)
        found = protecting.examine(ann.context, planned(ann.context, "flights", "champion", 1))
        assert found is not None
        assert found.given == ()
        assert sum("it is the author's own" in one for one in found.missing) == 2
        ann.context.store.close()
    finally:
        file.write_text(before, encoding="utf-8")


def test_importing_again_names_the_version_that_is_there(moved: Move) -> None:
    again = moved.target.import_(str(moved.fast))
    assert (again.outcome, again.version) == ("already here", "flights/1")
    assert str(again).startswith("flights/3 of source is here already, as flights/1.")
    own = moved.source.workspace.import_(str(moved.fast))
    assert (own.outcome, own.version) == ("already here", "flights/3")
    assert len(moved.target.context.registry.versions("flights")) == 1
    assert len(moved.source.workspace.context.registry.versions("flights")) == 3


def test_an_archive_other_than_the_one_that_was_told_is_refused(moved: Move) -> None:
    told = moved.source.workspace.export("slow/1", to=str(moved.slow)).digest
    assert moved.target.import_(str(moved.slow), digest=told[:12].upper()).version == "slow/1"
    for other in (told[:11], "f" * 64):
        with pytest.raises(Refused, match="is not the archive with the digest"):
            moved.target.import_(str(moved.fast), digest=other)


def test_a_dry_run_and_a_damaged_archive_change_nothing(moved: Move, tmp_path: Path) -> None:
    tried = moved.target.import_(str(moved.fast), as_="other", dry_run=True)
    assert str(tried).startswith("The archive is whole; flights/3 of source would become a version of other.")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(moved.fast.read_bytes()[:-1])
    with pytest.raises(Corrupt, match=r"broken.zip .*Copy it again, or export the version again."):
        moved.target.import_(str(broken), as_="other")
    assert "other" not in moved.target.context.registry.models()


@pytest.mark.parametrize(
    "mark", [mark if mark in SAMPLE else pytest.param(mark, marks=pytest.mark.exhaustive) for mark in MARKS]
)
def test_an_import_that_is_killed_at_any_step_is_made_whole_by_the_next(move: Move, mark: str, forks: Forks) -> None:
    name, root = f"killed-{mark.strip('_').replace('_', '-')}", move.target.root
    forks.killed("tests.lifecycle.moving_process", root, move.fast, name, mark)
    registry = move.target.context.registry
    made = MARKS.index(mark) > MARKS.index("create_model_version")
    assert (name in registry.models()) == made
    before = registry.versions(name) if made else ()
    assert len(before) == made
    found = move.target.import_(str(move.fast), as_=name)
    assert found.version == f"{name}/1"
    assert found.outcome == ("already here" if before else "imported")
    assert name in registry.models()
    experiment = registry.client.get_experiment_by_name(name).experiment_id
    (run,) = registry.client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert len(registry.client.search_logged_models([experiment])) == 1
    assert len([e for e in move.target.audit_show(limit=100).entries if e.subject == found.version]) == 1
    assert registry.fetch_bundle(registry.resolve(found.version), move.target.context.bundles).digest == found.bundle


def test_two_imports_at_once_make_one_version(move: Move) -> None:
    command = [sys.executable, "-m", "mlprod_nb.cli", "--json", "import", str(move.slow), "--as", "twice"]
    processes = [
        subprocess.Popen(command, cwd=move.target.root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    found = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    assert sorted(one["outcome"] for one in found) == ["already here", "imported"]
    assert {one["version"] for one in found} == {"twice/1"}
