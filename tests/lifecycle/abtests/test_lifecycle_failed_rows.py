"""What models failed on is in the test that it belongs to, and the same in every replay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mlprod_nb import Workspace
from mlprod_nb.abtest import ABTestResult
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import NotFound
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.routing import Variant
from mlprod_nb.serving.telemetry.failures import Asked, Failures
from tests.lifecycle.conftest import Site, make_site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

APRIL = datetime(2013, 4, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A split whose test began an hour ago, with the answers of just now."""
    site = make_site(tmp_path_factory.mktemp("failed"))
    site.workspace.up()
    site.workspace.deploy("flights@champion")
    site.workspace.route("flights", "champion=50", "challenger=50")
    earlier = Workspace(site.workspace.root, clock=lambda: utc_now() - HOUR)
    earlier.abtest_start("flights", treatment="challenger", guardrails="error_rate")
    earlier.context.store.close()
    units = [f"N{row}" for row in range(len(site.data))]
    site.workspace.predict("flights", data=site.data, units=units, event_time=[APRIL] * len(units))
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


def fail(site: Site, rows: int, ago: timedelta, *, earlier_revision: bool = False, happened: datetime = APRIL) -> None:
    """Write down that the challenger failed on rows, each of its own unit."""
    context = site.workspace.context
    revision = existing(context, "flights").number
    ledger = Failures(context.layout.failures, 9, lambda: utc_now() - ago)
    challenger = Variant("challenger", "flights", 2, "0" * 64, 0.5)
    units = [f"F{row}" for row in range(rows)]
    number = revision - 1 if earlier_revision else revision
    ledger.note(Asked("flights", number, challenger, units, [happened] * rows), range(rows))
    ledger.write(last=True)


def errors(found: ABTestResult) -> tuple[float | None, int]:
    """Return the challenger's error rate, and of how many rows."""
    (lift,) = [lift for lift in found.metrics if lift.metric == "error_rate"]
    return lift.treatment, lift.rows_treatment


def test_what_failed_belongs_to_a_test_by_its_time_and_revision(site: Site) -> None:
    nothing, answered = errors(site.workspace.abtest_result("flights"))
    assert nothing == 0.0
    fail(site, 10, MINUTE)
    fail(site, 100, 2 * HOUR)  # before the test began
    fail(site, 100, MINUTE, earlier_revision=True)
    fail(site, 100, -MINUTE)  # after the last answer
    assert errors(site.workspace.abtest_result("flights")) == (10 / (answered + 10), answered + 10)
    fail(site, 5, MINUTE, happened=APRIL + 24 * HOUR)
    assert errors(site.workspace.abtest_result("flights", until="2013-04-02"))[1] == answered + 10
    assert errors(site.workspace.abtest_result("flights"))[1] == answered + 15


def test_a_pinned_range_has_the_same_failures_whatever_fails_later(site: Site) -> None:
    context = site.workspace.context
    pinned = context.log.pin("flights").to_json()
    before = errors(site.workspace.abtest_result("flights", pinned=pinned))
    fail(site, 50, timedelta(0))
    assert errors(site.workspace.abtest_result("flights", pinned=pinned)) == before


def test_a_plan_measures_the_error_rate_so_far(site: Site) -> None:
    assert site.workspace.abtest_plan("flights", effect=0.01, metric="error_rate").baseline > 0


def test_a_plan_takes_a_metric_of_ones_own_such_as_a_ratio(site: Site) -> None:
    own = "slow: {value: latency_ms, denominator: score, better: lower, needs_labels: false}"
    found = site.workspace.abtest_plan("flights", effect=0.01, metrics=own + "\nsure: {value: score > 0.9}")
    log = site.workspace.context.log
    rows = log.predictions(log.pin("flights")).to_pandas()
    assert found.metric == "slow"
    by_variant = [part["latency_ms"].sum() / part["score"].sum() * len(part) for _, part in rows.groupby("variant")]
    assert found.baseline == pytest.approx(sum(by_variant) / len(rows))
    with pytest.raises(NotFound, match=r"there is no metric 'slwo'\. Did you mean 'slow'"):
        site.workspace.abtest_plan("flights", effect=0.01, metric="slwo", metrics=own)
    with pytest.raises(NotFound, match=r"there is no column for metric 'sure' 'scoer'\. Did you mean 'score'"):
        site.workspace.abtest_plan("flights", effect=0.01, metrics="sure: scoer > 0.9")
