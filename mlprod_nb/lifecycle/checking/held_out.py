"""Where a check's held-out rows come from, and where its champion.

Rows that are given with the check come first, then the file that the model's settings name, which no candidate chooses
for itself, then those that were recorded with the version when it was registered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import Corrupt, NotFound, UsageError
from mlprod_nb.lifecycle import data as reading
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.registry.bundles import LABEL_COLUMN
from mlprod_nb.scratch import temporary_folder

if TYPE_CHECKING:
    import pandas as pd

    from mlprod_nb.gates import HeldOut, Inspection
    from mlprod_nb.registry.versions import ModelVersion

ARTIFACT, FILE = "held_out", "rows.parquet"


@dataclass(frozen=True, eq=False)
class Given:
    """Held-out rows as a verb takes them.

    Attributes:
        holdout: The rows: a frame, an array, a CSV or Parquet file; ``None`` where none are given.
        target: What happened: one value a row, or the name of a column of the rows.
    """

    holdout: Any = None
    target: Any = None


NOTHING = Given()


def read(given: Given, source: str) -> HeldOut:
    """Return held-out rows with what happened.

    Raises:
        UsageError: The outcomes are missing, or as many as the rows are not.
        NotFound: The file or the column does not exist.
    """
    from mlprod_nb.gates import HeldOut

    frame = reading.frame(given.holdout, "holdout")
    if given.target is None or (isinstance(given.target, str) and not given.target):
        hint = "Name the column that holds them, or pass them: --target $y"
        raise UsageError("held-out rows need their outcomes.", hint=hint)
    values, column = reading.column(given.target, frame, "target")
    inputs = frame.drop(columns=[column]) if column else frame
    return HeldOut(inputs.reset_index(drop=True), values, source)


def find(context: Context, version: ModelVersion, given: Given) -> HeldOut | str:
    """Return a version's held-out rows, or why there are none.

    Raises:
        UsageError: Rows that are given, or that the settings name, do not fit.
        NotFound: Their file or column does not exist.
    """
    from mlprod_nb.registry import attachments

    if given.holdout is not None:
        return read(given, "given with the check")
    asked = context.settings.model(version.model).gates
    if asked.holdout:
        file = context.root / asked.holdout
        return read(Given(file, asked.target), f"of {asked.holdout}")
    with temporary_folder("work") as scratch:
        try:
            path = attachments.attached(context.registry, version, f"{ARTIFACT}/{FILE}", scratch)
        except NotFound:
            return "there are no held-out rows: pass --holdout and --target, here or to register"
        return read(Given(path, LABEL_COLUMN), f"recorded with {version.ref}")


def write(held_out: HeldOut, folder: Path) -> Path:
    """Write rows as they are recorded with a version, and return their folder."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    rows: pd.DataFrame = held_out.frame.assign(**{LABEL_COLUMN: pd.Series(list(held_out.outcomes))})
    rows.to_parquet(folder / FILE, index=False)
    return folder


def champion(context: Context, version: ModelVersion, alias: str) -> Inspection | str:
    """Return the version that another is compared with, or why there is none."""
    from mlprod_nb.gates import Inspection

    name = alias or context.settings.model(version.model).gates.against
    reference = name if "@" in name or "/" in name else f"{version.model}@{name}"
    try:
        found = context.registry.resolve(reference)
    except NotFound:
        if alias:
            raise
        return f"there is no {reference} to compare with"
    if found.ref == version.ref:
        return f"{version.ref} is the champion itself"
    if not found.bundle:
        return f"{found.ref} has no bundle"
    try:
        bundle = context.registry.fetch_bundle(found, context.bundles)
    except Corrupt as error:
        return f"{found.ref} cannot be read: {error.message.rstrip('.')}"
    return Inspection(bundle, found.ref)
