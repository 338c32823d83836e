"""Online detectors by name: they take rows in the order in which they came, and say after which one they fired."""

from __future__ import annotations

from collections.abc import Sequence

from mlprod_nb.errors import NotFound
from mlprod_nb.monitoring.detectors.online.adwin import AdaptiveWindow
from mlprod_nb.monitoring.detectors.online.cvm import CramerVonMisesWindows
from mlprod_nb.monitoring.detectors.online.fisher import FisherWindows
from mlprod_nb.monitoring.detectors.online.page_hinkley import PageHinkley
from mlprod_nb.monitoring.detectors.online.protocol import Basis, OnlineDetector, State

__all__ = ["BUILT_IN", "Basis", "OnlineDetector", "State", "choose"]

BUILT_IN: dict[str, OnlineDetector] = {
    detector.name: detector for detector in (CramerVonMisesWindows(), FisherWindows(), PageHinkley(), AdaptiveWindow())
}


def choose(names: Sequence[str] = ()) -> tuple[OnlineDetector, ...]:
    """Return the named online detectors; all of them without names.

    Raises:
        NotFound: There is no detector of that name.
    """
    for name in names:
        if name not in BUILT_IN:
            raise NotFound("online detector", name, BUILT_IN)
    return tuple(BUILT_IN[name] for name in names or BUILT_IN)
