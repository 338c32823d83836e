"""What is there twice: columns that became equal, rows that repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from mlprod_nb.monitoring import MonitorInput, MonitorResult, Profile, build, counting, duplicates, run
from mlprod_nb.monitoring.examination import Request
from tests.monitoring import samples

Reference = tuple[Profile, dict[str, Any]]


@pytest.fixture(scope="module")
def reference() -> Reference:
    profile, columns = samples.reference_profile(np.random.default_rng(500), 5000)
    return profile, columns


def traffic(seed: int, rows: int = 2000) -> samples.Columns:
    return samples.traffic(np.random.default_rng(seed), rows)


def look(reference: Reference, columns: dict[str, Any], **more: Any) -> MonitorResult:
    table = samples.window(columns, samples.score_of(columns), None)
    profile, sample = reference
    return run(MonitorInput("flights", profile, table, sample, model_version="flights/1", **more))


def found(result: MonitorResult, check: str) -> dict[str, str]:
    return {finding.column: finding.statement for finding in result.quality if finding.check == check}


def test_columns_that_became_equal_are_found(reference: Reference) -> None:
    columns = traffic(1)
    columns["skewed"] = columns["amount"].copy()
    columns["tail"] = columns["group"].copy()
    told = found(look(reference, columns), "duplicated column")
    assert told == {
        "skewed": "equal to 'amount' in all rows looked at, in the reference not",
        "tail": "equal to 'group' in all rows looked at, in the reference not",
    }


def test_equal_columns_with_missing_values_are_found(reference: Reference) -> None:
    columns = traffic(2)
    columns["amount"] = columns["gaps"].copy()
    assert list(found(look(reference, columns), "duplicated column")) == ["gaps"]


def test_columns_of_equal_counts_and_other_rows_are_not_called_equal(reference: Reference) -> None:
    columns = traffic(3)
    columns["skewed"] = columns["amount"][::-1].copy()
    columns["tail"] = columns["group"][::-1].copy()
    assert found(look(reference, columns), "duplicated column") == {}


def test_columns_that_were_equal_before_are_no_news() -> None:
    random = np.random.default_rng(4)
    columns = samples.traffic(random, 3000)
    columns["skewed"] = columns["amount"]
    profile = build(columns, samples.TRAFFIC, scores=random.random(3000), labels=None, task="regression")
    window = traffic(5)
    window["skewed"] = window["amount"]
    assert found(look((profile, columns), window), "duplicated column") == {}


def test_no_rows_are_read_where_no_counts_are_equal(reference: Reference) -> None:
    profile, _ = reference

    def fails() -> dict[str, Any]:
        raise AssertionError("rows were read")

    assert list(duplicates.columns(profile, counting.count(profile, traffic(6)), fails)) == []
    assert list(duplicates.columns(profile, counting.count(profile, {}), fails)) == []


def test_constant_columns_are_not_called_duplicated(reference: Reference) -> None:
    columns = traffic(7)
    columns["amount"], columns["skewed"] = np.zeros(2000), np.zeros(2000)
    assert found(look(reference, columns), "duplicated column") == {}


def test_rows_that_were_sent_twice_are_found_where_rows_are_read(reference: Reference) -> None:
    columns = traffic(8)
    sent = {name: np.concatenate([values[:1900], values[:100]]) for name, values in columns.items()}
    told = look(reference, sent, request=Request(thorough=True))
    (finding,) = [one for one in told.quality if one.check == "duplicated rows"]
    assert finding.severity == "warn"
    assert finding.statement == "5 % of 2,000 rows repeat an earlier one, in the reference 0 %"
    assert found(look(reference, columns, request=Request(thorough=True)), "duplicated rows") == {}
    assert found(look(reference, sent), "duplicated rows") == {}


def test_rows_of_few_values_repeat_by_nature_and_are_only_mentioned(reference: Reference) -> None:
    profile, sample = reference
    few = ("small", "flag")
    window = {name: values for name, values in traffic(9).items() if name in few}
    before = {name: sample[name] for name in few}
    assert list(duplicates.rows(profile, window, before)) == []
    narrow = {"small": np.full(2000, 3), "flag": window["flag"]}
    wide = {"small": np.arange(5000) // 2, "flag": before["flag"]}
    assert [one.severity for one in duplicates.rows(profile, narrow, wide)] == ["info"]


def test_unchanged_rows_are_flagged_no_more_often_than_stated(reference: Reference) -> None:
    profile, _ = reference
    random, runs = np.random.default_rng(10), 200

    def some(rows: int) -> dict[str, Any]:
        return {"small": random.integers(0, 200, rows), "group": random.choice(list("abcdefghij"), rows)}

    flagged = sum(bool(list(duplicates.rows(profile, some(500), some(2000)))) for _ in range(runs))
    assert flagged <= stats.binom.ppf(0.999, runs, 1e-3)


def test_what_cannot_be_read_is_not_compared(reference: Reference) -> None:
    profile, sample = reference
    odd = {**traffic(11), "amount": pa.array(["x"] * 2000)}
    assert list(duplicates.rows(profile, odd, sample)) == []
    assert list(duplicates.rows(profile, {}, sample)) == []
