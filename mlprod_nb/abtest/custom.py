"""Metrics that a design brings: an expression over the columns of a prediction, a reward, or an interaction.

An expression may name the design's own rewards and interactions as columns. So ``denominator: booked`` makes of a
reward the mean of those that booked, and ``value: revenue - 0.1 * minutes`` weighs one against another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mlprod_nb.abtest import expression
from mlprod_nb.abtest.estimators import Ratio
from mlprod_nb.abtest.events import LONGEST_WITHIN, USUAL_WITHIN, Event, EventKind
from mlprod_nb.abtest.expression import COLUMNS, Columns
from mlprod_nb.abtest.metrics import BUILT_IN, Expression
from mlprod_nb.abtest.outcome import EVENT, Better, Metric
from mlprod_nb.clock import parse_duration, spell_duration
from mlprod_nb.errors import NotFound, UsageError

#: What a metric is made of; each has one of them.
_SORTS = ("value", "interaction", "reward")


@dataclass(frozen=True)
class CustomMetric:
    """A metric that a design brings.

    Attributes:
        name: How the design calls it.
        value: The expression of one prediction's value; null where the prediction does not count.
        denominator: Another expression, where the metric is a sum over a sum; empty: a mean over predictions.
        better: Which way is better.
        needs_labels: Whether it waits for a label.
        tolerance: As a guardrail: by how much it may get worse.
        interaction: In place of ``value``: the name of an interaction, which a prediction has or has not.
        reward: In place of ``value``: the name of a reward, whose number counts; 0 where none came.
        equals: The value that the interaction must have; empty: any.
        within: How long after its prediction an interaction or a reward counts, as ``1d``.
    """

    name: str
    value: str = ""
    denominator: str = ""
    better: Better = "higher"
    needs_labels: bool = True
    tolerance: float = 0.0
    interaction: str = ""
    reward: str = ""
    equals: str = ""
    within: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be a metric whatever else the design brings."""
        if self.name in BUILT_IN:
            raise UsageError(f"metric {self.name!r} is built in.", hint="Call yours something else.")
        if self.better not in ("higher", "lower", "same"):
            raise UsageError(f"metric {self.name!r}: better is {self.better!r}; it is higher, lower or same.")
        given = [sort for sort in _SORTS if getattr(self, sort)]
        if not given:
            raise UsageError(f"metric {self.name!r} has no value.", hint=_example(self.name))
        if len(given) > 1:
            raise UsageError(f"metric {self.name!r} has {' and '.join(given)}; it is made of one.", hint="Keep one.")
        if self.equals and not self.interaction:
            raise UsageError(f"metric {self.name!r}: equals is for an interaction.", hint="Leave it out.")
        if self.within and given == ["value"]:
            raise UsageError(
                f"metric {self.name!r}: within is for an interaction or a reward.",
                hint="Write it at the metric that the expression names.",
            )
        if self.event is not None and self.name in COLUMNS:
            raise UsageError(
                f"metric {self.name!r} is called as a column of every prediction is.", hint="Call it something else."
            )

    @property
    def event(self) -> Event | None:
        """The reward or interaction that it is; ``None`` for an expression.

        Raises:
            UsageError: The time within which it counts is none, or too long.
        """
        if self.value:
            return None
        kind: EventKind = "interaction" if self.interaction else "reward"
        about = f"metric {self.name!r}: within"
        try:
            within = parse_duration(self.within or USUAL_WITHIN)
        except UsageError as error:
            raise UsageError(f"{about}: {error.message}", hint=error.hint) from None
        if not within or within > LONGEST_WITHIN:
            longest = spell_duration(LONGEST_WITHIN.total_seconds())
            raise UsageError(
                f"{about} is {self.within!r}; it is more than 0, and at most the {LONGEST_WITHIN.days} days for which "
                f"feedback is taken.",
                hint=f"As in: within: 7d, and up to {longest}.",
            )
        return Event(self.name, kind, self.interaction or self.reward, self.equals, within)

    def metric(self, beside: Iterable[CustomMetric] = ()) -> Metric:
        """Return what the scan reads.

        Args:
            beside: The design's metrics, of which expressions may name rewards and interactions.
        """
        events = _events(beside)
        own = self.event
        value = own.sql if own is not None else _tried(self.name, self.value, events)
        if not self.denominator:
            return Expression(self.name, value, self.better, self.needs_labels, self.tolerance)
        below = _tried(self.name, self.denominator, events)
        return Ratio(self.name, value, below, self.better, self.needs_labels, self.tolerance)

    def events(self, beside: Iterable[CustomMetric]) -> list[Event]:
        """Return the rewards and interactions that its value is made of."""
        known = _events(beside)
        named = expression.names(f"{self.value} {self.denominator}")
        return [event for name, event in known.items() if name == self.name or name in named]


