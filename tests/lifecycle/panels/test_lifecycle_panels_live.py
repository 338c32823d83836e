from __future__ import annotations

import math
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from mlprod_nb.errors import Unavailable
from mlprod_nb.lifecycle.panels import reacting
from mlprod_nb.lifecycle.panels.counters import (
    MOST_SAMPLES,
    ReactionCount,
    Sample,
    Samples,
    VariantCount,
    between,
    quantile,
    read,
)
from mlprod_nb.lifecycle.panels.live import LiveView, Watch
from mlprod_nb.lifecycle.panels.reacting import ReactionShare
from mlprod_nb.lifecycle.panels.recent import Recent
from tests.lifecycle.conftest import Site

AT = datetime(2013, 4, 1, tzinfo=UTC)
METRICS = """\
mlprod_requests_total{endpoint="flights",route="invoke",status="200"} 8.0
mlprod_requests_total{endpoint="flights",route="infer",status="422"} 2.0
mlprod_requests_total{endpoint="flights",route="feedback",status="200"} 7.0
mlprod_requests_total{endpoint="fares",route="invoke",status="200"} 99.0
mlprod_prediction_seconds_bucket{endpoint="flights",le="0.001",variant="champion"} 4.0
mlprod_prediction_seconds_bucket{endpoint="flights",le="0.01",variant="champion"} 8.0
mlprod_prediction_seconds_bucket{endpoint="flights",le="+Inf",variant="champion"} 8.0
mlprod_prediction_seconds_count{endpoint="flights",variant="champion"} 8.0
mlprod_predicted_rows_total{endpoint="flights",shadow="false",variant="champion"} 80.0
mlprod_model_errors_total{endpoint="flights",shadow="false",variant="champion"} 2.0
mlprod_feedback_rows_total{endpoint="flights",kind="interaction",name="clicked"} 12.0
mlprod_feedback_rows_total{endpoint="flights",kind="label",name="label"} 9.0
mlprod_feedback_rows_total{endpoint="fares",kind="reward",name="saved"} 5.0
mlprod_batch_rows_count{bundle="3fa9c1d2aa01"} 4.0
mlprod_batch_rows_sum{bundle="3fa9c1d2aa01"} 80.0
mlprod_batch_rows_count{bundle="77a9c1d2aa33"} 9.0
"""


def a_sample(second: int, requests: float) -> Sample:
    return Sample(AT + timedelta(seconds=second), requests, 0.0, {"a": VariantCount(requests, requests)})


def test_an_endpoints_numbers_are_read_from_the_metrics() -> None:
    sample = read(METRICS, "flights", AT)
    assert (sample.answered, sample.refused) == (10.0, 2.0)
    champion = sample.variants["champion"]
    assert (champion.requests, champion.rows, champion.errors) == (8.0, 80.0, 2.0)
    assert (champion.batches, champion.batched) == (0.0, 0.0)
    told = read(METRICS, "flights", AT, {"champion": "3fa9c1d2aa01ffff"}).variants["champion"]
    assert (told.batches, told.batched) == (4.0, 80.0)
    assert champion.buckets == ((0.001, 4.0), (0.01, 8.0), (math.inf, 8.0))
    assert sample.reactions == {("interaction", "clicked"): 12.0}
    assert read(METRICS, "nobody", AT).variants == {}


