"""New versions are checked or released by themselves: each once, whoever registered it, whoever is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlprod_nb import Workspace
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import Refused, Unavailable, UsageError
from mlprod_nb.lifecycle.releasing import checking
from mlprod_nb.registry.quiet import quiet
from tests.forks import Forks
from tests.lifecycle.conftest import Site
from tests.lifecycle.releasing.releases import PLAIN, ask, running, serving

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

Watching = Callable[[str, str], Workspace]
COUNT = iter(range(100))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("watching")) as site:
        yield site


@pytest.fixture
def model(site: Site) -> str:
    """A model of this test's own with one version, which serves."""
    name = f"m{next(COUNT)}"
    site.workspace.register(name, model=site.model, data=site.data, target=site.target, alias="champion")
    site.workspace.deploy(f"{name}@champion")
    return name


@pytest.fixture
def watching(site: Site) -> Iterator[Watching]:
    """Opens the workspace with a model that is watched, after the first look at it."""
    file = site.workspace.context.layout.settings_file

    def opened(model: str, wants: str) -> Workspace:
        steps = f'[models.{model}.release]\nhold = "0s"\nsteps = [50]\nshadow = false\nmin_predictions = 60\n'
        file.write_text(f'{PLAIN}[models.{model}]\non_register = "{wants}"\n{steps}')
        workspace = Workspace.open(site.workspace.root)
        workspace.release_watch()
        return workspace

    yield opened
    file.write_text(PLAIN)


def register(site: Site, workspace: Workspace, model: str) -> Any:
    return workspace.register(model, model=site.model, data=site.data, target=site.target)


def after(workspace: Workspace, *, minutes: int) -> Workspace:
    """Return the workspace as it is opened some minutes from now."""
    return Workspace(workspace.root, clock=lambda: utc_now() + timedelta(minutes=minutes))


def with_plain_mlflow(site: Site, model: str, *, in_a_run: bool = True, **options: Any) -> None:
    """Register a version as somebody does who never heard of this package."""
    with quiet():
        import mlflow
        import mlflow.sklearn

        before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
        uri = site.workspace.context.registry.tracking_uri
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(site.data, site.target)
        try:
            mlflow.set_tracking_uri(uri)
            mlflow.set_registry_uri(uri)
            if mlflow.get_experiment_by_name(model) is None:
                mlflow.create_experiment(model, (site.workspace.root / "plain" / model).as_uri())
            experiment = mlflow.get_experiment_by_name(model)
            assert experiment is not None
            run = mlflow.start_run(experiment_id=experiment.experiment_id) if in_a_run else nullcontext()
            with pytest.MonkeyPatch.context() as patched, run:
                patched.setenv("MLFLOW_EXPERIMENT_ID", experiment.experiment_id)
                mlflow.sklearn.log_model(
                    fitted,
                    name="model",
                    registered_model_name=model,
                    serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
                    pip_requirements=["scikit-learn"],  # else MLflow looks for them in a process of its own
                    **options,
                )
        finally:
            mlflow.set_tracking_uri(before[0])
            mlflow.set_registry_uri(before[1])


def test_a_registered_version_is_checked_once_and_the_registration_says_who_does_it(
    site: Site, watching: Watching, model: str
) -> None:
    workspace = watching(model, "check")
    done = register(site, workspace, model)
    assert done.then == "check: no scheduler runs, so it waits for mlprod up, or mlprod release watch"
    [row] = workspace.release_watch().versions
    assert (row.version, row.wants, row.state) == (f"{model}/2", "check", "done")
    assert "passes" in row.detail
    assert workspace.release_watch().versions == ()
    assert [job.command for job in workspace.schedule_list().jobs] == ["release watch"]


def test_versions_that_were_there_before_the_first_look_are_left_alone(
    site: Site, watching: Watching, model: str
) -> None:
    register(site, site.workspace, model)
    workspace = watching(model, "release")
    assert workspace.release_watch().versions == ()
    assert serving(workspace, model) == f"champion {model}/1 100 %"


def test_a_registered_version_is_released_and_a_newer_one_waits_for_its_end(
    site: Site, watching: Watching, model: str
) -> None:
    workspace = watching(model, "release")
    register(site, workspace, model)
    [row] = workspace.release_watch().versions
    assert row.state == "done"
    assert serving(workspace, model) == f"champion {model}/1 50 %, v2 {model}/2 50 %"
    register(site, workspace, model)
    register(site, workspace, model)
    older, newest = workspace.release_watch().versions
    assert (older.state, older.detail) == ("left alone", f"{model}/4 came after it and is released instead.")
    assert newest.state == "planned"
    assert f"of {model}/2 is under way" in newest.detail
    ask(site, model)
    workspace.release_advance(model)
    assert serving(workspace, model) == f"champion {model}/2 100 %"
    workspace.release_watch()
    assert serving(workspace, model) == f"champion {model}/2 50 %, v4 {model}/4 50 %"
    workspace.release_stop(model)


def test_a_model_that_serves_nowhere_waits_and_says_which_line_lets_it_go_on(site: Site, watching: Watching) -> None:
    workspace = watching("unborn", "release")
    register(site, workspace, "unborn")
    [row] = workspace.release_watch().versions
    assert row.detail == "waits: nothing serves at 'unborn' yet: mlprod deploy unborn/1"


