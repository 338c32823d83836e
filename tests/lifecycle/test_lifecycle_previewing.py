"""A promotion's dry run shows gates, approvals, decisions that flip and response times, and moves nothing."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlprod_nb import Workspace
from mlprod_nb.lifecycle.context import Caller
from mlprod_nb.lifecycle.deploying.previewing import PromotionPreview
from tests.lifecycle.conftest import Site

RULE = "\n[models.flights.protected.champion]\napprovals = 1\n"


def preview(site: Site, version: str = "flights/2", endpoint: str = "preview", actor: str = "ann") -> PromotionPreview:
    found = Workspace(site.workspace.root, caller=Caller(actor)).promote(version, endpoint=endpoint, dry_run=True)
    assert isinstance(found, PromotionPreview)
    return found


def test_it_counts_flips_on_recent_rows_and_times_both_versions(site: Site) -> None:
    site.workspace.deploy("flights@champion", endpoint="preview")
    assert preview(site).flips == "not known: the log of the last 7 days is empty"
    answered = site.workspace.predict("preview", data=site.data[:200])
    site.workspace.feedback("preview", ids=answered.prediction_ids, values=site.target[:200])
    before = site.workspace.history("preview"), site.workspace.models("flights")
    found = preview(site)
    other = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(site.data, site.target)
    was, would, truth = site.model.predict(site.data[:200]), other.predict(site.data[:200]), site.target[:200]
    flipped = was != would
    right = int((flipped & (would == truth)).sum())
    assert found.rows == 200
    assert found.flips.startswith(f"{flipped.sum()} of 200 recent ones flip (")
    assert f"{right} become right, {flipped.sum() - right} wrong" in found.flips
    assert [row.version for row in found.latency] == ["flights/1", "flights/2"]
    assert all(0 < row.median_ms <= row.p99_ms for row in found.latency)
    assert found.exit_code == 0
    assert found.verdict.status == "warn", "its gates were never run"
    assert "flights/2 has no gate report" in found.gates
    assert found.approvals == ""
    assert (found.aliases[0].after, found.before) == ("flights/2", "champion flights/1 100 %")
    assert (site.workspace.history("preview"), site.workspace.models("flights")) == before


def test_it_says_what_a_protected_alias_still_asks_for(site: Site) -> None:
    file = site.workspace.root / "mlprod.toml"
    kept = file.read_text(encoding="utf-8")
    file.write_text(kept + RULE, encoding="utf-8")
    site.workspace.deploy("flights@champion", endpoint="guarded")
    found = preview(site, endpoint="guarded")
    assert found.exit_code == 1
    assert found.missing[0] == "flights/2 has no gate report."
    digest = site.workspace.check("flights/2").digest
    assert f"mlprod approve {digest[:12]} --reason WHY" in preview(site, endpoint="guarded").verdict.sentence
    Workspace(site.workspace.root, caller=Caller("bob")).approve(digest, reason="read it")
    found = preview(site, endpoint="guarded")
    assert found.verdict.status == "ok"
    assert found.approvals.startswith(f"bob (gates {digest[:12]}); 1 by others than ")
    assert f"bob (gates {digest[:12]})" in str(found)
    file.write_text(kept, encoding="utf-8")


def test_a_version_that_cannot_answer_the_rows_is_said_to(site: Site) -> None:
    wide = site.data.assign(weather=site.data["hour"] * 2.0)
    model = LogisticRegression(max_iter=500).fit(wide, site.target)
    version = site.workspace.register("wide", model=model, data=wide, target=site.target).version
    site.workspace.deploy("flights@champion", endpoint="narrow")
    site.workspace.predict("narrow", data=site.data[:10])
    found = preview(site, version, endpoint="narrow")
    assert "not known: column 'weather' is missing" in found.flips
    assert found.latency == ()


def test_of_a_regression_it_says_how_far_values_move(site: Site) -> None:
    target = site.data["distance"] * 2 + np.arange(len(site.data)) % 7
    for share in (1.0, 0.5):
        model = LinearRegression().fit(site.data, target * share)
        site.workspace.register("delay", model=model, data=site.data, target=target)
    site.workspace.deploy("delay/1", endpoint="delay")
    site.workspace.predict("delay", data=site.data[:50])
    found = preview(site, "delay/2", endpoint="delay")
    assert found.flips.startswith("the 50 values would move by ")


def test_an_alias_that_was_mistyped_is_told_to_be_new_and_the_next_line_keeps_the_alias(site: Site) -> None:
    site.workspace.check("flights/2")
    site.workspace.deploy("flights@champion", endpoint="typed")
    found = site.workspace.promote("flights/2", endpoint="typed", alias="chmpion", dry_run=True)
    assert isinstance(found, PromotionPreview)
    assert "flights@chmpion is a new alias. Did you mean 'champion'?" in found.verdict.sentence
    assert found.verdict.action == "%mlprod promote flights/2 --endpoint typed --alias chmpion"
    assert "is a new alias" not in preview(site, endpoint="typed").verdict.sentence
