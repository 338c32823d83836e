"""What a look does with rows where counts do not suffice: all columns together, row by row, and alibi-detect.

None of it runs unless asked for, so that a look costs files rather than rows. Together they may spend what the budget
sets aside for them; those that were asked for share it evenly. What runs row by row raises no alarm and spends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.monitoring import counting
from mlprod_nb.monitoring.rows import AlibiRow, JointRow, OnlineRow
from mlprod_nb.monitoring.scoring import Outcomes

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.monitoring.monitor import MonitorInput

_NO_REFERENCE = "there is no reference sample"


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
        joint=_joint(kinds, reference, columns, alpha) if given.joint else (),
        alibi=_alibi(kinds, reference, columns, alpha) if given.alibi else (),
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


def _joint(
    kinds: Mapping[str, str], reference: Mapping[str, Any] | None, columns: Mapping[str, Any], alpha: float
) -> tuple[JointRow, ...]:
    from mlprod_nb.monitoring import joint

    if reference is None:
        return joint.untested(_NO_REFERENCE)
    return joint.compare(kinds, reference, columns, alpha, detectors=joint.choose())


def _alibi(
    kinds: Mapping[str, str], reference: Mapping[str, Any] | None, columns: Mapping[str, Any], alpha: float
) -> tuple[AlibiRow, ...]:
    from mlprod_nb.monitoring.detectors import alibi

    if reference is None:
        return (AlibiRow("TabularDrift", "", None, None, False, f"not tested: {_NO_REFERENCE}"),)
    return alibi.compare(kinds, reference, columns, alpha)


def read_reference(reference: Mapping[str, Any] | pa.Table | Path | None) -> Mapping[str, Any] | None:
    """Return the reference sample's columns by name."""
    if reference is None or isinstance(reference, Mapping):
        return reference
    if isinstance(reference, Path):
        import pyarrow.parquet as pq

        return read_reference(pq.read_table(reference))
    return {name: reference.column(name) for name in reference.column_names}