def read(data: Any) -> tuple[CustomMetric, ...]:
    """Read the ``metrics`` of a design: a mapping from a name to an expression, or to the fields of a custom metric.

    Raises:
        UsageError: Something in it is wrong; the message names it and the nearest right one.
    """
    if not isinstance(data, dict):
        raise UsageError(
            "metrics is a mapping from a name to an expression.", hint="As in: metrics: {sure: score > 0.9}"
        )
    entries = {
        str(name): {key: value for key, value in given.items() if value is not None}
        if isinstance(given, dict)
        else {"value": given}
        for name, given in data.items()
    }
    of_events = {name for name, entry in entries.items() if "interaction" in entry or "reward" in entry}
    found = tuple(_read(name, entry, of_events) for name, entry in entries.items())
    for one in found:
        one.metric(found)
    return found


def _read(name: str, entry: Mapping[str, Any], of_events: set[str]) -> CustomMetric:
    known = [field.name for field in fields(CustomMetric) if field.name != "name"]
    for key in entry:
        if key not in known:
            raise NotFound(f"key of metric {name!r}", str(key), known)
    apart = ("tolerance", "needs_labels")
    for key in entry:
        if isinstance(entry[key], dict | list):
            raise UsageError(f"metric {name!r}: {key} is {entry[key]!r}; it is a text.", hint=_example(name))
    texts = {key: str(value) for key, value in entry.items() if key not in apart}
    tolerance = entry.get("tolerance", 0.0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float):
        raise UsageError(f"metric {name!r}: tolerance is {tolerance!r}; it is a number.")
    words = expression.names(f"{texts.get('value', '')} {texts.get('denominator', '')}")
    late = name in of_events or bool(words & of_events)
    needs_labels = entry.get("needs_labels", not late or bool(words & {"label_class", "label_number"}))
    if not isinstance(needs_labels, bool):
        raise UsageError(f"metric {name!r}: needs_labels is {needs_labels!r}; it is true or false.")
    return CustomMetric(name, **texts, needs_labels=needs_labels, tolerance=float(tolerance))  # type: ignore[arg-type]


def _example(name: str) -> str:
    return f"As in: {name}: {{value: score > 0.9}}, or {name}: {{interaction: banner, equals: clicked, within: 1d}}"


def _events(metrics: Iterable[CustomMetric]) -> dict[str, Event]:
    return {event.metric: event for metric in metrics if (event := metric.event) is not None}


def _tried(name: str, text: str, events: Mapping[str, Event]) -> str:
    """Return a checked expression; where a row makes it fail (a text that is no number), the row does not count.

    Nor does a prediction that is too young for a reward or an interaction that the expression names.
    """
    kinds = {**COLUMNS, **{event.metric: event.sql_type for event in events.values()}}
    sql = expression.checked(f"metric {name!r}", text, Columns(kinds, EVENT, "::DOUBLE", plain=COLUMNS))
    tried = f"TRY(({sql})::DOUBLE)"
    old = " AND ".join(f"{event.sql} IS NOT NULL" for event in _named(text, events))
    return f"CASE WHEN {old} THEN {tried} END" if old else tried


def _named(text: str, events: Mapping[str, Event]) -> Iterator[Event]:
    return (events[name] for name in sorted(expression.names(text) & set(events)))


def events_of(names: Sequence[str], metrics: Sequence[CustomMetric]) -> tuple[Event, ...]:
    """Return the rewards and interactions that some of a design's metrics are made of, each once."""
    found = (event for metric in metrics if metric.name in names for event in metric.events(metrics))
    return tuple({event.metric: event for event in found}.values())
