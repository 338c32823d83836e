"""What users pass as data, read at the edge."""

from __future__ import annotations

import pandas as pd

from mlprod_nb.lifecycle import data


def test_a_frames_index_of_moments_is_when_its_events_happened() -> None:
    index = pd.to_datetime(["2013-01-01T00:00", "2013-01-01T06:00"])
    rows = pd.DataFrame({"x": [1, 2]}, index=index)
    assert data.event_times(rows) == [1356998400.0, 1357020000.0]
    assert data.event_times(rows.tz_localize("America/New_York")) == [1357016400.0, 1357038000.0]
    assert data.event_times(rows.reset_index(drop=True)) is None
