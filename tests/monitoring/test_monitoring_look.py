from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from mlprod_nb.errors import MissingExtra
from mlprod_nb.monitoring import MonitorInput, Profile, build, run
from mlprod_nb.monitoring.detectors import DEFAULT, alibi
from mlprod_nb.results.drawings import unpacked
from tests.monitoring import samples
from tests.monitoring.looks import findings_of, look, row_of, traffic


def test_unchanged_traffic_is_all_well(reference: Profile) -> None:
    result = look(reference, traffic(1))
    assert result.verdict.status == "ok"
    assert result.exit_code == 0
    assert result.labelled_share == 1.0
    assert not any(row.drifted for row in (*result.columns, *result.outcomes))
    assert "holds" in result.verdict.sentence


def test_a_year_of_looks_at_unchanged_traffic_keeps_to_the_budget() -> None:
    random = np.random.default_rng(101)
    profile, _ = samples.reference_profile(random, 3000)
    looks, alpha, flagged = 80, 0.1, 0
    for seed in range(looks):
        result = look(
            profile, samples.traffic(random, 500), seed=seed, looks_per_year=1, yearly_alpha=alpha, detectors=DEFAULT
        )
        flagged += result.verdict.status != "ok"
    assert flagged <= stats.binom.ppf(0.999, looks, alpha)


def test_drift_that_harms_nothing_is_a_warning_that_names_the_column(reference: Profile) -> None:
    columns = traffic(2)
    columns["skewed"] = columns["skewed"] * 3
    result = look(reference, columns)
    assert result.verdict.status == "warn"
    assert "skewed" in result.verdict.sentence
    assert "accuracy holds" in result.verdict.sentence
    assert result.verdict.action == "%mlprod report flights drift"
    assert result.exit_code == 0
    assert [row.column for row in result.columns if row.drifted] == ["skewed"]


def test_a_look_inside_a_report_does_not_send_its_reader_to_a_report(reference: Profile) -> None:
    columns = traffic(2)
    columns["skewed"] = columns["skewed"] * 3
    assert look(reference, columns, in_report=True).verdict.action == ""


def test_a_model_that_lost_its_touch_is_an_alarm_that_names_the_metric(reference: Profile) -> None:
    columns = traffic(3)
    wrong = samples.labels_of(np.random.default_rng(0), 1 - samples.score_of(columns))
    result = look(reference, columns, labels=wrong)
    assert result.verdict.status == "alarm"
    assert result.exit_code == 1
    assert result.verdict.sentence.startswith("accuracy fell from 0.")
    assert result.verdict.action == "%mlprod retrain flights"
    assert all(row.worse for row in result.performance if row.metric in ("accuracy", "brier", "roc_auc"))


def test_what_the_model_leans_on_comes_first(reference: Profile) -> None:
    columns = traffic(4)
    columns["skewed"] = columns["skewed"] * 20
    columns["amount"] = columns["amount"] + 0.6
    result = look(reference, columns)
    assert result.columns[0].column == "amount"
    assert row_of(result, "skewed").effect > row_of(result, "amount").effect
    assert row_of(result, "skewed").impact == 0.0


def test_without_labels_a_score_that_moved_far_is_an_alarm(reference: Profile) -> None:
    columns = traffic(5)
    columns["amount"] = columns["amount"] + 1
    result = look(reference, columns, labels=None)
    assert result.verdict.status == "alarm"
    assert "too few labels" in result.verdict.sentence
    assert result.performance == ()
    assert "was not tested" in findings_of(result, "labels")[""]


def test_values_that_go_missing_are_found(reference: Profile) -> None:
    columns = traffic(6, 1000)
    columns["amount"] = np.where(np.random.default_rng(6).random(1000) < 0.04, np.nan, columns["amount"])
    result = look(reference, columns, labels=None)
    row = row_of(result, "amount")
    assert row.drifted
    assert row.detector == "missing"
    assert "missing 0.0 % →" in row.statement


def test_a_wider_spread_is_found(reference: Profile) -> None:
    columns = traffic(7, 3000)
    columns["spiked"] = np.where(columns["spiked"] > 0, 1 + 2.5 * (columns["spiked"] - 1), columns["spiked"])
    assert row_of(look(reference, columns), "spiked").drifted