def test_a_version_of_plain_mlflow_gets_its_bundle_from_the_endpoints_own_rows(
    site: Site, watching: Watching, model: str
) -> None:
    ask(site, model)
    workspace = watching(model, "release")
    with_plain_mlflow(site, model)
    [row] = workspace.release_watch().versions
    assert f"its bundle (onnx) was made with 400 rows of the log of '{model}'." in row.detail
    assert serving(workspace, model) == f"champion {model}/1 50 %, v2 {model}/2 50 %"
    workspace.release_stop(model)


@pytest.mark.parametrize("in_a_run", [True, False])
def test_a_version_of_plain_mlflow_gets_its_bundle_from_its_input_example(
    site: Site, watching: Watching, model: str, in_a_run: bool
) -> None:
    workspace = watching(model, "check")
    with_plain_mlflow(site, model, in_a_run=in_a_run, input_example=site.data[:200])
    [row] = workspace.release_watch().versions
    assert row.detail.startswith("its bundle (onnx) was made with 200 rows of its input example.")
    assert row.state == "done"
    assert workspace.check(f"{model}/2", last=True).exit_code == 0


def test_a_version_without_rows_to_make_a_bundle_of_says_why_and_people_are_told(
    site: Site, watching: Watching, model: str
) -> None:
    workspace = watching(model, "check")
    with_plain_mlflow(site, model, input_example=site.data[:5])
    [row] = workspace.release_watch().versions
    assert row.state == "left alone"
    assert "an input example of 5 rows (50 rows are needed)" in row.detail
    assert row.detail.endswith("Register it with: mlprod register, or log it with input_example=X.head(200).")
    [alert] = workspace.alerts_list(model).alerts
    assert f"{model}/2 was not checked" in alert.sentence
    assert alert.next == f"%mlprod check {model}/2"


def test_the_first_version_of_a_model_is_new_where_the_first_look_found_none(site: Site, watching: Watching) -> None:
    model = f"m{next(COUNT)}"
    workspace = watching(model, "check")
    with_plain_mlflow(site, model, input_example=site.data[:200])
    [row] = workspace.release_watch().versions
    assert (row.version, row.state) == (f"{model}/1", "done")


def away(*_: object) -> None:
    raise Unavailable("the registry does not answer.")


def test_what_could_not_be_done_for_the_third_time_is_given_up_and_people_are_told(
    site: Site, watching: Watching, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = watching(model, "check")
    register(site, workspace, model)

    monkeypatch.setattr(checking, "verdict", away)
    for late, state in ((0, "failed"), (6, "failed"), (12, "left alone")):
        [row] = after(workspace, minutes=late).release_watch().versions
        assert row.state == state
    assert after(workspace, minutes=18).release_watch().versions == ()
    [alert] = workspace.alerts_list(model).alerts
    assert alert.sentence == f"{model}/2 was not checked: the registry does not answer. It was tried 3 times."


def test_looks_by_hand_one_after_the_other_use_up_one_try(
    site: Site, watching: Watching, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = watching(model, "check")
    register(site, workspace, model)

    with monkeypatch.context() as patched:
        patched.setattr(checking, "verdict", away)
        for _ in range(5):
            [row] = workspace.release_watch().versions
            assert row.state == "failed"
    [row] = workspace.release_watch().versions
    assert row.state == "done"


def test_a_check_by_hand_makes_the_bundle_that_a_version_of_plain_mlflow_lacks(site: Site) -> None:
    model = f"m{next(COUNT)}"
    with_plain_mlflow(site, model, input_example=site.data[:200])
    with pytest.raises(Refused, match=f"has no bundle, since it was registered elsewhere. .*: mlprod check {model}/1"):
        site.workspace.deploy(f"{model}/1")
    assert site.workspace.check(f"{model}/1").exit_code == 0
    assert site.workspace.deploy(f"{model}/1").exit_code == 0


PROCESS = "tests.lifecycle.releasing.watching_process"


@pytest.mark.slow
@pytest.mark.parametrize("mark", ["release begun", pytest.param("begun", marks=pytest.mark.exhaustive)])
def test_a_version_is_released_once_though_the_look_is_killed(
    site: Site, watching: Watching, model: str, mark: str, forks: Forks
) -> None:
    workspace = watching(model, "release")
    register(site, workspace, model)
    forks.killed(PROCESS, workspace.root, mark)
    workspace.release_watch()
    workspace.release_advance(model)
    found = workspace.release_show(model)
    assert found.state == "under way"
    assert serving(workspace, model) == f"champion {model}/1 50 %, v2 {model}/2 50 %"
    assert [move.outcome for move in workspace.history(model).moves if "revision" in move.what] == ["active"] * 2
    workspace.release_stop(model)
    assert workspace.release_watch().versions == ()


@pytest.mark.slow
def test_a_version_is_checked_though_the_look_is_killed(
    site: Site, watching: Watching, model: str, forks: Forks
) -> None:
    workspace = watching(model, "check")
    register(site, workspace, model)
    forks.killed(PROCESS, workspace.root, "checking")
    [row] = workspace.release_watch().versions
    assert row.state == "done"


def test_the_settings_refuse_a_word_that_is_none(site: Site, watching: Watching, model: str) -> None:
    with pytest.raises(UsageError, match="on_register"):
        watching(model, "relaese")
