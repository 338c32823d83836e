"""What happened is appended, never edited: the database itself refuses to change or delete rows of these tables.

Whoever may alter the schema can take the triggers away; the audit trail's chain of digests tells of edits all the same.
"""

from __future__ import annotations

import sqlalchemy as sa

from mlprod_nb.store import tables

TABLES = (tables.journal, tables.revisions, tables.revision_outcomes, tables.audit)

_SQLITE = """
CREATE TRIGGER IF NOT EXISTS {table}_no_{event} BEFORE {event} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
#: INSERT OR REPLACE deletes without asking the trigger above.
_SQLITE_REPLACE = """
CREATE TRIGGER IF NOT EXISTS {table}_no_replace BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
_FUNCTION = """
CREATE OR REPLACE FUNCTION mlprod_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$
"""
_POSTGRES = """
CREATE OR REPLACE TRIGGER {table}_no_{event} BEFORE {event} ON {table}
FOR EACH {each} EXECUTE FUNCTION mlprod_append_only()
"""
_PRESENT = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
}


def protect(connection: sa.Connection) -> None:
    """Make the triggers that refuse edits, where they are not there yet."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_FUNCTION)
    for statement in _statements(connection.dialect.name).values():
        connection.exec_driver_sql(statement)


def protected(connection: sa.Connection) -> bool:
    """Return whether every trigger is there."""
    dialect = connection.dialect.name
    return _statements(dialect).keys() <= set(connection.exec_driver_sql(_PRESENT[dialect]).scalars())


def _statements(dialect: str) -> dict[str, str]:
    """Return by each trigger's name the statement that makes it."""
    made = {}
    for table in TABLES:
        if dialect == "sqlite":
            key = next(iter(table.primary_key)).name
            made[f"{table.name}_no_replace"] = _SQLITE_REPLACE.format(table=table.name, key=key)
        events = ("update", "delete") if dialect == "sqlite" else ("update", "delete", "truncate")
        for event in events:
            each = "STATEMENT" if event == "truncate" else "ROW"
            form = {"sqlite": _SQLITE, "postgresql": _POSTGRES}[dialect]
            made[f"{table.name}_no_{event}"] = form.format(table=table.name, event=event, each=each)
    return made
