"""A/B tests: the endpoint's split is the design, its log and feedback are the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from mlprod_nb.errors import Refused
from mlprod_nb.lifecycle.abtests import events, failed_rows
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.lifecycle.watching.watch import Window, main_variant, pin
from mlprod_nb.registry.bundles import Manifest
from mlprod_nb.results import Verdict
from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store import revisions, tables

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.abtest import ABTestResult, Design, Outcome, PlanResult
    from mlprod_nb.abtest.calibration import AAResult
    from mlprod_nb.prediction_log.ranges import LogRange


#: Of so many requests by chance the inputs are compared between the variants.
_COMPARED_ROWS = 20_000


@dataclass(frozen=True)
class Question:
    """What :meth:`mlprod_nb.Workspace.abtest_plan` takes."""

    endpoint: str
    effect: float
    metric: str
    power: float
    alpha: float
    metrics: str = ""


@dataclass(frozen=True)
class Started:
    """A test as the store keeps it."""

    id: int
    design: Design
    revision: int
    stopped_at: datetime | None
    stop_reason: str = ""

    @property
    def stopped(self) -> bool:
        """Whether it has ended."""
        return self.stopped_at is not None


def plan(context: Context, question: Question) -> PlanResult:
    """Measure the metric in the log, and say how many units find the effect."""
    from mlprod_nb import abtest
    from mlprod_nb.abtest import metrics
    from mlprod_nb.abtest.custom import events_of

    spec, manifest = serving(context, question.endpoint)
    own = {metric.name: metric for metric in abtest.own_metrics(question.metrics)}
    name = question.metric or next(iter(own), metrics.default_metric(manifest.task))
    metric = own[name].metric(own.values()) if name in own else metrics.find(name, own)
    wanted = events_of([name], list(own.values()))
    if unseen := events.unseen(context, question.endpoint, wanted):
        raise Refused(unseen[0], hint="Plan when some have come in.")
    pinned = context.log.pin(question.endpoint)
    table = failed_rows.beside(context, labelled(context, pinned), pinned)
    told = events.beside(context, pinned, table, wanted)
    shares = sorted(spec.shares().values())
    aim = abtest.Aim(
        question.effect,
        alpha=question.alpha,
        power=question.power,
        treatment_share=shares[0] if len(shares) == 2 else 0.5,
    )
    today = abtest.baseline(told.rows, metric, outcome(manifest), days_late=events.days_late(wanted))
    return abtest.plan(today, aim)


@dataclass(frozen=True)
class Splits:
    """The splits that a test had.

    Attributes:
        first: The endpoint's state when it began.
        shares: Each split's shares of the test's variants, the first one first.
        of_revision: Under which split a revision's predictions came.
        left_out: Later revisions whose predictions cannot be compared with the first one's.
    """

    first: EndpointSpec
    shares: list[dict[str, float]]
    of_revision: dict[int, int]
    left_out: list[int]

    @property
    def of_first(self) -> list[int]:
        """The revisions with the split that the test began with."""
        return [number for number, split in self.of_revision.items() if split == 0]


@dataclass(frozen=True)
class Data:
    """What a test is read from."""

    test: Started
    manifest: Manifest
    splits: Splits
    pinned: LogRange
    rows: pa.Table
    notes: tuple[str, ...]


def result(context: Context, window: Window) -> ABTestResult:
    """Analyse the newest test's predictions; where its split was changed, split by split."""
    from mlprod_nb import abtest

    data = read(context, window)
    found = abtest.analyse(
        data.rows,
        data.test.design,
        shares=data.splits.shares,
        task=data.manifest.task,
        classes=data.manifest.classes,
        inputs=_counted(data.test, _inputs(context, data.pinned), data.splits),
    )
    over = data.test.stopped and not window.pinned  # a report says what it said, also when it is replayed
    return replace(
        found,
        verdict=_over(found.verdict, data.test) if over else found.verdict,
        notes=(*found.notes, *data.notes),
    )


def _over(verdict: Verdict, test: Started) -> Verdict:
    """Say of a test that has ended when and why it did; there is nothing left to do about it."""
    why = f": {test.stop_reason.rstrip('.')}" if test.stop_reason else ""
    ended = f"the test ended at {test.stopped_at:%Y-%m-%d %H:%M} UTC{why}."
    return replace(verdict, sentence=f"{ended} As it stood: {verdict.sentence}", action="")


