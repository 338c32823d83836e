"""A/B tests: the endpoint's split is the design, its log and feedback are the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from mlprod_nb.errors import Refused
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.revise import existing
from mlprod_nb.lifecycle.watch import Window, main_variant, pin
from mlprod_nb.registry.bundles import Manifest
from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store import revisions, tables

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.abtest import ABTestResult, Design, Outcome, PlanResult
    from mlprod_nb.prediction_log.ranges import LogRange


@dataclass(frozen=True)
class Question:
    """What :meth:`mlprod_nb.Workspace.abtest_plan` takes."""

    endpoint: str
    effect: float
    metric: str
    power: float
    alpha: float


@dataclass(frozen=True)
class Started:
    """A test as the store keeps it."""

    id: int
    design: Design
    revision: int
    stopped: bool


def plan(context: Context, question: Question) -> PlanResult:
    """Measure the metric in the log, and say how many units find the effect."""
    from mlprod_nb import abtest
    from mlprod_nb.abtest import metrics

    spec, manifest = serving(context, question.endpoint)
    metric = question.metric or metrics.default_metric(manifest.task)
    table = labelled(context, context.log.pin(question.endpoint))
    shares = sorted(spec.shares().values())
    aim = abtest.Aim(
        question.effect,
        alpha=question.alpha,
        power=question.power,
        treatment_share=shares[0] if len(shares) == 2 else 0.5,
    )
    return abtest.plan(abtest.baseline(table, metric, outcome(manifest)), aim)


def result(context: Context, window: Window) -> ABTestResult:
    """Analyse the newest test's predictions, as far as they came under the split it began with."""
    from mlprod_nb import abtest

    with context.store.read() as connection:
        test = latest(connection, window.endpoint)
    if test is None:
        existing(context, window.endpoint)
        raise Refused(
            f"no A/B test was started on {window.endpoint!r}.", hint=f"Start one: mlprod abtest start {window.endpoint}"
        )
    spec, numbers, left_out = _same_split(context, window.endpoint, test)
    paired = test.design.method == "paired"
    table = labelled(context, pin(context, window), shadows=paired)
    shares = {
        name: share for name, share in spec.shares().items() if name in (test.design.control, test.design.treatment)
    }
    manifest = _manifest(context, spec, window.endpoint)
    found = abtest.analyse(
        _of_revisions(table, numbers), test.design, shares=shares, task=manifest.task, classes=manifest.classes
    )
    dropped = _of_revisions(table, left_out).num_rows
    if dropped:
        note = f"{dropped:,} predictions came after the split was changed; they do not count."
        found = replace(found, notes=(*found.notes, note))
    return found


def latest(connection: sa.Connection, endpoint: str) -> Started | None:
    """Return an endpoint's newest test, or ``None``."""
    from mlprod_nb.abtest import Design

    table = tables.abtests
    query = sa.select(table).where(table.c.endpoint == endpoint).order_by(table.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return None
    return Started(row.id, Design.from_dict(row.design), row.revision, row.stopped_at is not None)


def tested(context: Context, test: Started) -> str:
    """Return the version that was the treatment when the test began, as ``flights/4``."""
    with context.store.read() as connection:
        past = {r.number: r.spec for r in revisions.history(connection, test.design.endpoint)}
    spec = past[test.revision]
    assert spec is not None
    return next(v.model_version for v in (*spec.variants, *spec.shadows) if v.name == test.design.treatment)


def serving(context: Context, endpoint: str) -> tuple[EndpointSpec, Manifest]:
    """Return an endpoint's present state, and what is known of the model behind its main variant."""
    spec = existing(context, endpoint).spec
    assert spec is not None
    return spec, _manifest(context, spec, endpoint)


def _manifest(context: Context, spec: EndpointSpec, endpoint: str) -> Manifest:
    return context.bundles.get(main_variant(spec, endpoint).bundle).manifest


def outcome(manifest: Manifest) -> Outcome:
    """Return what the endpoint predicts."""
    from mlprod_nb.abtest import Outcome

    return Outcome(manifest.task, tuple(str(label) for label in manifest.classes))


def _same_split(context: Context, endpoint: str, test: Started) -> tuple[EndpointSpec, list[int], list[int]]:
    """Return the split that the test began with, the revisions that have it, and the later ones that do not."""
    with context.store.read() as connection:
        past = {r.number: r.spec for r in revisions.history(connection, endpoint) if r.number >= test.revision}
    first = past[test.revision]
    assert first is not None
    if test.design.method == "paired":  # every request has both answers, whatever the split
        return first, list(past), []
    same = [number for number, spec in past.items() if spec is not None and spec.shares() == first.shares()]
    return first, same, [number for number in past if number not in same]


def labelled(context: Context, where: LogRange, *, shadows: bool = False) -> pa.Table:
    """Read what metrics can use; a model's inputs are most of the log and none of that."""
    from mlprod_nb.abtest.scan import COLUMNS

    of_labels = {"label", "label_number"}
    columns = ["revision", "shadow", *(name for name in COLUMNS if name not in of_labels)]
    return context.log.labelled(where, shadows=shadows, only=columns)


def _of_revisions(table: pa.Table, numbers: list[int]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["revision"], value_set=pa.array(numbers, pa.int32())))
