"""Starting an A/B test: the design is fixed before the data come, and one that cannot answer is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mlprod_nb.errors import MlprodError, NotFound, Refused, UsageError
from mlprod_nb.lifecycle.abtests import events, failed_rows, reading
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.registry.bundles import Manifest
from mlprod_nb.results import Result, percent
from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store import tables

if TYPE_CHECKING:
    from mlprod_nb.abtest import Baseline, Design

#: A plan in whole rows has its power to within this.
_ROUNDING = 0.005


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
        needs: What finding the minimal effect takes at today's traffic, or why that is not known.
        unseen: Rewards and interactions of its metrics that have not come in yet, with the nearest that has.
    """

    endpoint: str
    design: str
    hypothesis: str
    unit: str
    shares: dict[str, float]
    started_at: datetime
    needs: str = ""
    unseen: tuple[str, ...] = ()

    def headline(self) -> str:
        """Say that it runs."""
        return f"An A/B test runs on {self.endpoint!r}."


def start(context: Context, endpoint: str, text: str, options: Mapping[str, Any]) -> ABTestStarted:
    """Fix the design before the data come.

    Args:
        context: The workspace.
        endpoint: The endpoint's name.
        text: The design as YAML.
        options: Keys of the design that came as options; those that are empty or 0 were not given.

    Raises:
        UsageError: The design is wrong.
        Refused: A test runs already, or the traffic so far cannot answer this one.
    """
    from mlprod_nb import abtest

    spec, manifest = reading.serving(context, endpoint)
    now = context.clock()
    design = abtest.parse(
        abtest.merge(text, options),
        endpoint=endpoint,
        variants=[variant.name for variant in spec.variants if variant.weight > 0],
        shadows=[variant.name for variant in spec.shadows],
        task=manifest.task,
        started_at=now,
    )
    design = _checked(context, design, spec)
    if design.allocation == "thompson" and spec.unit:
        raise UsageError(
            f"a bandit would move units that come back, and {endpoint!r} is split by {spec.unit}.",
            hint="Take it where each request is its own unit.",
        )
    _refuse_a_second(context, endpoint)
    needs = _needs(context, design, spec, manifest)
    with context.store.write() as connection:
        _refuse_if_running(connection, endpoint)
        values = {
            "endpoint": endpoint,
            "design": design.to_dict(),
            "revision": existing(context, endpoint).number,
            "actor": context.caller.actor,
            "started_at": now,
        }
        connection.execute(sa.insert(tables.abtests).values(**values))
        context.audit(connection, "abtest start", endpoint, design.describe())
    shares = {name: spec.shares().get(name, 0.0) for name in (design.control, design.treatment, *design.others)}
    unseen = events.unseen(context, endpoint, design.events())
    return ABTestStarted(endpoint, design.describe(), design.hypothesis, spec.unit, shares, now, needs, unseen)


def _checked(context: Context, design: Design, spec: EndpointSpec) -> Design:
    """Return the design with each version that it names by its number; refuse inputs that are not there."""
    from mlprod_nb.abtest import covariates, segmenting

    known = reading.input_types(context, spec, design.endpoint)
    segmenting.inputs(design.segments, known)
    found = []
    for name in design.covariates:
        if version := covariates.version_of(name):
            found.append(covariates.PREDICTION_OF + _scoring(context, version, known))
        elif name in known:
            found.append(name)
        else:
            raise NotFound("input to take as a covariate", name, known)
    return replace(design, covariates=tuple(found))


def _scoring(context: Context, reference: str, known: Mapping[str, str]) -> str:
    """Return the version that a reference names, which must be able to score the endpoint's inputs."""
    version = context.registry.resolve(reference)
    missing = [
        name for name in context.registry.fetch_bundle(version, context.bundles).signature.names if name not in known
    ]
    if missing:
        raise Refused(
            f"{version.ref} takes the column {missing[0]!r}, which the requests of the endpoint do not have.",
            hint="Take a version with the endpoint's inputs.",
        )
    return str(version.ref)


def _refuse_a_second(context: Context, endpoint: str) -> None:
    """Say that a test runs before its power is computed from the log."""
    with context.store.read() as connection:
        _refuse_if_running(connection, endpoint)


def _refuse_if_running(connection: sa.Connection, endpoint: str) -> None:
    running = reading.latest(connection, endpoint)
    if running is not None and not running.stopped:
        raise Refused(f"an A/B test runs on {endpoint!r} already.", hint=f"End it with: mlprod abtest stop {endpoint}")


def _needs(context: Context, design: Design, spec: EndpointSpec, manifest: Manifest) -> str:
    """Return what the minimal effect takes, in words.

    Raises:
        Refused: The traffic in the log, for as long as the design allows, finds it too rarely.
    """
    from mlprod_nb import abtest
    from mlprod_nb.abtest import power
    from mlprod_nb.abtest.custom import events_of

    if design.minimal_effect <= 0:
        return "not known: the design names no minimal_effect."
    if unseen := events.unseen(context, design.endpoint, events_of([design.primary], design.custom)):
        return f"not known: {unseen[0]}"
    try:
        today = _baseline(context, design, manifest)
    except MlprodError as error:  # a young log says nothing, which is no fault of the design
        return f"not known: {error.message}"
    if today is None:
        return "not known: too few requests have been answered by both variants, or nothing differs on them."
    shares = spec.shares()
    part = [shares.get(name, 0.0) for name in (design.control, design.treatment)]
    paired = design.method == "paired"
    aim = power.Aim(
        design.minimal_effect, design.alpha, design.power, design.method, design.looks,
        0.5 if paired else part[1] / sum(part),
    )  # fmt: skip
    planned = abtest.plan(today, aim)
    rows = [today.rows_within(design.maximum_days) * (1.0 if paired else sum(part))] if design.maximum_days else []
    rows += [design.expected_rows] if design.method in ("fixed", "planned") else []
    if rows and power.chance(today, aim, min(rows)) < design.power - _ROUNDING:
        found = power.chance(today, aim, min(rows))
        limit = f"{min(rows):,.0f} predictions"
        limit += f" ({design.maximum_days:g} days at today's traffic)" if design.maximum_days else ""
        raise Refused(
            f"the design cannot answer: {limit} would find a difference of {design.minimal_effect:g} in "
            f"{design.primary} with a chance of {percent(found, 0)}, and {percent(design.power, 0)} is asked. "
            f"{planned.headline()}",
            hint="Take a larger minimal_effect, more traffic, or more time.",
        )
    return planned.headline()


def _baseline(context: Context, design: Design, manifest: Manifest) -> Baseline | None:
    from mlprod_nb import abtest
    from mlprod_nb.abtest import pairs
    from mlprod_nb.abtest.custom import events_of

    pinned = context.log.pin(design.endpoint)
    table = reading.labelled(context, pinned, reading.Wanted(shadows=design.method == "paired"))
    outcome = reading.outcome(manifest)
    if design.method == "paired":
        return pairs.baseline(table, design, outcome)
    table = failed_rows.beside(context, table, pinned)
    wanted = events_of([design.primary], design.custom)
    told = events.beside(context, pinned, table, wanted)
    return abtest.baseline(told.rows, design.metric(design.primary), outcome, days_late=events.days_late(wanted))
