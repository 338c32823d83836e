"""The gates that every version passes."""

from __future__ import annotations

from mlprod_nb.gates.behaviour import ReproducibilityGate, RobustnessGate
from mlprod_nb.gates.bundle import AgreementGate, FormatGate, IntegrityGate, LatencyGate, SignatureGate, SmokeGate
from mlprod_nb.gates.footprint import EnvironmentGate, LoadsGate, MemoryGate, SpeedGate
from mlprod_nb.gates.packages import LicenceGate, VulnerabilityGate
from mlprod_nb.gates.protocol import Gate
from mlprod_nb.gates.scores import CalibrationGate, ChampionGate, HeldOutGate, ScoreGate
from mlprod_nb.gates.segments import SegmentGate

BUILT_IN: dict[str, Gate] = {
    gate.name: gate
    for gate in (
        IntegrityGate(),
        SignatureGate(),
        LoadsGate(),
        AgreementGate(),
        EnvironmentGate(),
        SmokeGate(),
        RobustnessGate(),
        ReproducibilityGate(),
        LatencyGate(),
        SpeedGate(),
        MemoryGate(),
        FormatGate(),
        HeldOutGate(),
        ScoreGate(),
        ChampionGate(),
        SegmentGate(),
        CalibrationGate(),
        VulnerabilityGate(),
        LicenceGate(),
    )
}
"""The built-in gates by name, in the order in which they run."""
