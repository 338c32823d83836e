"""Detectors by name: the built-in ones, and those that other packages offer.

A package adds a detector with an entry point in the group ``mlprod_nb.detectors`` whose value is an object with the
attributes of :class:`~mlprod_nb.monitoring.detectors.protocol.Detector`, or a class that makes one without arguments.
``alibi`` is apart: it needs rows rather than counts, and is only used when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlprod_nb import extensions
from mlprod_nb.errors import NotFound
from mlprod_nb.monitoring.detectors.anderson_darling import AndersonDarling
from mlprod_nb.monitoring.detectors.chi_square import ChiSquare
from mlprod_nb.monitoring.detectors.cramer_von_mises import CramerVonMises
from mlprod_nb.monitoring.detectors.fisher import FisherExact
from mlprod_nb.monitoring.detectors.g_test import GTest
from mlprod_nb.monitoring.detectors.hellinger import Hellinger
from mlprod_nb.monitoring.detectors.jensen_shannon import JensenShannon
from mlprod_nb.monitoring.detectors.ks import KolmogorovSmirnov
from mlprod_nb.monitoring.detectors.location import Location
from mlprod_nb.monitoring.detectors.missing import MissingRate
from mlprod_nb.monitoring.detectors.protocol import Comparison, Detector
from mlprod_nb.monitoring.detectors.psi import StabilityIndex
from mlprod_nb.monitoring.detectors.scale import Scale
from mlprod_nb.monitoring.detectors.total_variation import TotalVariation
from mlprod_nb.monitoring.detectors.wasserstein import Wasserstein

__all__ = ["BUILT_IN", "DEFAULT", "GROUP", "Comparison", "Detector", "choose", "known", "named"]

GROUP = "mlprod_nb.detectors"
BUILT_IN: dict[str, Detector] = {
    detector.name: detector
    for detector in (
        KolmogorovSmirnov(),
        Location(),
        Scale(),
        CramerVonMises(),
        AndersonDarling(),
        Wasserstein(),
        ChiSquare(),
        GTest(),
        FisherExact(),
        TotalVariation(),
        JensenShannon(),
        Hellinger(),
        MissingRate(),
        StabilityIndex(),
    )
}
#: What a look runs unless told otherwise; the others test only where they are named, PSI is shown beside them.
DEFAULT = ("ks", "location", "scale", "chi_square", "missing")


def known() -> dict[str, Detector]:
    """Return every detector by name; one from another package never replaces a built-in one."""
    return {**extensions.load(GROUP), **BUILT_IN}


def named(text: str) -> tuple[str, ...]:
    """Read names of detectors with commas between them, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def choose(names: Sequence[str] = ()) -> tuple[Detector, ...]:
    """Return the named detectors; without names the default ones and those of other packages.

    Raises:
        NotFound: There is no detector of that name.
    """
    if names and set(names) <= set(BUILT_IN):
        return tuple(BUILT_IN[name] for name in names)
    available = known()
    chosen = names or (*DEFAULT, *sorted(set(available) - set(BUILT_IN)))
    for name in chosen:
        if name not in available:
            raise _unknown(name, available)
    return tuple(available[name] for name in chosen)


def _unknown(name: str, available: Iterable[str]) -> NotFound:
    """Return the error that names every detector: one that nobody remembers is not found by eight of them."""
    from mlprod_nb.monitoring.detectors import alibi

    if name in alibi.KNOWN:
        return NotFound("detector of mlprod", name, hint=f"It is alibi-detect's: --alibi-with {name}")
    return NotFound("detector", name, available, hint=f"There is: {', '.join(sorted(available))}.")
