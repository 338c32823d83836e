"""Retraining: a window of the log, a notebook, one new version as challenger; nothing that serves changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlprod_nb import Workspace, notebooks
from mlprod_nb.errors import ExecutionFailed, NotFound, Refused
from mlprod_nb.lifecycle.data import event_times
from mlprod_nb.monitoring.weights import effective_rows, relative
from mlprod_nb.store import journal
from tests.lifecycle.conftest import Site, make_site
from tests.notebook_files import code, write

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BEGIN = datetime(2013, 4, 1, tzinfo=UTC)
PARAMETERS = 'since: str = ""\nuntil: str = ""\nmode: str = "recent"'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Flights of 400 hours from April on; in the last hundred the distances are longer, and labels are known."""
    site = make_site(tmp_path_factory.mktemp("site"))
    site.workspace.up()
    site.workspace.deploy("flights@champion")
    data = site.data.copy()
    data.loc[300:, "distance"] += 400.0
    when = [BEGIN + timedelta(hours=i) for i in range(len(data))]
    answered = site.workspace.predict("flights", data=data, event_time=when)
    site.workspace.feedback("flights", ids=answered.prediction_ids, values=site.target)
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


def own_notebook(site: Site, *sources: str, name: str = "own.ipynb") -> Workspace:
    """Return the workspace with a training notebook of these cells set."""
    write(site.workspace.root / name, code(PARAMETERS, "parameters"), *(code(source) for source in sources))
    settings = f'name = "site"\n[retraining]\nnotebook = "{name}"\ntimeout_seconds = 60\n'
    site.workspace.context.layout.settings_file.write_text(settings)
    return Workspace.open(site.workspace.root)


@pytest.fixture
def workspace(site: Site) -> Iterator[Workspace]:
    site.workspace.context.layout.settings_file.write_text('name = "site"\n')
    yield site.workspace
    site.workspace.context.layout.settings_file.write_text('name = "site"\n')


def aliases(workspace: Workspace) -> dict[str, int]:
    return workspace.context.registry.aliases("flights")


def test_the_rows_to_train_on_are_what_was_asked_with_what_happened(workspace: Workspace, site: Site) -> None:
    training = workspace.training("flights", since="2013-04-05", until="2013-04-10")
    expected = slice(96, 216)
    assert training.rows == 120
    assert training.weights is None
    rows = training.data.assign(late=training.target).sort_values(["distance"])
    wanted = site.data[expected].assign(late=site.target[expected]).sort_values(["distance"])
    assert np.allclose(rows.to_numpy(dtype=float), wanted.to_numpy(dtype=float))
    assert workspace.training("flights", since="2013-04-05", until="2013-04-10", mode="full").rows == 216


def test_the_rows_to_train_on_say_when_they_happened_so_ages_of_dates_are_known(workspace: Workspace) -> None:
    training = workspace.training("flights", since="2013-04-05", until="2013-04-10")
    moments = event_times(training.data)
    assert moments is not None
    assert len(moments) == 120
    begin, end = (datetime(2013, 4, day, tzinfo=UTC).timestamp() for day in (5, 10))
    assert all(begin <= moment < end for moment in moments)
    assert training.target.index.equals(training.data.index)
    full = workspace.training("flights", since="2013-04-05", until="2013-04-10", mode="full")
    assert len(event_times(full.data) or ()) == 216


def test_history_is_weighted_by_how_it_resembles_the_window(workspace: Workspace) -> None:
    training = workspace.training("flights", since=(BEGIN + timedelta(hours=300)).isoformat(), mode="weighted")
    assert training.weights is not None
    assert training.rows == 400
    distance = training.data["distance"].to_numpy()
    assert np.average(distance, weights=training.weights) > distance.mean() + 100
    assert training.weights[300:].mean() > 2 * training.weights[:300].mean()
    assert 100 < training.effective_rows < 400
    assert hasattr(training.fit(), "predict_proba")


def test_too_few_rows_are_refused_with_what_to_do(workspace: Workspace) -> None:
    with pytest.raises(Refused, match="24 labelled rows there, too few"):
        workspace.training("flights", until="2013-04-02")
    with pytest.raises(Refused, match="cannot be weighted"):
        workspace.training("flights", since="2013-04-01", mode="weighted")
    with pytest.raises(NotFound, match="Did you mean 'weighted'"):
        workspace.training("flights", mode="weigted")