def calibrate(context: Context, window: Window, runs: int) -> AAResult:
    """Run the newest test's analysis on divisions of its units by chance."""
    from mlprod_nb.abtest import calibration

    context.progress.step("reading the log")
    data = read(context, window)
    rows = _of_revisions(data.rows, data.splits.of_first)
    return calibration.run(
        rows,
        data.test.design,
        outcome(data.manifest),
        data.splits.shares[0],
        runs=runs,
        progress=context.progress,
    )


def read(context: Context, window: Window) -> Data:
    """Read the newest test's predictions."""
    from mlprod_nb.abtest import segmenting

    test = _newest(context, window.endpoint)
    splits = _splits(context, window.endpoint, test)
    pinned = pin(context, window)
    manifest = _manifest(context, splits.first, window.endpoint)
    design = test.design
    named = (
        segmenting.inputs(design.segments, input_types(context, splits.first, window.endpoint))
        if design.segments
        else ()
    )
    wanted = Wanted(design.method == "paired", design.covariates, named)
    table = failed_rows.beside(context, labelled(context, pinned, wanted), pinned)
    rows = _counted(test, table, splits)
    told = events.beside(context, pinned, rows, design.events(), replayed=bool(window.pinned))
    notes = (*_left_out(table, splits, rows), *told.notes, *_removed(context, test))
    return Data(test, manifest, splits, pinned, told.rows, notes)


def _counted(test: Started, table: pa.Table, splits: Splits) -> pa.Table:
    """Keep the rows that count in a test, each with its split where there were several."""
    return _in_periods(_during(test, _of_revisions(table, list(splits.of_revision))), splits)


def _in_periods(rows: pa.Table, splits: Splits) -> pa.Table:
    """Say of each row under which split it came, where there were several."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from mlprod_nb.abtest.rows import PERIOD

    if len(splits.shares) == 1:
        return rows
    at = pc.index_in(rows["revision"], value_set=pa.array(splits.of_revision, pa.int32()))
    return rows.append_column(PERIOD, pa.array(splits.of_revision.values(), pa.int32()).take(at))


def _newest(context: Context, endpoint: str) -> Started:
    with context.store.read() as connection:
        test = latest(connection, endpoint)
    if test is None:
        existing(context, endpoint)
        hint = f"Start one: mlprod abtest start {endpoint}"
        raise Refused(f"no A/B test was started on {endpoint!r}.", hint=hint)
    return test


def _during(test: Started, table: pa.Table) -> pa.Table:
    """Keep what was received while the test ran: what came before was known when its design was fixed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    received = table["received_at"].cast(pa.timestamp("us", "UTC"))
    moment = pa.timestamp("us", "UTC")
    if test.design.started_at is not None:
        keep = pc.greater_equal(received, pa.scalar(test.design.started_at, moment))
        table, received = table.filter(keep), received.filter(keep)
    if test.stopped_at is not None:
        table = table.filter(pc.less(received, pa.scalar(test.stopped_at, moment)))
    return table


def _left_out(table: pa.Table, splits: Splits, rows: pa.Table) -> list[str]:
    """Say which predictions do not count, and why."""
    notes = []
    changed = _of_revisions(table, splits.left_out).num_rows
    if changed:
        notes.append(f"{changed:,} predictions came after the versions or the unit were changed; they do not count.")
    outside = _of_revisions(table, list(splits.of_revision)).num_rows - rows.num_rows
    if outside:
        notes.append(f"{outside:,} predictions came before the test began or after it ended; they do not count.")
    return notes


def _removed(context: Context, test: Started) -> list[str]:
    """Say which predictions of a test were removed since they were too old."""
    began = test.design.started_at
    gone = [one for one in context.log.removed(test.design.endpoint) if began is None or one.last_at >= began]
    if not gone:
        return []
    last = max(one.last_at for one in gone)
    return [f"predictions up to {last:%Y-%m-%d} were removed, as [log] keep_days says; the test rests on the others."]


def _inputs(context: Context, where: LogRange) -> pa.Table:
    columns = ["event_time", "received_at", "revision", "variant", "unit", "prediction_id", "inputs"]
    return context.log.sample(where, _COMPARED_ROWS, only=columns)


