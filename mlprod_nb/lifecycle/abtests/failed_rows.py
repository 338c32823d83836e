"""What models failed on, beside what they answered: answers alone do not show which are missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.prediction_log.ranges import LogRange

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.serving.telemetry.failures import FailedRows

#: So long after it came, whatever failed is written down, and a replay finds no more of it.
_WRITTEN_DOWN = timedelta(seconds=3)


def beside(context: Context, rows: pa.Table, where: LogRange) -> pa.Table:
    """Return predictions, and after them a row for each that a model failed on, with the column ``failed``.

    What failed belongs to a range by its event time, and if it came before the range's last answer. Of its columns
    those are known that the assignment decided; all others are null.

    Args:
        context: The workspace.
        rows: Predictions of the range, with ``received_at``.
        where: The range.
    """
    import pyarrow.compute as pc

    if not rows.num_rows:
        return rows
    from mlprod_nb.serving.telemetry import failures

    last: datetime = pc.max(rows["received_at"]).as_py()
    found = [
        each
        for each in failures.read(context.layout.failures, where.endpoint)
        if each.received_at <= last - _WRITTEN_DOWN
        and (where.since is None or each.event_time >= where.since)
        and (where.until is None or each.event_time < where.until)
    ]
    return _appended(rows, found) if found else rows


def _appended(rows: pa.Table, found: Sequence[FailedRows]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    from mlprod_nb.abtest.rows import FAILED

    known: dict[str, Sequence[Any]] = {
        name: [getattr(one, name) for one in found]
        for name in ("event_time", "received_at", "revision", "variant", "model", "version", "unit")
    }
    known["shadow"] = [False] * len(found)
    columns = [
        pa.array(known[field.name], field.type) if field.name in known else pa.nulls(len(found), field.type)
        for field in rows.schema
    ]
    failed = pa.table(columns, rows.schema).take(np.repeat(np.arange(len(found)), [one.rows for one in found]))
    at = failed.column_names.index("prediction_id")
    ids = pa.array([f"failed {number}" for number in range(failed.num_rows)], failed.schema.field(at).type)
    failed = failed.set_column(at, failed.schema.field(at), ids).append_column(FAILED, pa.repeat(True, failed.num_rows))
    answered = rows.append_column(FAILED, pa.repeat(False, rows.num_rows))
    return pa.concat_tables([answered, failed.cast(answered.schema)])
