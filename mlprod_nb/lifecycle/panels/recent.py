"""The newest rows of an endpoint's log: their scores against the reference's, and how many came true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlprod_nb.errors import Unavailable
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.lifecycle.panels import reacting
from mlprod_nb.lifecycle.panels.reacting import ReactionShare
from mlprod_nb.lifecycle.watching.watch import main_variant

if TYPE_CHECKING:
    from mlprod_nb.monitoring import Profile
    from mlprod_nb.monitoring.plots import Bars
    from mlprod_nb.monitoring.scoring import Outcomes
    from mlprod_nb.prediction_log.ranges import LogRange

#: So many of the newest rows are shown; of files of the log, the newest that hold as many are read.
NEWEST = 5_000
_READ = ("received_at", "event_time", "variant", "model", "version", "prediction", "score")


@dataclass(frozen=True)
class Truth:
    """How many predictions of a variant came true, of the newest rows that have a label.

    Attributes:
        variant: Its name; ``reference`` for what the main version had when it was registered.
        metric: accuracy, or mae for a regression.
        value: Its value.
        lower: Lower end of its 95 % interval.
        upper: Upper end.
        rows: Rows with a label.
    """

    variant: str
    metric: str
    value: float
    lower: float
    upper: float
    rows: int


@dataclass(frozen=True)
class Recent:
    """The newest rows of a log.

    Attributes:
        rows: How many there are.
        labelled: How many of them have a label that the reference knows.
        version: The version whose reference they are compared with, as ``flights/3``.
        scores: The version's scores and those of its reference.
        truths: Of the reference first, then by variant.
        reactions: What users did, by variant.
        problem: Why they are not compared with the reference; empty where they are.
    """

    rows: int
    labelled: int
    version: str
    scores: Bars | None
    truths: tuple[Truth, ...]
    reactions: tuple[ReactionShare, ...] = ()
    problem: str = ""


def read(context: Context, endpoint: str) -> Recent | None:
    """Return what the newest rows tell; ``None`` where there are none. A reference that is not here is said to.

    Raises:
        NotFound: The endpoint does not exist.
        Corrupt: The log is damaged.
    """
    from mlprod_nb.monitoring import Profile, scoring
    from mlprod_nb.registry.bundles import PROFILE

    variant = main_variant(existing(context, endpoint).spec, endpoint)
    where = _newest(context, endpoint)
    every = context.log.labelled(where, only=_READ)
    if not every.num_rows:
        return None
    rows = every.sort_by([("received_at", "descending")])[:NEWEST]
    version = variant.model_version
    users = reacting.shares(every, context.log.reactions(where))
    try:
        profile = Profile.from_json((context.bundle_of(variant).path / PROFILE).read_bytes())
    except Unavailable as error:
        return Recent(rows.num_rows, 0, version, None, (), users, f"not compared with the reference: {error}")
    found = scoring.read(profile, rows)
    known = int(found.known.sum())
    return Recent(rows.num_rows, known, version, _scores(profile, found, version), _truths(profile, found), users)


def _newest(context: Context, endpoint: str) -> LogRange:
    """Return where the newest rows are; where there are many files, only those that hold enough."""
    from mlprod_nb.prediction_log.catalogue import Catalogue, Selection

    files = Catalogue(context.store).files(Selection(endpoint=endpoint, kind="predictions"))
    since = _since([(file.first_at, file.last_at, file.rows) for file in files])
    return context.log.pin(endpoint, since=since)


def _since(files: Sequence[tuple[datetime, datetime, int]]) -> datetime | None:
    """Return from which moment on the newest files have enough rows; ``None`` where all are needed."""
    held = 0
    for first, _, rows in sorted(files, key=lambda file: file[1], reverse=True):
        held += rows
        if held >= NEWEST:
            return first
    return None


def _scores(profile: Profile, found: Outcomes, version: str) -> Bars | None:
    from mlprod_nb.monitoring import counting, plots
    from mlprod_nb.registry.bundles import SCORE_COLUMN

    column = profile.column(SCORE_COLUMN)
    if column is None:
        return None
    counts = counting.count(profile, {SCORE_COLUMN: found.labelled.scores[found.of(version)]})
    return plots.bars(column, counts.columns[SCORE_COLUMN])


def _truths(profile: Profile, found: Outcomes) -> tuple[Truth, ...]:
    from mlprod_nb.monitoring import performance

    main = "mae" if profile.task == "regression" else "accuracy"
    truths = [
        Truth("reference", one.metric, one.value, one.lower, one.upper, one.rows)
        for one in profile.performance
        if one.metric == main
    ]
    for name in found.variants.present():
        rows = found.labelled.take(found.known & found.variants.equals(name))
        estimate = performance.main_estimate(profile.task, rows)
        if estimate is not None:
            facts = (estimate.metric, estimate.value, estimate.lower, estimate.upper, estimate.rows)
            truths.append(Truth(name, *facts))
    return tuple(truths)
