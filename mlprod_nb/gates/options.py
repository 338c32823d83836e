"""What the options of gates may be: ``[models.NAME.gates.GATE]`` is held to these when a check begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from mlprod_nb.errors import NotFound

NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
#: The chance of an error that is accepted; of one half, an interval would have no width.
Chance = Annotated[float, Field(gt=0.0, lt=0.5)]
Count = Annotated[int, Field(ge=1)]


def one_of(kind: str, known: Iterable[str]) -> AfterValidator:
    """Return a rule that text is one of the known names, or empty; a name that is none is answered with the nearest."""
    names = frozenset(known)

    def check(name: str) -> str:
        if name and name not in names:
            raise NotFound(kind, name, names)
        return name

    return AfterValidator(check)
