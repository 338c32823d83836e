"""Reports of an endpoint that serves: the site that leads to them, replays, differences."""

from __future__ import annotations

import operator
import os
import signal
from datetime import timedelta
from functools import partial
from typing import Any

import pandas as pd
import psutil
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlprod_nb import Workspace
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import Corrupt, ExecutionFailed, NotFound, Refused
from mlprod_nb.prediction_log.catalogue import Catalogue
from mlprod_nb.prediction_log.compaction import Compactor
from mlprod_nb.prediction_log.keys import NO_KEYS
from mlprod_nb.reports import ReportFailed, ReportResult
from mlprod_nb.reports.flips import FlipsResult
from mlprod_nb.reports.replay import ReplayResult
from mlprod_nb.site import SiteResult
from tests.lifecycle.conftest import Site
from tests.notebook_files import PARAMETERS, code, html, text, verdict, write

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
    status = site.workspace.status()
    newest = status.reports[0]
    assert (newest.kind, newest.status, newest.digest) == ("broken", "failed", "")
    assert "LookupError: no rows at all" in newest.sentence
    assert status.verdict.sentence == f"the last broken report of 'flights' failed: {newest.sentence}"
    made = site.workspace.site()
    assert isinstance(made, SiteResult)
    assert (made.reports, made.failed) == (1, 1)
    assert str(made).startswith(f"{made.page} leads to 2 reports.")


def test_a_replay_gives_the_same_also_after_another_version_was_promoted(site: Site, first: ReportResult) -> None:
    before = listed(site)
    site.workspace.promote("flights@challenger", reason="a try")
    site.ask("flights", rows=30)
    later = replayed(site, first)
    assert later.exit_code == 0, str(later)
    assert "the replay gives the same verdict and the same " in str(later)
    assert later.changes == ()
    assert listed(site) == before, "a replay is no report"


def test_a_replay_that_says_other_numbers_is_no_and_names_them(site: Site, first: ReportResult) -> None:
    word = site.workspace.root / "word.txt"
    word.write_text("before", encoding="utf-8")
    own(site, "word", code("print(open('word.txt').read())"), verdict())
    made = site.workspace.report("flights", "word")
    word.write_text("after", encoding="utf-8")
    again = replayed(site, made)
    assert again.exit_code == 1
    assert [(c.part, c.what, c.after) for c in again.changes] == [("Part", "before", ""), ("Part", "after", "said")]
    word.unlink()
    anew = r"Run the report anew for a page that says more: mlprod report flights word$"
    with pytest.raises(ExecutionFailed, match=rf"the replay failed in cell 4: FileNotFoundError: .*word.txt'\. {anew}"):
        site.workspace.replay(made.digest)


def test_a_replay_runs_the_notebook_that_the_report_keeps_and_says_that_it_changed_since(
    site: Site, first: ReportResult
) -> None:
    path = site.workspace.root / "notebooks" / "look_report.ipynb"
    kept = path.read_text(encoding="utf-8")
    own(site, "look", code(LOOK), code("print('more')"), code("monitor.verdict"))
    again = replayed(site, first)
    assert (again.exit_code, again.changes) == (0, ())
    assert again.said[-1].startswith("the look notebook has changed since; the replay ran it as it was then. What it")
    assert again.said[-1].endswith("What it says now: mlprod report flights look")
    path.unlink()
    assert replayed(site, first).said[-1].startswith("there is no look notebook any more; the replay ran the one that")
    # Run in JupyterLab and saved with what it shows, it is still the same notebook.
    shown = code("monitor.verdict", outputs=[html("<p>shown</p>")])
    own(site, "look", code(LOOK), shown)
    assert replayed(site, first).said[-1].startswith("all ")
    path.write_text(kept, encoding="utf-8")


def blast_radius(site: Site, report: ReportResult, version: str) -> FlipsResult:
    found = site.workspace.replay(report.digest, model=version)
    assert isinstance(found, FlipsResult)
    return found


def replayed(site: Site, report: ReportResult) -> ReplayResult:
    found = site.workspace.replay(report.digest[:8])
    assert isinstance(found, ReplayResult)
    return found


def test_the_blast_radius_of_another_version_is_counted_on_the_reports_rows(site: Site, first: ReportResult) -> None:
    none = blast_radius(site, first, "flights/1")
    assert (none.rows, none.flips) == (120, 0)
    assert none.largest_change < 1e-5
    found = blast_radius(site, first, "flights/2")
    data = site.data[:120]
    other = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(site.data, site.target)
    expected = [site.model.predict(data), other.predict(data)]
    assert found.flips == int((expected[0] != expected[1]).sum())
    assert found.flips > 0
    assert found.units == found.flips
    assert sum(direction.rows for direction in found.directions) == found.flips
    assert "hour" in found.cases[0].inputs


def test_a_version_that_cannot_answer_the_rows_says_which_column_it_lacks(site: Site, first: ReportResult) -> None:
    wide = site.data.assign(weather=site.data["hour"] * 2.0)
    model = LogisticRegression(max_iter=500).fit(wide, site.target)
    version = site.workspace.register("wide", model=model, data=wide, target=site.target)
    with pytest.raises(Refused, match="wide/1 cannot answer the rows of the report: column 'weather' is missing"):
        site.workspace.replay(first.digest, model=version.version)
    with pytest.raises(NotFound):
        site.workspace.replay(first.digest, model="flights/99")


