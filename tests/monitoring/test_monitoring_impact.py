from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.monitoring import label_delay, score_shift, service
from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.label_delay import Arrivals, describe, stratified
from mlprod_nb.monitoring.performance import Labelled
from mlprod_nb.monitoring.profile import Profile
from mlprod_nb.monitoring.rows import ColumnDrift
from mlprod_nb.monitoring.traffic import Traffic
from tests.monitoring import samples

HOUR, DAY = 3_600, 86_400


def drifted(name: str) -> ColumnDrift:
    return ColumnDrift(name, "number", "ks", 0.1, 0.1, 0.0, 0.0, 0.1, True, 0.1, "")


@pytest.fixture(scope="module")
def reference() -> tuple[Profile, samples.Columns]:
    return samples.reference_profile(np.random.default_rng(0), 6000)


def score(columns: dict[str, list[Any]]) -> Any:
    return samples.score_of({name: np.array(values, dtype=object if name == "group" else float) for name, values in
                             columns.items() if name in ("group", "amount")})  # fmt: skip


def measured(reference: tuple[Profile, samples.Columns], window: samples.Columns, *names: str) -> Any:
    profile, columns = reference
    counted = count(profile, {**window, "__score__": samples.score_of(window)})
    return score_shift.measure(profile, counted, [drifted(name) for name in names], columns, score)


def test_the_column_that_moves_the_score_explains_its_shift_and_the_idle_one_does_not(reference: Any) -> None:
    window = samples.traffic(np.random.default_rng(1), 4000)
    window["amount"] = window["amount"] + 0.5
    window["skewed"] = window["skewed"] * 3
    found = measured(reference, window, "skewed", "amount")
    assert [row.column for row in found.rows] == ["amount", "skewed"]
    assert found.rows[0].explains == pytest.approx(1.0, abs=0.15)
    truth = samples.score_of(window).mean() - samples.score_of(reference[1]).mean()
    assert found.rows[0].mean_shift == pytest.approx(truth, abs=0.03)
    assert found.rows[0].moved > 0.05
    assert found.rows[1].changed == 0.0
    assert "2,000 reference rows" in found.statement


def test_a_category_that_grows_moves_the_score_as_it_does_in_truth(reference: Any) -> None:
    random = np.random.default_rng(2)
    window = samples.traffic(random, 4000)
    window["group"] = random.choice(np.array(["a", "b", "c"], dtype=object), 4000, p=[0.3, 0.2, 0.5])
    found = measured(reference, window, "group")
    truth = samples.score_of(window).mean() - samples.score_of(reference[1]).mean()
    assert found.rows[0].mean_shift == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize("name", ["amount", "skewed", "spiked", "small", "gaps"])
def test_numbers_are_redistributed_as_in_the_window(reference: Any, name: str) -> None:
    profile, columns = reference
    window = samples.traffic(np.random.default_rng(3), 3000)
    more = np.random.default_rng(4).random(3000)
    window[name] = window[name] * 2 + (more < 0.3 if name == "small" else more)
    counted = count(profile, window)
    column = profile.column(name)
    assert column is not None
    values = [None if np.isnan(v) else v for v in columns[name][:2000].tolist()]
    made = score_shift.as_in_window(column, counted.columns[name], values)
    assert made is not None
    there = np.array([v for v in made if v is not None], dtype=float)
    wanted = window[name][~np.isnan(window[name])]
    # A tail beyond the reference's range is one bin, inside which values are taken as even.
    assert stats.ks_2samp(there, wanted).statistic < 0.06
    assert sum(v is None for v in made) == pytest.approx(2000 * np.isnan(window[name]).mean(), abs=1)
    if name == "small":
        assert all(isinstance(value, int) for value in made)


def test_values_that_go_missing_go_missing_in_the_sample(reference: Any) -> None:
    profile, columns = reference
    window = samples.traffic(np.random.default_rng(5), 2000)
    window["amount"][:500] = np.nan
    column = profile.column("amount")
    assert column is not None
    made = score_shift.as_in_window(column, count(profile, window).columns["amount"], columns["amount"].tolist())
    assert made is not None
    assert sum(value is None for value in made) == pytest.approx(6000 / 4, abs=1)
    window["amount"][:] = np.nan
    gone = score_shift.as_in_window(column, count(profile, window).columns["amount"], columns["amount"].tolist())
    assert gone == [None] * 6000


