"""The audit trail: whatever is done to an entry afterwards is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlprod_nb import Workspace
from mlprod_nb.access import audit
from mlprod_nb.access.audit import AuditVerification
from mlprod_nb.store import Store, tables

NOW = datetime(2013, 4, 1, 6, 0, 0, 123456, tzinfo=UTC)


def fill(store: Store, count: int = 5) -> None:
    for number in range(count):
        with store.write() as connection:
            audit.record(
                connection,
                actor="ada",
                action="deploy",
                subject=f"flights {number}",
                detail='a "quoted" – détail',
                now=NOW + timedelta(seconds=number),
            )


@contextmanager
def tampering(store: Store) -> Iterator[sa.Connection]:
    """Write as somebody who may alter the schema, and so can take the triggers away that refuse edits."""
    with store.write() as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
        for trigger in connection.exec_driver_sql(query).scalars().all():
            connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        yield connection


def verify(store: Store, anchor: str = "") -> AuditVerification:
    with store.read() as connection:
        return audit.verify(connection, anchor=anchor)


def head(store: Store) -> str:
    with store.read() as connection:
        return audit.head(connection)


def test_an_empty_trail_is_whole(store: Store) -> None:
    assert verify(store) == AuditVerification(True, 0, "")
    assert head(store) == audit.GENESIS


def test_an_untouched_trail_is_whole(store: Store) -> None:
    fill(store)
    assert verify(store, anchor=head(store)) == AuditVerification(True, 5, "")


@pytest.mark.parametrize("column", ["at", "actor", "action", "subject", "detail", "previous_digest", "digest"])
def test_an_edited_entry_is_named(store: Store, column: str) -> None:
    fill(store)
    value = NOW - timedelta(days=1) if column == "at" else "f" * 64
    with tampering(store) as connection:
        connection.execute(sa.update(tables.audit).where(tables.audit.c.id == 3).values({column: value}))
    found = verify(store)
    assert not found.ok
    assert found.entries == 3
    assert "audit entry 3" in found.problem
    assert "edited" in found.problem


def test_an_entry_removed_from_the_middle_is_found_at_the_next(store: Store) -> None:
    fill(store)
    with tampering(store) as connection:
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.id == 2))
    found = verify(store)
    assert not found.ok
    assert "flights 2" in found.problem
    assert "removed" in found.problem


def test_the_first_entry_removed_is_found(store: Store) -> None:
    fill(store)
    with tampering(store) as connection:
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.id == 1))
    assert not verify(store).ok


def test_two_entries_that_changed_places_are_found(store: Store) -> None:
    fill(store)
    with tampering(store) as connection:
        for before, after in ((2, 99), (3, 2), (99, 3)):
            connection.execute(sa.update(tables.audit).where(tables.audit.c.id == before).values(id=after))
    found = verify(store)
    assert not found.ok
    assert "audit entry 2" in found.problem


def test_a_trail_cut_at_its_end_is_found_by_an_anchor_kept_elsewhere(store: Store) -> None:
    fill(store)
    anchor = head(store)
    with tampering(store) as connection:
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.id >= 4))
    assert verify(store).ok
    found = verify(store, anchor=anchor)
    assert not found.ok
    assert anchor[:12] in found.problem


def test_an_old_anchor_is_still_in_a_trail_that_went_on(store: Store) -> None:
    fill(store, 2)
    anchor = head(store)
    fill(store, 2)
    assert verify(store, anchor=anchor).ok


def test_the_verb_says_whether_a_head_that_was_kept_is_still_there(tmp_path: Path) -> None:
    Workspace.init(str(tmp_path))
    workspace = Workspace.open(tmp_path)
    kept = workspace.audit_verify().head
    assert workspace.audit_verify(head=kept).exit_code == 0
    cut = workspace.audit_verify(head="ab" * 32)
    assert cut.exit_code == 1
    assert "it was cut" in cut.verdict.sentence
    workspace.context.store.close()


def test_an_entry_is_kept_only_with_what_it_tells_of(store: Store) -> None:
    fill(store, 1)
    with suppress(RuntimeError), store.write() as connection:
        audit.record(connection, actor="ada", action="deploy", subject="flights", detail="", now=NOW)
        raise RuntimeError
    assert verify(store).entries == 1


def test_the_newest_entries_are_shown_first(store: Store) -> None:
    fill(store)
    with store.read() as connection:
        shown = audit.show(connection, 2)
    assert [entry.subject for entry in shown] == ["flights 4", "flights 3"]
    assert shown[0].previous_digest == shown[1].digest
    assert shown[0].at == NOW + timedelta(seconds=4)
