"""Rewards and interactions for the tests, in the prediction log's schema, and the result of a test of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from mlprod_nb.abtest import ABTestResult, Design, analyse, events
from tests.abtest.readings import HALF
from tests.abtest.tables import START

_MOMENT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Said:
    """One piece of feedback: about ``p0``, ``p1`` …, so many minutes after ``START``."""

    about: int
    minutes: float
    name: str = "booked"
    number: float | None = None
    text: str = "yes"
    kind: str = "interaction"
    source: str = ""


def reward(about: int, minutes: float, number: float | None, source: str = "") -> Said:
    """Return one reward, of so many minutes saved."""
    return Said(about, minutes, "minutes", number, str(number), "reward", source)


def told(said: Sequence[Said]) -> pa.Table:
    """Return feedback in the order of the log: what is said later in the list came later, and stands before."""
    newest = list(reversed(said))
    moments = [START + timedelta(minutes=each.minutes) for each in newest]
    received = [START + timedelta(days=40, seconds=-i) for i in range(len(newest))]
    return pa.table(
        {
            "prediction_id": pa.array([f"p{each.about}" for each in newest], pa.string()),
            "kind": pa.array([each.kind for each in newest], pa.string()),
            "name": pa.array([each.name for each in newest], pa.string()),
            "text": pa.array([each.text for each in newest], pa.string()),
            "number": pa.array([each.number for each in newest], pa.float64()),
            "source": pa.array([each.source for each in newest], pa.string()),
            "event_time": pa.array(moments, _MOMENT),
            "received_at": pa.array(received, _MOMENT),
        }
    )


def beside(rows: pa.Table, feedback: pa.Table, design: Design, until: datetime) -> pa.Table:
    """Return predictions with every event that a design needs."""
    for event in design.events():
        rows = events.beside(rows, feedback, event, until=until).rows
    return rows


def result(
    rows: pa.Table, feedback: pa.Table, design: Design, until: datetime = START + timedelta(days=365)
) -> ABTestResult:
    """Read a test of two variants in halves."""
    table = beside(rows, feedback, design, until)
    return analyse(table, design, shares=HALF, task="classification", classes=(0, 1))
