"""Ending an A/B test: as it is, or by shipping the treatment, which the verdict must allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import sqlalchemy as sa

from mlprod_nb.errors import Refused, UsageError
from mlprod_nb.lifecycle.abtests import reading
from mlprod_nb.lifecycle.abtests.reading import Started
from mlprod_nb.lifecycle.alias_moves.aliases import AliasMove
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying import deploy
from mlprod_nb.lifecycle.deploying.revise import TrafficRow, existing, traffic
from mlprod_nb.lifecycle.watching.watch import Window
from mlprod_nb.results import Result, Verdict
from mlprod_nb.store import tables


@dataclass(frozen=True)
class Stop:
    """What :meth:`mlprod_nb.Workspace.abtest_stop` takes."""

    endpoint: str
    ship: bool
    yes: bool
    reason: str
    dry_run: bool


@dataclass(frozen=True)
class ABTestStopped(Result):
    """An A/B test has ended, or would have; exit code 1 where it was to ship and its verdict is another.

    Attributes:
        verdict: Whether it ended, and what serves.
        endpoint: The endpoint's name.
        design: How it was read.
        reason: Why it was ended.
        concluded: The test's own verdict; empty where it was not asked for.
        traffic: Which versions answer now.
        aliases: The aliases that moved.
        dry_run: Whether nothing was changed.
    """

    verdict: Verdict
    endpoint: str
    design: str
    reason: str
    concluded: str
    traffic: tuple[TrafficRow, ...]
    aliases: tuple[AliasMove, ...]
    dry_run: bool

    _frame_field: ClassVar[str] = "traffic"
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "dry_run")


def stop(context: Context, wanted: Stop) -> ABTestStopped:
    """End the running test.

    Raises:
        Refused: No test runs, or the gateway does not take the treatment.
        UsageError: It is to ship whatever the verdict, and no reason is given.
    """
    with context.store.read() as connection:
        test = reading.latest(connection, wanted.endpoint)
    if test is None or test.stopped:
        raise Refused(f"no A/B test runs on {wanted.endpoint!r}.")
    if wanted.ship:
        return _ship(context, wanted, test)
    if not wanted.dry_run:
        _end(context, wanted, test, wanted.reason)
    spec = existing(context, wanted.endpoint).spec
    state = "would end (dry run, nothing changed)" if wanted.dry_run else "has ended"
    sentence = f"the A/B test on {wanted.endpoint!r} {state}; its split stays until you route or promote."
    return ABTestStopped(
        verdict=Verdict("ok", sentence),
        endpoint=wanted.endpoint,
        design=test.design.describe(),
        reason=wanted.reason,
        concluded="",
        traffic=traffic(spec) if spec else (),
        aliases=(),
        dry_run=wanted.dry_run,
    )


def _ship(context: Context, wanted: Stop, test: Started) -> ABTestStopped:
    """Promote the version that was tested, then end the test, so that a failure leaves it running."""
    if wanted.yes and not wanted.reason:
        raise UsageError("shipping whatever the verdict takes a reason.", hint="Say it: --reason WHY")
    found = reading.result(context, Window(wanted.endpoint))
    allowed = found.decision == "ship" and found.verdict.status == "ok"
    if not allowed and not wanted.yes:
        return _not_shipped(context, wanted, test, found.verdict.sentence)
    version = reading.tested(context, test, found.metrics[0].arm)
    reason = wanted.reason or f"A/B test: {found.verdict.sentence}"
    promotion = deploy.Promotion(version, "champion", wanted.endpoint, reason, wanted.dry_run)
    done = deploy.promote(context, promotion)
    if not wanted.dry_run:
        _end(context, wanted, test, reason)
    state = "would have (dry run, nothing changed)" if wanted.dry_run else "has"
    sentence = f"{version} {state} all traffic of {wanted.endpoint!r} and the alias {version.split('/')[0]}@champion."
    return ABTestStopped(
        verdict=Verdict("ok", sentence, "" if wanted.dry_run else f"%mlprod rollback {wanted.endpoint}"),
        endpoint=wanted.endpoint,
        design=test.design.describe(),
        reason=reason,
        concluded=found.verdict.sentence,
        traffic=done.traffic,
        aliases=done.aliases,
        dry_run=wanted.dry_run,
    )


def _not_shipped(context: Context, wanted: Stop, test: Started, concluded: str) -> ABTestStopped:
    spec = existing(context, wanted.endpoint).spec
    return ABTestStopped(
        verdict=Verdict(
            "alarm",
            f"not shipped, and the A/B test on {wanted.endpoint!r} goes on: {concluded}",
            f"%mlprod abtest stop {wanted.endpoint} --ship --yes --reason WHY",
        ),
        endpoint=wanted.endpoint,
        design=test.design.describe(),
        reason=wanted.reason,
        concluded=concluded,
        traffic=traffic(spec) if spec else (),
        aliases=(),
        dry_run=wanted.dry_run,
    )


def _end(context: Context, wanted: Stop, test: Started, reason: str) -> None:
    with context.store.write() as connection:
        mine = (tables.abtests.c.id == test.id) & tables.abtests.c.stopped_at.is_(None)
        change = sa.update(tables.abtests).where(mine).values(stopped_at=context.clock(), stop_reason=reason)
        if not connection.execute(change).rowcount:
            raise Refused(f"no A/B test runs on {wanted.endpoint!r}.")
        context.audit(connection, "abtest stop", wanted.endpoint, reason)