def latest(connection: sa.Connection, endpoint: str) -> Started | None:
    """Return an endpoint's newest test, or ``None``."""
    from mlprod_nb.abtest import Design

    table = tables.abtests
    query = sa.select(table).where(table.c.endpoint == endpoint).order_by(table.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return None
    return Started(row.id, Design.from_dict(row.design), row.revision, row.stopped_at, row.stop_reason or "")


def tested(context: Context, test: Started, treatment: str) -> str:
    """Return the version that a treatment was when the test began, as ``flights/4``."""
    with context.store.read() as connection:
        past = {r.number: r.spec for r in revisions.history(connection, test.design.endpoint)}
    spec = past[test.revision]
    assert spec is not None
    return next(v.model_version for v in (*spec.variants, *spec.shadows) if v.name == treatment)


def serving(context: Context, endpoint: str) -> tuple[EndpointSpec, Manifest]:
    """Return an endpoint's present state, and what is known of the model behind its main variant."""
    spec = existing(context, endpoint).spec
    assert spec is not None
    return spec, _manifest(context, spec, endpoint)


def _manifest(context: Context, spec: EndpointSpec, endpoint: str) -> Manifest:
    return context.bundle_of(main_variant(spec, endpoint)).manifest


def outcome(manifest: Manifest) -> Outcome:
    """Return what the endpoint predicts."""
    from mlprod_nb.abtest import Outcome

    return Outcome(manifest.task, tuple(str(label) for label in manifest.classes))


def _splits(context: Context, endpoint: str, test: Started) -> Splits:
    """Return the splits that an endpoint had since a test began."""
    design = test.design
    asked = (design.control, design.treatment, *design.others)
    with context.store.read() as connection:
        history = [r for r in revisions.history(connection, endpoint) if r.number >= test.revision]
    first = next(r.spec for r in history if r.number == test.revision)
    assert first is not None
    whole = [first.shares()]
    found = Splits(first, [], {}, [])
    for revision in history:
        spec = revision.spec
        # With a shadow every request has both answers, whatever the split.
        if spec is not None and (design.method == "paired" or spec.shares() == whole[0]):
            found.of_revision[revision.number] = 0
        elif spec is not None and _comparable(first, spec, asked):
            if spec.shares() not in whole:
                whole.append(spec.shares())
            found.of_revision[revision.number] = whole.index(spec.shares())
        else:
            found.left_out.append(revision.number)
    found.shares.extend({name: share for name, share in shares.items() if name in asked} for shares in whole)
    return found


def _comparable(first: EndpointSpec, later: EndpointSpec, asked: Sequence[str]) -> bool:
    """Return whether a later state differs from the first in its shares alone, as far as a test can tell."""
    before, after = ([spec.variant(name) for name in asked] for spec in (first, later))
    return later.unit == first.unit and all(
        one is not None and (other is None or other.model_version == one.model_version)
        for one, other in zip(before, after, strict=True)
    )


def input_types(context: Context, spec: EndpointSpec, endpoint: str) -> dict[str, str]:
    """Return the inputs of the model behind an endpoint's main variant, with the type of each in its signature."""
    signature = context.bundle_of(main_variant(spec, endpoint)).signature
    return {column.name: column.type for column in signature.columns}


@dataclass(frozen=True)
class Wanted:
    """What is read of the log besides what metrics use.

    Attributes:
        shadows: Shadow rows.
        covariates: Numeric inputs, and predictions of versions, as ``prediction of flights/2``.
        segments: Inputs that segments are made of.
    """

    shadows: bool = False
    covariates: Sequence[str] = ()
    segments: Sequence[str] = ()


def labelled(context: Context, where: LogRange, wanted: Wanted = Wanted()) -> pa.Table:
    """Read what metrics can use; a model's inputs are most of the log and none of that."""
    from mlprod_nb.abtest import covariates, rows
    from mlprod_nb.abtest.rows import COLUMNS

    of_labels = {"label", "label_number"}
    columns = ["revision", "shadow", "received_at", *(name for name in COLUMNS if name not in of_labels)]
    if not wanted.covariates and not wanted.segments:
        return context.log.labelled(where, shadows=wanted.shadows, only=columns)
    table = context.log.labelled(where, shadows=wanted.shadows, only=[*columns, "inputs"])
    versions = {name: version for name in wanted.covariates if (version := covariates.version_of(name))}
    scores = {name: _scores(context, version, table) for name, version in versions.items()}
    table = rows.with_inputs(table, [name for name in wanted.covariates if name not in scores], wanted.segments)
    for name, column in scores.items():
        table = table.append_column(rows.COVARIATE + name, column)
    return table


def _scores(context: Context, version: str, table: pa.Table) -> pa.Array:
    """Return what one version says of every request: whichever variant answered it, the number is the same."""
    import pyarrow as pa

    from mlprod_nb.lifecycle import rescoring
    from mlprod_nb.monitoring import counting

    bundle = context.registry.fetch_bundle(context.registry.resolve(version), context.bundles)
    return pa.array(rescoring.answers(bundle, counting.inputs(table), table.num_rows)[1])


def _of_revisions(table: pa.Table, numbers: list[int]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["revision"], value_set=pa.array(numbers, pa.int32())))
