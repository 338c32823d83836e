"""What a look does with rows where counts do not suffice: all columns together, row by row, and alibi-detect.

None of it runs unless asked for, so that a look costs files rather than rows. Together they may spend what the budget
sets aside for them; those that were asked for share it evenly. What runs row by row raises no alarm and spends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlprod_nb.monitoring import counting
from mlprod_nb.monitoring.rows import AlibiRow, JointRow, OnlineRow
from mlprod_nb.monitoring.scoring import Outcomes

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.monitoring.monitor import MonitorInput

_NO_REFERENCE = "there is no reference sample"


@dataclass(frozen=True)
class Sides:
    """Columns of the reference sample, where there is one, and of the window."""

    kinds: Mapping[str, str]
    reference: Mapping[str, Any] | None
    window: Mapping[str, Any]


@dataclass(frozen=True)
class RowTests:
    """What they say.

    Attributes:
        joint: Of all columns together.
        online: When each online detector fired.
        alibi: What alibi-detect says.
    """

    joint: tuple[JointRow, ...] = ()
    online: tuple[OnlineRow, ...] = ()
    alibi: tuple[AlibiRow, ...] = ()


def run(given: MonitorInput, outcomes: Outcomes) -> RowTests:
    """Run what was asked for.

    Args:
        given: The look.
        outcomes: The window's scores, predictions and labels.

    Raises:
        MissingExtra: alibi-detect is asked for and not installed.
    """
    asked = given.joint + given.alibi
    if not (asked or given.online) or not given.window.num_rows:
        return RowTests()
    alpha = given.budget.joint / max(asked, 1)
    kinds = {column.name: column.kind for column in given.profile.columns}
    table = given.window if given.rows is None else given.rows()
    reference, columns = read_reference(given.reference) if asked else None, counting.inputs(table)
    return RowTests(
        online=_online(given, outcomes, table, columns) if given.online else (),
        joint=_joint(Sides(kinds, reference, columns), alpha) if given.joint else (),
        alibi=_alibi(given, outcomes, Sides(kinds, reference, _in_order(table, columns)), alpha) if given.alibi else (),
    )


def _online(
    given: MonitorInput, outcomes: Outcomes, table: pa.Table, columns: Mapping[str, Any]
) -> tuple[OnlineRow, ...]:
    from mlprod_nb.monitoring import streams

    return streams.watch(
        given.profile,
        streams.Rows(outcomes, outcomes.of(given.model_version), streams.moments(given.window)),
        columns,
        streams.moments(table),
        looks_per_year=given.looks_per_year,
    )


def _joint(sides: Sides, alpha: float) -> tuple[JointRow, ...]:
    from mlprod_nb.monitoring import joint

    if sides.reference is None:
        return joint.untested(_NO_REFERENCE)
    return joint.compare(sides.kinds, sides.reference, sides.window, alpha, detectors=joint.choose())


def _alibi(given: MonitorInput, outcomes: Outcomes, sides: Sides, alpha: float) -> tuple[AlibiRow, ...]:
    from mlprod_nb.monitoring.detectors import alibi

    names = alibi.choose(given.alibi_detectors)
    if sides.reference is None:
        return tuple(AlibiRow(name, "", None, None, False, f"not tested: {_NO_REFERENCE}") for name in names)
    scores = outcomes.labelled.scores[outcomes.of(given.model_version)]
    options = alibi.Options(names, alibi.Shelf(given.alibi_folder), alibi.doubt.of(given.profile, scores))
    return alibi.compare(sides.kinds, sides.reference, sides.window, alpha, options)


def _in_order(table: pa.Table, columns: Mapping[str, Any]) -> dict[str, Any]:
    from mlprod_nb.monitoring import streams

    order = np.argsort(streams.moments(table), kind="stable")
    return {name: column.take(order) for name, column in columns.items()}


def read_reference(reference: Mapping[str, Any] | pa.Table | Path | None) -> Mapping[str, Any] | None:
    """Return the reference sample's columns by name."""
    if reference is None or isinstance(reference, Mapping):
        return reference
    if isinstance(reference, Path):
        import pyarrow.parquet as pq

        with pq.ParquetFile(reference) as file:  # pyarrow's read_table imports pandas
            return read_reference(file.read())
    return {name: reference.column(name) for name in reference.column_names}
