from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from mlprod_nb.errors import Corrupt
from mlprod_nb.gates import GateOutcome, GateReport
from mlprod_nb.gates.formats import junit, summary
from mlprod_nb.gates.report import conclude

OUTCOMES = (
    GateOutcome("integrity", "ok", "All 5 files match their digests.", seconds=0.25),
    GateOutcome("format", "warn", "The model is Python code."),
    GateOutcome("score", "alarm", "Accuracy is <b>0.5</b> & \x00 below | its floor.", 0.5, 0.8),
    GateOutcome("champion", "skipped", "Not tested: there are no held-out rows."),
)
REPORT = GateReport(
    "flights/4", conclude("flights/4", OUTCOMES), OUTCOMES, "ab" * 32, "onnx", made_at="2013-04-01T00:00:00Z"
)

TO_DO = "Train it on more or newer rows; its limits stand in [models.flights.gates.score]."


def test_junit_has_one_case_a_gate_with_failures_and_reasons() -> None:
    suite = ElementTree.fromstring(junit(REPORT)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "0.250",
    }
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == ["integrity", "format", "score", "champion"]
    assert cases["format"].findtext("system-out") == "warning: The model is Python code."
    failure, skipped = cases["score"].find("failure"), cases["champion"].find("skipped")
    assert failure is not None
    assert skipped is not None
    assert failure.get("message") == "Accuracy is <b>0.5</b> & \ufffd below | its floor."
    assert (failure.text or "").endswith(f"its floor. {TO_DO}")
    assert skipped.get("message") == "Not tested: there are no held-out rows."


def test_the_summary_is_a_table_in_which_nothing_is_markup() -> None:
    text = summary(REPORT)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(OUTCOMES)
    assert "| ✗ | score | Accuracy is \\<b\\>0.5\\</b\\> & \x00 below \\| its floor. |" in rows
    assert text.startswith("### ✗ ALARM: flights/4 must not be deployed: score")
    assert text.endswith(
        "- score: Train it on more or newer rows; its limits stand in \\[models.flights.gates.score\\].\n"
    )


def test_a_sealed_report_is_read_again_as_it_was() -> None:
    sealed = replace(REPORT.sealed(), page="reports/flights/gates/x/index.html")
    assert len(sealed.digest) == 64
    assert GateReport.from_json(sealed.to_json()) == sealed


def test_what_the_report_says_decides_its_digest_and_where_it_lies_does_not() -> None:
    sealed = REPORT.sealed()
    assert replace(REPORT, page="elsewhere").sealed().digest == sealed.digest
    assert replace(REPORT, bundle="cd" * 32).sealed().digest != sealed.digest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data["gates"][2].update(status="ok"), "does not match its digest"),
        (lambda data: data["verdict"].update(status="ok"), "does not match its digest"),
        (lambda data: data.update(bundle="cd" * 32), "does not match its digest"),
        (lambda data: data.pop("gates"), "this is no gate report"),
        (lambda data: data["gates"][0].update(strange=1), "this is no gate report"),
    ],
)
def test_a_report_that_was_changed_is_not_read(change: object, words: str) -> None:
    data = json.loads(REPORT.sealed().to_json())
    change(data)  # type: ignore[operator]
    with pytest.raises(Corrupt, match=words):
        GateReport.from_json(json.dumps(data))
    with pytest.raises(Corrupt, match="this is no gate report"):
        GateReport.from_json(b"[]")