def test_what_users_do_is_told_a_minute_over_the_minute_before_the_most_frequent_first() -> None:
    samples = Samples()
    for second in range(100):
        clicks = {("interaction", "clicked"): float(second // 10), ("reward", "saved"): 2.0 * second}
        samples.add(Sample(AT + timedelta(seconds=second), 0.0, 0.0, {}, clicks))
    saved, clicked = samples.reactions()
    assert (saved.name, saved.since_start, clicked.since_start) == ("saved", 198.0, 9.0)
    assert set(saved.a_minute) == {120.0}
    assert clicked.a_minute[-1] == 6.0
    assert len(clicked.a_minute) == len(samples.stretches([]))
    assert Samples().reactions() == ()


def test_what_the_gateway_heard_stands_beside_what_the_log_knows() -> None:
    share = ReactionShare("interaction", "clicked", "clicked", "champion", 0.25, 0.2, 0.3, 400)
    counts = [ReactionCount("reward", "saved", 7.0), ReactionCount("interaction", "clicked", 3.0)]
    saved, clicked = reacting.together(counts, [share])
    assert (saved.title, saved.shares, clicked.shares) == ("saved (reward)", (), (share,))
    (alone,) = reacting.together((), [share])
    assert alone.since_start == 0.0
    table = reacting.section((saved, clicked), [])
    assert table.columns == ("name", "since the start", "champion")
    assert table.rows == (("saved (reward)", 7, None), ("clicked", 3, "25.0 %"))
    assert reacting.together((), ()) == ()


def test_percentiles_are_prometheus_s() -> None:
    buckets = [(0.001, 4.0), (0.01, 8.0), (math.inf, 8.0)]
    assert quantile(buckets, 0.25) == pytest.approx(0.5)
    assert quantile(buckets, 0.75) == pytest.approx(5.5)
    assert quantile([(0.001, 1.0), (math.inf, 2.0)], 0.99) == 1.0
    assert quantile([(0.001, 0.0), (math.inf, 0.0)], 0.5) is None
    assert quantile([], 0.5) is None


def test_a_gateway_that_began_anew_gives_no_negative_numbers() -> None:
    stretch = between(a_sample(0, 1000.0), a_sample(1, 5.0), ["a"])
    assert stretch.requests == 5.0
    assert stretch.variants[0].requests == 5.0


def test_a_watch_of_days_keeps_as_much_as_one_of_minutes_and_all_of_its_time() -> None:
    samples = Samples()
    sizes = []
    tracemalloc.start()
    for second in range(200_000):
        samples.add(a_sample(second, 10.0 * second))
        if second in (20_000, 199_999):
            sizes.append(tracemalloc.get_traced_memory()[0])
        assert len(samples.kept) < MOST_SAMPLES
    tracemalloc.stop()
    assert sizes[1] < sizes[0] + 50_000
    stretches = samples.stretches(["a"])
    assert samples.kept[0].at == AT
    assert sum(stretch.requests for stretch in stretches) == pytest.approx(10 * 200_000, rel=0.02)
    assert {stretch.requests / stretch.seconds for stretch in stretches} == {10.0}


def test_now_is_the_last_seconds_even_where_samples_are_far_apart() -> None:
    samples = Samples()
    assert samples.last(["a"], 5) is None
    for second in range(1_000):
        samples.add(a_sample(second, 10.0 * second))
    last = samples.last(["a"], 5)
    assert last is not None
    assert last.requests / last.seconds == 10.0
    assert last.seconds <= 5 + samples.step_seconds


def test_a_watch_reads_rows_seldom_and_says_what_it_cannot_read() -> None:
    now = [AT]
    read_at: list[datetime] = []

    def metrics() -> str:
        if now[0] == AT + timedelta(seconds=3):
            raise Unavailable("the gateway is not running.")
        return METRICS

    def recent() -> Recent | None:
        read_at.append(now[0])
        now[0] += timedelta(seconds=2)
        return None

    watch = Watch(lambda: now[0], "flights", metrics, recent, dict)
    looks = []
    for second in range(40):
        now[0] = max(now[0], AT + timedelta(seconds=second))
        looks.append(watch.look())
    assert [(at - AT).total_seconds() for at in read_at] == [0, 20], "a tenth of the time at most"
    assert {look.problem for look in looks} == {"", "the gateway is not running."}
    assert looks[-1].names == ("champion",)


@pytest.fixture(scope="module")
def answering(site: Site) -> Site:
    site.workspace.deploy("flights@champion")
    site.workspace.route("flights", "champion=50", "challenger=50", unit="distance")
    answered = site.workspace.predict("flights", data=site.data, units=[f"u{i}" for i in range(len(site.data))])
    site.workspace.feedback("flights", ids=answered.prediction_ids, values=list(site.target))
    return site


def test_a_real_gateway_tells_requests_times_scores_and_truth(answering: Site) -> None:
    view = answering.workspace.panel("live", "flights")
    assert isinstance(view, LiveView)
    assert view.requests >= 1
    assert {row.variant for row in view.variants} == {"champion", "challenger"}
    assert all(row.p95_ms is not None and row.p95_ms > 0 for row in view.variants)
    assert all(row.batch_rows is not None and row.batch_rows >= 1 for row in view.variants)
    assert [row.variant for row in view.variants] == ["champion", "challenger"], "in the endpoint's order"
    assert view.recent is not None
    assert (view.recent.rows, view.recent.labelled, view.recent.version) == (400, 400, "flights/1")
    assert view.recent.scores is not None
    assert sum(view.recent.scores.reference) == pytest.approx(1, abs=0.05)
    assert [truth.variant for truth in view.recent.truths] == ["reference", "challenger", "champion"]
    assert sum(truth.rows for truth in view.recent.truths[1:]) == 400


def test_what_users_do_is_in_the_live_view_and_in_the_status(answering: Site) -> None:
    workspace = answering.workspace
    assert workspace.status().reactions == ()
    assert "interactions and rewards" not in str(workspace.panel("live", "flights"))
    units = [f"u{i}" for i in range(len(answering.data))]
    ids = workspace.predict("flights", data=answering.data, units=units).prediction_ids
    workspace.feedback("flights", ids=ids[:100], values=[True] * 100, kind="interaction", name="rebooked")
    workspace.feedback("flights", ids=ids[:50], values=[2.5] * 50, kind="reward", name="saved")
    view = workspace.panel("live", "flights")
    assert isinstance(view, LiveView)
    assert [(row.title, row.since_start) for row in view.reactions] == [("rebooked", 100), ("saved (reward)", 50)]
    assert {share.variant for share in view.reactions[0].shares} == {"champion", "challenger"}
    assert sum(share.rows for share in view.reactions[0].shares) >= 400, (
        "the earlier ones, where more may come of these"
    )
    assert "interactions and rewards" in str(view).lower()
    (row,) = workspace.status().reactions
    assert (row.endpoint, row.interactions, row.rewards) == ("flights", 100, 50)
    assert row.most == "rebooked 100, saved (reward) 50"


def test_without_a_gateway_the_panel_says_so(answering: Site) -> None:
    answering.workspace.down(yes=True)
    view = answering.workspace.panel("live", "flights")
    assert isinstance(view, LiveView)
    assert view.problem == "the gateway is not running. Start it with: mlprod up"
    assert "the gateway is not running" in str(view)
