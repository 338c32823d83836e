"""Rewards and interactions that a gateway took decide an A/B test, and a report says what the verb says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlprod_nb.errors import Refused, UsageError
from mlprod_nb.lifecycle.traffic import PredictResult
from tests.lifecycle.conftest import Site, make_site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

APRIL = datetime(2013, 4, 1, tzinfo=UTC)
METRICS = """
booked: {interaction: booked, within: 1d}
saved: {reward: saved-minutes, within: 7d}
per_booking: {reward: saved-minutes, denominator: booked, within: 7d}
"""
DESIGN = f"primary: booked\nguardrails: [saved, per_booking]\nmetrics:{METRICS.replace(chr(10), chr(10) + '  ')}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("events"))
    site.workspace.up()
    site.workspace.deploy("flights@champion")
    site.workspace.route("flights", "champion=50", "challenger=50")
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


def ask(site: Site, round_: int) -> tuple[PredictResult, list[datetime]]:
    """Answer every row as its own unit, a second apart."""
    count = len(site.data)
    when = [APRIL + timedelta(days=round_, seconds=row) for row in range(count)]
    units = [f"N{round_}-{row}" for row in range(count)]
    return site.workspace.predict("flights", data=site.data, units=units, event_time=when), when


def say(site: Site, ids: Sequence[str], values: Sequence[Any], kind: str, name: str, when: Sequence[datetime]) -> None:
    site.workspace.feedback("flights", ids=ids, values=values, kind=kind, name=name, event_time=when)


def test_a_design_is_warned_of_names_that_have_never_come_and_decided_by_what_comes(site: Site) -> None:
    workspace = site.workspace
    with pytest.raises(Refused, match="no interaction 'booked' has come in yet"):
        workspace.abtest_plan("flights", effect=0.1, metrics=METRICS)
    before, when = ask(site, 0)
    say(site, before.prediction_ids[:1], ["yes"], "interaction", "bookd", when[:1])
    started = workspace.abtest_start("flights", design=DESIGN)
    assert started.unseen == (
        "no interaction 'booked' has come in yet; there is the interaction 'bookd'.",
        "no reward 'saved-minutes' has come in yet.",
    )
    say(site, before.prediction_ids[:1], ["yes"], "interaction", "booked", when[:1])
    for round_ in (1, 2, 3):
        answered, when = ask(site, round_)
        booked = [
            at
            for at, variant in enumerate(answered.variant)
            if at % 10 < (2 if variant == "champion" else 7)  # of each ten rows the first ones
        ]
        ids = [answered.prediction_ids[at] for at in booked]
        soon = [when[at] + timedelta(hours=2) for at in booked]
        say(site, ids, [True] * len(ids), "interaction", "booked", soon)
        late = [moment + timedelta(days=3) for moment in soon]
        say(site, ids, [float(at % 5) for at in booked], "reward", "saved-minutes", late)
    found = workspace.abtest_result("flights")
    lifts = {lift.metric: lift for lift in found.metrics}
    assert lifts["booked"].control == pytest.approx(0.2, abs=0.05)
    assert lifts["booked"].treatment == pytest.approx(0.7, abs=0.05)
    assert lifts["booked"].rows_control + lifts["booked"].rows_treatment == 3 * len(site.data)
    assert lifts["saved"].control == pytest.approx(0.1, abs=0.05)
    assert lifts["per_booking"].treatment == pytest.approx((0 + 1 + 2 + 3 + 4 + 0 + 1) / 7, abs=0.3)
    assert found.decision == "ship", found.verdict.sentence
    assert "booked counts the interaction 'booked' within 1d of a prediction." in found.notes


def test_a_report_says_what_the_verb_says(site: Site) -> None:
    from mlprod_nb.lifecycle.watching.watch import Window, pin

    workspace = site.workspace
    pinned = pin(workspace.context, Window("flights")).to_json()
    assert workspace.abtest_result("flights", pinned=pinned).to_dict() == workspace.abtest_result("flights").to_dict()


def test_a_plan_measures_what_came_of_predictions(site: Site) -> None:
    found = site.workspace.abtest_plan("flights", effect=0.1, metric="booked", metrics=METRICS)
    assert 0 < found.baseline < 1
    with pytest.raises(UsageError, match="Did you mean 'booked'"):
        site.workspace.abtest_plan("flights", effect=0.1, metric="boked", metrics=METRICS)
    with pytest.raises(Refused, match="no reward 'booked' has come in yet; interaction 'booked' has"):
        site.workspace.abtest_plan("flights", effect=0.1, metrics="mine: {reward: booked}")


def test_a_test_of_interactions_is_calibrated_and_shown_on_its_panel(site: Site) -> None:
    assert site.workspace.abtest_calibrate("flights", runs=20).metric == "booked"
    assert "booked" in str(site.workspace.panel("abtest", "flights").to_dict())


def test_a_test_starts_before_the_first_reward_has_come(site: Site) -> None:
    site.workspace.abtest_stop("flights")
    design = "primary: kept\nmetrics: {kept: {reward: kept}}\nminimal_effect: 0.1\nmaximum_days: 3"
    assert site.workspace.abtest_start("flights", design=design).needs == "not known: no reward 'kept' has come in yet."
    found = site.workspace.abtest_result("flights")
    assert found.decision == "keep going"
    assert found.labelled_share == {}


def test_feedback_with_fewer_moments_than_ids_is_refused(site: Site) -> None:
    with pytest.raises(UsageError, match="--ids has 2 rows and --event-time has 1"):
        site.workspace.feedback("flights", ids=["a", "b"], values=[1, 2], event_time=[APRIL])
