"""The page of a gate report: the reports' own page, of a notebook that was never run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlprod_nb.clock import iso
from mlprod_nb.results import Result, Section, counted

if TYPE_CHECKING:
    from mlprod_nb.gates import GateReport
    from mlprod_nb.gates.protocol import GateOutcome
    from mlprod_nb.store.report_index import ReportRecord

_WORDS = {"ok": "passed", "warn": "warning", "alarm": "failed", "skipped": "skipped"}
_ORDER = ("alarm", "warn", "ok", "skipped")


@dataclass(frozen=True)
class _Table(Result):
    """One table of the page."""

    title: str
    content: tuple[Section, ...]

    def headline(self) -> str:
        """Say what it shows."""
        return self.title

    def sections(self) -> Sequence[Section]:
        """Return the table."""
        return self.content


def page(report: GateReport, before: ReportRecord | None = None) -> str:
    """Return a gate report's HTML page: what is wrong first, then what passed, then what was skipped.

    Args:
        report: The gate report.
        before: The gate report of the model before it; ``None``: there is none.
    """
    from mlprod_nb.gates.report import SYMBOLS
    from mlprod_nb.reports import render

    ordered = sorted(report.gates, key=lambda gate: _ORDER.index(gate.status))
    noted = any(map(_notes, ordered))
    rows = tuple(
        (gate.name, f"{SYMBOLS[gate.status]} {_WORDS[gate.status]}", gate.sentence, *([_notes(gate)] if noted else []))
        for gate in ordered
    )
    gates = Section("", ("gate", "result", "finding", *(["notes"] if noted else [])), rows)
    facts = Section("", (), tuple((name, text) for name, text in report.facts() if name not in ("page", "digest")))
    bound = Section("", (), (("digest", report.digest), ("bundle", report.bundle), ("made", report.made_at)))
    cells = [
        _text(f"# Gate report of {report.subject}"),
        _output(report.verdict._repr_mimebundle_()),
        *(_what_to_do(report)),
        _text("## Gates"),
        _shown(_Table(f"{counted(len(rows), 'gate')}: {_tally(ordered)}.", (gates,))),
        _text("## What was checked"),
        _shown(_Table("The version and what it was held against.", (facts,))),
        _text("## What this report is bound to"),
        _shown(_Table("The digest covers all that is said here; an approval names it.", (bound,))),
    ]
    # The page outlives the moment: by the time it is read, the version may serve already.
    about = {"mlprod": {"before": _before(report, before), "step": "To serve it, run"}}
    notebook = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return render.to_html(notebook, title=f"Gate report of {report.subject}")


def _what_to_do(report: GateReport) -> Sequence[dict[str, Any]]:
    if not report.remedies():
        return ()
    table = replace(report.what_to_do(), title="")  # the heading says it
    return _text("## What to do"), _shown(_Table("One way for each gate that says no.", (table,)))


def _before(report: GateReport, before: ReportRecord | None) -> str:
    """Say what the gate report before said, of whichever version that was."""
    if before is None:
        return f"This is the first gate report of {report.subject.partition('/')[0]}."
    versions = ", ".join(before.bound_to.get("model_versions", ()))
    said = f"{before.status}, {before.sentence.rstrip('.')}"
    return f"The gate report before, of {versions}, {iso(before.created_at)[:16].replace('T', ' ')} UTC: {said}."


def _tally(gates: Sequence[GateOutcome]) -> str:
    found = [gate.status for gate in gates]
    return ", ".join(f"{found.count(status)} {_WORDS[status]}" for status in _ORDER if status in found)


def _notes(gate: Any) -> str:
    notes = ("required" if gate.required else "", gate.notebook)
    return ", ".join(note for note in notes if note)


def _text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _shown(result: Result) -> dict[str, Any]:
    return _output({"text/html": result._repr_html_(), "text/plain": str(result)})


def _output(data: dict[str, Any]) -> dict[str, Any]:
    """Return a code cell whose source is hidden; a cell without any is no cell to the page."""
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    hidden = {"tags": ["remove-input"]}
    return {"cell_type": "code", "metadata": hidden, "source": "report", "outputs": [output], "execution_count": None}
