"""What a promotion would do, before anything moves: gates, approvals, decisions that flip, response times.

The flips are counts over logged rows, not estimates. The response times are of single rows in this process, the two
versions by turns, so that whatever else the machine does meets both alike; a gateway adds its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from mlprod_nb.errors import MlprodError, nearest
from mlprod_nb.lifecycle.alias_moves import aliases, protecting
from mlprod_nb.lifecycle.alias_moves.aliases import AliasMove
from mlprod_nb.lifecycle.checking import gating
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying import deploy
from mlprod_nb.lifecycle.deploying.deploy import Promotion
from mlprod_nb.lifecycle.deploying.revise import TrafficRow, existing
from mlprod_nb.lifecycle.reporting import replaying
from mlprod_nb.lifecycle.watching.watch import main_variant
from mlprod_nb.results import Result, Section, Verdict

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.registry.bundles import Bundle
    from mlprod_nb.reports.flips import FlipsResult

RECENT = timedelta(days=7)
_MOST_ROWS = 20_000
_TIMED_ROWS = 200
_COLUMNS = ("prediction_id", "unit", "event_time", "prediction", "score", "inputs")


@dataclass(frozen=True)
class LatencyRow:
    """How long a version takes for one row.

    Attributes:
        version: As ``flights/3``.
        median_ms: Half of the rows take at most so long.
        p99_ms: 99 of 100 do.
    """

    version: str
    median_ms: float
    p99_ms: float


@dataclass(frozen=True)
class PromotionPreview(Result):
    """What a promotion would do; exit code 1 where it would be refused.

    Attributes:
        verdict: Whether it would be done, and what is missing.
        endpoint: The endpoint's name.
        revision: The number that its next revision would have.
        traffic: Which versions would answer.
        before: What serves now, in words.
        aliases: The aliases that would move.
        gates: What the gates said of the version.
        approvals: Who approved it, and how many must have; empty where the alias is not protected.
        missing: What is missing, each a sentence.
        rows: How many recent rows the two versions are compared on.
        flips: How many decisions would differ, in words, or why that is not known.
        groups: Where they are densest: group, rows, flips, share in percent.
        latency: How long each takes for one row.
        dry_run: Always true.
        notes: As a promotion's own.
    """

    verdict: Verdict
    endpoint: str
    revision: int
    traffic: tuple[TrafficRow, ...]
    before: str
    aliases: tuple[AliasMove, ...]
    gates: str
    approvals: str
    missing: tuple[str, ...]
    rows: int
    flips: str
    groups: tuple[tuple[str, int, int, float], ...]
    latency: tuple[LatencyRow, ...]
    dry_run: bool = True
    notes: tuple[str, ...] = ()

    _frame_field: ClassVar[str] = "latency"

    def sections(self) -> list[Section]:
        """Show what moves, what is missing, what flips and how long it takes."""
        moves = ", ".join(f"{move.alias} from {move.before or 'nothing'} to {move.after}" for move in self.aliases)
        facts = (
            ("serves now", self.before),
            ("aliases", moves),
            ("gates", self.gates),
            ("approvals", self.approvals),
            ("decisions", self.flips),
            ("notes", " ".join(self.notes)),
        )
        found = [Section("", (), tuple((name, text) for name, text in facts if text))]
        if self.missing:
            found.append(Section("missing", (), tuple(("", sentence) for sentence in self.missing)))
        if self.groups:
            found.append(Section("for whom", ("group", "rows", "flips", "share (percent)"), self.groups))
        if self.latency:
            times = tuple((row.version, row.median_ms, row.p99_ms) for row in self.latency)
            found.append(Section("time for one row", ("version", "median (ms)", "p99 (ms)"), times))
        return found


def preview(context: Context, promotion: Promotion, timer: Callable[[], float] = time.perf_counter) -> PromotionPreview:
    """Show what a promotion would do, and change nothing."""
    planned = deploy.promote(context, replace(promotion, dry_run=True))
    chosen = context.registry.resolve(promotion.version)
    move = aliases.planned(context, chosen.model, promotion.alias, chosen.version)
    asked = protecting.examine(context, move) if planned.aliases and not protecting.puts_back(context, move) else None
    standing = gating.standing(context, chosen)
    serving = main_variant(existing(context, planned.endpoint).spec, planned.endpoint)
    bundles = {
        serving.model_version: context.bundle_of(serving),
        chosen.ref: context.registry.fetch_bundle(chosen, context.bundles),
    }
    rows = _recent(context, planned.endpoint)
    flips, found = _flips(chosen.ref, bundles[chosen.ref], rows)
    return PromotionPreview(
        verdict=_verdict(chosen.ref, planned, asked, standing, _new_alias(context, move)),
        endpoint=planned.endpoint,
        revision=planned.revision,
        traffic=planned.traffic,
        before=planned.before,
        aliases=planned.aliases,
        gates=standing.sentence,
        approvals=_approvals(asked),
        missing=asked.missing if asked else (),
        rows=rows.num_rows,
        flips=flips,
        groups=tuple((g.group, g.rows, g.flips, round(g.flip_percent, 1)) for g in found.groups) if found else (),
        latency=_latency(bundles, rows, timer),
        notes=planned.notes,
    )


def _verdict(
    version: str,
    planned: deploy.RevisionResult,
    asked: protecting.Clearance | None,
    standing: gating.Standing,
    note: str,
) -> Verdict:
    what = f"all traffic of {planned.endpoint!r}" + "".join(f" and {move.alias}" for move in planned.aliases)
    if asked and asked.missing:
        return Verdict("alarm", f"{version} would be refused {what}: {' '.join(asked.missing)} {asked.next}")
    sentence = f"{version} would get {what} (dry run, nothing changed).{note}"
    if standing.passes:
        alias = "".join(f" --alias {move.alias.partition('@')[2]}" for move in planned.aliases)
        return Verdict("ok", sentence, f"%mlprod promote {version} --endpoint {planned.endpoint}{alias}")
    return Verdict("warn", f"{sentence} It has not passed its gates: {standing.sentence}", f"%mlprod check {version}")


def _new_alias(context: Context, move: AliasMove) -> str:
    """Say that a move makes a new alias, which a typing error does too; nothing where the alias is there."""
    if move.before:
        return ""
    model, name = move.alias.split("@")
    meant = nearest(name, context.registry.aliases(model))
    return f" {move.alias} is a new alias." + (f" Did you mean {meant!r}?" if meant else "")


def _approvals(asked: protecting.Clearance | None) -> str:
    if asked is None:
        return ""
    given = ", ".join(asked.given) or "none"
    return f"{given}; {asked.needed} by others than {asked.author} are needed"


def _recent(context: Context, endpoint: str) -> pa.Table:
    """Return the rows of the log's last days, with what happened where they are few enough to look for it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    events = context.log.predictions(context.log.pin(endpoint), only=("event_time",))["event_time"]
    newest = pc.max(events).as_py()
    pinned = context.log.pin(endpoint, since=newest - RECENT if newest else None)
    if pinned.rows <= _MOST_ROWS:
        return context.log.labelled(pinned)
    sampled = context.log.sample(pinned, _MOST_ROWS, only=list(_COLUMNS))
    return sampled.append_column("label", pa.nulls(sampled.num_rows, pa.string()))


