"""The gates' word on a candidate; of their report only the verdict counts here."""

from __future__ import annotations

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.checking import gating
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Verdict


def verdict(context: Context, version: str) -> Verdict:
    """Return what the gates say of a version; one that cannot be checked must not serve."""
    try:
        return gating.check(context, gating.Check(version)).verdict
    except MlprodError as error:
        return Verdict("alarm", f"{version} cannot be checked: {error}")
