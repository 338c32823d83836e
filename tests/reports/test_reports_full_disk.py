"""A report for which the disk has no room leaves a page that says so, as far as the room goes."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb import reports
from mlprod_nb.reports.since import Compare, nothing
from mlprod_nb.results import AlertChange, Verdict
from mlprod_nb.store import DiskFull, Store, report_index
from tests.notebook_files import PARAMETERS, code, html, text, verdict, write
from tests.prediction_log.small_disk import fill, small_disk

PINNED = '{"endpoint": "flights", "rows": 0, "segments": [], "since": null, "until": null}'
REQUEST = reports.ReportRequest("flights", "own", PINNED, ("flights/1",), timeout_seconds=120)
FULL = "No space left on device"


def failed(
    root: Path, store: Store, *cells: dict[str, Any], compare: Compare = nothing, **changes: Any
) -> reports.ReportFailed:
    write(root / "notebooks" / "own_report.ipynb", text("# Own"), code(PARAMETERS, "parameters"), *cells)
    with pytest.raises(reports.ReportFailed) as caught:
        reports.run_report(
            replace(REQUEST, **changes),
            root=root,
            store=store,
            clock=lambda: datetime(2013, 5, 1, tzinfo=UTC),
            compare=compare,
        )
    with store.read() as connection:
        assert report_index.list_reports(connection) == []
    return caught.value


def assert_told(error: reports.ReportFailed, said: str) -> str:
    """Check that what is left is a page and a notebook, and that the page opens with what failed; return the page."""
    page = error.page.read_text(encoding="utf-8")
    assert f"<h1>{said}" in page
    assert "What to do" in page
    assert "Run again" in page
    assert {file.name for file in error.page.parent.iterdir()} == {"index.html", "report.ipynb"}
    assert [folder.name for folder in error.page.parents[1].iterdir()] == [error.page.parent.name]
    return page


def test_a_disk_that_is_full_after_the_last_cell_leaves_the_page_that_says_so(tmp_path: Path, store: Store) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:

        def taken_by_others(_verdict: Verdict, _digest: str) -> tuple[AlertChange, ...]:
            fill(disk)
            return ()

        before = code("'all is well'", outputs=[html("<p>of another day</p>")])
        error = failed(disk, store, before, verdict(), compare=taken_by_others)
        assert (error.reason, error.cell_index) == ("disk", None)
        page = assert_told(error, f"The report could not be written: {FULL}")
        assert "Make room on the disk" in page
        assert "of another day" not in page


def test_a_notebook_that_fills_the_disk_leaves_the_page_that_says_so(tmp_path: Path, store: Store) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        error = failed(disk, store, code("print('x' * 2**20 * 8)"), verdict())
        assert error.reason == "disk"
        assert_told(error, f"The report could not be written: {FULL}")


def test_a_disk_with_room_for_little_more_than_the_page_still_gets_it(tmp_path: Path, store: Store) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        ballast = fill(disk)
        with ballast.open("rb+") as file:
            file.truncate(ballast.stat().st_size - 100_000)
        error = failed(disk, store, verdict())
        assert error.reason == "disk"
        assert_told(error, f"The report could not be written: {FULL}")


def test_a_report_that_the_full_state_database_cannot_take_is_not_left_as_if_it_held(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        store = Store(Store.sqlite_url(disk / "state.db"))
        store.migrate()

        def taken_by_others(_verdict: Verdict, _digest: str) -> tuple[AlertChange, ...]:
            fill(disk)
            return ()

        # More than the room that the log of the database has left of its last page.
        options = {"much": "x" * 2**18}
        much = code('endpoint: str = ""\npinned: str = ""\nmuch: str = ""', "parameters")
        write(tmp_path / "notebooks" / "much_report.ipynb", much, verdict())
        request = replace(REQUEST, kind="much", options=options)
        with pytest.raises(reports.ReportFailed) as caught:
            reports.run_report(request, root=tmp_path, store=store, compare=taken_by_others)
        assert caught.value.reason == "disk"
        assert_told(caught.value, "The report could not be written: the disk of the state database is full")
        store.close()


def test_a_full_disk_of_the_state_database_is_told_in_one_line(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        store = Store(Store.sqlite_url(disk / "state.db"))
        store.migrate()
        store.close()
        fill(disk)
        again = Store(Store.sqlite_url(disk / "state.db"))
        with pytest.raises(DiskFull, match=r"the disk of the state database is full\. Make room"), again.read():
            pass
        again.close()


def test_a_full_temporary_folder_is_named_and_the_notebook_kept_as_it_was_before(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        file = str(disk / "ballast")
        filling = (
            "from contextlib import suppress\n"
            f"with suppress(OSError), open({file!r}, 'ab', buffering=0) as file:\n"
            "    while file.write(bytes(4096)) == 4096:\n"
            "        pass"
        )
        error = failed(tmp_path, store, code("print('kept')"), code(filling), code("print('lost')"), verdict())
        assert (error.reason, error.cell_index) == ("scratch", None)
        page = assert_told(error, f"The notebook could not be kept whole: the temporary folder {disk}: {FULL}")
        assert ">kept</pre>" in page
        assert ">lost</pre>" not in page
