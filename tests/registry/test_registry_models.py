from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb.errors import Corrupt, NotFound, Refused, Unavailable, UsageError
from mlprod_nb.registry import recording
from mlprod_nb.registry.bundles import Bundle, BundleStore
from mlprod_nb.registry.models import Registry, check_name
from tests.registry.samples import candidate, classifier, flights

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own code, when a user calls it; ours mutes it.
    "ignore::DeprecationWarning:mlflow.*",
    "ignore::FutureWarning:mlflow.*",
)


@pytest.fixture(scope="module")
def flown(registry: Registry, onnx_bundle: Bundle) -> str:
    """A model with three versions, of which the first is the champion."""
    for note in ("one", "two", "three"):
        registry.register(candidate("flown", onnx_bundle, note=note))
    registry.set_alias("flown", "champion", 1)
    return "flown"


def test_a_registered_version_is_found_as_it_was_given(registry: Registry, onnx_bundle: Bundle) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    version = registry.register(candidate("given", onnx_bundle))
    assert (version.ref, version.version, version.aliases) == ("given/1", 1, ())
    assert (version.note, version.author, version.metrics) == ("Why: it is better.", "ada", {"auc": 0.75})
    assert (version.bundle, version.runtime, version.runtime_reason) == (onnx_bundle.digest, "onnx", "")
    assert before <= version.created_at <= datetime.now(UTC)
    assert registry.resolve("given/1") == version


def test_versions_count_up_and_the_newest_comes_first(registry: Registry, flown: str) -> None:
    assert [version.ref for version in registry.versions(flown)] == ["flown/3", "flown/2", "flown/1"]
    assert flown in registry.models()


@pytest.mark.parametrize(
    ("reference", "note"), [("flown", "three"), ("flown/2", "two"), ("flown@champion", "one"), ("flown/1", "one")]
)
def test_a_reference_names_its_version(registry: Registry, flown: str, reference: str, note: str) -> None:
    assert registry.resolve(reference).note == note


@pytest.mark.parametrize(
    ("reference", "kind", "nearest"),
    [("flwon", "model", "flown"), ("flown/9", "version", "flown/3"), ("flown@chmpion", "alias", "flown@champion")],
)
def test_an_unknown_reference_names_the_nearest(
    registry: Registry, flown: str, reference: str, kind: str, nearest: str
) -> None:
    with pytest.raises(NotFound) as caught:
        registry.resolve(reference)
    assert caught.value.kind == kind
    assert caught.value.nearest.split("/")[0] == nearest.split("/")[0]


@pytest.mark.parametrize("reference", ["", "/1", "a/b/c", "a@b@c", "a@b/1", "flown/", "flown@", "flown/one"])
def test_what_is_no_reference_is_refused(registry: Registry, reference: str) -> None:
    with pytest.raises(UsageError, match="names no model version"):
        registry.resolve(reference)


@pytest.mark.parametrize("reference", ["x' OR '1'='1", "a b", "../x"])
def test_a_hostile_name_finds_nothing(registry: Registry, reference: str) -> None:
    with pytest.raises(UsageError):
        registry.resolve(reference)


def test_aliases_move_and_go(registry: Registry, onnx_bundle: Bundle) -> None:
    for _ in range(2):
        registry.register(candidate("moved", onnx_bundle))
    registry.set_alias("moved", "champion", 1)
    registry.set_alias("moved", "champion", 2)
    registry.set_alias("moved", "challenger", 2)
    assert registry.aliases("moved") == {"challenger": 2, "champion": 2}
    assert registry.resolve("moved@champion").aliases == ("challenger", "champion")
    registry.delete_alias("moved", "challenger")
    assert registry.aliases("moved") == {"champion": 2}
    with pytest.raises(NotFound):
        registry.delete_alias("moved", "challenger")
    with pytest.raises(NotFound):
        registry.set_alias("moved", "champion", 9)
    assert registry.aliases("moved") == {"champion": 2}


@pytest.mark.parametrize("alias", ["", "a b", "1st", "latest", "v2", "x" * 65, "a@b"])
def test_an_alias_must_have_a_name_that_mlflow_takes(registry: Registry, flown: str, alias: str) -> None:
    with pytest.raises(UsageError, match="cannot name an alias"):
        registry.set_alias(flown, alias, 1)


