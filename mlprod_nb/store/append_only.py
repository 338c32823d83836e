"""What happened is appended, never edited: the database itself refuses to change or delete rows of these tables.

Whoever may alter the schema can take the triggers away; the audit trail's chain of digests tells of edits all the same.
"""

from __future__ import annotations

import sqlalchemy as sa

from mlprod_nb.store import tables

TABLES = (tables.journal, tables.revisions, tables.revision_outcomes, tables.audit, tables.approvals)

_SQLITE = """
CREATE TRIGGER IF NOT EXISTS {table}_no_{event} BEFORE {event} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
#: INSERT OR REPLACE deletes, without asking the trigger above, each row that shares what must be unique.
_SQLITE_REPLACE = """
CREATE TRIGGER IF NOT EXISTS {name} BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
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
    made: dict[str, str] = {}
    for table in TABLES:
        if dialect == "sqlite":
            made |= _replacing(table)
        events = ("update", "delete") if dialect == "sqlite" else ("update", "delete", "truncate")
        for event in events:
            each = "STATEMENT" if event == "truncate" else "ROW"
            form = {"sqlite": _SQLITE, "postgresql": _POSTGRES}[dialect]
            made[f"{table.name}_no_{event}"] = form.format(table=table.name, event=event, each=each)
    return made


def _replacing(table: sa.Table) -> dict[str, str]:
    made = {}
    for columns in _unique(table):
        # The primary key's has the name that it had when it was the only one.
        parts = [] if columns == [column.name for column in table.primary_key] else columns
        name = "_".join([table.name, "no_replace", *parts])
        same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
        made[name] = _SQLITE_REPLACE.format(name=name, table=table.name, same=same)
    return made


def _unique(table: sa.Table) -> list[list[str]]:
    """Return each set of columns whose values together no two rows share."""
    constraints = (sa.PrimaryKeyConstraint, sa.UniqueConstraint)
    found = [one.columns for one in table.constraints if isinstance(one, constraints)]
    found += [one.columns for one in table.indexes if one.unique]
    return sorted([column.name for column in columns] for columns in found)
