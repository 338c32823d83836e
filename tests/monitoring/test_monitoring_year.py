"""The real flights of 2013, month by month: the verdicts that docs/monitoring.md tells of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlprod_nb.monitoring import MonitorInput, MonitorResult, build, counting, run, scoring
from tests.monitoring import samples
from tests.monitoring.flights import CATEGORIES, NUMBERS, all_flights

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
MONTHS = ("April", "May", "June", "July", "August", "September", "October", "November", "December")
STATUS = {"✓ ok": "ok", "! warning": "warn", "✗ alarm": "alarm"}


@dataclass(frozen=True)
class Told:
    """A month as the page has it."""

    late: str
    status: str
    why: str


def told() -> dict[str, Told]:
    rows = re.findall(r"^\| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {row[0]: Told(row[1], STATUS[row[2]], row[3]) for row in rows if row[0] in MONTHS}


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return all_flights()


@pytest.fixture(scope="module")
def year(flights: pd.DataFrame) -> dict[str, MonitorResult]:
    """What each month's look says of the quickstart's model, with the months before pooled as a job pools them."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    winter = flights[flights["month"] <= 3]
    fitted, held, late, held_late = train_test_split(
        winter[CATEGORIES + NUMBERS], winter["late"], test_size=0.3, random_state=0
    )
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES), (StandardScaler(), NUMBERS)
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(fitted, late)
    kinds: dict[str, Any] = dict.fromkeys(CATEGORIES, "string") | dict.fromkeys(NUMBERS, "long")
    profile = build(
        {str(name): held[name].to_numpy() for name in held},
        samples.signature(**kinds),
        scores=model.predict_proba(held)[:, 1],
        labels=held_late.to_numpy(),
        task="classification",
        classes=(0, 1),
    )
    found: dict[str, MonitorResult] = {}
    earlier: list[Any] = []
    for number, month in enumerate(MONTHS, start=4):
        rows = flights[flights["month"] == number]
        inputs = rows[CATEGORIES + NUMBERS]
        scores = model.predict_proba(inputs)[:, 1]
        window = samples.window(
            {str(name): inputs[name].to_numpy() for name in inputs}, scores, rows["late"].to_numpy(), classes=(0, 1)
        )
        given = MonitorInput("flights", profile, window, model_version="flights/1", earlier=tuple(earlier))
        found[month] = run(given)
        outcomes = scoring.read(profile, window)
        earlier.insert(0, counting.count_predictions(profile, window, outcomes, "flights/1"))
    return found


@pytest.mark.parametrize("month", MONTHS)
def test_each_month_of_2013_has_the_verdict_that_the_page_tells(year: dict[str, MonitorResult], month: str) -> None:
    assert year[month].verdict.status == told()[month].status


@pytest.mark.parametrize("month", MONTHS)
def test_every_number_of_the_page_is_that_of_the_month(
    flights: pd.DataFrame, year: dict[str, MonitorResult], month: str
) -> None:
    late = flights.loc[flights["month"] == 4 + MONTHS.index(month), "late"].mean()
    assert told()[month].late == f"{100 * late:.1f} %"
    known = [value for row in year[month].performance for value in (row.reference, row.value) if value is not None]
    numbers = re.findall(r"0\.\d+", told()[month].why)
    assert {text for text in numbers if not any(f"{value:.{len(text) - 2}f}" == text for value in known)} == set()


def test_the_page_counts_the_flights_that_followed(flights: pd.DataFrame) -> None:
    thousands = len(flights[flights["month"] > 3]) // 1000
    assert f"from all {thousands},000 flights" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("month", ["April", "June", "July"])
def test_the_stormy_months_are_alarms_because_the_model_is_wrong_more_often(
    year: dict[str, MonitorResult], month: str
) -> None:
    assert "accuracy fell" in year[month].verdict.sentence


@pytest.mark.parametrize("month", ["September", "October", "November"])
def test_the_calm_autumn_wakes_nobody(year: dict[str, MonitorResult], month: str) -> None:
    assert year[month].verdict.status == "warn"
    assert year[month].verdict.exit_code == 0
