"""What each panel shows in tests: everything that it can show, and names that are hostile."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mlprod_nb.abtest.health import HealthCheck
from mlprod_nb.abtest.results import ABTestResult, LookPoint, MetricLift, SegmentLift
from mlprod_nb.abtest.srm import SampleRatioCheck
from mlprod_nb.lifecycle.background import TaskRow
from mlprod_nb.lifecycle.panels import reacting
from mlprod_nb.lifecycle.panels.abtest import ABTestView
from mlprod_nb.lifecycle.panels.approvals import ApprovalsView, Reviewed, Waiting
from mlprod_nb.lifecycle.panels.counters import LiveRow, Sample, Samples, VariantCount
from mlprod_nb.lifecycle.panels.drift import DriftView, Feature, TimeWindow
from mlprod_nb.lifecycle.panels.jobs import JobCard, JobsView
from mlprod_nb.lifecycle.panels.live import LiveView, Now
from mlprod_nb.lifecycle.panels.reacting import ReactionShare
from mlprod_nb.lifecycle.panels.recent import Recent, Truth
from mlprod_nb.lifecycle.panels.registry import Card, RegistryView
from mlprod_nb.lifecycle.panels.traffic import Choice, Earlier, Part, TrafficView
from mlprod_nb.lifecycle.serving_now import EndpointStatus, GatewayStatus
from mlprod_nb.lifecycle.status import AlertStatus, JobStatus, ReportRow, StatusResult
from mlprod_nb.monitoring.plots import Bars
from mlprod_nb.monitoring.rows import ColumnDrift
from mlprod_nb.results import Verdict
from mlprod_nb.scheduler import JobRun
from mlprod_nb.widgets import abtest, approvals, drift, jobs, live, registry, status, traffic

HOSTILE = "<img src=x onerror=window.hit=1>"


def now() -> datetime:
    return datetime.now(UTC)


def a_status() -> StatusResult:
    said = "accuracy fell from 0.975 to 0.186 (95 % interval 0.133 to 0.255) since 2013-04-01T00:00:00Z"
    raised = now() - timedelta(hours=2)
    return StatusResult(
        verdict=Verdict(
            "warn", "2 alerts are open, the newest is alert 7 of 'flights'.", "%mlprod alerts acknowledge 7"
        ),
        workspace="nyc-flights",
        gateway=GatewayStatus(True, "http://127.0.0.1:41873", 4711, now() - timedelta(hours=3), ""),
        endpoints=(
            EndpointStatus("flights", 4, "champion", "flights/1", 90.0, "onnx", ""),
            EndpointStatus(
                "flights", 4, HOSTILE, "flights/3", 10.0, "python", "no converter for a FunctionTransformer"
            ),
        ),
        reports=(
            ReportRow("flights", "drift", "alarm", said, raised, "3fa9c1d2aa11", 0),
            ReportRow("flights", "abtest", "ok", f"{HOSTILE} is better", now() - timedelta(days=2), "88a9c1d2aa22", 2),
        ),
        jobs=(JobStatus(1, "0 6 * * 1", "report flights drift --since 2013-04-01", now() + timedelta(hours=30), "ok"),),
        alerts=(
            AlertStatus(7, "flights", "alarm", "open", said, "", raised),
            AlertStatus(6, "flights", "warn", "acknowledged", HOSTILE, f"acknowledged by ada: {HOSTILE}", raised),
        ),
        tasks=(TaskRow(3, "release flights@challenger", "running", now(), "waiting for 200 answers at 25 %"),),
    )


def a_traffic() -> TrafficView:
    return TrafficView(
        "flights",
        4,
        "tailnum",
        (
            Part("champion", "flights/1", 50.0, False, ""),
            Part("challenger", "flights/2", 40.0, False, "flights/5"),
            Part(HOSTILE, "flights/3", 10.0, False, ""),
            Part("canary", "flights/4", 0.0, True, ""),
        ),
        (Choice("next", "flights/6"), Choice("flights/7", "flights/7")),
        (
            Earlier(
                4, now() - timedelta(minutes=5), "ada", "champion flights/1 50 %, challenger flights/2 50 %", "a < b"
            ),
            Earlier(3, now() - timedelta(days=2), HOSTILE, "champion flights/1 100 %", ""),
        ),
    )


def a_live() -> LiveView:
    bars = Bars((), tuple(i / 10 for i in range(11)), (0.2, 0.3, 0.2, 0.1, 0.1, 0.1, 0, 0, 0, 0), (0.1,) * 10)
    truths = (
        Truth("reference", "accuracy", 0.78, 0.77, 0.79, 9_000),
        Truth("champion", "accuracy", 0.741, 0.72, 0.76, 1_800),
        Truth(HOSTILE, "accuracy", 0.75, 0.73, 0.77, 1_700),
    )
    rows = (
        LiveRow("champion", 120_000, 0, 1.4, 3.2, 9.1, 12.0),
        LiveRow(HOSTILE, 118_000, 14, 1.6, 4.4, 1_240.0, 12.1),
    )
    recent = Recent(5_000, 3_500, "flights/1", bars, truths, some_shares())
    users = reacting.together(Samples(newest=Sample(now(), 0, 0, {}, some_reactions(900))).reactions(), some_shares())
    return LiveView("flights", 4, now(), 238_000, 14, rows, recent, reactions=users)


def some_shares() -> tuple[ReactionShare, ...]:
    return (
        ReactionShare("interaction", "rebooked", "rebooked", "champion", 0.124, 0.112, 0.137, 2_600),
        ReactionShare("interaction", "rebooked", "rebooked", HOSTILE, 0.151, 0.137, 0.166, 2_400),
        ReactionShare("reward", "saved minutes", "saved minutes (reward)", "champion", 4.31, 4.02, 4.6, 2_600),
        ReactionShare("interaction", HOSTILE, HOSTILE, "champion", 0.002, 0.001, 0.004, 2_600),
    )


def some_reactions(seconds: int) -> dict[tuple[str, str], float]:
    wave = 3 * math.sin(seconds / 9)
    return {
        ("interaction", "rebooked"): 1.4 * seconds + wave,
        ("reward", "saved minutes"): 0.9 * seconds - wave,
        ("interaction", HOSTILE): float(seconds // 20),
    }


def a_watch(seconds: int = 100) -> Now:
    samples, begun = Samples(), now()
    for i in range(seconds):
        buckets = ((0.001, 40.0 * i), (0.0025, 90.0 * i), (0.01, 100.0 * i + i**1.2), (math.inf, 101.0 * i + i**1.2))
        counts = VariantCount(101.0 * i + i**1.2, 1_200.0 * i, 0.0, 30.0 * i, 1_200.0 * i, buckets)
        fewer = replace(counts, requests=60.0 * i + 20 * math.sin(i / 6), errors=0.2 * i)
        both = {"champion": counts, HOSTILE: fewer}
        samples.add(Sample(begun + timedelta(seconds=i), 200.0 * i, 0.2 * i, both, some_reactions(i + 60)))
    names = ("champion", HOSTILE)
    stretches, users = tuple(samples.stretches(names)), reacting.together(samples.reactions(), some_shares())
    return Now(begun, "", names, samples.last(names, 5), stretches, a_live().recent, reactions=users)


def a_registry() -> RegistryView:
    facts = {"notebook": "train.ipynb", "git commit": "3fa9c1d2aa01 with changes", "data": "9,000 rows, 77a9c1d2aa33"}
    first = {"accuracy": 0.78, "brier": 0.151, "log_loss": 0.47}
    second = {"accuracy": 0.79, "brier": 0.1437, "auc": 0.81}
    return RegistryView(
        ("flights", "fares"),
        ("flights",),
        (
            Card(
                "flights/3", ("challenger",), (), second, HOSTILE, HOSTILE, now(), "onnx", {**facts, "python": "3.11.7"}
            ),
            Card("flights/2", (), (), first, "", "ada", now() - timedelta(days=1), "python", facts),
            Card("flights/1", ("champion", "stable"), ("flights",), first, "The first.", "ada", now(), "onnx", {}),
            Card("fares/1", (), (), {"mae": 12.3}, "Fares.", "bob", now(), "onnx", {}),
        ),
    )


def a_drift() -> DriftView:
    numbers = Bars(
        (), tuple(float(i) for i in range(9)), (0.2, 0.3, 0.2, 0.1, 0.1, 0.1, 0, 0), (0.05,) * 4 + (0.2,) * 4
    )
    names = Bars((HOSTILE, "UA", "all others"), (), (0.5, 0.3, 0.2), (0.2, 0.3, 0.5))
    facts = (0.18, 0.0001, 0.002, 0.31, True)
    features = (
        Feature(ColumnDrift("hour", "number", "ks", 0.2, *facts, 0.9, "the mean rose from 12.1 to 14.9"), numbers),
        Feature(ColumnDrift(HOSTILE, "category", "chi_square", 99.0, *facts, 0.2, f"{HOSTILE} fell"), names),
        Feature(
            ColumnDrift("distance", "number", "ks", 0.01, 0.01, 0.4, 1.0, 0.0, False, 0.0, "nothing changed"), None
        ),
        Feature(ColumnDrift("gone", "number", "", None, None, None, None, None, False, None, "not tested: gone"), None),
    )
    april = datetime(2013, 4, 1, tzinfo=UTC)
    between = tuple(TimeWindow(april + timedelta(days=n), april + timedelta(days=n + 1)) for n in range(30))
    verdict = Verdict("warn", "hour drifts")
    return DriftView(verdict, "flights", "flights/1", between[3].since, between[3].until, 940, features, between, None)


def a_test() -> ABTestView:
    lift = MetricLift(
        "brier", "primary", "lower", 0.151, 0.143, -0.008, -0.014, -0.002, 0.95, True, 900, 880, 9000, 8800
    )
    other = replace(lift, metric=HOSTILE, role="guardrail", better="higher", significant=False, difference_lower=None)
    part = SegmentLift("carrier", "AA", 0.151, 0.14, -0.011, -0.02, -0.002, 0.975, True, "better", 400, 390, 9000)
    segments = (replace(part, segment=HOSTILE, significant=False, reading="no certain difference"), part)
    begun = datetime(2013, 4, 1, tzinfo=UTC)
    path = tuple(
        LookPoint(begun + timedelta(days=n), -0.008 + 0.02 / (n + 2), -0.008 - 0.05 / (n + 2), -0.008 + 0.07 / (n + 2))
        for n in range(20)
    )
    verdict = Verdict("ok", "challenger is better: ship it", "%mlprod abtest stop flights --ship")
    result = ABTestResult(
        verdict=verdict,
        decision="ship",
        design="brier decides, always valid at 95 %",
        method="always-valid",
        metrics=(lift, other),
        health=(HealthCheck("sample ratio", True, "p = 0.7"), HealthCheck("labels", False, f"{HOSTILE} lacks labels")),
        sample_ratio=SampleRatioCheck(
            {"champion": 0.5, "challenger": 0.5}, {"champion": 900, "challenger": 880}, 0.7, 0, True
        ),
        labelled_share={"champion": 0.9, "challenger": 0.9},
        notes=("12 predictions came before the test began; they do not count.",),
        started_at=begun,
        until=begun + timedelta(days=20),
        rows=17_800,
        path=path,
        power_left="The rest of the test may still find 0.003.",
        segments=segments,
    )
    return ABTestView(verdict, "flights", False, result)


def some_jobs() -> JobsView:
    begun = now() - timedelta(hours=3)
    runs = tuple(
        JobRun(begun - timedelta(days=n), begun - timedelta(days=n), begun - timedelta(days=n, seconds=-42), ending, "")
        for n, ending in enumerate(("ok", "verdict: no", "failed, exit code 3", "ok"))
    )
    running = JobRun(now(), now(), None, "running", "")
    return JobsView(
        False,
        True,
        "not running: mlprod up starts it",
        (
            JobCard(
                1, "0 6 * * 1", "UTC", "report flights drift --since 7d", now() + timedelta(days=2), runs, "done.\n"
            ),
            JobCard(2, "*/5 * * * *", "Europe/Vienna", f"status {HOSTILE}", None, (running,), HOSTILE),
            JobCard(3, "0 0 1 * *", "UTC", "retrain flights", now() + timedelta(days=20), (), ""),
        ),
    )


def some_approvals() -> ApprovalsView:
    missing = ("flights/3 has no gate report.", "flights/3 lacks 1 approval by others than its author, ada.")
    lines = ("Run: mlprod check flights/3", "Somebody else than ada runs: mlprod approve DIGEST --reason WHY")
    return ApprovalsView(
        "bob",
        (
            Waiting("flights@champion", "flights/1", "flights/3", "ada", 1, (), missing, lines),
            Waiting("flights@champion", "flights/1", "flights/2", "ada", 1, ("bob (gates 3fa9c1d2aa01)",), (), ()),
        ),
        (
            Reviewed("3fa9c1d2aa01", "gates", "flights/2", "ok", "all gates pass", now(), ("bob",), "reports/a", True),
            Reviewed("77a9c1d2aa33", "drift", HOSTILE, "warn", HOSTILE, now(), (), "reports/b", False),
        ),
    )


_SAMPLES: dict[str, Callable[[], tuple[dict[str, Any], dict[str, Any]]]] = {
    "status": lambda: (status.view(a_status()), {}),
    "registry": lambda: (registry.view(a_registry()), {}),
    "traffic": lambda: (traffic.view(a_traffic()), {}),
    "live": lambda: (live.view(a_live()), {"live": live.moving(a_watch())}),
    "drift": lambda: (drift.view(a_drift()), {}),
    "abtest": lambda: (abtest.view(a_test()), {}),
    "jobs": lambda: (jobs.view(some_jobs()), {}),
    "approvals": lambda: (approvals.view(some_approvals()), {}),
}
NAMES = tuple(_SAMPLES)


def sample(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a panel's state, and its other traits where it has any."""
    return _SAMPLES[name]()
