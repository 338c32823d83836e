"""Bad input to each built-in detector, at the level of a look: a statement, never a traceback, never a silent pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlprod_nb.monitoring import MonitorInput, MonitorResult, Profile, run
from mlprod_nb.monitoring.detectors import BUILT_IN
from tests.monitoring import samples

ROWS = 1500
Change = Callable[[dict[str, Any]], dict[str, Any]]


def with_infinite(columns: dict[str, Any]) -> dict[str, Any]:
    columns["amount"][::7], columns["amount"][::11] = np.inf, -np.inf
    return columns


def with_mixed_types(columns: dict[str, Any]) -> dict[str, Any]:
    """Texts among numbers where numbers were; numbers and truth values, as a client writes them, where texts were."""
    amounts = [str(value) if n % 2 else "none" for n, value in enumerate(columns["amount"])]
    groups = [("a", "1", "2.5", "true")[n % 4] for n in range(ROWS)]
    return {**columns, "amount": np.array(amounts, dtype=object), "group": np.array(groups, dtype=object)}


def with_many_categories(columns: dict[str, Any]) -> dict[str, Any]:
    many = np.array([f"group {n % 10_000}" for n in range(10_000)], dtype=object)
    return {name: np.resize(values, 10_000) for name, values in columns.items()} | {"group": many}


def without(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in columns.items() if name not in ("amount", "group")}


def with_new(columns: dict[str, Any]) -> dict[str, Any]:
    return {**columns, "fresh": np.arange(ROWS)}


def nothing(columns: dict[str, Any]) -> dict[str, Any]:
    empty = np.array([None] * ROWS, dtype=object)
    return {**columns, "amount": empty, "group": empty}


def constant(columns: dict[str, Any]) -> dict[str, Any]:
    return {**columns, "amount": np.zeros(ROWS), "group": np.array(["a"] * ROWS, dtype=object)}


#: Each with the columns that a finding must name, and how the check is called.
CASES: dict[str, tuple[Change, set[tuple[str, str]]]] = {
    "infinite values": (with_infinite, {("amount", "infinite")}),
    "mixed types": (with_mixed_types, {("amount", "type"), ("group", "unseen categories")}),
    "10,000 categories": (with_many_categories, {("group", "unseen categories")}),
    "columns gone": (without, {("amount", "column gone"), ("group", "column gone")}),
    "a new column": (with_new, {("fresh", "new column")}),
    "all missing": (nothing, {("amount", "missing"), ("group", "missing")}),
    "constant": (constant, {("amount", "constant"), ("group", "constant")}),
}


@pytest.fixture(scope="module")
def profile() -> Profile:
    return samples.reference_profile(np.random.default_rng(400), 4000)[0]


def look(profile: Profile, columns: dict[str, Any], detector: str) -> MonitorResult:
    scores = np.random.default_rng(401).random(len(next(iter(columns.values()))))
    table = samples.window(columns, scores, None)
    return run(MonitorInput("flights", profile, table, model_version="flights/1", detectors=(detector,)))


@pytest.mark.parametrize("detector", BUILT_IN)
@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_a_statement_whatever_the_detector(profile: Profile, case: str, detector: str) -> None:
    change, named = CASES[case]
    found = look(profile, change(samples.traffic(np.random.default_rng(402), ROWS)), detector)
    assert named <= {(finding.column, finding.check) for finding in found.quality}
    rows = {row.column: row for row in (*found.columns, *found.outcomes)}
    assert set(rows) >= set(samples.TRAFFIC.names)
    for row in rows.values():
        assert row.statement
        assert row.tested or row.statement.startswith("not tested: ")
        assert row.p_value is None or 0 <= row.p_value <= 1
        assert row.effect is None or 0 <= row.effect <= 1
    if case in ("columns gone", "all missing", "mixed types"):
        assert found.verdict.status == "alarm"
    assert str(found)
    assert found.to_json()


# PSI is shown beside the others and tests nothing.
@pytest.mark.parametrize("detector", [name for name in BUILT_IN if name != "psi"])
def test_infinite_values_and_new_categories_do_not_hide_a_drift(profile: Profile, detector: str) -> None:
    columns = samples.traffic(np.random.default_rng(403), ROWS)
    columns["amount"] = np.where(np.arange(ROWS) % 50 == 0, np.inf, columns["amount"] * 2 + 1.5)
    columns["group"] = np.where(np.arange(ROWS) % 2 == 0, "new", "c").astype(object)
    columns["gaps"][::2] = np.nan
    found = look(profile, columns, detector)
    kinds = BUILT_IN[detector].kinds
    touched = {"gaps"} if detector == "missing" else {"amount"} if "number" in kinds else {"group"}
    assert touched & {row.column for row in found.columns if row.drifted}
