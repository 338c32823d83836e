"""Rows to train on, out of the prediction log: the inputs that were asked about, and what then happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.data import SOURCE
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.lifecycle.watching.watch import Window, main_variant, pin
from mlprod_nb.results import Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from mlprod_nb.prediction_log.ranges import LogRange
    from mlprod_nb.routing import Variant

Mode = Literal["recent", "full", "weighted"]
MODES: tuple[Mode, ...] = get_args(Mode)
FEWEST = 50


@dataclass(frozen=True, eq=False)
class TrainingData(Result):
    """Labelled rows of an endpoint.

    Attributes:
        endpoint: The endpoint's name.
        model: The model's name.
        serving: The version that serves, as ``flights/3``; :meth:`fit` fits a copy of it.
        mode: recent, full or weighted.
        rows: How many rows.
        effective_rows: How many rows of equal weight they are worth.
        data: The model's inputs; the index says when each was asked about, so a profile of them knows the age of dates.
        target: What happened.
        weights: One a row; ``None`` where all count alike.
    """

    endpoint: str
    model: str
    serving: str
    mode: str
    rows: int
    effective_rows: float
    data: pd.DataFrame
    target: pd.Series[Any]
    weights: NDArray[np.float64] | None
    _context: Context
    _hidden = ("data", "target", "weights", "_context")

    def headline(self) -> str:
        """Say how many rows there are."""
        return f"{self.rows:,} labelled rows of {self.endpoint!r} to train on."

    def fit(self) -> Any:
        """Return a fresh copy of the model that serves, fitted to these rows.

        Raises:
            Refused: It cannot be copied, or takes no weights.
        """
        from sklearn.base import clone
        from sklearn.utils.validation import has_fit_parameter

        served = self._context.registry.load(self._context.registry.resolve(self.serving))
        try:
            fresh = clone(served)
        except TypeError:
            hint = "Train in a notebook of your own: [retraining] notebook in mlprod.toml."
            raise Refused(f"{self.serving} is no scikit-learn estimator that can be copied.", hint=hint) from None
        if self.weights is None:
            return fresh.fit(self.data, self.target)
        steps = getattr(fresh, "steps", None)
        if not has_fit_parameter(steps[-1][1] if steps else fresh, "sample_weight"):
            raise Refused(f"{self.serving} takes no weights.", hint="Retrain it with: --mode recent")
        name = f"{steps[-1][0]}__sample_weight" if steps else "sample_weight"
        return fresh.fit(self.data, self.target, **{name: self.weights})


class TrainingReader:
    """Reads rows to train on; see :attr:`mlprod_nb.Workspace.training`.

    Args:
        context: The workspace.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, endpoint: str, *, since: str = "", until: str = "", mode: str = "recent") -> TrainingData:
        """Return an endpoint's labelled rows.

        Args:
            endpoint: The endpoint's name.
            since: Where the recent window begins: a date, a time, an age such as 7d, or yesterday.
            until: Before this event time.
            mode: recent: the window alone; full: everything before ``until``; weighted: that too, each row from
                before the window weighted by how much it looks like the window.

        Raises:
            NotFound: There is no such endpoint or mode.
            Refused: There are too few labelled rows.
        """
        from mlprod_nb.monitoring.weights import effective_rows

        found = self._found(endpoint, since, until, mode)
        variant, parts, window = found.variant, found.parts, found.window
        data, target = _joined([part[0] for part in parts]), _joined([part[1] for part in parts])
        data.attrs[SOURCE] = f"the log of {endpoint}, {mode}: {since or 'its beginning'} to {until or 'its end'}"
        weights = _weights(parts, window) if mode == "weighted" else None
        worth = float(len(data)) if weights is None else round(effective_rows(weights), 1)
        facts = (endpoint, variant.model, variant.model_version, mode, len(data), worth)
        return TrainingData(*facts, data, target, weights, self._context)

    def count(self, endpoint: str, *, since: str = "", until: str = "", mode: str = "recent") -> int:
        """Return how many rows a call would, refusing what it would refuse; nothing is weighted, which takes long."""
        return self._found(endpoint, since, until, mode).count

    def _found(self, endpoint: str, since: str, until: str, mode: str) -> _Found:
        check_mode(mode)
        variant = main_variant(existing(self._context, endpoint).spec, endpoint)
        window = self._rows(pin(self._context, Window(endpoint, since, until)), variant)
        parts = [window.known()]
        if mode != "recent" and since:
            parts.insert(0, self._rows(pin(self._context, Window(endpoint, "", since)), variant).known())
        found = _Found(variant, parts, window)
        if found.count < FEWEST:
            hint = f"Send more of what happened: mlprod feedback {endpoint}; or widen the window."
            raise Refused(f"{endpoint!r} has {found.count} labelled rows there, too few to train on.", hint=hint)
        if mode == "weighted":
            _refuse_unweighable(found)
        return found

    def _rows(self, where: LogRange, variant: Variant) -> _Rows:
        """Return a range's rows: the inputs, and what happened where it is known."""
        import numpy as np
        import pandas as pd
        import pyarrow as pa

        from mlprod_nb.monitoring import Profile, scoring
        from mlprod_nb.monitoring.counting import inputs
        from mlprod_nb.registry.bundles import PROFILE

        bundle = self._context.bundle_of(variant)
        profile = Profile.from_json((bundle.path / PROFILE).read_bytes())
        table = self._context.log.labelled(where)
        names, columns = list(bundle.signature.names), inputs(table)
        moments = pd.DatetimeIndex(table["event_time"].to_pandas(), name="event_time")
        frame = pa.table(columns).select(names).to_pandas() if columns else pd.DataFrame(columns=names)
        frame = frame.set_axis(moments, axis="index")
        found = scoring.read(profile, table)
        labels: Any = found.labelled.labels
        if profile.classes:
            # A row without a label takes any class here, and is left out by what is known.
            labels = np.array(profile.classes, dtype=object)[np.maximum(labels, 0)]
        return _Rows(frame, pd.Series(labels.tolist(), index=moments), found.known)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of the log, of which some have a label."""

    frame: pd.DataFrame
    labels: pd.Series[Any]
    labelled: NDArray[np.bool_]

    def known(self) -> tuple[pd.DataFrame, pd.Series[Any]]:
        return self.frame[self.labelled], self.labels[self.labelled]


@dataclass(frozen=True, eq=False)
class _Found:
    """What a window holds: the labelled rows, those before the window first, and all rows of the window."""

    variant: Variant
    parts: list[tuple[pd.DataFrame, pd.Series[Any]]]
    window: _Rows

    @property
    def count(self) -> int:
        return sum(len(part[0]) for part in self.parts)


def _refuse_unweighable(found: _Found) -> None:
    """Refuse weights where there are too few rows on either side of the window's beginning to tell them apart."""
    from mlprod_nb.monitoring.weights import check_enough

    before = len(found.parts[0][0]) if len(found.parts) > 1 else 0
    try:
        check_enough(before, len(found.window.frame))
    except ValueError as error:
        hint = "Move --since so that there are rows on both sides of it."
        raise Refused(f"rows cannot be weighted: {error}.", hint=hint) from None


def _weights(parts: Sequence[tuple[pd.DataFrame, Any]], window: _Rows) -> NDArray[np.float64]:
    """Weigh all rows by how they resemble the window, of which those without a label tell too."""
    from mlprod_nb.monitoring.weights import relative

    now = parts[-1][0]
    then = parts[0][0] if len(parts) > 1 else now[:0]
    return relative(then, _joined([now, window.frame[~window.labelled]]), len(now))


def _joined(parts: Sequence[Any]) -> Any:
    """Return frames or series one below the other; an empty one knows no types and is left out."""
    import pandas as pd

    return pd.concat([part for part in parts if len(part)] or parts[-1:])


def check_mode(mode: str) -> None:
    """Refuse a mode that there is not.

    Raises:
        NotFound: There is no such mode.
    """
    if mode not in MODES:
        raise NotFound("mode", mode, MODES)
