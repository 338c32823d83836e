"""alibi-detect: the only way to it.

Licence: alibi-detect is under the Business Source License 1.1. Use in production needs a licence from Seldon, save for
non-profit education; each release turns Apache-2.0 four years after it ships. Every result that uses it says so.

It takes 2 to 8 seconds to import, so nothing here does so unless asked. A missing value would silently become "no
drift" there, so it never meets one: column by column the values that are present are tested; where all columns are
tested together, an indicator of missing values stands beside each column that has any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlprod_nb.errors import MissingExtra, NotFound
from mlprod_nb.monitoring.budget import holm
from mlprod_nb.monitoring.detectors.alibi import columns, door, doubt, online, together
from mlprod_nb.monitoring.detectors.alibi.door import Shelf, available
from mlprod_nb.monitoring.detectors.alibi.together import Doubt
from mlprod_nb.monitoring.detectors.rows import MAX_ROWS, Samples, read
from mlprod_nb.monitoring.rows import AlibiRow

__all__ = ["DEFAULT", "KNOWN", "LICENCE", "Doubt", "Options", "Shelf", "available", "choose", "compare", "doubt"]

LICENCE = (
    "alibi-detect is under the Business Source License 1.1: use in production needs a licence from Seldon"
    " (free for non-profit education)"
)
KNOWN = (*columns.KINDS, *together.NAMES, *online.NAMES)
#: What runs unless others are named: the one looks at each column, the other at all of them together.
DEFAULT = ("ClassifierDrift", "TabularDrift")


@dataclass(frozen=True)
class Options:
    """How alibi-detect is asked.

    Attributes:
        detectors: Names of its detectors.
        shelf: Where what is fitted to the reference is kept.
        doubt: How sure the model is, for the detectors of uncertainty.
        seed: Of the choice of at most 2,000 rows a side (the latest 2,000 of the window for online detectors), and of
            what the detectors draw.
    """

    detectors: tuple[str, ...] = DEFAULT
    shelf: Shelf = field(default_factory=Shelf)
    doubt: Doubt = field(default_factory=Doubt)
    seed: int = 0


def choose(names: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of detectors, those that run by default where none is given.

    Raises:
        NotFound: alibi-detect has no detector of that name, or none that is used here.
    """
    for name in names:
        if name not in KNOWN:
            raise NotFound("detector of alibi-detect", name, KNOWN, hint=f"There is: {', '.join(sorted(KNOWN))}.")
    return tuple(names) or DEFAULT


def compare(
    kinds: Mapping[str, str],
    reference: Mapping[str, Any],
    window: Mapping[str, Any],
    alpha: float,
    options: Options | None = None,
) -> tuple[AlibiRow, ...]:
    """Run alibi-detect's detectors, corrected by Holm over all of their tests.

    Args:
        kinds: ``"number"`` or ``"category"`` for each column.
        reference: The reference sample's columns.
        window: The window's columns, in the order of event times where an online detector is asked for.
        alpha: Chance of any false alarm that all of them may spend together.
        options: Which, and how.

    Raises:
        MissingExtra: alibi-detect is not installed.
        NotFound: It has no detector of that name.
    """
    asked = options or Options()
    names = choose(asked.detectors)
    if not available():
        raise MissingExtra("alibi-detect", "alibi")
    samples = read(kinds, reference, window, seed=asked.seed)
    tail = {name: column[-MAX_ROWS:] for name, column in window.items()} if set(names) & set(online.NAMES) else {}
    latest = read(kinds, reference, tail, seed=asked.seed) if tail else samples
    with door.quiet(asked.seed):
        found = [row for name in names for row in _run(name, latest if name in online.NAMES else samples, asked)]
    return _correct(found, alpha)


def _run(name: str, samples: Samples, options: Options) -> Iterator[AlibiRow]:
    if name in columns.KINDS:
        yield from columns.compare(name, samples, options.shelf)
    elif name in online.NAMES:
        yield from online.compare(name, samples, options.shelf)
    else:
        yield together.compare(name, samples, options.doubt, options.seed)


def _correct(rows: Sequence[AlibiRow], alpha: float) -> tuple[AlibiRow, ...]:
    corrected = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    done = []
    for row in rows:
        value = next(corrected) if row.p_value is not None else None
        done.append(replace(row, p_value_corrected=value, drifted=value is not None and value <= alpha))
    return tuple(done)
