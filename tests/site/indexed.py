"""Reports that the index knows, their pages, and the site that leads to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlprod_nb.results import Status
from mlprod_nb.site import building as site
from mlprod_nb.store import Store, report_index
from mlprod_nb.store.report_index import ReportRecord

NOW = datetime(2013, 5, 1, 6, tzinfo=UTC)


def record(number: int, status: Status = "ok", **changes: object) -> ReportRecord:
    digest = f"{number:064x}"
    made = ReportRecord(
        digest[::-1],
        "drift",
        "flights",
        status,
        f"look {number} said so.",
        f"reports/flights/drift/{number}",
        {},
        NOW + timedelta(hours=number),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def add(store: Store, root: Path, *records: ReportRecord) -> None:
    """Index reports and put a page where each says that it is."""
    for one in records:
        (root / one.path).mkdir(parents=True, exist_ok=True)
        (root / one.path / "index.html").write_text("<h1>x</h1>")
    with store.write() as connection:
        for one in records:
            report_index.add(connection, one)


def fail(root: Path, endpoint: str, name: str, heading: str) -> None:
    folder = root / "reports" / endpoint / "drift" / name
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(f"<style></style><h1>{heading}</h1>")


def build(store: Store, root: Path, **options: str) -> str:
    made = site.build(store, root / "reports", **{"title": "ours", **options})
    return made.page.read_text(encoding="utf-8")
