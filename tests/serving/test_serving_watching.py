"""The store is looked into when it has changed, and otherwise seldom."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from mlprod_nb.serving.watching import LONGEST_SECONDS, POLL_SECONDS, SETTLE_SECONDS, UNMARKED_POLL_SECONDS, Watch
from mlprod_nb.store import Store


def test_a_store_is_looked_into_when_it_changed_and_for_a_while_after_and_now_and_then() -> None:
    mark: list[object | None] = ["a"]
    watch = Watch(lambda: mark[0])
    assert not watch.still(0.0)
    watch.looked(0.0, calm=True)
    assert not watch.still(SETTLE_SECONDS / 2)
    watch.looked(SETTLE_SECONDS / 2, calm=True)
    assert watch.still(2 * SETTLE_SECONDS)
    assert not watch.still(SETTLE_SECONDS / 2 + LONGEST_SECONDS)
    mark[0] = "b"
    assert not watch.still(2 * SETTLE_SECONDS)
    mark[0] = None
    assert [watch.still(9.0), watch.still(9.5)] == [False, False]


def test_a_store_is_looked_into_each_time_while_something_is_under_way() -> None:
    watch = Watch(lambda: "a")
    assert not watch.still(0.0)
    watch.looked(1.0, calm=False)
    assert not watch.still(1.01)
    watch.looked(1.01, calm=True)
    assert watch.still(1.02)


def test_a_store_that_is_a_server_s_is_asked_less_often_unless_something_is_under_way() -> None:
    mark: list[object | None] = [None]
    watch = Watch(lambda: mark[0])
    assert not watch.still(0.0)
    watch.looked(0.0, calm=True)
    assert watch.pause == UNMARKED_POLL_SECONDS
    watch.looked(1.0, calm=False)
    assert watch.pause == POLL_SECONDS
    mark[0] = "a"
    assert not watch.still(2.0)
    watch.looked(2.0, calm=True)
    assert watch.pause == POLL_SECONDS


def test_the_mark_of_a_store_changes_with_what_another_process_writes_and_not_with_what_it_reads(
    tmp_path: Path,
) -> None:
    url = Store.sqlite_url(tmp_path / "state.db")
    store, other = Store(url), Store(url)
    store.migrate()
    before = store.mark()
    assert other.schema_version() == store.schema_version()
    assert store.mark() == before
    with other.write() as connection:
        connection.execute(sa.text("CREATE TABLE more (number INTEGER)"))
    assert store.mark() != before
    for each in (store, other):
        each.close()
    assert Store("sqlite://").mark() is None