def test_a_diff_says_what_changed_between_two_reports(site: Site, first: ReportResult) -> None:
    site.workspace.promote("flights/2", reason="again")
    warm = pd.DataFrame({"distance": [2500.0 + row for row in range(60)], "hour": [22] * 60})
    site.workspace.predict("flights", data=pd.concat([site.data[:60], warm]))
    second = site.workspace.report("flights", "look")
    found = site.workspace.diff(first.digest, second.digest)
    assert "model versions: flights/1 became flights/2." in found.said
    assert any(sentence.startswith("rows: 120 became ") for sentence in found.said)
    assert found.exit_code == 0
    assert site.workspace.diff(first.digest, first.digest).to_dict()["changes"] == []


def test_a_report_that_was_altered_can_be_neither_replayed_nor_compared(site: Site, first: ReportResult) -> None:
    kept = first.verdict_file.read_text(encoding="utf-8")
    first.verdict_file.write_text(kept.replace('"rows": 120', '"rows": 121'), encoding="utf-8")
    for attempt in (site.workspace.replay, lambda digest: site.workspace.replay(digest, model="flights/2")):
        with pytest.raises(Corrupt, match="does not match its digest"):
            attempt(first.digest)
    with pytest.raises(Corrupt, match="does not match its digest"):
        site.workspace.diff(first.digest, first.digest)
    first.verdict_file.write_text(kept, encoding="utf-8")


def test_old_reports_go_by_the_rule_of_the_settings_and_the_approved_one_stays(site: Site, first: ReportResult) -> None:
    root = site.workspace.root
    assert "kept for ever" in str(site.workspace.site(dry_run=True))
    file = root / "mlprod.toml"
    kept = file.read_text(encoding="utf-8")
    file.write_text(kept + "\n[reports]\nkeep_days = 30\nkeep = 1\n", encoding="utf-8")
    later = Workspace(root, clock=lambda: utc_now() + timedelta(days=365))
    copy = first.page.parent.with_name("20130401T060000Z-failed")
    copy.mkdir()
    (copy / "index.html").write_text("<h1>It failed</h1>", encoding="utf-8")
    said = str(later.site(dry_run=True))
    assert "1 report would go (older than 30 days" in said
    assert copy.name in said
    assert copy.is_dir()
    later.site()
    assert not copy.exists()
    assert first.page.is_file()
    assert "prune reports" in [entry.action for entry in later.audit_show(limit=3).entries]
    file.write_text(kept, encoding="utf-8")


def test_a_batch_runs_every_kind_of_every_endpoint_and_one_that_fails_hinders_no_other(
    site: Site, first: ReportResult
) -> None:
    own(site, "wrong", code("1 / 0"), verdict())
    own(site, "fine", verdict("warn", "a little moved."))
    found = site.workspace.report_batch("flights, boats", "wrong,fine")
    assert [(row.endpoint, row.kind, row.status) for row in found.reports] == [
        ("flights", "wrong", "failed"),
        ("flights", "fine", "warn"),
        ("boats", "wrong", "failed"),
        ("boats", "fine", "failed"),
    ]
    assert "ZeroDivisionError" in found.reports[0].sentence
    assert "there is no endpoint 'boats'" in found.reports[2].sentence
    assert found.reports[1].digest
    assert (found.exit_code, str(found.verdict)) == (3, "✗ ALARM: 4 reports: 3 failed, 1 warn.")
    whole = site.workspace.report_batch("flights", "fine")
    assert (whole.exit_code, str(whole.verdict)) == (0, "! WARNING: 1 report: 1 warn.")


def test_reports_of_one_endpoint_conclude_in_their_order_however_long_each_takes(
    site: Site, first: ReportResult
) -> None:
    ended = "open('ended', 'w').close()"
    wait = "import os, time\nwhile not os.path.exists('ended'):\n    time.sleep(0.01)"
    own(site, "slow", code(wait if (os.cpu_count() or 1) > 1 else ""), verdict("alarm", "it moved."))
    own(site, "quick", code(ended), verdict("alarm", "it moved."))
    found = site.workspace.report_batch("flights", "slow,quick")
    assert [row.kind for row in found.reports] == ["slow", "quick"]
    assert [entry.subject for entry in site.workspace.audit_show(limit=20).entries if entry.action == "report"][:2] == [
        "flights quick",
        "flights slow",
    ]


def test_a_batch_that_is_interrupted_leaves_no_process_and_no_half_of_a_report(site: Site, first: ReportResult) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    wait = f"import os, signal\nif endpoint:\n    os.kill({os.getpid()}, signal.SIGINT)\nsignal.pause()"
    own(site, "endless", code(wait), verdict())
    own(site, "fine", verdict())
    given = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has none
    try:
        with pytest.raises(KeyboardInterrupt):
            site.workspace.report_batch("flights", "endless,look,fine")
    finally:
        signal.signal(signal.SIGINT, given)
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    psutil.wait_procs(left, timeout=60)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in left)
    folder = site.workspace.root / "reports" / "flights" / "endless"
    assert list(folder.iterdir()) == []


def test_a_report_on_rows_that_were_removed_since_says_so_when_it_is_replayed(site: Site, first: ReportResult) -> None:
    """The last of the module, since it removes what the others read."""
    own(site, "fine", verdict())
    made = site.workspace.report("flights", "fine")
    site.workspace.down(yes=True)  # which closes its segment
    context = site.workspace.context
    for days in (0, 9):
        clock = partial(operator.add, utc_now(), timedelta(days=days))
        Compactor(context.layout.log, Catalogue(context.store), keys=NO_KEYS, clock=clock, keep_days=2).run()
    for model in ("", "flights/1"):
        with pytest.raises(Refused, match=r"were removed, the last of them on .*, as \[log\] keep_days says\."):
            site.workspace.replay(made.digest, model=model)
    assert not [line for line in site.workspace.verify().problems if "log" in line]
