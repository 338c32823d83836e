"""Checking versions: what is archived, what it is true of, and what continuous integration reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mlprod_nb import Workspace, settings
from mlprod_nb.errors import Corrupt, InvalidInput, NotFound, Refused, UsageError
from mlprod_nb.gates import GateReport
from mlprod_nb.lifecycle.checking import gating
from mlprod_nb.registry import attachments
from mlprod_nb.registry.versions import GATES_TAG
from mlprod_nb.routing import EndpointSpec, Variant
from mlprod_nb.store import revisions
from tests.lifecycle.checking.held_out import more_flights
from tests.lifecycle.conftest import Site, make_site

PATIENT = "[models.flights.gates.latency]\nlimit_ms = 5000.0\n"  # a budget that a busy machine keeps


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("gates"))
    set_to(site, PATIENT)
    yield site
    site.workspace.context.store.close()


@pytest.fixture
def report(checked: Site) -> GateReport:
    return checked.workspace.check("flights/1")


def set_to(site: Site, text: str) -> Workspace:
    """Write settings and open the workspace anew."""
    (site.workspace.root / settings.FILE_NAME).write_text(text, encoding="utf-8")
    site.workspace.__dict__.pop("_context", None)
    return site.workspace


def standing(workspace: Workspace, version: str) -> gating.Standing:
    return gating.standing(workspace.context, workspace.context.registry.resolve(version))


def test_a_version_that_was_never_checked_does_not_stand(checked: Site) -> None:
    found = standing(checked.workspace, "flights/2")
    assert (found.passes, found.digest) == (False, "")
    assert found.sentence == "flights/2 has no gate report. Run: mlprod check flights/2"
    with pytest.raises(Refused, match="flights/2 was never checked"):
        checked.workspace.check("flights/2", last=True)


def test_a_checked_version_stands_on_its_newest_report(checked: Site, report: GateReport) -> None:
    assert report.exit_code == 0, report
    assert standing(checked.workspace, "flights/1") == gating.Standing(True, report.digest, report.verdict.sentence)
    again = checked.workspace.check("flights@champion")
    assert again.digest != report.digest
    assert standing(checked.workspace, "flights/1").digest == again.digest
    assert checked.workspace.check("flights/1", last=True) == again
    page = (checked.workspace.root / again.page).read_text(encoding="utf-8")
    assert "Since the last report" in page
    assert "The gate report before, of flights/1, " in page
    assert "Nothing is open" not in page


def test_what_comes_next_is_a_deployment_only_where_the_version_does_not_serve(
    checked: Site, report: GateReport
) -> None:
    context = checked.workspace.context
    assert report.verdict.action == "%mlprod deploy flights/1"
    page = (checked.workspace.root / report.page).read_text(encoding="utf-8")
    assert "<span>To serve it, run</span> <code>%mlprod deploy flights/1</code>" in page
    version = context.registry.resolve("flights/1")
    spec = EndpointSpec("week", (Variant("champion", "flights", 1, version.bundle, 1.0),))
    for state in (spec, None):
        with context.store.write() as connection:
            now = context.clock()
            proposed = revisions.propose(connection, "week", state, actor="ann", command="", reason="", now=now)
            revisions.decide(connection, proposed.id, "active", detail="", now=now)
        if state is not None:
            serving = checked.workspace.check("flights/1")
    assert (serving.verdict.action, serving.verdict.sentence) == ("", f"{report.verdict.sentence} It serves week.")
    page = (checked.workspace.root / serving.page).read_text(encoding="utf-8")
    assert "<span>Run next</span> Nothing" in page
    assert checked.workspace.check("flights/1").verdict.action == "%mlprod deploy flights/1"


def test_a_report_is_archived_with_page_and_junit_and_in_the_audit_trail(checked: Site, report: GateReport) -> None:
    context = checked.workspace.context
    version = context.registry.resolve("flights/1")
    stored = attachments.read(context.registry, version, f"gates/{report.digest[:16]}/report.json")
    assert GateReport.from_json(stored) == report
    page = (checked.workspace.root / report.page).read_text(encoding="utf-8")
    assert "Gate report of flights/1" in page
    assert report.digest in page
    assert all(gate.name in page for gate in report.gates)
    assert any(report.digest in str(entry) for entry in checked.workspace.audit_show().entries)
    assert checked.workspace.audit_verify().exit_code == 0


def test_a_report_of_another_bundle_is_no_evidence(checked: Site, report: GateReport) -> None:
    context = checked.workspace.context
    other = replace(context.registry.resolve("flights/1"), bundle="0" * 64)
    found = gating.standing(context, other)
    assert (found.passes, found.digest) == (False, report.digest)
    assert "about another bundle" in found.sentence


def test_a_tag_that_names_what_is_not_there_is_found_out(checked: Site, report: GateReport) -> None:
    context = checked.workspace.context
    version = context.registry.resolve("flights/1")
    attachments.tag(context.registry, version, GATES_TAG, "f" * 64)
    try:
        with pytest.raises(Corrupt, match="is missing from the registry"):
            standing(checked.workspace, "flights/1")
    finally:
        attachments.tag(context.registry, version, GATES_TAG, report.digest)


def test_a_gate_that_is_required_later_must_have_been_passed(checked: Site, report: GateReport) -> None:
    try:
        required = set_to(checked, '[models.flights.gates]\nrequired = ["agreement"]\n' + PATIENT)
        assert standing(required, "flights/1").passes
        unknown = set_to(checked, '[models.flights.gates]\nrequired = ["fairness"]\n' + PATIENT)
        assert "'fairness' is required by now" in standing(unknown, "flights/1").sentence
        with pytest.raises(NotFound, match="'fairness'"):
            unknown.check("flights/1")
    finally:
        set_to(checked, PATIENT)


def test_a_failed_check_exits_with_1_and_does_not_stand(checked: Site) -> None:
    try:
        impatient = set_to(checked, "[models.flights.gates.latency]\nlimit_ms = 0.000001\n")
        found = impatient.check("flights/2")
        assert found.exit_code == 1
        assert not standing(impatient, "flights/2").passes
        page = (checked.workspace.root / found.page).read_text(encoding="utf-8")
        assert "What to do" in page
        assert "Run next" not in page
    finally:
        set_to(checked, PATIENT)


def test_junit_and_the_step_summary_are_written(checked: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    for _ in range(2):
        checked.workspace.check("flights/1", junit=str(tmp_path / "gates.xml"))
    suite = ElementTree.fromstring((tmp_path / "gates.xml").read_text(encoding="utf-8")).find("testsuite")
    assert suite is not None
    assert suite.get("name") == "gates of flights/1"
    assert (tmp_path / "step.md").read_text(encoding="utf-8").count("### ✓ OK: flights/1 passes all") == 2
    checked.workspace.check("flights/1", summary=str(tmp_path / "own.md"), last=True)
    assert "flights/1" in (tmp_path / "own.md").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=r"gates\.xml cannot be written: No such file"):
        checked.workspace.check("flights/1", junit=str(tmp_path / "nowhere" / "gates.xml"), last=True)


def test_a_setting_of_a_wrong_name_is_refused_with_the_nearest(checked: Site) -> None:
    try:
        with pytest.raises(UsageError, match=r"'requird' is neither a setting nor a table of a gate\. Did you mean"):
            set_to(checked, '[models.flights.gates]\nrequird = ["agreement"]\n').check("flights/1")
    finally:
        set_to(checked, PATIENT)


# Held-out rows: where they come from.


def said(report: GateReport, gate: str) -> str:
    outcome = report.outcome(gate)
    assert outcome is not None
    return f"{outcome.status}: {outcome.sentence}"


def test_without_held_out_rows_the_gates_say_how_to_give_them(report: GateReport) -> None:
    assert said(report, "score").startswith("skipped: Not tested: there are no held-out rows: pass --holdout")
    assert (report.held_out, report.against) == ("", "")


def test_rows_given_with_the_check_are_compared_with_the_champion(checked: Site) -> None:
    data, target = more_flights()
    found = checked.workspace.check("flights/2", holdout=data, target=target)
    assert (found.held_out, found.against) == ("600 rows given with the check", "flights/1")
    assert " of flights/1 on the same rows: " in said(found, "champion")
    itself = checked.workspace.check("flights/1", holdout=data, target=target)
    assert said(itself, "champion") == "skipped: Not tested: flights/1 is the champion itself."
    other = checked.workspace.check("flights/1", holdout=data, target=target, against="flights/2")
    assert other.against == "flights/2"


def test_rows_of_the_settings_file_come_before_recorded_ones(checked: Site) -> None:
    data, target = more_flights()
    data.assign(late=target).to_parquet(checked.workspace.root / "held_out.parquet")
    test, outcome = more_flights(100)
    options: Any = {"data": checked.data, "target": checked.target, "holdout": test, "holdout_target": outcome}
    version = checked.workspace.register("flights", model=checked.model, note="with rows", **options).version
    assert checked.workspace.check(version).held_out == f"100 rows recorded with {version}"
    try:
        named = set_to(checked, '[models.flights.gates]\nholdout = "held_out.parquet"\ntarget = "late"\n' + PATIENT)
        assert named.check(version).held_out == "600 rows of held_out.parquet"
        again = set_to(checked, '[models.flights.gates]\nholdout = "held_out.parquet"\n' + PATIENT)
        with pytest.raises(UsageError, match="held-out rows need their outcomes"):
            again.check(version)
        gone = set_to(checked, '[models.flights.gates]\nholdout = "nowhere.csv"\ntarget = "late"\n' + PATIENT)
        with pytest.raises(NotFound, match=r"no file .*nowhere\.csv"):
            gone.check(version)
    finally:
        set_to(checked, PATIENT)


def test_rows_that_the_model_does_not_take_are_refused_when_it_is_registered(checked: Site) -> None:
    data, target = more_flights(100)
    before = checked.workspace.models("flights")
    options: Any = {"model": checked.model, "data": checked.data, "target": checked.target}
    with pytest.raises(InvalidInput, match="column 'hour' is missing"):
        checked.workspace.register("flights", holdout=data[["distance"]], holdout_target=target, **options)
    assert checked.workspace.models("flights") == before
