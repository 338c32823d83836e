"""A/B tests through the workspace: a shadow compared in pairs, a treatment shipped, a design that cannot answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.lifecycle.abtests import reading
from mlprod_nb.lifecycle.traffic import PredictResult
from tests.lifecycle.conftest import Site, make_site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

APRIL = datetime(2013, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two versions, of which the second always says 1."""
    site = make_site(tmp_path_factory.mktemp("abtest"))
    site.workspace.up()
    site.workspace.deploy("flights@champion")
    site.workspace.route("flights", "champion=100", "challenger=shadow")
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


def ask(site: Site, *, days: float) -> PredictResult:
    """Answer every row as its own unit, and say that what the shadow answers is true."""
    rows = len(site.data)
    when = [APRIL + timedelta(days=days * i / rows) for i in range(rows)]
    return site.workspace.predict("flights", data=site.data, units=[f"N{i}" for i in range(rows)], event_time=when)


def serves(site: Site) -> str:
    """Return which version answers, without changing how much traffic a day has."""
    (version,) = set(site.workspace.predict("flights", data=site.data[:3], event_time=[APRIL] * 3).model_version)
    return str(version)


def truths(site: Site, answered: PredictResult) -> list[int]:
    """Return labels that the shadow always hits, and the champion where the two agree."""
    log = site.workspace.context.log
    rows = log.predictions(log.pin("flights"), shadows=True).to_pylist()
    shadow = {row["prediction_id"]: int(row["prediction"]) for row in rows if row["shadow"]}
    return [shadow[id_] for id_ in answered.prediction_ids]


def test_a_shadow_is_compared_in_pairs_and_shipped(site: Site) -> None:
    workspace = site.workspace
    started = workspace.abtest_start("flights", treatment="challenger", minimal_effect=0.01, maximum_days=30)
    assert "in pairs on the shadow's requests" in started.design
    assert (
        started.needs == "not known: too few requests have been answered by both variants, or nothing differs on them."
    )
    with pytest.raises(Refused, match="runs on 'flights' already"):
        workspace.abtest_start("flights")
    nothing = workspace.abtest_result("flights")
    assert nothing.decision == "keep going"
    refused = workspace.abtest_stop("flights", ship=True)
    assert refused.exit_code == 1
    assert "not shipped, and the A/B test on 'flights' goes on: keep going" in refused.headline()
    answered = ask(site, days=4)
    wait_for_shadows(site, len(answered.prediction_ids))
    workspace.feedback("flights", ids=answered.prediction_ids, values=truths(site, answered))
    found = workspace.abtest_result("flights")
    assert found.method == "paired"
    assert found.metrics[0].read_by == "exact test in pairs, valid at every look"
    assert found.metrics[0].rows_control == found.metrics[0].rows_treatment == len(site.data)
    assert found.metrics[0].treatment == 1.0
    assert found.decision == "ship", found.verdict.sentence
    with pytest.raises(Refused, match="a shadow's test divides no units"):
        workspace.abtest_calibrate("flights")
    would = workspace.abtest_stop("flights", ship=True, dry_run=True)
    assert would.exit_code == 0
    assert "would have (dry run, nothing changed)" in would.headline()
    assert serves(site) == "flights/1"
    shipped = workspace.abtest_stop("flights", ship=True)
    assert [move.alias for move in shipped.aliases] == ["flights@champion"]
    assert serves(site) == "flights/2"
    newest = workspace.history("flights").to_frame().iloc[0]
    assert "A/B test: ship challenger" in str(newest.to_dict())
    with pytest.raises(Refused, match="no A/B test runs on 'flights'"):
        workspace.abtest_stop("flights")


def test_a_design_that_cannot_answer_in_its_time_is_refused(site: Site) -> None:
    workspace = site.workspace
    workspace.route("flights", "flights/1=50", "champion=50")
    with pytest.raises(Refused) as caught:
        workspace.abtest_start(
            "flights", treatment="champion", design="control: v1\nminimal_effect: 0.001\nmaximum_days: 2"
        )
    message = str(caught.value)
    assert "the design cannot answer: 2" in message
    assert "(2 days at today's traffic) would find a difference of 0.001 in accuracy with a chance of" in message
    assert "and 80 % is asked. To find a difference of 0.001 in accuracy takes" in message
    with pytest.raises(UsageError, match="primary is in the design and in --primary too"):
        workspace.abtest_start("flights", design="primary: brier", primary="brier")


