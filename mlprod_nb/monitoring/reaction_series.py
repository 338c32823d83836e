"""What users did with predictions: the events, which series they make, and how long each of these is waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.columns import Coded, Floats, to_codes, to_numbers
from mlprod_nb.monitoring.stretches import Seconds, seconds_of
from mlprod_nb.monitoring.traffic import moments

if TYPE_CHECKING:
    import pyarrow as pa

#: How many series are looked at, the most frequent names first.
MOST_SERIES = 12
_MOST_NAMES = 8
#: An interaction's values are series of their own where they are so few.
_MOST_VALUES = 5
_MOST_SHOWN = 40
#: For how long events are waited for, seconds: a few round times, so that it hardly depends on chance.
_WAITS = (1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 2_592_000.0, 7_776_000.0)
_MOST_CAME = 0.99
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Key:
    """Which series it is.

    Attributes:
        kind: ``interaction`` or ``reward``.
        name: What users did.
        text: Only where they did it with this value; ``None``: with any.
    """

    kind: str
    name: str
    text: str | None = None

    def __str__(self) -> str:
        shown = " = ".join(_shortened(part) for part in (self.name, self.text) if part is not None)
        return f"{shown} (reward)" if self.kind == "reward" else shown


@dataclass(frozen=True)
class Events:
    """What users did, arrays of one length: of each prediction, kind, name and source the latest.

    Attributes:
        about: A number for each prediction.
        kinds: ``interaction`` or ``reward``.
        names: What it is called.
        texts: The value.
        numbers: The value as a number, NaN where it is none.
        seconds: When the prediction's event was, seconds since 1970.
        variants: Which variant predicted.
        heard_at: When the event was received, seconds since 1970.
        delays: How long after its prediction that was, seconds.
    """

    about: Integers
    kinds: Coded
    names: Coded
    texts: Coded
    numbers: Floats
    seconds: Seconds
    variants: Coded
    heard_at: Floats
    delays: Floats

    def of(self, key: Key) -> NDArray[np.bool_]:
        """Return which are of a series; a reward that is no number is of none."""
        found = self.kinds.equals(key.kind) & self.names.equals(key.name)
        if key.text is not None:
            found &= self.texts.equals(key.text)
        return found & np.isfinite(self.numbers) if key.kind == "reward" else found


@dataclass(frozen=True)
class Side:
    """The predictions of one time, and what users did with them.

    Attributes:
        seconds: When each prediction's event was, seconds since 1970.
        logged_at: When each was received, seconds since 1970.
        variants: Which variant predicted.
        events: What users did.
    """

    seconds: Seconds
    logged_at: Floats
    variants: Coded
    events: Events

    @property
    def known_until(self) -> float:
        """Until when something was heard, seconds since 1970."""
        return max((float(times.max()) for times in (self.logged_at, self.events.heard_at) if len(times)), default=0.0)


def side_of(predictions: pa.Table, reactions: pa.Table) -> Side | None:
    """Return a side from the log's tables; ``None`` where the predictions' times are not known."""
    seconds, logged_at = seconds_of(predictions), moments(predictions, "received_at")
    if seconds is None or logged_at is None:
        return None
    return Side(seconds, logged_at, to_codes(predictions["variant"]), _events(reactions))


def _events(reactions: pa.Table) -> Events:
    import pyarrow.compute as pc

    seconds = seconds_of(reactions)
    heard_at, predicted_at = moments(reactions, "received_at"), moments(reactions, "predicted_at")
    assert seconds is not None
    assert heard_at is not None
    assert predicted_at is not None
    return Events(
        about=to_codes(reactions["prediction_id"]).codes.astype(np.int64),
        kinds=to_codes(reactions["kind"]),
        names=to_codes(reactions["name"]),
        texts=to_codes(pc.fill_null(reactions["text"], "")),
        numbers=to_numbers(reactions["number"]),
        seconds=seconds,
        variants=to_codes(reactions["variant"]),
        heard_at=heard_at,
        delays=heard_at - predicted_at,
    )


def listed(sides: Sequence[Side]) -> tuple[list[Key], int]:
    """Return the series, the most frequent names first, and how many names are left out."""
    found: Counter[tuple[str, str]] = Counter()
    values: dict[tuple[str, str], Counter[str]] = {}
    for side in sides:
        for key, times in _counted(side.events):
            name = key.kind, key.name
            found[name] += times
            values.setdefault(name, Counter())[key.text or ""] += times
    ranked = sorted(found, key=lambda name: (-found[name], name))
    keys = [Key(*name) for name in ranked[:_MOST_NAMES]]
    for key in tuple(keys):
        texts = values[key.kind, key.name]
        if key.kind == "interaction" and 1 < len(texts) <= min(_MOST_VALUES, MOST_SERIES - len(keys)):
            after = keys.index(key) + 1
            in_order = sorted(texts, key=lambda text: (-texts[text], text))
            keys[after:after] = [Key(key.kind, key.name, text) for text in in_order]
    return keys, max(len(ranked) - _MOST_NAMES, 0)


def _counted(events: Events) -> Iterator[tuple[Key, int]]:
    codes = np.stack([events.kinds.codes, events.names.codes, events.texts.codes])
    rows, times = np.unique(codes[:, _usable(events)], axis=1, return_counts=True)
    for (kind, name, text), number in zip(rows.T.tolist(), times.tolist(), strict=True):
        yield Key(events.kinds.names[kind], events.names.names[name], events.texts.names[text]), number


def _usable(events: Events) -> NDArray[np.bool_]:
    usable: NDArray[np.bool_] = ~events.kinds.equals("reward") | np.isfinite(events.numbers)
    return usable


def unusable(sides: Sequence[Side]) -> int:
    """Return how many rewards are no numbers."""
    return sum(int((~_usable(side.events)).sum()) for side in sides)


def wait_of(events: Events, key: Key) -> float | None:
    """Return the round time after a prediction by which 99 % of a series' events had come; ``None`` without events."""
    delays = events.delays[events.of(key)]
    if not len(delays):
        return None
    most = float(np.quantile(delays, _MOST_CAME))
    return next((wait for wait in _WAITS if most <= wait), _WAITS[-1])


def _shortened(text: str) -> str:
    told = text if text.isprintable() else repr(text)[1:-1]
    return told if len(told) <= _MOST_SHOWN else told[: _MOST_SHOWN - 1] + "…"
