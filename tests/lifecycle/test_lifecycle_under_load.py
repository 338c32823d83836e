"""Every verb that changes a route, under load: no request fails, and the log agrees with the revisions row by row."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa

from mlprod_nb import Workspace
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import Unavailable
from mlprod_nb.lifecycle.traffic import client
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.routing import assign
from mlprod_nb.store import revisions
from mlprod_nb.store.revisions import Revision
from mlprod_nb.store.tables import revision_acknowledgements
from tests.lifecycle.conftest import Site, make_site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CALLERS = 16
ROW: dict[str, list[Any]] = {"distance": [900.0], "hour": [12]}


@dataclass(frozen=True)
class Answered:
    """What one caller was told of one row, and when it began to ask."""

    prediction_id: str
    unit: str
    variant: str
    version: str
    began: datetime


class Load:
    """Callers that ask an endpoint one row at a time, without a pause, until told to end."""

    def __init__(self, workspace: Workspace, endpoint: str) -> None:
        self._workspace = workspace
        self._endpoint = endpoint
        self._going = threading.Event()
        self._going.set()
        self._pool = ThreadPoolExecutor(CALLERS)
        self._calls: list[Future[list[Answered]]] = [self._pool.submit(self._call, i) for i in range(CALLERS)]

    def stop(self) -> list[Answered]:
        """Return every answer; raise what any request met instead of one."""
        self._going.clear()
        with self._pool:
            return [answer for call in self._calls for answer in call.result(60)]

    def _call(self, caller: int) -> list[Answered]:
        answers: list[Answered] = []
        with client(self._workspace.context) as gateway:
            for number in count():
                if not self._going.is_set():
                    return answers
                unit, began = f"{caller}-{number % 50}", utc_now()
                reply = gateway.predict(self._endpoint, ROW, units=[unit])
                told = (reply[name][0] for name in ("prediction_ids", "variant", "model_version"))
                key, variant, version = told
                answers.append(Answered(key, unit, variant, version, began))
        raise AssertionError


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("busy"))
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("MLPROD_GATEWAY__WORKERS", "2")
        site.workspace.up()
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


def change(workspace: Workspace, endpoint: str, times: int) -> int:
    """Change the endpoint's routes by every verb that does; return how often."""
    changes = 0
    for share in range(1, times + 1):
        workspace.route(endpoint, "champion=50", "challenger=50")
        workspace.route(endpoint, f"champion={100 - share}", f"challenger={share}")
        workspace.promote("flights@challenger", alias="champion", endpoint=endpoint)
        workspace.rollback(endpoint)
        workspace.deploy("flights/2", endpoint=endpoint)
        workspace.rollback(endpoint, to=1)
        changes += 6
    return changes


def test_no_request_fails_and_every_logged_row_was_answered_by_what_its_revision_says(busy: Site) -> None:
    busy.workspace.deploy("flights@champion", endpoint="changing")
    load = Load(busy.workspace, "changing")
    changes = change(busy.workspace, "changing", 4)
    answers = load.stop()
    assert changes == 24
    assert len(answers) > 20 * changes
    log = PredictionLog(busy.workspace.context.layout.log)
    rows = log.predictions(log.pin("changing")).to_pylist()
    assert Counter(row["prediction_id"] for row in rows) == Counter(answer.prediction_id for answer in answers)
    told = {answer.prediction_id: answer for answer in answers}
    past, settled = history(busy.workspace, "changing")
    assert len(past) == changes + 1
    assert {row["revision"] for row in rows} > set(range(2, changes))
    for row in rows:
        revision, answer = past[row["revision"]], told[row["prediction_id"]]
        assert revision.spec is not None
        assert revision.outcome is not None
        variant = revision.spec.variants[assign(revision.spec, [answer.unit])[0]]
        assert (variant.name, variant.version) == (row["variant"], row["version"])
        assert (variant.name, variant.model_version, row["unit"]) == (answer.variant, answer.version, answer.unit)
        assert row["received_at"] + timedelta(milliseconds=row["latency_ms"]) >= revision.outcome.decided_at
        successor = settled.get(row["revision"] + 1)
        assert successor is None or answer.began <= successor


def history(workspace: Workspace, endpoint: str) -> tuple[dict[int, Revision], dict[int, datetime]]:
    """Return the active revisions by number, and when the last worker had settled on each."""
    table = revision_acknowledgements.c
    with workspace.context.store.read() as connection:
        found = [r for r in revisions.history(connection, endpoint) if r.outcome and r.outcome.outcome == "active"]
        query = sa.select(table.revision_id, sa.func.max(table.settled_at)).group_by(table.revision_id)
        moments = {row[0]: row[1] for row in connection.execute(query)}
    return {r.number: r for r in found}, {r.number: moments[r.id] for r in found}


@pytest.mark.parametrize("gone", ["moved away", "does not listen"])
def test_a_rollback_needs_no_registry_and_owes_the_aliases(
    busy: Site, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    endpoint = gone.replace(" ", "-")
    busy.workspace.deploy("flights@champion", endpoint=endpoint)
    busy.workspace.promote("flights/2", alias="champion", endpoint=endpoint)
    database = busy.workspace.context.layout.mlflow_database
    elsewhere = database.with_suffix(".elsewhere")
    if gone == "moved away":
        database.rename(elsewhere)
    else:
        monkeypatch.setenv("MLPROD_REGISTRY__TRACKING_URI", "http://127.0.0.1:9")
    load = Load(busy.workspace, endpoint)
    alone = Workspace.open(busy.workspace.root)
    result = alone.rollback(endpoint, reason="worse")
    assert set(busy.ask(endpoint)) == {"flights/1"}
    load.stop()
    assert [(move.alias, move.before, move.after) for move in result.owed] == [
        ("flights@champion", "flights/2", "flights/1")
    ]
    assert result.aliases == ()
    assert alone.route(endpoint, "champion=100", unit="tailnum").unit == "tailnum"
    with pytest.raises(Unavailable, match="'challenger' is no variant of today"):
        alone.route(endpoint, "champion=50", "challenger=50")
    alone.context.store.close()
    assert f"mlprod rollback {endpoint} --to 1" in result.headline()
    if gone == "moved away":
        assert not database.exists()
        elsewhere.rename(database)
    monkeypatch.delenv("MLPROD_REGISTRY__TRACKING_URI", raising=False)
    back = Workspace.open(busy.workspace.root)
    assert back.context.registry.aliases("flights")["champion"] == 2
    assert [move.after for move in back.rollback(endpoint, to=1).aliases] == ["flights/1"]
    assert back.context.registry.aliases("flights")["champion"] == 1
    back.context.store.close()