def test_a_retrained_version_is_the_challenger_and_nothing_that_serves_changes(workspace: Workspace) -> None:
    before = workspace.history("flights").moves
    result = workspace.retrain("flights", mode="weighted", since="2013-04-13", reason="longer distances")
    assert (result.version, result.serving, result.source) == ("flights/3", "flights/1", "retrain.ipynb")
    headline = "Registered flights/3 as @challenger, trained on the log of 'flights'; flights/1 still serves."
    assert result.headline() == headline
    assert aliases(workspace) == {"champion": 1, "challenger": 3}
    version = workspace.context.registry.resolve("flights/3")
    assert version.note == "longer distances"
    assert version.metrics
    lineage = workspace.context.registry.lineage(version)
    assert lineage.notebook is not None
    assert any("register" in cell.source for cell in lineage.notebook.cells)
    executed = notebooks.read(workspace.root / result.notebook)
    assert any('since = "2013-04-13' in cell["source"] for cell in executed["cells"])
    assert [move for move in workspace.history("flights").moves if move.what.startswith("revision")] == [
        move for move in before if move.what.startswith("revision")
    ]
    with workspace.context.store.read() as connection:
        moved = journal.newest_of(connection, "flights@challenger")
    assert moved is not None
    assert (moved.before, moved.after, moved.reason) == ("flights/2", "flights/3", "longer distances")
    again = workspace.reproduce("flights/3")
    assert again.exit_code == 0, str(again)


def test_a_dry_run_says_what_would_be_trained_and_changes_nothing(workspace: Workspace) -> None:
    before = aliases(workspace), len(workspace.models("flights").versions)
    result = workspace.retrain("flights", since="2013-04-05", until="2013-04-10", dry_run=True)
    assert str(result).startswith("retrain.ipynb would retrain flights/1 on 120 rows (dry run, nothing changed).")
    assert (aliases(workspace), len(workspace.models("flights").versions)) == before


def test_history_is_enough_where_the_window_has_few_labels_yet(workspace: Workspace) -> None:
    assert workspace.retrain("flights", mode="full", since="2013-04-17T12:00", dry_run=True).rows == 400
    with pytest.raises(Refused, match="4 labelled rows there, too few"):
        workspace.retrain("flights", since="2013-04-17T12:00", dry_run=True)


@pytest.mark.parametrize(
    ("since", "words"),
    [
        ("2013-04-01", "there are 0 rows before the window and 400 in it; each needs 50"),
        ("2013-04-17T12:00", "there are 396 rows before the window and 4 in it"),
    ],
)
def test_rows_that_cannot_be_weighted_are_refused_before_the_notebook_runs(
    workspace: Workspace, since: str, words: str
) -> None:
    executed = workspace.context.layout.reports / "flights" / "retraining"
    before = set(executed.glob("*.ipynb"))
    with pytest.raises(Refused, match=f"rows cannot be weighted: {words}.*Move --since"):
        workspace.retrain("flights", mode="weighted", since=since)
    assert set(executed.glob("*.ipynb")) == before


def test_by_default_the_window_is_the_last_four_weeks_of_the_log(workspace: Workspace) -> None:
    result = workspace.retrain("flights", dry_run=True)
    assert (result.since, result.until) == ("2013-03-20T15:00:01Z", "2013-04-17T15:00:01Z")


def test_a_notebook_that_fails_moves_no_alias_and_its_page_stays(site: Site, workspace: Workspace) -> None:
    own = own_notebook(site, "1 / 0")
    before = aliases(workspace)
    with pytest.raises(notebooks.NotebookFailed, match="ZeroDivisionError") as caught:
        own.retrain("flights")
    assert caught.value.notebook.is_file()
    assert aliases(workspace) == before


def test_a_notebook_that_registers_nothing_or_twice_is_refused(site: Site, workspace: Workspace) -> None:
    before = aliases(workspace)
    with pytest.raises(ExecutionFailed, match=r"own.ipynb registered no version of flights"):
        own_notebook(site, "print('nothing')").retrain("flights")
    twice = (
        "from mlprod_nb import Workspace\nt = Workspace.open('.').training('flights')\n"
        "for _ in range(2): Workspace.open('.').register('flights', model=t.fit(), data=t.data, target=t.target)"
    )
    with pytest.raises(ExecutionFailed, match="it must register one"):
        own_notebook(site, twice).retrain("flights")
    assert aliases(workspace) == before


