"""A/B tests: the endpoint's split is the design, its log and feedback are the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mlprod_nb.errors import Refused
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.revise import existing
from mlprod_nb.lifecycle.watch import Window, main_variant, pin
from mlprod_nb.registry.bundles import Manifest
from mlprod_nb.results import Result
from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store import revisions, tables

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.abtest import ABTestResult, Design, PlanResult
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
class ABTestStarted(Result):
    """An A/B test runs.

    Attributes:
        endpoint: The endpoint's name.
        design: How it will be read.
        hypothesis: Why the treatment should be better.
        unit: Who is randomised; empty: every prediction on its own.
        shares: Each variant's share of the units.
        started_at: When it began.
    """

    endpoint: str
    design: str
    hypothesis: str
    unit: str
    shares: dict[str, float]
    started_at: datetime

    def headline(self) -> str:
        """Say that it runs."""
        return f"An A/B test runs on {self.endpoint!r}."


@dataclass(frozen=True)
class ABTestStopped(Result):
    """An A/B test has ended.

    Attributes:
        endpoint: The endpoint's name.
        design: How it was read.
        reason: Why it was ended.
    """

    endpoint: str
    design: str
    reason: str

    def headline(self) -> str:
        """Say that it has ended."""
        return f"The A/B test on {self.endpoint!r} has ended; its split stays until you route or promote."


@dataclass(frozen=True)
class _Started:
    """A test as the store keeps it."""

    id: int
    design: Design
    revision: int
    stopped: bool


def plan(context: Context, question: Question) -> PlanResult:
    """Measure the metric in the log, and say how many units find the effect."""
    from mlprod_nb import abtest
    from mlprod_nb.abtest import metrics

    spec, manifest = _serving(context, question.endpoint)
    metric = question.metric or metrics.default_metric(manifest.task)
    table = _labelled(context, context.log.pin(question.endpoint))
    shares = sorted(spec.shares().values())
    aim = abtest.Aim(
        question.effect,
        alpha=question.alpha,
        power=question.power,
        treatment_share=shares[0] if len(shares) == 2 else 0.5,
    )
    return abtest.plan(abtest.baseline(table, metric, _outcome(manifest)), aim)


def start(context: Context, endpoint: str, text: str) -> ABTestStarted:
    """Fix the design before the data come."""
    from mlprod_nb import abtest

    spec, manifest = _serving(context, endpoint)
    now = context.clock()
    with_traffic = [variant.name for variant in spec.variants if variant.weight > 0]
    design = abtest.parse(text, endpoint=endpoint, variants=with_traffic, task=manifest.task, started_at=now)
    with context.store.write() as connection:
        running = _latest(connection, endpoint)
        if running is not None and not running.stopped:
            raise Refused(
                f"an A/B test runs on {endpoint!r} already.", hint=f"End it with: mlprod abtest stop {endpoint}"
            )
        values = {
            "endpoint": endpoint,
            "design": design.to_dict(),
            "revision": existing(context, endpoint).number,
            "actor": context.caller.actor,
            "started_at": now,
        }
        connection.execute(sa.insert(tables.abtests).values(**values))
        context.audit(connection, "abtest start", endpoint, design.describe())
    shares = {name: spec.shares()[name] for name in (design.control, design.treatment)}
    return ABTestStarted(endpoint, design.describe(), design.hypothesis, spec.unit, shares, now)


def result(context: Context, window: Window) -> ABTestResult:
    """Analyse the newest test's predictions, as far as they came under the split it began with."""
    from mlprod_nb import abtest

    with context.store.read() as connection:
        test = _latest(connection, window.endpoint)
    if test is None:
        existing(context, window.endpoint)
        raise Refused(
            f"no A/B test was started on {window.endpoint!r}.", hint=f"Start one: mlprod abtest start {window.endpoint}"
        )
    spec, numbers, left_out = _same_split(context, window.endpoint, test)
    table = _labelled(context, pin(context, window))
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


def stop(context: Context, endpoint: str, reason: str) -> ABTestStopped:
    """End the running test."""
    with context.store.write() as connection:
        test = _latest(connection, endpoint)
        if test is None or test.stopped:
            raise Refused(f"no A/B test runs on {endpoint!r}.")
        mine = tables.abtests.c.id == test.id
        connection.execute(sa.update(tables.abtests).where(mine).values(stopped_at=context.clock(), stop_reason=reason))
        context.audit(connection, "abtest stop", endpoint, reason)
    return ABTestStopped(endpoint, test.design.describe(), reason)


def _latest(connection: sa.Connection, endpoint: str) -> _Started | None:
    from mlprod_nb.abtest import Design

    table = tables.abtests
    query = sa.select(table).where(table.c.endpoint == endpoint).order_by(table.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return None
    return _Started(row.id, Design.from_dict(row.design), row.revision, row.stopped_at is not None)


def _serving(context: Context, endpoint: str) -> tuple[EndpointSpec, Manifest]:
    spec = existing(context, endpoint).spec
    assert spec is not None
    return spec, _manifest(context, spec, endpoint)


def _manifest(context: Context, spec: EndpointSpec, endpoint: str) -> Manifest:
    return context.bundles.get(main_variant(spec, endpoint).bundle).manifest


def _outcome(manifest: Manifest) -> Any:
    from mlprod_nb.abtest import Outcome

    return Outcome(manifest.task, tuple(str(label) for label in manifest.classes))


def _same_split(context: Context, endpoint: str, test: _Started) -> tuple[EndpointSpec, list[int], list[int]]:
    """Return the split that the test began with, the revisions that have it, and the later ones that do not."""
    with context.store.read() as connection:
        past = {r.number: r.spec for r in revisions.history(connection, endpoint) if r.number >= test.revision}
    first = past[test.revision]
    assert first is not None
    same = [number for number, spec in past.items() if spec is not None and spec.shares() == first.shares()]
    return first, same, [number for number in past if number not in same]


def _labelled(context: Context, where: LogRange) -> pa.Table:
    """Read what metrics can use; a model's inputs are most of the log and none of that."""
    from mlprod_nb.abtest.scan import COLUMNS

    of_labels = {"label", "label_number"}
    return context.log.labelled(where, only=["revision", *(name for name in COLUMNS if name not in of_labels)])


def _of_revisions(table: pa.Table, numbers: list[int]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    return table.filter(pc.is_in(table["revision"], value_set=pa.array(numbers, pa.int32())))