def test_new_categories_and_truth_values_keep_their_types(reference: Any) -> None:
    profile, columns = reference
    window = samples.traffic(np.random.default_rng(6), 2000)
    window["group"][:1000] = "new"
    window["flag"] = np.ones(2000, dtype=bool)
    counted = count(profile, window)
    group, flag = profile.column("group"), profile.column("flag")
    assert group is not None
    assert flag is not None
    made = score_shift.as_in_window(group, counted.columns["group"], columns["group"].tolist())
    assert made is not None
    assert made.count("new") == pytest.approx(3000, abs=2)
    truths = score_shift.as_in_window(flag, counted.columns["flag"], columns["flag"].tolist())
    assert truths == [True] * 6000


def test_a_model_that_fails_and_a_sample_that_lacks_columns_are_statements(reference: Any) -> None:
    profile, columns = reference
    counted = count(profile, samples.traffic(np.random.default_rng(7), 500))

    def fails(_: dict[str, list[Any]]) -> Any:
        raise ExecutionFailed("the model fails")

    rows = [drifted("amount")]
    assert score_shift.measure(profile, counted, rows, columns, fails).statement == "not measured: the model fails"
    lacking = {name: values for name, values in columns.items() if name != "tail"}
    assert "lacks rows or columns" in score_shift.measure(profile, counted, rows, lacking, score).statement


# -- labels and their delay -----------------------------------------------------------------------------------------


def arrivals(random: np.random.Generator, rows: int, *, push: float = 0.0, days: int = 30, late: int = 0) -> Arrivals:
    """Labels come for half of the rows, for high scores more often by ``push``, and not in the last ``late`` days."""
    seconds = np.sort(random.integers(0, days * DAY, rows))
    scores = np.clip(random.random(rows) * 0.5 + 0.5 * seconds / (days * DAY), 0, 1)
    known = (random.random(rows) < 0.5 + push * (scores - scores.mean())) & (seconds < (days - late) * DAY)
    logged = seconds.astype(float)
    at = np.where(known, logged + random.exponential(2 * DAY, rows), np.nan)
    return Arrivals(known, scores, seconds, logged, at)


def unlabelled(rows: int) -> Arrivals:
    return Arrivals(np.zeros(rows, dtype=bool), np.zeros(rows), np.zeros(rows, dtype=np.int64), None, None)


def test_the_delay_of_replayed_traffic_is_from_when_it_was_received() -> None:
    random = np.random.default_rng(16)
    given = arrivals(random, 5000)
    received = given.seconds + 4_880.0 * DAY + random.exponential(HOUR, 5000)
    replayed = replace(
        given, logged_at=received, labelled_at=np.where(given.known, received + 3 * HOUR * random.random(5000), np.nan)
    )
    found = describe(replayed, 0.001)
    assert found is not None
    assert found.delay_median_s == pytest.approx(1.5 * HOUR, rel=0.1)
    assert "half came within 1.5 h and 95 % within 2." in found.statement


def test_where_every_prediction_has_a_label_the_table_is_one_line() -> None:
    given = arrivals(np.random.default_rng(17), 2000)
    every = describe(replace(given, known=np.ones(2000, dtype=bool)), 0.001)
    assert [row[1:] for row in label_delay.section(every).rows] == [(2000, 2000, "100.0 %")]
    assert len(label_delay.section(describe(given, 0.001)).rows) == 10
    assert label_delay.section(None).rows == ()


def test_recent_rows_without_labels_are_said_so_and_not_counted_as_wrong() -> None:
    found = describe(arrivals(np.random.default_rng(8), 5000, late=6), 0.001)
    assert found is not None
    assert sum(stretch.rows for stretch in found.stretches) == 5000
    assert found.stretches[-1].labelled == 0
    assert "since 1970-01-25 hardly any label has come" in found.statement
    assert "not counted as wrong" in found.statement
    assert found.delay_median_s == pytest.approx(2 * DAY * np.log(2), rel=0.1)
    assert not found.selective


