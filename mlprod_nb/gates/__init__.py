"""Gates: checks that a version passes before it is deployed.

Guarantee: a gate that fails to run is a no, never a yes; and a bundle whose files do not match their digests is not
loaded at all.
"""

from mlprod_nb.gates.builtin import BUILT_IN
from mlprod_nb.gates.protocol import Gate, GateOutcome, GateStatus, Inspection, NotTested, Surroundings
from mlprod_nb.gates.report import GateReport
from mlprod_nb.gates.rows import HeldOut
from mlprod_nb.gates.running import available, chosen, run

__all__ = [
    "BUILT_IN",
    "Gate",
    "GateOutcome",
    "GateReport",
    "GateStatus",
    "HeldOut",
    "Inspection",
    "NotTested",
    "Surroundings",
    "available",
    "chosen",
    "run",
]
