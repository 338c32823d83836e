"""What happened is never edited: the database refuses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from mlprod_nb.store import Store, append_only, journal, tables
from tests.store.happened import fill

NOW = datetime(2013, 4, 1, tzinfo=UTC)


@pytest.fixture
def store(store: Store) -> Store:
    """A state database in which something of each kind happened."""
    fill(store)
    return store


@pytest.mark.parametrize("table", append_only.TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("edit", ["update", "delete"])
def test_nobody_can_edit_what_happened(store: Store, table: sa.Table, edit: str) -> None:
    column = next(c.name for c in table.columns if not c.primary_key)
    statement = sa.delete(table) if edit == "delete" else sa.update(table).values({column: sa.literal_column("1")})
    with pytest.raises(sa.exc.IntegrityError, match=f"{table.name} is append-only"), store.write() as connection:
        connection.execute(statement)
    with store.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 1


@pytest.mark.parametrize("table", append_only.TABLES, ids=lambda table: table.name)
def test_replacing_what_happened_is_an_edit_too(store: Store, table: sa.Table) -> None:
    copied = sa.select(*table.columns)
    again = sa.insert(table).prefix_with("OR REPLACE").from_select(list(table.columns), copied)
    with pytest.raises(sa.exc.IntegrityError, match=f"{table.name} is append-only"), store.write() as connection:
        connection.execute(again)


def test_an_audit_entry_is_not_replaced_by_one_of_its_digest_under_another_number(store: Store) -> None:
    columns = [column for column in tables.audit.columns if column.name != "id"]
    copied = sa.select(*(sa.literal("eve") if column.name == "actor" else column for column in columns))
    again = sa.insert(tables.audit).prefix_with("OR REPLACE").from_select([c.name for c in columns], copied)
    with pytest.raises(sa.exc.IntegrityError, match="audit is append-only"), store.write() as connection:
        connection.execute(again)
    with store.read() as connection:
        assert connection.scalar(sa.select(tables.audit.c.actor)) == "ada"


def test_a_revision_is_not_replaced_by_one_of_its_endpoint_and_number(store: Store) -> None:
    columns = [column.name for column in tables.revisions.columns if column.name != "id"]
    copied = sa.select(*(tables.revisions.c[name] for name in columns))
    again = sa.insert(tables.revisions).prefix_with("OR REPLACE").from_select(columns, copied)
    with pytest.raises(sa.exc.IntegrityError, match="revisions is append-only"), store.write() as connection:
        connection.execute(again)


def test_a_database_from_before_the_triggers_gets_them(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
    with store.read() as connection:
        assert not append_only.protected(connection)
    store.migrate()
    with store.read() as connection:
        assert append_only.protected(connection)


def test_aliases_that_moved_alone_are_found_by_their_model(store: Store) -> None:
    with store.read() as connection:
        assert [entry.after for entry in journal.alone(connection, {"flights"})] == ["flights/1"]
        assert journal.alone(connection, {"flight_", "f"}) == []
        assert journal.alone(connection, set()) == []
