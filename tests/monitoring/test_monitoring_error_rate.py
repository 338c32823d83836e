from __future__ import annotations

import numpy as np
from scipy import stats

from mlprod_nb.monitoring import error_rate
from mlprod_nb.monitoring.error_rate import Side
from mlprod_nb.monitoring.performance import Labelled
from mlprod_nb.monitoring.standing import Standing
from mlprod_nb.monitoring.traffic import Traffic

DAY = 86_400


def answered(seconds: list[int] | np.ndarray[tuple[int], np.dtype[np.int64]]) -> Traffic:
    rows = len(seconds)
    labelled = Labelled(np.zeros(rows), np.zeros(rows), np.zeros(rows))
    return Traffic(labelled, np.zeros(rows, dtype=bool), {}, np.asarray(seconds, dtype=np.int64))


def side(random: np.random.Generator, first_day: int, rate: float) -> Side:
    """Twelve days of 200 answers each, and of each day's requests a rate of refusals that differs from day to day."""
    seconds = np.sort(random.integers(first_day * DAY, (first_day + 12) * DAY, 2400))
    refused = [
        (float((first_day + day) * DAY + 3600 + minute * 60), "overloaded", int(random.poisson(rate * 20 * wild)))
        for day, wild in enumerate(random.gamma(2, 0.5, 12))
        for minute in range(10)
    ]
    return Side(answered(seconds), [entry for entry in refused if entry[2]])


def test_a_rate_that_rises_is_told_stretch_by_stretch() -> None:
    random = np.random.default_rng(0)
    found = error_rate.compare(side(random, 12, 0.2), side(random, 0, 0.002), 1e-3)
    assert found.higher
    assert sum(row.in_window for row in found.rows) == 12
    assert all(row.share == row.refused / (row.refused + row.answered) for row in found.rows)
    assert found.statement.endswith("more than before")
    (told,) = Standing(errors=found).warnings()
    assert "of the requests were refused, " in told
    table = error_rate.section(found)
    assert table.title == "error rate"
    assert len(table.rows) == len(found.rows)


def test_a_rate_that_is_as_before_is_called_higher_no_more_often_than_stated() -> None:
    random = np.random.default_rng(1)
    runs = 150
    flagged = sum(error_rate.compare(side(random, 12, 0.1), side(random, 0, 0.1), 0.05).higher for _ in range(runs))
    assert flagged <= stats.binom.ppf(1 - 1e-3, runs, 0.05)


def test_a_burst_in_one_stretch_is_shown_and_not_judged() -> None:
    random = np.random.default_rng(2)
    calm, before = side(random, 12, 0.0), side(random, 0, 0.0)
    burst = Side(calm.traffic, [(13.5 * DAY, "invalid-input", 5000)])
    found = error_rate.compare(burst, before, 1e-3)
    assert not found.higher
    assert max(row.refused for row in found.rows) == 5000
    assert Standing(errors=found).warnings() == []


def test_where_nothing_was_refused_there_is_nothing_to_show() -> None:
    random = np.random.default_rng(3)
    found = error_rate.compare(side(random, 12, 0.0), side(random, 0, 0.0), 0.05)
    assert found.p_value == 1.0
    assert error_rate.section(found).rows == ()
    alone = error_rate.compare(side(random, 12, 0.0), None, 0.05)
    assert alone.p_value is None
    assert not Standing(errors=alone).judged
    assert error_rate.compare(Side(answered([]), []), None, 0.05).rows == ()


def test_an_endpoint_that_refuses_everything_has_a_rate() -> None:
    minutes = [(day * float(DAY), "log-full", 30) for day in range(12)]
    found = error_rate.compare(Side(answered([]), minutes), None, 0.05)
    assert [row.share for row in found.rows] == [1.0] * 12


def test_what_was_refused_is_told_with_its_reasons_beside_what_was_answered() -> None:
    now = Side(answered(np.arange(3960)), [(0.0, "invalid-input", 20), (60.0, "invalid-input", 10), (9.0, "busy", 10)])
    told = error_rate.compare(now, Side(answered(np.arange(500) - 1000), []), 0.05).statement
    refused = "40 requests refused (invalid-input 30, busy 10)"
    assert told.startswith(f"{refused} beside 3,960 answered predictions: 1.0 %, 0.0 % before; ")
    nothing = error_rate.compare(Side(answered([]), []), None, 0.05).statement
    assert nothing == "0 requests refused beside 0 answered predictions: 0.0 %"
