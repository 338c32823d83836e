"""The drift panel: features by impact, the reference against a window, and the windows to go through in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from mlprod_nb.clock import iso
from mlprod_nb.errors import Refused, Unavailable
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.lifecycle.watching import watch
from mlprod_nb.results import Result, Section, Verdict, drawings

if TYPE_CHECKING:
    from mlprod_nb.monitoring import ColumnDrift, MonitorResult
    from mlprod_nb.monitoring.plots import Bars

#: So many columns, those that matter most, are shown as pictures.
_PICTURES = 12
_MOST_WINDOWS = 60
_STEPS = (timedelta(hours=1), timedelta(days=1), timedelta(days=7), timedelta(days=28), timedelta(days=91))


@dataclass(frozen=True)
class TimeWindow:
    """One stretch of the log.

    Attributes:
        since: Its beginning.
        until: Its end, exclusive.
    """

    since: datetime
    until: datetime


@dataclass(frozen=True)
class Feature:
    """One column in the window against the reference.

    Attributes:
        drift: What the look says of it.
        bars: Both sides, bar by bar; ``None`` where there is nothing to draw.
    """

    drift: ColumnDrift
    bars: Bars | None


@dataclass(frozen=True)
class DriftView(Result):
    """An endpoint's columns in one window against the reference.

    Attributes:
        verdict: What the look concludes; it raises no alert and counts for no budget but its own.
        endpoint: The endpoint's name.
        model_version: The version whose reference is compared with.
        since: The window's beginning, where it was given.
        until: The window's end.
        rows: Predictions in the window.
        features: The columns, what matters most first; then score, prediction and label.
        windows: The stretches to go through.
        look: The whole look; ``None`` where the window is empty.
    """

    verdict: Verdict
    endpoint: str
    model_version: str
    since: datetime | None
    until: datetime | None
    rows: int
    features: tuple[Feature, ...]
    windows: tuple[TimeWindow, ...]
    look: MonitorResult | None

    _frame_field: ClassVar[str] = "features"
    _hidden: ClassVar[tuple[str, ...]] = ("look",)

    def sections(self) -> Sequence[Section]:
        """Show the look."""
        return self.look.sections() if self.look else ()

    def _repr_html_(self) -> str:
        pictures = "".join(drawings.image(figure.svg) for figure in self.look.figures) if self.look else ""
        return super()._repr_html_().removesuffix("</div>") + f"<div>{pictures}</div></div>"


def look(context: Context, endpoint: str, since: str, until: str) -> DriftView:
    """Return an endpoint's drift in a window; that there are no rows, or no reference, is said, never an error."""
    found_windows = windows(_ends(context, endpoint))
    try:
        result = watch.monitor(context, watch.Window(endpoint, since, until), watch.Extra())
    except Refused as error:
        return DriftView(Verdict("ok", error.message), endpoint, "", None, None, 0, (), found_windows, None)
    except Unavailable as error:
        return DriftView(Verdict("alarm", str(error)), endpoint, "", None, None, 0, (), found_windows, None)
    bars = _bars(context, endpoint, result)
    features = tuple(Feature(row, bars.get(row.column)) for row in (*result.columns, *result.outcomes))
    facts = (endpoint, result.model_version, result.since, result.until, result.rows)
    return DriftView(result.verdict, *facts, features, found_windows, result)


def windows(ends: tuple[datetime, datetime] | None) -> tuple[TimeWindow, ...]:
    """Divide a time into at most 60 stretches of an hour, a day, a week, four weeks or a quarter, the oldest first."""
    if ends is None:
        return ()
    first, last = ends
    step = next((one for one in _STEPS if (last - first) / one < _MOST_WINDOWS - 1), _STEPS[-1])
    zero = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday
    begin = zero + (first - zero) // step * step
    count = min((last - begin) // step + 1, _MOST_WINDOWS)
    return tuple(TimeWindow(begin + step * n, begin + step * (n + 1)) for n in range(count))


def _ends(context: Context, endpoint: str) -> tuple[datetime, datetime] | None:
    """Return the event times of an endpoint's first and last predictions."""
    import pyarrow.compute as pc

    times = context.log.predictions(context.log.pin(endpoint), only=["event_time"])["event_time"]
    if not len(times):
        return None
    ends = pc.min_max(times).as_py()
    return ends["min"].astimezone(UTC), ends["max"].astimezone(UTC)


def _bars(context: Context, endpoint: str, result: MonitorResult) -> dict[str, Bars]:
    """Return the pictures of the columns that matter most, and of score and prediction."""
    from mlprod_nb.lifecycle.watching.window_counts import WindowCounter
    from mlprod_nb.monitoring import plots

    moments = [iso(moment) if moment else "" for moment in (result.since, result.until)]
    pinned = watch.pin(context, watch.Window(endpoint, *moments))
    variant = watch.main_variant(existing(context, endpoint).spec, endpoint)
    counter = WindowCounter.of(context.log, context.bundle_of(variant), variant.model_version)
    [counts] = counter.counts(pinned)
    found = {}
    for row in (*result.columns[:_PICTURES], *result.outcomes):
        column = counter.profile.column(row.column) or counter.profile.column(f"__{row.column}__")
        drawn = plots.bars(column, counts.columns[column.name]) if column and column.name in counts.columns else None
        if drawn is not None:
            found[row.column] = drawn
    return found