@pytest.mark.parametrize("name", ["", "1flights", "my model", "flights/1", "a@b", "ü", "-a", "x" * 65, "a.b"])
def test_a_bad_model_name_is_refused_before_anything_is_written(
    registry: Registry, onnx_bundle: Bundle, name: str
) -> None:
    with pytest.raises(UsageError, match="cannot name a model"):
        check_name(name)
    with pytest.raises(UsageError):
        registry.register(candidate(name, onnx_bundle))


def test_another_process_s_registry_sees_changes_at_once(registry: Registry, flown: str) -> None:
    other = Registry(registry.tracking_uri, registry.artifacts)
    assert registry.aliases(flown) == {"champion": 1}
    other.set_alias(flown, "challenger", 3)
    assert registry.resolve("flown@challenger").version == 3
    other.delete_alias(flown, "challenger")
    assert "challenger" not in registry.aliases(flown)


def test_the_lineage_is_kept(registry: Registry, onnx_bundle: Bundle) -> None:
    descended = candidate("descended", onnx_bundle)
    assert registry.lineage(registry.register(descended)) == descended.lineage


def test_a_bundle_is_fetched_and_then_kept(registry: Registry, flown: str, onnx_bundle: Bundle, tmp_path: Path) -> None:
    store = BundleStore(tmp_path / "store")
    bundle = registry.fetch_bundle(registry.resolve(flown), store)
    assert (bundle.digest, bundle.manifest) == (onnx_bundle.digest, onnx_bundle.manifest)
    assert registry.fetch_bundle(registry.resolve(flown), store) == bundle


def _artifacts(registry: Registry, run_id: str) -> Path:
    return next(registry.artifacts.glob(f"*/{run_id}/artifacts"))


def test_a_bundle_that_was_changed_in_the_registry_is_refused(
    registry: Registry, onnx_bundle: Bundle, tmp_path: Path
) -> None:
    version = registry.register(candidate("changed", onnx_bundle))
    bundle = _artifacts(registry, version.run_id) / "bundle"
    (bundle / "model.onnx").write_bytes(b"evil")
    with pytest.raises(Corrupt, match=r"model\.onnx does not match"):
        registry.fetch_bundle(version, BundleStore(tmp_path / "store"))
    shutil.rmtree(bundle)
    with pytest.raises(Corrupt, match="bundle of changed/1"):
        registry.fetch_bundle(version, BundleStore(tmp_path / "store"))


def test_a_whole_bundle_of_another_version_is_refused(registry: Registry, flown: str, tmp_path: Path) -> None:
    version = replace(registry.resolve(flown), bundle="0" * 64)
    with pytest.raises(Corrupt, match=r"is \w{12}, not 000000000000"):
        registry.fetch_bundle(version, BundleStore(tmp_path / "store"))


def test_a_version_made_by_mlflow_alone_is_listed_and_has_no_bundle(registry: Registry, tmp_path: Path) -> None:
    registry.client.create_registered_model("foreign")
    registry.client.create_model_version("foreign", source=tmp_path.as_uri())
    version = registry.resolve("foreign")
    assert (version.bundle, version.runtime, version.metrics) == ("", "", {})
    with pytest.raises(Refused, match="foreign/1 has no bundle"):
        registry.fetch_bundle(version, BundleStore(tmp_path / "store"))


def test_a_model_that_plain_mlflow_wrote_beside_the_registry_is_told_where_it_should_have_gone(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound) as failed:
        registry.resolve("elsewhere")
    assert "mlflow" not in str(failed.value)
    Path("mlflow.db").touch()
    with pytest.raises(NotFound) as failed:
        registry.resolve("elsewhere")
    line = f'mlflow.set_tracking_uri("{registry.tracking_uri}")'
    assert str(failed.value).endswith(f"into mlflow.db here; to write into this registry: {line}")


