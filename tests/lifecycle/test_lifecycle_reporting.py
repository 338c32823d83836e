"""Reports of an endpoint that serves: the site that leads to them."""

from __future__ import annotations

from typing import Any

import pytest

from mlprod_nb.reports import ReportFailed, ReportResult
from tests.lifecycle.conftest import Site
from tests.notebook_files import PARAMETERS, code, text, verdict, write

LOOK = """
from mlprod_nb import Workspace

monitor = Workspace.open(workspace).monitor(endpoint, pinned=pinned)
monitor
"""


def own(site: Site, name: str, *cells: dict[str, Any]) -> None:
    """Give the workspace a report of its own."""
    path = site.workspace.root / "notebooks" / f"{name}_report.ipynb"
    write(path, text("# Own\n\n## Part"), code(PARAMETERS, "parameters"), *cells)


@pytest.fixture(scope="module")
def first(site: Site) -> ReportResult:
    """A report on the traffic of two variants."""
    site.workspace.deploy("flights@champion")
    site.ask("flights", rows=120)
    own(site, "look", code(LOOK), code("monitor.verdict"))
    return site.workspace.report("flights", "look")


def listed(site: Site) -> str:
    return (site.workspace.root / "reports" / "index.html").read_text(encoding="utf-8")


def test_the_site_is_written_anew_after_a_report_an_approval_and_a_failure(site: Site, first: ReportResult) -> None:
    assert first.digest[:12] in listed(site)
    assert "no approvals" in listed(site)
    site.workspace.approve(first.digest, reason="read it")
    assert "1 approval<" in listed(site)
    own(site, "broken", code("raise LookupError('no rows at all')"), verdict())
    with pytest.raises(ReportFailed):
        site.workspace.report("flights", "broken")
    assert "LookupError: no rows at all" in listed(site)
    made = site.workspace.site()
    assert (made.reports, made.failed) == (1, 1)
    assert str(made).startswith(f"{made.page} leads to 2 reports.")
