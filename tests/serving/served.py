"""A gateway in processes of its own, with one endpoint."""

from __future__ import annotations

import httpx

from mlprod_nb.store import Revision, Store, revisions
from mlprod_nb.store.gateways import GatewayRecord
from mlprod_nb.targets import local
from tests.serving.workshop import Workshop, body, running_below, until

PATH = "/endpoints/flights/invocations"
PATIENCE = 60.0
"""How long a caller waits, seconds: longer than a new worker takes to start and to load, on a slow and busy machine."""


class Served:
    """A gateway in processes of its own, with one endpoint."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop
        self.record: GatewayRecord = local.start(shop.root)
        self.headers = {"Authorization": f"Bearer {shop.token('operator')}"}
        self.deploy("champion", 1)

    def deploy(self, name: str, version: int) -> None:
        """Deploy as the verb does: return when every worker has settled."""
        revision = self.shop.propose("flights", self.shop.variant(name, version=version))
        outcome = self.shop.outcome(revision)
        assert outcome.outcome == "active", outcome.detail
        with self.shop.store() as store:
            until(lambda: settled(store, revision, self.record.id))

    def workers(self) -> list[int]:
        return running_below(self.record.pid, "mlprod_nb.serving.supervision.gateway_worker")

    def call(self, client: httpx.Client | None = None) -> str:
        """Predict, by default on a connection of its own; return the version that answered."""
        post = client.post if client else httpx.post
        reply = post(self.record.url + PATH, json=body(), headers=self.headers, timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["model_version"][0])

    def counted(self) -> float:
        """Return the predictions that the gateway counts."""
        reply = httpx.get(f"{self.record.url}/metrics", headers=self.headers, timeout=PATIENCE)
        return sum(float(line.split()[-1]) for line in reply.text.splitlines() if line.startswith(ROWS))


ROWS = 'mlprod_predicted_rows_total{endpoint="flights"'


def settled(store: Store, revision: Revision, gateway_id: str) -> bool:
    with store.read() as connection:
        return revisions.all_settled(connection, revision.id, gateway_id)
