from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from mlprod_nb.clock import iso
from mlprod_nb.errors import UsageError
from mlprod_nb.lifecycle.panels.abtest import ABTestView
from mlprod_nb.lifecycle.panels.approvals import ApprovalsView
from mlprod_nb.lifecycle.panels.drift import DriftView, windows
from mlprod_nb.lifecycle.panels.jobs import JobsView
from mlprod_nb.lifecycle.panels.registry import RegistryView
from tests.lifecycle.conftest import Site

DAY = datetime(2013, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def answering(site: Site) -> Site:
    site.workspace.deploy("flights@champion")
    site.workspace.route("flights", "champion=50", "challenger=50", unit="distance")
    times = [(DAY + timedelta(hours=n // 4)).isoformat() for n in range(len(site.data))]
    units = [f"u{i}" for i in range(len(site.data))]
    site.workspace.predict("flights", data=site.data, units=units, event_time=times)
    return site


def test_the_registry_tells_versions_with_metrics_lineage_and_where_they_serve(answering: Site) -> None:
    view = answering.workspace.panel("registry")
    assert isinstance(view, RegistryView)
    assert view.headline() == "2 versions of 1 model."
    newest, first = view.versions
    assert (newest.version, newest.aliases, newest.note) == ("flights/2", ("challenger",), "second")
    assert first.serves == newest.serves == ("flights",)
    assert {"brier", "accuracy"} <= set(first.metrics)
    assert first.lineage["data"].startswith("400 rows, ")
    assert "scikit-learn" in first.lineage["packages"]


def test_drift_is_told_by_column_with_both_sides_and_the_windows_in_time(answering: Site) -> None:
    view = answering.workspace.panel("drift", "flights")
    assert isinstance(view, DriftView)
    assert (view.rows, view.model_version, view.since) == (400, "flights/1", None)
    assert {feature.drift.column for feature in view.features[:2]} == {"distance", "hour"}
    assert all(feature.bars for feature in view.features[:2])
    assert len(view.windows) == 5
    assert view.windows[0].since == DAY
    one = view.windows[1]
    part = answering.workspace.panel("drift", "flights", since=one.since.isoformat(), until=one.until.isoformat())
    assert isinstance(part, DriftView)
    assert (part.rows, part.since, part.until) == (96, one.since, one.until)


def test_a_window_without_rows_is_said_and_shown(answering: Site) -> None:
    view = answering.workspace.panel("drift", "flights", since="2012-01-01", until="2012-01-02")
    assert isinstance(view, DriftView)
    assert view.rows == 0
    assert view.verdict.sentence
    assert len(view.windows) == 5


def test_time_is_divided_into_at_most_sixty_stretches_that_cover_it() -> None:
    for hours in (1, 30, 24 * 20, 24 * 300, 24 * 365 * 3):
        ends = (DAY + timedelta(minutes=7), DAY + timedelta(hours=hours))
        found = windows(ends)
        assert 1 <= len(found) <= 60
        assert found[0].since <= ends[0]
        assert found[-1].until > ends[1]
        assert all(a.until == b.since for a, b in pairwise(found))
    assert windows(None) == ()


def test_a_test_that_was_not_started_is_said_and_one_that_was_is_read(answering: Site) -> None:
    view = answering.workspace.panel("abtest", "flights")
    assert isinstance(view, ABTestView)
    assert view.verdict.sentence == "no A/B test was started on 'flights'."
    assert view.verdict.action == "%mlprod abtest start flights"
    answering.workspace.abtest_start("flights")
    begun = answering.workspace.panel("abtest", "flights")
    assert isinstance(begun, ABTestView)
    assert not begun.stopped


def test_jobs_tell_their_runs_and_what_they_wrote(answering: Site) -> None:
    answering.workspace.schedule_add("0 6 * * 1", "models flights")
    job = answering.workspace.schedule_list().jobs[-1].job
    answering.workspace.schedule_run(job)
    view = answering.workspace.panel("jobs")
    assert isinstance(view, JobsView)
    card = next(card for card in view.jobs if card.job == job)
    assert [run.ending for run in card.runs] == ["ok"]
    assert "flights/2" in card.output
    (run,) = card.runs
    text = str(view)
    assert "job  due                   ending  took" in text
    assert f"{iso(run.slot)}  ok" in text
    assert run.log_path in text
    assert "started_at" not in text


def test_approvals_tell_what_a_protected_alias_waits_for(answering: Site) -> None:
    settings = answering.workspace.root / "mlprod.toml"
    settings.write_text(settings.read_text() + "[models.flights.protected.champion]\napprovals = 1\n")
    answering.workspace.context.__dict__.pop("settings", None)
    view = answering.workspace.panel("approvals")
    assert isinstance(view, ApprovalsView)
    [row] = view.aliases
    assert (row.alias, row.now, row.version, row.needed, row.given) == (
        "flights@champion",
        "flights/1",
        "flights/2",
        1,
        (),
    )
    assert any("lacks 1 approval" in text for text in row.missing)


def test_only_the_drift_panel_takes_a_window(answering: Site) -> None:
    with pytest.raises(UsageError, match=r"panel jobs takes no --since and no --until\."):
        answering.workspace.panel("jobs", since="7d")