def test_shipping_against_the_verdict_takes_a_word_and_a_reason(site: Site) -> None:
    workspace = site.workspace
    workspace.abtest_start("flights", treatment="v1", design="control: champion")
    with pytest.raises(UsageError, match="takes a reason"):
        workspace.abtest_stop("flights", ship=True, yes=True)
    assert workspace.abtest_stop("flights", ship=True).exit_code == 1
    shipped = workspace.abtest_stop("flights", ship=True, yes=True, reason="the old one explains itself")
    assert shipped.concluded.startswith("keep going")
    assert serves(site) == "flights/1"


def wait_for_shadows(site: Site, count: int) -> None:
    """Poll the log: shadows are scored after the reply."""
    import time

    log, deadline = site.workspace.context.log, time.monotonic() + 60
    while time.monotonic() < deadline:
        shadow = log.predictions(log.pin("flights"), shadows=True, only=["shadow"])["shadow"].to_pylist()
        if sum(shadow) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the shadow did not score every request")


def test_a_split_is_calibrated_and_what_came_before_it_does_not_count(site: Site) -> None:
    workspace = site.workspace
    workspace.route("flights", "flights/1=50", "champion=50")
    early = ask(site, days=1)
    with pytest.raises(UsageError, match="made of score, which depends on the variant"):
        workspace.abtest_start("flights", treatment="v1", design="control: champion\nsegments: [score > 0.5]")
    workspace.abtest_start(
        "flights", treatment="v1", design="control: champion\nexpected_rows: 300", segments="hour < 12, distance"
    )
    answered = ask(site, days=1)
    workspace.feedback("flights", ids=answered.prediction_ids, values=list(site.target))
    found = workspace.abtest_result("flights")
    assert found.rows == len(answered.prediction_ids)
    before = (
        f"{len(early.prediction_ids):,} predictions came before the test began or after it ended; they do not count."
    )
    assert before in found.notes
    assert [(lift.by, lift.segment) for lift in found.segments[:2]] == [("hour < 12", "false"), ("hour < 12", "true")]
    assert sum(lift.rows for lift in found.segments if lift.by == "distance") == len(answered.prediction_ids)
    assert all(check.ok for check in found.health), found.health
    (alike,) = [check for check in found.health if check.check == "inputs alike"]
    assert alike.found.startswith("2 columns of 400 units;")
    shuffled = workspace.abtest_calibrate("flights", runs=50)
    assert (shuffled.runs, shuffled.units, shuffled.looks) == (50, 400, 20)
    assert shuffled.exit_code == 0
    workspace.abtest_stop("flights", reason="seen enough.")
    ask(site, days=1)
    over = workspace.abtest_result("flights")
    assert over.rows == found.rows
    assert over.decision == found.decision
    assert over.verdict.sentence.startswith("the test ended at ")
    assert over.verdict.sentence.endswith(f" UTC: seen enough. As it stood: {found.verdict.sentence}")


def test_what_one_version_says_of_every_request_is_a_covariate(site: Site) -> None:
    workspace, body = site.workspace, "control: v1\nprimary: brier\ncovariates: [prediction of {}]"
    alone = ask(site, days=1)
    assert set(alone.model_version) == {"flights/1"}
    workspace.route("flights", "flights/1=50", "flights/2=50")
    with pytest.raises(NotFound, match="no version 'flights/99'"):
        workspace.abtest_start("flights", design=body.format("flights/99"))
    started = workspace.abtest_start("flights", design=body.format("flights@champion"))
    assert "; covariates prediction of flights/1" in started.design
    answered = ask(site, days=1)
    assert set(answered.model_version) == {"flights/1", "flights/2"}
    workspace.feedback("flights", ids=answered.prediction_ids, values=list(site.target))
    notes = workspace.abtest_result("flights").notes
    (note,) = [note for note in notes if note.startswith("The covariates leave")]
    assert note.endswith("% of the variance of brier.")
    wanted = reading.Wanted(covariates=["prediction of flights/1"])
    rows = reading.labelled(workspace.context, workspace.context.log.pin("flights"), wanted).to_pylist()
    said = {row["prediction_id"]: row["covariate prediction of flights/1"] for row in rows}
    assert [said[id_] for id_ in answered.prediction_ids] == pytest.approx(list(alone.scores), abs=1e-6)
    workspace.abtest_stop("flights")
    workspace.route("flights", "flights/1=50", "champion=50")


