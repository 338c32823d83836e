"""What happened is appended, never edited: the database itself refuses to change or delete rows of these tables.

Whoever may alter the schema can take the triggers away; the audit trail's chain of digests tells of edits all the same.
"""

from __future__ import annotations

import sqlalchemy as sa

from mlprod_nb.store import tables

TABLES = (tables.journal, tables.revisions, tables.revision_outcomes)

_SQLITE = """
CREATE TRIGGER IF NOT EXISTS {table}_no_{event} BEFORE {event} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
_FUNCTION = """
CREATE OR REPLACE FUNCTION mlprod_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$
"""
_POSTGRES = """
CREATE OR REPLACE TRIGGER {table}_no_{event} BEFORE {event} ON {table}
FOR EACH ROW EXECUTE FUNCTION mlprod_append_only()
"""


def protect(connection: sa.Connection) -> None:
    """Make the triggers that refuse edits, where they are not there yet."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.exec_driver_sql(_FUNCTION)
    for table in TABLES:
        for event in ("update", "delete"):
            statement = {"sqlite": _SQLITE, "postgresql": _POSTGRES}[dialect]
            connection.exec_driver_sql(statement.format(table=table.name, event=event))
