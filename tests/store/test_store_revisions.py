"""Revisions are decided once; the journal counts only what became true; the database keeps what it acknowledged."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlprod_nb.errors import Unavailable
from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store import Revision, Store, gateways, journal, revisions, tables
from tests.store.specs import spec

NOW = datetime(2013, 4, 1, 6, tzinfo=UTC)


def propose(store: Store, state: EndpointSpec | None) -> Revision:
    with store.write() as connection:
        return revisions.propose(connection, "flights", state, actor="ada", command="deploy", reason="", now=NOW)


def decide(store: Store, revision: Revision, outcome: revisions.OutcomeName) -> bool:
    with store.write() as connection:
        return revisions.decide(connection, revision.id, outcome, detail="", now=NOW)


def active(store: Store) -> dict[str, Revision]:
    with store.read() as connection:
        return revisions.active(connection)


def test_sqlite_syncs_every_commit(store: Store) -> None:
    with store.read() as connection:
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(sa.text("PRAGMA synchronous")) == 2


def test_migrating_twice_changes_nothing(store: Store) -> None:
    store.migrate()
    assert store.schema_version() == "0001"


def test_the_migrations_make_the_tables_that_the_code_declares(store: Store) -> None:
    with store.read() as connection:
        assert set(tables.metadata.tables) <= set(sa.inspect(connection).get_table_names())


def test_a_proposed_revision_serves_only_when_it_is_decided(store: Store) -> None:
    revision = propose(store, spec(1))
    assert active(store) == {}
    assert decide(store, revision, "active")
    assert active(store)["flights"].spec == spec(1)


def test_of_two_that_decide_one_revision_one_wins(store: Store) -> None:
    revision = propose(store, spec(1))
    wins: list[bool] = []
    outcomes: list[revisions.OutcomeName] = ["active", "withdrawn"]
    threads = [threading.Thread(target=lambda o=o: wins.append(decide(store, revision, o))) for o in outcomes * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 7 + [True]


def test_a_rejected_revision_leaves_the_old_one_serving(store: Store) -> None:
    decide(store, propose(store, spec(1)), "active")
    decide(store, propose(store, spec(2)), "rejected")
    assert active(store)["flights"].number == 1
    with store.read() as connection:
        assert [r.number for r in revisions.history(connection, "flights")] == [1, 2]


def test_an_endpoint_that_was_taken_away_is_not_active_and_keeps_its_history(store: Store) -> None:
    decide(store, propose(store, spec(1)), "active")
    decide(store, propose(store, None), "active")
    assert active(store) == {}
    with store.read() as connection:
        assert revisions.endpoint_names(connection) == ["flights"]


def test_an_alias_move_counts_only_where_its_revision_became_active(store: Store) -> None:
    kept, lost = propose(store, spec(1)), propose(store, spec(2))
    with store.write() as connection:
        for revision, after in ((kept, "flights/1"), (lost, "flights/2")):
            entry = journal.JournalEntry(NOW, "ada", "alias", "flights@champion", "", after, "", "", revision.id)
            journal.append(connection, entry)
    decide(store, kept, "active")
    decide(store, lost, "withdrawn")
    with store.read() as connection:
        assert [entry.after for entry in journal.of_revisions(connection, [kept.id, lost.id])] == ["flights/1"]


def test_a_failed_transaction_leaves_nothing_behind(store: Store) -> None:
    def interrupted() -> None:
        with store.write() as connection:
            revisions.propose(connection, "flights", spec(1), actor="ada", command="", reason="", now=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    with store.read() as connection:
        assert revisions.endpoint_names(connection) == []


def test_the_newest_gateway_that_has_not_stopped_is_the_latest(store: Store) -> None:
    with store.write() as connection:
        for name in ("one", "two"):
            gateways.announce(connection, gateways.GatewayRecord(name, 1, "http://127.0.0.1:1", NOW))
        gateways.retire(connection, "two", now=NOW)
        latest = gateways.latest(connection)
    assert latest is not None
    assert latest.id == "one"


def test_a_database_that_does_not_answer_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="state database"):
        Store(Store.sqlite_url(tmp_path / "missing" / "state.db")).migrate()


def test_what_waits_when_a_gateway_starts_is_abandoned_and_what_comes_later_is_not(store: Store) -> None:
    decide(store, propose(store, spec(1)), "active")
    propose(store, spec(2))
    first = gateways.WorkerRecord("a", "gateway", 0, 1, NOW)
    with store.write() as connection:
        assert gateways.join(connection, first)
        revisions.abandon(connection, now=NOW)
    late = propose(store, spec(3))
    with store.write() as connection:
        assert not gateways.join(connection, replace(first, id="b", slot=1))
        assert not gateways.join(connection, replace(first, id="c"))  # in the place of one that ended
        outcomes = [found.outcome for found in revisions.history(connection, "flights")]
    assert [found and found.outcome for found in outcomes] == ["active", "abandoned", None]
    assert not decide(store, replace(late, id=2), "active")
    assert active(store)["flights"].number == 1


def test_a_workspace_on_sqlite_does_not_load_what_speaks_to_postgres() -> None:
    code = (
        "import sys; from mlprod_nb.store import Store; "
        "print(sorted(name for name in sys.modules if name.startswith('sqlalchemy.dialects.postgresql')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