def test_a_split_that_is_changed_midway_is_read_by_period_and_by_the_first_where_units_moved(site: Site) -> None:
    workspace = site.workspace
    workspace.route("flights", "flights/1=50", "champion=50")
    workspace.abtest_start("flights", treatment="v1", design="control: champion\nprimary: brier")
    rows = len(site.data)
    for split in (("flights/1=50", "champion=50"), ("flights/1=80", "champion=20")):
        workspace.route("flights", *split)
        when = [APRIL + timedelta(days=i / rows) for i in range(rows)]
        answered = workspace.predict("flights", data=site.data, event_time=when)
        workspace.feedback("flights", ids=answered.prediction_ids, values=list(site.target))
    found = workspace.abtest_result("flights")
    assert [line.split for line in found.periods] == ["champion 50.0 %, v1 50.0 %", "champion 20.0 %, v1 80.0 %"]
    assert found.rows == 2 * rows
    assert found.decision == "keep going", found.verdict.sentence
    assert workspace.abtest_calibrate("flights", runs=5).rows == rows
    workspace.abtest_stop("flights")
    workspace.route("flights", "flights/1=50", "champion=50")
    workspace.abtest_start("flights", treatment="v1", design="control: champion\nprimary: brier")
    ask(site, days=1)
    workspace.route("flights", "flights/1=80", "champion=20")
    ask(site, days=1)
    moved = workspace.abtest_result("flights")
    assert (moved.rows, moved.periods) == (rows, ())
    assert any("units met both variants since" in note for note in moved.notes), moved.notes
    workspace.abtest_stop("flights")


def test_a_bandit_moves_its_shares_by_revisions_and_is_read_by_period(site: Site) -> None:
    workspace, rows = site.workspace, len(site.data)
    workspace.route("flights", "flights/1=50", "champion=50")
    with pytest.raises(Refused, match=r"no A/B test .*on 'flights'"):
        workspace.abtest_allocate("flights")
    workspace.abtest_start("flights", treatment="v1", design="control: champion\nallocation: thompson\nfloor: 0.2")
    early = workspace.abtest_allocate("flights")
    assert early.headline() == (
        "The shares of 'flights' stay: champion has 0 predictions with accuracy, and 30 are needed."
    )

    def learn() -> None:
        """Answer every row, and say that v1 is always right and the champion half of the time."""
        when = [APRIL + timedelta(days=i / rows) for i in range(rows)]
        answered = workspace.predict("flights", data=site.data, event_time=when)
        said = zip(answered.predictions, answered.variant, strict=True)
        truth = [int(one) if name == "v1" or i % 2 else 1 - int(one) for i, (one, name) in enumerate(said)]
        workspace.feedback("flights", ids=answered.prediction_ids, values=truth)

    learn()
    would = workspace.abtest_allocate("flights", dry_run=True)
    assert "would move (dry run, nothing changed)" in would.headline()
    moved = workspace.abtest_allocate("flights")
    assert moved.revision == would.revision
    assert {share.variant: share.after for share in moved.shares} == {"champion": 20.0, "v1": 80.0}
    newest = str(workspace.history("flights").to_frame().iloc[0].to_dict())
    assert f"A/B test: Thompson's shares after {rows} predictions with accuracy" in newest
    learn()
    found = workspace.abtest_result("flights")
    assert [line.split for line in found.periods] == ["champion 50.0 %, v1 50.0 %", "champion 20.0 %, v1 80.0 %"]
    assert found.decision == "ship", found.verdict.sentence
    assert "they would move by less than a point" in workspace.abtest_allocate("flights").headline()
    workspace.abtest_stop("flights")
    workspace.route("flights", "flights/1=50", "champion=50", unit="tailnum")
    with pytest.raises(UsageError, match="a bandit would move units that come back, and 'flights' is split by tailnum"):
        workspace.abtest_start("flights", treatment="v1", design="control: champion\nallocation: thompson")


def test_each_of_several_treatments_is_known_by_its_version(site: Site) -> None:
    workspace, context = site.workspace, site.workspace.context
    workspace.route("flights", "champion=34", "flights/1=33", "flights/2=33")
    workspace.abtest_start("flights", design="control: champion\ntreatments: [v1, v2]")
    with context.store.read() as connection:
        test = reading.latest(connection, "flights")
    assert test is not None
    assert [reading.tested(context, test, name) for name in ("v1", "v2")] == ["flights/1", "flights/2"]
    answered = ask(site, days=1)
    workspace.feedback("flights", ids=answered.prediction_ids, values=list(site.target))
    found = workspace.abtest_result("flights")
    assert {arm.treatment for arm in found.arms} == {"v1", "v2"}
    assert set(found.sample_ratio.expected) == {"champion", "v1", "v2"}
    workspace.abtest_stop("flights")