def _flips(version: str, bundle: Bundle, rows: pa.Table) -> tuple[str, FlipsResult | None]:
    """Return how many decisions differ, in words, and the counts."""
    from mlprod_nb.reports import flips

    if not rows.num_rows:
        return f"not known: the log of the last {RECENT.days} days is empty", None
    try:
        found = flips.result("", version, replaying.decisions(bundle, rows))
    except MlprodError as error:
        return f"not known: {error.message}", None
    if found.flips is None:
        return f"the {found.rows:,} values would move by {found.mean_absolute_change:.3g} on average", found
    known = f"; of those whose outcome is known {found.now_right:,} become right, {found.now_wrong:,} wrong"
    outcome = known if found.now_right or found.now_wrong else ""
    return f"{found.flips:,} of {found.rows:,} recent ones flip ({found.flip_percent:.2g} %){outcome}", found


def _latency(bundles: dict[str, Bundle], rows: pa.Table, timer: Callable[[], float]) -> tuple[LatencyRow, ...]:
    """Time the versions by turns on the same single rows; nothing where one cannot take them."""
    import numpy as np

    from mlprod_nb.monitoring import counting
    from mlprod_nb.registry import onnx_runner
    from mlprod_nb.registry.runner import open_runner

    some = rows.slice(0, _TIMED_ROWS)
    inputs = {name: values.to_pylist() for name, values in counting.inputs(some).items()}
    runners = {version: (open_runner(bundle), bundle.signature) for version, bundle in bundles.items()}
    taken: dict[str, list[float]] = {version: [] for version in runners}
    try:
        for row in range(some.num_rows):
            for version, (runner, signature) in runners.items():
                one: dict[str, list[Any]] = {name: [values[row]] for name, values in inputs.items()}
                arrays = onnx_runner.to_arrays(signature, one)
                begin = timer()
                runner.run(arrays)
                taken[version].append(1000 * (timer() - begin))
    except MlprodError:
        return ()
    # The first calls load what the later ones have.
    return tuple(
        LatencyRow(version, round(float(np.median(times)), 3), round(float(np.quantile(times, 0.99)), 3))
        for version, times in ((version, times[len(times) // 10 :]) for version, times in taken.items())
        if times
    )