def test_labels_that_come_for_high_scores_are_called_selective() -> None:
    found = describe(arrivals(np.random.default_rng(9), 5000, push=1.5), 0.001)
    assert found is not None
    assert found.selective
    assert "labelled rows have higher scores" in found.statement


def test_scores_that_move_while_labels_are_late_are_not_called_selective_more_often_than_stated() -> None:
    random = np.random.default_rng(10)
    runs = 300
    flagged = 0
    for _ in range(runs):
        given = arrivals(random, 600, late=3)
        flagged += (stratified(given.scores, given.known, given.seconds // (6 * DAY))[1] or 1.0) <= 0.05
    # Within a stretch of six days the score still moves a little, and late labels are all at one end of the last.
    assert flagged <= stats.binom.ppf(1 - 1e-3, runs, 0.08)


def test_one_stratum_is_the_wilcoxon_test_of_scipy() -> None:
    random = np.random.default_rng(11)
    scores, chosen = np.round(random.random(300), 1), random.random(300) < 0.4
    other = stats.mannwhitneyu(scores[chosen], scores[~chosen], use_continuity=False, method="asymptotic")
    favoured, p_value = stratified(scores, chosen, np.zeros(300, dtype=np.int64))
    assert p_value == pytest.approx(other.pvalue, rel=1e-9)
    assert favoured == pytest.approx(other.statistic / (chosen.sum() * (~chosen).sum()), rel=1e-12)


def test_labels_that_were_loaded_together_say_nothing_of_how_long_they_take() -> None:
    given = arrivals(np.random.default_rng(12), 500)
    together = np.where(given.known, 5e9, np.nan)
    found = describe(replace(given, labelled_at=together), 0.001)
    assert found is not None
    assert found.delay_median_s is None
    assert describe(unlabelled(0), 0.1) is None
    nothing = describe(unlabelled(5), 0.1)
    assert nothing is not None
    assert "nothing is known" in nothing.statement


# -- response times -------------------------------------------------------------------------------------------------


def answers(random: np.random.Generator, rows: int, slow: float, first_day: int) -> Traffic:
    seconds = np.sort(random.integers(first_day * DAY, (first_day + 12) * DAY, rows))
    hours = np.exp(0.2 * random.normal(size=12))[(seconds - first_day * DAY) // DAY]
    labelled = Labelled(np.zeros(rows), np.zeros(rows), np.zeros(rows))
    latency = slow * hours * random.gamma(4, 2, rows)
    return Traffic(labelled, np.zeros(rows, dtype=bool), {}, seconds, latency_ms=latency)


def test_answers_that_take_twice_as_long_are_called_slower() -> None:
    random = np.random.default_rng(13)
    found = service.compare(answers(random, 3000, 2.0, 12), answers(random, 3000, 1.0, 0), 1e-3)
    assert found.slower
    assert "times as slow" in found.statement
    assert sum(row.in_window for row in found.rows) == 12


def test_answers_as_fast_as_before_are_called_slower_no_more_often_than_stated() -> None:
    random = np.random.default_rng(14)
    runs = 200
    flagged = sum(
        service.compare(answers(random, 600, 1.0, 12), answers(random, 600, 1.0, 0), 0.05).slower for _ in range(runs)
    )
    assert flagged <= stats.binom.ppf(1 - 1e-3, runs, 0.05)


def test_without_times_before_nothing_is_compared_and_said_so() -> None:
    random = np.random.default_rng(15)
    found = service.compare(answers(random, 600, 1.0, 0), None, 0.05)
    assert found.p_value is None
    assert "nothing is known of the time before" in found.statement
    silent = Traffic(Labelled(np.zeros(5), np.zeros(5), np.zeros(5)), np.zeros(5, dtype=bool), {})
    assert service.compare(silent, None, 0.05).rows == ()