def test_a_notebook_that_takes_no_window_is_named(site: Site, workspace: Workspace) -> None:
    own = own_notebook(site, "1")
    write(own.root / "own.ipynb", code('since: str = ""', "parameters"), code("1"))
    with pytest.raises(NotFound, match=r"no parameter in own.ipynb 'mode'.*retrain.ipynb"):
        own.retrain("flights")


def test_an_endpoint_without_answers_has_nothing_to_train_on(workspace: Workspace) -> None:
    workspace.deploy("flights@champion", endpoint="fresh")
    with pytest.raises(Refused, match="has answered nothing yet"):
        workspace.retrain("fresh")


def test_what_a_job_retrained_is_told_once_until_it_serves_or_another_comes(workspace: Workspace) -> None:
    assert workspace.alerts_list("flights").alerts == (), "who retrains by hand is told by the result"
    job = workspace.schedule_add("0 3 1 * *", "retrain flights --mode full").job
    workspace.schedule_run(job)
    [first] = workspace.alerts_list("flights").alerts
    version = f"flights/{aliases(workspace)['challenger']}"
    assert first.sentence == (
        f"{version} was retrained on the log of 'flights' and waits as @challenger; flights/1 still serves."
    )
    assert (first.status, first.next) == ("warn", f"%mlprod release {version}")
    workspace.schedule_run(job)
    [second] = workspace.alerts_list("flights").alerts
    newer = f"flights/{aliases(workspace)['challenger']}"
    assert (second.alert, second.sentence.split()[0]) == (first.alert + 1, newer)
    workspace.route("flights", "champion=100", "challenger=shadow", reason="it is looked at")
    assert workspace.alerts_list("flights").alerts == ()
    assert [row.state for row in workspace.alerts_list("flights", every=True).alerts] == ["recovered", "recovered"]


@pytest.mark.parametrize("trained", [0, 1000])
def test_weights_follow_the_true_density_ratio(trained: int) -> None:
    random = np.random.default_rng(5)
    then = pd.DataFrame({"x": random.normal(0, 1, 4000), "c": random.choice(["a", "b"], 4000, p=[0.5, 0.5])})
    now = pd.DataFrame({"x": random.normal(0.7, 1, 4000), "c": random.choice(["a", "b"], 4000, p=[0.8, 0.2])})
    rows = pd.concat([then, now[:trained]])
    weights = relative(then, now, trained)
    plain = np.exp(0.7 * rows["x"] - 0.7**2 / 2) * np.where(rows["c"] == "a", 1.6, 0.4)
    share = trained / len(rows)
    true = plain / (share * plain + 1 - share)
    assert weights.mean() == pytest.approx(1.0)
    assert np.corrcoef(np.log(np.maximum(weights, 1e-3)), np.log(true))[0, 1] > 0.9
    assert np.average(rows["x"], weights=weights) == pytest.approx(0.7, abs=0.1)
    assert np.average(rows["c"] == "a", weights=weights) == pytest.approx(0.8, abs=0.04)


def test_equal_tables_have_nearly_equal_weights_and_missing_values_pass() -> None:
    random = np.random.default_rng(6)
    rows = pd.DataFrame({"x": random.normal(0, 1, 4000), "c": [["a", None][i] for i in random.integers(0, 2, 4000)]})
    rows.loc[::7, "x"] = np.nan
    weights = relative(rows[:2000], rows[2000:].reset_index(drop=True), 0)
    assert effective_rows(weights) > 0.9 * 2000


def test_too_few_rows_on_either_side_cannot_be_weighted() -> None:
    rows = pd.DataFrame({"x": np.arange(100.0)})
    with pytest.raises(ValueError, match="49 rows before the window and 100 in it"):
        relative(rows[:49], rows, 100)


def test_effective_rows_are_exact_for_known_weights() -> None:
    assert effective_rows(np.array([1.0, 1.0, 1.0, 1.0])) == 4.0
    assert effective_rows(np.array([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_rows(np.zeros(3)) == 0.0


def test_the_shipped_notebook_takes_what_retraining_offers() -> None:
    declared = notebooks.declared(notebooks.read(notebooks.find("retrain", root=Path("/nowhere"))))
    assert list(declared) == ["workspace", "endpoint", "since", "until", "mode", "note"]
