"""A gate report for continuous integration: JUnit XML, and a step summary in GitHub's markdown."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from mlprod_nb.gates.protocol import GateOutcome
from mlprod_nb.gates.report import SYMBOLS, GateReport

#: What XML 1.0 cannot hold, escaped or not (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: GateReport) -> str:
    """Return the report as JUnit XML: one test case a gate.

    A no is a failure, a skipped gate is a skipped test with its reason, and a warning is what a passed test printed.
    Elements and attributes are those that Jenkins, GitHub's reporters and GitLab read (Ant's JUnit task).
    """
    counts = {
        "tests": str(len(report.gates)),
        "failures": str(sum(gate.status == "alarm" for gate in report.gates)),
        "errors": "0",
        "skipped": str(sum(gate.status == "skipped" for gate in report.gates)),
        "time": f"{sum(gate.seconds for gate in report.gates):.3f}",
    }
    root = ElementTree.Element("testsuites", counts)
    about = {"name": _text(f"gates of {report.subject}"), **counts}
    suite = ElementTree.SubElement(root, "testsuite", about | ({"timestamp": report.made_at} if report.made_at else {}))
    properties = ElementTree.SubElement(suite, "properties")
    for name, text in report.facts():
        ElementTree.SubElement(properties, "property", {"name": name, "value": _text(text)})
    remedies = report.remedies()
    for gate in report.gates:
        _case(suite, report.subject, gate, remedies.get(gate.name, ""))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def summary(report: GateReport) -> str:
    """Return the report as GitHub's markdown, for a step summary or a comment."""
    facts = " · ".join(f"{name}: {_cell(text)}" for name, text in report.facts() if name != "page")
    lines = [f"### {_cell(str(report.verdict))}", "", facts, "", "| | Gate | Finding |", "|---|---|---|"]
    lines += [f"| {SYMBOLS[gate.status]} | {_cell(gate.name)} | {_cell(gate.sentence)} |" for gate in report.gates]
    if remedies := report.remedies():
        lines += ["", "**What to do**", "", *(f"- {_cell(name)}: {_cell(text)}" for name, text in remedies.items())]
    return "\n".join(lines) + "\n"


def _case(suite: ElementTree.Element, subject: str, gate: GateOutcome, remedy: str) -> None:
    named = {"classname": _text(f"mlprod.gates.{subject}"), "name": _text(gate.name), "time": f"{gate.seconds:.3f}"}
    case = ElementTree.SubElement(suite, "testcase", named)
    text = _text(gate.sentence)
    if gate.status == "alarm":
        ElementTree.SubElement(case, "failure", {"message": text, "type": "gate"}).text = _text(
            f"{gate.sentence} {remedy}".rstrip()
        )
    elif gate.status == "skipped":
        ElementTree.SubElement(case, "skipped", {"message": text})
    else:
        mark = "warning: " if gate.status == "warn" else ""
        ElementTree.SubElement(case, "system-out").text = mark + text


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _cell(text: str) -> str:
    """Return text as one cell of a table, in which nothing is markup."""
    for character in "\\`*_{}[]<>|#~@":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
