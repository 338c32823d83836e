"""What users pass as data, read at the edge."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from mlprod_nb.errors import UsageError
from mlprod_nb.lifecycle import data


def test_a_frames_index_of_moments_is_when_its_events_happened() -> None:
    index = pd.to_datetime(["2013-01-01T00:00", "2013-01-01T06:00"])
    rows = pd.DataFrame({"x": [1, 2]}, index=index)
    assert data.event_times(rows) == [1356998400.0, 1357020000.0]
    assert data.event_times(rows.tz_localize("America/New_York")) == [1357016400.0, 1357038000.0]
    assert data.event_times(rows.reset_index(drop=True)) is None


@pytest.mark.parametrize(
    "value", [datetime(2013, 4, 1, tzinfo=UTC), 7, 2.5], ids=["a moment", "a number", "a fraction"]
)
def test_one_value_for_all_rows_is_refused_in_a_line(value: Any) -> None:
    with pytest.raises(UsageError, match=r"--units is one value .*, and --data has 3 rows\. Give the name of a column"):
        data.column(value, pd.DataFrame({"distance": [1.0, 2.0, 3.0]}), "units")
