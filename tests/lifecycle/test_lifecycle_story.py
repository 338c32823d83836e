"""The main job on small data: ask, learn what happened, watch, compare, look back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import InvalidInput, MlprodError, NotFound, Refused, UsageError
from mlprod_nb.lifecycle.traffic import PredictResult
from mlprod_nb.monitoring import MonitorResult
from mlprod_nb.monitoring.drill_result import DrillResult
from tests.lifecycle.conftest import Site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

APRIL = datetime(2013, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def answers(site: Site) -> PredictResult:
    """The challenger and the champion have answered all rows, and what happened is known."""
    site.workspace.deploy("flights@champion")
    site.workspace.route("flights", "champion=50", "challenger=50", unit="tailnum")
    site.workspace.abtest_start("flights", design="primary: brier")
    when = [APRIL + timedelta(hours=i) for i in range(len(site.data))]
    units = [f"N{i % 97}" for i in range(len(site.data))]
    answered = site.workspace.predict("flights", data=site.data, units=units, event_time=when)
    site.workspace.feedback("flights", ids=answered.prediction_ids, values=site.target)
    return answered


def test_every_answer_is_in_the_log_once(site: Site, answers: PredictResult) -> None:
    rows = site.workspace.logs("flights", limit=1000).rows
    assert sorted(row["prediction_id"] for row in rows) == sorted(answers.prediction_ids)


def test_the_log_answers_conditions_on_inputs_and_variants(site: Site, answers: PredictResult) -> None:
    rows = site.workspace.logs("flights", where="hour < 10 and variant = 'challenger'", limit=1000).rows
    expected = [v == "challenger" and h < 10 for v, h in zip(answers.variant, site.data["hour"], strict=True)]
    assert len(rows) == sum(expected)


def test_the_log_is_a_frame_with_the_inputs_as_columns(site: Site, answers: PredictResult) -> None:
    rows = site.workspace.log("flights", where="hour >= 10")
    expected = site.data[site.data["hour"] >= 10]
    frame = rows.to_frame()
    assert len(rows) == len(frame) == len(expected)
    assert frame["hour"].tolist()[::-1] == expected["hour"].tolist()
    assert frame["label_number"].notna().all()
    with pytest.raises(NotFound, match="Did you mean 'flights'"):
        site.workspace.log("flight")


def test_one_row_is_told_in_the_singular(site: Site, answers: PredictResult) -> None:
    first = {name: getattr(answers, name)[:1] for name in PredictResult.__dataclass_fields__ if name != "endpoint"}
    one = replace(answers, **first)
    assert one.headline() == f"1 prediction from 'flights' ({answers.variant[0]} 1)."
    assert site.workspace.logs("flights", limit=1).headline() == "1 prediction of 'flights'."


def test_predictions_are_the_models_own(site: Site, answers: PredictResult) -> None:
    champion = np.array(answers.variant) == "champion"
    own = site.model.predict_proba(site.data)[:, 1]
    assert np.allclose(np.array(answers.scores)[champion], own[champion], atol=1e-5)


def test_the_monitor_finds_the_reference_unchanged(site: Site, answers: PredictResult) -> None:
    result = site.workspace.monitor("flights", since="2013-04-01", until="2013-05-01")
    assert isinstance(result, MonitorResult)
    assert result.verdict.status == "ok"
    assert not [column.column for column in result.columns if column.drifted]


def test_a_drill_tells_what_would_find_a_drift(site: Site, answers: PredictResult) -> None:
    result = site.workspace.monitor("flights", since="2013-04-01", until="2013-05-01", drill="distance+2sd")
    assert isinstance(result, DrillResult)
    assert "distance+2sd would be found in the first look" in result.headline()
    with pytest.raises(NotFound, match="Did you mean 'distance'"):
        site.workspace.monitor("flights", drill="distanec+2sd")


def test_an_ab_test_between_near_twins_keeps_going(site: Site, answers: PredictResult) -> None:
    result = site.workspace.abtest_result("flights")
    assert result.decision == "keep going"
    assert result.sample_ratio.ok


def test_who_served_names_the_version_and_the_feedback(site: Site, answers: PredictResult) -> None:
    found = site.workspace.who_served(answers.prediction_ids[0])
    assert found.model_version == answers.model_version[0]
    assert found.feedback[0]["number"] == site.target.iloc[0]
    assert found.event_time == APRIL


def test_a_compaction_changes_nothing_of_what_is_seen(site: Site, answers: PredictResult) -> None:
    def seen() -> tuple[pd.DataFrame, str, str, str]:
        workspace = site.workspace
        monitored = workspace.monitor("flights", since="2013-04-01", until="2013-04-10").to_json()
        served = workspace.who_served(answers.prediction_ids[7]).to_json()
        logged = workspace.logs("flights", since="2013-04-02", where="variant = 'challenger'").to_json()
        return workspace.log("flights").to_frame(), monitored, served, logged

    before = seen()
    site.workspace.down(yes=True)  # which closes its segment
    done = site.workspace.compact()
    assert done.exit_code == 0
    assert done.rows == 2 * len(site.data)
    after = seen()
    pd.testing.assert_frame_equal(after[0], before[0])
    assert after[1:] == before[1:]
    assert site.workspace.verify().exit_code == 0
    site.workspace.up()


def test_everything_that_was_written_verifies(site: Site, answers: PredictResult) -> None:
    assert site.workspace.verify().exit_code == 0
    assert site.workspace.audit_verify().exit_code == 0


def test_status_shows_each_variant(site: Site, answers: PredictResult) -> None:
    status = site.workspace.status()
    assert {(row.variant, row.version) for row in status.endpoints if row.endpoint == "flights"} == {
        ("champion", "flights/1"),
        ("challenger", "flights/2"),
    }
    assert status.gateway.running


def test_another_process_sees_the_same_workspace(site: Site, answers: PredictResult) -> None:
    again = Workspace.open(site.workspace.root)
    assert again.status().endpoints == site.workspace.status().endpoints
    assert again.up().already_running


def test_rewards_and_interactions_are_read_beside_the_labels(site: Site, answers: PredictResult) -> None:
    ids = answers.prediction_ids[:2]
    site.workspace.feedback("flights", ids=ids, values=[1.0, 2.5], kind="reward", name="minutes")
    site.workspace.feedback("flights", ids=ids[:1], values=[3.0], kind="reward", name="minutes")
    site.workspace.feedback("flights", ids=ids[:1], values=["clicked"], kind="interaction", name="banner")
    frame = site.workspace.log.feedback("flights").to_frame()
    assert set(frame[frame["kind"] == "label"]["prediction_id"]) == set(answers.prediction_ids)
    rewards = frame[(frame["kind"] == "reward") & (frame["name"] == "minutes")].set_index("prediction_id")["number"]
    assert rewards.to_dict() == {ids[0]: 3.0, ids[1]: 2.5}
    assert frame[frame["kind"] == "interaction"]["text"].tolist() == ["clicked"]
    with pytest.raises(NotFound, match="Did you mean 'flights'"):
        site.workspace.log.feedback("flight")


def test_a_second_test_on_one_endpoint_is_refused(site: Site, answers: PredictResult) -> None:
    with pytest.raises(Refused, match="runs on 'flights' already"):
        site.workspace.abtest_start("flights")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.drop(columns=["hour"]), "hour"),
        (lambda data: data.rename(columns={"hour": "huor"}), "hour"),
        (lambda data: data.assign(hour="noon"), "hour"),
        (lambda data: data.assign(distance=np.nan), "distance"),
        (lambda data: data.assign(distance=np.inf), "distance"),
    ],
)
def test_rows_that_do_not_fit_name_the_column(site: Site, answers: PredictResult, change: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        site.workspace.predict("flights", data=change(site.data[:3]))  # type: ignore[operator]


def test_a_window_before_its_own_beginning_is_refused(site: Site, answers: PredictResult) -> None:
    with pytest.raises(UsageError, match="is not before"):
        site.workspace.monitor("flights", since="2013-05-01", until="2013-04-01")


def test_an_unknown_endpoint_names_the_nearest(site: Site, answers: PredictResult) -> None:
    with pytest.raises(NotFound, match="'flights'"):
        site.workspace.monitor("fligths")


def test_the_monitor_runs_the_named_detectors_and_a_wrong_name_gets_the_nearest(
    site: Site, answers: PredictResult
) -> None:
    result = site.workspace.monitor("flights", since="2013-04-01", until="2013-05-01", detectors="ks, wasserstein")
    assert isinstance(result, MonitorResult)
    assert {column.detector for column in result.columns if column.tested} <= {"ks", "wasserstein"}
    assert result.method["tests"].startswith("ks, wasserstein;")
    with pytest.raises(NotFound, match="'wasserstein'"):
        site.workspace.monitor("flights", detectors="ks,waserstein")


def test_a_model_that_cannot_be_registered_leaves_everything_as_it_was(site: Site) -> None:
    before, runs = site.workspace.models(), count_runs(site)
    with pytest.raises(UsageError, match="predict"):
        site.workspace.register("flights", model=object(), data=site.data)
    with pytest.raises(MlprodError, match="hour"):
        site.workspace.register("flights", model=site.model, data=site.data.drop(columns=["hour"]))
    with pytest.raises(NotFound, match=r"x\.csv"):
        site.workspace.register("flights", model=site.model, data="x.csv")
    assert site.workspace.models() == before
    assert count_runs(site) == runs


def count_runs(site: Site) -> int:
    client = site.workspace.context.registry.client
    return len(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def test_data_may_come_from_a_file_and_the_target_from_a_column(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "flights.parquet"
    site.data.assign(late=site.target).to_parquet(file)
    result = site.workspace.register("from-a-file", model=site.model, data=str(file), target="late")
    assert result.version == "from-a-file/1"
    assert result.metrics


def test_data_of_no_known_kind_is_refused(site: Site) -> None:
    with pytest.raises(UsageError, match="is a dict"):
        site.workspace.register("flights", model=site.model, data={}, target=None)


def test_a_target_of_another_length_is_refused(site: Site) -> None:
    with pytest.raises(UsageError, match="400"):
        site.workspace.register("flights", model=site.model, data=site.data, target=pd.Series([1, 0]))


def test_a_token_is_written_to_a_private_file_and_never_shown(site: Site) -> None:
    result = site.workspace.access_grant("booking", role="caller", expires="90d")
    secret = Path(result.file).read_text(encoding="utf-8").strip()
    assert Path(result.file).stat().st_mode & 0o077 == 0
    assert secret not in str(result) + result._repr_html_() + result.to_json()
    assert site.workspace.access_revoke("booking").revoked == 1
    assert not Path(result.file).exists()


def test_an_unknown_role_names_the_nearest(site: Site) -> None:
    with pytest.raises(NotFound, match="'caller'"):
        site.workspace.access_grant("booking", role="callr")


def test_what_each_column_did_to_a_score_is_told_on_demand(site: Site, answers: PredictResult) -> None:
    explained = site.workspace.predict("flights", data=site.data[:7], explain=True)
    assert [set(row) for row in explained.contributions] == [{"distance", "hour"}] * 7
    assert "what each column did to the score" in str(explained).lower()
    frame = explained.to_frame()
    assert frame["contribution_hour"].tolist() == [row["hour"] for row in explained.contributions]
    assert answers.contributions == ()
    assert "contribution" not in " ".join(answers.to_frame().columns)
