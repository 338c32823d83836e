"""How often an action was tried: tries that follow each other soon are one, so that looks by hand do not use all up."""

from __future__ import annotations

from datetime import datetime, timedelta

#: How far a try comes after the one that was counted last, to be counted itself.
APART = timedelta(minutes=5)


def with_one(tries: int, since: datetime, now: datetime) -> tuple[int, datetime]:
    """Return how many tries there are with one that is made now, and when the newest of them was counted.

    Args:
        tries: How many there were.
        since: When the newest of them was counted.
        now: The present moment.
    """
    return (tries, since) if tries and now - since < APART else (tries + 1, now)
