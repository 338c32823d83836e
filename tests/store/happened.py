"""One row in every table of what happened."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from mlprod_nb.access import audit
from mlprod_nb.store import Store, journal, revisions, tables
from mlprod_nb.store.journal import JournalEntry

NOW = datetime(2013, 4, 1, tzinfo=UTC)
_DIGEST = 64 * "a"


def fill(store: Store) -> None:
    """Propose and decide a revision, move an alias, approve a report, and write down an act."""
    report: dict[str, object] = {column.name: "" for column in tables.reports.columns}
    report |= {"digest": _DIGEST, "bound_to": {}, "files": {}, "created_at": NOW}
    approval = {"report_digest": _DIGEST, "actor": "bob", "reason": "read it", "at": NOW}
    entry = JournalEntry(NOW, "ada", "alias", "flights@champion", "", "flights/1", "first", "mlprod register")
    with store.write() as connection:
        journal.append(connection, entry)
        made = revisions.propose(connection, "flights", None, actor="ada", command="", reason="", now=NOW)
        revisions.decide(connection, made.id, "active", detail="", now=NOW)
        audit.record(connection, actor="ada", action="test", subject="flights", now=NOW)
        connection.execute(sa.insert(tables.reports).values(**report))
        connection.execute(sa.insert(tables.approvals).values(**approval))
