"""Old reports go; never an approved one, one that an open alert rests on, or the newest of its kind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb.errors import NotFound
from mlprod_nb.site import retention
from mlprod_nb.site.retention import Rule
from mlprod_nb.store import Store, alerts, approvals, report_index
from mlprod_nb.store.report_index import ReportRecord
from tests.store.report_files import BODY, changed, written

NOW = datetime(2013, 7, 1, tzinfo=UTC)
MONTH = Rule(days=30, newest=1)


def add(store: Store, root: Path, days: int, *, kind: str = "drift", name: str = "") -> ReportRecord:
    """Write and index a report of so many days ago."""
    at = NOW - timedelta(days=days)
    place = f"reports/flights/{kind}/{name or f'{at:%Y%m%dT%H%M%SZ}-{days:012d}'}"
    body: dict[str, Any] = changed(BODY, "bound_to", "log_range", "rows", to=days) | {"kind": kind}
    record = replace(written(root, body, place), created_at=at)
    with store.write() as connection:
        report_index.add(connection, record)
    return record


def left(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("reports/*/*/*/index.html"))


def test_what_is_older_than_the_rule_goes_but_for_the_newest_of_each_kind(store: Store, tmp_path: Path) -> None:
    for days in (1, 20, 40, 60):
        add(store, tmp_path, days)
    lonely = add(store, tmp_path, 300, kind="abtest")
    failed = tmp_path / "reports" / "flights" / "drift" / "20130401T060000Z-failed"
    failed.mkdir()
    (failed / "index.html").write_text("<h1>It failed</h1>", encoding="utf-8")
    with store.read() as connection:
        assert retention.due(connection, tmp_path / "reports", Rule(0, 1), now=NOW) == []
        due = retention.due(connection, tmp_path / "reports", MONTH, now=NOW)
    gone = retention.prune(store, tmp_path / "reports", MONTH, now=NOW)
    assert gone == due
    assert [path.name[-12:] for path in gone] == ["060000Z-failed"[-12:], f"{60:012d}", f"{40:012d}"]
    assert [name[-3:].lstrip("0") for name in left(tmp_path)] == ["300"[-3:], "20", "1"]
    assert (tmp_path / lonely.path).is_dir()
    assert retention.prune(store, tmp_path / "reports", MONTH, now=NOW) == []
    with store.read() as connection:
        assert report_index.count(connection) == 5, "what they said stays in the index"


def test_an_approved_report_and_one_that_an_open_alert_rests_on_stay(store: Store, tmp_path: Path) -> None:
    _, approved, alerted, recovered = (add(store, tmp_path, days) for days in (1, 40, 50, 60))
    with store.write() as connection:
        approvals.approve(connection, tmp_path, approved.digest, actor="ann", reason="read it", now=NOW)
        for record in (alerted, recovered):
            said = alerts.NewAlert("flights", "drift", "alarm", "moved.", "", record.digest, "")
            alerts.add(connection, said, [record.digest], now=NOW)
        alerts.recover(connection, "flights", [recovered.digest], now=NOW)
    assert retention.prune(store, tmp_path / "reports", MONTH, now=NOW) == [tmp_path / recovered.path]


def test_each_version_keeps_its_newest_gate_report_and_more_can_be_kept_of_all(store: Store, tmp_path: Path) -> None:
    for days, name in ((90, "v1-aa"), (80, "v1-bb"), (70, "v2-cc"), (60, "v2-dd")):
        add(store, tmp_path, days, kind="gates", name=name)
    assert retention.prune(store, tmp_path / "reports", Rule(30, 2), now=NOW) == []
    retention.prune(store, tmp_path / "reports", MONTH, now=NOW)
    assert left(tmp_path) == ["v1-bb", "v2-dd"]


KILLED = """
import os, shutil, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from mlprod_nb.site import retention
from mlprod_nb.store import Store
shutil.rmtree = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
root = Path(sys.argv[1])
retention.prune(Store(Store.sqlite_url(root / "state.db")), root / "reports", retention.Rule(30, 1),
                now=datetime(2013, 7, 1, tzinfo=UTC))
"""


def test_a_kill_in_between_leaves_no_half_report_and_the_next_prune_cleans_up(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, 1)
    old = add(store, tmp_path, 40)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, env={**os.environ})
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / old.path).exists()
    parent = (tmp_path / old.path).parent
    assert [path.name[:8] for path in parent.iterdir() if path.name.startswith(".")] == [".pruned-"]
    with pytest.raises(NotFound, match="was removed"), store.write() as connection:
        approvals.approve(connection, tmp_path, old.digest, actor="ann", reason="late", now=NOW)
    young, abandoned = parent / ".building-young", parent / ".building-old"
    for folder in (young, abandoned):
        folder.mkdir()
    os.utime(abandoned, (0, 0))
    retention.prune(store, tmp_path / "reports", MONTH, now=NOW)
    assert [path.name for path in parent.iterdir() if path.name.startswith(".")] == [".building-young"]
