"""A retrained version knows how old the dates of its rows were, and a monitor of it tests their age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlprod_nb import Workspace
from mlprod_nb.monitoring import Profile
from mlprod_nb.monitoring.result import MonitorResult
from mlprod_nb.registry.bundles import PROFILE
from tests.workspaces import new_workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

BEGIN, ROWS = datetime(2013, 4, 1, tzinfo=UTC), 600


def trips(*, days_before: float, begin: datetime) -> tuple[pd.DataFrame, pd.Series, list[datetime]]:
    """Rows of trips, each booked about so many days before it was asked about: inputs, labels, moments."""
    random = np.random.default_rng(3)
    when = [begin + timedelta(minutes=20 * i) for i in range(ROWS)]
    ages = random.exponential(days_before, ROWS)
    booked = [(at - timedelta(days=age)).strftime("%Y-%m-%dT%H:%M:%S") for at, age in zip(when, ages, strict=True)]
    data = pd.DataFrame({"distance": random.normal(900, 300, ROWS), "booked": booked})
    return data, pd.Series((data["distance"] + random.normal(0, 200, ROWS) > 900).astype(int)), when


def asked(workspace: Workspace, days_before: float, begin: datetime) -> None:
    data, target, when = trips(days_before=days_before, begin=begin)
    answered = workspace.predict("trips", data=data, event_time=when)
    workspace.feedback("trips", ids=answered.prediction_ids, values=target)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """An endpoint whose version does not know when its rows were; its traffic does."""
    workspace = new_workspace(tmp_path / "trips")
    data, target, _ = trips(days_before=5.0, begin=BEGIN)
    encoder = OneHotEncoder(handle_unknown="ignore", max_categories=3, sparse_output=False)
    columns = make_column_transformer((StandardScaler(), ["distance"]), (encoder, ["booked"]))
    model = make_pipeline(columns, LogisticRegression()).fit(data, target)
    workspace.register("trips", model=model, data=data, target=target, alias="champion", note="first")
    workspace.up()
    workspace.deploy("trips@champion")
    asked(workspace, 5.0, BEGIN)
    yield workspace
    workspace.down(yes=True)
    workspace.context.store.close()


def derived(workspace: Workspace, version: str) -> set[str]:
    registry, bundles = workspace.context.registry, workspace.context.bundles
    bundle = registry.fetch_bundle(registry.resolve(version), bundles)
    profile = Profile.from_json((bundle.path / PROFILE).read_bytes())
    return {column.name for column in profile.derived or ()}


def test_the_age_of_dates_is_tested_after_retraining(workspace: Workspace) -> None:
    before = workspace.monitor("trips")
    assert "booked (age)" not in derived(workspace, "trips/1")
    assert "the age of its dates is not tested" in str(before.to_dict())
    made = workspace.retrain("trips", since=BEGIN.isoformat(), until=(BEGIN + timedelta(days=30)).isoformat())
    assert "booked (age)" in derived(workspace, made.version)
    workspace.promote(made.version, reason="it knows ages")
    later = BEGIN + timedelta(days=60)
    asked(workspace, 25.0, later)
    after = workspace.monitor("trips", since=later.isoformat())
    assert isinstance(after, MonitorResult)
    assert [row.column for row in after.columns if row.drifted] == ["booked (age)"]
