"""Flights that no model was trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd


def more_flights(rows: int = 600) -> tuple[pd.DataFrame, pd.Series[int]]:
    random = np.random.default_rng(8)
    data = pd.DataFrame({"distance": random.normal(900, 300, rows), "hour": random.integers(5, 23, rows)})
    return data, pd.Series((data["hour"] / 23 + random.normal(0, 0.3, rows) > 0.7).astype(int))
