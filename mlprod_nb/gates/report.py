"""What the gates found about one version, as a result that can be archived and read again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from mlprod_nb.errors import Corrupt
from mlprod_nb.gates.protocol import GateOutcome
from mlprod_nb.gates.remedies import remedy
from mlprod_nb.registry.bundles import canonical_json
from mlprod_nb.results import Result, Section, Verdict

SYMBOLS = {"ok": "✓", "warn": "!", "alarm": "✗", "skipped": "–"}
#: What says where a report lies or what it is called, and so cannot be a part of its digest.
_OUTSIDE = ("digest", "page")


@dataclass(frozen=True)
class GateReport(Result):
    """What the gates found about one version.

    Attributes:
        subject: The version, as ``flights/3``.
        verdict: No where any gate says no.
        gates: One outcome a gate, in the order in which they ran.
        bundle: The bundle's digest.
        runtime: ``onnx`` or ``python``.
        made_at: When, in UTC; empty for a report that is not archived.
        held_out: Which held-out rows it rests on; empty where there were none.
        against: The version that it was compared with; empty where there was none.
        digest: SHA-256 of all of the above: what an approval can name. Empty for a report that is not archived.
        page: Its HTML page, relative to the workspace.
    """

    subject: str
    verdict: Verdict
    gates: tuple[GateOutcome, ...]
    bundle: str
    runtime: str
    made_at: str = ""
    held_out: str = ""
    against: str = ""
    digest: str = ""
    page: str = ""
    _frame_field: ClassVar[str] = "gates"

    def sections(self) -> list[Section]:
        """Show one row a gate, and what to do about those that say no."""
        rows: list[tuple[Any, ...]] = [(SYMBOLS[gate.status], gate.name, gate.sentence) for gate in self.gates]
        found = Section("gates", ("passed", "gate", "finding"), tuple(rows))
        return [Section("", (), self.facts()), found, *([self.what_to_do()] if self.remedies() else [])]

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what the report is about, as names and texts."""
        facts = (
            ("version", self.subject),
            ("bundle", self.bundle[:12]),
            ("runtime", self.runtime),
            ("held-out rows", self.held_out),
            ("compared with", self.against),
            ("digest", self.digest[:12]),
            ("page", self.page),
        )
        return tuple((name, text) for name, text in facts if text)

    def remedies(self) -> dict[str, str]:
        """Return what to do about each gate that says no, by its name."""
        folder = self.page.rpartition("/")[0]
        no = (gate for gate in self.gates if gate.status == "alarm")
        told = {gate.name: remedy(gate, subject=self.subject, other=self.against, folder=folder) for gate in no}
        return {name: text for name, text in told.items() if text}

    def what_to_do(self) -> Section:
        """Return :meth:`remedies` as a table."""
        return Section("what to do", ("gate", "remedy"), tuple(self.remedies().items()))

    def outcome(self, name: str) -> GateOutcome | None:
        """Return what a gate found, or ``None`` where it did not run."""
        return next((gate for gate in self.gates if gate.name == name), None)

    def sealed(self) -> Self:
        """Return the report with its digest."""
        return replace(self, digest=self._digest())

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what :meth:`to_json` gave, and check it against its digest.

        Raises:
            Corrupt: It is no gate report, or was changed after it was sealed.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            known = {field.name: data[field.name] for field in fields(cls)}
            known["gates"] = tuple(GateOutcome(**gate) for gate in known["gates"])
            known["verdict"] = Verdict(**{**known["verdict"], "causes": ()})
            report = cls(**known)
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"this is no gate report: {error}.", hint="Check the version again.") from None
        if report._digest() != report.digest:
            hint = "Check the version again."
            raise Corrupt(f"the gate report of {report.subject} does not match its digest.", hint=hint)
        return report

    def body(self) -> dict[str, Any]:
        """Return what the digest covers."""
        return {name: value for name, value in self.to_dict().items() if name not in _OUTSIDE}

    def _digest(self) -> str:
        return hashlib.sha256(canonical_json(self.body())).hexdigest()


def conclude(name: str, outcomes: Sequence[GateOutcome]) -> Verdict:
    """Return the verdict on a version, as its outcomes have it."""
    alarms = [outcome for outcome in outcomes if outcome.status == "alarm"]
    if alarms:
        more = f" ({len(alarms)} gates say no)" if len(alarms) > 1 else ""
        return Verdict("alarm", f"{name} must not be deployed: {alarms[0].name}: {alarms[0].sentence}{more}")
    passed = sum(outcome.status == "ok" for outcome in outcomes)
    skipped = sum(outcome.status == "skipped" for outcome in outcomes)
    left = f" {skipped} skipped." if skipped else ""
    warnings = [outcome for outcome in outcomes if outcome.status == "warn"]
    action = f"%mlprod deploy {name}" if "/" in name or "@" in name else ""
    if warnings:
        many = "a warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
        sentence = f"{name} passes {passed} gates of {len(outcomes) - skipped}, with {many}: {warnings[0].sentence}"
        return Verdict("warn", sentence + left, action)
    return Verdict("ok", f"{name} passes all {passed} gates.{left}", action)