def _everything(registry: Registry) -> tuple[Any, ...]:
    client = registry.client
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = {run.info.run_id for run in client.search_runs(experiments)}
    logged = {model.model_id for model in client.search_logged_models(experiment_ids=experiments)}
    files = {path for path in registry.artifacts.rglob("*") if path.is_file()}
    return registry.models(), runs, logged, files


@pytest.mark.parametrize("step", ["create_run", "log_artifacts", "log_model_artifacts", "create_model_version"])
@pytest.mark.parametrize("name", ["flown", "broken"])
def test_a_failure_at_any_step_leaves_nothing(
    registry: Registry, flown: str, onnx_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, step: str, name: str
) -> None:
    before = _everything(registry)

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError("the disk is full")

    monkeypatch.setattr(registry.client, step, fail)
    with pytest.raises(OSError, match="the disk is full"):
        registry.register(candidate(name, onnx_bundle))
    monkeypatch.undo()
    assert _everything(registry) == before


def test_a_model_that_cannot_be_saved_leaves_nothing(registry: Registry, onnx_bundle: Bundle) -> None:
    frame, late = flights()
    model = classifier(frame, late)
    model.lock = threading.Lock()
    before = _everything(registry)
    with pytest.raises(Refused, match="the model cannot be saved"):
        registry.register(candidate("locked", onnx_bundle, model=model))
    assert _everything(registry) == before


def test_mlflow_s_refusals_are_one_line_without_the_address(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is no database, but long enough to look at" * 100)
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    with pytest.raises(Unavailable) as caught:
        registry.models()
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_parameters_are_those_of_the_last_step_and_bounded(registry: Registry, onnx_bundle: Bundle) -> None:
    run = registry.client.get_run(registry.register(candidate("tuned", onnx_bundle)).run_id)
    assert run.data.params["estimator"] == "LogisticRegression"
    assert run.data.params["C"] == "1.0"
    assert run.data.tags["mlflow.source.name"] == "train.ipynb"
    assert run.data.metrics == {"auc": 0.75}
    assert run.info.status == "FINISHED"

    class Talkative:
        def get_params(self, deep: bool = True) -> dict[str, str]:
            return {f"p{i}": "x" * 10_000 for i in range(1000)}

    params = recording._params(Talkative())
    assert len(params) == 101
    assert max(len(value) for value in params.values()) == 500


@pytest.fixture
def mlflow_at(registry: Registry) -> Iterator[Any]:
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(registry.tracking_uri)
    mlflow.set_registry_uri(registry.tracking_uri)
    yield mlflow
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


def test_mlflow_itself_loads_the_version(registry: Registry, flown: str, mlflow_at: Any) -> None:
    frame, late = flights()
    model = mlflow_at.pyfunc.load_model("models:/flown@champion")
    assert (model.predict(frame) == classifier(frame, late).predict(frame)).all()
    assert model.metadata.get_input_schema().input_names() == list(frame.columns)


SILENT = """
import io, logging, sys, contextlib
from pathlib import Path
sys.path.insert(0, {root!r})
import mlflow
before = mlflow.get_tracking_uri(), mlflow.active_run()
mine = logging.getLogger("mine")
from mlprod_nb.registry.bundles import read_bundle
from mlprod_nb.registry.lineage import capture
from mlprod_nb.registry.models import Registry
from mlprod_nb.registry.versions import Candidate
from tests.registry.samples import candidate, classifier, flights
frame, late = flights(50)
registry = Registry("sqlite:///{state}/mlflow.db", Path({state!r}) / "artifacts")
bundle = read_bundle(Path({bundle!r}))
version = registry.register(
    Candidate("quiet", classifier(frame, late), bundle, "", "ada", {{}}, capture(frame, cwd=Path({state!r})))
)
registry.set_alias("quiet", "champion", 1)
registry.resolve("quiet@champion")
assert (mlflow.get_tracking_uri(), mlflow.active_run()) == before
assert not mine.disabled
assert logging.getLogger("mlflow").level != logging.CRITICAL
print("only this")
"""


def test_nothing_but_our_own_words_reaches_the_notebook(onnx_bundle: Bundle, tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    code = SILENT.format(root=root, state=str(tmp_path / "state"), bundle=str(onnx_bundle.path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("only this\n", "")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["state"]
