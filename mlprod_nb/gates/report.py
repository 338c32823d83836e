"""Running gates and reporting what they found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any, ClassVar

from mlprod_nb.errors import MlprodError, UsageError
from mlprod_nb.gates.builtin import BUILT_IN, IntegrityGate
from mlprod_nb.gates.protocol import Gate, GateOutcome, Inspection
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.results import Result, Section, Verdict

ENTRY_POINTS = "mlprod_nb.gates"


@dataclass(frozen=True)
class GateReport(Result):
    """What the gates found about one version.

    Attributes:
        subject: The version, as ``flights/3``.
        verdict: No where any gate says no.
        gates: One outcome a gate, in the order in which they ran.
        bundle: The bundle's digest.
        runtime: ``onnx`` or ``python``.
    """

    subject: str
    verdict: Verdict
    gates: tuple[GateOutcome, ...]
    bundle: str
    runtime: str
    _frame_field: ClassVar[str] = "gates"

    def sections(self) -> list[Section]:
        """Show one row a gate."""
        symbols = {"ok": "✓", "warn": "!", "alarm": "✗", "skipped": "–"}
        rows: list[tuple[Any, ...]] = [(symbols[gate.status], gate.name, gate.sentence) for gate in self.gates]
        return [
            Section("", (), (("version", self.subject), ("bundle", self.bundle[:12]), ("runtime", self.runtime))),
            Section("gates", ("passed", "gate", "finding"), tuple(rows)),
        ]


def available() -> dict[str, Gate]:
    """Return every gate by name: the built-in ones, then those that installed packages add.

    Raises:
        UsageError: A package's gate takes the name of another.
    """
    gates = dict(BUILT_IN)
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        if entry.name in gates:
            raise UsageError(f"the gate {entry.name!r} of {entry.value} has a name that is taken.")
        gates[entry.name] = entry.load()()
    return gates


def run(bundle: Bundle, *, subject: str = "", gates: Iterable[Gate] | None = None) -> GateReport:
    """Run gates on a bundle.

    The bundle's integrity is always checked first: where it fails, no other gate runs, since each would load the model.

    Args:
        bundle: The bundle.
        subject: The version, as ``flights/3``; the bundle's digest where empty.
        gates: The gates; by default all that are available.
    """
    chosen = list(available().values() if gates is None else gates)
    if not any(isinstance(gate, IntegrityGate) for gate in chosen):
        chosen.insert(0, IntegrityGate())
    chosen.sort(key=lambda gate: not isinstance(gate, IntegrityGate))
    inspection = Inspection(bundle)
    outcomes: list[GateOutcome] = []
    for gate in chosen:
        if outcomes and outcomes[0].status == "alarm":
            outcomes.append(GateOutcome(gate.name, "skipped", "Not run, since the bundle is not intact."))
        else:
            outcomes.append(_check(gate, inspection))
    name = subject or bundle.digest[:12]
    return GateReport(name, _verdict(name, outcomes), tuple(outcomes), bundle.digest, bundle.manifest.runtime)


def _check(gate: Gate, inspection: Inspection) -> GateOutcome:
    try:
        outcome = gate.check(inspection)
    except MlprodError as error:
        return GateOutcome(gate.name, "alarm", error.message[:1].upper() + error.message[1:])
    except Exception as error:  # noqa: BLE001 (whatever a gate raises is a no)
        text = " ".join(str(error).split())[:300]
        return GateOutcome(gate.name, "alarm", f"The gate failed: {type(error).__name__}: {text}")
    return replace(outcome, name=gate.name)


def _verdict(name: str, outcomes: list[GateOutcome]) -> Verdict:
    alarms = [outcome for outcome in outcomes if outcome.status == "alarm"]
    if alarms:
        more = f" ({len(alarms)} gates say no)" if len(alarms) > 1 else ""
        return Verdict("alarm", f"{name} must not be deployed: {alarms[0].name}: {alarms[0].sentence}{more}")
    passed = sum(outcome.status == "ok" for outcome in outcomes)
    warnings = [outcome for outcome in outcomes if outcome.status == "warn"]
    action = f"mlprod deploy {name}" if "/" in name or "@" in name else ""
    if warnings:
        sentence = f"{name} passes {passed} gates of {len(outcomes)}, with a warning: {warnings[0].sentence}"
        return Verdict("warn", sentence, action)
    return Verdict("ok", f"{name} passes all {passed} gates.", action)
