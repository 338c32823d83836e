"""Where an endpoint's predictions lie in time, for whoever asked for a window without any."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from mlprod_nb.lifecycle.context import Context


def extent(context: Context, endpoint: str) -> tuple[datetime, datetime] | None:
    """Return the event times of an endpoint's oldest and newest prediction, or ``None`` where it answered nothing."""
    import pyarrow.compute as pc

    events = context.log.predictions(context.log.pin(endpoint), only=("event_time",)).column("event_time")
    if not len(events):
        return None
    ends = pc.min_max(events).as_py()
    return cast("datetime", ends["min"]), cast("datetime", ends["max"])


def told(context: Context, endpoint: str) -> str:
    """Say it in words: ``the predictions of 'flights' are of 2013-04-01 09:00 to 2013-05-01 03:00 UTC``."""
    ends = extent(context, endpoint)
    if ends is None:
        return f"{endpoint!r} has answered nothing yet"
    first, last = (f"{moment:%Y-%m-%d %H:%M}" for moment in ends)
    return f"the predictions of {endpoint!r} are of {first} to {last} UTC"