def test_a_million_rows_do_not_make_a_speck_significant() -> None:
    random = np.random.default_rng(8)
    profile = build(
        {"x": random.normal(size=200_000)},
        samples.signature(x="double"),
        scores=np.zeros(200_000),
        labels=None,
        task="regression",
    )
    columns = {"x": random.normal(0.03, size=1_000_000)}
    table = pa.table({"score": np.zeros(1_000_000), "inputs": samples.struct(columns)})
    result = run(MonitorInput("speck", profile, table))
    assert row_of(result, "x").p_value_corrected < 1e-6
    assert not row_of(result, "x").drifted
    assert result.verdict.status == "ok"


# -- bad input: a clear statement, never a traceback, never a silent pass -------------------------------------------


def test_only_the_versions_own_rows_are_judged_and_the_others_are_shown(reference: Profile) -> None:
    first, second = traffic(20, 1500), traffic(21, 1500)
    good = samples.window(
        first, samples.score_of(first), samples.labels_of(np.random.default_rng(0), samples.score_of(first))
    )
    other_labels = samples.labels_of(np.random.default_rng(1), 1 - samples.score_of(second))
    bad = samples.window(second, samples.score_of(second), other_labels, version=2, variant="challenger")
    result = run(MonitorInput("flights", reference, pa.concat_tables([good, bad]), model_version="flights/1"))
    assert result.verdict.status == "ok"
    scopes = {row.scope for row in result.performance}
    assert scopes == {"version flights/1", "version flights/2"}  # each variant is one version's rows
    assert all(row.rows == 1500 for row in result.performance)
    assert all(row.reference is None for row in result.performance if row.scope != "version flights/1")


def test_variants_that_changed_their_version_within_the_window_are_shown_beside_the_versions(
    reference: Profile,
) -> None:
    parts = []
    for seed, (version, variant) in enumerate([(1, "champion"), (2, "challenger"), (2, "champion")]):
        columns = traffic(30 + seed, 800)
        labels = samples.labels_of(np.random.default_rng(seed), samples.score_of(columns))
        parts.append(samples.window(columns, samples.score_of(columns), labels, version=version, variant=variant))
    result = run(MonitorInput("flights", reference, pa.concat_tables(parts), model_version="flights/1"))
    rows = {row.scope: row.rows for row in result.performance}
    assert rows == {
        "version flights/1": 800,
        "version flights/2": 1600,
        "variant champion": 1600,
        "variant challenger": 800,
    }


def test_a_version_without_labels_beside_one_with_labels_is_said_to_have_none_itself(reference: Profile) -> None:
    first, second = traffic(20, 1500), traffic(21, 1200)
    scores = samples.score_of(first)
    before = samples.window(first, scores, samples.labels_of(np.random.default_rng(0), scores), version=1)
    after = samples.window(second, samples.score_of(second), None, version=2)
    result = run(MonitorInput("flights", reference, pa.concat_tables([before, after]), model_version="flights/2"))
    assert findings_of(result, "labels")[""].startswith("no prediction of flights/2 has a label")
    facts = dict(result.sections()[0].rows)
    assert (facts["predictions"], facts["with a label"]) == (2700, "0.0 % of the 1,200 of flights/2")


def test_a_version_that_made_no_prediction_is_a_warning(reference: Profile) -> None:
    columns = traffic(22)
    table = samples.window(columns, samples.score_of(columns), None, version=7)
    result = run(MonitorInput("flights", reference, table, model_version="flights/1"))
    assert result.verdict.status == "warn"
    assert result.verdict.sentence.count("flights/1 made none") == 1


@pytest.mark.parametrize("gone", [False, True])
def test_a_verdict_on_another_versions_predictions_does_not_blame_the_labels(reference: Profile, gone: bool) -> None:
    columns = traffic(22)
    scores = samples.score_of(columns)
    amount = np.array([None] * len(scores), dtype=object) if gone else columns["amount"] + 2
    result = run(
        MonitorInput(
            "flights",
            reference,
            samples.window({**columns, "amount": amount}, scores, None, version=7),
            model_version="flights/1",
        )
    )
    assert result.verdict.status == ("alarm" if gone else "warn")
    assert result.verdict.sentence.count("flights/1 made none") == 1
    assert "too few labels" not in result.verdict.sentence


