"""Alerts raised in a workspace, and how they stand."""

from __future__ import annotations

from mlprod_nb.clock import utc_now
from mlprod_nb.store import alerts
from mlprod_nb.store.alerts import Alert, NewAlert
from tests.serving.report_visits import reports as reports
from tests.serving.workshop import Workshop

SENTENCE = "three columns drifted <script>."


def raise_alert(shop: Workshop, endpoint: str) -> None:
    said = NewAlert(endpoint, "drift", "alarm", SENTENCE, "%mlprod retrain flights", "", "")
    with shop.store() as store, store.write() as connection:
        assert alerts.add(connection, said, ["drift"], now=utc_now())


def alert(shop: Workshop, number: int = 1) -> Alert:
    with shop.store() as store, store.read() as connection:
        return alerts.find(connection, number)
