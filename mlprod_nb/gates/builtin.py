"""The gates that every version passes."""

from __future__ import annotations

from mlprod_nb.gates.bundle import AgreementGate, FormatGate, IntegrityGate, LatencyGate, SignatureGate, SmokeGate
from mlprod_nb.gates.protocol import Gate
from mlprod_nb.gates.scores import CalibrationGate, ChampionGate, HeldOutGate, ScoreGate

BUILT_IN: dict[str, Gate] = {
    gate.name: gate
    for gate in (
        IntegrityGate(),
        SignatureGate(),
        AgreementGate(),
        SmokeGate(),
        LatencyGate(),
        FormatGate(),
        HeldOutGate(),
        ScoreGate(),
        ChampionGate(),
        CalibrationGate(),
    )
}
"""The built-in gates by name, in the order in which they run."""
