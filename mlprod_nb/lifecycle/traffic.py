"""Calling an endpoint as any client does: predictions over HTTP, feedback by prediction id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mlprod_nb.errors import InvalidInput, Refused, UsageError
from mlprod_nb.lifecycle import data as reading
from mlprod_nb.lifecycle.context import LOCAL_TOKEN, Context
from mlprod_nb.results import Result, Section, counted

if TYPE_CHECKING:
    from mlprod_nb.serving.client import GatewayClient

_KINDS = ("label", "reward", "interaction")
_SHOWN = 5


@dataclass(frozen=True)
class PredictResult(Result):
    """What an endpoint answered; every list has one value a row, in the rows' order.

    Attributes:
        endpoint: The endpoint's name.
        predictions: The predicted labels or values.
        scores: Probability of the last class (binary), of the predicted class (multiclass), or the value.
        prediction_ids: Keys for feedback and ``who-served``.
        variant: Which variant answered.
        model_version: Which model version answered, as ``flights/3``.
        contributions: By column, what it did to the score; empty where that was not asked for.
    """

    endpoint: str
    predictions: tuple[Any, ...]
    scores: tuple[float, ...]
    prediction_ids: tuple[str, ...]
    variant: tuple[str, ...]
    model_version: tuple[str, ...]
    contributions: tuple[dict[str, float], ...] = ()

    def headline(self) -> str:
        """Say how many rows were answered, and by whom."""
        counts = {name: self.variant.count(name) for name in sorted(set(self.variant))}
        by = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        return f"{counted(len(self.predictions), 'prediction')} from {self.endpoint!r} ({by})."

    def sections(self) -> tuple[Section, ...]:
        """Show the first rows."""
        names = ("predictions", "scores", "variant", "model_version", "prediction_ids")
        rows = tuple(zip(*(getattr(self, name)[:_SHOWN] for name in names), strict=True))
        more = f"first {_SHOWN} of {len(self.predictions):,}" if len(self.predictions) > _SHOWN else ""
        sections = [Section(more, names, rows)]
        if self.contributions:
            columns = tuple(self.contributions[0])
            shares = tuple(tuple(row[column] for column in columns) for row in self.contributions[:_SHOWN])
            sections.append(Section("what each column did to the score", columns, shares))
        return tuple(sections)

    def to_frame(self) -> Any:
        """Return one row a prediction; what was explained as columns such as ``contribution_hour``."""
        import pandas as pd

        names = ("predictions", "scores", "variant", "model_version", "prediction_ids")
        frame = pd.DataFrame({name: list(getattr(self, name)) for name in names})
        return frame.join(pd.DataFrame(list(self.contributions)).add_prefix("contribution_"))


@dataclass(frozen=True)
class Feedback:
    """What :meth:`mlprod_nb.Workspace.feedback` takes."""

    endpoint: str
    ids: Any
    values: Any
    kind: str
    name: str
    source: str
    event_time: Any = None


@dataclass(frozen=True)
class FeedbackResult(Result):
    """Feedback was taken.

    Attributes:
        endpoint: The endpoint's name.
        accepted: How many values.
        kind: label, reward or interaction.
        unmatched: How many of them name no prediction of the endpoint, and so count for nothing.
        note: The same in words, with an id; empty where all match.
    """

    endpoint: str
    accepted: int
    kind: str
    unmatched: int = 0
    note: str = ""
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "accepted", "kind", "unmatched", "note")

    def headline(self) -> str:
        """Say how many values were taken, and how many of them are about nothing."""
        taken = f"{counted(self.accepted, self.kind)} taken for {self.endpoint!r}."
        return f"{taken} {self.note}." if self.note else taken


@dataclass(frozen=True)
class Question:
    """What :meth:`mlprod_nb.Workspace.predict` takes."""

    endpoint: str
    rows: Any
    units: Any
    event_time: Any
    explain: bool


def predict(context: Context, asked: Question) -> PredictResult:
    """Ask for predictions over HTTP."""
    frame = reading.frame(asked.rows)
    unit_values, when = None, None
    if asked.units is not None:
        values, name = reading.column(asked.units, frame, "units")
        unit_values = [_unit(value) for value in values]
        frame = frame.drop(columns=[name]) if name else frame
    if asked.event_time is not None:
        values, name = reading.column(asked.event_time, frame, "event-time")
        when = reading.moments(values)
        frame = frame.drop(columns=[name]) if name else frame
    columns = {str(name): reading.plain(frame[name]) for name in frame.columns}
    with client(context) as gateway:
        try:
            reply = gateway.predict(asked.endpoint, columns, units=unit_values, event_time=when, explain=asked.explain)
        except InvalidInput as error:
            raise _of_an_array(error) if reading.is_array(asked.rows) and error.column else error from None
    return PredictResult(asked.endpoint, **{name: tuple(values) for name, values in reply.items()})


def _unit(value: Any) -> str | float | None:
    """Return a unit as it is sent: a number as it is, which the gateway reads, a missing one as none, else its text."""
    import pandas as pd

    if isinstance(value, (float, int)) and not isinstance(value, bool):
        return None if pd.isna(value) else value
    return None if value is None or value is pd.NA or value is pd.NaT else str(value)


def _of_an_array(error: InvalidInput) -> InvalidInput:
    """Say with an error about a column how an array's columns are called."""
    text = f"{error} An array's columns are called x0, x1, …: pass a DataFrame with the endpoint's columns."
    return InvalidInput(text, column=error.column, row=error.row)


def feedback(context: Context, given: Feedback) -> FeedbackResult:
    """Send feedback over HTTP.

    Raises:
        UsageError: There is no such kind of feedback, or ids and values are not as many.
    """
    if given.kind not in _KINDS:
        raise UsageError(f"{given.kind!r} is not a kind of feedback.", hint=f"There is: {', '.join(_KINDS)}.")
    ids, values = reading.one_column(given.ids, "ids"), reading.one_column(given.values, "values")
    if len(ids) != len(values):
        raise UsageError(
            f"--ids has {counted(len(ids), 'row')} and --values has {len(values):,}.", hint="They must be as many."
        )
    shared = {"kind": given.kind, "name": given.name, "source": given.source}
    rows = [{"prediction_id": i, "value": value, **shared} for i, value in zip(ids, values, strict=True)]
    if given.event_time is not None:
        when = reading.moments(reading.one_column(given.event_time, "event-time"))
        if len(when) != len(ids):
            raise UsageError(
                f"--ids has {counted(len(ids), 'row')} and --event-time has {len(when):,}.",
                hint="They must be as many.",
            )
        rows = [{**row, "event_time": moment} for row, moment in zip(rows, when, strict=True)]
    with client(context) as gateway:
        accepted = gateway.feedback(given.endpoint, rows)
    found = context.log.unmatched(context.log.pin(given.endpoint), [str(key) for key in ids])
    return FeedbackResult(given.endpoint, accepted, given.kind, found.strays, found.told())


def client(context: Context) -> GatewayClient:
    """Return a client of this workspace's gateway, with the local token.

    Raises:
        Refused: The gateway is not running.
    """
    from mlprod_nb.access import secrets
    from mlprod_nb.serving.client import GatewayClient

    context.change()
    record = context.target.running(context.root)
    if record is None:
        raise Refused("the gateway is not running.", hint="Start it with: mlprod up")
    authority = context.layout.tls / "ca.pem"
    verify = str(authority) if record.url.startswith("https") else True
    return GatewayClient(record.url, secrets.read_secret(context.layout.secrets / LOCAL_TOKEN), verify=verify)
