"""A bundle that cannot be read is told of its endpoint, and hides no other."""

from __future__ import annotations

import shutil

import pytest

from mlprod_nb.errors import Unavailable
from mlprod_nb.lifecycle.panels.drift import DriftView
from mlprod_nb.lifecycle.panels.live import LiveView
from mlprod_nb.lifecycle.serving_now import EndpointStatus
from mlprod_nb.widgets import live
from tests.lifecycle.conftest import Site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def bundles(site: Site) -> dict[str, str]:
    """Two endpoints serve; the digests of their bundles, by endpoint."""
    site.workspace.deploy("flights@champion")
    site.workspace.deploy("flights@challenger", endpoint="fares")
    resolve = site.workspace.context.registry.resolve
    return {"flights": resolve("flights/1").bundle, "fares": resolve("flights/2").bundle}


def rows(site: Site) -> dict[str, EndpointStatus]:
    return {row.endpoint: row for row in site.workspace.status().endpoints}


def test_a_bundle_that_is_gone_is_told_with_the_verb_that_fetches_it_again(site: Site, bundles: dict[str, str]) -> None:
    before = rows(site)
    digest = bundles["flights"]
    shutil.rmtree(site.workspace.context.layout.bundles / digest)
    after = rows(site)
    note = f"the bundle {digest[:12]} of flights/1 is gone from .mlprod/bundles; "
    note += "to fetch it from the registry: mlprod deploy flights/1 --endpoint flights"
    assert (after["flights"].runtime, after["flights"].note) == ("", note)
    assert after["fares"] == before["fares"]
    verdict = site.workspace.status().verdict
    assert (verdict.status, verdict.sentence) == ("warn", f"a gateway that starts cannot load 'flights': {note}.")
    assert "cannot load 'flights'" in str(site.workspace.panel("status"))
    site.workspace.deploy("flights/1", endpoint="flights")
    assert rows(site)["flights"].runtime == "onnx"
    assert site.workspace.status().verdict.status == "ok"


def test_a_bundle_that_was_changed_is_told_and_a_check_is_asked_where_a_deploy_would_end_a_split(
    site: Site, bundles: dict[str, str]
) -> None:
    site.workspace.route("flights", "champion=50", "challenger=50")
    warmup = site.workspace.context.layout.bundles / bundles["flights"] / "warmup.json"
    kept = warmup.read_bytes()
    warmup.write_bytes(kept + b" ")
    note = f"bundle {bundles['flights'][:12]}: warmup.json does not match its digest; "
    note += "to fetch it from the registry: mlprod check flights/1"
    try:
        assert note in [row.note for row in site.workspace.status().endpoints]
    finally:
        warmup.write_bytes(kept)


def test_whoever_needs_a_bundle_that_is_gone_names_it_and_the_verb_and_a_check_brings_it_back(
    site: Site, bundles: dict[str, str]
) -> None:
    workspace, digest = site.workspace, bundles["flights"]
    answered = workspace.predict("flights", data=site.data[:30])
    workspace.feedback(
        "flights", ids=answered.prediction_ids[:3], values=["yes"] * 3, kind="interaction", name="booked"
    )
    shutil.rmtree(workspace.context.layout.bundles / digest)
    said = (
        f"the bundle {digest[:12]} of flights/1 is gone from .mlprod/bundles. "
        "To fetch it from the registry: mlprod check flights/1"
    )
    for verb in (
        lambda: workspace.monitor("flights"),
        lambda: workspace.monitor("flights", drill="distance+1sd"),
        lambda: workspace.retrain("flights", dry_run=True),
        lambda: workspace.promote("flights/2", dry_run=True),
        lambda: workspace.release("flights/2", plan=True),
        lambda: workspace.abtest_start("flights", design="primary: brier"),
    ):
        with pytest.raises(Unavailable) as caught:
            verb()
        assert str(caught.value) == said
    seen, drift = workspace.panel("live", "flights"), workspace.panel("drift", "flights")
    assert isinstance(seen, LiveView)
    assert seen.headline().endswith(f"The newest rows are not compared with the reference: {said}")
    assert seen.requests > 0
    assert [row.title for row in seen.reactions] == ["booked"]
    assert live.view(seen)["recent"]["problem"].endswith(said)
    assert isinstance(drift, DriftView)
    assert (drift.verdict.status, drift.verdict.sentence) == ("alarm", said)
    assert drift.windows
    workspace.check("flights/1")
    assert workspace.monitor("flights").exit_code in (0, 1)
    assert "compared" not in workspace.panel("live", "flights").headline()
