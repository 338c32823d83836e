"""The state database on a real Postgres: the same tables, one writer at a time, and a whole gateway over it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlprod_nb.access import audit
from mlprod_nb.errors import Unavailable
from mlprod_nb.prediction_log.catalogue import Catalogue
from mlprod_nb.prediction_log.compaction import Compactor
from mlprod_nb.prediction_log.keys import NO_KEYS
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.store import Store, append_only, database, revisions, tables
from mlprod_nb.store.revisions import Revision
from tests.serving.workshop import Workshop, body, gateway, make_bundles, make_workshop
from tests.store.happened import fill
from tests.store.postgres import cluster
from tests.store.specs import spec

NOW = datetime(2013, 4, 1, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with cluster() as url:
        yield url


@pytest.fixture
def store(server: str) -> Iterator[Store]:
    """A store in a database of its own."""
    admin = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text("DROP DATABASE IF EXISTS mlprod WITH (FORCE)"))
        connection.execute(sa.text("CREATE DATABASE mlprod"))
    admin.dispose()
    store = Store(sa.make_url(server).set(database="mlprod").render_as_string(hide_password=False))
    store.migrate()
    yield store
    store.close()


def propose(store: Store, version: int) -> Revision:
    with store.write() as connection:
        return revisions.propose(connection, "flights", spec(version), actor="ada", command="", reason="", now=NOW)


def test_the_migrations_make_the_tables_that_the_code_declares(store: Store) -> None:
    store.migrate()
    assert store.schema_version() == database.HEAD
    with store.read() as connection:
        assert set(tables.metadata.tables) <= set(sa.inspect(connection).get_table_names())


def test_a_cause_that_has_recovered_may_raise_an_alert_again_on_postgres_too(store: Store) -> None:
    with store.read() as connection:
        (index,) = [found for found in sa.inspect(connection).get_indexes("alert_causes") if found["unique"]]
    assert index["dialect_options"]["postgresql_where"] == "(recovered_at IS NULL)"


def test_a_reader_sees_one_moment_and_cannot_write(store: Store) -> None:
    propose(store, 1)
    with store.read() as connection:
        assert len(revisions.undecided(connection)) == 1
        propose(store, 2)
        assert len(revisions.undecided(connection)) == 1
        with pytest.raises(sa.exc.DBAPIError, match="read-only"):
            connection.execute(sa.delete(tables.journal))
    assert store.mark() is None


def test_nobody_can_edit_what_happened_on_postgres_either(store: Store) -> None:
    fill(store)
    for table in append_only.TABLES:
        column = next(c.name for c in table.columns if not c.primary_key)
        edits = (
            sa.update(table).values({column: table.c[column]}),
            sa.delete(table),
            sa.text(f"TRUNCATE {table.name} CASCADE"),
        )
        for edit in edits:
            with pytest.raises(sa.exc.DBAPIError, match="is append-only"), store.write() as connection:
                connection.execute(edit)
        with store.read() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 1


def test_writers_take_turns_so_the_audit_chain_never_forks(store: Store) -> None:
    together = threading.Barrier(8)

    def write(thread: int) -> None:
        together.wait(20)
        for number in range(10):
            with store.write() as connection:
                audit.record(connection, actor=f"ada{thread}", action="test", subject=str(number), now=NOW)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(write, thread) for thread in range(8)]:
            future.result(60)
    with store.read() as connection:
        found = audit.verify(connection)
    assert (found.entries, found.problem) == (80, "")


def test_a_server_that_is_gone_is_told_without_its_password() -> None:
    store = Store("postgresql://ann:hunter2@127.0.0.1:1/mlprod")
    with pytest.raises(Unavailable, match="state database does not answer") as failed, store.read():
        pass
    assert "hunter2" not in str(failed.value)


@dataclass(frozen=True)
class OnPostgres(Workshop):
    """A workspace whose state is on Postgres."""

    url: str = ""

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = Store(self.url)
        yield store
        store.close()


async def test_a_gateway_serves_logs_and_compacts_over_postgres(tmp_path: Path, store: Store) -> None:
    bundles = make_bundles(tmp_path / "bundles")
    plain = make_workshop(tmp_path / "workspace", bundles, f'[store]\nurl = "{store.url}"\n')
    shop = OnPostgres(plain.root, bundles, store.url)
    async with gateway(shop) as client:
        for version, name in enumerate(("champion", "challenger"), 1):
            outcome = await shop.deploy("flights", shop.variant(name, version=version))
            assert outcome.outcome == "active", outcome.detail
            reply = await client.post("/endpoints/flights/invocations", json=body())
            assert reply.json()["model_version"] == [f"flights/{version}"]
            key = reply.json()["prediction_ids"][0]
            told = await client.post("/endpoints/flights/feedback", json={"prediction_id": key, "value": 1})
            assert told.status_code == 200, told.text
    log = PredictionLog(shop.layout.log, Catalogue(store))
    before = log.pin("flights")
    assert before.rows == 2
    assert Compactor(shop.layout.log, Catalogue(store), keys=NO_KEYS).run().rows == 4
    assert log.predictions(before)["version"].to_pylist() == [1, 2]
    assert log.labelled(log.pin("flights"))["label_number"].to_pylist() == [1.0, 1.0]
    assert log.verify() == []