def test_a_regression_is_judged_by_its_errors() -> None:
    random = np.random.default_rng(23)
    x = random.normal(size=4000)
    profile = build(
        {"x": x},
        samples.signature(x="double"),
        scores=2 * x,
        labels=2 * x + random.normal(size=4000),
        task="regression",
    )
    after = random.normal(size=1000)
    calm = samples.window({"x": after}, 2 * after, 2 * after + random.normal(size=1000), regression=True)
    assert run(MonitorInput("cost", profile, calm)).verdict.status == "ok"
    texts = calm.set_column(calm.column_names.index("label"), "label", pa.array(["dear"] * 1000))
    texts = texts.set_column(texts.column_names.index("label_number"), "label_number", pa.nulls(1000, pa.float64()))
    wrong = run(MonitorInput("cost", profile, texts))
    assert wrong.verdict.status == "warn"
    assert "1,000 labels are no number, as 'dear', and left out" in wrong.verdict.sentence
    noisy = samples.window({"x": after}, 2 * after, 2 * after + random.normal(scale=2, size=1000), regression=True)
    result = run(MonitorInput("cost", profile, noisy))
    assert result.verdict.status == "alarm"
    assert result.verdict.sentence.startswith("mae rose from")
    assert {row.metric for row in result.performance} == {"mae", "rmse", "r2"}


# -- results --------------------------------------------------------------------------------------------------------


def test_a_result_renders_everywhere_and_escapes_what_it_shows(reference: Profile) -> None:
    columns = traffic(24)
    columns["group"] = np.where(columns["group"] == "b", "<script>alert(1)</script>", columns["group"])
    result = look(reference, columns, since=datetime(2013, 1, 1, tzinfo=UTC), until=datetime(2013, 2, 1, tzinfo=UTC))
    page = result._repr_html_()
    assert "<script>" not in page
    assert unpacked(page).count("<svg") == len(result.figures) >= 2
    assert len(page) < 60_000
    assert "2013-01-01 to 2013-02-01" in str(result)
    assert "figures" not in json.loads(result.to_json())
    assert len(result.to_frame()) == len(reference.columns)
    assert "✗ drifted" in result._repr_markdown_()


def test_the_same_window_gives_the_same_result(reference: Profile) -> None:
    columns = traffic(25)
    assert look(reference, columns).to_json() == look(reference, columns).to_json()
    order = np.random.default_rng(0).permutation(2000)
    table = samples.window(columns, samples.score_of(columns), None)
    first = run(MonitorInput("flights", reference, table))
    second = run(MonitorInput("flights", reference, table.take(order)))
    assert [row.p_value for row in first.columns] == [row.p_value for row in second.columns]
    assert first.verdict == second.verdict


def test_a_look_needs_no_pandas_and_importing_the_room_needs_no_scipy(tmp_path: Path, reference: Profile) -> None:
    (tmp_path / "profile.json").write_bytes(reference.to_json())
    columns = traffic(26, 300)
    pq.write_table(samples.window(columns, samples.score_of(columns), None), tmp_path / "window.parquet")
    code = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'pandas':\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from pathlib import Path; from mlprod_nb import monitoring\n"
        "assert not {'scipy', 'pyarrow', 'sklearn', 'mlflow', 'alibi_detect'} & set(sys.modules)\n"
        "import pyarrow.parquet as pq\n"
        "profile = monitoring.Profile.from_json(Path('profile.json').read_bytes())\n"
        "result = monitoring.run(monitoring.MonitorInput('e', profile, pq.read_table('window.parquet')))\n"
        "print(result.verdict.status); result.to_json(); result._repr_html_()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "ok", done.stderr


def test_the_absence_of_alibi_detect_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alibi_detect", None)
    assert not alibi.available()
    with pytest.raises(MissingExtra, match=r"mlprod_nb\[alibi\]"):
        alibi.compare({"x": "number"}, {}, {}, 0.05)


# -- real flights ---------------------------------------------------------------------------------------------------


def test_a_look_at_unchanged_traffic_reads_no_reference_sample(reference: Profile, tmp_path: Path) -> None:
    assert look(reference, traffic(27), reference=tmp_path / "nowhere.parquet").verdict.status == "ok"
