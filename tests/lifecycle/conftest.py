"""A real workspace with its gateway, and two small models in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlprod_nb import Workspace
from tests.workspaces import new_workspace


@dataclass(frozen=True)
class Site:
    """A workspace that runs, and what was used to fill it."""

    workspace: Workspace
    data: pd.DataFrame
    target: pd.Series
    model: BaseEstimator

    def ask(self, endpoint: str, rows: int = 40) -> list[str]:
        """Return which versions answer the first rows, each row a unit of its own."""
        units = [f"unit-{i}" for i in range(rows)]
        return list(self.workspace.predict(endpoint, data=self.data[:rows], units=units).model_version)


def make_site(root: Path) -> Site:
    """Return a workspace with two versions of a model; its gateway does not run yet."""
    workspace = new_workspace(root)
    random = np.random.default_rng(7)
    data = pd.DataFrame({"distance": random.normal(900, 300, 400), "hour": random.integers(5, 23, 400)})
    target = pd.Series((data["hour"] / 23 + random.normal(0, 0.3, 400) > 0.7).astype(int))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data, target)
    other = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(data, target)
    workspace.register("flights", model=model, data=data, target=target, alias="champion", note="first")
    workspace.register("flights", model=other, data=data, target=target, alias="challenger", note="second")
    return Site(workspace, data, target, model)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("site"))
    site.workspace.up()
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()
